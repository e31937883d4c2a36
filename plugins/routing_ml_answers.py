"""Has Airflow take one answer to what a run asks, one that the run can go on with, while it asks.

Airflow 3.3.2 locks the row and then looks at what it had read before, so that two may both be told
that theirs was taken: the run goes by the first, and the second is what is shown. Here each is
looked at after the lock, and one after another, for SQLite has no such lock. It forgets an answer
where the task that goes on with it is cut off: it is kept in the run's folder. It takes any
parameters, with which the task then fails at every try, and an answer to a task that was cleared,
which it forgets as soon as that asks again: both are refused.
"""

import asyncio
import json
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from functools import partial
from typing import Any

from airflow.plugins_manager import AirflowPlugin
from fastapi import HTTPException
from fastapi.responses import JSONResponse
from sqlalchemy import event, inspect, select
from sqlalchemy.orm import ORMExecuteState, Session

from routing_ml.errors import InputError, tried
from routing_ml.notices import ASKING_DAG, ASKING_TASK, closed
from routing_ml.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASKED = re.compile(
    rf"/dags/{ASKING_DAG}/dagRuns/(.+)/taskInstances/{ASKING_TASK}/[^/]+/hitlDetails", re.DOTALL
)
MOST_BYTES = 20_000
ANSWERED: ContextVar[dict[str, Any] | None] = ContextVar("ANSWERED", default=None)
"""What is found out about the question that this request answers, where it is a run's of ours."""
log = logging.getLogger(__name__)


class OneAnswer:
    """ASGI middleware of Airflow's API server."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app, self._turn = app, asyncio.Lock()
        if not event.contains(Session, "do_orm_execute", look_again):
            event.listen(Session, "do_orm_execute", look_again)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, an answer only when the one before it has been dealt with."""
        answers = scope["type"] == "http" and scope["method"] == "PATCH"
        if not answers or not scope["path"].endswith("/hitlDetails"):
            await self.app(scope, receive, send)
            return
        # All of it, before its turn: who sends slowly holds up nobody.
        messages = deque([await receive()])
        while messages[-1].get("more_body"):
            messages.append(await receive())

        async def received() -> Message:
            return messages.popleft() if messages else await receive()

        asked = ASKED.search(scope["path"])
        if asked is None:
            async with self._turn:
                await self.app(scope, received, send)
            return
        body = b"".join(each.get("body", b"") for each in messages)
        # In a thread, for the first time it imports much.
        if fault := await asyncio.to_thread(tried, partial(_require_allowed, body)):
            await JSONResponse({"detail": fault}, 400)(scope, receive, send)
            return
        question = dict[str, Any]()
        ANSWERED.set(question)
        async with self._turn:
            await self.app(scope, received, _keeping(asked[1], question, send))


def _require_allowed(body: bytes) -> None:
    from routing_ml.pipeline import approval

    if len(body) > MOST_BYTES:
        raise InputError(f"an answer has at most {MOST_BYTES} bytes; this has {len(body)}")
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError("an answer is JSON, and this is none") from error
    approval.require_allowed(given)


def _keeping(run: str, question: dict[str, Any], send: Send) -> Send:
    """`send`, which before anybody is told keeps an answer that Airflow has taken."""
    waiting = list[Message]()

    async def keep(message: Message) -> None:
        waiting.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            if waiting[0]["status"] == 200:
                body = b"".join(each.get("body", b"") for each in waiting)
                trouble = await asyncio.to_thread(tried, partial(_keep, run, question, body))
                if trouble:
                    log.warning("the answer to run %s was not kept: %s", run, trouble)
            for each in waiting:
                await send(each)

    return keep


def _keep(run: str, question: dict[str, Any], body: bytes) -> None:
    from routing_ml.pipeline import approval

    said = json.loads(body)
    approval.taken(
        Settings.from_env(),
        run,
        {
            "chosen_options": said["chosen_options"],
            "params_input": said["params_input"],
            "responded_at": said["responded_at"],
            "responded_by_user": said["responded_by"],
        },
        asking=question["asking"],
    )


def look_again(state: ORMExecuteState) -> Any:
    """Have what a session knows of a question read anew once it has the lock on it, and an answer
    refused while nobody asks it."""
    from airflow.models.hitl import HITLDetail

    locks = state.is_select and getattr(state.statement, "_for_update_arg", None) is not None
    if not locks or state.bind_mapper is None or state.bind_mapper.class_ is not HITLDetail:
        return None
    result = state.invoke_statement()
    for known in list(state.session.identity_map.values()):
        if isinstance(known, HITLDetail):
            state.session.expire(known)
            if (question := ANSWERED.get()) is not None:
                question["asking"] = _require_open(state.session, inspect(known).identity)
    return result


def _require_open(session: Session, key: Any) -> int:
    """How often the task that asks may be tried, which is another number once it was cleared."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance as Task

    asks = select(Task.state, Task.max_tries, HITLDetail.responded_at)
    asks = asks.join(HITLDetail, HITLDetail.ti_id == Task.id).where(Task.id == key[0])
    # A task that is cleared has another key from then on.
    state, asking, answered = session.execute(asks).one_or_none() or (None, 0, None)
    said = closed(state)
    if said and not answered:  # else Airflow says that it was answered
        raise HTTPException(409, said)
    return int(asking)


class RoutingMLAnswers(AirflowPlugin):
    """One answer to a question."""

    name = "routing_ml_answers"
    fastapi_root_middlewares = [
        {"middleware": OneAnswer, "args": [], "kwargs": {}, "name": "One answer to a question"}
    ]
