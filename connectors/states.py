"""What a source is doing, for people: one of a closed set of states, a metric, and a log line when it changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any

import structlog

from pipeline.contract.metrics import Metrics

OnState = Callable[[str, str, str | None], None]


class SourceState(StrEnum):
    """The values of the label `state` of earshot_source_state."""

    STARTING = "starting"
    LISTENING = "listening"
    WAITING = "waiting"  # for a rate limit, or for Kafka
    UNREACHABLE = "unreachable"  # tried again
    REFUSED = "refused"  # needs a person; tried again now and then
    FAILED = "failed"  # an error of ours
    STOPPED = "stopped"


LOST = (SourceState.UNREACHABLE, SourceState.REFUSED, SourceState.FAILED)


class StateOf:
    """The state of one source. Says once when a source is lost, and once when it is back."""

    def __init__(
        self,
        connector: str,
        metrics: Metrics,
        on_state: OnState | None,
        *,
        log: Any = None,
        clock: Callable[[], datetime],
    ) -> None:
        self.connector = connector
        self.state = SourceState.STOPPED
        self.reason: str | None = None
        self._metrics = metrics
        self._on_state = on_state
        self._log = log or structlog.get_logger(__name__)
        self._clock = clock
        self._lost_at: datetime | None = None
        for state in SourceState:
            metrics.source_state.labels(connector, state.value).set(0)

    def to(self, state: SourceState, reason: str | None = None) -> None:
        """Change the state; the same one again with another reason is told, but not logged."""
        if (state, reason) == (self.state, self.reason):
            return
        if state is not self.state:
            self._metrics.source_state.labels(self.connector, self.state.value).set(0)
            self._metrics.source_state.labels(self.connector, state.value).set(1)
            self._say(state, reason)
        self.state, self.reason = state, reason
        if self._on_state is not None:
            self._on_state(self.connector, state.value, reason)

    def _say(self, state: SourceState, reason: str | None) -> None:
        if state in LOST and self._lost_at is None:
            self._lost_at = self._clock()
            self._log.warning("source lost", connector=self.connector, state=state.value, reason=reason)
        elif state is SourceState.LISTENING and self._lost_at is not None:
            lost_for = (self._clock() - self._lost_at).total_seconds()
            self._lost_at = None
            self._log.info("source back", connector=self.connector, lost_for_seconds=round(lost_for, 1))
