"""What general compressors make of the same data: the simple answers that a codec is held against.

Those whose library is not installed are None: zstd needs ``zstandard``, brotli ``brotli``, Parquet ``pyarrow``, WebP
``pillow``, JPEG XL ``pillow-jxl-plugin`` or ``imagecodecs``. xz and bz2 are Python's own.
"""

from __future__ import annotations

import bz2
import io
import lzma
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["as_text", "on_bytes", "on_columns", "on_pictures"]

_SIDE = 4096
"""Pixels of the side of a mosaic, at most; WebP knows no larger picture than 16,383."""


def _zstd(data: bytes) -> int | None:
    try:
        import zstandard
    except ImportError:
        return None
    return len(zstandard.ZstdCompressor(level=19).compress(data))


def _brotli(data: bytes) -> int | None:
    try:
        import brotli
    except ImportError:
        return None
    return len(brotli.compress(data, quality=11, lgwin=24))


def _xz(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def _bz2(data: bytes) -> int:
    return len(bz2.compress(data, 9))


_GENERAL: dict[str, Callable[[bytes], int | None]] = {
    "zstd -19": _zstd,
    "xz -9e": _xz,
    "brotli -11": _brotli,
    "bz2 -9": _bz2,
}


def on_bytes(*streams: bytes) -> dict[str, int | None]:
    """Return what each general compressor makes of bytes, of several orders of them the best."""
    found: dict[str, int | None] = {}
    for name, compress in _GENERAL.items():
        sizes = [size for stream in streams if (size := compress(stream)) is not None]
        found[name] = min(sizes) if sizes else None
    return found


def as_text(cells: np.ndarray) -> bytes:
    """Return cells as lines of text."""
    return "\n".join(map(str, cells.tolist())).encode("utf-8", "surrogatepass")


def _smallest(values: np.ndarray) -> np.ndarray:
    """Return whole numbers in the smallest type that holds them; anything else as it is."""
    if values.dtype.kind not in "iu" or not len(values):
        return values
    low, high = int(values.min()), int(values.max())
    for kind in ("u1", "i1", "u2", "i2", "u4", "i4"):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return values.astype(kind)
    return values


def on_columns(columns: list[np.ndarray]) -> dict[str, int | None]:
    """Return the bytes that each peer makes of columns of numbers or objects: by rows or by columns, as is smaller."""
    columns = [_smallest(np.ascontiguousarray(column)) for column in columns]
    by_column = b"".join(as_text(c) if c.dtype.kind == "O" else c.tobytes() for c in columns)
    streams = [by_column]
    if all(column.dtype.kind != "O" for column in columns) and len(columns) > 1:
        wide = np.concatenate([c.view(np.uint8).reshape(len(c), c.dtype.itemsize) for c in columns], axis=1)
        streams.append(wide.tobytes())
    return on_bytes(*streams) | {"Parquet zstd": _parquet(columns)}


def _parquet(columns: list[np.ndarray]) -> int | None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return None
    arrays = [
        pa.array([None if cell is None else str(cell) for cell in column.tolist()])
        if column.dtype.kind == "O"
        else pa.array(column if column.dtype.kind in "iuf" and column.dtype.itemsize <= 8 else list(map(str, column)))
        for column in columns
    ]
    file = io.BytesIO()
    table = pa.table(arrays, names=[str(number) for number in range(len(columns))])
    pq.write_table(table, file, compression="zstd", compression_level=19)
    return file.tell()


def on_pictures(rows: np.ndarray) -> dict[str, int | None]:
    """Return the bytes that each peer makes of uint8 pictures: of all bytes, or of mosaics by codecs for pictures."""
    flat = rows.reshape(len(rows), -1)
    found = on_bytes(flat.tobytes(), np.ascontiguousarray(flat.T).tobytes())
    boards = list(_mosaics(rows))
    return found | {"WebP": _all(boards, _webp), "JPEG XL": _all(boards, _jpeg_xl)}


def _all(boards: list[np.ndarray], size: Callable[[np.ndarray], int | None]) -> int | None:
    sizes = [size(board) for board in boards]
    known = [one for one in sizes if one is not None]
    return sum(known) if len(known) == len(sizes) else None


def _mosaics(rows: np.ndarray) -> Any:
    """Lay pictures out on boards that are about square."""
    rows = rows[..., None] if rows.ndim == 3 else rows
    n, height, width, channels = rows.shape
    across = min(max(1, _SIDE // width), max(1, round((n * height / width) ** 0.5)))
    down = min(max(1, _SIDE // height), -(-n // across))
    for start in range(0, n, across * down):
        part = rows[start : start + across * down]
        lines = -(-len(part) // across)
        board = np.zeros((lines * across, height, width, channels), np.uint8)
        board[: len(part)] = part
        board = board.reshape(lines, across, height, width, channels).transpose(0, 2, 1, 3, 4)
        yield board.reshape(lines * height, across * width, channels)


def _image(board: np.ndarray) -> Any:
    from PIL import Image

    return Image.fromarray(board[..., 0] if board.shape[2] == 1 else board)


def _webp(board: np.ndarray) -> int | None:
    try:
        from PIL import features
    except ImportError:
        return None
    if not features.check("webp") or board.shape[2] not in (1, 3, 4):
        return None
    file = io.BytesIO()
    # Also of what is wholly transparent the colours are kept.
    _image(board).save(file, "WEBP", lossless=True, quality=100, method=6, exact=True)
    return file.tell()


def _jpeg_xl(board: np.ndarray) -> int | None:
    if board.shape[2] not in (1, 3, 4):
        return None
    try:
        import pillow_jxl  # noqa: F401
    except ImportError:
        pass
    else:
        file = io.BytesIO()
        _image(board).save(file, "JXL", lossless=True, effort=9)
        return file.tell()
    try:
        from imagecodecs import jpegxl_encode
    except ImportError:
        return None
    return len(jpegxl_encode(board[..., 0] if board.shape[2] == 1 else board, lossless=True, effort=9))
