"""Files of typed columns as parts: Parquet by row groups, Arrow by batches, numpy and idx by rows."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from narrows.data.arrays import load_idx, load_npy, load_npz
from narrows.data.frames import array_parts
from narrows.data.parts import Part, pandas_index, table_part
from narrows.data.places import Place
from narrows.errors import DataError

__all__ = ["file_parts"]

_BUFFER_BYTES = 1 << 16
"""What each Parquet column reads ahead of its compressed bytes: larger buys nothing and is paid for once per column."""

_BATCH_BYTES = 128 << 20
"""What the rows of a Parquet batch take at most, by what the file says of the size of all: texts may be long."""

_SEGMENT_BYTES = 16 << 20


def file_parts(place: Place, array: str | None) -> tuple[list[Part], list[str]]:
    """Open a file: its parts, and the columns that it says are an index."""
    if place.kind == "parquet":
        return _parquet_parts(place)
    if place.kind == "feather":
        return _feather_parts(place)
    if place.kind == "npy":
        return _npy_parts(place), []
    values, names = load_npz(place, array) if place.kind == "npz" else (load_idx(place), None)
    what = f"array {array!r} of {place.name}" if array else place.name
    return array_parts(values, what, names=names, partitions=place.partitions), []


def _no_rows(place: Place, schema: pa.Schema) -> Part:
    return replace(table_part(schema.empty_table(), place.name), partitions=place.partitions)


def _parquet(place: Place, metadata: Any = None) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(
            place.local or place.open(), metadata=metadata, pre_buffer=False, buffer_size=_BUFFER_BYTES
        )
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{place.name} is not a whole Parquet file: {error}") from error


def _parquet_parts(place: Place) -> tuple[list[Part], list[str]]:
    with _parquet(place) as file:
        schema, metadata = file.schema_arrow, file.metadata
    if twice := [name for name, count in Counter(schema.names).items() if count > 1]:
        raise DataError(f"{place.name} has more than one column named {twice[0]!r}")
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    parts = [
        Part(place.name, schema, rows, partial(_read_group, place, metadata, group), place.partitions)
        for group, rows in enumerate(counts)
        if rows
    ]
    return parts or [_no_rows(place, schema)], pandas_index(schema)


def _read_group(
    place: Place, metadata: Any, group: int, columns: list[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    chunk = metadata.row_group(group)
    fitting = _BATCH_BYTES * chunk.num_rows // max(1, chunk.total_byte_size)
    batch_rows = max(1, min(batch_rows, fitting))
    try:
        with _parquet(place, metadata) as file:
            yield from file.iter_batches(batch_rows, row_groups=[group], columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{place.name} is damaged: {error}") from error
    finally:
        pa.default_memory_pool().release_unused()


def _feather(place: Place, columns: list[int] | None = None) -> Any:
    """Open an Arrow file, in the form for files or in that for streams."""
    opened = pa.memory_map(str(place.local)) if place.local else pa.PythonFile(place.open(), "r")
    options = pa.ipc.IpcReadOptions(included_fields=columns)
    try:
        return pa.ipc.open_file(opened, options=options)
    except pa.ArrowInvalid:
        opened.seek(0)
    try:
        return pa.ipc.open_stream(opened, options=options)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{place.name} is not a whole Arrow file: {error}") from error


def _feather_parts(place: Place) -> tuple[list[Part], list[str]]:
    reader = _feather(place)
    schema = reader.schema
    if isinstance(reader, pa.RecordBatchStreamReader):
        parts = [Part(place.name, schema, None, partial(_read_feather, place, schema.names, None), place.partitions)]
        return parts, pandas_index(schema)
    narrow = _feather(place, [0] if schema.names else None)
    try:
        counts = [narrow.get_batch(number).num_rows for number in range(narrow.num_record_batches)]
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{place.name} is damaged: {error}") from error
    parts = [
        Part(place.name, schema, rows, partial(_read_feather, place, schema.names, number), place.partitions)
        for number, rows in enumerate(counts)
    ]
    return parts or [_no_rows(place, schema)], pandas_index(schema)


def _read_feather(
    place: Place, names: list[str], number: int | None, columns: list[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    # No columns at all would mean all of them, so the first is read for its rows.
    reader = _feather(place, sorted(names.index(name) for name in columns) or [0])
    try:
        for batch in reader if number is None else [reader.get_batch(number)]:
            for start in range(0, len(batch), batch_rows):
                yield batch.slice(start, batch_rows)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{place.name} is damaged: {error}") from error


def _npy_parts(place: Place) -> list[Part]:
    """Cut an npy file into parts of some megabytes, each mapped anew when it is read."""
    array = load_npy(place)
    whole = array_parts(array, place.name, partitions=place.partitions)
    if not isinstance(array, np.memmap) or array.dtype.kind not in "biufmM":
        return whole
    n_rows, schema, shape = len(array), whole[0].schema, whole[0].row_shape
    step = max(1, _SEGMENT_BYTES * n_rows // max(1, array.nbytes))

    def read(start: int, columns: list[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        # Pages of a map that stays open count as this program's memory, so it would seem to grow with the file.
        stop = start + step
        for first in range(start, min(stop, n_rows), batch_rows):
            rows = load_npy(place)[first : min(first + batch_rows, stop)]
            yield from array_parts(rows, place.name)[0].read(columns, batch_rows)

    del array
    return [
        Part(place.name, schema, min(step, n_rows - start), partial(read, start), place.partitions, shape)
        for start in range(0, n_rows, step)
    ] or whole
