"""From the values of columns to what they are: one pass over a source, and rules that are sure rather than clever."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from narrows.data.formats import BooleanFormat, DateFormat, NumberFormat, ValueFormat, formats_of
from narrows.data.schema import KINDS, Column, Schema
from narrows.data.source import Source
from narrows.data.text import TextSource
from narrows.errors import DataError

__all__ = ["MOST_LEVELS", "infer_schema"]

MOST_LEVELS = 200
"""A column of text with more different values than this is no category."""

_LABELS = ("category", "text", "identifier", "index", "group")
"""Kinds that any texts can be asked to be."""

_FORMATS: dict[str, type] = {
    "datetime": DateFormat, "time": DateFormat, "number": NumberFormat, "boolean": BooleanFormat,
}  # fmt: skip
"""How texts of the other kinds are spelled."""

_ASKED = tuple(kind for kind in KINDS if kind not in ("constant", "nested"))

_MOST_COUNTED = 20_000
"""Different texts that are counted; where there are more it no longer matters how many."""

_MOST_LABELS = 1_000_000
"""Whole numbers, of a column that is named like an identifier, that are held against each other."""

_TRIED = 500
"""Texts of the first rows by which a format is sought; all of the rest must then agree."""

_EXACT = 2**53
"""Beyond it not every whole number is a float."""

_SENTINELS = frozenset(sign * int("9" * digits) for digits in range(2, 7) for sign in (1, -1)) | {-1}
_ID_NAME = re.compile(r"(?:^|[_\s.-])(?:id|ids|uuid|guid|key|nr|no|number)$", re.IGNORECASE)
_CAMEL_ID = re.compile(r"[a-z](?:Id|ID|Key|Nr)$")
_TIME_NAME = re.compile(
    r"(?:^|[_\s.-])(?:ts|t|time|timestamp|date|datetime|epoch|when|created|at)(?:$|[_\s.-])", re.IGNORECASE
)
_EPOCHS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH_SPAN = (631_152_000, 4_102_444_800)
"""Seconds since 1970 from 1990 to 2100."""


def infer_schema(source: Source, kinds: Mapping[str, str] | None = None) -> tuple[Schema, list[int]]:
    """Look at all rows of a source once and decide what each column is.

    Parameters
    ----------
    source : Source
        What was opened.
    kinds : dict of str to str, optional
        Kinds that the user knows, by the column's name.

    Returns
    -------
    schema : Schema
    segment_rows : list of int
        Rows in each part of the source.

    Raises
    ------
    DataError
        If a column named in ``kinds`` is not there, or its kind is unknown or does not fit its values.
    """
    wanted = dict(kinds or {})
    for name, kind in wanted.items():
        if name not in source.arrow_schema.names:
            known = ", ".join(map(repr, source.arrow_schema.names[:12]))
            raise DataError(f"kinds= names the column {name!r}, and there is none; there are {known}")
        if kind not in _ASKED:
            raise DataError(f"column {name!r} cannot be asked to be {kind!r}, but {', '.join(_ASKED)}")
    looked, segment_rows = _look(source, {name for name, kind in wanted.items() if kind == "category"})
    n_rows = sum(segment_rows)
    if not n_rows:
        raise DataError("the table has no rows")
    columns = []
    for position, column in enumerate(looked):
        name = column.name
        if name in source.index_columns and name not in wanted:
            columns.append(Column(name, "index", "the table's own index", column.type, column.missing(n_rows)))
        else:
            decided = column.decide(n_rows, wanted.get(name), first=position == 0)
            if isinstance(source, TextSource) and decided.kind == "number" and decided.format is None:
                decided = replace(decided, decimals=source.decimals(name))
            columns.append(decided)
    library = source.origin.library
    return Schema(columns, n_rows, list(source.notes), dict(source.options), library), segment_rows


def _look(source: Source, categories: set[str]) -> tuple[list[_Values], list[int]]:
    """Read all rows once, and return what was found of each column, and the rows of each part.

    Of ``categories``, which are to be some whatever they hold, all values are counted.
    """
    looked: list[_Values] = []
    counts: list[int] = []

    def begin(schema: pa.Schema) -> Callable[[pa.RecordBatch], None]:
        looked[:] = [
            _Texts(column) if column.name in categories or _is_counted(column.type) else _Values(column)
            for column in schema
        ]
        counts[:] = [0]
        return take

    def take(batch: pa.RecordBatch) -> None:
        counts[-1] += len(batch)
        for column, values in zip(looked, batch.columns, strict=True):
            column.look(values)

    if isinstance(source, TextSource):
        # Its types are found while it is read, so that it is begun again where a later cell has another.
        source.visit(begin)
        return looked, counts
    begin(source.arrow_schema)
    for number in range(source.n_segments()):
        if number:
            counts.append(0)
        for batch in source.segment(number):
            take(batch)
    return looked, counts


def _is_counted(kind: pa.DataType) -> bool:
    return pt.is_dictionary(kind) or pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind)


class _Values:
    """What a pass finds out about a column of numbers, truth values, moments, or of something else."""

    def __init__(self, column: pa.Field) -> None:
        self.name, self.kind, self.type = column.name, column.type, str(column.type)
        self.known = 0
        self.low: Any = None
        self.high: Any = None
        self.last: Any = None
        self.step: Any = None
        self.rising = self.even = True
        self.ordered = not pt.is_nested(self.kind) and not pt.is_null(self.kind) and not pt.is_binary(self.kind)
        self.sample: list[float] = []
        self.lowest = Counter[Any]()
        self.named_like_id = bool(_ID_NAME.search(self.name) or _CAMEL_ID.search(self.name))
        self.labels: list[np.ndarray] = []

    def missing(self, n_rows: int) -> float:
        """Return the fraction of rows without a value."""
        return 1 - self.known / n_rows

    def look(self, values: pa.Array) -> None:
        """Take up a batch."""
        if pt.is_dictionary(values.type):
            values = values.dictionary_decode()
        values = values.drop_null() if values.null_count else values
        if pt.is_floating(self.kind):
            nan = pc.is_nan(values)
            values = values.filter(pc.invert(nan)) if pc.any(nan).as_py() else values
        self.known += len(values)
        if not len(values) or not self.ordered:
            return
        # Arrow does not compare durations.
        ends = pc.min_max(values.cast(pa.int64()) if pt.is_duration(self.kind) else values)
        low, high = pa.array([ends["min"], ends["max"]]).cast(values.type).to_pylist()
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        if pt.is_boolean(self.kind):
            return
        if len(self.sample) < 1000:
            self.sample += values[:1000].to_pylist()
        if low in _SENTINELS or high in _SENTINELS:
            self.lowest.update(x for x in values[:5000].to_pylist() if x in _SENTINELS)
        if self.named_like_id and pt.is_integer(self.kind) and self.known - len(values) < _MOST_LABELS:
            self.labels.append(values.to_numpy(zero_copy_only=False))
        if self.rising:
            self._follow(values)

    def _follow(self, values: pa.Array) -> None:
        """See whether the values rise from row to row, and evenly."""
        if pt.is_decimal(values.type):
            self.rising = self.even = False
            return
        if not pt.is_floating(values.type) and not pt.is_integer(values.type):
            values = values.cast(pa.int64()) if values.type.bit_width == 64 else values.cast(pa.int32())
        plain = values.to_numpy(zero_copy_only=False)
        with np.errstate(invalid="ignore"):
            steps = np.diff(plain if self.last is None else np.concatenate([[self.last], plain]))
        self.last = plain[-1]
        self.rising = bool((steps > 0).all())
        if len(steps) and self.rising:
            self.step = np.median(steps) if self.step is None else self.step
            self.even = self.even and float(np.mean(steps == self.step)) > 0.9

    def decide(self, n_rows: int, kind: str | None, *, first: bool) -> Column:
        """Say what the column is."""
        found, why, more = self._decide(n_rows, first=first)
        if kind is not None:
            if found == "nested" or (kind in ("number", "integer") and not self._is_number()):
                raise DataError(f"column {self.name!r} of type {self.type} cannot be of kind {kind!r}")
            found, why = kind, "as asked"
        return Column(self.name, found, why, self.type, self.missing(n_rows), **more)

    def _is_number(self) -> bool:
        return pt.is_integer(self.kind) or pt.is_floating(self.kind) or pt.is_decimal(self.kind)

    def _decide(self, n_rows: int, *, first: bool) -> tuple[str, str, dict[str, Any]]:
        if not self.ordered and not pt.is_null(self.kind):
            return "nested", f"of type {self.type}, which is no single value", {}
        if self.low is None:
            return "constant", "empty", {}
        if not self._is_number() and not pt.is_boolean(self.kind):
            return self.moment(n_rows, f"of type {self.type}")
        if pt.is_boolean(self.kind):
            several = self.low != self.high or n_rows == 1
            why = ("boolean", "truth values") if several else ("constant", "one value in all rows")
            return *why, {"low": int(self.low), "high": int(self.high)}
        more: dict[str, Any] = {"low": _plain(self.low), "high": _plain(self.high)}
        if self.low == self.high and n_rows > 1:
            return "constant", "one value in all rows", more
        if pt.is_integer(self.kind) and (found := self._decide_label(n_rows, first=first)) is not None:
            return *found, more
        more["note"] = self._sentinel()
        if pt.is_integer(self.kind):
            return "integer", "whole numbers", more
        return "number", "numbers", more | {"decimals": _decimals(self.sample)}

    def _decide_label(self, n_rows: int, *, first: bool) -> tuple[str, str] | None:
        """Say whether whole numbers only name the rows or say when they were; None where they are numbers."""
        if max(abs(self.low), abs(self.high)) > _EXACT and (self.known < n_rows or not self._epoch()):
            return "identifier", "whole numbers beyond 2^53, which no float holds"
        if self.known < n_rows or n_rows < 3:
            return None
        unnamed = first and self.name in ("", "index", "Unnamed: 0", "__index_level_0__")
        if unnamed and self.rising and self.even and self.low in (0, 1):
            return "index", "counts the rows"
        if self.rising and (unit := self._epoch()) is not None:
            return "time", f"{unit} since 1970, rising from row to row"
        if self.named_like_id:
            labels = np.concatenate(self.labels)
            if self.rising or len(np.unique(labels)) == len(labels):
                among = "" if self.rising or len(labels) == n_rows else f" of the first {len(labels):,} rows"
                return "identifier", f"named like one, and all values{among} differ"
        return None

    def moment(self, n_rows: int, why: str) -> tuple[str, str, dict[str, Any]]:
        """Say whether moments order the rows, as those of a log do, or are values like others."""
        more = {"low": _iso(self.low), "high": _iso(self.high), "unit": _unit(self.kind, self.sample)}
        if self.low == self.high and n_rows > 1:
            return "constant", "one value in all rows", more
        if self.rising and self.known > 2:
            return "time", f"{why}, rising from row to row", more
        return "datetime", why, more

    def _epoch(self) -> str | None:
        if not (_TIME_NAME.search(self.name) or (self.even and self.known > 50)):
            return None
        for unit, factor in _EPOCHS.items():
            if _EPOCH_SPAN[0] * factor <= self.low and self.high <= _EPOCH_SPAN[1] * factor:
                return {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}[unit]
        return None

    def _sentinel(self) -> str:
        """Point out a value that looks like a mark for missing values: frequent, and far from all others."""
        for value, count in self.lowest.items():
            rest = [x for x in self.sample if x not in _SENTINELS]
            if value == -1 or not rest or count < max(3, 0.005 * min(self.known, 5000)):
                continue
            low, high = min(rest), max(rest)
            if min(abs(value - low), abs(value - high)) > max(1.0, 2 * (high - low)) and not low <= value <= high:
                return (
                    f"{value:g} is far from all other values and frequent: --missing-values {value:g} makes it missing"
                )
        return ""


class _Texts(_Values):
    """What a pass finds out about a column of texts."""

    def __init__(self, column: pa.Field) -> None:
        super().__init__(column)
        self.counts: Counter[str] = Counter()
        self.formats: list[ValueFormat] | None = None
        self.given = list[Any]()
        self.is_dictionary = pt.is_dictionary(self.kind)
        self.is_text = _is_counted(self.kind) and not self.is_dictionary
        self.is_ordered = self.is_dictionary and self.kind.ordered
        self.parsed: dict[ValueFormat, _Values] = {}
        self.length = 0

    def look(self, values: pa.Array) -> None:
        """Take up a batch."""
        if self.is_dictionary:
            for level in values.dictionary.to_pylist():
                if level not in self.counts:
                    self.given.append(level)
                    self.counts[level] = 0
            values = values.dictionary_decode()
        values = values.drop_null() if values.null_count else values
        self.known += len(values)
        if not len(values):
            return
        if len(self.counts) <= _MOST_COUNTED:
            found = pc.value_counts(values)
            texts = found.field(0).to_pylist()
            self.counts.update(dict(zip(texts, found.field(1).to_pylist(), strict=True)))
            self.length = max(self.length, *(len(str(text)) for text in texts[:200]))
        if self.formats is None:
            self.formats = (
                [] if not self.is_text else formats_of([t for t in list(self.counts)[:_TRIED] if len(t) < 64])
            )
        if self.formats:
            self._try(values)

    def _try(self, values: pa.Array) -> None:
        """Keep the formats that this batch has too, and follow what it stands for."""
        for value_format in self.formats or []:
            try:
                if not pc.all(pc.match_substring_regex(values, value_format.pattern())).as_py():
                    raise pa.ArrowInvalid("another format")  # noqa: TRY301 - as where the values do not parse
                parsed = value_format.values(values)
            except pa.ArrowInvalid:
                self.parsed.pop(value_format, None)
                self.formats = [kept for kept in self.formats or [] if kept != value_format]
                continue
            if value_format not in self.parsed:
                self.parsed[value_format] = _Values(pa.field(self.name, parsed.type))
            self.parsed[value_format].look(parsed)

    def decide(self, n_rows: int, kind: str | None, *, first: bool) -> Column:
        """Say what the column is."""
        share = self.missing(n_rows)
        if kind in _LABELS:
            levels = self._levels() if kind == "category" else None
            return Column(self.name, kind, "as asked", self.type, share, levels=levels, ordered=self.is_ordered)
        if kind is None:
            found, why, more = self._decide_text(n_rows)
            return Column(self.name, found, why, self.type, share, **more)
        value_format = next((s for s in self.formats or [] if isinstance(s, _FORMATS.get(kind, ()))), None)
        if value_format is None:
            raise DataError(f"column {self.name!r} holds texts and cannot be of kind {kind!r}")
        return Column(self.name, kind, "as asked", self.type, share, **self._formatted(value_format, n_rows)[2])

    def _levels(self) -> list[str]:
        if len(self.counts) > 10 * MOST_LEVELS:
            raise DataError(f"column {self.name!r} has {len(self.counts):,} different values, too many for a category")
        # An order that means nothing differs between libraries: the same table is to make the same model.
        return self.given if self.is_ordered else sorted(self.counts, key=lambda level: (str(type(level)), level))

    def _decide_text(self, n_rows: int) -> tuple[str, str, dict[str, Any]]:
        if not self.known:
            return "constant", "empty", {}
        if self.is_dictionary and len(self.counts) <= 10 * MOST_LEVELS:
            return "category", "a category by its type", {"levels": self._levels(), "ordered": self.is_ordered}
        if len(self.counts) == 1 and n_rows > 1:
            return "constant", "one value in all rows", {"levels": list(self.counts)}
        dates = [s for s in self.formats or [] if isinstance(s, DateFormat) and s.form[:2] in ("%d", "%m")]
        if len({value_format.form[:2] for value_format in dates}) > 1:
            way = f"--kinds {self.name}=datetime takes the first number for the day"
            return self._plain_text(n_rows, f"its values could be dates, but day or month may come first: {way}")
        for value_format in self.formats or []:
            if not isinstance(value_format, BooleanFormat) or len(self.counts) == 2:
                return self._formatted(value_format, n_rows)
        return self._plain_text(n_rows, "")

    def _formatted(self, value_format: ValueFormat, n_rows: int) -> tuple[str, str, dict[str, Any]]:
        """Say what texts of a format stand for."""
        if isinstance(value_format, BooleanFormat):
            return "boolean", value_format.said(), {"format": value_format, "low": 0, "high": 1}
        values = self.parsed[value_format]
        if isinstance(value_format, DateFormat):
            found, why, more = values.moment(n_rows, value_format.said())
            return found, why, more | {"format": value_format}
        tails = (t.rpartition(value_format.decimal)[2] for t in list(self.counts)[:_TRIED] if value_format.decimal in t)
        shown = max((sum(map(str.isdigit, tail)) for tail in tails), default=0)
        more = {"low": values.low, "high": values.high, "decimals": shown, "format": value_format}
        return "number", value_format.said(), more

    def _plain_text(self, n_rows: int, note: str) -> tuple[str, str, dict[str, Any]]:
        several = len(self.counts)
        if self.is_dictionary:
            return "text", f"{several:,} categories, too many for one", {"note": note}
        if several <= MOST_LEVELS and several <= max(2, 0.5 * self.known):
            return "category", f"{several} different texts", {"levels": sorted(self.counts), "note": note}
        seen = min(self.known, sum(self.counts.values()))
        texts = list(self.counts)[:200]
        tokens = self.length <= 64 and not any(" " in text.strip() for text in texts)
        # Digits alone, as of a postal code, name no row.
        names = self.named_like_id or any(not text.isdigit() for text in texts)
        if tokens and names and several >= 0.9 * seen:
            return "identifier", "nearly all values differ", {"note": note}
        return "text", f"{'more than ' if several > _MOST_COUNTED else ''}{several:,} different texts", {"note": note}


def _iso(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _unit(kind: pa.DataType, sample: list[Any]) -> str:
    """Return the largest unit of time of which all values are multiples: "D", "s" or "us"."""
    if pt.is_date(kind):
        return "D"
    found = {(value.hour, value.minute, value.second, value.microsecond) for value in sample if hasattr(value, "hour")}
    if found == {(0, 0, 0, 0)}:
        return "D"
    return "us" if not found or any(clock[3] for clock in found) else "s"


def _plain(value: Any) -> int | float:
    return int(value) if isinstance(value, int) else float(value)


def _decimals(sample: list[float]) -> int | None:
    """Return how many digits after the point values show; None where there is no telling."""
    shown = np.asarray([float(value) for value in sample[:1000]])
    return next((digits for digits in range(9) if np.array_equal(np.round(shown, digits), shown)), None)
