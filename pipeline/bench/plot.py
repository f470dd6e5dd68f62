"""Bars as SVG: a picture of a benchmark without a plotting library."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

WIDTH: Final = 720
BAR: Final = 26
GAP: Final = 10
LEFT: Final = 190
HEAD: Final = 46


def bars(title: str, values: Mapping[str, float], *, unit: str, marked: str) -> str:
    """Return an SVG picture: a bar a value, in the order given, `marked` in another colour."""
    longest = max(values.values(), default=1.0) or 1.0
    height = HEAD + len(values) * (BAR + GAP) + GAP
    rows = []
    for number, (name, value) in enumerate(values.items()):
        top = HEAD + number * (BAR + GAP)
        length = (WIDTH - LEFT - 110) * value / longest
        colour = "#2f7d4f" if name == marked else "#9aa5b1"
        middle = top + BAR * 0.7
        rows.append(
            f'<text x="{LEFT - 10}" y="{middle:.0f}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>'
            f'<text x="{LEFT + length + 8:.1f}" y="{middle:.0f}">{value:,.2f} {escape(unit)}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="sans-serif" font-size="15" fill="#222">'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
        f'<text x="{GAP}" y="28" font-size="17" font-weight="bold">{escape(title)}</text>{"".join(rows)}</svg>\n'
    )
