"""What can be set, and the scenario it stands for."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from connectors.base import PollingSettings
from connectors.simulator.incidents import Incident, IncidentKind
from connectors.simulator.script import Scenario
from connectors.simulator.threads import Habits
from connectors.simulator.world import LANGUAGES, PRODUCTS
from pipeline.config.model import Duration, seconds
from pipeline.contract.events import Share

FIRST_LOOK: Final = -600.0  # seconds before the first start, so that there is something to see at once
DAY: Final = 86_400.0
_NAMES: Final = tuple(product.name for product in PRODUCTS)


def _moment(value: object) -> object:
    """Read `40m`, `-1d`, a number of seconds, or an instant."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if not isinstance(value, str):
        return value
    offset = re.fullmatch(r"\s*([+-]?)\s*(\d+(?:\.\d+)?\s*(?:ms|s|m|h|d|w))\s*", value)
    if offset:
        return float(str(seconds(offset[2].replace(" ", "")))) * (-1 if offset[1] == "-" else 1)
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError("write an offset such as 40m or -1d, or an instant such as 2026-11-24T09:30:00Z") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


Moment = Annotated[float | datetime, BeforeValidator(_moment, json_schema_input_type=float | str)]


class IncidentSettings(BaseModel):
    """One scripted incident."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, populate_by_name=True)

    kind: IncidentKind
    """outage, release (an update that broke the app), hijack (of the campaign's tag) or viral (praise)."""
    at: Moment
    """When it begins: an offset from `start`, or an instant."""
    lasts: Duration = Field(default=1800.0, ge=60, alias="for")
    """How long it lasts, in simulated time."""
    strength: float = Field(default=4.0, gt=0, le=100)
    """How many times the usual volume comes on top of it."""


class SimulatorSettings(PollingSettings):
    """What the made-up company goes through."""

    seed: int = Field(default=1, ge=0, lt=1 << 32)
    """The same seed and start give the same mentions."""
    rate: float = Field(default=1200.0, gt=0, le=600_000)
    """Mentions an hour before answers and copies, at the mean of a week; the night has a fifth of it, the evening twice."""
    speed: float = Field(default=1.0, ge=1, le=3600)
    """How fast simulated time runs until it has caught up with now; from then on it is now."""
    start: Moment | None = None
    """Where simulated time begins: an offset from the first start of this source, or an instant."""
    until: Moment | None = None
    """When nothing is said any more: an offset from `start`, or an instant; unset means never."""
    incidents: list[IncidentSettings] = Field(default_factory=list)
    """Scripted incidents: `{kind: outage, at: 40m, for: 20m, strength: 4}`."""
    products: list[str] = Field(default_factory=list)
    """Only these products are talked about; empty means all."""
    languages: dict[str, float] = Field(default_factory=lambda: dict(LANGUAGES))
    """Share of each language."""
    authors: int = Field(default=4000, ge=50, le=200_000)
    """How many people there are."""
    spam: Share = 0.05
    """Share of spam."""
    unrelated: Share = 0.02
    """Share of mentions that have nothing to do with the company."""
    replies: float = Field(default=0.25, ge=0, le=3)
    """Answers a mention gets on average."""
    copies: Share = 0.03
    """Share of mentions that somebody repeats, word for word or nearly."""
    edits: Share = 0.02
    """Share of mentions that are edited later."""
    deletions: Share = 0.01
    """Share of mentions that are deleted later."""
    page_size: int = Field(default=500, ge=1, le=2000)
    """Mentions in a page at the most."""
    poll_interval: Duration = Field(default=1.0, ge=0.05)
    slowest_poll: Duration = Field(default=5.0, ge=0.05)

    @field_validator("products")
    @classmethod
    def _products_exist(cls, given: list[str]) -> list[str]:
        wrong = [name for name in given if name not in _NAMES]
        if wrong:
            raise ValueError(f"there is no product {', '.join(wrong)}; there are: {', '.join(_NAMES)}")
        return given

    @field_validator("languages")
    @classmethod
    def _languages_exist(cls, given: dict[str, float]) -> dict[str, float]:
        wrong = [name for name, share in given.items() if name not in LANGUAGES or not 0 < share <= 1_000]
        if wrong or not given:
            raise ValueError(f"name one or more of {', '.join(LANGUAGES)}, each with a share above 0")
        return given

    def first_minute(self, now: datetime) -> int:
        """Return the epoch minute in which simulated time begins when the source is first started now."""
        start: Any = self.start
        if start is None:
            start = FIRST_LOOK if self.speed == 1 else -DAY
        return _minute(start, int(now.timestamp() // 60))

    def scenario(self, first: int) -> Scenario:
        """Return the scenario that begins in this epoch minute."""
        shares = tuple(sorted(self.languages.items(), key=lambda pair: (-pair[1], pair[0])))
        return Scenario(
            seed=self.seed,
            starts=first,
            ends=None if self.until is None else _minute(self.until, first),
            rate=self.rate,
            incidents=tuple(
                Incident(
                    name=f"{one.kind}-{place}",
                    kind=one.kind,
                    starts=max(first, _minute(one.at, first)),
                    minutes=max(1, round(one.lasts / 60)),
                    strength=one.strength,
                )
                for place, one in enumerate(self.incidents, 1)
            ),
            products=tuple(self.products) or _NAMES,
            languages=shares,
            authors=self.authors,
            spam=self.spam,
            unrelated=self.unrelated,
            habits=Habits(edits=self.edits, deletions=self.deletions, copies=self.copies, replies=self.replies),
        )


def _minute(moment: float | datetime, origin: int) -> int:
    """Return the epoch minute of an instant, or of an offset in seconds from the epoch minute `origin`."""
    if isinstance(moment, datetime):
        return int(moment.timestamp() // 60)
    return origin + int(moment // 60)
