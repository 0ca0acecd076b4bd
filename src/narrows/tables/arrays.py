"""numpy and idx files: npy and npz whole, npy in pieces."""

import gzip
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from narrows.errors import DataError
from narrows.tables.columns import choose, named
from narrows.tables.table import SegmentedFile, Table, numeric, numeric_dtype

__all__ = ["NpySegments", "parse_idx", "read_idx", "read_npy", "read_npz"]

_USUAL_NAMES = ("X", "x", "data", "x_train")
_SEGMENT_BYTES = 16 << 20
_SMALL_FILE = 4096
_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"


def _load_npy(path: Path) -> np.ndarray:
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


def _table(
    array: np.ndarray, columns: Sequence[str | int] | None, names: list[str] | None, path: Path, what: str
) -> Table:
    """Make a table of an array, or of some of its columns."""
    values, shape = numeric(array, what)
    if names is not None and len(names) != values.shape[1]:
        names = None
    if columns is not None:
        positions = choose(columns, names, values.shape[1], what)
        values, names, shape = values[:, positions], named(positions, names), (len(positions),)
    return Table(values, names, shape, path)


def read_npy(path: Path, columns: Sequence[str | int] | None) -> Table:
    """Read an npy file as a memory map."""
    return _table(_load_npy(path), columns, None, path, str(path))


def read_npz(path: Path, columns: Sequence[str | int] | None, array: str | None) -> Table:
    """Read one array of an npz file; its array ``columns``, if there is one, holds the names."""
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            # np.load goes by content, not by name.
            raise DataError(f"{path} is not an npz file but holds a single array: name it .npy.")  # noqa: TRY301
        with archive:
            name = _choose_array(archive, array, path)
            values = archive[name]
            names = archive["columns"] if "columns" in archive.files and name != "columns" else None
    except DataError:
        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, SyntaxError) as error:
        if "Object arrays" in str(error):
            raise DataError(f"{path} holds Python objects, which are not read because they can run code.") from error
        raise DataError(f"{path} is not a whole npz file: {error}") from error
    texts = names.tolist() if names is not None and names.dtype.kind == "U" and names.ndim == 1 else None
    return _table(values, columns, texts, path, f"array {name!r} of {path}")


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


def read_idx(path: Path, columns: Sequence[str | int] | None) -> Table:
    """Read an idx file, gzipped or not: its content says which."""
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file: {error}") from error
    return _table(parse_idx(content, str(path)), columns, None, path, str(path))


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


class NpySegments(SegmentedFile):
    """An npy file read in pieces; a segment is about 16 MB of rows."""

    def __init__(self, path: Path, columns: Sequence[str | int] | None = None) -> None:
        array = _load_npy(path)
        what = str(path)
        self.path = path
        self.dtype = numeric_dtype(array.dtype, what)
        # Only the shape is looked at here: laying a big Fortran-ordered map out flat would read all of it.
        standin = np.broadcast_to(np.zeros((), array.dtype), array.shape)
        _, self.shape = numeric(standin[:1] if array.ndim else standin, what)
        n_columns = math.prod(self.shape)
        self.columns = None
        self._positions = None if columns is None else choose(columns, None, n_columns, what)
        if self._positions is not None:
            self.shape = (len(self._positions),)
        self.n_features = math.prod(self.shape)
        n_rows = array.shape[0]
        self._step = max(1, _SEGMENT_BYTES // (n_columns * array.dtype.itemsize))
        self.segment_rows = [min(self._step, n_rows - start) for start in range(0, n_rows, self._step)]

    def read(self, segment: int, piece_rows: int) -> Iterator[np.ndarray]:
        """Yield a segment's rows in file order, copied out of the file."""
        first = segment * self._step
        last = first + self.segment_rows[segment]
        for start in range(first, last, piece_rows):
            # The file is mapped anew for each piece: pages of a map that stays open count as this program's
            # memory until the system wants them back, so it would seem to grow by the size of the file.
            rows = _load_npy(self.path)[start : min(start + piece_rows, last)]
            flat = rows.reshape(len(rows), -1)
            if self._positions is not None:
                flat = flat[:, self._positions]
            yield np.array(flat, dtype=self.dtype, order="C", copy=True, subok=False)
