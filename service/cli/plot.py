"""A sweep's curve as an SVG drawing: bits per weight to the right, distortion upwards, the chosen point marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from cabacus.report import Curve, CurvePoint

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 30, 50
TICKS = 5
INK, LINE, CHOSEN = "#222", "#2b6cb0", "#c53030"


def svg(curve: Curve) -> str:
    """Draw the points of the sweep over their rate: the SNR, or the distortion where a point has no error at all."""
    finite = all(math.isfinite(point.snr_db) for point in curve.points)
    label = "SNR (dB)" if finite else "weighted distortion"

    def height(point: CurvePoint) -> float:
        return point.snr_db if finite else point.weighted_distortion

    points = sorted(curve.points, key=lambda point: (point.bits_per_weight, height(point)))
    across = _Axis([point.bits_per_weight for point in points], LEFT, WIDTH - RIGHT)
    upward = _Axis([height(point) for point in points], HEIGHT - BOTTOM, TOP)
    places = [(across(point.bits_per_weight), upward(height(point)), point) for point in points]
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_grid(across, upward),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">bits per weight</text>',
        f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">{label}</text>',
        f'<polyline fill="none" stroke="{LINE}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)}"/>',
    ]
    for x, y, point in places:
        chosen = point.s == curve.best_s
        colour, radius = (CHOSEN, 5) if chosen else (LINE, 2.5)
        title = f"S = {point.s}: {point.bytes} bytes, {point.bits_per_weight:.3f} bits per weight"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"><title>{title}</title></circle>')
        if chosen:
            anchor = "end" if x > WIDTH / 2 else "start"
            parts.append(
                f'<text x="{x:.1f}" y="{y - 10:.1f}" text-anchor="{anchor}" fill="{CHOSEN}">'
                f"S = {point.s}, best by {escape(curve.criterion)}</text>"
            )
    return "\n".join([*parts, "</svg>"])


class _Axis:
    """Maps values to places between two ends."""

    def __init__(self, values: Sequence[float], first: float, last: float) -> None:
        low, high = min(values), max(values)
        margin = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
        self.low, self.high = low - margin, high + margin
        self._first, self._last = first, last

    def __call__(self, value: float) -> float:
        return self._first + (value - self.low) / (self.high - self.low) * (self._last - self._first)

    def ticks(self) -> list[float]:
        """Values at even distances."""
        return [self.low + (self.high - self.low) * part / (TICKS - 1) for part in range(TICKS)]


def _grid(across: _Axis, upward: _Axis) -> list[str]:
    lines = []
    for value in across.ticks():
        x = across(value)
        lines.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        lines.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:.3g}</text>')
    for value in upward.ticks():
        y = upward(value)
        lines.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    return lines
