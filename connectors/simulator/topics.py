"""What people say, and who should hear it: the truth, by topic.

support: broken, error, account, billing system, how-to. service: staff, delivery, delay, refund, orders, treatment.
design: wish, idea, missing or unpleasant feature. marketing: praise, advocacy, purchase intent, campaign, press.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from connectors.simulator.world import ANYWHERE, CHANNELS, NEWS, SHOP, STORES, Channel
from pipeline.contract.events import Label

NEGATIVE, NEUTRAL, POSITIVE = Label.NEGATIVE, Label.NEUTRAL, Label.POSITIVE
EVERYWHERE: Final = CHANNELS
_NO_STORE: Final = (*ANYWHERE, SHOP)


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing to say. `about` is the form of product it fits, `details` the pool of further sentences."""

    name: str
    departments: tuple[str, ...]
    intent: str | None
    sentiment: Label
    weight: float = 0.0
    details: str | None = None
    about: Literal["app", "device", "any"] = "any"
    channels: tuple[Channel, ...] = EVERYWHERE
    is_irony: bool = False
    has_context: bool = True  # whether its authors say something about themselves
    closes: bool = True  # whether it may end with a handle, a tag or an emoji


SPAM: Final = Topic("spam", (), None, NEUTRAL, channels=ANYWHERE, has_context=False)
RIVAL: Final = Topic("rival", (), None, NEUTRAL, channels=ANYWHERE, closes=False)
"""What has nothing to do with the company, and does not name it."""

ORDINARY: Final = (
    Topic("crash", ("support",), "problem", NEGATIVE, 6, "support", "app"),
    Topic("error", ("support",), "problem", NEGATIVE, 6, "support"),
    Topic("login", ("support",), "problem", NEGATIVE, 5, "support", "app"),
    Topic("billing", ("support",), "problem", NEGATIVE, 5, "support", "app"),
    Topic("hardware", ("support",), "problem", NEGATIVE, 6, "support", "device", _NO_STORE),
    Topic("howto", ("support",), "question", NEUTRAL, 6, "neutral", channels=ANYWHERE),
    Topic("delivery", ("service",), "complaint", NEGATIVE, 7, "service", "device", _NO_STORE),
    Topic("staff", ("service",), "complaint", NEGATIVE, 3, "service", channels=_NO_STORE),
    Topic("hotline", ("service",), "complaint", NEGATIVE, 4, "service"),
    Topic("refund", ("service",), "refund_request", NEGATIVE, 4, "service", "device", _NO_STORE),
    Topic("order", ("service",), "complaint", NEGATIVE, 3, "service", "device", _NO_STORE),
    Topic("status", ("service",), "question", NEUTRAL, 3, "neutral", "device", ANYWHERE),
    Topic("wish", ("design",), "feature_request", NEUTRAL, 4, "neutral"),
    Topic("missing", ("design",), "complaint", NEGATIVE, 3, "design"),
    Topic("clumsy", ("design",), "complaint", NEGATIVE, 4, "design"),
    Topic("idea", ("design",), "feature_request", NEUTRAL, 2, "neutral"),
    Topic("praise", ("marketing",), "praise", POSITIVE, 9, "marketing"),
    Topic("advocate", ("marketing",), "praise", POSITIVE, 4, "marketing"),
    Topic("purchase", ("marketing",), "purchase_intent", NEUTRAL, 3, "neutral", "device", ANYWHERE),
    Topic("recommend", ("marketing",), "recommendation_request", NEUTRAL, 3, "neutral", "device", ANYWHERE),
    Topic("campaign", ("marketing",), "campaign", POSITIVE, 3, None, "device", ANYWHERE),
    Topic("press", ("marketing",), "press", NEUTRAL, 0.5, None, "device", (NEWS,), has_context=False, closes=False),
    Topic("irony_support", ("support",), "problem", NEGATIVE, 1.4, "support", is_irony=True),
    Topic("irony_service", ("service",), "complaint", NEGATIVE, 1.2, "service", "device", _NO_STORE, is_irony=True),
    Topic("irony_design", ("design",), "complaint", NEGATIVE, 0.8, "design", is_irony=True),
)
"""An ordinary day."""

OF_INCIDENT: Final[Mapping[str, Topic]] = {
    "outage": Topic("outage", ("support",), "problem", NEGATIVE, details="support", channels=(*ANYWHERE, *STORES)),
    "release": Topic("release", ("support",), "problem", NEGATIVE, 0, "support", "app", (*STORES, *ANYWHERE)),
    "hijack": Topic("hijack", ("service", "marketing"), "complaint", NEGATIVE, 0, "service", "device", ANYWHERE),
    "viral": Topic("viral", ("marketing",), "praise", POSITIVE, 0, "marketing", "device", ANYWHERE),
}
"""What is said more during a scripted incident, by its kind."""

TIP: Final = Topic("tip", (), None, NEUTRAL)
"""What one customer advises another: nobody in the company has to act on it."""
CHEER: Final = Topic("cheer", ("marketing",), "praise", POSITIVE, details="marketing")
OFFICIAL: Final = Topic("official", (), None, NEUTRAL, has_context=False, closes=False)
"""What the company's own accounts answer."""


def metoo(parent: Topic) -> Topic:
    """Return what somebody says who has the same trouble: the departments of what is answered."""
    return Topic("metoo", parent.departments, parent.intent, NEGATIVE, details=parent.details)
