"""Columns of numbers as whole numbers, each way exactly: offsets, known values, decimals, and steps within a bound.

Every coder takes values to codes and says which values its codes would not bring back: those are kept beside them as
they are. All arithmetic on the way back is that of IEEE 754 (products, quotients, roundings), the same on every
machine; there is no logarithm and no power in it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

__all__ = ["Bounded", "Coder", "Fixed", "Integers", "Levels", "Raw", "Relative", "Steps", "from_keys", "to_keys"]

_EXACT = 2.0**53


def to_keys(values: np.ndarray) -> np.ndarray:
    """Return int64 of the same order and the same bits: -0.0 and 0.0 differ, and so do all kinds of NaN."""
    if values.dtype.kind != "f":
        return values.astype(np.int64)
    bits = values.view(f"i{values.dtype.itemsize}").astype(np.int64)
    return np.where(bits < 0, bits ^ _low_bits(values.dtype), bits)


def from_keys(keys: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the values that have these keys."""
    if dtype.kind != "f":
        return keys.astype(dtype)
    bits = np.where(keys < 0, keys ^ _low_bits(dtype), keys)
    return bits.astype(f"i{dtype.itemsize}").view(dtype)


def _low_bits(dtype: np.dtype) -> int:
    return (1 << (8 * dtype.itemsize - 1)) - 1


class Coder(ABC):
    """How one column becomes columns of whole numbers, none to two of them.

    Attributes
    ----------
    kinds : tuple of str
        Of each such column, "category" or "ordered".
    """

    kinds: tuple[str, ...] = ()
    names: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def encode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turn values into codes.

        Returns
        -------
        codes : ndarray of int64, shape (n, len(kinds))
            Where a value is bad, those of the value before.
        bad : ndarray of bool, shape (n,)
            Which values the codes do not bring back.
        restored : ndarray of the type of values, shape (n,)
            What the codes bring back.
        """

    @abstractmethod
    def decode(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Turn codes into values."""

    def to_record(self) -> dict[str, Any]:
        """Return plain values and arrays, for a file."""
        return {"coder": type(self).__name__, **{name: getattr(self, name) for name in self.names}}


class Raw(Coder):
    """A column that is kept as it is, outside the model."""

    def encode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Say of every value that no code brings it back."""
        return np.zeros((len(values), 0), np.int64), np.ones(len(values), bool), values

    def decode(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return zeros, which what is kept replaces."""
        return np.zeros(len(codes), dtype)


class Integers(Coder):
    """Whole numbers, less the lowest one. Beyond 64 bits they go round, so that nothing is ever bad.

    Parameters
    ----------
    offset : int
        What has the code 0.
    kind : str
        "ordered" or "category".
    """

    names = ("offset", "kind")

    def __init__(self, offset: int, kind: str = "ordered") -> None:
        self.offset = offset
        self.kind = kind
        self.kinds = (kind,)

    def encode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Subtract the offset."""
        codes = values.astype(np.int64) - np.int64(self.offset)
        return codes[:, None], np.zeros(len(values), bool), values

    def decode(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Add the offset."""
        return (codes[:, 0] + np.int64(self.offset)).astype(dtype)


class Levels(Coder):
    """Values out of a list, coded by their rank.

    Parameters
    ----------
    keys : ndarray of int64
        The keys of the values, rising.
    filler : int
        The code that stands for a value before the first.
    """

    kinds = ("ordered",)
    names = ("keys", "filler")

    def __init__(self, keys: np.ndarray, filler: int) -> None:
        self.keys = np.asarray(keys, np.int64)
        self.filler = filler

    def encode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Look values up."""
        keys = to_keys(values)
        found = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        bad = self.keys[found] != keys
        return _carried(found, bad, self.filler)[:, None], bad, values

    def decode(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Take values from the list."""
        return from_keys(self.keys[codes[:, 0]], dtype)


class _Reals(Coder):
    """What coders of floats share: a first column that says what is missing, where the fit saw such values."""

    def __init__(self, nan: int | None) -> None:
        self.nan = nan
        self.kinds = ("ordered",) if nan is None else ("category", "ordered")

    def encode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turn values into codes, and look at what comes back."""
        with np.errstate(all="ignore"):
            codes, restored = self._forth(values)
            good = self._good(values, restored)
        if self.nan is None:
            return _carried(codes, ~good, 0)[:, None], ~good, restored
        missing = to_keys(values) == self.nan
        restored = np.where(missing, values, restored)
        bad = ~(good | missing)
        codes = _carried(codes, ~good, 0)
        return np.stack([missing.astype(np.int64), codes], 1), bad, restored

    def decode(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Turn codes into values."""
        with np.errstate(all="ignore"):
            values = self._back(codes[:, -1], dtype)
        if self.nan is not None:
            gone = from_keys(np.array([self.nan], np.int64), dtype)
            values = np.where(codes[:, 0] != 0, gone, values)
        return values

    @abstractmethod
    def _forth(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...

    @abstractmethod
    def _back(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray: ...

    @abstractmethod
    def _good(self, values: np.ndarray, restored: np.ndarray) -> np.ndarray: ...


class Fixed(_Reals):
    """Numbers of so many decimals, times a power of ten.

    Parameters
    ----------
    decimals : int
        Digits behind the point.
    offset : int
        What has the code 0.
    nan : int or None
        The key of the NaN that stands for a missing value.
    """

    names = ("decimals", "offset", "nan")

    def __init__(self, decimals: int, offset: int = 0, nan: int | None = None) -> None:
        super().__init__(nan)
        self.decimals = decimals
        self.offset = offset
        self._power = float(10**decimals)

    def _forth(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scaled = _whole(values.astype(np.float64) * self._power)
        return scaled.astype(np.int64) - self.offset, (scaled / self._power).astype(values.dtype)

    def _back(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        return ((codes + self.offset).astype(np.float64) / self._power).astype(dtype)

    def _good(self, values: np.ndarray, restored: np.ndarray) -> np.ndarray:
        kind = f"i{values.dtype.itemsize}"
        return values.view(kind) == restored.view(kind)


class Bounded(_Reals):
    """Numbers to the nearest of steps, no further off than an error.

    Parameters
    ----------
    error : float
        The most a value may be off.
    step : float
        From code to code; twice the error, or a little less where the type is too coarse for that.
    offset : int
        What has the code 0.
    nan : int or None
        The key of the NaN that stands for a missing value.
    """

    names = ("error", "step", "offset", "nan")

    def __init__(self, error: float, step: float, offset: int = 0, nan: int | None = None) -> None:
        super().__init__(nan)
        self.error = error
        self.step = step
        self.offset = offset

    def _forth(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scaled = _whole(values.astype(np.float64) / self.step)
        return scaled.astype(np.int64) - self.offset, (scaled * self.step).astype(values.dtype)

    def _back(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        return ((codes + self.offset).astype(np.float64) * self.step).astype(dtype)

    def _good(self, values: np.ndarray, restored: np.ndarray) -> np.ndarray:
        # In the array's own arithmetic, which may round the distance, and in float64.
        own = np.abs(values - restored).astype(np.float64)
        wide = np.abs(values.astype(np.float64) - restored.astype(np.float64))
        return (own <= self.error) & (wide <= self.error)


class Relative(_Reals):
    """Numbers no further off than a share of themselves: every octave has the same cells, finer where it begins.

    An octave is parted into segments, and each segment into cells of one width, as wide as its lower end allows; a
    segment is one cell where that is not too many. A code tells the sign and counts the cells from the smallest number
    on; a zero is 0.

    Parameters
    ----------
    share : float
        The most a value may be off, over its own size.
    base : int
        The cells below the first code.
    nan : int or None
        The key of the NaN that stands for a missing value.
    """

    names = ("share", "base", "nan")
    _lowest = 1100

    def __init__(self, share: float, base: int = 0, nan: int | None = None) -> None:
        super().__init__(nan)
        self.share = share
        self.base = base
        self._ends, cells = _octave(share)
        self._widths = np.diff(self._ends, append=2.0) / cells
        self._starts = np.concatenate([[0], np.cumsum(cells.astype(np.int64))])

    def cells(self, values: np.ndarray) -> np.ndarray:
        """Return which cell the size of each value falls in, counted from 1."""
        part, power = np.frexp(np.abs(values.astype(np.float64)))
        part = np.where(np.isfinite(part), 2.0 * part, 1.0)
        segment = np.searchsorted(self._ends, part, side="right") - 1
        inner = ((part - self._ends[segment]) / self._widths[segment]).astype(np.int64)
        inner = np.clip(inner, 0, np.diff(self._starts)[segment] - 1)
        return (power.astype(np.int64) + self._lowest) * self._starts[-1] + self._starts[segment] + inner + 1

    def _forth(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        counted = np.maximum(self.cells(values) - self.base, 0)
        codes = np.where(values == 0, 0, np.where(np.signbit(values), -counted, counted))
        return codes, self._back(codes, values.dtype)

    def _back(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        power, inner = np.divmod(np.abs(codes) + (self.base - 1), self._starts[-1])
        segment = np.clip(np.searchsorted(self._starts, inner, side="right") - 1, 0, len(self._ends) - 1)
        part = self._ends[segment] + (inner - self._starts[segment] + 0.5) * self._widths[segment]
        power = np.clip(power - self._lowest - 1, -2000, 2000).astype(np.int32)
        return np.where(codes == 0, 0.0, np.sign(codes) * np.ldexp(part, power)).astype(dtype)

    def _good(self, values: np.ndarray, restored: np.ndarray) -> np.ndarray:
        # An infinite number is off by no more than a share of itself from anything.
        own = np.isfinite(values) & np.isfinite(restored) & (np.abs(values - restored) <= self.share * np.abs(values))
        wide = np.abs(values.astype(np.float64) - restored) <= self.share * np.abs(values.astype(np.float64))
        return own & wide


def _octave(share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the segments of an octave begin, and into how many cells of one width each is parted."""
    # A hair less than the share allows: the number must also survive its own type's rounding.
    width = 2.0 * share * (1 - 1e-6)
    if width > 1e-4:
        # Each cell by itself, as wide as its lower end allows.
        ends = np.multiply.accumulate(np.r_[1.0, np.full(int(1.5 / width) + 1, 1.0 + width)])
        ends = ends[ends < 2.0]
        return ends, np.ones(len(ends))
    ends = 1.0 + np.arange(32) / 32
    return ends, np.ceil((1 / 32) / (width * ends))


class Steps(Coder):
    """Whole numbers to the nearest of steps, no further off than an error.

    Parameters
    ----------
    error : int
        The most a value may be off.
    offset : int
        What has the code 0.
    """

    kinds = ("ordered",)
    names = ("error", "offset")

    def __init__(self, error: int, offset: int = 0) -> None:
        self.error = error
        self.offset = offset

    def encode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Round to steps; numbers so large that a step could leave the type are bad."""
        wide = values.astype(np.int64)
        bad = np.abs(wide.astype(np.float64)) > 2.0**62
        if values.dtype == np.uint64:
            bad |= values > np.uint64(1 << 62)
        wide = np.where(bad, 0, wide)
        codes = (wide + self.error) // (2 * self.error + 1)
        back = codes * (2 * self.error + 1)
        restored = back.astype(values.dtype)
        bad |= (restored.astype(np.int64) != back) | (np.abs(wide - back) > self.error)
        return _carried(codes - self.offset, bad, 0)[:, None], bad, restored

    def decode(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Multiply by the step."""
        return ((codes[:, 0] + self.offset) * (2 * self.error + 1)).astype(dtype)


def _whole(values: np.ndarray) -> np.ndarray:
    """Round to whole numbers; what is too large for them, or none, becomes zero."""
    rounded = np.rint(values)
    # Plus zero, which makes 0.0 of -0.0: a whole number has no such thing, so it must not seem to come back.
    return np.where(np.abs(rounded) < _EXACT, rounded, 0.0) + 0.0


def _carried(codes: np.ndarray, bad: np.ndarray, filler: int) -> np.ndarray:
    """Give what is bad the code of the good one before it, which costs a model least."""
    if not bad.any():
        return codes.astype(np.int64)
    last = np.maximum.accumulate(np.where(bad, -1, np.arange(len(codes))))
    return np.where(last >= 0, codes[np.maximum(last, 0)], filler).astype(np.int64)
