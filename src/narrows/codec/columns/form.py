"""A table's columns, whatever they hold, as one matrix of whole numbers, and what no whole number stands for.

::

    columns ──transform of each──▶ whole numbers (n, k) ──▶ the model
                   └─────────────▶ exceptions and raw columns ──▶ packed beside it: the side information

On the way back the one is laid over the other, and every bit is as it was (or, within a bound, as it was checked).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from narrows.codec.columns.choose import Bound, choose_transform
from narrows.codec.columns.transforms import (
    ColumnTransform,
    Dictionary,
    LookupTable,
    Raw,
    objects,
    transform_from_record,
)
from narrows.codec.container.cells import cells_from_bytes, cells_to_bytes
from narrows.codec.container.format import Cursor, checksum, pack, varint
from narrows.errors import CodecFileError, DataError

__all__ = ["INDEX", "Coded", "Schema", "TableForm", "columns_from_bytes", "columns_to_bytes", "most_bytes"]

Schema = list[tuple[Any, np.dtype]]
"""Of each column its name and what its values are held in: numbers, or objects for cells of text and the like."""

INDEX = "(index)"
"""What the last column is called where it is the index of a frame."""

_MOST_CELLS = 1 << 28
_MOST_LEARNED = 1 << 30


@dataclass(frozen=True)
class Coded:
    """Rows of a table as the model takes them, what stands beside, and a checksum over the rows as they come back.

    Where ``fits`` is false, more stands beside the codes than a reader takes, and it is left out.
    """

    codes: np.ndarray
    side_info: bytes
    crc: int
    fits: bool = True


class TableForm:
    """How the columns of a table become whole numbers: a schema, and a transform for each column."""

    def __init__(self, schema: Schema, transforms: list[ColumnTransform]) -> None:
        self.schema, self.transforms = schema, transforms
        self.kinds = [kind for transform in transforms for kind in transform.kinds]

    @classmethod
    def fit(cls, schema: Schema, parts: list[np.ndarray], bounds: dict[int, Bound]) -> TableForm:
        """Look at columns; some of them, by place, may be off within bounds."""
        transforms: list[ColumnTransform] = []
        for number, ((name, dtype), part) in enumerate(zip(schema, parts, strict=True)):
            try:
                if dtype.kind == "O":
                    transforms.append(Dictionary.fit(part))
                elif dtype.kind in "iuf" and dtype.itemsize <= 8:
                    transforms.append(choose_transform(np.ascontiguousarray(part), bounds.get(number)))
                else:
                    transforms.append(Raw())
            except DataError as error:
                raise DataError(f"column {name!r} {error}") from None
        return cls(schema, transforms)

    def check(self, schema: Schema) -> None:
        """Refuse columns that are not those of the fit by a DataError; whole numbers may be of any width."""
        indexed, indexed_fit = (len(one) > 0 and one[-1][0] == INDEX for one in (schema, self.schema))
        if indexed != indexed_fit:
            known = "has an index of its own, and that of the fit had none" if indexed else "lacks the index of the fit"
            raise DataError(f"the frame {known}: call reset_index() on both, with drop=True if it tells nothing")
        if len(schema) != len(self.schema):
            raise DataError(f"the codec was fitted to {len(self.schema):,} columns, and these are {len(schema):,}")
        for (name, dtype), (fitted, kept) in zip(schema, self.schema, strict=True):
            if str(name) != str(fitted) and not (isinstance(name, int) or isinstance(fitted, int)):
                raise DataError(f"column {name!r} stands where the fit had {fitted!r}: the columns must be the same")
            if dtype != kept and not (dtype.kind in "iu" and kept.kind in "iu"):
                called = ["object or text" if kind.kind == "O" else kind.name for kind in (dtype, kept)]
                raise DataError(
                    f"column {name!r} holds values of type {called[0]}, and the codec was fitted to {called[1]}: "
                    "convert it, or fit a codec to it"
                )

    def encode(self, parts: list[np.ndarray], schema: Schema) -> Coded:
        """Turn rows into whole numbers and what stands beside them."""
        n = len(parts[0]) if parts else 0
        codes: list[np.ndarray] = [np.zeros((n, 0), np.int64)]
        crc, raws, exceptions = 0, [], []
        left = _most_beside(n, schema)
        for number, (transform, part, (name, dtype)) in enumerate(zip(self.transforms, parts, schema, strict=True)):
            part = np.ascontiguousarray(part)
            try:
                found, bad, restored = transform.encode(part)
                if isinstance(transform, Raw) or bad.sum() * 2 > n:
                    data, taken = _raw_column(part, left)
                    left -= taken
                    raws.append(varint(number) + data)
                    found, restored = np.zeros_like(found), part
                elif bad.any():
                    exceptions.append(varint(number) + _exceptions(part, bad))
                    left -= len(exceptions[-1])
                    restored = np.where(bad, part, restored)
            except DataError as error:
                raise DataError(f"column {name!r} {error}") from None
            codes.append(found)
            if dtype.kind != "O":
                crc = checksum(restored, crc)
        matrix = np.ascontiguousarray(np.concatenate(codes, axis=1))
        crc = checksum(matrix, crc)
        if left < 0 or (not raws and not exceptions):
            return Coded(matrix, b"", crc, fits=left >= 0)
        side_info = varint(len(raws)) + b"".join(raws)
        if exceptions:
            side_info += varint(len(exceptions)) + pack(b"".join(exceptions))
        return Coded(matrix, side_info, crc)

    def decode(self, codes: np.ndarray, side_info: bytes, schema: Schema) -> tuple[list[np.ndarray], int]:
        """Turn whole numbers, and what stands beside them, into rows; return their checksum too, as `encode` does."""
        raws, exceptions = _read_side_info(side_info, len(codes), schema)
        parts, place, crc = [], 0, 0
        for number, (transform, (_, dtype)) in enumerate(zip(self.transforms, schema, strict=True)):
            width = len(transform.kinds)
            part = raws[number] if number in raws else transform.decode(codes[:, place : place + width], dtype)
            if number in exceptions:
                rows, values = exceptions[number]
                part = part.copy()
                part[rows] = values
            place += width
            if dtype.kind != "O":
                crc = checksum(part, crc)
            parts.append(part)
        return parts, checksum(codes, crc)

    def to_bytes(self) -> bytes:
        """Return all of this as bytes."""
        records: list[Any] = []
        arrays: list[bytes] = []
        for (name, dtype), transform in zip(self.schema, self.transforms, strict=True):
            record = transform.to_record()
            if isinstance(transform, LookupTable):
                # Planes of bytes of the differences, which are small.
                steps = np.diff(record.pop("keys"), prepend=np.int64(0)).astype("<i8")
                arrays.append(pack(steps.view(np.uint8).reshape(-1, 8).T.tobytes(), bounded=True))
            elif isinstance(transform, Dictionary):
                record["n"] = len(record.pop("words"))
                arrays.append(pack(cells_to_bytes(transform.words), bounded=True))
            records.append([name, dtype.str, record])
        return pack(json.dumps(records, separators=(",", ":")).encode(), bounded=True) + b"".join(arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> TableForm:
        """Rebuild what `to_bytes` gave."""
        cursor = Cursor(data)
        schema: Schema = []
        transforms: list[ColumnTransform] = []
        for name, kind, record in json.loads(cursor.unpack(_MOST_LEARNED, bounded=True)):
            dtype = np.dtype(kind)
            if dtype.kind not in "iufcO" or not (name is None or type(name) in (str, int)):
                raise CodecFileError("the codec names a column that cannot be")
            schema.append((name, dtype))
            if record["transform"] == "Dictionary":
                words = cells_from_bytes(cursor.unpack(_MOST_LEARNED, bounded=True), record["n"])
                transforms.append(Dictionary(words))
                continue
            if record["transform"] == "LookupTable":
                planes = np.frombuffer(cursor.unpack(_MOST_LEARNED, bounded=True), np.uint8).reshape(8, -1)
                record["keys"] = np.cumsum(np.ascontiguousarray(planes.T).view("<i8")[:, 0], dtype=np.int64)
            transforms.append(transform_from_record(record))
        if cursor.left:
            raise CodecFileError("more is told of the columns than there should be")
        return cls(schema, transforms)


def most_bytes(n: int, schema: Schema) -> int:
    """Return the most bytes that so many rows may be unpacked to."""
    cells = _MOST_CELLS if any(dtype.kind == "O" for _, dtype in schema) else 0
    return cells + n * sum(dtype.itemsize for _, dtype in schema)


def _most_beside(n: int, schema: Schema) -> int:
    # Exceptions are a place of up to four bytes and a value, and before them stand a few numbers for each column.
    return most_bytes(n, schema) + len(schema) * (4 * n + 32)


def _raw_column(part: np.ndarray, left: int) -> tuple[bytes, int]:
    """Return a column as it is, packed, and how much of what a block may hold beside its codes that takes."""
    if part.dtype.kind == "O":
        cells = cells_to_bytes(part.tolist())
        return pack(cells) if len(cells) <= left else b"", len(cells)
    # Of floats the bytes of the sign and the size can be packed, the last ones hardly: each kind by itself.
    planes = part.view(np.uint8).reshape(len(part), -1).T
    return b"".join(pack(plane.tobytes()) for plane in planes), 0


def _exceptions(part: np.ndarray, bad: np.ndarray) -> bytes:
    rows = np.flatnonzero(bad)
    gaps = np.diff(rows, prepend=-1)
    size = 1 if gaps.max() < 1 << 8 else 2 if gaps.max() < 1 << 16 else 4
    start = varint(len(rows)) + bytes([size]) + gaps.astype(f"<u{size}").tobytes()
    return start + columns_to_bytes([part[rows]])


def _read_side_info(
    side_info: bytes, n: int, schema: Schema
) -> tuple[dict[int, np.ndarray], dict[int, tuple[np.ndarray, Any]]]:
    raws: dict[int, np.ndarray] = {}
    exceptions: dict[int, tuple[np.ndarray, Any]] = {}
    cursor = Cursor(side_info)
    # One budget for all: many columns of little each must not become much.
    left = _most_beside(n, schema)
    for _ in range(cursor.number(len(schema)) if side_info else 0):
        number = cursor.number(len(schema) - 1)
        raws[number], taken = _read_raw(cursor, n, schema[number][1], left)
        left -= taken
    if cursor.left:
        count = cursor.number(len(schema))
        inner = Cursor(cursor.unpack(left))
        for _ in range(count):
            number = inner.number(len(schema) - 1)
            exceptions[number] = _read_exceptions(inner, n, schema[number][1])
        if inner.left or cursor.left:
            raise CodecFileError("more stands beside the codes than there should")
    return raws, exceptions


def _read_raw(cursor: Cursor, n: int, dtype: np.dtype, left: int) -> tuple[np.ndarray, int]:
    if dtype.kind == "O":
        cells = cursor.unpack(left)
        return objects(cells_from_bytes(cells, n)), len(cells)
    planes = [np.frombuffer(cursor.unpack(n), np.uint8) for _ in range(dtype.itemsize)]
    if any(len(plane) != n for plane in planes):
        raise CodecFileError("a column has not the number of rows it should")
    return np.ascontiguousarray(np.stack(planes, 1)).view(dtype)[:, 0], 0


def _read_exceptions(cursor: Cursor, n: int, dtype: np.dtype) -> tuple[np.ndarray, Any]:
    count, size = cursor.number(n), cursor.take(1)[0]
    if size not in (1, 2, 4):
        raise CodecFileError("the places of exceptions cannot be read")
    rows = np.cumsum(np.frombuffer(cursor.take(count * size), f"<u{size}").astype(np.int64)) - 1
    if count and (rows[0] < 0 or rows[-1] >= n):
        raise CodecFileError("an exception stands outside the rows")
    return rows, _read_column(cursor, count, dtype)


def columns_to_bytes(parts: list[np.ndarray]) -> bytes:
    """Return columns as they are, one after the other."""
    found = []
    for part in parts:
        if part.dtype.kind == "O":
            cells = cells_to_bytes(part.tolist())
            found.append(varint(len(cells)) + cells)
        else:
            found.append(part.tobytes())
    return b"".join(found)


def _read_column(cursor: Cursor, n: int, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "O":
        return objects(cells_from_bytes(cursor.take(cursor.number(cursor.left)), n))
    return np.frombuffer(cursor.take(n * dtype.itemsize), dtype)


def columns_from_bytes(data: bytes, n: int, schema: Schema) -> list[np.ndarray]:
    """Read what `columns_to_bytes` gave, n rows of it."""
    cursor = Cursor(data)
    parts = [_read_column(cursor, n, dtype) for _, dtype in schema]
    if cursor.left:
        raise CodecFileError("a block is longer than its rows")
    return parts
