"""Runs the bot: acknowledges what Slack delivers at once, and hands on what is to be done."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from routing_ml import files, modes
from routing_ml.errors import RoutingError, SettingError
from routing_ml.settings import Settings
from routing_ml.slackbot import connection, requests
from routing_ml.slackbot.access import Access
from routing_ml.slackbot.airflow_api import Airflow
from routing_ml.slackbot.answering import Answers
from routing_ml.slackbot.config import Config
from routing_ml.slackbot.handling import FOLDER, Bot
from routing_ml.slackbot.room import WAITING, Room

if TYPE_CHECKING:
    from slack_sdk import WebClient

REQUEST_S = 10
DEAD_S = 60.0
BUSY = "Too many requests wait at this moment; nothing was done. Try again in a minute."
PASSING = ("ratelimited", "internal_error", "fatal_error", "service_unavailable", "request_timeout")
"""What Slack says when it may say otherwise later; whatever else it refuses it refuses for good."""

log = logging.getLogger(__name__)


def run(settings: Settings, config: Config, *, stop: threading.Event | None = None) -> None:
    """Answer until `stop` is set, by default by SIGTERM or Ctrl-C.

    Raises SettingError where Slack refuses a token for good, RoutingError where another bot uses
    the state folder. What cannot be reached is tried again.
    """
    stop = stop or _stopped_by_signals()
    folder = settings.opened() / FOLDER
    with files.told_as(RoutingError, f"{folder} cannot be used"):
        modes.make_folder(folder)
    with _alone(settings):
        web = _web(config)
        me = _patiently(lambda: web.auth_test().data, "SLACK_BOT_TOKEN", stop)
        if me is None:
            return
        log.info("this is %s of %s", me.get("user"), me.get("team"))
        teams = frozenset(me[key] for key in ("team_id", "enterprise_id") if me.get(key))
        bot = Bot(
            settings,
            access=Access(web, config, teams),
            airflow=Airflow(config.airflow_url, config.airflow_user, config.airflow_password),
            answers=Answers(web),
        )
        room, begun = Room(), bot.begun()

        def open_url() -> str | None:
            def asked() -> str:
                return str(web.apps_connections_open(app_token=config.app_token)["url"])

            return _patiently(asked, "SLACK_APP_TOKEN", stop)

        try:
            if begun and room.reserve():
                room.fill(lambda: bot.resume(begun))
            alive = (folder / ".alive").touch
            connection.keep(open_url, listener(room, bot.handle), stop, alive=alive)
        finally:
            room.close()


def listener(
    room: Room, handle: Callable[[requests.Command | requests.Press], object]
) -> connection.Listen:
    """What acknowledges an envelope before anything else, and has it handled by a worker. One that
    could not be acknowledged is not handled: Slack tells who asked that it failed."""

    def listen(send: connection.Send, envelope: Mapping[str, Any]) -> None:
        answer: dict[str, Any] = {"envelope_id": envelope["envelope_id"]}
        has_room = room.reserve()
        if not has_room and envelope.get("accepts_response_payload"):
            answer["payload"] = {"response_type": "ephemeral", "text": BUSY}
        try:
            send(answer)
        except BaseException:
            if has_room:
                room.leave()
            raise
        if not has_room:
            log.warning("a request was turned away: %d wait", WAITING)
            return

        def work() -> None:
            kind, payload = str(envelope.get("type")), envelope.get("payload")
            request = requests.read(kind, envelope["envelope_id"], payload)
            if request is not None:
                handle(request)

        room.fill(work)

    return listen


def is_connected(settings: Settings) -> bool:
    """Whether a bot of this state folder was connected within the last minute."""
    try:
        seen = (settings.home / FOLDER / ".alive").stat().st_mtime
    except OSError:
        return False
    return time.time() - seen < DEAD_S


def _web(config: Config) -> "WebClient":
    from slack_sdk import WebClient
    from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler

    web = WebClient(config.bot_token, base_url=config.slack_api, timeout=REQUEST_S)
    web.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=1))
    return web


def _patiently(step: Callable[[], Any], setting: str, stop: threading.Event) -> Any:
    """What a step gives once Slack can be reached; None where `stop` was set before that."""
    from slack_sdk.errors import SlackApiError

    pause = 1.0
    while True:
        try:
            return step()
        except SlackApiError as error:
            reason = error.response.get("error") if isinstance(error.response.data, dict) else None
            if reason and reason not in PASSING:
                raise SettingError(
                    f"Slack refuses {setting} ({reason}): install the app again, and copy its token"
                ) from None
            trouble = str(reason or error.response.status_code)
        except (OSError, ValueError) as error:
            trouble = type(error).__name__
        log.warning("Slack cannot be reached (%s); tried again in %g s", trouble, pause)
        if stop.wait(pause):
            return None
        pause = min(2 * pause, connection.LONGEST_PAUSE_S)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Be the one bot of a state folder: another one's claims would look like a killed one's."""
    from filelock import FileLock, Timeout

    folder = settings.home / FOLDER
    path, mode = folder / ".lock", modes.file_mode(folder)
    lock = FileLock(path, mode=mode, fallback_to_soft=False)
    with files.told_as(RoutingError, f"{path} cannot be used"):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RoutingError(
                f"another slack-bot uses {settings.home}: end it first, or use that one"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _stopped_by_signals() -> threading.Event:
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    return stop
