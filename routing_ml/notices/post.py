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
from routing_ml.notices.answers import API, WEBHOOK, short, taken

MAX_ANSWER_BYTES = 1_024
"""What is taken of an answer's body; a webhook's have 40 at most."""
MAX_API_BYTES = 1_000_000
"""Of one by Slack's Web API, which has the whole message in it."""
GRACE_S = 1.0
"""How long after its time the process may take to be gone before its sender ends it."""


@dataclass(frozen=True)
class Answer:
    """What came back: an HTTP status, the first bytes of the body as text, the wait in seconds that
    was asked for; or, with status 0, `failure`: why nothing did, in a word that names no address.
    `place` is as of `taken`.
    """

    status: int = 0
    body: str = ""
    retry_after: str = ""
    failure: str = ""
    place: str | None = None


@dataclass(frozen=True)
class Receipt:
    """What the process that posts does by itself, should its sender be killed meanwhile: it writes
    `text`, and the place of the message in another line, to `path` once it was taken, and until
    then it holds the file descriptor `lock`."""

    path: Path
    text: str
    lock: int


def post(
    url: str,
    body: str,
    seconds: float,
    receipt: Receipt | None = None,
    *,
    says: str = WEBHOOK,
    token: str = "",
) -> Answer:
    """POST `body`, JSON, to `url` and wait for the answer, `seconds` for all of it.

    `says` is the protocol that the other end speaks, `token` what it wants to see. Redirects are
    answers, not followed. Proxies are those of the environment. Raises nothing that a server, a
    network or an address is to blame for.
    """
    noted = {"path": str(receipt.path), "text": receipt.text} if receipt else None
    order = json.dumps(
        {"url": url, "body": body, "seconds": seconds, "receipt": noted, "says": says}
        | {"token": token}
    )
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


def _asked(url: str, body: str, says: str, token: str) -> Answer:
    if urlsplit(url).scheme not in ("http", "https"):
        return Answer(failure="its address does not begin with https://")
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    message = request.Request(url, body.encode(), headers, method="POST")  # noqa: S310 - asked above
    try:
        with _opener().open(message) as reply:
            return _answer(reply.status, reply.headers, reply, says)
    except HTTPError as refused:
        with refused:
            return _answer(refused.code, refused.headers, refused, says)


def _answer(status: int, headers: Message, body: Any, says: str) -> Answer:
    most = MAX_API_BYTES if says == API else MAX_ANSWER_BYTES
    text = body.read(most).decode("utf-8", "replace")
    kind, wait = headers.get_content_type(), str(headers.get("Retry-After", ""))
    place = taken(says, status, kind, text)
    return Answer(status, short(text) if says == API else text, wait, place=place)


def main() -> None:
    """Carry out one order."""
    order = json.load(sys.stdin)
    # Whatever started this may have blocked or ignored the signal, which children inherit.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    signal.setitimer(signal.ITIMER_REAL, order["seconds"])
    try:
        answer = _asked(order["url"], order["body"], order["says"], order["token"])
    except Exception as error:  # its name is told, and nothing of what it says
        reason = getattr(error, "reason", None)
        answer = Answer(failure=type(reason if isinstance(reason, Exception) else error).__name__)
    if answer.place is not None and order["receipt"]:
        with suppress(OSError):  # its sender notes it too
            os.umask(0o077)
            text = f"{order['receipt']['text']}\n{answer.place}"
            Path(order["receipt"]["path"]).write_text(text)
    print(json.dumps(answer.__dict__))


if __name__ == "__main__":
    main()
