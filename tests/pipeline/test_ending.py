"""A run is written down, counted and told of, whatever else failed."""

import json
import os
import time
from contextlib import closing

import pytest
from slack_fixtures import FakeSlack

from routing_ml.pipeline import monitor, report
from routing_ml.pipeline.ending import catch_up, end
from routing_ml.settings import Settings, default_url
from routing_ml.store.store import Store

WELL = {"data": None, "trained": [], "decision": None, "failed": {}, "cause": "by hand"}


def settings(home, **env):
    return Settings.from_env({"ROUTING_ML_HOME": str(home)} | env)


def counted(home):
    with closing(Store(default_url(home), write=False)) as store:
        return store.snapshot().labelled("runs"), store.runs()


def outcome_file(home):
    (path,) = home.glob("runs/*/outcome.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("failed", [{}, {"extract": "no file"}])
def test_a_run_is_counted_though_nobody_can_be_told_of_it_yet(tmp_path, caplog, failed):
    with FakeSlack(404, 404) as slack:
        given = settings(tmp_path, SLACK_WEBHOOK_URL=slack.url)
        outcome = end(given, "r1", **WELL | {"failed": failed}, seconds=5)
        assert outcome["succeeded"] is not bool(failed)
        assert outcome["failed"] == failed
        assert "nobody could be told of run r1 yet: Slack refused" in caplog.text
        totals, (run,) = counted(tmp_path)
        assert totals == {"failure" if failed else "success": 1}
        assert run["run"] == "r1"
        assert not slack.messages
        end(given, "r2", **WELL, seconds=5)  # Slack is back, and is told of both
        end(given, "r3", **WELL, seconds=5)
    assert len(slack.messages) == 3


def test_a_store_that_cannot_be_written_fails_the_run_and_people_hear_of_it(tmp_path):
    (tmp_path / "store.db").write_bytes(b"this is no database, but a text of some length" * 50)
    with FakeSlack() as slack:
        outcome = end(settings(tmp_path, SLACK_WEBHOOK_URL=slack.url), "r1", **WELL, seconds=5)
    assert not outcome["succeeded"]
    assert list(outcome["failed"]) == ["report"]
    assert "store.db" in outcome["reason"]
    assert outcome_file(tmp_path) == outcome
    assert [m["text"] for m in slack.messages] == ["Routing ML: the retraining failed"]
    assert "store.db" in slack.texts()[0]


def test_a_run_that_could_not_be_counted_is_counted_once_when_the_store_is_back(tmp_path, caplog):
    given = settings(tmp_path)
    (tmp_path / "store.db").write_bytes(b"this is no database, but a text of some length" * 50)
    outcome = end(given, "r1", **WELL, seconds=5)
    catch_up(given)
    assert "waits on: cannot open the monitoring store" in caplog.text
    (tmp_path / "store.db").unlink()
    for other in ("[]", "{", '{"run": "old"}', '{"run": 5, "seconds": {}}'):
        path = tmp_path / "runs" / str(len(other)) / "outcome.json"
        path.parent.mkdir()
        path.write_text(other)
    for _ in range(2):
        catch_up(given)
    totals, (run,) = counted(tmp_path)
    assert totals == {"failure": 1}
    assert (run["run"], run["seconds"], run["reason"]) == ("r1", 5, outcome["reason"])
    end(given, "r1", **WELL, seconds=6)  # its task is tried again
    assert counted(tmp_path)[0] == {"failure": 0, "success": 1}


def test_a_run_of_long_ago_is_not_counted_in_a_new_store(tmp_path):
    given = settings(tmp_path)
    end(given, "r1", **WELL, seconds=5)
    (path,) = tmp_path.glob("runs/*/outcome.json")
    for days, expected in ((8, {}), (6, {"success": 1})):
        for store in tmp_path.glob("store.db*"):
            store.unlink()
        Store(given.store_url).close()
        moment = time.time() - days * 86_400
        os.utime(path, (moment, moment))
        catch_up(given)
        assert counted(tmp_path)[0] == expected


def test_a_folder_that_cannot_be_written_fails_the_run_which_is_counted_and_told(tmp_path):
    (tmp_path / "runs").write_text("in the way")
    with FakeSlack() as slack:
        outcome = end(settings(tmp_path, SLACK_WEBHOOK_URL=slack.url), "r1", **WELL, seconds=5)
    assert "cannot be written" in outcome["failed"]["report"]
    assert counted(tmp_path)[0] == {"failure": 1}
    assert len(slack.messages) == 1


def test_what_nobody_has_foreseen_stops_none_of_the_three(tmp_path, monkeypatch):
    def fails(*given, **options):
        raise ZeroDivisionError("division by zero")

    done = []
    monkeypatch.setattr(report, "write", fails)
    monkeypatch.setattr(monitor, "record_run", lambda *a, **o: (done.append("counted"), fails()))
    monkeypatch.setattr(report, "tell", lambda *a, **o: (done.append("told"), fails()))
    outcome = end(settings(tmp_path), "r1", **WELL, seconds=5)
    assert done == ["counted", "told"]
    said = "ZeroDivisionError: division by zero; this is a defect of Routing ML, please report it"
    assert outcome["failed"] == {"report": f"{said}; {said}"}
