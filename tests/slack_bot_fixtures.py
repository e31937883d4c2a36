"""A Slack and an Airflow on loopback that speak the protocols by which the Slack bot works: Web
API, Socket Mode (RFC 6455), addresses to answer at; runs and human-in-the-loop details.
"""

import base64
import hashlib
import itertools
import json
import re
import struct
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from slack_sdk import WebClient

from routing_ml.registry import Registry
from routing_ml.settings import Settings
from routing_ml.slackbot import Config
from routing_ml.slackbot.access import Access
from routing_ml.slackbot.airflow_api import Airflow
from routing_ml.slackbot.answering import Answers
from routing_ml.slackbot.handling import Bot

BOT_TOKEN, APP_TOKEN = "xoxb-1-of-the-test", "xapp-1-of-the-test"
TEAM = "T0FACTORY"
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Served:
    """A server on loopback, in threads of its own, until the block ends."""

    def serve(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, found: object) -> None:
        body = found.encode() if isinstance(found, str) else json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> dict:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if "json" in (self.headers.get("Content-Type") or ""):
            return json.loads(text or "{}")
        return dict(parse_qsl(text, keep_blank_values=True))

    def log_message(self, *args: object) -> None:
        pass


class FakeSlackApp(Served):
    """One workspace with the app in it.

    `groups` are user groups and their members; `deleted` messages cannot be edited, `closed`
    channels not be posted to, `expired` addresses not be answered at, of `refusals` a method
    answers with an error. `called` is what was asked of the Web API, `answers` what came to the
    addresses, `acks` when each envelope was acknowledged (monotonic), with what.
    """

    def __init__(self) -> None:
        self.groups: dict[str, list[str]] = {}
        self.deleted: set[str] = set()
        self.closed: set[str] = set()
        self.expired = False
        self.refusals: dict[str, str] = {}
        self.called: list[tuple[str, dict]] = []
        self.answers: list[dict] = []
        self.acks: dict[str, tuple[float, dict | None]] = {}
        self.acks_of: Counter[str] = Counter()
        self.sent: dict[str, float] = {}
        self.connections: list[_Socket] = []
        self._numbers = itertools.count(1)
        slack = self

        class Handler(Quiet):
            def do_POST(self) -> None:
                body = self.body()
                if self.path.startswith("/response/"):
                    if slack.expired:
                        self.answer(404, "expired_url")
                        return
                    slack.answers.append(body)
                    self.answer(200, "ok")
                    return
                method = self.path.removeprefix("/api/")
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                self.answer(200, slack.api(method, token, body))

            def do_GET(self) -> None:
                if not self.path.startswith("/link/?ticket="):
                    self.answer(404, "no such page")
                    return
                key = self.headers["Sec-WebSocket-Key"] + GUID
                digest = hashlib.sha1(key.encode(), usedforsecurity=False).digest()
                self.send_response(101)
                self.send_header("Upgrade", "websocket")
                self.send_header("Connection", "Upgrade")
                self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
                self.end_headers()
                self.close_connection = True
                slack.converse(_Socket(self.connection, self.rfile))

        self.serve(Handler)

    def api(self, method: str, token: str, body: dict) -> dict:
        """What a method of the Web API answers."""
        self.called.append((method, body))
        if token != (APP_TOKEN if method == "apps.connections.open" else BOT_TOKEN):
            return {"ok": False, "error": "invalid_auth"}
        if error := self.refusals.get(method):
            return {"ok": False, "error": error}
        if method == "auth.test":
            return {"ok": True, "team_id": TEAM, "team": "factory", "user": "routing_ml"}
        if method == "apps.connections.open":
            link = self.url.replace("http:", "ws:") + f"/link/?ticket={next(self._numbers)}"
            return {"ok": True, "url": link}
        if method == "usergroups.users.list":
            members = self.groups.get(body["usergroup"])
            if members is None:
                return {"ok": False, "error": "no_such_subteam"}
            return {"ok": True, "users": members}
        if method == "chat.update" and body["ts"] in self.deleted:
            return {"ok": False, "error": "message_not_found"}
        if method.startswith("chat.") and body["channel"] in self.closed:
            return {"ok": False, "error": "not_in_channel"}
        return {"ok": True, "ts": body.get("ts") or f"{next(self._numbers)}.0001"}

    def converse(self, socket: "_Socket") -> None:
        """Say hello, and note what is acknowledged, until the other end has gone."""
        socket.send({"type": "hello", "num_connections": 1, "debug_info": {"host": "fake"}})
        self.connections.append(socket)
        with suppress(OSError, ValueError):
            while (said := socket.read()) is not None:
                at = time.monotonic()
                self.acks.setdefault(said["envelope_id"], (at, said.get("payload")))
                self.acks_of[said["envelope_id"]] += 1
        self.connections.remove(socket)

    def send(self, kind: str, payload: dict, envelope: str | None = None) -> str:
        """Deliver an envelope; the same id again is a redelivery."""
        envelope = envelope or f"envelope-{next(self._numbers)}"
        message = {
            "type": kind,
            "envelope_id": envelope,
            "payload": payload,
            "accepts_response_payload": kind == "slash_commands",
        }
        self.sent.setdefault(envelope, time.monotonic())
        self.connections[-1].send(message)
        return envelope

    def command(
        self, text: str, *, user: str = "U0KIM", name: str = "kim", team: str = TEAM
    ) -> dict:
        """The payload of `/routing-ml TEXT`."""
        number = next(self._numbers)
        return {
            "team_id": team,
            "channel_id": "C0PLAN",
            "user_id": user,
            "user_name": name,
            "command": "/routing-ml",
            "text": text,
            "response_url": f"{self.url}/response/{number}",
            "trigger_id": f"{number}.{team}",
        }

    def press(
        self, action: str, value: object, *, user: str = "U0KIM", name: str = "kim",
        message: str = "1700000000.000100", ephemeral: bool = False, blocks: object = None,
    ) -> dict:  # fmt: skip
        """The payload of a button that is pressed."""
        number = next(self._numbers)
        carried = value if isinstance(value, str) else json.dumps(value)
        return {
            "type": "block_actions",
            "user": {"id": user, "name": name, "team_id": TEAM},
            "container": {
                "type": "message",
                "message_ts": message,
                "channel_id": "C0PLAN",
                "is_ephemeral": ephemeral,
            },
            "channel": {"id": "C0PLAN", "name": "planning"},
            "message": {"ts": message, "blocks": blocks or []},
            "response_url": f"{self.url}/response/{number}",
            "trigger_id": f"{number}.{TEAM}",
            "actions": [
                {
                    "type": "button",
                    "action_id": action,
                    "value": carried,
                    "action_ts": f"{number}.1",
                    "block_id": "b",
                }
            ],
        }

    def close(self) -> None:
        for socket in list(self.connections):
            socket.end()
        super().close()


class _Socket:
    """The server's end of a WebSocket; of what comes in only whole text frames are read."""

    def __init__(self, connection: object, rfile: object) -> None:
        self.connection, self.rfile = connection, rfile
        self.lock = threading.Lock()

    def send(self, message: dict) -> None:
        self._frame(0x1, json.dumps(message).encode())

    def read(self) -> dict | None:
        """The next message; None once the other end closes."""
        while True:
            head = self.rfile.read(2)
            if len(head) < 2:
                return None
            kind, size = head[0] & 0x0F, head[1] & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self.rfile.read(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self.rfile.read(8))
            mask = self.rfile.read(4)
            data = bytes(b ^ m for b, m in zip(self.rfile.read(size), itertools.cycle(mask)))
            if kind == 0x1:
                return json.loads(data)
            if kind == 0x9:
                self._frame(0xA, data)
            if kind == 0x8:
                self._frame(0x8, data)
                return None

    def end(self) -> None:
        """Drop the connection."""
        with suppress(OSError):
            self.connection.shutdown(2)

    def _frame(self, kind: int, data: bytes) -> None:
        size = len(data)
        if size <= 125:
            head = struct.pack("!BB", 0x80 | kind, size)
        elif size <= 0xFFFF:
            head = struct.pack("!BBH", 0x80 | kind, 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 127, size)
        with self.lock:
            self.connection.sendall(head + data)


class FakeAirflow(Served):
    """Runs by their id, and what tasks ask (`questions`, by run), each answered once.

    A token holds until `expire`; `holds` is how long each call that changes something takes, after
    it is done; `down` has every call answered by 503.
    """

    USER, PASSWORD = "slack-bot", "s3cret-of-the-bot"

    def __init__(self, holds: float = 0.0) -> None:
        self.runs: dict[str, dict] = {}
        self.asked_for: Counter[str] = Counter()
        self.questions: dict[str, dict] = {}
        self.answered: list[tuple[str, dict]] = []
        self.tokens: list[str] = []
        self.holds, self.down, self.forbids = holds, False, False
        self.lock = threading.Lock()
        airflow = self

        class Handler(Quiet):
            def do_POST(self) -> None:
                self.reply("POST")

            def do_GET(self) -> None:
                self.reply("GET")

            def do_PATCH(self) -> None:
                self.reply("PATCH")

            def reply(self, method: str) -> None:
                body = self.body()
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                with airflow.lock:
                    status, found = airflow.reply(method, self.path, token, body)
                if method != "GET" and not self.path.startswith("/auth"):
                    time.sleep(airflow.holds)
                with suppress(OSError):  # who asked may have been killed
                    self.answer(status, found)

        self.serve(Handler)

    def expire(self) -> None:
        """Have nobody's token hold any longer."""
        self.tokens.clear()

    def ask(self, run: str, state: str = "awaiting_input") -> None:
        """Have a run ask whether its model is to be put into use."""
        self.questions[run] = {
            "options": ["Put it into use", "Keep what is in use"],
            "subject": "Put a new model into use?",
            "task_instance": {"state": state},
            "response_received": False,
            "chosen_options": None,
            "params_input": {},
            "responded_by_user": None,
            "responded_at": None,
        }

    def reply(self, method: str, path: str, token: str, body: dict) -> tuple[int, dict]:
        if self.down:
            return 503, {}
        if path == "/auth/token":
            if body != {"username": self.USER, "password": self.PASSWORD}:
                return 401, {}
            self.tokens.append(f"token-{len(self.tokens)}-{time.monotonic_ns()}")
            return 201, {"access_token": self.tokens[-1]}
        if token not in self.tokens:
            return 401, {}
        if self.forbids:
            return 403, {}
        if method == "POST" and path == "/api/v2/dags/routing_ml_retrain/dagRuns":
            return self.trigger(body)
        found = re.fullmatch(
            r"/api/v2/dags/routing_ml_retrain/dagRuns/([^/]+)/taskInstances/approve/-1/hitlDetails",
            path,
        )
        question = self.questions.get(unquote(found[1])) if found else None
        if question is None:
            return 404, {"detail": "not found"}
        if method == "GET":
            return 200, question
        return self.respond(unquote(found[1]), question, body)

    def trigger(self, body: dict) -> tuple[int, dict]:
        assert body["logical_date"] is None
        run = body["dag_run_id"]
        self.asked_for[run] += 1
        if run in self.runs:
            return 409, {"detail": "it exists"}
        self.runs[run] = body
        return 200, {"dag_run_id": run, "state": "queued"}

    def respond(self, run: str, question: dict, body: dict) -> tuple[int, dict]:
        if question["response_received"]:
            return 409, {"detail": "already"}
        if set(body["chosen_options"]) - set(question["options"]):
            return 400, {"detail": "no such option"}
        self.answered.append((run, body))
        question |= {
            "response_received": True,
            "chosen_options": body["chosen_options"],
            "params_input": body["params_input"],
            "responded_by_user": {"id": "3", "name": self.USER},
            "responded_at": "2026-11-26T10:00:00+00:00",
        }
        return 200, {}


def until(holds, seconds: float = 30.0, what: str = "it") -> None:
    """Return once it holds; AssertionError where it does not."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not happen in {seconds:g} s"
        time.sleep(0.01)


# What is given to the bot


def settings_of(home: Path, airflow: FakeAirflow | None = None, **more: str) -> Settings:
    """Settings of a bot whose one person that may act is U0KIM."""
    given = {
        "ROUTING_ML_HOME": str(home),
        "SLACK_BOT_TOKEN": BOT_TOKEN,
        "SLACK_APP_TOKEN": APP_TOKEN,
        "ROUTING_ML_SLACK_ADMINS": "U0KIM",
        "AIRFLOW__API__BASE_URL": "http://airflow.factory:8080",
    }
    if airflow:
        given |= {
            "ROUTING_ML_AIRFLOW_URL": airflow.url,
            "ROUTING_ML_AIRFLOW_USER": airflow.USER,
            "ROUTING_ML_AIRFLOW_PASSWORD": airflow.PASSWORD,
        }
    return Settings.from_env(given | more)


def config_of(settings: Settings, slack: FakeSlackApp) -> Config:
    return replace(Config.of(settings), slack_api=f"{slack.url}/api/")


def bot_of(settings: Settings, slack: FakeSlackApp) -> Bot:
    """A bot without a connection: requests are handed to it."""
    config = config_of(settings, slack)
    web = WebClient(config.bot_token, base_url=config.slack_api, timeout=10)
    airflow = Airflow(config.airflow_url, config.airflow_user, config.airflow_password)
    access = Access(web, config, frozenset({TEAM}))
    return Bot(settings, access=access, airflow=airflow, answers=Answers(web))


def add_version(settings: Settings, key: str, exact: float = 0.9) -> str:
    """Register a version; its name."""

    def write(folder: Path) -> None:
        (folder / "arrays.npz").write_bytes(b"0")

    facts = {"candidate": "boosted", "as_of": "2026-11-01", "metrics": {"exact_match": exact}}
    now = datetime(2026, 11, 1, 2, tzinfo=UTC)
    return Registry(settings.home / "models").register(write, key=key, facts=facts, now=now).name


def audited(settings: Settings) -> list[dict]:
    """The lines of the record."""
    path = settings.home / "slack_bot" / "audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def shown(answer: dict) -> str:
    """All texts of a message's blocks."""
    texts = [block["text"]["text"] for block in answer["blocks"] if "text" in block]
    return "\n".join(texts)


def buttons(answer: dict) -> dict[str, str]:
    """The values of a message's buttons, by their ids."""
    elements = [e for b in answer["blocks"] if b["type"] == "actions" for e in b["elements"]]
    return {element["action_id"]: element["value"] for element in elements}
