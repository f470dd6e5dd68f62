"""How complete is what we hear of a source: what is told on the topic coverage, and the metrics of it.

Expected is what the source itself says there is, and besides what is usual by its own rhythm. Gaps are told at once,
counts every minute while there is something new, and every hour when there is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from connectors.rhythm import UNKNOWN, Rhythm
from pipeline.contract.events import Checkpoint, Coverage, Mention
from pipeline.contract.metrics import Metrics

if TYPE_CHECKING:
    from connectors.base import Page
    from connectors.http import Http

COVERAGE_EVERY: Final = 60.0  # seconds between two records of a source that has something new
QUIET_EVERY: Final = 3600.0  # and of one that has not


class Hearing:
    """What one source has let us hear, and what it would have had."""

    def __init__(self, connector: str, source: str, metrics: Metrics) -> None:
        self._connector = connector
        self._source = source
        self._metrics = metrics
        self._seen = 0
        self._limited = 0.0
        self._told_at: datetime | None = None
        self._walked = 0  # mentions of the pages of one walk, up to the one that is not full
        self._expected: int | None = None
        self._empty_since: datetime | None = None
        self.rhythm = Rhythm()
        self.newest_at: datetime | None = None
        metrics.source_gap_seconds.labels(connector)
        metrics.source_limited_seconds.labels(connector)

    def resume(self, checkpoint: Checkpoint | None) -> None:
        """Take up what a checkpoint says."""
        if checkpoint is None:
            return
        hours = checkpoint.rhythm if len(checkpoint.rhythm) == 24 else (UNKNOWN,) * 24
        self.rhythm = Rhythm(hours, checkpoint.rhythm_at, checkpoint.this_hour, checkpoint.quiet)
        self.newest_at = checkpoint.newest_at
        if self.newest_at is not None:
            self._metrics.source_last_mention.labels(self._connector).set(self.newest_at.timestamp())

    def onto(self, checkpoint: Checkpoint) -> Checkpoint:
        """Return the checkpoint with what must be known after a restart."""
        return msgspec.structs.replace(
            checkpoint,
            newest_at=self.newest_at,
            rhythm=tuple(round(hour, 4) for hour in self.rhythm.hours) if self.rhythm.at else (),
            rhythm_at=self.rhythm.at,
            this_hour=round(self.rhythm.this_hour, 4),
            quiet=round(self.rhythm.quiet, 4),
        )

    def limited(self, seconds: float) -> None:
        """Note that a rate limit or a budget did not let us ask for so long."""
        self._limited += seconds
        self._metrics.source_limited_seconds.labels(self._connector).inc(seconds)

    def told(self, page: Page, fresh: Sequence[Mention], now: datetime) -> list[Coverage]:
        """Count an answer, and return what is to be told now."""
        new = len(fresh)
        self._seen += new
        self.rhythm = self.rhythm.after(new, now)
        newest = max((one.created_at for one in fresh), default=None)
        self.newest_at = max((at for at in (self.newest_at, newest) if at is not None), default=None)
        self._walk(page)
        since = None if self._told_at is None else (now - self._told_at).total_seconds()
        is_time = (self._seen > 0 and (since is None or since >= COVERAGE_EVERY)) or (
            since is not None and since >= QUIET_EVERY
        )
        if self._told_at is None and not is_time:
            self._told_at = now  # the first hour of silence begins here
        if page.gap is None and not is_time:
            return []
        usual = self.rhythm.usual(self._told_at, now) if self.rhythm.is_known and self._told_at is not None else None
        whole = Coverage(
            connector=self._connector,
            source=self._source,
            at=now,
            seen=self._seen,
            expected=page.expected,
            usual=None if usual is None else round(usual, 2),
            newest_at=self.newest_at,
            limited_seconds=round(self._limited, 1),
            gap_from=page.gap.since if page.gap else None,
            gap_until=page.gap.until if page.gap else None,
            reason=page.gap.reason if page.gap else None,
        )
        parts = [
            Coverage(
                connector=self._connector, source=self._source, at=now, query=query[:200], seen=seen, expected=expected
            )
            for query, (seen, expected) in page.queries.items()
        ]
        self._seen, self._limited, self._told_at = 0, 0.0, now
        return [whole, *parts]

    def _walk(self, page: Page) -> None:
        self._walked += len(page.mentions)
        if page.expected is not None:
            self._expected = max(page.expected, self._expected or 0)
        if not page.is_full:
            if self._expected is not None:
                share = min(1.0, self._walked / self._expected) if self._expected else 1.0
                self._metrics.source_coverage.labels(self._connector).set(share)
            self._walked, self._expected = 0, None

    def answered(self, http: Http, is_new: bool, now: datetime) -> None:
        """Move the metrics of silence and of what is left, after an answer."""
        metrics, name = self._metrics, self._connector
        if is_new or self._empty_since is None:
            self._empty_since = now
        metrics.source_empty_seconds.labels(name).set(0 if is_new else (now - self._empty_since).total_seconds())
        metrics.source_missed.labels(name).set(self.rhythm.quiet)
        shares = []
        known = http.quota
        if known is not None and known.share is not None and known.reset_at > now:
            shares.append(known.share)
        for limit, used in http.account.ledger.used():
            metrics.source_used.labels(name, limit.name).set(used)
            metrics.source_limit.labels(name, limit.name).set(limit.most)
            shares.append(max(0.0, 1 - used / limit.most) if limit.most > 0 and math.isfinite(limit.most) else 0.0)
        if shares:
            metrics.source_quota.labels(name).set(min(shares))
