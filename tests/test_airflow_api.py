"""script/run's calls of Airflow's API are tried again where SQLite held Airflow up."""

import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "script"))

import airflow_api
from airflow_api import TRIES, Airflow, ApiError


class Answers:
    """An Airflow that gives these answers, a status each or "late", and then 200."""

    def __init__(self) -> None:
        self.script: list[int | str] = []
        self.asked: list[str] = []
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answers.asked.append(f"{self.command} {self.path}")
                status = answers.script.pop(0) if answers.script else 200
                if status == "late":
                    time.sleep(1)
                    return
                self.send_response(int(status))
                self.end_headers()
                self.wfile.write(b'{"state": "queued"}')

            do_PATCH = do_GET = do_POST

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.airflow = Airflow(f"http://127.0.0.1:{self.server.server_address[1]}", "u", "p", "dag")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    monkeypatch.setattr(airflow_api, "TRY_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(airflow_api, "ANSWER_SECONDS", 0.2)
    found = Answers()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.mark.parametrize("trouble", [[500], [503, 500], ["late"], ["late", 500, "late"]])
def test_what_airflow_could_not_do_just_now_is_asked_again(
    answers: Answers, trouble: list[int | str]
) -> None:
    answers.script = list(trouble)
    assert answers.airflow.state("r") == "queued"
    assert len(answers.asked) == len(trouble) + 1


@pytest.mark.parametrize("first", [500, "late"])
def test_a_run_that_an_earlier_try_has_made_is_started(answers: Answers, first: int | str) -> None:
    answers.script = [200, first, 409]
    answers.airflow.trigger("r")
    assert answers.asked[1:] == ["POST /api/v2/dags/dag/dagRuns"] * 2


@pytest.mark.parametrize("status", [401, 404, 409, 422])
def test_what_will_not_be_otherwise_is_told_at_once(answers: Answers, status: int) -> None:
    answers.script = [200, status]
    with pytest.raises(ApiError, match=f"dagRuns with {status}"):
        answers.airflow.trigger("r")
    assert len(answers.asked) == 2


@pytest.mark.parametrize(("trouble", "says"), [(500, "with 500"), ("late", "did not answer")])
def test_an_airflow_that_stays_so_is_told(answers: Answers, trouble: int | str, says: str) -> None:
    answers.script = [trouble] * (TRIES + 3)
    with pytest.raises(ApiError, match=says):
        answers.airflow.state("r")
    assert len(answers.asked) == TRIES
