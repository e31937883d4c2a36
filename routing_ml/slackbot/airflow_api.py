"""The few calls of Airflow's REST API (version 2, of Airflow 3.3) by which the bot acts."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import IO, Any
from urllib.parse import quote

from routing_ml.errors import RoutingError, SettingError

ANSWER_S = 20.0
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT = 401, 403, 404, 409
MAX_BYTES = 5_000_000


class _Unfollowed(urllib.request.HTTPRedirectHandler):
    """Hands no token on to where a redirect leads."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message,
        newurl: str,
    ) -> None:  # fmt: skip
        return None


_OPENER = urllib.request.build_opener(_Unfollowed())


class Unsure(RoutingError):
    """Airflow may have done what it was asked for, or not."""


class Airflow:
    """One Airflow and the bot's user there; for several threads at once."""

    def __init__(self, url: str | None, user: str | None, password: str | None) -> None:
        self.url = (url or "").rstrip("/")
        self._credentials = {"username": user, "password": password}
        self._token = ""
        self._lock = threading.Lock()

    def trigger(self, dag: str, run: str, *, note: str) -> bool:
        """Start a run now under that id; False where there is one of that id already."""
        body = {"dag_run_id": run, "logical_date": None, "note": note}
        status, _ = self._call("POST", f"dags/{_quoted(dag)}/dagRuns", body, also=(CONFLICT,))
        return status != CONFLICT

    def question(self, dag: str, run: str, task: str) -> dict[str, Any] | None:
        """What a task asks a person, and who has answered what; None where it asks nothing."""
        status, found = self._call("GET", _details(dag, run, task), also=(NOT_FOUND,))
        return None if status == NOT_FOUND else found

    def answer(self, dag: str, run: str, task: str, *, option: str, why: str) -> bool:
        """Answer what a task asks; False where it has been answered."""
        body = {"chosen_options": [option], "params_input": {"why": why}}
        status, _ = self._call("PATCH", _details(dag, run, task), body, also=(CONFLICT,))
        return status != CONFLICT

    def _call(
        self, method: str, path: str, body: object = None, *, also: tuple[int, ...] = ()
    ) -> tuple[int, dict[str, Any]]:
        """The status and JSON of an answer that is well, or one of the statuses `also`. What is to
        be done is asked for once more where nobody knows whether it was: a run of that id is begun
        once, and a question answered once."""
        try:
            return self._called(method, path, body, also)
        except Unsure:
            if method == "GET":
                raise
            return self._called(method, path, body, also)

    def _called(
        self, method: str, path: str, body: object, also: tuple[int, ...]
    ) -> tuple[int, dict[str, Any]]:
        if not self.url or None in self._credentials.values():
            raise SettingError(
                "the bot has no way into Airflow: set ROUTING_ML_AIRFLOW_URL, "
                "ROUTING_ML_AIRFLOW_USER and ROUTING_ML_AIRFLOW_PASSWORD"
            )
        token = self._token or self._renewed("")
        status, found = self._asked(method, f"/api/v2/{path}", body, token)
        if status == UNAUTHORIZED:  # it has expired, or Airflow was started anew
            status, found = self._asked(method, f"/api/v2/{path}", body, self._renewed(token))
        if 200 <= status < 300 or status in also:
            return status, found
        if status in (UNAUTHORIZED, FORBIDDEN):
            raise RoutingError(
                f"Airflow answered {status}: the bot's user there may not do that; give "
                "ROUTING_ML_AIRFLOW_USER a role that may start runs and answer tasks"
            )
        if status == NOT_FOUND:
            raise RoutingError("Airflow knows no such DAG or run; look at its page")
        raise (Unsure if status >= 500 else RoutingError)(_failed(status))

    def _renewed(self, old: str) -> str:
        """A token that is not the `old` one; of several that want one only the first asks."""
        with self._lock:
            if self._token == old:
                status, found = self._asked("POST", "/auth/token", self._credentials, "")
                token = found.get("access_token")
                if status >= 500:
                    raise RoutingError(_failed(status))
                if not 200 <= status < 300 or not isinstance(token, str):
                    raise RoutingError(
                        f"Airflow let the bot not in ({status}): see ROUTING_ML_AIRFLOW_USER and "
                        "ROUTING_ML_AIRFLOW_PASSWORD"
                    )
                self._token = token
            return self._token

    def _asked(
        self, method: str, path: str, body: object, token: str
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the address begins with http, by Config
            self.url + path, data, headers, method=method
        )
        try:
            with _OPENER.open(request, timeout=ANSWER_S) as answer:
                return answer.status, _parsed(answer.read(MAX_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {}
        except (OSError, ValueError) as error:
            raise Unsure(
                f"Airflow does not answer ({type(error).__name__}): see that it runs, then try "
                "again"
            ) from error


def _details(dag: str, run: str, task: str) -> str:
    place = f"dags/{_quoted(dag)}/dagRuns/{_quoted(run)}"
    return f"{place}/taskInstances/{_quoted(task)}/-1/hitlDetails"


def _failed(status: int) -> str:
    return f"Airflow answered {status}: look at its page, then try again"


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _parsed(body: bytes) -> dict[str, Any]:
    found = json.loads(body or b"{}")
    return dict(found) if isinstance(found, Mapping) else {}
