"""The curve as an SVG drawing: size to the right, score upwards, a line for each rate weight, the best point marked."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

from cabacus.tuning.result import Tuning, TuningPoint

__all__ = ["svg"]

WIDTH, HEIGHT = 680, 420
LEFT, RIGHT, TOP, BOTTOM = 80, 130, 30, 50
TICKS = 5


def svg(tuning: Tuning) -> str:
    """Draw the points, and as a dashed line the least score that is allowed."""
    least = tuning.reference - tuning.max_loss
    across = _Axis([tuning.percent(point.bytes) for point in tuning.points], LEFT, WIDTH - RIGHT)
    upward = _Axis([least, tuning.reference, *(point.score for point in tuning.points)], HEIGHT - BOTTOM, TOP)
    weights = sorted({point.rate_weight for point in tuning.points})
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for value, x in across.ticks():
        parts.append(_line(x, TOP, x, HEIGHT - BOTTOM, "#ddd"))
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:.3g}</text>')
    for value, y in upward.ticks():
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y, "#ddd"))
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.5g}</text>')
    parts.append(_line(LEFT, upward(least), WIDTH - RIGHT, upward(least), "#888", ' stroke-dasharray="4 3"'))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    label = "size, % of the original"
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{label}</text>')
    parts.append(f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">score</text>')
    for number, weight in enumerate(weights):
        colour = _colour(number / len(weights))
        points = [point for point in tuning.points if point.rate_weight == weight]
        places = [(across(tuning.percent(point.bytes)), upward(point.score), point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        parts.append(f'<polyline fill="none" stroke="{colour}" points="{path}"/>')
        parts += [_dot(x, y, point, colour, point == tuning.best) for x, y, point in places]
        y = TOP + 16 * (number + 1)
        parts.append(f'<text x="{WIDTH - RIGHT + 12}" y="{y}" fill="{colour}">rate weight {weight:g}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Axis:
    """Maps values to places between two ends."""

    def __init__(self, values: Sequence[float], first: float, last: float) -> None:
        low, high = min(values), max(values)
        margin = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
        self._low, self._span = low - margin, high - low + 2 * margin
        self._first, self._last = first, last

    def __call__(self, value: float) -> float:
        return self._first + (value - self._low) / self._span * (self._last - self._first)

    def ticks(self) -> list[tuple[float, float]]:
        """Values at even distances, and their places."""
        values = [self._low + self._span * part / (TICKS - 1) for part in range(TICKS)]
        return [(value, self(value)) for value in values]


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{more}/>'


def _dot(x: float, y: float, point: TuningPoint, colour: str, best: bool) -> str:
    title = f"{point.named}: {point.bytes} bytes, score {point.score:.6g}"
    look = 'r="5" stroke="#000" stroke-width="2"' if best else 'r="2.5"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" {look} fill="{colour}"><title>{title}</title></circle>'


def _colour(place: float) -> str:
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(0.6 + 0.7 * place, 0.4, 0.7))
    return f"#{red:02x}{green:02x}{blue:02x}"
