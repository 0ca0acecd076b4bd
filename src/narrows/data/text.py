"""Text tables (csv, tsv, txt, dat; packed or not) as columns of int64, float64 and texts, parsed by pyarrow."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from pyarrow import csv

from narrows.data.column_type import ColumnType
from narrows.data.dialect import find_dialect, no_rows, not_utf8, one_byte_delimiter
from narrows.data.feed import Feed, Unprepared, open_unpacked, undecodable_line
from narrows.data.source import BATCH_ROWS, Origin, Source
from narrows.errors import DataError

__all__ = ["TextSource"]

SAMPLE_BYTES = 1 << 18
BLOCK_BYTES = 1 << 20
MAX_BLOCK_BYTES = 1 << 28


class TextSource(Source):
    r"""A text table that is read a block at a time, as often as needed.

    The columns are int64, float64 or string. Types are found from the first lines and borne out by the first reading of
    the whole file: :meth:`visit` hands that reading on, anything else that needs the types makes it.

    Parameters
    ----------
    where : str, Path, bytes or callable
        A path, the bytes themselves, or what opens a binary stream.
    place : str, optional
        What messages call it; the path by default.
    delimiter, quote, decimal, thousands, encoding, header, missing_values
        The dialect, where it is not to be found from the first lines; see :class:`~narrows.data.dialect.Dialect`.
    text_columns : collection of str, optional
        Columns that are texts, whatever stands in them: in another file of the same table they are.
    index_name : str, optional
        What a first column without a name is called: the index of another file of the same table.

    Attributes
    ----------
    dialect : Dialect
        How the table is written.

    Examples
    --------
    >>> from narrows.data.text import TextSource
    >>> source = TextSource(b"a;b\n1,5;x\n2,5;y\n")
    >>> source.table().to_pydict()
    {'a': [1.5, 2.5], 'b': ['x', 'y']}
    >>> source.notes
    ["Read with delimiter ';', decimal mark ','."]
    """

    def __init__(
        self,
        where: str | Path | bytes | Callable[[], BinaryIO],
        place: str | None = None,
        *,
        delimiter: str | None = None,
        quote: str | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        encoding: str | None = None,
        header: bool | None = None,
        missing_values: Sequence[str] | None = None,
        text_columns: Collection[str] = (),
        index_name: str | None = None,
    ) -> None:
        self._open = _opener(where)
        self.place = place or (str(where) if isinstance(where, (str, Path)) else "the text")
        self.origin = Origin("file", self.place)
        sample, whole = self._sample()
        if whole and len(sample) <= SAMPLE_BYTES:
            self._open = lambda: io.BytesIO(sample)
        found = find_dialect(
            sample,
            self.place,
            whole=whole,
            delimiter=delimiter,
            quote=quote,
            decimal=decimal,
            thousands=thousands,
            encoding=encoding,
            header=header,
            missing_values=missing_values,
        )
        self.dialect = found.dialect
        self.notes = found.notes
        self.n_rows = None
        self._names, self._skip_rows, self._index_candidate = found.names, found.skip_rows, found.index_candidate
        if index_name is not None and self.dialect.header and self._names[0] == "column_0":
            self._names[0] = index_name
        self._encoding_given = encoding is not None
        self._block_bytes = BLOCK_BYTES
        self._delimiter = one_byte_delimiter(self.dialect.delimiter)
        self._has_quotes = False
        self._types_known = self._settled = False
        self._column_types = [ColumnType(self.dialect, is_text=name in text_columns) for name in self._names]
        for column_type, cells in zip(self._column_types, found.cells, strict=True):
            column_type.add(cells)
        self._schema = self._current_schema()

    @property
    def arrow_schema(self) -> pa.Schema:
        """The columns' names and types, for the whole file."""
        self._settle()
        return self._schema

    @property
    def index_columns(self) -> list[str]:  # type: ignore[override]
        """The first column, if it has no name and holds 0..n-1."""
        if self._index_candidate:
            self._settle()
        return self._names[:1] if self._index_candidate else []

    def decimals(self, column: str) -> int | None:
        """Return how many digits after the decimal mark the first cells have at most; None for texts and exponents."""
        return self._column_types[self._names.index(column)].decimals

    def batches(self, columns: Sequence[str] | None = None, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order."""
        self._settle()
        for batch in self._typed(self._feed(), None if columns is None else list(columns)):
            for start in range(0, len(batch), batch_rows):
                yield batch.slice(start, batch_rows)

    def visit(self, begin: Callable[[pa.Schema], Callable[[pa.RecordBatch], object]]) -> None:
        """Read all rows once, and find out on the way whether the types hold.

        ``begin`` is called with the schema and returns what takes each batch. If a later cell shows that a column has
        another type, ``begin`` is called again, with the right schema, and the rows come from the start.
        """
        while True:
            schema, take, seen, feed = self._schema, begin(self._schema), _FirstReading(len(self._names)), self._feed()
            try:
                for batch in self._typed(feed, None) if self._types_known else self._checked(feed):
                    if self._schema is schema:
                        seen.take(batch)
                        take(batch)
            except Unprepared:
                continue
            self._types_known = True
            if self._schema is schema:
                break
        if not self._settled:
            self._end_of_first_reading(seen, feed.tail)

    def _settle(self) -> None:
        if not self._settled:
            self.visit(lambda _: lambda _: None)

    def _end_of_first_reading(self, seen: _FirstReading, tail: bytes) -> None:
        """Keep what the first reading has shown, and note what it assumed."""
        if not seen.rows:
            raise DataError(no_rows(self.place))
        if seen.ends_in_quote() and not tail.rstrip(b"\r\n").endswith((self.dialect.quote or "").encode()):
            raise DataError(f"A quote in row {seen.rows} of {self.place} is never closed: see --quote.")
        self._settled, self.n_rows = True, seen.rows
        self._index_candidate = self._index_candidate and seen.counts_from_zero
        for name, column_type, missing in zip(self._names, self._column_types, seen.missing, strict=True):
            words = ", ".join(word or "(empty)" for word in column_type.missing)
            if missing and words not in ("", "(empty)"):
                self.notes.append(f"{missing} cells of {name!r} are missing, spelled {words}; see --missing-values.")

    def _sample(self) -> tuple[bytes, bool]:
        """Return the first bytes, two lines at least, and whether they are the whole file."""
        sample, wanted = b"", SAMPLE_BYTES
        with Feed(open_unpacked(self._open), self.place) as feed:
            while True:
                sample += feed.read(wanted - len(sample))
                if len(sample) < wanted:
                    return sample, True
                if len(re.findall(rb"[\r\n]+", sample)) > 1 or wanted >= MAX_BLOCK_BYTES:
                    return sample, False
                wanted *= 4

    def _current_schema(self) -> pa.Schema:
        return pa.schema([(name, each.type) for name, each in zip(self._names, self._column_types, strict=True)])

    def _convert_options(
        self, types: dict[str, pa.DataType] | pa.Schema, columns: list[str] | None
    ) -> csv.ConvertOptions:
        return csv.ConvertOptions(
            column_types=types,
            null_values=list(self.dialect.missing_values),
            strings_can_be_null=True,
            decimal_point=self.dialect.decimal,
            include_columns=columns,
        )

    def _typed(self, feed: Feed, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        """Yield the cells as the types that the whole file has borne out."""
        return self._parsed(feed, self._convert_options(self._schema, columns))

    def _checked(self, feed: Feed) -> Iterator[pa.RecordBatch]:
        """Read texts and make them numbers where all are; where a cell is none, the schema changes.

        Batches are of the schema that the reading began with, or of no use.
        """
        options = self._convert_options(dict.fromkeys(self._names, pa.string()), None)
        for batch in self._parsed(feed, options):
            columns = [each.converted(cells) for each, cells in zip(self._column_types, batch.columns, strict=True)]
            if any(column.type != known for column, known in zip(columns, self._schema.types, strict=True)):
                self._schema = self._current_schema()
            yield pa.record_batch(columns, schema=self._schema)

    def _feed(self) -> Feed:
        return Feed(open_unpacked(self._open), self.place, self.dialect, self._has_quotes)

    def _parsed(self, feed: Feed, convert: csv.ConvertOptions) -> Iterator[pa.RecordBatch]:
        """Parse what is fed; if it is unlike what was thought, learn how it is and raise Unprepared."""
        read, parse = self._options()
        try:
            yield from _one_ahead(csv.open_csv(feed, read, parse, convert))
        except Unprepared as event:
            self._learn(str(event))
            raise
        except pa.ArrowInvalid as error:
            self._learn(str(error))
            raise Unprepared from None
        finally:
            feed.close()

    def _options(self) -> tuple[csv.ReadOptions, csv.ParseOptions]:
        read = csv.ReadOptions(
            block_size=self._block_bytes,
            column_names=self._names,
            skip_rows_after_names=self._skip_rows,
            use_threads=self._block_bytes < 1 << 24,
        )
        quote = self.dialect.quote or False
        return read, csv.ParseOptions(delimiter=self._delimiter, quote_char=quote, newlines_in_values=self._has_quotes)

    def _learn(self, event: str) -> None:
        """Make ready for another reading, after what could not be read in this one; or raise DataError."""
        if event == "quotes":
            self._has_quotes = True
        elif "straddl" in event:
            if self._block_bytes >= MAX_BLOCK_BYTES:
                raise DataError(f"{self.place} has a row of more than 256 MB; is a quote never closed? See --quote.")
            self._block_bytes = min(8 * self._block_bytes, MAX_BLOCK_BYTES)
        elif "invalid UTF8" in event or event == "encoding":
            self._learn_encoding()
        elif "Expected" in event:
            raise DataError(self._ragged(event))
        else:
            raise DataError(f"{self.place} cannot be read: {event}.")

    def _learn_encoding(self) -> None:
        """Take the next encoding that is possible."""
        encoding = self.dialect.encoding
        if self._encoding_given or self._settled or encoding not in ("utf-8", "cp1252"):
            line = undecodable_line(open_unpacked(self._open), encoding)
            raise DataError(f"Line {line} of {self.place} is not {encoding}: see --encoding.")
        other = "cp1252" if encoding == "utf-8" else "latin-1"
        self.notes = [note for note in self.notes if note != not_utf8(encoding)] + [not_utf8(other)]
        self.dialect = replace(self.dialect, encoding=other)

    def _ragged(self, event: str) -> str:
        """Say which line has too many or too few cells; only a reading without threads counts them."""
        found = re.search(r"Expected (\d+) columns, got (\d+)", event)
        wanted, got = found.groups() if found else ("?", "?")
        numbers: list[int] = []
        read, parse = self._options()
        read.use_threads = False

        def keep_number(row: csv.InvalidRow) -> str:
            numbers.append(row.number)
            return "error"

        parse.invalid_row_handler = keep_number
        with suppress(pa.ArrowInvalid):
            for _ in csv.open_csv(self._feed(), read, parse):
                pass
        where = f"{'Row' if self._has_quotes else 'Line'} {numbers[0]}" if numbers else "A line"
        return (
            f"{where} of {self.place} has {got} cell{'s' * (got != '1')}, the first has {wanted}. If the delimiter is"
            f" not {self.dialect.delimiter!r}, see --delimiter; if a quote is no quote, --quote none."
        )


class _FirstReading:
    """What the first reading of the whole file counts."""

    def __init__(self, n_columns: int) -> None:
        self.rows = 0
        self.missing = [0] * n_columns
        self.counts_from_zero = True
        self._last: pa.Array | None = None

    def take(self, batch: pa.RecordBatch) -> None:
        """Count some more rows."""
        if not len(batch):
            return
        self.missing = [known + column.null_count for known, column in zip(self.missing, batch.columns, strict=True)]
        if self.counts_from_zero:
            first = batch.column(0)
            wanted = pa.array(range(self.rows, self.rows + len(batch)), pa.int64())
            self.counts_from_zero = first.type == pa.int64() and first.equals(wanted)
        self.rows += len(batch)
        self._last = batch.column(batch.num_columns - 1).slice(len(batch) - 1)

    def ends_in_quote(self) -> bool:
        """Return whether the last cell has several lines, so that it must have been enclosed in quotes."""
        cell = self._last[0].as_py() if self._last else None
        return isinstance(cell, str) and ("\n" in cell or "\r" in cell)


def _one_ahead(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches while the next one is parsed: pyarrow's stream does nothing while nobody waits for it."""
    iterator = iter(batches)
    with ThreadPoolExecutor(1, "narrows-csv") as pool:
        pending = pool.submit(next, iterator, None)
        while (batch := pending.result()) is not None:
            pending = pool.submit(next, iterator, None)
            yield batch


def _opener(where: str | Path | bytes | Callable[[], BinaryIO]) -> Callable[[], BinaryIO]:
    """Return what opens the bytes."""
    if callable(where):
        return where
    if isinstance(where, bytes):
        return lambda: io.BytesIO(where)
    path = Path(where)
    return lambda: path.open("rb")
