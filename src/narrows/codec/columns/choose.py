"""Which transform a column gets, by a look at the rows of the fit."""

import math
from dataclasses import dataclass

import numpy as np

from narrows.codec.columns.transforms import (
    Bounded,
    ColumnTransform,
    FixedPoint,
    Integers,
    LookupTable,
    Raw,
    Relative,
    to_keys,
)

__all__ = ["Bound", "choose_transform"]

_SAMPLE = 1 << 14
_MOST_KNOWN = 1 << 14
_MOST_DECIMALS = {2: 3, 4: 7, 8: 10}
_DIGITS = {2: 11, 4: 24, 8: 44}


@dataclass(frozen=True)
class Bound:
    """How far off the values of a column may be: by an error above 0, or by such a fraction of the value."""

    error: float
    relative: bool


def choose_transform(values: np.ndarray, bound: Bound | None) -> ColumnTransform:
    """Choose the transform of a column of numbers."""
    if values.dtype.kind in "iu":
        return _for_integers(values, bound)
    exact = _for_floats(values)
    if bound is None or (bound.relative and bound.error < 1e-13):
        return exact
    found = _relative(values, bound.error) if bound.relative else _bounded(values, bound.error)
    # Where the data's own steps are no finer than the bound asks for, exact costs no more.
    if isinstance(exact, FixedPoint) and not bound.relative and 10.0**-exact.decimals >= 2 * bound.error:
        return exact
    _, bad, _ = found.encode(_sample(values))
    return exact if bad.mean() > 0.5 else found


def _sample(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values[:: max(1, len(values) // _SAMPLE)])


def _for_integers(values: np.ndarray, bound: Bound | None) -> ColumnTransform:
    low, high = int(values.min()), int(values.max())
    if bound is not None and not bound.relative and 1 <= bound.error < 2**31:
        error = math.floor(bound.error)
        return Integers((max(low, -(2**61)) + error) // (2 * error + 1) if low < 2**61 else 0, error)
    keys = to_keys(values)
    known = _lookup(keys, high - low, 0.002) if high - low > 256 else None
    return known or Integers(int(keys.min()))


def _lookup(keys: np.ndarray, span: float, most_single: float) -> LookupTable | None:
    """Return the table of keys, if there are few for such a span of codes and few that come only once."""
    if len(np.unique(_sample(keys))) > _MOST_KNOWN // 2:
        return None
    known, counts = np.unique(keys, return_counts=True)
    if len(known) > min(_MOST_KNOWN, max(2, len(keys) // 8)) or span <= 64 * len(known):
        return None
    return LookupTable(known, int(counts.argmax())) if (counts == 1).sum() <= most_single * len(keys) else None


def _for_floats(values: np.ndarray) -> ColumnTransform:
    keys = to_keys(values)
    nan = _usual_nan(values, keys)
    fixed, fraction = _decimals(values, nan)
    if fixed is not None and fraction >= 0.98:
        codes, bad, _ = fixed.encode(values)
        codes = codes[~bad, -1]
        low, high = (int(codes.min()), int(codes.max())) if len(codes) else (0, 0)
        return _lookup(keys, high - low, 0.002) or FixedPoint(fixed.decimals, low, nan)
    known = _lookup(keys, math.inf, 0.05)
    if known is not None:
        return known
    return FixedPoint(fixed.decimals, 0, nan) if fixed is not None and fraction >= 0.7 else Raw()


def _usual_nan(values: np.ndarray, keys: np.ndarray) -> int | None:
    missing = keys[np.isnan(values)]
    if not len(missing):
        return None
    kinds, counts = np.unique(missing, return_counts=True)
    return int(kinds[counts.argmax()])


def _decimals(values: np.ndarray, nan: int | None) -> tuple[FixedPoint | None, float]:
    """Return the fewest decimals that bring about as many values back as any number of them does."""
    sample, size = _sample(values), values.dtype.itemsize
    fractions: list[float] = []
    for decimals in range(_MOST_DECIMALS[size] + 1):
        _, bad, _ = FixedPoint(decimals, 0, nan).encode(sample)
        fractions.append(1.0 - float(bad.mean()))
        if fractions[-1] == 1.0:
            break
    best = max(fractions)
    chosen = FixedPoint(next(n for n, fraction in enumerate(fractions) if fraction >= best - 0.002), 0, nan)
    # Of more decimals than a type tells apart, any number is one; such codes are no smaller than the number itself.
    codes, _, _ = chosen.encode(sample)
    if np.abs(codes[:, -1].astype(np.float64)).max() > 2.0 ** _DIGITS[size]:
        return None, 0.0
    return chosen, best


def _finite(values: np.ndarray) -> np.ndarray:
    finite = values[np.isfinite(values)].astype(np.float64)
    return finite if len(finite) else np.zeros(1)


def _bounded(values: np.ndarray, error: float) -> Bounded:
    finite = _finite(values)
    size = float(np.quantile(np.abs(finite), 0.999))
    with np.errstate(over="ignore"):
        # A value halfway between two steps is off by the whole bound, and rounding to its type may take it further.
        room = min(float(np.float64(4.0 * float(np.finfo(values.dtype).eps) * size) / error), 1 / 256)
        step = 2.0 * error * (1.0 - room)
        low = float(np.rint(finite.min() / step))
    return Bounded(error, step, int(low) if abs(low) < 2**52 else 0, _usual_nan(values, to_keys(values)))


def _relative(values: np.ndarray, fraction: float) -> Relative:
    nan = _usual_nan(values, to_keys(values))
    finite = _finite(values)
    finite = finite[finite != 0]
    base = int(Relative(fraction).cells(finite).min()) - 1 if len(finite) else 0
    return Relative(fraction, base, nan)
