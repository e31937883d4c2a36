"""What becomes of a request: who may, what is answered, what is done; once, and written down."""

import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from routing_ml import clock
from routing_ml.errors import RoutingError, reason_of, tried
from routing_ml.redaction import redact
from routing_ml.settings import Settings
from routing_ml.slackbot import acting, reading
from routing_ml.slackbot.access import Access
from routing_ml.slackbot.airflow_api import Airflow
from routing_ml.slackbot.answering import Answers
from routing_ml.slackbot.audit import BEGUN, Audit
from routing_ml.slackbot.blocks import Said
from routing_ml.slackbot.claims import Claims, Order
from routing_ml.slackbot.requests import Command, Person, Press

FOLDER = "slack_bot"
RESUMED_S = 600.0
"""How long after it was asked for an order is carried out whose bot was killed: later the world
may be another."""
HELP = Said(
    "What can be asked",
    "status: the model in use, the last run, drift\n"
    "models: the versions\n"
    "explain ITEM: why this routing\n"
    "drift: whether new items still resemble the past ones\n"
    "retrain: start a retraining (1)\n"
    "promote VERSION WHY: put a version into use (1)\n"
    "rollback WHY: go back to the version before (1)\n"
    "(1) by those whom ROUTING_ML_SLACK_ADMINS names",
)

log = logging.getLogger(__name__)


class Bot:
    """Handles one request at a time in each of several threads."""

    def __init__(
        self, settings: Settings, *, access: Access, airflow: Airflow, answers: Answers
    ) -> None:
        self.settings = settings
        self.access = access
        self.airflow = airflow
        self.answers = answers
        folder = settings.opened() / FOLDER
        self.claims = Claims(folder / ".claims")
        self.audit = Audit(folder)
        explain = reading.Explainer(settings).explain
        self._reads: dict[str, Callable[[str], Said]] = {
            "status": lambda rest: reading.status(settings),
            "models": lambda rest: reading.models(settings),
            "drift": lambda rest: reading.drift(settings),
            "explain": explain,
        }
        self._asks: dict[str, Callable[[str], Said]] = {
            acting.PROMOTE: lambda rest: acting.ask_promotion(settings, rest),
            acting.ROLLBACK: lambda rest: acting.ask_rollback(settings, rest),
        }
        self._known = {*self._reads, *self._asks}

    def handle(self, request: Command | Press) -> None:
        """Answer a request; whatever goes wrong is told to who asked."""
        try:
            if isinstance(request, Press):
                self._pressed(request)
            else:
                self._asked(request)
        except RoutingError as error:
            self._reply(request, Said("That was not done", self._shown(error)))
        except Exception as error:
            log.exception("a request was not handled")
            self._reply(request, Said("That was not done", self._shown(error)))

    def begun(self) -> list[Order]:
        """What a bot that was killed had begun; to be asked for before the first request."""
        self.claims.tidy()
        return self.claims.begun()

    def resume(self, orders: Iterable[Order]) -> None:
        """Carry out what was `begun`; of what is too old say that nobody knows."""
        for order in orders:
            try:
                self._resume(order)
            except Exception as error:
                log.warning("%s %s was not done: %s", order.what, order.id, self._shown(error))

    def _resume(self, order: Order) -> None:
        if order.what not in acting.ACTS:
            self.claims.end(order, "the bot was ended before it answered")
        elif clock.seconds() - order.at > RESUMED_S:
            outcome = "not known: the bot was ended; look whether it was done"
            self.audit.write(order, outcome)
            self.claims.end(order, outcome)
        else:
            said = self._act(order)
            self.answers.reply(
                said, user=order.user, channel=order.channel, response_url=order.response_url
            )

    def _asked(self, command: Command) -> None:
        word, _, rest = command.text.strip().partition(" ")
        word, rest = word.lower(), rest.strip()
        if word == acting.RETRAIN:
            order = _order(command, acting.RETRAIN, {})
            # Before it is claimed: what is claimed is carried out, also after a restart.
            self._may_act(order, command.person)
            if self.claims.claim(order) is None:
                self._reply(command, self._act(order))
            return
        order = _order(command, f"ask {word if word in self._known else 'help'}", {"text": rest})
        if self.claims.claim(order) is None:  # else it was delivered before
            said = self._said(order, command.person, word, rest)
            self.claims.end(order, "answered")
            self._reply(command, said)

    def _said(self, order: Order, person: Person, word: str, rest: str) -> Said:
        if refusal := self.access.refuses_to_read(person):
            return Said("That may not be asked", refusal)
        try:
            if word in self._asks:
                self._may_act(order, person)
                return self._asks[word](rest)
            return self._reads[word](rest) if word in self._reads else HELP
        except RoutingError as error:
            return Said("That cannot be answered", self._shown(error))

    def _pressed(self, press: Press) -> None:
        if press.action == acting.CANCEL:
            self._reply(press, Said("Nothing was changed"), replace=True)
            return
        what = acting.ACTIONS.get(press.action)
        if what is None:
            raise RoutingError("this button is of another release; ask again")
        asks: dict[str, Any] = dict(press.value)
        if what == acting.ANSWER:
            asks = {"action": press.action, "asks": asks}
        order = _order(press, what, asks)
        self._may_act(order, press.person)
        if there := self.claims.claim(order):
            outcome = there.outcome or "it is being done"
            self._reply(press, Said("That was pressed before", outcome))
            return
        said = self._act(order)
        if press.is_ephemeral:
            self._reply(press, said, replace=True)
        else:
            self.answers.settle(press, said)

    def _act(self, order: Order) -> Said:
        """Carry out a claimed order; it may be asked for again where nothing was done."""
        try:
            self.audit.write(order, BEGUN)
            said = acting.perform(self.settings, self.airflow, order)
        except Exception as error:
            self.claims.give_up(order)
            self.audit.write(order, f"not done: {self._shown(error)}")
            raise
        for step in (
            partial(self.claims.end, order, said.title),
            partial(self.audit.write, order, f"done: {said.title}"),
        ):
            if trouble := tried(step):  # it is done all the same
                log.error("%s %s is done, and not recorded: %s", order.what, order.id, trouble)
        return said

    def _may_act(self, order: Order, person: Person) -> None:
        """RoutingError, which is written down, where somebody may not."""
        if refusal := self.access.refuses_to_act(person):
            self.audit.write(order, f"refused: {refusal}")
            raise RoutingError(refusal)

    def _reply(self, request: Command | Press, said: Said, *, replace: bool = False) -> None:
        self.answers.reply(
            said, user=request.person.id, channel=request.channel,
            response_url=request.response_url, replace=replace,
        )  # fmt: skip

    def _shown(self, error: Exception) -> str:
        settings = self.settings
        return redact(reason_of(error), *settings.sources.values(), settings.store_url)


def _order(request: Command | Press, what: str, arguments: dict[str, Any]) -> Order:
    return Order(
        key=request.key, what=what, arguments=arguments, who=request.person.who,
        user=request.person.id, at=clock.seconds(), channel=request.channel,
        response_url=request.response_url,
    )  # fmt: skip
