"""A table's columns, whatever they hold, as one matrix of whole numbers, and what no whole number stands for.

::

    columns ──coder of each──▶ whole numbers (n, k) ──▶ the model
                   └──────────▶ exceptions and raw columns ──▶ packed beside it

On the way back the one is laid over the other, and every bit is as it was (or, within a bound, as it was checked).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from narrows.codec import quantising
from narrows.codec.choosing import Bound, choose_coder
from narrows.codec.packing import Cursor, cell_bytes, cells_from_bytes, cells_to_bytes, checksum, pack, varint
from narrows.codec.quantising import Coder, Raw
from narrows.errors import CodecFileError, DataError

__all__ = ["INDEX", "Coded", "Schema", "TableForm", "bare", "from_bare", "most_bytes"]

Schema = list[tuple[Any, np.dtype]]
"""Of each column its name and what its values are held in: numbers, or objects for cells of text and the like."""

INDEX = "(index)"
"""What the last column is called where it is the index of a frame."""

_MOST_WORDS = 1 << 16
_MOST_LEARNED = 1 << 26
_MOST_PACKED = 1 << 28
_MOST_CELLS = 1 << 28
_MODELLED = "iuf"


class Words(Coder):
    """Cells out of a list: text, categories, anything that is not an array of numbers.

    Parameters
    ----------
    words : list
        The cells that have codes.
    """

    kinds = ("category",)

    def __init__(self, words: list[Any]) -> None:
        self.words = words
        self._codes = {_word(word): code for code, word in enumerate(words)}
        self._table = _objects(words)

    @classmethod
    def learn(cls, cells: np.ndarray) -> Coder:
        """Take the cells that come more than once, the most frequent first; raw, if few do."""
        counts: dict[Any, int] = {}
        firsts: dict[Any, Any] = {}
        for cell in cells.tolist():
            word = _word(cell)
            counts[word] = counts.get(word, 0) + 1
            firsts.setdefault(word, cell)
        common = sorted((word for word in counts if counts[word] > 1), key=lambda word: -counts[word])[:_MOST_WORDS]
        if len(counts) <= 2 or len(counts) * 8 < len(cells):
            common = sorted(counts, key=lambda word: -counts[word])[:_MOST_WORDS]
        # They are part of the codec, whose file must be one that can be read.
        sizes = np.cumsum([len(word) * 4 if type(word) is str else len(word) for word in common])
        common = common[: int(np.searchsorted(sizes, _MOST_LEARNED, side="right"))]
        if sum(counts[word] for word in common) < 0.7 * len(cells):
            return Raw()
        return cls([firsts[word] for word in common])

    def encode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Look cells up."""
        cells, find = values.tolist(), self._codes.get
        if set(map(type, cells)) - {str}:
            cells = [_word(cell) for cell in cells]
        codes = np.array([find(cell, -1) for cell in cells], dtype=np.int64)
        bad = codes < 0
        return quantising._carried(codes, bad, 0)[:, None], bad, values

    def decode(self, codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Take cells from the list."""
        return self._table[codes[:, 0]]


def _word(cell: Any) -> Any:
    """Return what tells a cell from every other: 1, 1.0 and True are three, and so are two kinds of NaN two."""
    return cell if type(cell) is str else cell_bytes(cell)


def _objects(cells: list[Any]) -> np.ndarray:
    table = np.empty(len(cells), dtype=object)
    table[:] = cells
    return table


@dataclass(frozen=True)
class Coded:
    """Rows of a table as the model takes them.

    Attributes
    ----------
    codes : ndarray of int64, shape (n, n_codes)
        For the model.
    side : bytes
        What stands beside it.
    crc : int
        Checksum over the rows as they will be restored.
    fits : bool
        Whether what stands beside them is as little as a reader takes; if not, it is left out.
    """

    codes: np.ndarray
    side: bytes
    crc: int
    fits: bool = True


class TableForm:
    """How the columns of a table become whole numbers.

    Parameters
    ----------
    schema : Schema
        The columns of the fit.
    coders : list of Coder
        One for each.
    """

    def __init__(self, schema: Schema, coders: list[Coder]) -> None:
        self.schema = schema
        self.coders = coders
        self.kinds = [kind for coder in coders for kind in coder.kinds]

    @classmethod
    def learn(cls, schema: Schema, parts: list[np.ndarray], bounds: dict[int, Bound]) -> TableForm:
        """Look at the rows of a fit.

        Parameters
        ----------
        schema : Schema
            What they are.
        parts : list of ndarray
            The columns.
        bounds : dict of int to Bound
            How far off the values of some columns may be.
        """
        coders: list[Coder] = []
        for number, ((name, dtype), part) in enumerate(zip(schema, parts, strict=True)):
            try:
                if dtype.kind == "O":
                    coders.append(Words.learn(part))
                elif _modelled(dtype):
                    coders.append(choose_coder(np.ascontiguousarray(part), bounds.get(number)))
                else:
                    coders.append(Raw())
            except DataError as error:
                raise DataError(f"column {name!r} {error}") from None
        return cls(schema, coders)

    def check(self, schema: Schema) -> None:
        """Refuse columns that are not those of the fit.

        Raises
        ------
        DataError
            If there are more or fewer, or one holds another kind of values; whole numbers may be of any width.
        """
        own = [len(one) > 0 and one[-1][0] == INDEX for one in (schema, self.schema)]
        if own[0] != own[1]:
            known = "has an index of its own, and that of the fit had none" if own[0] else "lacks the index of the fit"
            raise DataError(f"the frame {known}: call reset_index() on both, with drop=True if it tells nothing")
        if len(schema) != len(self.schema):
            raise DataError(f"the codec was fitted to {len(self.schema):,} columns, and these are {len(schema):,}")
        for (name, dtype), (fitted, kept) in zip(schema, self.schema, strict=True):
            if str(name) != str(fitted) and not (isinstance(name, int) or isinstance(fitted, int)):
                raise DataError(f"column {name!r} stands where the fit had {fitted!r}: the columns must be the same")
            if dtype != kept and not (dtype.kind in "iu" and kept.kind in "iu"):
                raise DataError(
                    f"column {name!r} holds values of type {_called(dtype)}, and the codec was fitted to "
                    f"{_called(kept)}: convert it, or fit a codec to it"
                )

    def encode(self, parts: list[np.ndarray], schema: Schema) -> Coded:
        """Turn rows into whole numbers and what stands beside them."""
        n = len(parts[0]) if parts else 0
        codes = np.zeros((n, len(self.kinds)), dtype=np.int64)
        place, crc = 0, 0
        raws: list[bytes] = []
        exceptions: list[bytes] = []
        left = _most_beside(n, [dtype for _, dtype in schema])
        for number, (coder, part, (name, dtype)) in enumerate(zip(self.coders, parts, schema, strict=True)):
            part = np.ascontiguousarray(part)
            try:
                found, bad, restored = coder.encode(part)
                if isinstance(coder, Raw) or bad.sum() * 2 > n:
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
            codes[:, place : place + found.shape[1]] = found
            place += found.shape[1]
            if dtype.kind != "O":
                crc = checksum(restored, crc)
        crc = checksum(codes, crc)
        if left < 0 or (not raws and not exceptions):
            return Coded(codes, b"", crc, fits=left >= 0)
        side = varint(len(raws)) + b"".join(raws)
        if exceptions:
            side += varint(len(exceptions)) + pack(b"".join(exceptions))
        return Coded(codes, side, crc)

    def decode(self, codes: np.ndarray, side: bytes, schema: Schema) -> tuple[list[np.ndarray], int]:
        """Turn whole numbers, and what stands beside them, into rows.

        Returns
        -------
        parts : list of ndarray
            The columns.
        crc : int
            Their checksum, as `encode` counts it.
        """
        n = len(codes)
        raws, exceptions = _read_side(side, n, [dtype for _, dtype in schema])
        parts, place, crc = [], 0, 0
        for number, (coder, (_, dtype)) in enumerate(zip(self.coders, schema, strict=True)):
            width = len(coder.kinds)
            part = raws[number] if number in raws else coder.decode(codes[:, place : place + width], dtype)
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
        for (name, dtype), coder in zip(self.schema, self.coders, strict=True):
            record: dict[str, Any] = (
                coder.to_record() if not isinstance(coder, Words) else {"coder": "Words", "n": len(coder.words)}
            )
            if "keys" in record:
                keys = record.pop("keys")
                record["n"] = len(keys)
                # Planes of bytes of the differences, which are small.
                steps = np.diff(keys, prepend=np.int64(0)).astype("<i8")
                arrays.append(pack(steps.view(np.uint8).reshape(-1, 8).T.tobytes()))
            elif isinstance(coder, Words):
                arrays.append(pack(cells_to_bytes(coder.words)))
            records.append([name, dtype.str, record])
        return pack(json.dumps(records, separators=(",", ":")).encode()) + b"".join(arrays)

    @classmethod
    def from_bytes(cls, data: bytes) -> TableForm:
        """Rebuild what `to_bytes` gave."""
        cursor = Cursor(data)
        schema: Schema = []
        coders: list[Coder] = []
        for name, dtype, record in json.loads(cursor.unpack(_MOST_PACKED)):
            schema.append((name, np.dtype(dtype)))
            kind = record.pop("coder")
            if kind == "Words":
                coders.append(Words(cells_from_bytes(cursor.unpack(_MOST_PACKED), record["n"])))
                continue
            if kind == "Levels":
                planes = np.frombuffer(cursor.unpack(8 * record.pop("n")), np.uint8).reshape(8, -1)
                record["keys"] = np.cumsum(np.ascontiguousarray(planes.T).view("<i8")[:, 0], dtype=np.int64)
            if kind not in ("Bounded", "Fixed", "Integers", "Levels", "Raw", "Relative", "Steps"):
                raise CodecFileError(f"a column is coded in a way ({kind!r}) that is not known")
            coders.append(getattr(quantising, kind)(**record))
        return cls(schema, coders)


def _called(dtype: np.dtype) -> str:
    return "object or text" if dtype.kind == "O" else dtype.name


def _modelled(dtype: np.dtype) -> bool:
    return dtype.kind in _MODELLED and dtype.itemsize <= 8


def most_bytes(n: int, dtypes: list[np.dtype]) -> int:
    """Return the most bytes that so many rows may be unpacked to."""
    cells = _MOST_CELLS if any(dtype.kind == "O" for dtype in dtypes) else 0
    return cells + n * sum(dtype.itemsize for dtype in dtypes)


def _most_beside(n: int, dtypes: list[np.dtype]) -> int:
    # Exceptions are a place of up to four bytes and a value, and before them stand a few numbers for each column.
    return most_bytes(n, dtypes) + len(dtypes) * (4 * n + 32)


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
    if part.dtype.kind != "O":
        return start + part[rows].tobytes()
    cells = cells_to_bytes(part[rows].tolist())
    return start + varint(len(cells)) + cells


def _read_side(
    side: bytes, n: int, dtypes: list[np.dtype]
) -> tuple[dict[int, np.ndarray], dict[int, tuple[np.ndarray, Any]]]:
    raws: dict[int, np.ndarray] = {}
    exceptions: dict[int, tuple[np.ndarray, Any]] = {}
    if not side:
        return raws, exceptions
    cursor = Cursor(side)
    # One budget for all: many columns of little each must not become much.
    left = _most_beside(n, dtypes)
    for _ in range(cursor.number(len(dtypes))):
        number = cursor.number(len(dtypes) - 1)
        raws[number], taken = _read_raw(cursor, n, dtypes[number], left)
        left -= taken
    if cursor.left:
        count = cursor.number(len(dtypes))
        inner = Cursor(cursor.unpack(left))
        for _ in range(count):
            number = inner.number(len(dtypes) - 1)
            exceptions[number] = _read_exceptions(inner, n, dtypes[number])
        if inner.left or cursor.left:
            raise CodecFileError("more stands beside the codes than there should")
    return raws, exceptions


def _read_raw(cursor: Cursor, n: int, dtype: np.dtype, left: int) -> tuple[np.ndarray, int]:
    if dtype.kind == "O":
        cells = cursor.unpack(left)
        return _objects(cells_from_bytes(cells, n)), len(cells)
    planes = [np.frombuffer(cursor.unpack(n), np.uint8) for _ in range(dtype.itemsize)]
    if any(len(plane) != n for plane in planes):
        raise CodecFileError("a column has not the number of rows it should")
    return np.ascontiguousarray(np.stack(planes, 1)).view(dtype)[:, 0], 0


def _read_exceptions(cursor: Cursor, n: int, dtype: np.dtype) -> tuple[np.ndarray, Any]:
    count = cursor.number(n)
    size = cursor.take(1)[0]
    if size not in (1, 2, 4):
        raise CodecFileError("the places of exceptions cannot be read")
    rows = np.cumsum(np.frombuffer(cursor.take(count * size), f"<u{size}").astype(np.int64)) - 1
    if count and (rows[0] < 0 or rows[-1] >= n):
        raise CodecFileError("an exception stands outside the rows")
    if dtype.kind != "O":
        return rows, np.frombuffer(cursor.take(count * dtype.itemsize), dtype)
    return rows, _objects(cells_from_bytes(bytes(cursor.take(cursor.number(cursor.left))), count))


def bare(parts: list[np.ndarray]) -> bytes:
    """Return columns as they are, one after the other."""
    found = []
    for part in parts:
        if part.dtype.kind == "O":
            cells = cells_to_bytes(part.tolist())
            found.append(varint(len(cells)) + cells)
        else:
            found.append(part.tobytes())
    return b"".join(found)


def from_bare(data: bytes, n: int, schema: Schema) -> list[np.ndarray]:
    """Read what `bare` gave."""
    cursor = Cursor(data)
    parts = []
    for _, dtype in schema:
        if dtype.kind == "O":
            parts.append(_objects(cells_from_bytes(bytes(cursor.take(cursor.number(cursor.left))), n)))
        else:
            parts.append(np.frombuffer(cursor.take(n * dtype.itemsize), dtype))
    if cursor.left:
        raise CodecFileError("a block is longer than its rows")
    return parts
