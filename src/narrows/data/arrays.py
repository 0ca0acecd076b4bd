"""Files of one array: npy, npz and idx, whole; npy also in pieces."""

import gzip
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from narrows.errors import DataError
from narrows.io.formats import format_of

__all__ = ["ArrayFile", "numeric_dtype", "open_array", "parse_idx"]

_USUAL_NAMES = ("X", "x", "data", "x_train")
_SEGMENT_BYTES = 16 << 20
_SMALL_FILE = 4096
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"


def load_npy(path: Path) -> np.ndarray:
    """Open an npy file: as a memory map, unless it is so small that it may hold nothing to be mapped."""
    small = path.stat().st_size < _SMALL_FILE
    try:
        array: np.ndarray = np.load(path, mmap_mode=None if small else "r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError) as error:
        if "Object arrays" in str(error) or "Python objects" in str(error):
            raise DataError(f"{path} holds Python objects, which are not read because they can run code.") from error
        raise DataError(f"{path} is not a whole npy file: {error}") from error
    if not isinstance(array, np.ndarray):
        # np.load goes by content; a zip named .npy comes back as an archive.
        raise DataError(f"{path} is not an npy file but an archive of several: name it .npz.")
    return array


def open_array(path: Path, array: str | None = None) -> np.ndarray:
    """Read an npy file (as a read-only memory map), an array of an npz file, or an idx file."""
    kind = format_of(path)
    if array is not None and kind != "npz":
        raise DataError(f"array= names an array of an npz file, and {path} is none.")
    found = load_npy(path) if kind == "npy" else _read_npz(path, array) if kind == "npz" else _read_idx(path)
    if found.ndim == 0:
        raise DataError(f"{path} is a single number, not rows.")
    if found.shape[0] == 0 or found.size == 0:
        raise DataError(f"{path} has no rows or no columns: its shape is {found.shape}.")
    dtype = numeric_dtype(found.dtype, str(path))
    return found.reshape(-1, 1).astype(dtype, copy=False) if found.ndim == 1 else found.astype(dtype, copy=False)


def _read_npz(path: Path, array: str | None) -> np.ndarray:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            # np.load goes by content, not by name.
            raise DataError(f"{path} is not an npz file but holds a single array: name it .npy.")  # noqa: TRY301
        with archive:
            return np.asarray(archive[_choose_array(archive, array, path)])
    except DataError:
        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, SyntaxError) as error:
        if "Object arrays" in str(error):
            raise DataError(f"{path} holds Python objects, which are not read because they can run code.") from error
        raise DataError(f"{path} is not a whole npz file: {error}") from error


def _choose_array(archive: np.lib.npyio.NpzFile, array: str | None, path: Path) -> str:
    """Return the name of the array to read."""
    names = list(archive.files)
    listed = ", ".join(repr(name) for name in names) or "none"
    if array is not None:
        if array in names:
            return array
        raise DataError(f"{path} has no array named {array!r}; it has {listed}.")
    for name in _USUAL_NAMES:
        if name in names:
            return name
    tables = [name for name in names if archive[name].ndim >= 2]
    if len(tables) == 1:
        return tables[0]
    raise DataError(f"It is not clear which array of {path} to read: name one of {listed} as array=.")


def _read_idx(path: Path) -> np.ndarray:
    """Read an idx file, gzipped or not: its content says which."""
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file: {error}") from error
    return parse_idx(content, str(path))


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


class ArrayFile:
    """An npy file read in pieces; a segment is about 16 MB of rows."""

    def __init__(self, path: Path) -> None:
        array = load_npy(path)
        self.path, self.shape = path, array.shape[1:] or (1,)
        self.dtype = numeric_dtype(array.dtype, str(path))
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
            rows = load_npy(self.path)[start : min(start + piece_rows, last)]
            yield np.array(rows.reshape(len(rows), -1), dtype=self.dtype, order="C", copy=True, subok=False)


def numeric_dtype(dtype: np.dtype, what: str) -> np.dtype:
    """Return the type to hold ``dtype`` in, in this machine's byte order; refuse what is not a real number."""
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    if dtype.kind == "f":
        return np.dtype(np.float32) if dtype.itemsize <= 4 else np.dtype(np.float64)
    if dtype.kind in "iu":
        return dtype.newbyteorder("=")
    raise DataError(f"{what} holds values of type {dtype}, which are not numbers narrows can use.")
