"""Transforms of columns to whole numbers, each way exactly: offsets, known values, decimals, and steps within a bound.

Every transform takes values to codes and says which values its codes would not bring back: those are kept beside them
as they are. All arithmetic on the way back is that of IEEE 754 (products, quotients, roundings), the same on every
machine; there is no logarithm and no power in it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from narrows.codec.container.cells import cell_bytes
from narrows.errors import CodecFileError

__all__ = [
    "Bounded",
    "ColumnTransform",
    "Dictionary",
    "FixedPoint",
    "Integers",
    "LookupTable",
    "Raw",
    "Relative",
    "from_keys",
    "objects",
    "to_keys",
    "transform_from_record",
]

_EXACT = 2.0**53
_MOST_WORDS = 1 << 16
_MOST_LEARNED = 1 << 26

Encoded = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Codes, int64 of shape (n, len(kinds)); which values they do not bring back, bool (n,); and what they bring back."""


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


def objects(cells: list[Any]) -> np.ndarray:
    """Return cells as an array of objects, whatever they are."""
    table = np.empty(len(cells), dtype=object)
    table[:] = cells
    return table


@dataclass(eq=False)
class ColumnTransform(ABC):
    """How one column becomes columns of whole numbers, none to two of them; a file keeps the fields."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of each column of whole numbers, "category" or "ordered"."""
        return ("ordered",)

    @abstractmethod
    def encode(self, values: np.ndarray) -> Encoded:
        """Turn values into codes; a bad one has the code of the value before it."""

    @abstractmethod
    def decode(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Turn codes into values."""

    def to_record(self) -> dict[str, Any]:
        """Return plain values and arrays, for a file."""
        return {"transform": type(self).__name__, **{field.name: getattr(self, field.name) for field in fields(self)}}


@dataclass(eq=False)
class Raw(ColumnTransform):
    """A column that is kept as it is, outside the model."""

    kinds = ()

    def encode(self, values: np.ndarray) -> Encoded:
        """Say of every value that no code brings it back."""
        return np.zeros((len(values), 0), np.int64), np.ones(len(values), bool), values

    def decode(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return zeros, which what is kept replaces."""
        return np.zeros(len(codes), dtype)


@dataclass(eq=False)
class Integers(ColumnTransform):
    """Whole numbers to the nearest of steps of 2 · error + 1, less an offset; without error, modulo 2**64."""

    offset: int
    error: int = 0

    def encode(self, values: np.ndarray) -> Encoded:
        """Round to steps; numbers so large that a step could leave the type are bad."""
        whole = values.astype(np.int64)
        bad = np.zeros(len(values), bool)
        if not self.error:
            return (whole - np.int64(self.offset))[:, None], bad, values
        step = 2 * self.error + 1
        bad |= (np.abs(whole.astype(np.float64)) > 2.0**62) | ((values > 0) & (whole < 0))
        whole = np.where(bad, 0, whole)
        codes = (whole + self.error) // step
        back = codes * step
        restored = back.astype(values.dtype)
        bad |= (restored.astype(np.int64) != back) | (np.abs(whole - back) > self.error)
        return _carried(codes - self.offset, bad, 0)[:, None], bad, restored

    def decode(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Add the offset, and multiply by the step."""
        return ((codes[:, 0] + np.int64(self.offset)) * (2 * self.error + 1)).astype(dtype)


@dataclass(eq=False)
class LookupTable(ColumnTransform):
    """Values out of a list, coded by their rank: their keys, rising, and the code for a bad value before the first."""

    keys: np.ndarray
    filler: int

    def encode(self, values: np.ndarray) -> Encoded:
        """Look values up."""
        keys = to_keys(values)
        found = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        bad = self.keys[found] != keys
        return _carried(found, bad, self.filler)[:, None], bad, values

    def decode(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Take values from the list."""
        return from_keys(self.keys[codes[:, 0]], dtype)


@dataclass(eq=False)
class Dictionary(ColumnTransform):
    """Cells out of a list: text, categories, anything that is not an array of numbers."""

    words: list[Any]
    kinds = ("category",)

    def __post_init__(self) -> None:
        self._codes = {_word(word): code for code, word in enumerate(self.words)}
        self._table = objects(self.words)

    @classmethod
    def fit(cls, cells: np.ndarray) -> ColumnTransform:
        """Take the cells that come more than once, the most frequent first; raw, if few do."""
        counts: dict[Any, int] = {}
        firsts: dict[Any, Any] = {}
        for cell in cells.tolist():
            word = _word(cell)
            counts[word] = counts.get(word, 0) + 1
            firsts.setdefault(word, cell)
        every = len(counts) <= 2 or len(counts) * 8 < len(cells)
        common = sorted((word for word in counts if every or counts[word] > 1), key=lambda word: -counts[word])
        # They are part of the codec, whose file must be one that can be read.
        common = common[:_MOST_WORDS]
        sizes = np.cumsum([len(word) * 4 if type(word) is str else len(word) for word in common])
        common = common[: int(np.searchsorted(sizes, _MOST_LEARNED, side="right"))]
        if sum(counts[word] for word in common) < 0.7 * len(cells):
            return Raw()
        return cls([firsts[word] for word in common])

    def encode(self, values: np.ndarray) -> Encoded:
        """Look cells up."""
        codes = np.array([self._codes.get(_word(cell), -1) for cell in values.tolist()], dtype=np.int64)
        bad = codes < 0
        return _carried(codes, bad, 0)[:, None], bad, values

    def decode(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Take cells from the list."""
        return self._table[codes[:, 0]]


def _word(cell: Any) -> Any:
    """Return what tells a cell from every other: 1, 1.0 and True are three, and so are two kinds of NaN two."""
    return cell if type(cell) is str else cell_bytes(cell)


class _Reals(ColumnTransform):
    """Floats: where the fit saw missing values (a NaN of the key ``nan``), a first column says what is missing."""

    nan: int | None

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("ordered",) if self.nan is None else ("category", "ordered")

    def encode(self, values: np.ndarray) -> Encoded:
        with np.errstate(all="ignore"):
            codes = self._to_codes(values)
            restored = self._to_values(codes, values.dtype)
            good = self._good(values, restored)
        codes = _carried(codes, ~good, 0)
        if self.nan is None:
            return codes[:, None], ~good, restored
        missing = to_keys(values) == self.nan
        restored = np.where(missing, values, restored)
        return np.stack([missing.astype(np.int64), codes], 1), ~(good | missing), restored

    def decode(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        with np.errstate(all="ignore"):
            values = self._to_values(codes[:, -1], dtype)
        if self.nan is not None:
            values = np.where(codes[:, 0] != 0, from_keys(np.array([self.nan], np.int64), dtype), values)
        return values

    @abstractmethod
    def _to_codes(self, values: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _to_values(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray: ...

    @abstractmethod
    def _good(self, values: np.ndarray, restored: np.ndarray) -> np.ndarray: ...


@dataclass(eq=False)
class FixedPoint(_Reals):
    """Numbers of so many decimals, times a power of ten, less an offset."""

    decimals: int
    offset: int = 0
    nan: int | None = None

    def _to_codes(self, values: np.ndarray) -> np.ndarray:
        return _whole(values.astype(np.float64) * float(10**self.decimals)).astype(np.int64) - self.offset

    def _to_values(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        return ((codes + self.offset).astype(np.float64) / float(10**self.decimals)).astype(dtype)

    def _good(self, values: np.ndarray, restored: np.ndarray) -> np.ndarray:
        kind = f"i{values.dtype.itemsize}"
        return values.view(kind) == restored.view(kind)


@dataclass(eq=False)
class Bounded(_Reals):
    """Numbers to the nearest of steps, no further off than an error.

    A step is twice the error, or a little less where the type is too coarse.
    """

    error: float
    step: float
    offset: int = 0
    nan: int | None = None

    def _to_codes(self, values: np.ndarray) -> np.ndarray:
        return _whole(values.astype(np.float64) / self.step).astype(np.int64) - self.offset

    def _to_values(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        return ((codes + self.offset).astype(np.float64) * self.step).astype(dtype)

    def _good(self, values: np.ndarray, restored: np.ndarray) -> np.ndarray:
        return _within(values, restored, self.error, relative=False)


@dataclass(eq=False)
class Relative(_Reals):
    """Numbers no further off than a fraction of themselves: every octave has the same cells, finer where it begins.

    An octave is parted into segments, and each segment into cells of one width, as wide as its lower end allows; a
    segment is one cell where that is not too many. A code tells the sign and counts the cells from the smallest number
    on, less ``base``; a zero is 0.
    """

    fraction: float
    base: int = 0
    nan: int | None = None
    _lowest = 1100

    def __post_init__(self) -> None:
        self._ends, cells = _octave(self.fraction)
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

    def _to_codes(self, values: np.ndarray) -> np.ndarray:
        counted = np.maximum(self.cells(values) - self.base, 0)
        return np.where(values == 0, 0, np.where(np.signbit(values), -counted, counted))

    def _to_values(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        power, inner = np.divmod(np.abs(codes) + (self.base - 1), self._starts[-1])
        segment = np.clip(np.searchsorted(self._starts, inner, side="right") - 1, 0, len(self._ends) - 1)
        part = self._ends[segment] + (inner - self._starts[segment] + 0.5) * self._widths[segment]
        power = np.clip(power - self._lowest - 1, -2000, 2000).astype(np.int32)
        return np.where(codes == 0, 0.0, np.sign(codes) * np.ldexp(part, power)).astype(dtype)

    def _good(self, values: np.ndarray, restored: np.ndarray) -> np.ndarray:
        # An infinite number is off by no more than a fraction of itself from anything.
        finite = np.isfinite(values) & np.isfinite(restored)
        return finite & _within(values, restored, self.fraction, relative=True)


def _within(values: np.ndarray, restored: np.ndarray, error: float, *, relative: bool) -> np.ndarray:
    """Say what is near enough, both in the array's own arithmetic, which may round the distance, and in float64."""
    exact = values.astype(np.float64)
    own, wide = np.abs(values - restored).astype(np.float64), np.abs(exact - restored)
    if not relative:
        return (own <= error) & (wide <= error)
    return (own <= error * np.abs(values)) & (wide <= error * np.abs(exact))


def _octave(fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the segments of an octave begin, and into how many cells of one width each is parted."""
    # A hair less than is allowed: the number must also survive its own type's rounding.
    width = 2.0 * fraction * (1 - 1e-6)
    if width > 1e-4:
        # Each cell by itself, as wide as its lower end allows.
        ends = np.multiply.accumulate(np.r_[1.0, np.full(int(1.5 / width) + 1, 1.0 + width)])
        ends = ends[ends < 2.0]
        return ends, np.ones(len(ends))
    ends = 1.0 + np.arange(32) / 32
    return ends, np.ceil((1 / 32) / (width * ends))


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


_BY_NAME = {kind.__name__: kind for kind in (Bounded, FixedPoint, Integers, LookupTable, Raw, Relative)}
_LARGEST = {"decimals": 10, "error": 2**31, "filler": 1 << 14}


def transform_from_record(record: dict[str, Any]) -> ColumnTransform:
    """Rebuild a transform from what its `to_record` gave; a CodecFileError if it is none, or has numbers none has."""
    kind: Any = _BY_NAME.get(str(record.pop("transform", None)))
    good = kind is not None and set(record) == {field.name for field in fields(kind)}
    for name, value in record.items():
        if name == "keys":
            good = good and len(value) > 0 and bool((np.diff(value) > 0).all())
        elif name in ("step", "fraction") or (name == "error" and kind is Bounded):
            good = good and isinstance(value, (int, float)) and 1e-13 * (name == "fraction") < value < 1e308
        elif not (name == "nan" and value is None):
            low, high = (0, _LARGEST[name]) if name in _LARGEST else (-(2**63), 2**63 - 1)
            good = good and type(value) is int and low <= value <= high
    if not good:
        raise CodecFileError(f"a column is coded in a way ({record}) that is not known")
    return kind(**record)
