"""Coding pictures by what the network predicts: value by value, over a whole block of pictures in step.

Every machine does the arithmetic alike: whole numbers, carried by floats only where that is exact. A float32 holds
every whole number up to 2**24, a float64 up to 2**53. A sum of products of whole numbers is exact, in whatever order
and on however many threads it is added up, as long as no partial sum can pass that bound. `Layer` makes sure of it
from its weights, and takes float64 where float32 is too small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.pictures.shape import BINS, COUNTS, FINE, LEVELS, Shape, windows

if TYPE_CHECKING:
    from narrows.codec.container.entropy import EntropyCoder

__all__ = ["STEP", "PictureCoder"]

STEP = 64
"""Steps in 1: of a weight, of an activation and of a logit."""

_BOUND = {np.dtype(np.float32): 2**24, np.dtype(np.float64): 2**53}
_RATIO = 18160753814917686420
"""exp(-1 / STEP) · 2**64."""


class Layer:
    """A matrix of whole-number weights (out, in), in 1 / STEP, that multiplies whole-number columns exactly.

    They are kept divided by STEP, a power of two, which changes none of their digits: sums then come in steps. The
    bias, in 1 / STEP**2, is the weight of one more input, which is always 1. ``largest`` is the largest absolute value
    that an input can have, and ``extra`` that which a caller adds to a sum, in 1 / STEP**2.
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray | None, largest: int, extra: int = 0) -> None:
        whole = weight.astype(np.int64)
        sums = np.abs(whole).sum(1) * largest + extra
        if bias is not None:
            sums = sums + np.abs(bias.astype(np.int64))
            whole = np.concatenate([whole, bias.astype(np.int64)[:, None]], 1)
        self.reach = int(sums.max(initial=0))
        self.dtype = np.dtype(np.float32 if self.reach < _BOUND[np.dtype(np.float32)] else np.float64)
        if self.reach >= _BOUND[np.dtype(np.float64)]:
            raise ValueError("weights too large for exact sums")
        self.weight = np.ascontiguousarray(whole, dtype=self.dtype) / self.dtype.type(STEP)

    def __call__(self, columns: np.ndarray) -> np.ndarray:
        """Turn whole-number columns (in, n) into sums (out, n), in steps with fractions."""
        return self.weight @ columns.astype(self.dtype, copy=False)


def with_one(*parts: np.ndarray) -> np.ndarray:
    """Stack columns and, below them, the 1 that a bias is the weight of."""
    n = parts[0].shape[1]
    stacked = np.empty((sum(len(part) for part in parts) + 1, n), dtype=np.float32)
    start = 0
    for part in parts:
        stacked[start : start + len(part)] = part
        start += len(part)
    stacked[start] = 1
    return stacked


def activate(sums: np.ndarray) -> np.ndarray:
    """Turn sums into activations: whole steps between 0 and 255, in place."""
    np.floor(sums, out=sums)
    return sums.clip(0, 255, out=sums)


def exponentials(bits: int) -> np.ndarray:
    """Return weights 2**bits · exp(-i / STEP) for i = 0, 1, …, down to 1: whole numbers, held as float32.

    Made by whole-number arithmetic from one constant, so that no machine's own `exp` comes in.
    """
    value, made = 1 << (bits + 40), []
    while value >> 40:
        made.append((value + (1 << 39)) >> 40)
        value = (value * _RATIO) >> 64
    return np.maximum(np.array(made, dtype=np.float32), 1)


def two_ways(logits: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return weights (n, 2) of no and yes for logits (n,) of yes, in steps, rounded down here."""
    np.floor(logits, out=logits)
    size = np.minimum(np.abs(logits), len(table) - 1).astype(np.intp)
    other = table[size]
    found = np.empty((len(logits), 2), dtype=np.float32)
    yes = logits > 0
    found[:, 0] = np.where(yes, other, table[0])
    found[:, 1] = np.where(yes, table[0], other)
    return found


def weights_of(logits: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Turn logits (k, n), in steps, rounded down here, into weights (n, k)."""
    np.floor(logits, out=logits)
    below = np.subtract(logits.max(0), logits)
    np.minimum(below, len(table) - 1, out=below)
    return np.ascontiguousarray(table.take(below.astype(np.int32)).T)


_FLAGS = exponentials(22)
_MANY = exponentials(18)
_LEVELS = np.array(LEVELS, dtype=np.float32)
_WITHIN = np.arange(FINE, dtype=np.uint8)
_LARGEST_FEATURE = 127
_LARGEST_ACTIVATION = 255


class PictureCoder:
    """One way through a block of pictures, for writing and for reading, with the weights of a ``PictureNet``.

    Pictures lie last in every array: a step handles the same value of all pictures, in columns.
    """

    def __init__(self, shape: Shape, tensors: dict[str, np.ndarray], *, differences: bool) -> None:
        self.shape, self.differences = shape, differences
        t = {name: np.asarray(value, dtype=np.int64) for name, value in tensors.items()}
        far, act = _LARGEST_FEATURE, _LARGEST_ACTIVATION
        self.palette = Layer(t["palette_w"], t["palette_b"], act)
        above = np.concatenate([t["above_w"], t["palette_row_w"]], 1)
        self.row = [Layer(above, bias, act) for bias in t["row_b"]]
        self.spread = Layer(t["spread_w"], t["spread_b"], act)
        self.quiet = Layer(t["quiet_w"], t["quiet_b"], act)
        # One for each place in a row: its own bias.
        self.window = [
            Layer(np.concatenate([t[f"window_w.{q % shape.channels}"], t["place_w"]], 1), bias, max(far, act))
            for q, bias in enumerate(t["place_b"])
        ]
        self.second = Layer(t["second_w"], t["second_b"], act)
        self.other = Layer(t["other_w"], t["other_b"], act)
        self.bin_count = (t["bin_count"] / STEP).astype(np.float32)
        # What is asked of values that are not the expected one: bins, and what the place in the bin is drawn from.
        bins = np.concatenate([t["bin_w"], t["bin_palette_w"]], 1)
        many = np.concatenate([bins, t["mixed_w"]])
        bias = np.concatenate([t["bin_b"], t["mixed_b"]])
        self.many = Layer(many, bias, act, int(np.abs(t["bin_count"]).max(initial=0)))
        fine = Layer(t["fine_w"], None, act, sum(int(np.abs(t[n]).max(initial=0)) for n in ("fine_b", "fine_count")))
        self.fine_w = fine.weight.reshape(BINS, FINE, -1)
        self.fine_b = (t["fine_b"] / STEP).astype(fine.dtype).reshape(BINS, FINE)
        self.fine_count = (t["fine_count"] / STEP).astype(fine.dtype).reshape(-1)
        self.width = t["place_w"].shape[1]
        self.looks = [
            np.array([-up * shape.stride + right for up, right in windows(shape, c)]) for c in range(shape.channels)
        ]

    def code(self, coder: EntropyCoder, pictures: np.ndarray | None, n: int) -> np.ndarray:
        """Write pictures, or read n of them; uint8 (n, height, width, channels) in and out."""
        shape = self.shape
        canvas = np.zeros((shape.height + 2, shape.stride, n), dtype=np.uint8)
        known = None
        if pictures is not None:
            known = np.ascontiguousarray(pictures.reshape(n, shape.height, shape.values).transpose(1, 2, 0))
        counts = np.zeros((BINS * FINE, n), dtype=np.int16)
        shown = np.zeros_like(counts) if self.differences else counts
        inner = slice(shape.margin, shape.margin + shape.values)
        for y in range(shape.height):
            row = _Row(self, canvas, counts, shown, y)
            symbols = np.empty((shape.values, n), dtype=np.uint8)
            for q in range(shape.values):
                value = None if known is None else known[y, q]
                symbols[q], canvas[y + 2, shape.margin + q] = row.step(coder, q, value)
            _count(counts, symbols)
            if self.differences:
                _count(shown, canvas[y + 2, inner])
        found = canvas[2:, inner].transpose(2, 0, 1)
        return np.ascontiguousarray(found).reshape(n, shape.height, shape.width, shape.channels)


def _count(counts: np.ndarray, symbols: np.ndarray) -> None:
    n = counts.shape[1]
    counts[0] += (symbols == 0).sum(0, dtype=np.int16)
    places, pictures = np.nonzero(symbols)
    at = symbols[places, pictures].astype(np.int64) * n + pictures
    flat = counts.reshape(-1)
    np.add.at(flat, at, np.int16(1))
    np.minimum(counts, len(LEVELS) - 1, out=counts)


class _Row:
    """What is the same for all values of a row, and the step from value to value."""

    def __init__(self, net: PictureCoder, canvas: np.ndarray, counts: np.ndarray, shown: np.ndarray, y: int) -> None:
        self.net = net
        self.canvas = canvas.reshape(-1, canvas.shape[2])
        shape = net.shape
        self.base = (y + 2) * shape.stride + shape.margin
        inner = slice(shape.margin, shape.margin + shape.values)
        one, two = canvas[y + 1, inner], canvas[y, inner]
        above = np.concatenate([one >> 1, (one > 0) * np.uint8(64), two >> 1, (two > 0) * np.uint8(64)])
        self.palette = activate(net.palette(with_one(_LEVELS.take(counts))))
        row = with_one(activate(net.row[y](with_one(above, self.palette))))
        self.places = activate(net.spread(row)).reshape(shape.values, net.width, -1)
        self.quiet = None if net.differences else net.quiet(row)
        # From here on one picture's counts lie together: a value asks for the eight of its bin.
        mine = np.ascontiguousarray(np.minimum(counts, COUNTS - 1).T.astype(np.uint8)).reshape(-1, BINS, FINE)
        total = np.minimum(mine.sum(2, dtype=np.uint8), COUNTS - 1)
        self.in_bin = net.bin_count.take(total)
        if net.differences:
            mine = np.ascontiguousarray(np.minimum(shown, COUNTS - 1).T.astype(np.uint8))
        self.counts = mine.reshape(-1)
        self.total = total.reshape(-1) * np.uint8(COUNTS)

    def step(self, coder: EntropyCoder, q: int, value: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """One value of every picture: its symbol and itself."""
        net, shape = self.net, self.net.shape
        channel = q % shape.channels
        near = self.canvas.take(net.looks[channel] + (self.base + q), 0)
        guess = expected(near, channel) if net.differences else None
        symbol = None if value is None else (value if guess is None else value - guess)
        if self.quiet is None:
            busy, logits = np.arange(near.shape[1]), np.empty(near.shape[1], dtype=np.float32)
        else:
            busy, logits = np.flatnonzero(np.bitwise_or.reduce(near, 0)), self.quiet[q].copy()
        hidden = self._hidden(q, near, guess, busy)
        logits[busy] = net.other(hidden)[0]
        lit = coder.weighted(two_ways(logits, _FLAGS), None if symbol is None else symbol > 0)
        found = np.zeros(near.shape[1], dtype=np.uint8)
        lit = np.flatnonzero(lit)
        if len(lit):
            hidden = self._hidden_of(lit, q, near, guess, busy, hidden)
            known = None if symbol is None else symbol[lit]
            found[lit] = self._lit(coder, lit, hidden, None if guess is None else guess[lit], known)
        return found, (found if guess is None else found + guess)

    def _hidden(self, q: int, near: np.ndarray, guess: np.ndarray | None, which: np.ndarray) -> np.ndarray:
        net = self.net
        planes = window_features(near.take(which, 1), None if guess is None else guess[which])
        first = activate(net.window[q](with_one(*planes, self.places[q].take(which, 1))))
        return with_one(activate(net.second(with_one(first))))

    def _hidden_of(
        self,
        lit: np.ndarray,
        q: int,
        near: np.ndarray,
        guess: np.ndarray | None,
        busy: np.ndarray,
        hidden: np.ndarray,
    ) -> np.ndarray:
        """Hidden values of the lit ones; a few of them were calm, and have none yet."""
        at = np.full(near.shape[1], -1, dtype=np.int64)
        at[busy] = np.arange(len(busy))
        at = at[lit]
        fresh = np.flatnonzero(at < 0)
        if not len(fresh):
            return hidden.take(at, 1)
        more = self._hidden(q, near, guess, lit[fresh])
        at[fresh] = hidden.shape[1] + np.arange(len(fresh))
        return np.concatenate([hidden, more], 1).take(at, 1)

    def _lit(
        self,
        coder: EntropyCoder,
        lit: np.ndarray,
        hidden: np.ndarray,
        guess: np.ndarray | None,
        symbol: np.ndarray | None,
    ) -> np.ndarray:
        net = self.net
        many = net.many(with_one(hidden[:-1], self.palette.take(lit, 1)))
        bins, mixed = many[:BINS], many[BINS:]
        bins += self.in_bin.take(lit, 0).T
        chosen = coder.weighted(weights_of(bins, _MANY), None if symbol is None else symbol // FINE)
        mixed = np.ascontiguousarray(activate(mixed).T, dtype=net.fine_w.dtype)
        fine = np.einsum("nfp,np->nf", net.fine_w.take(chosen, 0), mixed)
        fine += net.fine_b.take(chosen, 0)
        at = lit * BINS + chosen
        candidates = _WITHIN + (chosen * FINE).astype(np.uint8)[:, None]
        if guess is not None:
            candidates += guess[:, None]
        here = self.counts.take(lit[:, None] * 256 + candidates)
        fine += net.fine_count.take(self.total.take(at)[:, None] + here)
        weights = weights_of(fine.T, _MANY)
        weights[chosen == 0, 0] = 0
        within = coder.weighted(weights, None if symbol is None else symbol % FINE)
        return (chosen * FINE + within).astype(np.uint8)


def window_features(near: np.ndarray, guess: np.ndarray | None) -> list[np.ndarray]:
    """Turn windows (k, n) into features, in steps: levels, or differences from the guess."""
    if guess is None:
        return [near >> 1, (near > 0) * np.uint8(64), (near >= 250) * np.uint8(64)]
    d = near.astype(np.int16) - guess.astype(np.int16)
    return [np.clip(d * 4, -127, 127), d >> 1]


def expected(near: np.ndarray, channel: int) -> np.ndarray:
    """Return what left, above and above left let expect: their median edge, moved by what earlier channels missed."""
    near = near.astype(np.int16)
    guess = _median_edge(near[0], near[1], near[2])
    if channel:
        guess = np.clip(guess + near[4] - _median_edge(near[5], near[6], near[7]), 0, 255)
    return guess.astype(np.uint8)


def _median_edge(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    low, high = np.minimum(left, up), np.maximum(left, up)
    return np.where(corner >= high, low, np.where(corner <= low, high, left + up - corner))
