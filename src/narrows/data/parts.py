"""Sources made of parts: files, row groups and batches that share their columns by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from narrows.data.source import BATCH_ROWS, Origin, Source
from narrows.errors import DataError

__all__ = ["Part", "PartsSource", "as_type", "pandas_index", "simple_type", "table_part", "unique_names"]

_BATCH_CELLS = 1 << 24
"""Cells that a batch has at most: of wide tables, fewer rows are read at a time."""

_READ_ROWS = 8192

Read = Callable[[list[str], int], Iterable[pa.RecordBatch]]


@dataclass(frozen=True)
class Part:
    """Rows that can be read on their own.

    ``read(columns, batch_rows)`` yields batches that have at least these columns. ``partitions`` are values that all
    rows share and that a folder's name says (``year=2020``); ``row_shape`` is the shape of a row before it was laid out
    flat.
    """

    name: str
    schema: pa.Schema
    n_rows: int | None
    read: Read
    partitions: dict[str, str | None] = field(default_factory=dict)
    row_shape: tuple[int, ...] | None = None

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of the columns that are read."""
        return frozenset(self.schema.names)


class PartsSource(Source):
    """Parts one after the other, their columns brought together by name."""

    def __init__(
        self, parts: Sequence[Part], origin: Origin, notes: Iterable[str] = (), index_columns: Iterable[str] = ()
    ) -> None:
        self.parts = list(parts)
        self.origin = origin
        self.notes = list(notes)
        self.arrow_schema = _common_schema(self.parts, self.notes)
        if not self.arrow_schema.names:
            raise DataError(f"{self.parts[0].name} has no columns")
        self.index_columns = [name for name in dict.fromkeys(index_columns) if name in self.arrow_schema.names]
        shapes = {part.row_shape for part in self.parts}
        shape = shapes.pop() if len(shapes) == 1 else None
        width = len(self.arrow_schema)
        self.row_shape = shape if shape is not None and math.prod(shape) == width else (width,)

    @property
    def n_rows(self) -> int | None:  # type: ignore[override]
        """How many rows there are, where all parts say it."""
        known = [part.n_rows for part in self.parts if part.n_rows is not None]
        return sum(known) if len(known) == len(self.parts) else None

    def select(self, positions: Sequence[int]) -> PartsSource:
        """Return the same rows with some of the columns, in the order of the positions."""
        chosen = copy(self)
        chosen.arrow_schema = pa.schema([self.arrow_schema.field(position) for position in positions])
        chosen.index_columns = [name for name in self.index_columns if name in chosen.arrow_schema.names]
        chosen.row_shape = (len(positions),)
        return chosen

    def n_segments(self) -> int:
        """Return how many parts there are."""
        return len(self.parts)

    def segment_rows(self) -> list[int]:
        """Count the rows of every part, from what the parts say of themselves where they do."""
        first = self.arrow_schema.names[:1]
        counts = [part.n_rows for part in self.parts]
        return [
            sum(map(len, self.segment(number, first))) if rows is None else rows for number, rows in enumerate(counts)
        ]

    def segment(
        self, number: int, columns: Sequence[str] | None = None, batch_rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one part, in order."""
        part = self.parts[number]
        names = self.arrow_schema.names if columns is None else list(columns)
        schema = pa.schema([self.arrow_schema.field(name) for name in names])
        batch_rows = max(1, min(batch_rows, _BATCH_CELLS // len(names)))
        # Many short batches cost more in calls per column than in copying, so they are cut out of longer ones.
        times = max(1, min(_READ_ROWS, _BATCH_CELLS // len(names)) // batch_rows)
        for batch in part.read([name for name in names if name in part.names], times * batch_rows):
            whole = pa.RecordBatch.from_arrays([_column(batch, f, part) for f in schema], schema=schema)
            for start in range(0, len(whole), batch_rows):
                yield whole.slice(start, batch_rows)

    def batches(self, columns: Sequence[str] | None = None, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield the rows of all parts."""
        for number in range(len(self.parts)):
            yield from self.segment(number, columns, batch_rows)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read some columns, or all, into memory, with one list of levels for each category."""
        return super().table(columns).unify_dictionaries()


def table_part(table: pa.Table, name: str) -> Part:
    """Make a part of a table in memory, without copying it."""
    table = table.rename_columns(unique_names(table.column_names))
    return Part(name, table.schema, table.num_rows, lambda columns, rows: table.select(columns).to_batches(rows))


def unique_names(labels: Iterable[object]) -> list[str]:
    """Return labels as texts that all differ: of equal ones the later get a number, as in ``a``, ``a_1``."""
    texts = [str(label) for label in labels]
    if len(taken := set(texts)) == len(texts):
        return texts
    used: set[str] = set()
    for position, text in enumerate(texts):
        number = 0
        while texts[position] in used or (number and texts[position] in taken):
            number += 1
            texts[position] = f"{text}_{number}"
        used.add(texts[position])
    return texts


def pandas_index(schema: pa.Schema) -> list[str]:
    """Return the columns that pandas says, in the metadata that it writes, are the index of its frame."""
    described = (schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in described if isinstance(name, str) and name in schema.names]


def simple_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that stands for several ways to lay out the same values."""
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string() if kind.extension_name == "arrow.uuid" else simple_type(kind.storage_type)
    if pt.is_dictionary(kind):
        # One type of index, wide enough for the levels of all parts together.
        return pa.dictionary(pa.int32(), simple_type(kind.value_type), kind.ordered)
    if pt.is_run_end_encoded(kind):
        return simple_type(kind.value_type)
    if pt.is_binary(kind) or pt.is_fixed_size_binary(kind):
        return pa.string()
    return pa.large_string() if pt.is_string_view(kind) or pt.is_binary_view(kind) or pt.is_large_binary(kind) else kind


def as_type(array: pa.Array, kind: pa.DataType, name: str, where: str) -> pa.Array:
    """Return the values in another type, or say which column does not fit."""
    if array.type == kind:
        return array
    try:
        if isinstance(array.type, pa.BaseExtensionType):
            if array.type.extension_name == "arrow.uuid":
                return pa.array([None if value is None else str(value) for value in array.to_pylist()], kind)
            array = array.storage
        if pt.is_run_end_encoded(array.type):
            array = pc.run_end_decode(array)
        if pt.is_dictionary(array.type) and not pt.is_dictionary(kind):
            array = array.dictionary_decode()
        if pt.is_fixed_size_binary(array.type):
            array = array.cast(pa.binary())
        return array.cast(kind)
    except (pa.ArrowException, NotImplementedError) as error:
        if "binary" in str(array.type):
            said = f"column {name!r} of {where} holds bytes that are no text"
            raise DataError(f"{said}: leave it out (drop={name})") from error
        raise DataError(f"column {name!r} of {where} does not fit the type {kind}: {error}") from error


def _column(batch: pa.RecordBatch, wanted: pa.Field, part: Part) -> pa.Array:
    """Return one column of a batch, in the type that all parts share."""
    if wanted.name in part.names:
        return as_type(batch.column(wanted.name), wanted.type, wanted.name, part.name)
    value = part.partitions.get(wanted.name)
    if value is None:
        return pa.nulls(len(batch), wanted.type)
    return pa.repeat(pa.scalar(value).cast(wanted.type), len(batch))


def _common_schema(parts: Sequence[Part], notes: list[str]) -> pa.Schema:
    """Bring the columns of all parts together by name, and note which parts lack some."""
    kinds: dict[str, pa.DataType] = {}
    for schema, name in {id(part.schema): (part.schema, part.name) for part in parts}.values():
        for column in schema:
            kind = simple_type(column.type)
            known = kinds.get(column.name, kind)
            kinds[column.name] = known if known == kind else _common_type(known, kind, column.name, name)
    for name, names in {part.name: part.names for part in parts}.items():
        if missing := [repr(column) for column in kinds if column not in names]:
            more = " and more" if len(missing) > 5 else ""
            notes.append(f"{name} lacks the columns {', '.join(missing[:5])}{more}: missing in its rows")
    keys = dict.fromkeys(key for part in parts for key in part.partitions)
    for key in keys:
        if key not in kinds:
            kinds[key] = _partition_type([part.partitions.get(key) for part in parts])
    return pa.schema(list(kinds.items()))


def _common_type(one: pa.DataType, other: pa.DataType, column: str, where: str) -> pa.DataType:
    """Return the type that holds the values of both."""
    if pt.is_dictionary(one) != pt.is_dictionary(other):
        one, other = (kind.value_type if pt.is_dictionary(kind) else kind for kind in (one, other))
    texts = [pt.is_string(kind) or pt.is_large_string(kind) for kind in (one, other)]
    if all(texts):
        return pa.large_string() if one != other else one
    try:
        schemas = [pa.schema([(column, kind)]) for kind in (one, other)]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowException:
        said = f"column {column!r} of {where} is of type {other}, and {one} in what was read before"
        raise DataError(f"{said}: make them one type, or leave the column out") from None


def _partition_type(values: list[str | None]) -> pa.DataType:
    """Return whole numbers where all values are spelled as such, otherwise texts."""
    known = [value for value in values if value is not None]
    whole = all(value.lstrip("-").isdigit() and str(int(value)) == value and len(value) < 19 for value in known)
    return pa.int64() if whole else pa.string()
