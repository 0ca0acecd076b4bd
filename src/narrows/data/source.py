"""What reading gives: columns of Arrow types that can be read again and again, in order, a batch at a time."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

__all__ = ["BATCH_ROWS", "Origin", "Source"]

BATCH_ROWS = 1 << 16
"""Rows that a batch holds at most, unless asked otherwise."""


@dataclass(frozen=True)
class Origin:
    """Where columns came from, so that what is made of them can go back in the same form.

    ``library`` is "pandas", "polars", "arrow", "dict", "numpy" or "file"; ``index`` is the index that a pandas frame
    had besides its columns; ``labels`` are the columns' own names where these are no texts; ``dtypes`` the types of a
    frame's columns where Arrow's do not say them all; ``named`` says whether the columns had names at all.
    """

    library: str
    place: str | None = None
    index: Any = None
    labels: list[Any] | None = None
    dtypes: dict[str, Any] = field(default_factory=dict)
    named: bool = True


class Source(ABC):
    """Columns that can be read again and again, in order.

    ``arrow_schema`` has the columns' names, all different, and their Arrow types; a dictionary of texts is a category.
    ``n_rows`` is None where it is only known after all has been read. ``notes`` say in whole sentences what was assumed
    on the way (a delimiter, an encoding, a header, names made up). ``index_columns`` are the columns that the source's
    own words say are its index. ``options`` are those that a later table of the same kind is to be read with.
    """

    arrow_schema: pa.Schema
    n_rows: int | None
    origin: Origin
    notes: list[str]
    options: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed
    index_columns: list[str]

    @abstractmethod
    def batches(self, columns: Sequence[str] | None = None, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, of some columns or of all, at most ``batch_rows`` at a time."""

    def n_segments(self) -> int:
        """Return how many parts can be read on their own, which is what shuffling needs; 1 where only the whole can."""
        return 1

    def segment(
        self, number: int, columns: Sequence[str] | None = None, batch_rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one part, in order."""
        return self.batches(columns, batch_rows)

    def segment_rows(self) -> list[int]:
        """Count the rows of every part."""
        names = self.arrow_schema.names[:1]
        if self.n_segments() == 1 and self.n_rows is not None:
            return [self.n_rows]
        return [sum(len(batch) for batch in self.segment(number, names)) for number in range(self.n_segments())]

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read some columns, or all, into memory."""
        names = self.arrow_schema.names if columns is None else list(columns)
        schema = pa.schema([self.arrow_schema.field(name) for name in names])
        return pa.Table.from_batches(list(self.batches(names)), schema=schema)
