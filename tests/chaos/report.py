"""The account as a table for people."""

from __future__ import annotations

from collections.abc import Mapping

from tests.chaos.run import Result


def table(result: Result) -> str:
    """Return everything that was counted, and what is wrong with it."""
    plan = result.plan
    lines = [
        (
            f"chaos: seed {plan.seed}, {plan.brokers} broker(s), {plan.minutes:g} minutes, {plan.rate:g} lines a second, "
            f"{plan.workers} workers of each role; {sum(result.faults.values())} faults"
        ),
        "",
        *_rows("account", result.account.sums),
        *_rows("faults", result.faults),
        *_rows("fail points reached", result.points),
        *_rows("not done here", result.skipped),
        "",
        "longest time without a committed record on mentions-enriched, in seconds, whole topic | a partition of it",
        *(
            f"  {kind:<48} {found['whole']:>6.1f} | {found['a partition']:>6.1f}"
            for kind, found in sorted(result.standstill.items())
        ),
        *_rows("longest standstill in seconds", result.longest),
        *_rows("longest orderly stop in seconds", result.longest_stop),
        *_rows("ends nobody asked for, by exit code", result.ended),
        *_rows("versions", result.versions),
        "",
        f"came to rest {result.rest_seconds:g} s after the last fault",
    ]
    for what, examples in result.account.examples.items():
        lines += [f"WRONG: {what}: {result.account.wrong[what]}", *(f"    {one}" for one in examples)]
    lines += [f"WRONG: {role} took {took} s to end (exit code {code})" for role, took, code in result.slow_stops]
    lines += [f"WRONG: not restarted: {one}" for one in result.failed]
    lines += [f"could not be done: {one}" for one in result.errors]
    if result.is_too_slow:
        lines.append("WRONG: a worker's death held everything up for too long")
    lines.append("nothing lost, nothing duplicated, nothing wrong" if result.is_well else "NOT WELL")
    return "\n".join(lines)


def _rows(title: str, found: Mapping[str, object]) -> list[str]:
    if not found:
        return []
    return ["", title, *(f"  {name:<48} {value!s:>10}" for name, value in found.items())]
