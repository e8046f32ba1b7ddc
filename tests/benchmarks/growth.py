"""A plot as SVG, made of lines and text: what a message costs as the number of authorities grows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 170, 40, 50
COLOURS = ("#1f5fa8", "#b3431e", "#3b7d3b", "#6b4a9c")
TICKS = 5

Points = Sequence[tuple[float, float]]


def nice(most: float) -> float:
    """The next round number (1, 2, 5 times a power of ten) that is not below ``most``."""
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most)


def plot(series: Mapping[str, Points], *, title: str, x: str, y: str) -> str:
    """Each series as a line with its points; x is logarithmic, y begins at 0."""
    xs = [math.log10(at) for points in series.values() for at, _ in points]
    top = nice(max(value for points in series.values() for _, value in points))
    low, span = min(xs), (max(xs) - min(xs)) or 1.0

    def across(at: float) -> float:
        return LEFT + (math.log10(at) - low) / span * (WIDTH - LEFT - RIGHT)

    def down(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        _text(LEFT, TOP - 16, title, "start", 15),
        _text(LEFT, HEIGHT - 10, x, "start"),
        _text(8, TOP - 16, y, "start"),
    ]
    for number in range(TICKS + 1):
        value = top * number / TICKS
        parts.append(_line([(LEFT, down(value)), (WIDTH - RIGHT, down(value))], "#dddddd", 1))
        parts.append(_text(LEFT - 8, down(value) + 4, f"{value:g}", "end"))
    marks = sorted({at for points in series.values() for at, _ in points})
    parts.extend(_text(across(at), HEIGHT - BOTTOM + 18, f"{at:g}", "middle") for at in marks)
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        drawn = [(across(at), down(value)) for at, value in sorted(points)]
        parts.append(_line(drawn, colour, 2))
        parts.extend(f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="3.5" fill="{colour}"/>' for cx, cy in drawn)
        parts.append(_text(drawn[-1][0] + 10, drawn[-1][1] + 4, name, "start", colour=colour))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def _line(points: Points, colour: str, width: float) -> str:
    joined = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
    return f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'


def _text(x: float, y: float, text: str, anchor: str, size: int = 12, *, colour: str = "#222222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}">{escape(text)}</text>'
    )
