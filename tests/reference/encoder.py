"""The other direction of the lane coder, for vectors: FORMAT.md, the end of section 5.5."""

from __future__ import annotations

from collections.abc import Sequence

from reference.container import Coding
from reference.levels import walk


class LaneEncoder:
    """Every lane's code is one number, which grows by a word whenever a decoder would take one; Python carries."""

    def __init__(self, lanes: int) -> None:
        self.low = [0] * lanes
        self.range = [1 << 16] * lanes
        self.order = list(range(lanes))  # the lane that takes each word

    def code(self, lane: int, probability: int, wanted: int) -> int:
        bound = (self.range[lane] >> 12) * probability
        if wanted:
            self.range[lane] = bound
        else:
            self.range[lane] -= bound
            self.low[lane] += bound
        if self.range[lane] < 1 << 16:
            self.range[lane] <<= 16
            self.low[lane] <<= 16
            self.order.append(lane)
        return wanted

    def finish(self) -> bytes:
        numbers = [-(-low >> 16) << 16 for low in self.low]
        counts = [self.order.count(lane) for lane in range(len(numbers))]
        words = []
        for lane in self.order:
            counts[lane] -= 1
            words.append(numbers[lane] >> 16 * counts[lane] & 0xFFFF)
        while words and words[-1] == 0:
            words.pop()
        return b"".join(word.to_bytes(2, "little") for word in words)


def encode_slice(coding: Coding, coded: Sequence[int], row_width: int) -> bytes:
    """A slice of levels as they are coded (not the multiples of a trellis), without its checksum."""
    coder = LaneEncoder(min(-(-len(coded) // row_width), coding.lanes))
    walk(coder, coding, len(coded), row_width, coded)
    return coder.finish()
