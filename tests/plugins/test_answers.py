"""Of two who answer what a run asks in the same moment one alone is told that it was taken."""

import asyncio
import json
import sys
from contextvars import copy_context
from urllib.parse import unquote
from uuid import uuid4

import pytest
from conftest import ROOT
from fastapi import HTTPException
from sqlalchemy import create_engine, event, insert, select, update
from sqlalchemy.orm import Session

from routing_ml.pipeline import approval

sys.path.append(str(ROOT / "plugins"))

from routing_ml_answers import ANSWERED, OneAnswer, look_again

PATH = "/api/v2/dags/d/dagRuns/r/taskInstances/approve/-1/hitlDetails"


def asked(requests, **scope):
    """How many requests are going on at once, as each of them ends, where each takes its time."""
    now, most = [], []

    async def app(scope, receive, send):
        assert (await receive())["body"] == b"x"
        now.append(scope["path"])
        await asyncio.sleep(0.01)
        most.append(len(now))
        now.remove(scope["path"])

    async def receive():
        return {"type": "http.request", "body": b"x", "more_body": False}

    async def all_of_them():
        one = OneAnswer(app)
        given = [
            {"type": "http", "method": method, "path": path} | scope for method, path in requests
        ]
        await asyncio.gather(*(one(each, receive, None) for each in given))

    asyncio.run(all_of_them())
    return most


def test_answers_are_taken_one_after_another():
    assert asked([("PATCH", PATH), ("PATCH", PATH), ("PATCH", PATH)]) == [1, 1, 1]


@pytest.mark.parametrize("request_", [("GET", PATH), ("PATCH", "/api/v2/dags/d")])
def test_nothing_else_waits_for_its_turn(request_):
    assert max(asked([request_] * 3)) == 3


def test_who_sends_slowly_holds_up_nobody():
    begun = []

    async def app(scope, receive, send):
        begun.append(scope["number"])
        while (await receive())["more_body"]:
            pass

    async def both():
        one, more, received = OneAnswer(app), asyncio.Event(), []

        async def slowly():
            if received.append(1) or len(received) == 1:
                return {"body": b"x", "more_body": True}
            await more.wait()
            return {"body": b"", "more_body": False}

        async def at_once():
            return {"body": b"", "more_body": False}

        scope = {"type": "http", "method": "PATCH", "path": PATH}
        slow = asyncio.create_task(one(scope | {"number": 1}, slowly, None))
        await asyncio.sleep(0.01)
        await asyncio.wait_for(one(scope | {"number": 2}, at_once, None), 5)
        more.set()
        await slow

    asyncio.run(both())
    assert begun == [2, 1]


@pytest.mark.parametrize(
    ("path", "status", "kept"),
    [
        ("/api/v2/dags/routing_ml_retrain/dagRuns/r%2F1/taskInstances/approve/-1/hitlDetails",
         200, ["r/1"]),
        ("/api/v2/dags/routing_ml_retrain/dagRuns/r%2F1/taskInstances/approve/-1/hitlDetails",
         409, []),
        ("/api/v2/dags/another/dagRuns/r1/taskInstances/approve/-1/hitlDetails", 200, []),
    ],
)  # fmt: skip
def test_an_answer_is_kept_before_anybody_is_told_that_it_was_taken(
    path, status, kept, monkeypatch
):
    found, sent = [], []
    answer = {
        "chosen_options": ["yes"], "params_input": {"why": "so"}, "responded_at": "2026-11-01T01Z",
        "responded_by": {"id": "1", "name": "kim"},
    }  # fmt: skip

    def taken(settings, run, said, *, asking):
        assert (sent, asking) == ([], 3)
        assert said["responded_by_user"] == {"id": "1", "name": "kim"}
        assert (said["chosen_options"], said["params_input"]) == (["yes"], {"why": "so"})
        found.append(run)

    async def app(scope, receive, send):
        if (question := ANSWERED.get()) is not None:
            question["asking"] = 3
        await send({"type": "http.response.start", "status": status})
        text = json.dumps(answer).encode()
        for body, more in ((text[:9], True), (text[9:], False)):
            await send({"type": "http.response.body", "body": body, "more_body": more})

    async def receive():
        body = json.dumps({"chosen_options": ["Put it into use"]}).encode()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message["type"])

    monkeypatch.setattr(approval, "taken", taken)
    scope = {"type": "http", "method": "PATCH", "path": unquote(path), "raw_path": path.encode()}
    asyncio.run(OneAnswer(app)(scope, receive, send))
    assert found == kept
    assert sent == ["http.response.start", "http.response.body", "http.response.body"]


@pytest.fixture
def asking(tmp_path):
    """A database of Airflow's in which a task asks, and that task's key."""
    from airflow.models import import_all_models
    from airflow.models.base import Base
    from airflow.models.hitl import HITLDetail

    import_all_models()
    engine = create_engine(f"sqlite:///{tmp_path / 'airflow.db'}")
    Base.metadata.create_all(engine)
    key = uuid4()
    with engine.begin() as there:
        there.execute(insert(HITLDetail).values(ti_id=key, options=["yes"], subject="?"))
    OneAnswer(None)
    return engine, key


def test_an_answer_whose_task_is_cleared_meanwhile_is_refused(asking):
    from airflow.models.hitl import HITLDetail

    engine, key = asking
    mine = select(HITLDetail).where(HITLDetail.ti_id == key)

    def answered(session):
        ANSWERED.set({})
        session.execute(mine.with_for_update(of=HITLDetail))

    with Session(engine) as session:
        known = session.scalar(mine)
        session.commit()
        session.refresh(known)
        with engine.begin() as another:  # what is cleared is tried again under another key
            another.execute(update(HITLDetail).values(ti_id=uuid4()))
        with pytest.raises(HTTPException, match="try again in a minute") as refused:
            copy_context().run(answered, session)
    assert refused.value.status_code == 409


def test_what_was_read_before_the_lock_is_read_again(asking):
    from airflow.models.hitl import HITLDetail
    from airflow.sdk import timezone

    engine, key = asking
    assert event.contains(Session, "do_orm_execute", look_again)
    mine = select(HITLDetail).where(HITLDetail.ti_id == key)
    with Session(engine) as session:
        known = session.scalar(mine)
        assert not known.response_received
        session.commit()
        session.refresh(known)
        with engine.begin() as another:
            another.execute(update(HITLDetail).values(responded_at=timezone.utcnow()))
        assert not known.response_received
        session.execute(mine.with_for_update(of=HITLDetail))
        assert known.response_received
