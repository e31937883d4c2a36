"""The commands as a user runs them: what they print, and how they end."""

import argparse
import json
import os
import shlex
import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT
from slack_fixtures import FakeSlack

from routing_ml import clock, notices
from routing_ml.cli import command_line, helping, main
from routing_ml.errors import ModelError
from routing_ml.registry.registry import Registry
from routing_ml.settings import Settings, default_url
from routing_ml.source.columns import DEFAULT_FILE
from routing_ml.store.store import Store

Run = Callable[..., tuple[int, str, str]]
AT = datetime(2026, 11, 30, 17, tzinfo=UTC)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with two versions, the second in use."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROUTING_ML_HOME", str(home))
        for as_of in ("2026-09-01", "2026-11-01"):
            assert main(["retrain", "--candidates", "nearest", "--as-of", as_of]) == 0
        newest = max(folder.name for folder in (home / "models").glob("model_*"))
        assert main(["promote", newest]) == 0
    return home


@pytest.fixture
def run(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs a command on a copy of that folder: exit code, standard output, standard error."""
    home = tmp_path / "home"
    shutil.copytree(trained, home, symlinks=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROUTING_ML_HOME", str(home))
    capsys.readouterr()

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_retrain_prints_one_json_object_with_the_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROUTING_ML_HOME", str(tmp_path))
    assert main(["retrain", "--candidates", "nearest", "--as-of", "2026-11-01", "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["promoted"] is True
    assert outcome["model"].startswith("model_")
    assert outcome["reason"]
    assert 0.3 < outcome["metrics"]["exact_match"] <= 1
    assert Path(outcome["report"]).is_file()


def test_extract_audit_train_and_evaluate_follow_one_another(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("extract", "--out", str(tmp_path / "d"), "--as-of", "2026-11-01")
    facts = json.loads(out)
    assert code == 0
    assert facts["rows"] == {"items": 2400, "routings": 19786, "results": 8340}
    assert facts["bytes"] > 0
    listed = tmp_path / "offenders.csv"
    code, out, _ = run("audit", str(tmp_path / "d"), "--offenders", str(listed))
    assert code == 0
    assert out.splitlines()[-1].startswith("passed with")
    assert "spellings, items.PART_TYPE, the worst: '1B10764NY': 'SLEEVE  '; " in out
    assert len(listed.read_text(encoding="utf-8-sig").splitlines()) > 1_000
    code, _, err = run("audit", str(tmp_path / "d"), "--offenders", str(tmp_path / "no" / "x.csv"))
    assert code == 1 and "x.csv cannot be written: " in err and len(err.splitlines()) == 1
    code, out, _ = run("train", str(tmp_path / "d"), "--candidate", "nearest")
    model = json.loads(out)["model"]
    assert code == 0
    assert f"  {model}" in run("models")[1]
    code, out, _ = run("evaluate", model, str(tmp_path / "d"))
    figures = json.loads(out)
    assert code == 0
    assert figures["items"] == 356
    assert {"exact_match", "operation_precision", "operation_recall", "operation_f1"} <= set(
        figures
    )
    assert {"edit_similarity", "run_time_mdape", "setup_time_mdape"} <= set(figures)


def test_check_shows_what_would_be_learned_and_touches_no_state(run: Run, tmp_path: Path) -> None:
    home = Path(os.environ["ROUTING_ML_HOME"])
    before = sorted(home.rglob("*"))
    code, out, err = run("check", "--as-of", "2026-11-01")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[-1] == "A retraining would learn this."
    assert "  2,379 items with a routing, 21 without; 27 operation codes" in lines
    assert "    20  A10-1  CNC선삭 1차  CNC-01    setup  44.50  run  19.52" in lines
    facts = json.loads(run("check", "--as-of", "2026-11-01", "--json")[1])
    assert (facts["passed"], facts["findings"], facts["withheld"]) == (True, [], [])
    assert facts["times"]["RUN_TIME"]["guess"] == "minutes"
    assert sorted(home.rglob("*")) == before


def test_check_needs_no_state_folder(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("ROUTING_ML_HOME", str(tmp_path / "none"))
    assert main(["check", "--as-of", "2026-11-01"]) == 0
    assert not (tmp_path / "none").exists() and "state folder" not in capsys.readouterr().err


@pytest.mark.parametrize("home", ["~nobody-of-this-name/var", "x" * 300])
def test_a_state_folder_that_cannot_be_is_one_line(
    home: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr("routing_ml.settings.BASE", tmp_path)
    monkeypatch.setenv("ROUTING_ML_HOME", home)
    for command in ("models", "retrain"):
        assert main([command]) == 1
        assert capsys.readouterr().err.count("\n") == 1


def test_the_readme_shows_what_check_prints_of_the_sample(run: Run) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    command = "routing-ml check --as-of 2026-11-01"
    shown = readme.partition(f"$ .venv/bin/{command}\n")[2].partition("```")[0].splitlines()
    printed = run(*command.split()[1:])[1].splitlines()
    assert printed[0].endswith(shown[0])
    left_out = [line for line in shown[1:] if line not in printed]
    assert {line.strip() for line in left_out} == {"..."}
    assert len(shown) > 80


def test_check_ends_with_1_where_the_columns_cannot_be_right(run: Run, tmp_path: Path) -> None:
    columns = DEFAULT_FILE.read_text(encoding="utf-8")
    wrong = columns.replace('sequence = "PROC_SEQ"', 'sequence = "MFG_LT"', 1)
    assert wrong != columns
    (tmp_path / "columns.toml").write_text(wrong, encoding="utf-8")
    code, out, _ = run("check", "--columns", str(tmp_path / "columns.toml"))
    assert code == 1
    assert "error    several operations at one number: in " in out
    assert out.splitlines()[-1] == "This cannot be right: a retraining would stop here."


def test_check_says_what_to_write_where_a_person_must_look(run: Run, tmp_path: Path) -> None:
    columns = DEFAULT_FILE.read_text(encoding="utf-8")
    columns = columns[: columns.index("[results]")]
    wrong = columns.replace('"TIME_UNIT"', '"seconds"')
    path = tmp_path / "columns.toml"
    path.write_text(wrong, encoding="utf-8")
    code, out, _ = run("check", "--columns", str(path))
    assert (code, out.splitlines()[-1]) == (
        0,
        "A person must look: a retraining would go on, and put no model into use by itself. When "
        'it is right as it is, write accept = ["unit of time"] at the top of the columns file.',
    )
    path.write_text(f'accept = ["unit of time"]\n{wrong}', encoding="utf-8")
    assert run("check", "--columns", str(path))[1].endswith("A retraining would learn this.\n")


def test_evaluate_scores_a_version_only_on_items_its_twin_has_not_seen(
    run: Run, tmp_path: Path
) -> None:
    run("extract", "--out", str(tmp_path / "d"), "--as-of", "2026-06-01")
    (newest,) = [m for m in json.loads(run("models", "--json")[1])["models"] if m["active"]]
    code, out, _ = run("evaluate", newest["model"], str(tmp_path / "d"), "--json")
    assert code == 0
    assert json.loads(out)["items"] < 300


def test_a_switch_by_hand_is_told_with_who_why_and_the_figures(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = Registry(Path(os.environ["ROUTING_ML_HOME"]) / "models").versions()
    older, newer = (version.name for version in versions)
    with FakeSlack() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        assert run("promote", newer)[0] == 0  # it is in use already
        assert not slack.messages
        assert run("rollback", "--why", "the boss <said> so")[0] == 0
        assert run("promote", newer)[0] == 0
    assert [message["text"] for message in slack.messages] == [
        "Routing ML: a model was rolled back by hand",
        "Routing ML: a model was promoted by hand",
    ]
    first = slack.texts()[0].splitlines()
    assert first[0] == f"{older} is in use again, before: {newer}"
    assert first[1].startswith("By: ") and first[2] == "Why: the boss &lt;said&gt; so"
    fields = [field["text"] for field in slack.messages[0]["blocks"][2]["fields"]]
    assert fields[0].startswith("*Routings exactly right*\n")
    assert fields[0].endswith(f" against {newer})")


def test_a_switch_by_hand_is_made_though_nobody_can_be_told(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeSlack(404) as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        code, out, err = run("rollback")
        assert code == 0 and out.endswith(" is in use again\n")
        assert err.count("\n") == 1
        assert err.startswith("nobody could be told of it yet: Slack refused the notice: HTTP 404")
        notices.catch_up(Settings.from_env())
    assert [m["text"] for m in slack.messages] == ["Routing ML: a model was rolled back by hand"]


def test_rollback_returns_to_the_version_before_and_promote_to_a_named_one(run: Run) -> None:
    older, newer = [one["model"] for one in json.loads(run("models", "--json")[1])["models"]]
    assert f"* {newer}" in run("models")[1]
    assert run("rollback", "--why", "it proposes nonsense")[:2] == (0, f"{older} is in use again\n")
    assert f"* {older}" in run("models")[1]
    assert run("promote", newer)[:2] == (0, f"{newer} is in use\n")
    history = json.loads(run("models", "--json")[1])["history"]
    assert [(entry["to"], entry["why"]) for entry in history[-2:]] == [
        (older, "it proposes nonsense"),
        (newer, "by hand"),
    ]


def test_history_says_who_put_what_into_use_when_and_why_the_newest_first(
    run: Run,
) -> None:
    known = json.loads(run("models", "--json")[1])
    older, newer = [one["model"] for one in known["models"]]
    before = len(known["history"])
    with clock.at(AT):
        run("rollback", "--why", "it proposes\nnonsense")
    code, out, _ = run("history", "--limit", "1")
    first, why, more = out.splitlines()
    assert code == 0 and first.startswith(
        f"2026-12-01 02:00  {older} gone back to, instead of {newer}, by "
    )
    assert (why, more) == (
        "  it proposes nonsense",
        f"and {before} earlier: --limit {before + 1}",
    )
    told = json.loads(run("history", "--json")[1])
    assert told["total"] == before + 1 and told["history"][0]["why"] == "it proposes\nnonsense"
    assert told["history"] == json.loads(run("models", "--json")[1])["history"][::-1]


def test_a_registry_without_a_version_has_an_empty_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROUTING_ML_HOME", str(tmp_path))
    assert main(["history"]) == 0
    assert capsys.readouterr().out.startswith("no version was put into use yet: ")


def leaves(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """The commands of a parser that have no commands of their own."""
    found = [a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return [leaf for one in found for p in one.values() for leaf in leaves(p)] or [parser]


COMMANDS = {leaf.prog.removeprefix("routing-ml "): leaf for leaf in leaves(command_line._parser())}


def test_every_command_has_help_of_its_own_and_no_other_has() -> None:
    assert COMMANDS.keys() == helping.COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_examples_that_are_understood_and_its_settings(name: str) -> None:
    examples, settings = helping.COMMANDS[name]
    for example in examples:
        assert example == name or example.startswith(f"{name} ")
        command_line._parser().parse_args(shlex.split(example))
        assert f"\n  routing-ml {example}\n" in COMMANDS[name].format_help()
    readme = (ROOT / "README.md").read_text()
    assert all(f"`{setting}`" in readme for setting in settings)
    assert all(setting in COMMANDS[name].format_help() for setting in settings)


def test_predict_proposes_a_routing_for_every_item_without_one(run: Run, tmp_path: Path) -> None:
    out_file = tmp_path / "p.csv"
    code, out, _ = run("predict", "--out", str(out_file), "--json")
    assert code == 0
    assert json.loads(out)["items"] == 21
    lines = out_file.read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == (
        "ITEM_CD,PROC_SEQ,JOB_CD,JOB_NM,RES_CD,SETUP_TIME,RUN_TIME,RUN_TIME_LOW,RUN_TIME_HIGH,"
        "CONFIDENCE,SIMILARITY_SCORE,REFERENCE_ITEM_CD,RES_LIKELIHOOD,RES_OTHERS,OUTSIDE,NOTE,"
        "NOVELTY,NEW_TO_MODEL"
    )
    assert len(lines) - 1 == json.loads(out)["operations"]


def test_predict_finds_one_item_whatever_the_case_of_its_code(run: Run) -> None:
    code, out, _ = run("predict", "--item-cd", " 2a10010gs ", "--json")
    assert code == 0
    assert {row["ITEM_CD"] for row in json.loads(out)["proposal"]} == {"2A10010GS"}


def test_predict_takes_items_of_a_file_that_the_erp_does_not_know(run: Run, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text(
        "ITEM_CD,PART_TYPE,ITEM_MATERIAL,OUTDIAMETER,OUTDIAMETER_UNIT\n"
        "NEW-1,SEAL RING,CARBON,44.9,MM\nNEW-2,SLEEVE,316SS,2.5,INCH\n"
    )
    out_file = tmp_path / "p.json"
    code, _, _ = run("predict", "--items", str(tmp_path / "new.csv"), "--out", str(out_file))
    assert code == 0
    assert {row["ITEM_CD"] for row in json.loads(out_file.read_text())} == {"NEW-1", "NEW-2"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("A,B\n1,2\n", "has no column 'ITEM_CD'"),
        ("ITEM_CD,X\nA,1\nA,2\n", "has item 'A' twice"),
        ("ITEM_CD,X\nA,1\n ,2\n", "row 3: the item code is empty"),
        ("", "new.csv is empty"),
    ],
)
def test_predict_refuses_a_file_that_holds_no_items(
    run: Run, tmp_path: Path, text: str, complaint: str
) -> None:
    (tmp_path / "new.csv").write_text(text)
    code, out, err = run("predict", "--items", str(tmp_path / "new.csv"))
    assert (code, out) == (1, "")
    assert complaint in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("predict", "--item-cd", "NOPE"), 1, "item 'NOPE' is not in the item table"),
        (("promote", "model_20200101_000000"), 1, "no version model_20200101_000000"),
        (("promote", "../etc"), 1, "is no version name"),
        (("extract", "--out", "x", "--as-of", "soon"), 1, "as-of 'soon' is no ISO 8601"),
        (("extract", "--out", "x", "--limit", "0"), 2, "'0' is no whole number of at least 1"),
        (("retrain", "--candidates", "magic"), 2, "'magic' is none of"),
        (("retrain", "--candidates", ","), 2, "no candidate"),
        (("train", "nowhere"), 1, "nowhere is not there"),
        (("replay",), 2, "--from"),
        (("replay", "--from", "2024-13"), 2, "'2024-13' is no month, such as 2024-11"),
        (("replay", "--from", "0000-01"), 2, "'0000-01' is no month"),
        (("replay", "--from", "2024-11", "--months", "0"), 2, "'0' is no number of months"),
        (("replay", "--from", "2024-11", "--retrain", "weekly"), 2, "invalid choice: 'weekly'"),
        (("replay", "--from", "2024-11", "--out", "/dev/null"), 1, "/dev/null is not empty"),
        (("replay", "--from", "2018-08"), 1, "nothing to learn from yet"),
        (("drift",), 2, "COMMAND"),
        (("drift", "summary", "--days", "0"), 2, "'0' is no number of days from 1 to 366"),
        ((), 2, "COMMAND"),
    ],
)
def test_a_wrong_call_is_refused_in_words(
    run: Run, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    ended, out, err = run(*arguments)
    assert (ended, out) == (code, "")
    assert complaint in err


def test_nothing_is_predicted_before_a_model_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROUTING_ML_HOME", str(tmp_path))
    assert main(["predict", "--item-cd", "2A10010GS"]) == 1
    assert "no model is in use yet: 'routing-ml retrain' makes one" in capsys.readouterr().err


def test_models_lists_what_could_be_promoted_when_the_active_one_is_damaged(run: Run) -> None:
    older, newer = [one["model"] for one in json.loads(run("models", "--json")[1])["models"]]
    home = Path(os.environ["ROUTING_ML_HOME"])
    (home / "models" / newer / "manifest.json").write_text("{}")
    code, out, _ = run("models")
    assert code == 0
    assert older in out
    assert "! the active model cannot be used" in out


def test_predict_takes_numeric_codes_and_moments_with_an_offset(run: Run, tmp_path: Path) -> None:
    rows = [{"ITEM_CD": 1.0, "INSRT_DT": "2026-01-01T00:00:00+09:00", "PART_TYPE": "SLEEVE"}]
    (tmp_path / "new.json").write_text(json.dumps(rows))
    code, _, err = run("predict", "--items", str(tmp_path / "new.json"), "--out", "p.csv")
    assert (code, err) == (0, "")
    assert Path("p.csv").read_text(encoding="utf-8-sig").splitlines()[1].startswith("1,")


def test_a_user_without_a_name_can_go_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert run("rollback")[0] == 0
    assert json.loads(run("models", "--json")[1])["history"][-1]["who"].startswith("user ")


def test_a_batch_that_fails_is_counted_and_its_reason_told(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(model: object, items: object, **options: object) -> None:
        raise ModelError("these items cannot be proposed for")

    monkeypatch.setattr("routing_ml.models.base.RoutingModel.predict", fails)
    code, _, err = run("predict", "--out", "p.csv")
    assert code == 1 and "these items cannot be proposed for" in err
    with closing(Store(default_url(os.environ["ROUTING_ML_HOME"]))) as store:
        assert store.snapshot().count("prediction_failures") == 1
    assert not Path("p.csv").exists()


def test_drift_is_evaluated_shown_and_reset(run: Run) -> None:
    assert run("predict", "--out", "p.csv")[0] == 0
    code, out, _ = run("drift", "evaluate", "--json")
    status = json.loads(out)
    assert code == 0
    assert status["buffer_size"] == status["scores_seen"] > 10
    assert {"drift_detected", "kl_divergence", "threshold", "should_retrain"} <= status.keys()
    code, out, _ = run("drift", "status")
    assert out.startswith("no drift: drift on 0 of 7 days, KL divergence ")
    code, out, _ = run("drift", "summary", "--days", "30")
    assert out.startswith("0 drift days of the last 30, KL divergence at most ")
    assert json.loads(run("drift", "summary", "--json")[1])["period_days"] == 7
    assert "begins anew" in run("drift", "reset", "--why", "a test")[1]
    assert json.loads(run("drift", "status", "--json")[1])["buffer_size"] == 0
    assert run("drift", "status")[1].startswith("not evaluated yet")
    assert json.loads(run("drift", "evaluate", "--json")[1])["buffer_size"] == 0


def test_a_source_that_cannot_be_read_is_a_batch_that_failed(run: Run, tmp_path: Path) -> None:
    assert run("predict", "--source", str(tmp_path / "absent.accdb"))[0] == 1
    with closing(Store(default_url(os.environ["ROUTING_ML_HOME"]))) as store:
        assert store.snapshot().count("prediction_failures") == 1


def test_drift_days_are_listed(run: Run) -> None:
    registry = Registry(Path(os.environ["ROUTING_ML_HOME"]) / "models")
    active = registry.active()
    assert active is not None
    with closing(Store(default_url(os.environ["ROUTING_ML_HOME"]))) as store:
        names, scores = [f"I{k}" for k in range(200)], [0.1] * 200
        store.record_predictions(names, scores, scores, model=active.name, seconds=1.0)
    out = run("drift", "evaluate")[1]
    assert out.startswith("DRIFT: drift on 1 of 7 days") and "a retraining is advised" in out
    first, last = run("drift", "summary")[1].splitlines()
    assert "(severe)" in first and first.endswith(active.name)
    assert last.startswith("1 drift days of the last 7")


def test_drift_that_was_never_recorded_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROUTING_ML_HOME", str(tmp_path))
    for command in ("status", "summary"):
        assert main(["drift", command]) == 1
        assert "the first retraining or prediction creates it" in capsys.readouterr().err
    assert main(["drift", "evaluate"]) == 1
    assert "no model is in use yet" in capsys.readouterr().err
    assert not (tmp_path / "store.db").exists()


def test_predict_leaves_parquet_for_programs_and_excel_for_planners(
    run: Run, tmp_path: Path
) -> None:
    facts = json.loads(run("predict", "--json")[1])
    assert facts["out"].endswith(".parquet") and Path(facts["out"]).is_file()
    assert facts["xlsx"] == facts["out"].replace(".parquet", ".xlsx")
    asked = json.loads(run("predict", "--out", str(tmp_path / "p.xlsx"), "--json")[1])
    assert (asked["out"], asked["parquet"]) == (
        str(tmp_path / "p.xlsx"),
        str(tmp_path / "p.parquet"),
    )
    assert pd.read_excel(facts["xlsx"])["ITEM_CD"].tolist() == (
        pd.read_parquet(asked["parquet"])["ITEM_CD"].tolist()
    )


def test_predict_tells_on_standard_error_which_columns_are_not_used(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("item_cd;Part_Type;ITEM_MATERAIL\nNEW-1;SLEEVE;316SS\n")
    code, out, err = run("predict", "--items", str(tmp_path / "new.csv"), "--out", "p.csv")
    assert code == 0 and "1 items" in out
    assert err.strip() == (
        "column 'ITEM_MATERAIL' is not known; nearest: 'ITEM_MATERIAL'; its values are not used"
    )
    code, out, err = run("explain", "NEW-1", "--items", str(tmp_path / "new.csv"))
    assert code == 0 and "ITEM_MATERAIL" in err and "NEW-1" in out


def test_a_file_of_codes_alone_is_looked_up_by_explain_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "codes.txt").write_text("ITEM_CD\n2a10010gs\n")
    by_code = json.loads(run("explain", "2A10010GS", "--json")[1])
    by_file = run("explain", "2A10010GS", "--items", str(tmp_path / "codes.txt"), "--json")[1]
    assert json.loads(by_file) == by_code


@pytest.mark.parametrize("out", ["new.parquet", "new.csv", "new.xlsx", "home/../new.xlsx"])
def test_predict_does_not_write_over_the_items_it_was_given(
    run: Run, tmp_path: Path, out: str
) -> None:
    pd.DataFrame({"ITEM_CD": ["2A10010GS"]}).to_parquet(tmp_path / "new.parquet")
    code, _, err = run(
        "predict", "--items", str(tmp_path / "new.parquet"), "--out", str(tmp_path / out)
    )
    assert code == 1 and "would be overwritten" in err
    assert [path.name for path in tmp_path.glob("new.*")] == ["new.parquet"]


def test_quality_shows_what_is_wrong_and_writes_the_page_where_it_is_told(
    run: Run, tmp_path: Path
) -> None:
    code, out, _ = run("quality", "--out", str(tmp_path / "page.html"))
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "The first look: from the next one on, changes are shown"
    assert "  spellings           134" in lines
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    code, out, _ = run("quality", "--json")
    outcome = json.loads(out)
    assert (code, outcome["headline"], outcome["new"]) == (0, "Nothing got worse", 0)
    assert Path(outcome["report"]).is_file() and outcome["worst"][0]["name"]


def test_quality_begins_a_state_folder_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROUTING_ML_HOME", str(tmp_path / "new"))
    assert main(["quality"]) == 0
    assert f"state folder {tmp_path / 'new'} is made" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--source", "/none.accdb"], "routing-ml: look: /none.accdb is not there; set"),
        (["--columns", "/none.toml"], "routing-ml: look: columns file /none.toml"),
        (["--out", "/none/page.html"], "routing-ml: /none/page.html cannot be written: No such"),
    ],
)
def test_a_look_that_cannot_be_is_one_line(run: Run, options: list[str], said: str) -> None:
    code, out, err = run("quality", *options)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith(said)


def test_while_the_source_is_away_commands_use_the_last_dataset_and_say_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    erp = str(tmp_path / "share" / "erp.accdb")
    for path in (tmp_path / "home" / "datasets").glob("*.json"):  # as if it came from there
        path.write_text(json.dumps(json.loads(path.read_text()) | {"source": erp}))
    monkeypatch.setenv("ROUTING_ML_SOURCE", erp)
    monkeypatch.setenv("ROUTING_ML_SOURCE_AWAY", "last")
    retrain = ["retrain", "--candidates", "nearest", "--json"]
    code, out, err = run(*retrain)
    assert (code, json.loads(out)["nothing_new"]) == (0, True)
    assert "the source has been away since" in err
    for command in (["predict"], ["predict", "--item-cd", "2S12346BR"], ["explain", "2S12346BR"]):
        code, out, err = run(*command)
        assert code == 0 and "used instead: the last good dataset of it" in err
    code, out, err = run("predict", "--item-cd", "NEW-SINCE")
    assert code == 1 and "item 'NEW-SINCE' is not in the item table" in err
    code, out, _ = run("quality", "--json")
    assert "used instead: the last good dataset" in json.loads(out)["away"]
    monkeypatch.setenv("ROUTING_ML_SOURCE_AWAY", "fail")
    assert run("predict")[0] == run("quality")[0] == run(*retrain)[0] == 1


def test_a_command_that_waits_is_ended_by_a_person(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from routing_ml.pipeline import away

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(away, "sleep", interrupted)
    monkeypatch.setenv("ROUTING_ML_SOURCE_AWAY", "wait")
    for command in ("retrain", "predict", "quality"):
        code, _, err = run(command, "--source", str(tmp_path / "none.accdb"))
        assert code == 130
        assert "it is tried again every 60 s for 6 h more" in err
