"""Arithmetic that every machine does alike: whole numbers, carried by floats only where that is exact.

A float32 holds every whole number up to 2**24, a float64 up to 2**53. A sum of products of whole numbers is therefore
exact, in whatever order and on however many threads it is added up, as long as no partial sum can pass that bound.
`Layer` makes sure of it from its weights, and takes float64 where float32 is too small.
"""

from __future__ import annotations

import numpy as np

__all__ = ["STEP", "Layer", "activate", "exponentials", "two_ways", "weights_of", "with_one"]

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
