"""However much goes wrong, the log stays small."""

from __future__ import annotations

import asyncio
import logging

from exporter.log import LINE_MOST, QUIET_SECONDS, Log


def test_what_is_said_often_is_written_once_and_counted_in_the_next_line() -> None:
    lines: list[str] = []
    now = [0.0]
    log = Log(lines.append, clock=lambda: now[0])
    for _ in range(1000):
        log.say("accept", "no file is left")
    log.say("fault", "another kind")
    now[0] += QUIET_SECONDS
    log.say("accept", "no file is left")
    assert lines == [
        "exporter: no file is left",
        "exporter: another kind",
        "exporter: no file is left (999 more before)",
    ]


def test_a_line_is_one_line_and_no_longer_than_it_may_be() -> None:
    lines: list[str] = []
    Log(lines.append).say("x", "a\r\nb\x1b[31m\u2028" + "c" * 10_000)
    (line,) = lines
    assert line.isprintable() and len(line) <= LINE_MOST + 40


def test_what_asyncio_says_is_said_here_without_a_traceback() -> None:
    lines: list[str] = []
    log = Log(lines.append)
    before = logging.getLogger("asyncio").handlers

    async def test() -> None:
        loop = asyncio.get_running_loop()
        log.take_over(loop)
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0.01)
        logging.getLogger("asyncio").warning("socket.send() raised exception.")

    try:
        asyncio.run(test())
    finally:
        logging.getLogger("asyncio").handlers = before
        logging.getLogger("asyncio").propagate = True
    assert len(lines) == 2
    assert "ZeroDivisionError at" in lines[0] and "socket.send()" in lines[1]
