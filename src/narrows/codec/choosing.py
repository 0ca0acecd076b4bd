"""Which coder a column gets, by a look at the rows of the fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from narrows.codec.quantising import Bounded, Coder, Fixed, Integers, Levels, Raw, Relative, Steps, to_keys

__all__ = ["Bound", "choose_coder"]

_SAMPLE = 1 << 14
_MOST_LEVELS = 1 << 14
_MOST_DECIMALS = {2: 3, 4: 7, 8: 10}


class Bound:
    """How far off the values of a column may be.

    Parameters
    ----------
    error : float
        Above 0.
    relative : bool
        Whether it is a share of the value.
    """

    def __init__(self, error: float, *, relative: bool) -> None:
        self.error = error
        self.relative = relative


def choose_coder(values: np.ndarray, bound: Bound | None) -> Coder:
    """Choose the coder of a column of numbers.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Whole numbers or floats of at most eight bytes, of this machine's byte order; at least one.
    bound : Bound or None
        How far off they may be; None for not at all.
    """
    if values.dtype.kind in "iu":
        return _for_integers(values, bound)
    exact = _for_floats(values)
    if bound is None:
        return exact
    found = _relative(values, bound.error) if bound.relative else _bounded(values, bound.error)
    # Where the data's own steps are no finer than the bound asks for, exact costs no more.
    if isinstance(exact, Fixed) and not bound.relative and 10.0**-exact.decimals >= 2 * bound.error:
        return exact
    _, bad, _ = found.encode(_sample(values))
    return exact if bad.mean() > 0.5 else found


def _sample(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values[:: max(1, len(values) // _SAMPLE)])


def _for_integers(values: np.ndarray, bound: Bound | None) -> Coder:
    low, high = int(values.min()), int(values.max())
    if bound is not None and not bound.relative and 1 <= bound.error < 2**31:
        error = math.floor(bound.error)
        return Steps(error, (max(low, -(2**61)) + error) // (2 * error + 1) if low < 2**61 else 0)
    keys = to_keys(values)
    if high - low > 256:
        known = _known(keys)
        if known is not None and high - low > 64 * len(known[0]) and known[1] <= 0.002:
            return Levels(known[0], known[2])
    return Integers(int(keys.min()))


def _known(keys: np.ndarray) -> tuple[np.ndarray, float, int] | None:
    """Return the different keys, the share of rows whose key comes once, and the most frequent one's place."""
    if len(np.unique(_sample(keys))) > _MOST_LEVELS // 2:
        return None
    known, counts = np.unique(keys, return_counts=True)
    if len(known) > _MOST_LEVELS or len(known) > max(2, len(keys) // 8):
        return None
    return known, float((counts == 1).sum() / len(keys)), int(counts.argmax())


def _for_floats(values: np.ndarray) -> Coder:
    keys = to_keys(values)
    nan = _usual_nan(values, keys)
    known = _known(keys)
    fixed, share = _decimals(values, nan)
    if fixed is not None and share >= 0.98:
        codes, bad, _ = fixed.encode(values)
        codes = codes[~bad, -1]
        spread = int(codes.max()) - int(codes.min()) if len(codes) else 0
        if known is not None and spread > 64 * len(known[0]) and known[1] <= 0.002:
            return Levels(known[0], known[2])
        return Fixed(fixed.decimals, int(codes.min()) if len(codes) else 0, nan)
    if known is not None and known[1] <= 0.05:
        return Levels(known[0], known[2])
    if fixed is not None and share >= 0.7:
        return Fixed(fixed.decimals, 0, nan)
    return Raw()


def _usual_nan(values: np.ndarray, keys: np.ndarray) -> int | None:
    missing = keys[np.isnan(values)]
    if not len(missing):
        return None
    kinds, counts = np.unique(missing, return_counts=True)
    return int(kinds[counts.argmax()])


def _decimals(values: np.ndarray, nan: int | None) -> tuple[Fixed | None, float]:
    """Return the fewest decimals that bring about as many values back as any number of them does."""
    sample = _sample(values)
    shares: list[float] = []
    for decimals in range(_MOST_DECIMALS[values.dtype.itemsize] + 1):
        _, bad, _ = Fixed(decimals, 0, nan).encode(sample)
        shares.append(1.0 - float(bad.mean()))
        if shares[-1] == 1.0:
            break
    # Of more decimals than a type tells apart, any number is one; such codes are no smaller than the number itself.
    best = max(shares)
    decimals = next(number for number, share in enumerate(shares) if share >= best - 0.002)
    chosen = Fixed(decimals, 0, nan)
    codes, _, _ = chosen.encode(sample)
    digits = {2: 11, 4: 24, 8: 44}[values.dtype.itemsize]
    if np.abs(codes[:, -1].astype(np.float64)).max() > 2.0**digits:
        return None, 0.0
    return chosen, best


def _finite(values: np.ndarray) -> np.ndarray:
    finite = values[np.isfinite(values)].astype(np.float64)
    return finite if len(finite) else np.zeros(1)


def _bounded(values: np.ndarray, error: float) -> Coder:
    finite = _finite(values)
    size = float(np.quantile(np.abs(finite), 0.999))
    # A value halfway between two steps is off by the whole bound, and rounding it to its type may take it further.
    with np.errstate(over="ignore"):
        room = min(float(np.float64(4.0 * float(np.finfo(values.dtype).eps) * size) / error), 1 / 256)
    step = 2.0 * error * (1.0 - room)
    with np.errstate(over="ignore"):
        low = float(np.rint(finite.min() / step))
    return Bounded(error, step, int(low) if abs(low) < 2**52 else 0, _usual_nan(values, to_keys(values)))


def _relative(values: np.ndarray, share: float) -> Coder:
    nan = _usual_nan(values, to_keys(values))
    if share < 1e-13:
        return _for_floats(values)
    coder: Any = Relative(share, 0, nan)
    finite = _finite(values)
    finite = finite[finite != 0]
    if len(finite):
        coder = Relative(share, int(coder.cells(finite).min()) - 1, nan)
    return coder
