"""A Slack and a Teams on loopback that speak the real protocols: incoming webhook and Web API, and
the webhook of a Workflow. What the real ones would refuse, they refuse.
"""

import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

SECRET = "T024BE7LD/B0SOMEHOOK/s3cretOfThisWebhook"
TOKEN = "xoxb-17-s3cretOfThisBot"
FLOW = "/workflows/0ab1/triggers/manual/paths/invoke?api-version=1&sig=s3cretOfThisFlow"
CHANNEL = "C024BE91L"
Answer = int | tuple[int, str] | tuple[int, dict, bytes] | str


class Fake:
    """Keeps the messages it took. `script` says how the next requests are answered, then all well:
    a status, (429, seconds to wait), "silent" (accepts and says nothing), "late" (well, but once
    `holds` is set), "garbage", status, headers and body of another server, or what Slack's Web API
    calls an error.
    """

    def __init__(self, *script: Answer) -> None:
        self.script = deque(script)
        self.messages: list[dict] = []
        self.requests = 0
        self.gets = 0
        self.holds = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fake.requests += 1
                answer = fake.script.popleft() if fake.script else 200
                if answer == "silent":
                    fake.holds.wait(60)
                    return
                if answer == "late":
                    fake.holds.wait(60)
                    answer = 200
                if answer == "garbage":
                    self.wfile.write(b"this is no HTTP\r\n\r\n")
                    return
                token = self.headers.get("Authorization", "")
                self.answer(*fake.answer_to(self.path, token, json.loads(body), answer))

            def do_GET(self) -> None:
                fake.gets += 1
                self.answer(200, {}, b"ok")

            def answer(self, status: int, headers: dict, body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.base = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def answer_to(
        self, path: str, token: str, message: dict, answer: Answer
    ) -> tuple[int, dict, bytes]:
        """What it answers to a message, of which it takes what it should."""
        raise NotImplementedError

    def wait_for_request(self, seconds: float = 60.0) -> None:
        """Return when somebody has asked; AssertionError when nobody does."""
        end = time.monotonic() + seconds
        while not self.requests:
            assert time.monotonic() < end, "nobody asked"
            time.sleep(0.01)

    def wait_for(self, count: int, seconds: float = 20.0) -> None:
        """Return when it has taken `count` messages."""
        end = time.monotonic() + seconds
        while len(self.messages) < count and time.monotonic() < end:
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        self.holds.set()
        self.server.shutdown()
        self.server.server_close()


class FakeSlack(Fake):
    """Slack: `url` is a webhook's address, `api` the Web API's. `messages` are those that were
    posted, `edits` what was made of them later, `shown` what a channel shows, by ts."""

    def __init__(self, *script: Answer) -> None:
        super().__init__(*script)
        self.url, self.api = f"{self.base}/services/{SECRET}", f"{self.base}/api"
        self.edits: list[dict] = []
        self.shown: dict[str, dict] = {}
        self.stamps = count(1)

    def answer_to(self, path, token, message, answer):
        if isinstance(answer, tuple) and len(answer) == 3:
            return answer
        if path.startswith("/api/"):
            return self.answer_of_api(path.removeprefix("/api/"), token, message, answer)
        status, wait = answer if isinstance(answer, tuple) else (answer, None)
        if status == 200 and path != f"/services/{SECRET}":
            status = 404
        if status == 200 and wrong_with(message):
            status = 400
        if status == 200:
            self.messages.append(message)
        texts = {200: b"ok", 404: f"no {path} here".encode(), 429: b"rate_limited"}
        texts[400] = b"invalid_blocks"
        headers = {} if wait is None else {"Retry-After": wait}
        return status, headers, texts.get(status, b"server_error")

    def answer_of_api(self, method, token, message, answer):
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if isinstance(answer, tuple):
            return answer[0], headers | {"Retry-After": answer[1]}, said(error="ratelimited")
        if isinstance(answer, int) and answer != 200:
            return answer, {}, b"<html>server error</html>"
        error = answer if isinstance(answer, str) else self.error_of(method, token, message)
        if error:
            return 200, headers, said(error=error)
        if method == "chat.postMessage":
            ts = f"1503435956.{next(self.stamps):06}"
            self.messages.append(message)
        else:
            ts = message["ts"]
            self.edits.append(message)
        self.shown[ts] = message
        return 200, headers, said(ok=True, channel=CHANNEL, ts=ts, message=message)

    def error_of(self, method, token, message):
        if token != f"Bearer {TOKEN}":
            return "invalid_auth"
        if method not in ("chat.postMessage", "chat.update"):
            return "unknown_method"
        if message["channel"] not in (CHANNEL, "#routing"):
            return "channel_not_found"
        if method == "chat.update" and message["ts"] not in self.shown:
            return "message_not_found"
        return "invalid_blocks" if wrong_with(message) else None

    def texts(self) -> list[str]:
        """The text of each message it took."""
        return [message["blocks"][1]["text"]["text"] for message in self.messages]

    def links(self) -> list[str]:
        """What stands last in each message: its links."""
        return [
            message["blocks"][-1].get("elements", [{"text": ""}])[0]["text"]
            for message in self.messages
        ]


class FakeTeams(Fake):
    """Teams: the webhook of a Workflow, which answers 202 and nothing."""

    def __init__(self, *script: Answer) -> None:
        super().__init__(*script)
        self.url = f"{self.base}{FLOW}"

    def answer_to(self, path, token, message, answer):
        if isinstance(answer, tuple) and len(answer) == 3:
            return answer
        status, wait = answer if isinstance(answer, tuple) else (answer, None)
        if status == 200 and path != FLOW:
            status = 401
        if status == 200 and not is_card(message):
            status = 400
        if status == 200:
            self.messages.append(message)
            status = 202
        headers = {} if wait is None else {"Retry-After": wait}
        error = {"error": {"code": "Trouble", "message": f"no {path} here"}}
        return status, headers, b"" if status == 202 else json.dumps(error).encode()

    def titles(self) -> list[str]:
        """The first line of each message it took."""
        return [card_of(message)["body"][0]["text"] for message in self.messages]


def said(**fields: object) -> bytes:
    return json.dumps({"ok": False} | fields).encode()


def texts_of(blocks: list[dict]) -> list[dict]:
    """The text objects of blocks."""
    texts = [block["text"] for block in blocks if "text" in block]
    texts += [
        each for block in blocks for key in ("fields", "elements") for each in block.get(key, [])
    ]
    return [each["text"] if each["type"] == "button" else each for each in texts]


def wrong_with(message: dict) -> str | None:
    """What Slack would refuse a message for, by its reference of Block Kit; None where nothing."""
    blocks = message.get("blocks", [])
    texts = texts_of(blocks)
    most = {"header": 150, "section": 3_000}
    for block in blocks:
        if block["type"] == "actions":
            if not 1 <= len(block["elements"]) <= 25 or not all(map(is_button, block["elements"])):
                return "no buttons"
            continue
        if block["type"] not in ("header", "section", "context", "divider"):
            return f"a block {block['type']}"
        if "text" in block and len(block["text"]["text"]) > most[block["type"]]:
            return "a text is too long"
        if block["type"] == "section" and not ({"text", "fields"} & block.keys()):
            return "an empty section"
        for key, longest in (("fields", 2_000), ("elements", 3_000)):
            if key in block and not 1 <= len(block[key]) <= 10:
                return f"{len(block[key])} {key}"
            if any(len(each["text"]) > longest for each in block.get(key, [])):
                return "a text is too long"
    if any(each["type"] not in ("mrkdwn", "plain_text") for each in texts):
        return "a text of no type"
    if not all(each["text"].strip() for each in texts):
        return "an empty text"
    whole = len(message.get("text", "")) + sum(len(each["text"]) for each in texts)
    return "too much" if len(blocks) > 50 or whole > 13_000 else None


def is_button(element: dict) -> bool:
    """Whether Slack would show it."""
    short = len(element["text"]["text"]) <= 75 and len(element["action_id"]) <= 255
    return element["type"] == "button" and short and len(element["value"]) <= 2_000


def card_of(message: dict) -> dict:
    return message["attachments"][0]["content"]


def is_card(message: dict) -> bool:
    """Whether a Workflow would post it."""
    try:
        (attachment,) = message["attachments"]
        content = attachment["content"]
        size = len(json.dumps(message, ensure_ascii=False).encode())
        kind = attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        adaptive = content["type"] == "AdaptiveCard" and content["version"] <= "1.5"
        return message["type"] == "message" and kind and adaptive and size <= 28 * 1024
    except (KeyError, TypeError, ValueError):
        return False
