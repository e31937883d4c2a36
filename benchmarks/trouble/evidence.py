"""A version that planners' own routings show to be better, so that `replace` has what to do."""

import shutil
from collections import Counter
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd

from routing_ml import judging
from routing_ml.judging.keeping import COLUMNS
from routing_ml.registry import Version
from routing_ml.registry.version import MANIFEST, OWN_KEYS
from routing_ml.store import Store
from trouble import factory
from trouble.bed import Bed

METHOD = "nearest"
WRONG = "SCRAP"


def propose(bed: Bed, at: datetime) -> factory.Later:
    """Have the version in use propose wrongly, at a moment, for items that were entered before, one
    a day, and another version rightly; the items, not yet in the source, whose routings planners
    write a day later."""
    later = factory.Later(first=at - timedelta(days=factory.LATER), routed=at + timedelta(days=1))
    active = bed.registry.active()
    assert active is not None
    other = _equal(bed, active)
    with closing(Store(bed.settings.store_url)) as store, store.transaction():
        for version, instead in ((active, WRONG), (other, None)):
            rows = judging.kept(
                _proposals(later, instead),
                model=version.name,
                method=METHOD,
                in_use=version.name == active.name,
                at=bed.settings.seconds(at),
            )
            store.keep_proposals(rows)
        judging.after_retraining(
            store,
            champion=active.name,
            place=bed.registry.place(),
            promoted=False,
            fitted={
                METHOD: judging.Challenger(other.name, False, None, f"{at - timedelta(days=1):%F}")
            },
        )
    return later


def _equal(bed: Bed, active: Version) -> Version:
    """Another version of equal content."""
    facts = {name: fact for name, fact in active.manifest.items() if name not in OWN_KEYS}

    def write(folder: Path) -> None:
        left_out = shutil.ignore_patterns(MANIFEST)
        shutil.copytree(active.folder, folder, dirs_exist_ok=True, ignore=left_out)

    return bed.registry.register(write, key=f"equal to {active.name}", facts=facts)


def switched(bed: Bed, runs: list[str]) -> list[str]:
    """What is wrong with how often the runs have switched: one of them must have, once, and people
    heard of it, and each item is judged once for either version."""
    made = Counter(entry["who"] for entry in bed.registry.history())
    count = sum(made[f"run {run}"] for run in runs)
    wrong = [] if count == 1 else [f"{count} switches by planners' routings, not one"]
    titles = Counter(message["text"] for message in bed.slack.messages)
    told = sum(n for title, n in titles.items() if "by what planners wrote" in title)
    wrong += [] if told == 1 else [f"told {told} times of the switch by planners' routings"]
    with closing(Store(bed.settings.store_url, write=False)) as store:
        [(judged,)] = store.database.rows("SELECT COUNT(*) FROM judged")
    due = 2 * factory.LATER
    return wrong + ([] if judged == due else [f"{judged} proposals are judged of {due}"])


def _proposals(later: factory.Later, instead: str | None) -> pd.DataFrame:
    """A proposal for each of the items: what planners write, or one job `instead` of
    every other."""
    rows = [
        [code, place, instead or job, machine, setup, minutes, minutes, minutes, 1.0, 0.9, 0.0]
        for code, _, place, job, machine, _, setup, minutes in factory.later_steps(later)
    ]
    return pd.DataFrame(rows, columns=["ITEM_CD", *COLUMNS, "CONFIDENCE", "NOVELTY"])
