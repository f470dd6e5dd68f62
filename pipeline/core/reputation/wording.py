"""An incident in words: a fixed summary, and a description with the figures against the baseline."""

from __future__ import annotations

from collections import Counter
from typing import Final

from pipeline.contract.events import Label, Symptom, Top
from pipeline.core.reputation.state import BLOCK, Brand, total
from pipeline.core.reputation.symptoms import at

SUMMARIES: Final = {
    "ReputationDamage": "Much more negative talk about the brand than usual.",
    "PraiseSurge": "Much more praise for the brand than usual.",
    "MentionsDrop": "Far fewer mentions of the brand than usual.",
}
_WHERE: Final = {"brand": "overall", "source": "on {}", "campaign": "for the campaign {}"}


def describe(state: Brand, symptoms: list[Symptom], started: int, length: int) -> str:
    """Return what happened, where, since when, and what people talk about. No names of authors, no texts."""
    lines = [f"{state.brand}, since {at(started):%Y-%m-%d %H:%M} UTC."]
    lines += [_sentence(symptom) for symptom in sorted(symptoms, key=lambda s: -s.score)[:6]]
    per_source = sources(state, length)
    if per_source:
        named = ", ".join(f"{name} {count}" for name, count in list(per_source.items())[:5])
        lines.append(f"In the last {length} minutes: {named}.")
    if words := terms(state, length):
        lines.append(f"Often said: {', '.join(words[:8])}.")
    if repeated := _repeated(state, length):
        lines.append(repeated)
    return "\n".join(lines)


def _sentence(symptom: Symptom) -> str:
    scope, _, name = symptom.scope.partition(":")
    where = _WHERE[scope].format(name)
    if symptom.kind == "spike":
        times = symptom.value / max(symptom.baseline, 0.01)
        return f"{symptom.value:.1f} mentions a minute {where}, usually {symptom.baseline:.1f} ({times:.1f} times as many)."
    if symptom.kind == "drop":
        return f"{symptom.value:.1f} mentions a minute {where}, usually {symptom.baseline:.1f}."
    if symptom.kind == "negative_share":
        return f"{symptom.value:.0%} are negative {where}, usually {symptom.baseline:.0%}."
    return f"The tone {where} is {symptom.value:+.2f}, usually {symptom.baseline:+.2f}."


def sources(state: Brand, length: int) -> dict[str, int]:
    """Return mentions in the window by source, most first."""
    first = state.watermark - length + 1
    counts = {
        scope.partition(":")[2]: int(total(series, first, state.watermark)[0])
        for scope, series in state.series.items()
        if scope.startswith("source:")
    }
    return dict(sorted(((name, n) for name, n in counts.items() if n), key=lambda item: -item[1]))


def _recent(kept: dict[int, dict[str, int]], watermark: int, length: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for block, counts in kept.items():
        if block >= (watermark - length) // BLOCK:
            found.update(counts)
    return found


def terms(state: Brand, length: int) -> tuple[str, ...]:
    """Return the words of the window, most frequent first."""
    return tuple(word for word, _ in _recent(state.terms, state.watermark, length).most_common(10))


def _repeated(state: Brand, length: int) -> str | None:
    stories = _recent(state.stories, state.watermark, length)
    said = int(total(state.series["brand"], state.watermark - length + 1, state.watermark)[0]) if stories else 0
    most = stories.most_common(1)
    if most and said and most[0][1] >= 5 and most[0][1] >= 0.2 * said:
        return f"{most[0][1]} of {said} say the same in nearly the same words."
    return None


def top(state: Brand, length: int) -> tuple[Top, ...]:
    """Return the mentions of the window that reached most people, each once."""
    recent = {seen.id: seen for seen in state.top if seen.minute > state.watermark - length}
    return tuple(
        Top(id=seen.id, reach=seen.reach, label=Label(seen.label), url=seen.url, story=seen.story)
        for seen in sorted(recent.values(), key=lambda seen: (-seen.reach, seen.id))[:5]
    )
