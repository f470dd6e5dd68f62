"""Bars and curves as SVG: pictures of benchmarks without a plotting library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final, NamedTuple

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


PANEL: Final = 360  # width of one picture of curves
PLOT_LEFT, PLOT_TOP, PLOT_WIDTH, PLOT_HEIGHT = 56, 56, 250, 210
COLOURS: Final = ("#2f7d4f", "#9aa5b1", "#c0562f", "#3f6fb5", "#8a5fb0", "#b59a2f", "#444444", "#2fa0a5")


class Panel(NamedTuple):
    """Curves over the same axes, both logarithmic. `lines`: name -> x -> y, all of them above 0."""

    title: str
    x_unit: str
    lines: Mapping[str, Mapping[float, float]]


def curves(panels: Sequence[Panel]) -> str:
    """Return an SVG picture: the panels side by side, a line each curve with a dot where it was measured.

    On logarithmic axes a cost that grows with x itself rises as steeply as the axes do, and one that does not is flat.
    """
    height = PLOT_TOP + PLOT_HEIGHT + 40 + 18 * max((len(panel.lines) for panel in panels), default=0)
    width = PANEL * max(1, len(panels))
    drawn = "".join(
        f'<g transform="translate({number * PANEL},0)">{_panel(panel)}</g>' for number, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12" fill="#222"><rect width="{width}" height="{height}" fill="#ffffff"/>'
        f"{drawn}</svg>\n"
    )


def _panel(panel: Panel) -> str:
    points = [point for line in panel.lines.values() for point in line.items()]
    left, right = _decades(x for x, _ in points)
    low, high = _decades(y for _, y in points)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            PLOT_LEFT + PLOT_WIDTH * (log10(x) - left) / (right - left),
            PLOT_TOP + PLOT_HEIGHT * (1 - (log10(y) - low) / (high - low)),
        )

    parts = [f'<text x="12" y="24" font-size="15" font-weight="bold">{escape(panel.title)}</text>']
    for power in range(left, right + 1):
        x, _ = place(10.0**power, 10.0**low)
        parts.append(f'<path d="M{x:.1f} {PLOT_TOP}v{PLOT_HEIGHT}" stroke="#e3e6ea"/>')
        parts.append(f'<text x="{x:.1f}" y="{PLOT_TOP + PLOT_HEIGHT + 16}" text-anchor="middle">{10**power:,}</text>')
    for power in range(low, high + 1):
        _, y = place(10.0**left, 10.0**power)
        parts.append(f'<path d="M{PLOT_LEFT} {y:.1f}h{PLOT_WIDTH}" stroke="#e3e6ea"/>')
        parts.append(f'<text x="{PLOT_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    foot = PLOT_TOP + PLOT_HEIGHT + 34
    parts.append(
        f'<text x="{PLOT_LEFT + PLOT_WIDTH / 2}" y="{foot}" text-anchor="middle">{escape(panel.x_unit)}</text>'
    )
    for number, (name, line) in enumerate(panel.lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [place(x, y) for x, y in sorted(line.items())]
        way = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path d="M{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        below = foot + 18 * (number + 1)
        parts.append(f'<rect x="{PLOT_LEFT}" y="{below - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{PLOT_LEFT + 16}" y="{below}">{escape(name)}</text>')
    return "".join(parts)


def _decades(values: Iterable[float]) -> tuple[int, int]:
    """Return the powers of ten around the values, at least one decade apart."""
    logs = [log10(value) for value in values]
    low, high = floor(min(logs, default=0.0)), ceil(max(logs, default=1.0))
    return low, max(high, low + 1)
