"""The fold of reputation: a brand's state and one event in, the new state and alerts out.

Exactly once in effect: a state carries the last offset applied of each input partition, and what is older is skipped,
so a record that is read twice changes nothing. Time comes in with the events: a pulse of a newer minute or a tick
moves the watermark, and windows are looked at when it moves. Ticks bring the wall clock; while pulses run behind it (a
backlog, a replayed day) by more than `lateness`, a tick stays behind by as much, and does not pull the watermark
ahead of what is to come.
"""

from __future__ import annotations

from pipeline.config.model import AlertRules
from pipeline.contract.events import Alert, Pulse
from pipeline.core.reputation.incidents import evaluate
from pipeline.core.reputation.state import (
    BLOCK,
    FINE,
    MAX_CELLS,
    MAX_SERIES,
    MAX_TERMS,
    MAX_TOP,
    Brand,
    Seen,
    Series,
    add,
    forget,
)
from pipeline.core.reputation.symptoms import DAY, window

PATIENCE = 12  # ticks without a pulse after which the wall clock is believed


def is_new(state: Brand, partition: int, offset: int) -> bool:
    """Whether this record has not been applied yet; remembers it."""
    if offset <= state.offsets.get(partition, -1):
        return False
    state.offsets[partition] = offset
    return True


def pulse(state: Brand, event: Pulse, rules: AlertRules) -> list[Alert]:
    """Count one pulse; look at the windows when it begins a new minute. Changes `state`."""
    keep = _keep(rules)
    state.quiet_ticks = 0
    if event.minute <= state.watermark - keep:
        state.late += event.counts.mentions
        return []
    state.counted += event.counts.mentions
    only_blocks = event.backfill or event.minute <= state.watermark - FINE
    for scope, counts in (
        ("brand", event.counts),
        (f"source:{event.source}", event.counts),
        *((f"campaign:{name}", counts) for name, counts in event.campaigns.items()),
    ):
        series = state.series.get(scope)
        if series is None:
            if len(state.series) >= min(MAX_SERIES, MAX_CELLS // (FINE + keep // BLOCK)):
                continue
            series = state.series[scope] = Series(first=event.minute)
        add(series, event.minute, counts, only_blocks=only_blocks)
    if event.backfill:
        return []
    _remember(state, event)
    state.newest = max(state.newest, event.minute)
    if event.minute <= state.watermark:
        return []
    state.behind = max(0, int(event.sent_at.timestamp() // 60) - event.minute)
    return _advance(state, event.minute, rules)


def tick(state: Brand, minute: int, rules: AlertRules) -> list[Alert]:
    """Let time pass: silence is noticed, incidents are resolved. `minute` is the wall clock's."""
    if not state.newest or minute <= state.watermark:
        return []
    state.quiet_ticks += 1
    if state.quiet_ticks < PATIENCE:
        if state.behind * 60 > rules.lateness:
            minute -= state.behind  # the newest pulse came this late, so will the next
        if minute <= state.watermark or minute - state.watermark > 2 * window(rules):
            return []  # pulses of the time between may still come
    return _advance(state, minute, rules)


def _keep(rules: AlertRules) -> int:
    """Return how many minutes blocks are kept: the baseline, and a day for the rhythm."""
    return max(round(rules.baseline / 60), DAY) + 2 * BLOCK


def _advance(state: Brand, minute: int, rules: AlertRules) -> list[Alert]:
    if not state.watermark:
        state.watermark = minute
        return []
    if minute - state.watermark > _keep(rules):
        state.watermark = minute  # nothing of what is kept is of use any more; incidents end below
    alerts: list[Alert] = []
    # Every minute is looked at, also when time jumps: the result does not depend on how often ticks come.
    for step in range(max(state.watermark + 1, minute - FINE), minute + 1):
        state.watermark = step
        alerts += evaluate(state, rules)
    state.watermark = minute
    forget(state, _keep(rules))
    return alerts


def _remember(state: Brand, event: Pulse) -> None:
    """Keep what an alert may quote: mentions by reach, words, repeated stories."""
    for seen in event.top:
        state.top.append(Seen(event.minute, seen.id, seen.reach, seen.label, seen.url, seen.story))
    if len(state.top) > 4 * MAX_TOP:
        recent = [seen for seen in state.top if seen.minute > state.watermark - FINE]
        state.top = sorted(recent, key=lambda seen: -seen.reach)[: 2 * MAX_TOP]
    block = event.minute // BLOCK
    for kept, counts in ((state.terms, event.terms), (state.stories, event.stories)):
        if counts:
            cell = kept.setdefault(block, {})
            for word, count in counts.items():
                cell[word] = cell.get(word, 0) + count
            if len(cell) > 2 * MAX_TERMS:
                most = sorted(cell.items(), key=lambda item: -item[1])[:MAX_TERMS]
                kept[block] = dict(most)
