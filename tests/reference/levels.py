"""The lane coder: FORMAT.md, section 5.

`walk` names every bin of a slice once, in the order of the stream; a coder (decoder or encoder) turns each into bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reference.container import Coding
from reference.reading import require

GREATEST = (1 << 31) - 1
HALF = 2048  # P(1) of a bypass bin, in 2^-12

QUANTIZER = {4: (0, 0, 1, 1), 8: (0, 1, 0, 1, 0, 1, 0, 1)}
NEXT = {
    4: ((0, 2), (2, 0), (1, 3), (3, 1)),
    8: ((0, 1), (3, 2), (5, 4), (6, 7), (1, 0), (2, 3), (4, 5), (7, 6)),
}


def bits(number: int) -> int:
    return number.bit_length()


def log8(number: int) -> int:
    """8 log2 of a number, rounded down to eighths between powers of two."""
    number = max(number, 1)
    octave = bits(number) - 1
    return 8 * octave + (8 * (number - (1 << octave)) >> octave)


def divide(dividend: int, divisor: int) -> int:
    """Division rounded towards zero, as the format's `/`."""
    return dividend // divisor if dividend >= 0 else -(-dividend // divisor)


class BinCoder(Protocol):
    """`wanted` is the bin to encode; a decoder does not look at it."""

    def code(self, lane: int, probability: int, wanted: int) -> int: ...


class LaneDecoder:
    """Section 5.5: a range and a code for every lane, and one sequence of words for all."""

    def __init__(self, data: bytes, lanes: int) -> None:
        require(len(data) % 2 == 0, "a slice is no sequence of words")
        self.words = [int.from_bytes(data[place : place + 2], "little") for place in range(0, len(data), 2)]
        require(not self.words or self.words[-1] != 0, "the last word is 0")
        self.taken = 0
        self.range = [1 << 16] * lanes
        self.value = [self.next_word() for _ in range(lanes)]

    def next_word(self) -> int:
        self.taken += 1
        return self.words[self.taken - 1] if self.taken <= len(self.words) else 0

    def code(self, lane: int, probability: int, wanted: int) -> int:
        bound = (self.range[lane] >> 12) * probability
        bin = int(self.value[lane] < bound)
        if bin:
            self.range[lane] = bound
        else:
            self.range[lane] -= bound
            self.value[lane] -= bound
        if self.range[lane] < 1 << 16:
            self.range[lane] <<= 16
            self.value[lane] = self.value[lane] << 16 | self.next_word()
        return bin

    def finish(self) -> None:
        require(self.taken >= len(self.words), "words are left over")
        require(all(value < 1 << 16 for value in self.value), "a lane does not end where its number does")


class Context:
    """P(1), what the block saw, and the counts so far. Section 5.4."""

    def __init__(self) -> None:
        self.p = HALF
        self.seen = [0, 0]
        self.ones = 0
        self.total = 0

    def count(self) -> bool:
        """Move what the block saw into the counts; whether there was anything."""
        zeros, ones = self.seen
        self.seen = [0, 0]
        self.ones += 16 * ones
        self.total += 16 * (zeros + ones)
        if zeros + ones and self.total > 32768:
            self.ones = (32768 * self.ones + self.total // 2) // self.total
            self.total = 32768
        return zeros + ones > 0

    def lean_on(self, average: int, weight: int) -> None:
        p16 = (65536 * self.ones + weight * average) // (self.total + weight)
        self.p = min(max(p16 + 8 >> 4, 1), 4095)


class Model:
    """The contexts of a slice, renewed at the ends of blocks."""

    def __init__(self, coding: Coding) -> None:
        unary_bins = 1 + coding.flags + coding.prefixes
        self.unary = [[Context() for _ in range(16)] for _ in range(unary_bins)]
        self.sign = [Context() for _ in range(16)]
        self.suffix = [[Context() for _ in range(3)] for _ in range(coding.prefixes + 1)]
        self.start = coding.start or (32768,) * unary_bins
        self.start_weight, self.average_weight = (2048, 512) if coding.start else (12, 128)
        self.block = 4
        self.steps_left = self.block
        self.renew_unary()

    def end_of_step(self) -> None:
        self.steps_left -= 1
        if self.steps_left > 0:
            return
        for context in [context for classes in self.unary for context in classes]:
            context.count()
        self.renew_unary()
        for context in [*self.sign, *(context for nodes in self.suffix for context in nodes)]:
            if context.count():
                context.lean_on(32768, 64)
        self.block = min(2 * self.block, 32)
        self.steps_left = self.block

    def renew_unary(self) -> None:
        for classes, start in zip(self.unary, self.start, strict=True):
            ones = sum(context.ones for context in classes)
            total = sum(context.total for context in classes)
            average = (65536 * ones + self.start_weight * start) // (total + self.start_weight)
            for context in classes:
                context.lean_on(average, self.average_weight)


class Magnitudes:
    """The running magnitudes from which the classes follow: section 5.3."""

    def __init__(self, coding: Coding, row_width: int) -> None:
        self.coding = coding
        self.slice = 1 << (coding.class_floor + 10 >> 1)
        self.row = [0] * coding.lanes
        self.column = [0] * row_width
        self.mean = [0] * row_width  # of the signs

    def begin_group(self) -> None:
        self.row = [self.slice] * self.coding.lanes

    def lane_class(self, lane: int, group: int, column: int) -> int:
        """The class for sets 1 to 3, before the trellis."""
        x = log8(self.slice) if group == 0 else log8(self.column[column])
        eighths = {
            1: log8(self.row[lane]),
            2: x,
            3: log8(self.row[lane]) + x - log8(self.slice),
        }[self.coding.context]
        return min(max((eighths >> 2) - self.coding.class_floor, 0), 15)

    def bias(self, group: int, column: int) -> int:
        if group == 0 or self.coding.context < 2:
            return 0
        mean = self.mean[column]
        if mean < 0:
            return 2 if mean < -80 else 1 if mean < -40 else 0
        return 4 if mean > 80 else 3 if mean > 40 else 0

    def end_of_step(self, group: int, column: int, levels: Sequence[int]) -> None:
        magnitudes = [min(abs(level), 4095) for level in levels]
        for lane, magnitude in enumerate(magnitudes):
            shift = min(self.coding.row_shift, 1 + bits(column))
            self.row[lane] += (magnitude << 8) - self.row[lane] >> shift
        mean = (sum(magnitudes) << 8) // len(levels)
        signs = sum((level > 0) - (level < 0) for level in levels)
        shift = min(self.coding.column_shift, bits(group))
        self.column[column] += mean - self.column[column] >> shift
        self.mean[column] += divide(256 * signs, len(levels)) - self.mean[column] >> shift
        self.slice += mean - self.slice >> 5


def base(coding: Coding, bucket: int) -> int:
    """The least magnitude of a bucket."""
    return coding.flags + 1 + sum(1 << coding.golomb + earlier for earlier in range(bucket))


def suffix_bits(coding: Coding, bucket: int) -> int:
    return coding.golomb + bucket if bucket < coding.prefixes else coding.width


def bins_of(coding: Coding, level: int) -> tuple[int, int]:
    """Ones of the unary part, and the suffix: section 5.2 from the encoder's side."""
    magnitude = abs(level)
    if magnitude <= coding.flags:
        return magnitude, 0
    bucket = 0
    while bucket < coding.prefixes and magnitude >= base(coding, bucket + 1):
        bucket += 1
    return coding.flags + 1 + bucket, magnitude - base(coding, bucket)


def code_step(coder: BinCoder, model: Model, coding: Coding, classes: list[int], signs: list[int], wanted: list[int]):
    """One level in each of the first lanes, bin by bin: section 5.2."""
    lanes = range(len(classes))
    wishes = [bins_of(coding, level) for level in wanted]

    def code(lane: int, context: Context, bin: int) -> int:
        bin = coder.code(lane, context.p, bin)
        context.seen[bin] += 1
        return bin

    ones = [0] * len(lanes)
    negative = [0] * len(lanes)
    going = list(lanes)
    for j, contexts in enumerate(model.unary):
        going = [lane for lane in going if code(lane, contexts[classes[lane]], int(wishes[lane][0] > j))]
        for lane in going:
            ones[lane] += 1
        if j == 0:
            for lane in going:
                negative[lane] = code(lane, model.sign[signs[lane]], int(wanted[lane] < 0))

    bucket = [count - coding.flags - 1 for count in ones]
    suffix = [0] * len(lanes)
    for place in range(max(31, coding.golomb + coding.prefixes)):
        for lane in lanes:
            left = suffix_bits(coding, bucket[lane]) - 1 - place if bucket[lane] >= 0 else -1
            if left < 0:
                continue
            bin = wishes[lane][1] >> left & 1
            if place < 2:
                node = 0 if place == 0 else 1 + suffix[lane]
                bin = code(lane, model.suffix[bucket[lane]][node], bin)
            else:
                bin = coder.code(lane, HALF, bin)
            suffix[lane] = suffix[lane] << 1 | bin

    magnitudes = [base(coding, bucket[lane]) + suffix[lane] if bucket[lane] >= 0 else ones[lane] for lane in lanes]
    return [-magnitude if minus else magnitude for magnitude, minus in zip(magnitudes, negative, strict=True)]


def walk(coder: BinCoder, coding: Coding, count: int, row_width: int, wanted: Sequence[int] = ()) -> list[int]:
    """The levels of one slice, as they are coded. An encoder passes them in as `wanted`."""
    rows = -(-count // row_width)
    levels = [0] * count
    states = [0] * min(rows, coding.lanes)
    model = Model(coding)
    magnitudes = Magnitudes(coding, row_width)
    for group in range(-(-rows // coding.lanes)):
        first_row = group * coding.lanes
        magnitudes.begin_group()
        left = [0] * coding.lanes
        for column in range(row_width):
            places = [row * row_width + column for row in range(first_row, min(first_row + coding.lanes, rows))]
            places = [place for place in places if place < count]
            if not places:
                break
            lanes = range(len(places))
            side = [2 if left[lane] > 0 else 1 if left[lane] < 0 else 0 for lane in lanes]
            if coding.context == 0:
                classes = side
            else:
                classes = [magnitudes.lane_class(lane, group, column) for lane in lanes]
                if coding.trellis:
                    classes = [lane_class // 2 for lane_class in classes]
            if coding.trellis:
                quantizer = QUANTIZER[coding.trellis]
                classes = [2 * classes[lane] + quantizer[states[lane]] for lane in lanes]
            bias = magnitudes.bias(group, column)
            signs = [side[lane] + 3 * bias for lane in lanes]
            wishes = [wanted[place] for place in places] if wanted else [0] * len(places)
            coded = code_step(coder, model, coding, classes, signs, wishes)
            magnitudes.end_of_step(group, column, coded)
            model.end_of_step()
            for lane, place in enumerate(places):
                levels[place] = left[lane] = coded[lane]
                if coding.trellis:
                    states[lane] = NEXT[coding.trellis][states[lane]][coded[lane] % 2]
    return levels


def multiples(coding: Coding, coded: Sequence[int], row_width: int) -> list[int]:
    """What coded levels stand for: themselves, or multiples by the states of a trellis (section 5.6)."""
    if not coding.trellis:
        return list(coded)
    rows = -(-len(coded) // row_width)
    states = [0] * min(rows, coding.lanes)
    result = []
    for place, level in enumerate(coded):
        require(abs(level) < 1 << 30, "a level of a trellis is not below 2^30")
        lane = place // row_width % coding.lanes
        sign = (level > 0) - (level < 0)
        result.append(2 * level - sign * QUANTIZER[coding.trellis][states[lane]])
        states[lane] = NEXT[coding.trellis][states[lane]][level % 2]
    return result


def decode_slice(data: bytes, coding: Coding, count: int, row_width: int) -> list[int]:
    """The levels of a slice, its checksum taken off."""
    coder = LaneDecoder(data, min(-(-count // row_width), coding.lanes))
    coded = walk(coder, coding, count, row_width)
    coder.finish()
    require(all(abs(level) <= GREATEST for level in coded), "a level is beyond 2^31 - 1")
    return multiples(coding, coded, row_width)
