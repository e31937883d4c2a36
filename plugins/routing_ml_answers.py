"""Has Airflow take one answer to what a run asks, whoever else answers in the same moment.

Airflow 3.3.2 locks the row and then looks at what it had read before, so that two may both be told
that theirs was taken: the run goes by the first, and the second is what is shown. Here each is
looked at after the lock, and one after another, for SQLite has no such lock. And it forgets an
answer where the task that goes on with it is cut off: it is kept in the run's folder.
"""

import asyncio
import json
import logging
import re
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any
from urllib.parse import quote, unquote

from airflow.plugins_manager import AirflowPlugin
from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session

from routing_ml.errors import tried
from routing_ml.notices import ASKING_DAG, ASKING_TASK
from routing_ml.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASKED = re.compile(
    rf"/dags/{ASKING_DAG}/dagRuns/([^/]+)/taskInstances/{ASKING_TASK}/-1/hitlDetails$".encode()
)
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

        async with self._turn:
            await self.app(scope, received, _keeping(scope, send))


def _keeping(scope: Message, send: Send) -> Send:
    """`send`, which before anybody is told keeps an answer that Airflow has taken."""
    asked = ASKED.search(scope.get("raw_path") or quote(scope["path"]).encode())
    if asked is None:
        return send
    run, waiting = unquote(asked[1].decode()), list[Message]()

    async def keep(message: Message) -> None:
        waiting.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            if waiting[0]["status"] == 200:
                body = b"".join(each.get("body", b"") for each in waiting)
                trouble = await asyncio.to_thread(tried, partial(_keep, run, body))
                if trouble:
                    log.warning("the answer to run %s was not kept: %s", run, trouble)
            for each in waiting:
                await send(each)

    return keep


def _keep(run: str, body: bytes) -> None:
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
    )


def look_again(state: ORMExecuteState) -> Any:
    """Have what a session knows of a question read anew once it has the lock on it."""
    from airflow.models.hitl import HITLDetail

    locks = state.is_select and getattr(state.statement, "_for_update_arg", None) is not None
    if not locks or state.bind_mapper is None or state.bind_mapper.class_ is not HITLDetail:
        return None
    result = state.invoke_statement()
    for known in list(state.session.identity_map.values()):
        if isinstance(known, HITLDetail):
            state.session.expire(known)
    return result


class RoutingMLAnswers(AirflowPlugin):
    """One answer to a question."""

    name = "routing_ml_answers"
    fastapi_root_middlewares = [
        {"middleware": OneAnswer, "args": [], "kwargs": {}, "name": "One answer to a question"}
    ]
