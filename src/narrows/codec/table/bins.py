"""Bins of whole numbers, and the whole-number logarithms and weights that name them: the same on every machine.

A score is a logarithm to base 2, in 1/256. Scores of several contexts are added, and the sums become the weights that
the entropy coder takes. The tables are made by whole-number arithmetic alone, so no library's rounding comes in.
"""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from narrows.codec.container.entropy import EntropyCoder

__all__ = ["BIN_KINDS", "POWER", "SCORE", "Bins", "bit_length", "code_positive", "logarithm", "signed_class", "weights"]

BIN_KINDS = ("listed", "range", "scaled", "doubling")
_CHUNK = 24
# Upper edges of the bins of one side, in 1/16 of the residuals' usual size: fine near zero, doubling every four beyond.
_TEMPLATE = (2, 5, 8, 12, 16, 21, 27, 34, 42, 52, 64, 80, 100, 128, 170, 240, 360, 600, 1200, 4800)
SCORE = 256
"""Units of a score in one bit."""
_MANTISSA = 4096
_DEPTH = 17 * SCORE


def _logarithms() -> np.ndarray:
    """log2(1 + i / 4096) for i = 0..4095 in units of 1/256, by squaring 31-bit numbers."""
    value = (np.arange(_MANTISSA, dtype=np.int64) + _MANTISSA) << 18  # in [2^30, 2^31)
    found = np.zeros(_MANTISSA, dtype=np.int64)
    for _ in range(9):  # 8 places and one more to round by
        value = (value * value) >> 30
        over = value >> 31
        value >>= over
        found = 2 * found + over
    return ((found + 1) >> 1).astype(np.int32)


def _powers() -> np.ndarray:
    """2^(16 - i / 256), rounded down and at least 1."""
    places = 96
    root = 1 << (places + 1)
    for _ in range(8):
        root = isqrt(root << places)
    fractions = [1 << places]
    for _ in range(SCORE):
        fractions.append((fractions[-1] * root) >> places)
    # 2^(16 - q - r/256) = 2^(15 - q) * 2^((256 - r)/256)
    table = [max(1, (fractions[SCORE - i % SCORE] << 15 >> (i // SCORE)) >> places) for i in range(_DEPTH + 1)]
    return np.array(table, dtype=np.float32)


_LOG = _logarithms()
POWER = _powers()


def logarithm(whole: np.ndarray) -> np.ndarray:
    """log2 of whole numbers from 1 to 2^53, in units of 1/256, as int32."""
    mantissa, exponent = np.frexp(whole.astype(np.float64))
    return _LOG[(mantissa * (2 * _MANTISSA)).astype(np.int64) - _MANTISSA] + (exponent.astype(np.int32) - 1) * SCORE


def weights(scores: np.ndarray) -> np.ndarray:
    """Return the coder's weights, 1 to 65,536, of scores (rows, symbols); as float32."""
    below = scores.max(axis=1, keepdims=True) - scores
    np.minimum(below, _DEPTH, out=below)
    return POWER.take(below)


def bit_length(whole: np.ndarray) -> np.ndarray:
    """How many bits uint64 numbers need: 0 for 0, 1 for 1, 2 for 2 and 3, ..."""
    whole = whole.astype(np.uint64)
    high = (whole >> np.uint64(32)).astype(np.float64)
    low = (whole & np.uint64(0xFFFFFFFF)).astype(np.float64)
    return np.where(high > 0, np.frexp(high)[1] + 32, np.frexp(low)[1]).astype(np.int64)


def signed_class(whole: np.ndarray, start: int, reach: int) -> np.ndarray:
    """How large, by powers of two from 2^start on, and of which sign: 0 .. 2·reach."""
    size = np.clip(bit_length(np.abs(whole).view(np.uint64)) - start, 0, reach)
    return np.where(whole < 0, reach - size, reach + size)


def _edges(kind: str, numbers: tuple[int, ...]) -> list[int]:
    if kind == "listed":
        return list(numbers)
    if kind == "range":
        return list(range(numbers[0], numbers[1] + 2))
    if kind == "scaled":
        side = sorted({max(1, (t * numbers[0] + 128) >> 8) for t in _TEMPLATE})
        if side[0] > 1:
            return [-s for s in side[::-1]] + [s + 1 for s in side]
    else:
        first, n = numbers
        side = sorted({max(1, (first << (i // 2)) * (3 if i % 2 else 2) // 2) for i in range(n)})
    return [-s + 1 for s in side[::-1]] + ([0] if side[0] > 1 else []) + side


class Bins:
    """A partition of the 64-bit numbers: below the first edge, between edges, from the last edge on.

    The outermost two are open; a number in them is named by its distance from the edge, by a code for positive numbers.

    The kind and its numbers tell the edges. "listed": the numbers are the edges; "range": one bin for each of the whole
    numbers from the first to the second; "scaled": around zero, finest there, for numbers whose usual magnitude is the
    first / 16; "doubling": around zero, from the first on, every second one of so many twice as wide.
    """

    def __init__(self, kind: str, numbers: tuple[int, ...]) -> None:
        count = {"range": 2, "scaled": 1, "doubling": 2}.get(kind, max(1, min(len(numbers), 255)))
        good = len(numbers) == count and all(-(2**63) <= number < 2**63 for number in numbers)
        good = good and (kind != "range" or 0 <= numbers[1] - numbers[0] < 250)
        good = good and (kind != "scaled" or 0 < numbers[0] < 2**50)
        good = good and (kind != "doubling" or (0 < numbers[1] < 61 and 0 < numbers[0] < 2 ** (62 - numbers[1] // 2)))
        if not good:
            raise ValueError("the table model names bins that cannot be")
        self.kind, self.numbers = kind, numbers
        self.edges = np.array(_edges(kind, numbers), dtype=np.int64)
        self.n_symbols = len(self.edges) + 1
        self.widths = self.edges[1:] - self.edges[:-1]
        if (self.edges[1:] <= self.edges[:-1]).any() or (self.widths <= 0).any():
            raise ValueError("the table model names bins whose edges do not rise")

    def symbols(self, values: np.ndarray) -> np.ndarray:
        """Return the bin of each value."""
        return np.searchsorted(self.edges, values, side="right").astype(np.int32)

    def code_inside(self, coder: EntropyCoder, symbols: np.ndarray, values: np.ndarray | None) -> np.ndarray:
        """Write or read where inside its bin each value is; returns the values."""
        found = np.zeros(len(symbols), dtype=np.int64)
        top = self.n_symbols - 1
        if len(self.widths):
            at = np.clip(symbols - 1, 0, len(self.widths) - 1)
            found = self.edges[at].copy()
            wide = np.flatnonzero((symbols > 0) & (symbols < top) & (self.widths[at] > 1))
            if len(wide):
                own = None if values is None else values[wide] - found[wide]
                found[wide] += _code_below(coder, self.widths[at[wide]], own)
        for symbol, edge, sign in ((0, int(self.edges[0]) - 1, -1), (top, int(self.edges[-1]), 1)):
            out = np.flatnonzero(symbols == symbol)
            if len(out):
                base = np.array(edge & (2**64 - 1), dtype=np.uint64).view(np.int64)
                own = None if values is None else ((values[out] - base) * sign).view(np.uint64)
                found[out] = base + sign * code_positive(coder, len(out), own).view(np.int64)
        return found


def _code_below(coder: EntropyCoder, sizes: np.ndarray, values: np.ndarray | None) -> np.ndarray:
    """Numbers uniform below their sizes, which may exceed 2^24: the low bits apart."""
    if int(sizes.max()) <= 1 << _CHUNK:
        return coder.uniform(sizes, values).astype(np.int64)
    shift = max(0, int(sizes.max()).bit_length() - _CHUNK)
    high = coder.uniform(((sizes - 1) >> shift) + 1, None if values is None else values >> shift).astype(np.int64)
    low = _code_bits(coder, np.full(len(sizes), shift), None if values is None else values & ((1 << shift) - 1))
    return (high << shift) + low


def _code_bits(coder: EntropyCoder, lengths: np.ndarray, values: np.ndarray | None) -> np.ndarray:
    """Numbers of so many bits each, up to 64."""
    found = np.zeros(len(lengths), dtype=np.uint64)
    own = None if values is None else values.astype(np.uint64)
    for start in (0, _CHUNK, 2 * _CHUNK):
        sizes = np.int64(1) << np.clip(lengths - start, 0, _CHUNK).astype(np.int64)
        part = None if own is None else ((own >> np.uint64(start)) & (sizes - 1).astype(np.uint64)).astype(np.int64)
        found |= coder.uniform(sizes, part).astype(np.uint64) << np.uint64(start)
    return found.view(np.int64)


def code_positive(coder: EntropyCoder, n: int, values: np.ndarray | None) -> np.ndarray:
    """Any uint64 numbers, small ones in fewer bits: the length first, then the bits below the leading one."""
    lengths = coder.uniform(np.full(n, 65, dtype=np.int64), None if values is None else bit_length(values))
    lengths = lengths.astype(np.int64)
    rest = np.maximum(lengths - 1, 0)
    leading = np.where(lengths > 0, np.uint64(1) << rest.astype(np.uint64), np.uint64(0))
    low = _code_bits(coder, rest, None if values is None else (values ^ leading))
    return leading | low.view(np.uint64)
