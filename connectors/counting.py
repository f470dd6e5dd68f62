"""What is counted of a page once it is committed: received = published + repeated + dead-lettered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connectors.page import Page
from pipeline.contract.events import Mention, Reason
from pipeline.contract.metrics import Metrics


def committed(metrics: Metrics, log: Any, name: str, page: Page, fresh: Sequence[Mention], *, is_past: bool) -> None:
    """Move the metrics of the source `name`; say what could not be read and what was missed.

    `fresh` are the mentions of the page that were new. The age of what a backfill asks for (`is_past`) is no delay.
    """
    metrics.mentions_received.labels(name).inc(len(page.mentions) + len(page.rejected))
    metrics.mentions_published.labels(name).inc(len(fresh))
    metrics.mentions_repeated.labels(name).inc(len(page.mentions) - len(fresh))
    if page.rejected:
        metrics.dead_letters.labels("connectors", Reason.INVALID.value).inc(len(page.rejected))
        log.warning("parts of an answer could not be read", count=len(page.rejected), why=page.rejected[0].error)
    if page.gap is not None:
        seconds = max(0.0, (page.gap.until - page.gap.since).total_seconds())
        metrics.source_gap_seconds.labels(name).inc(seconds)
        log.warning("gap", reason=page.gap.reason, seconds=round(seconds, 1))
    if not fresh:
        return
    metrics.source_last_mention.labels(name).set(max(mention.created_at for mention in fresh).timestamp())
    for mention in fresh if not is_past else ():
        delay = (mention.collected_at - mention.created_at).total_seconds()
        metrics.source_delay.labels(name).observe(max(0.0, delay))
