"""Sends one request in a process of its own, which the kernel ends when its time is up: no name
server, proxy, handshake, header or body that comes a byte at a time can hold its sender up longer.
"""

import json
import os
import signal
import ssl
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib import request
from urllib.error import HTTPError
from urllib.parse import urlsplit

import routing_ml

MAX_ANSWER_BYTES = 1_024
"""What is taken of an answer's body; Slack's have 40 at most."""
GRACE_S = 1.0
"""How long after its time the process may take to be gone before its sender ends it."""


@dataclass(frozen=True)
class Answer:
    """What came back: an HTTP status, the first bytes of the body as text, the wait in seconds that
    was asked for; or, with status 0, `failure`: why nothing did, in a word that names no address.
    """

    status: int = 0
    body: str = ""
    retry_after: str = ""
    failure: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether it is what Slack says when it has taken a notice; a proxy or a login page says
        200 too."""
        return self.status == 200 and self.body.strip() == "ok"


@dataclass(frozen=True)
class Receipt:
    """What the process that posts does by itself, should its sender be killed meanwhile: it writes
    `text` to `path` once the answer is ok, and until then it holds the file descriptor `lock`."""

    path: Path
    text: str
    lock: int


def post(url: str, body: str, seconds: float, receipt: Receipt | None = None) -> Answer:
    """POST `body`, JSON, to `url` and wait for the answer, `seconds` for all of it.

    Redirects are answers, not followed. Proxies are those of the environment. Raises nothing that
    a server, a network or an address is to blame for.
    """
    noted = {"path": str(receipt.path), "text": receipt.text} if receipt else None
    order = json.dumps({"url": url, "body": body, "seconds": seconds, "receipt": noted})
    package = str(Path(routing_ml.__file__).parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        # On its standard input, since this machine's users see a process's arguments.
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__],
            input=order,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback there could show the address
            env=os.environ | {"PYTHONPATH": path},
            pass_fds=(receipt.lock,) if receipt else (),
            start_new_session=True,  # what is sent to its sender's group is not meant for it
            text=True,
            timeout=seconds + GRACE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Answer(failure="no whole answer in time")
    if done.returncode == -signal.SIGALRM:
        return Answer(failure="no whole answer in time")
    try:
        return Answer(**json.loads(done.stdout))
    except (ValueError, TypeError):
        return Answer(failure=f"its sender ended with code {done.returncode}")


class _Unfollowed(request.HTTPRedirectHandler):
    """Leaves a redirect what it is: a login page is not Slack."""

    def redirect_request(
        self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        return None


def _opener() -> request.OpenerDirector:
    """Opens http and https, by the environment's proxies, and nothing else."""
    proxies = request.getproxies()
    if "http" in proxies:  # most name one proxy, for both
        proxies.setdefault("https", proxies["http"])
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(proxies),
        request.HTTPHandler(),
        request.HTTPSHandler(context=ssl.create_default_context()),
        request.HTTPErrorProcessor(),
        request.HTTPDefaultErrorHandler(),
        _Unfollowed(),
    ):
        opener.add_handler(handler)
    return opener


def _asked(url: str, body: str) -> Answer:
    if urlsplit(url).scheme not in ("http", "https"):
        return Answer(failure="its address does not begin with https://")
    headers = {"Content-Type": "application/json; charset=utf-8"}
    message = request.Request(url, body.encode(), headers, method="POST")  # noqa: S310 - asked above
    try:
        with _opener().open(message) as reply:
            return _answer(reply.status, reply.headers, reply)
    except HTTPError as refused:
        with refused:
            return _answer(refused.code, refused.headers, refused)


def _answer(status: int, headers: Message, body: Any) -> Answer:
    text = body.read(MAX_ANSWER_BYTES).decode("utf-8", "replace")
    return Answer(status, text, str(headers.get("Retry-After", "")))


def main() -> None:
    """Carry out one order."""
    order = json.load(sys.stdin)
    # Whatever started this may have blocked or ignored the signal, which children inherit.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, order["seconds"])
    try:
        answer = _asked(order["url"], order["body"])
    except Exception as error:  # its name is told, and nothing of what it says
        reason = getattr(error, "reason", None)
        answer = Answer(failure=type(reason if isinstance(reason, Exception) else error).__name__)
    if answer.is_ok and order["receipt"]:
        with suppress(OSError):  # its sender notes it too
            os.umask(0o077)
            Path(order["receipt"]["path"]).write_text(order["receipt"]["text"])
    print(json.dumps(answer.__dict__))


if __name__ == "__main__":
    main()
