"""Whole-number logarithms, powers and weights: the same on every machine.

A score is a logarithm to base 2, in 1/256. Scores of several contexts are added, and the sums become the weights that
the entropy coder takes. The tables are made by whole-number arithmetic alone, so no library's rounding comes in.
"""

from __future__ import annotations

from math import isqrt

import numpy as np

__all__ = ["POWER", "SCORE", "bit_length", "logarithm", "signed_class", "weights"]

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
