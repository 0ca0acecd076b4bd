"""From typed columns to rows of numbers, and back: numbers as they are, categories as a column for each level."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from narrows.data.schema import Column, Schema
from narrows.errors import DataError

__all__ = ["Encoding"]

_UNITS = {"D": 86_400.0, "s": 1.0, "us": 1e-6}


@dataclass(frozen=True)
class Encoding:
    """How the features of a table become numbers: first those of one number each, then a block for each category.

    Attributes
    ----------
    columns : list of Column
        The features, in the table's order.
    others : bool, default False
        Whether each block has a last column for categories that the fit has not seen; otherwise they are refused.
    """

    columns: list[Column]
    others: bool = False

    @classmethod
    def learn(cls, schema: Schema, *, others: bool = False) -> Encoding:
        """Take the features of a schema."""
        if not schema.features:
            raise DataError(f"no column is left to learn from: {'; '.join(schema.describe())}")
        return cls(schema.features, others)

    @property
    def names(self) -> list[str]:
        """The features' names."""
        return [column.name for column in self.columns]

    @property
    def levels(self) -> list[list[Any] | None]:
        """Of each feature its categories, None for one that becomes one number."""
        return [column.levels if column.is_category else None for column in self.columns]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers each category becomes."""
        return tuple(len(known) + self.others for known in self.levels if known is not None)

    @property
    def n_numbers(self) -> int:
        """How many features become one number."""
        return sum(known is None for known in self.levels)

    @property
    def n_values(self) -> int:
        """How many numbers a row becomes."""
        return self.n_numbers + sum(self.sizes)

    @property
    def is_plain(self) -> bool:
        """Whether all features are numbers already, so that rows of numbers need no way back."""
        numbers = ("number", "integer", "constant")
        return all(c.kind in numbers and c.levels is None and c.format is None for c in self.columns)

    @property
    def value_names(self) -> list[str]:
        """The names of all numbers that a row becomes."""
        numbers = [c.name for c, known in zip(self.columns, self.levels, strict=True) if known is None]
        rest = ["(other)"] if self.others else []
        pairs = zip(self.columns, self.levels, strict=True)
        return numbers + [f"{c.name}={level}" for c, known in pairs if known is not None for level in [*known, *rest]]

    def dtype(self, schema: pa.Schema, *, gaps: bool) -> np.dtype:
        """Return the type that holds the numbers of a table: its own, where all of its columns are numbers.

        Whole numbers are floats where values may be missing: in the columns that lacked some in the fit, and with
        ``gaps`` in any.
        """
        kinds: list[np.dtype] = []
        for column in self.columns:
            kind = schema.field(column.name).type
            if column.is_category or column.format is not None or not _is_number(kind):
                return np.dtype(np.float64)
            dtype = np.dtype(np.uint8) if pt.is_boolean(kind) else np.dtype(kind.to_pandas_dtype())
            if dtype.kind in "iu" and (gaps or column.missing):
                dtype = np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
            kinds.append(dtype)
        return np.result_type(*kinds)

    def encode(self, batch: pa.RecordBatch | pa.Table, start: int = 0) -> np.ndarray:
        """Turn the rows of a batch into numbers, NaN where there is no value; ``start`` is its first row's number."""
        values = np.empty((len(batch), self.n_values), np.float64)
        number, block = 0, self.n_numbers
        for column, known in zip(self.columns, self.levels, strict=True):
            array = batch.column(column.name)
            array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
            if known is None:
                values[:, number] = _numbers(array, column, start)
                number += 1
            else:
                width = len(known) + self.others
                values[:, block : block + width] = self._block(array, column, known, start)
                block += width
        return values

    def _block(self, array: pa.Array, column: Column, known: list[Any], start: int) -> np.ndarray:
        """Turn categories into a column for each level."""
        array = array.dictionary_decode() if pt.is_dictionary(array.type) else array
        if not _is_text(array.type) and any(isinstance(level, str) for level in known):
            array = pc.cast(array, pa.string())
        try:
            levels = pa.array(known, array.type)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(f"column {column.name!r} was a category in the fit, and here it is {array.type}") from error
        found = pc.fill_null(pc.index_in(array, levels), -2).to_numpy(zero_copy_only=False)
        missing = array.is_null().to_numpy(zero_copy_only=False)
        if self.others:
            found = np.where(found == -2, len(known), found)
        elif ((found == -2) & ~missing).any():
            row = int(((found == -2) & ~missing).argmax())
            seen = f"the category {array[row].as_py()!r} was not seen in the fit"
            raise DataError(f"column {column.name!r}, row {start + row}: {seen}")
        block = (found[:, None] == np.arange(len(known) + self.others)).astype(np.float64)
        block[missing] = np.nan
        return block

    def decode(self, rows: np.ndarray) -> pa.Table:
        """Turn numbers into columns of the types that came in: of a block the category with the largest number."""
        number, block = 0, self.n_numbers
        arrays = []
        for column, known in zip(self.columns, self.levels, strict=True):
            if known is None:
                arrays.append(_restored(rows[:, number], column))
                number += 1
                continue
            # Of what the fit has not seen there is no name.
            width = len(known)
            part = rows[:, block : block + width]
            missing = np.isnan(part).all(1) if len(part) else np.zeros(0, bool)
            place = np.where(np.isnan(part), -np.inf, part).argmax(1) if len(part) else np.zeros(0, int)
            indices = pa.array(place.astype(np.int32), mask=missing)
            levels = pa.DictionaryArray.from_arrays(indices, pa.array(known), ordered=column.ordered)
            arrays.append(levels if column.type.startswith("dictionary") else levels.dictionary_decode())
            block += width + self.others
        return pa.table(arrays, names=self.names)

    def fold(self, values: np.ndarray) -> np.ndarray:
        """Average the values of each category over its block, so that there is one a feature."""
        parts, number, block = [], 0, self.n_numbers
        for known in self.levels:
            if known is None:
                parts.append(values[:, number])
                number += 1
            else:
                width = len(known) + self.others
                parts.append(values[:, block : block + width].mean(1))
                block += width
        return np.stack(parts, 1)


def _is_number(kind: pa.DataType) -> bool:
    return pt.is_integer(kind) or pt.is_floating(kind) or pt.is_boolean(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pt.is_string(kind) or pt.is_large_string(kind)


def _numbers(array: pa.Array, column: Column, start: int) -> np.ndarray:
    """Return the numbers that a column's values stand for."""
    try:
        if pt.is_dictionary(array.type):
            array = array.dictionary_decode()
        if _is_text(array.type):
            if column.kind == "boolean" and column.format is None:
                array = pc.cast(pc.cast(array, pa.bool_()), pa.uint8())
            else:
                array = column.format.values(array) if column.format is not None else pc.cast(array, pa.float64())
        elif column.format is not None and column.kind in ("datetime", "time") and not pt.is_temporal(array.type):
            raise pa.ArrowInvalid("no date")
        if pt.is_temporal(array.type):
            return _moments(array)
        if pt.is_null(array.type):
            return np.full(len(array), np.nan)
        if not (pt.is_floating(array.type) and array.type.bit_width == 64):
            array = pc.cast(array, pa.float64()) if not pt.is_boolean(array.type) else pc.cast(array, pa.uint8())
        return array.to_numpy(zero_copy_only=False).astype(np.float64)
    except pa.ArrowException:
        row = _first_bad(array, column)
        shown = repr(array[row].as_py()) if row is not None else str(array.type)
        where = f", row {start + row}" if row is not None else ""
        raise DataError(f"column {column.name!r}{where}: {shown} is not of kind {column.kind}, as in the fit") from None


def _first_bad(array: pa.Array, column: Column) -> int | None:
    """Return the row of the first text that does not stand for a value."""
    if not _is_text(array.type):
        return None
    pattern = column.format.pattern() if column.format is not None else r"^\s*[-+]?[\d.]+(?:[eE][-+]?\d+)?\s*$"
    bad = pc.invert(pc.fill_null(pc.match_substring_regex(array, pattern), fill_value=True))
    row = pc.index(bad, True).as_py()
    return None if row < 0 else int(row)


def _moments(array: pa.Array) -> np.ndarray:
    """Return moments and durations in seconds, moments since 1970."""
    if pt.is_time(array.type):
        array = pc.cast(array, pa.time64("us")).cast(pa.int64())
    elif pt.is_duration(array.type):
        array = pc.cast(array, pa.duration("us")).cast(pa.int64())
    else:
        array = pc.cast(array, pa.timestamp("us", getattr(array.type, "tz", None)), safe=False).cast(pa.int64())
    return array.to_numpy(zero_copy_only=False).astype(np.float64) / 1e6


def _restored(values: np.ndarray, column: Column) -> pa.Array:
    """Return values of a column's own type, spelled as they were."""
    if column.unit:
        return _restored_moments(values, column)
    if column.kind == "boolean" and (column.format is not None or column.type == "bool"):
        if column.format is not None:
            return pa.array(column.format.spell(values), pa.string())
        return pa.array(values >= 0.5, mask=np.isnan(values))
    if column.format is not None:
        return pa.array(column.format.spell(values, column.decimals), pa.string())
    kind = column.type
    if kind.startswith(("int", "uint")):
        limits = np.iinfo(np.dtype(kind))
        whole = np.clip(np.nan_to_num(np.rint(values)), float(limits.min), float(limits.max))
        return pa.array(whole, mask=np.isnan(values)).cast(pa.type_for_alias(kind), safe=False)
    if column.decimals is not None:
        values = np.round(values, column.decimals)
    numbers = pa.array(values, mask=np.isnan(values))
    if decimal := re.fullmatch(r"decimal(?:32|64|128|256)\((\d+), (-?\d+)\)", kind):
        return numbers.cast(pa.decimal128(int(decimal[1]), int(decimal[2])))
    return numbers.cast(pa.type_for_alias(kind)) if kind in ("float", "halffloat") else numbers


def _restored_moments(values: np.ndarray, column: Column) -> pa.Array:
    """Return dates, times of day and durations, of the unit that all had."""
    unit = _UNITS[column.unit or "us"]
    micros = np.rint(np.rint(np.nan_to_num(values) / unit) * unit * 1e6).astype(np.int64)
    moments = pa.array(micros, mask=np.isnan(values))
    if column.type.startswith("duration"):
        return moments.cast(pa.duration("us"))
    if column.type.startswith("time") and not column.type.startswith("timestamp"):
        return moments.cast(pa.time64("us"))
    stamps = moments.cast(pa.timestamp("us"))
    if column.format is not None:
        return pa.array(column.format.spell(stamps), pa.string())
    if column.type.startswith("date"):
        return stamps.cast(pa.date32())
    zone = column.type.partition("tz=")[2].rstrip("]")
    return moments.cast(pa.timestamp("us", zone)) if zone else stamps
