"""Turns what happened into messages that arrive once."""

from typing import TYPE_CHECKING

from routing_ml.lazily import handing_on

if TYPE_CHECKING:
    from routing_ml.notices.buttons import ANSWERS as ANSWERS
    from routing_ml.notices.buttons import APPROVE as APPROVE
    from routing_ml.notices.buttons import ASKING_DAG as ASKING_DAG
    from routing_ml.notices.buttons import ASKING_TASK as ASKING_TASK
    from routing_ml.notices.buttons import ENDED as ENDED
    from routing_ml.notices.buttons import KEEP as KEEP
    from routing_ml.notices.buttons import MOST_WHY as MOST_WHY
    from routing_ml.notices.buttons import approval_buttons as approval_buttons
    from routing_ml.notices.buttons import closed as closed
    from routing_ml.notices.card import ATTENTION as ATTENTION
    from routing_ml.notices.card import BAD as BAD
    from routing_ml.notices.card import GOOD as GOOD
    from routing_ml.notices.card import Asks as Asks
    from routing_ml.notices.card import Card as Card
    from routing_ml.notices.card import Fact as Fact
    from routing_ml.notices.card import Link as Link
    from routing_ml.notices.card import Plot as Plot
    from routing_ml.notices.mrkdwn import escaped as escaped
    from routing_ml.notices.mrkdwn import linked as linked
    from routing_ml.notices.mrkdwn import plain as plain
    from routing_ml.notices.notify import catch_up as catch_up
    from routing_ml.notices.notify import tell as tell
    from routing_ml.notices.notify import tell_card as tell_card
else:
    __getattr__ = handing_on(__name__, __file__)
