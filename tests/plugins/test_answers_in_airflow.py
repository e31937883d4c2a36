"""What Airflow's own API takes for an answer to what a run asks, with the plugin in it."""

import json
from urllib.parse import quote
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, update

from routing_ml.pipeline import run_folder
from routing_ml.settings import Settings

YES = "Put it into use"
ASKING = 5
"""How often the task may be tried, which tells one that was cleared from one tried again."""


@pytest.fixture(scope="module")
def people():
    """A person who may answer, at an API server of this process."""
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.utils.db import initdb

    initdb()
    client = TestClient(create_app(apps="core"), follow_redirects=False)
    user = SimpleAuthManagerUser(username="kim", role="user")
    client.cookies.set("_token", get_auth_manager().generate_jwt(user))
    return client


class Question:
    """A run that asks: its task in Airflow's database, its folder in the state folder."""

    def __init__(self, people, settings):
        from airflow.models.dagrun import DagRun
        from airflow.models.hitl import HITLDetail
        from airflow.models.taskinstance import TaskInstance
        from airflow.sdk import timezone
        from airflow.utils.session import create_session

        self.people, self.folder, self.id = people, None, uuid4()
        run, now, self.session = f"r-{self.id}", timezone.utcnow(), create_session
        self.folder = run_folder(settings, run)
        self.folder.mkdir(parents=True)
        (self.folder / "asked.json").write_text('{"of": "x"}')
        place = {"dag_id": "routing_ml_retrain", "run_id": run}
        with create_session() as session:
            session.execute(
                insert(DagRun).values(
                    **place, run_type="manual", state="running", run_after=now, queued_at=now,
                    conf={}, clear_number=0, start_date=now,
                )
            )  # fmt: skip
            session.execute(
                insert(TaskInstance).values(
                    **place, id=self.id, task_id="approve", map_index=-1, state="awaiting_input",
                    try_number=1, max_tries=ASKING, pool="default_pool", pool_slots=1, queue="q",
                    executor_config={}, span_status="x", context_carrier={}, operator="Approval",
                    next_method="execute_complete", next_kwargs={}, priority_weight=1,
                )
            )  # fmt: skip
            session.execute(
                insert(HITLDetail).values(
                    ti_id=self.id, options=[YES, "Keep what is in use"], subject="?", params={},
                    params_input={}, multiple=False,
                )
            )  # fmt: skip
        task = f"/api/v2/dags/routing_ml_retrain/dagRuns/{quote(run)}/taskInstances/approve"
        self.path = f"{task}/{{}}/hitlDetails"

    def answer(self, body, index="-1"):
        kind = {"content-type": "application/json"}
        return self.people.patch(self.path.format(index), content=body, headers=kind)

    def become(self, state):
        from airflow.models.taskinstance import TaskInstance

        with self.session() as session:
            mine = TaskInstance.id == self.id
            session.execute(update(TaskInstance).where(mine).values(state=state))

    @property
    def answered(self):
        """Whether Airflow has taken an answer, and whether the run's folder has it."""
        from airflow.models.hitl import HITLDetail

        with self.session() as session:
            mine = select(HITLDetail.responded_at).where(HITLDetail.ti_id == self.id)
            return session.scalar(mine) is not None, (self.folder / "taken.json").is_file()


@pytest.fixture
def question(people, home):
    return Question(people, Settings.from_env())


def said(params, options=(YES,)):
    return json.dumps({"chosen_options": list(options), "params_input": params})


@pytest.mark.parametrize(
    "body",
    [
        said({}), said({"why": None}), said({"why": ""}), said({"why": "as said\n on Monday"}),
        said({"why": "x" * 500}), json.dumps({"chosen_options": [YES]}),
    ],
)  # fmt: skip
def test_an_answer_is_taken_and_kept(question, body):
    answer = question.answer(body)
    assert (answer.status_code, answer.json()["responded_by"]["name"]) == (200, "kim")
    assert question.answered == (True, True)
    kept = json.loads((question.folder / "taken.json").read_text())
    assert (kept["chosen_options"], kept["asking"]) == ([YES], ASKING)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (said({"reason": "x"}), "'reason'"),
        (said({"why": "x", "_options": 1}), "'_options'"),
        (said({"why": 5}), "why is a text of at most 500 characters"),
        (said({"why": ["x"]}), "why is a text"),
        (said({"why": False}), "why is a text"),
        (said({"why": "x" * 501}), "it has 501"),
        (said({"why": "x\0"}), "U+0000"),
        (said({"why": "x\ud800"}), "U+D800"),
        (said([]), "params_input"),
        (said(None), "params_input"),
        (said({}, options=[]), "one of 'Put it into use', 'Keep what is in use'"),
        (said({}, options=[YES, YES]), "one of"),
        (said({}, options=["Approve"]), "one of"),
        (json.dumps({"chosen_options": YES}), "one of"),
        (json.dumps({"chosen_options": [[YES]]}), "one of"),
        ("{}", "one of"),
        ("[]", "an object"),
        ("{", "JSON"),
        ("", "JSON"),
        ("[" * 5000, "JSON"),
        (said({"why": " " * 100_000}), "bytes"),
    ],
)
@pytest.mark.parametrize("index", ["-1", "%2D1"])
def test_what_no_task_could_go_on_with_is_refused_at_once_in_one_line(question, index, body, line):
    answer = question.answer(body, index)
    assert answer.status_code == 400
    assert line in answer.json()["detail"] and "\n" not in answer.json()["detail"]
    assert question.answered == (False, False)
    assert question.answer(said({})).status_code == 200


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (None, "try again in a minute"), ("scheduled", "try again in a minute"),
        ("queued", "try again in a minute"), ("running", "try again in a minute"),
        ("restarting", "try again in a minute"), ("up_for_retry", "try again in a minute"),
        ("failed", "has gone on without an answer"), ("success", "has gone on without an answer"),
    ],
)  # fmt: skip
def test_an_answer_while_nobody_asks_is_refused(question, state, line):
    question.become(state)
    answer = question.answer(said({}))
    assert (answer.status_code, question.answered) == (409, (False, False))
    assert line in answer.json()["detail"]
    question.become("awaiting_input")
    assert question.answer(said({})).status_code == 200


def test_who_is_second_is_told_so(question):
    assert question.answer(said({})).status_code == 200
    second = question.answer(said({}))
    assert second.status_code == 409 and "already been updated" in second.json()["detail"]
