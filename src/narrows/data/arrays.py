"""Files of one array: npy, npz and idx, whole; npy also in pieces."""

import gzip
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from narrows.data.places import Place
from narrows.errors import DataError

__all__ = ["ArrayFile", "load_idx", "load_npy", "load_npz", "numeric_dtype", "open_array", "parse_idx"]

_USUAL_NAMES = ("X", "x", "data", "x_train")
_SEGMENT_BYTES = 16 << 20
_SMALL_FILE = 4096
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
_BROKEN = (ValueError, OSError, EOFError, KeyError, SyntaxError, zipfile.BadZipFile, zlib.error)
"""What numpy and the packers raise for files that are cut off or something else."""


def load_npy(place: Place) -> np.ndarray:
    """Open an npy file: as a memory map, unless it is elsewhere or so small that it may hold nothing to be mapped."""
    try:
        if place.local and place.local.stat().st_size >= _SMALL_FILE:
            array = np.load(place.local, mmap_mode="r", allow_pickle=False)
        else:
            with place.open() as file:
                array = np.load(file, allow_pickle=False)
    except (*_BROKEN, MemoryError) as error:
        raise _refused(place, error, "npy") from error
    if not isinstance(array, np.ndarray):
        # np.load goes by content; a zip named .npy comes back as an archive.
        raise DataError(f"{place.name} is not an npy file but an archive of several: name it .npz")
    return array


def load_npz(place: Place, array: str | None) -> tuple[np.ndarray, list[str] | None]:
    """Read one array of an npz file; its array ``columns``, if there is one, holds the names."""
    try:
        with place.open() as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{place.name} is not an npz file but holds a single array: name it .npy")
            name = _choose_array(archive, array, place)
            values = archive[name]
            names = archive["columns"] if "columns" in archive.files and name != "columns" else None
    except (*_BROKEN, MemoryError) as error:
        raise _refused(place, error, "npz") from error
    fits = names is not None and names.dtype.kind == "U" and names.shape == (math.prod(values.shape[1:]),)
    return values, names.tolist() if names is not None and fits else None


def _choose_array(archive: Any, array: str | None, place: Place) -> str:
    names = list(archive.files)
    listed = ", ".join(map(repr, names)) or "none"
    if array is not None:
        if array not in names:
            raise DataError(f"{place.name} has no array named {array!r}; it has {listed}")
        return array
    for name in _USUAL_NAMES:
        if name in names:
            return name
    tables = [name for name in names if archive[name].ndim >= 2]
    if len(tables) != 1:
        raise DataError(f"it is not clear which array of {place.name} to read: name one of {listed} as array=")
    return tables[0]


def load_idx(place: Place) -> np.ndarray:
    """Read an idx file, gzipped or not: its content says which."""
    with place.open() as file:
        content = file.read()
    try:
        content = gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{place.name} is not a whole gzip file: {error}") from error
    return parse_idx(content, place.name)


def parse_idx(content: bytes, what: str) -> np.ndarray:
    """Read the idx format: two zero bytes, a type, the number of dimensions, their sizes, then the values."""
    kind = _IDX_TYPES.get(content[2]) if len(content) >= 4 and content[:2] == b"\0\0" else None
    if kind is None or content[3] == 0 or len(content) < 4 + 4 * content[3]:
        raise DataError(f"{what} is not an idx file: it begins with {content[:4].hex(' ') or 'nothing'}.")
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    dtype = np.dtype(kind)
    if len(content) - start != math.prod(shape) * dtype.itemsize:
        raise DataError(
            f"{what} is damaged: an idx file of shape {shape} holds "
            f"{math.prod(shape) * dtype.itemsize:,} bytes of values, and there are {len(content) - start:,}."
        )
    values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def open_array(place: Place, array: str | None = None) -> np.ndarray:
    """Read an npy file (as a read-only memory map), an array of an npz file, or an idx file, as numbers."""
    if array is not None and place.kind != "npz":
        raise DataError(f"array= names an array of an npz file, and {place.name} is none.")
    if place.kind == "npz":
        found = load_npz(place, array)[0]
    else:
        found = load_npy(place) if place.kind == "npy" else load_idx(place)
    if found.ndim == 0:
        raise DataError(f"{place.name} is a single number, not rows.")
    if not found.size:
        raise DataError(f"{place.name} has no rows or no columns: its shape is {found.shape}.")
    dtype = numeric_dtype(found.dtype, place.name)
    return (found[:, None] if found.ndim == 1 else found).astype(dtype, copy=False)


class ArrayFile:
    """An npy file read in pieces; a segment is about 16 MB of rows."""

    segment_rows: Sequence[int]

    def __init__(self, place: Place) -> None:
        array = open_array(place)
        self.place, self.name, self.shape, self.dtype = place, place.name, array.shape[1:], array.dtype
        self.n_features = math.prod(self.shape)
        self._step = max(1, _SEGMENT_BYTES // (self.n_features * array.dtype.itemsize))
        n_rows = array.shape[0]
        self.segment_rows = [min(self._step, n_rows - start) for start in range(0, n_rows, self._step)]

    def read(self, segment: int, piece_rows: int) -> Iterator[np.ndarray]:
        """Yield a segment's rows in file order, copied out of the file."""
        first = segment * self._step
        last = first + self.segment_rows[segment]
        for start in range(first, last, piece_rows):
            # The file is mapped anew for each piece: pages of a map that stays open count as this program's
            # memory until the system wants them back, so it would seem to grow by the size of the file.
            rows = load_npy(self.place)[start : min(start + piece_rows, last)]
            yield np.array(rows.reshape(len(rows), -1), dtype=self.dtype, order="C", copy=True, subok=False)


def _refused(place: Place, error: Exception, kind: str) -> DataError:
    if isinstance(error, DataError):
        return error
    if "Object arrays" in str(error) or "Python objects" in str(error):
        return DataError(f"{place.name} holds Python objects, which are not read because they can run code")
    return DataError(f"{place.name} is not a whole {kind} file: {error}")


def numeric_dtype(dtype: np.dtype, what: str) -> np.dtype:
    """Return the type to hold ``dtype`` in, in this machine's byte order; refuse what is not a real number."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f":
        return np.dtype(np.float32) if dtype.itemsize <= 4 else np.dtype(np.float64)
    if dtype.kind in "iu":
        return dtype.newbyteorder("=")
    raise DataError(f"{what} holds values of type {dtype}, which are not numbers narrows can use.")
