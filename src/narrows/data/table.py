"""A table: columns from anywhere, and what each of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from narrows.data.infer import infer_schema
from narrows.data.schema import Schema
from narrows.data.source import Source

__all__ = ["Table", "read"]


@dataclass(frozen=True)
class Table:
    """Columns that can be read again and again, and what each of them is.

    Attributes
    ----------
    source : Source
        Where the rows are.
    schema : Schema
        What the columns are, and why.
    segment_rows : list of int
        Rows in each part of the source.
    stream : bool or None
        Whether its rows are read as a stream rather than into memory; None does so where they are many.
    """

    source: Source
    schema: Schema
    segment_rows: list[int]
    stream: bool | None = None

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return sum(self.segment_rows)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read some columns, or all, into memory."""
        return self.source.table(columns)


def read(data: Any, *, kinds: Mapping[str, str] | None = None, stream: bool | None = None, **options: Any) -> Table:
    """Read anything with columns, and decide what each column is.

    Every estimator takes what this takes, and a :class:`Table` too: call it where what was decided is to be seen or
    overruled before a fit.

    Parameters
    ----------
    data : path, URL, frame, Arrow table, dict of columns, array, iterator of batches, or Table
        A path may be a file, a folder, a glob or a list of them; see :func:`narrows.data.open_source`.
    kinds : dict of str to str, optional
        Kinds of columns where the rules are wrong or not sure: ``{"zip": "category", "when": "datetime"}``.
    stream : bool, optional
        Whether a model is to read the rows as a stream, in bounded memory; by default where a file holds more than
        256 MB of numbers.
    **options
        As of :func:`narrows.data.open_source`: ``columns``, ``drop``, ``delimiter``, ``decimal``, ``encoding``,
        ``header``, ``missing_values``, ``index`` and so on.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        If it cannot be read: one sentence says what is wrong, where, and which option helps.

    Examples
    --------
    >>> from narrows.data import read
    >>> table = read({"zip": ["01067", "10115", "01067", "10115"], "area": [3.5, 8.25, 4.0, 7.5]})
    >>> table.schema["zip"].kind, table.schema["zip"].levels
    ('category', ['01067', '10115'])
    """
    from narrows.data.opening import open_source

    if isinstance(data, Table):
        if not kinds and stream is None and not options:
            return data
        stream = data.stream if stream is None else stream
    source = open_source(data.source if isinstance(data, Table) else data, **options)
    return Table(source, *infer_schema(source, kinds), stream)
