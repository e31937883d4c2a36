"""The sample with items whose codes, names and remarks are made to be taken for something else,
and a state folder that has learned from it.
"""

from datetime import datetime
from pathlib import Path

from conftest import two_folds
from data_fixtures import ITEMS, ROUTINGS, access_rows, sqlite_source

from routing_ml import pipeline
from routing_ml.settings import SAMPLE, Settings

AS_OF = datetime(2026, 11, 1)
SCRIPT = "<script>alert('taken')</script>"
TAG = '"><img src=x onerror=alert(1)>'
TURNED = "\u202egnp.\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627"
LONG = "W" * 10_000
CODES = ("<B>&*1", "A'\"--&AMP;*", f"R{TURNED}", "L" * 10_000)
NAMES = (SCRIPT, TAG, f"{TURNED} * & _x_", LONG)


def hostile_source(path: Path) -> str:
    """A database of the sample, whose newest items that wait are called by CODES and NAMES, and
    whose newest routings have remarks and operation names of that kind."""
    tables = access_rows(SAMPLE)
    items, routings = tables[ITEMS], tables[ROUTINGS]
    code, name, spec = (items.index(each) for each in ("ITEM_CD", "ITEM_NM", "ADDITIONAL_SPEC"))
    routed = {row[routings.index("ITEM_CD")] for row in routings.rows}
    renamed = iter(zip(CODES, NAMES, strict=True))
    rows = []
    for row in map(list, reversed(items.rows)):
        if row[code] not in routed and (called := next(renamed, None)):
            row[code], row[name] = called
            row[spec] = called[1]
        rows.append(row)
    marks = dict(zip(("JOB_NM", "REMARK"), (f"{SCRIPT} {TAG}", LONG), strict=True))
    changed = []
    for number, row in enumerate(map(list, routings.rows)):
        if number >= len(routings.rows) - 200:
            for column, text in marks.items():
                row[routings.index(column)] = text
        changed.append(row)
    return sqlite_source(
        path, tables | {ITEMS: items.changed(rows[::-1]), ROUTINGS: routings.changed(changed)}
    )


def learned(home: Path, source: str) -> Settings:
    """A simple model in use, its proposals, and a look at the data."""
    settings = Settings.from_env({"ROUTING_ML_HOME": str(home), "ROUTING_ML_SOURCE": source})
    with two_folds():
        pipeline.retrain(settings, as_of=AS_OF, candidates=["nearest"], run_id="first")
    pipeline.predict(settings, "daily", as_of=AS_OF)
    found = pipeline.look(settings, "weekly", as_of=AS_OF)
    pipeline.end_look(settings, "weekly", source="default", found=found, failed={}, cause="by hand")
    return settings
