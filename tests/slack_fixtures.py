"""A Slack on loopback that speaks the incoming-webhook protocol."""

import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "T024BE7LD/B0SOMEHOOK/s3cretOfThisWebhook"


class FakeSlack:
    """Keeps the messages it took. `script` says how the next requests are answered, then all well:
    a status, (429, seconds to wait), "silent" (accepts and says nothing), "late" (well, but once
    `holds` is set), "garbage", or status, headers and body of a server that is not Slack.
    """

    def __init__(self, *script: int | tuple[int, str] | tuple[int, dict, bytes] | str) -> None:
        self.script = deque(script)
        self.messages: list[dict] = []
        self.requests = 0
        self.gets = 0
        self.holds = threading.Event()
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                slack.requests += 1
                answer = slack.script.popleft() if slack.script else 200
                if answer == "silent":
                    slack.holds.wait(60)
                    return
                if answer == "late":
                    slack.holds.wait(60)
                    answer = 200
                if answer == "garbage":
                    self.wfile.write(b"this is no HTTP\r\n\r\n")
                    return
                if isinstance(answer, tuple) and len(answer) == 3:
                    self.answer(*answer)
                    return
                status, wait = answer if isinstance(answer, tuple) else (answer, None)
                known = self.path == f"/services/{SECRET}"
                if status == 200 and not known:
                    status = 404
                message = json.loads(body)
                if status == 200:
                    slack.messages.append(message)
                texts = {200: b"ok", 404: f"no {self.path} here".encode(), 429: b"rate_limited"}
                text = texts.get(status, b"server_error")
                self.answer(status, {} if wait is None else {"Retry-After": wait}, text)

            def do_GET(self) -> None:
                slack.gets += 1
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
        self.url = f"http://127.0.0.1:{self.port}/services/{SECRET}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def texts(self) -> list[str]:
        """The text of each message it took."""
        return [message["blocks"][1]["text"]["text"] for message in self.messages]

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

    def __enter__(self) -> "FakeSlack":
        return self

    def __exit__(self, *error: object) -> None:
        self.holds.set()
        self.server.shutdown()
        self.server.server_close()
