import json
from contextlib import closing
from dataclasses import replace

import pytest
from slack_fixtures import FakeSlack

from routing_ml.errors import InputError
from routing_ml.pipeline import report
from routing_ml.pipeline import steps as pipeline
from routing_ml.settings import Settings
from routing_ml.store.store import Store

METRICS = {
    "exact_match": 0.5,
    "operation_f1": 0.9123,
    "run_time_mdape": 0.1,
    "setup_time_mdape": None,
    "resource_accuracy": 0.75,
    "items": 356,
}
DATA = {
    "uri": "runs/r/x.json",
    "sha256": "5f" * 32,
    "bytes": 10,
    "rows": {"items": 2400, "routings": 19786},
    "as_of": "2026-11-01T02:00:00",
}


@pytest.fixture
def given(tmp_path):
    return Settings.from_env({"ROUTING_ML_HOME": str(tmp_path)})


def register(given):
    def write(folder):
        (folder / "model.json").write_text("{}")

    facts = {"candidate": "nearest", "metrics": METRICS, "as_of": DATA["as_of"]}
    return pipeline.registry(given).register(write, key="k", facts=facts)


def write(given, run="manual__1", **changes):
    facts = {"data": None, "trained": [], "decision": None, "failed": {}}
    facts |= {"cause": "by hand", "seconds": 5.0}
    outcome = report.outcome_of(given, run, **facts | changes)
    report.write(given, outcome)
    return outcome


def decided(version, *, promote=True, reason="it is better"):
    return {"winner": version and version.name, "promote": promote, "reason": reason}


def trained(version):
    return [{"candidate": "nearest", "model": version.name, "metrics": METRICS}]


def test_the_outcome_of_a_promotion(given):
    version = register(given)
    pipeline.registry(given).promote(version.name, who="t", why="t")
    outcome = write(given, data=DATA, trained=trained(version), decision=decided(version))
    assert outcome["succeeded"] and outcome["promoted"]
    assert (outcome["model"], outcome["metrics"]) == (version.name, METRICS)
    assert outcome["reason"] == "it is better"
    folder = given.home / "runs" / "manual__1"
    assert json.loads((folder / "outcome.json").read_text()) == outcome
    assert outcome["report"] == str(folder / "report.md")


def test_the_report_reads_as_a_table_of_the_candidates(given):
    version = register(given)
    pipeline.registry(given).promote(version.name, who="t", why="t")
    folder = pipeline.run_folder(given, "manual__1")
    folder.mkdir(parents=True)
    checks = [
        {"name": "records", "level": "ok", "found": "19,786"},
        {"name": "units", "level": "warning", "found": "3 rows in furlong"},
    ]
    (folder / "audit.json").write_text(json.dumps({"checks": checks}))
    write(given, data=DATA, trained=trained(version), decision=decided(version))
    text = (folder / "report.md").read_text()
    assert text == (
        "# Routing ML: a new model is in use\n\n"
        "it is better\n\n"
        "- run: manual__1 (by hand)\n"
        f"- in use: {version.name}\n"
        "- data: 2,400 items, 19,786 routings, as of 2026-11-01T02:00:00\n"
        f"- its hash: {DATA['sha256']}\n\n"
        "| on items that it was not fitted on | nearest |\n"
        "|---|---|\n"
        "| routing exactly right | 0.500 |\n"
        "| operations, F1 | 0.912 |\n"
        "| run time error, median | 0.100 |\n"
        "| setup time error, median | none |\n"
        "| machine right | 0.750 |\n"
        "| items judged by | 356 |\n"
        f"| version | {version.name} |\n\n"
        "## What the audit found\n\n"
        "- units: 3 rows in furlong\n"
    )


def test_the_report_says_what_was_learned_from_the_time_of_entry(given):
    version = register(given)
    changed = {"since": "2026-03-01", "operations": ["Grind", "Hone|2"], "times": True}
    changed["machines_half_life_days"] = 121.4
    folder = pipeline.run_folder(given, "manual__1")
    write(given, trained=[{**trained(version)[0], "recent": changed}])
    text = (folder / "report.md").read_text()
    assert "- routings entered since about 2026-03-01 differ from those before" in text
    assert "most in Grind, Hone\\|2: new items are proposed as planners make them now\n" in text
    assert "- times have changed: they are proposed at their level of late\n" in text
    assert "- machines: an item counts half of one 121 days later\n" in text
    same = dict.fromkeys(changed)
    write(given, trained=[{**trained(version)[0], "recent": same}])
    text = (folder / "report.md").read_text()
    assert "- nothing is shown to have changed with time: all past items count alike\n" in text


def test_the_report_says_what_check_found_and_names_the_worst_offenders(given):
    folder = pipeline.run_folder(given, "manual__1")
    folder.mkdir(parents=True)
    finding = {"name": "one entry date", "level": "warning", "found": "900 of 1,000 items"}
    findings = [finding | {"accepted": False}, finding | {"accepted": True}]
    (folder / "check.json").write_text(json.dumps({"findings": findings}))
    row = {"item": "A|1", "revision": "R2", "sequence": 10, "value": 300.0, "why": "far off"}
    offenders = [
        {"gate": "outliers", "table": "routings", "column": "RUN_TIME", "count": 1_414,
         "worst": [row] * 5}
    ]  # fmt: skip
    checks = [{"name": "outliers", "level": "warning", "found": "routings.RUN_TIME 1,414"}]
    (folder / "audit.json").write_text(json.dumps({"checks": checks, "offenders": offenders}))
    write(given)
    text = (folder / "report.md").read_text()
    assert "## What check found\n\n- warning, one entry date: 900 of 1,000 items\n" in text
    assert "- accepted, one entry date: 900 of 1,000 items\n" in text
    worst = "; ".join(["'A\\|1' R2/10: 300"] * 3)
    assert f"| outliers | routings.RUN_TIME | 1,414 | {worst} (the first: far off) |\n" in text
    assert "`offenders.csv`" in text


def test_a_winner_that_waits_is_told_of_as_such(given):
    version = register(given)
    decision = decided(version, promote=False, reason=f"{version.name} waits: look")
    outcome = write(given, decision=decision | {"withheld": ["few operations"]})
    assert (outcome["promoted"], outcome["withheld"]) == (False, ["few operations"])
    assert outcome["reason"] == f"{version.name} waits: look"
    title, _ = report.notice(outcome)
    assert title == "Routing ML: a new model waits until someone has looked"


def test_nothing_waits_where_nothing_has_won(given):
    outcome = write(given, decision=decided(None, promote=False) | {"withheld": ["few operations"]})
    assert outcome["withheld"] == []
    assert report.notice(outcome)[0] == "Routing ML: no model is in use yet"


def test_a_winner_that_was_not_wanted_is_named(given):
    version = register(given)
    outcome = write(given, decision=decided(version, promote=False))
    assert not outcome["promoted"]
    assert outcome["reason"] == (
        f"{version.name} was not put into use, as the run was told: it is better"
    )


def test_every_failed_step_is_in_the_reason(given):
    outcome = write(given, failed={"extract": "no file", "report": ""})
    assert (outcome["succeeded"], outcome["promoted"]) == (False, False)
    assert outcome["reason"] == "extract: no file; report"


def test_a_promotion_that_failed_is_none(given):
    version = register(given)
    outcome = write(given, decision=decided(version), failed={"promote": "disk full"})
    assert (outcome["promoted"], outcome["model"]) == (False, None)


def test_a_registry_that_cannot_say_what_is_in_use_is_a_failure_and_reported(given):
    (given.home / "models").mkdir()
    (given.home / "models" / "active").symlink_to("elsewhere")
    outcome = write(given)
    assert not outcome["succeeded"]
    assert "active points to elsewhere" in outcome["failed"]["report"]


def test_writing_it_again_gives_the_same_files_and_no_more(given):
    first = write(given, data=DATA)
    folder = given.home / "runs" / "manual__1"
    (folder / ".outcome.json.0a1b2c3d.tmp").write_text("half")
    before = {path.name: path.read_bytes() for path in folder.glob("[!.]*")}
    assert write(given, data=DATA) == first
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_named(given):
    (given.home / "runs").write_text("")
    with pytest.raises(InputError, match="manual__1 cannot be written"):
        write(given)


def test_people_are_told_the_reason_the_model_and_where_to_look(tmp_path):
    with FakeSlack() as slack:
        given = Settings.from_env(
            {"ROUTING_ML_HOME": str(tmp_path), "SLACK_WEBHOOK_URL": slack.url}
        )
        version = register(given)
        pipeline.registry(given).promote(version.name, who="t", why="t")
        outcome = write(given, decision=decided(version, reason="it has < 1 % errors"))
        assert report.tell(given, outcome, "http://factory/run")
        assert not report.tell(given, outcome)
    assert [message["text"] for message in slack.messages] == ["Routing ML: a new model is in use"]
    assert slack.texts() == [
        "it has &lt; 1 % errors\n"
        f"In use: {version.name}\n"
        "Routings exactly right of items it was not fitted on: 50.0%\n"
        "Run: manual__1 (by hand)\n"
        f"Report: {outcome['page']}"
    ]
    assert slack.links() == ["<http://factory/run|Open the run>"]


def test_people_see_what_became_of_the_figures_since_the_last_run(tmp_path):
    given = Settings.from_env({"ROUTING_ML_HOME": str(tmp_path)})
    version = register(given)
    pipeline.registry(given).promote(version.name, who="t", why="t")
    before = DATA | {"as_of": "2026-10-01T02:00:00", "rows": {"items": 2300, "routings": 1}}
    write(given, "october", data=before, decision=decided(version))
    with FakeSlack() as slack:
        told = replace(given, slack_webhook_url=slack.url)
        report.tell(told, write(given, data=DATA, decision=decided(version)))
    fields = [field["text"] for field in slack.messages[0]["blocks"][2]["fields"]]
    assert fields == [
        "*Routings exactly right*\n50.0 % (the same since 2026-10-01)",
        "*Operations, F1*\n91.2 % (the same since 2026-10-01)",
        "*Run time error, median*\n10.0 % (the same since 2026-10-01)",
        "*Items in the data*\n2,400 (+100 since 2026-10-01)",
    ]


def test_a_failed_run_that_is_cleared_and_succeeds_is_told_of_again(tmp_path):
    with FakeSlack() as slack:
        given = Settings.from_env(
            {"ROUTING_ML_HOME": str(tmp_path), "SLACK_WEBHOOK_URL": slack.url}
        )
        for failed in ({"extract": "no file"}, {"extract": "no file"}, {}):
            report.tell(given, write(given, failed=failed))
    assert [message["text"] for message in slack.messages] == [
        "Routing ML: the retraining failed",
        "Routing ML: no model is in use yet",
    ]


def test_the_report_says_what_planners_wrote_since(given):
    write(given)
    text = (given.home / "runs" / "manual__1" / "report.md").read_text()
    assert "What planners wrote" not in text
    one = {"value": "m", "items": 1200, "exact": 0.9, "low": 0.85, "high": 0.93, "confidence": 0.91}
    told = {"alarm": True, "cause": "times have moved", "words": "Machine L1 | is\nslower."}
    with closing(Store(given.store_url)) as store:
        store.set_fact("live", {"model": [one | {"operation_f1": None}]})
        store.set_fact("concept", told)
    write(given)
    text = (given.home / "runs" / "manual__1" / "report.md").read_text()
    line = "| the version that was in use | 1,200 | 0.900 | 0.850 and 0.930 | 0.910 | none |"
    assert line in text
    assert "**times have moved**: Machine L1 \\| is slower." in text
