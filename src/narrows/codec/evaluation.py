"""What a codec is worth: rows held out of the fit, and the general compressors on the same rows.

Those whose library is not installed are None: zstd needs ``zstandard``, brotli ``brotli``, WebP ``pillow``, JPEG XL
``pillow-jxl-plugin`` or ``imagecodecs``. xz and bz2 are Python's own.
"""

from __future__ import annotations

import bz2
import importlib
import io
import lzma
import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.codec.blocks import write_blocks
from narrows.codec.columns.layout import ColumnBatch
from narrows.errors import NotBetterThanBaselineWarning

if TYPE_CHECKING:
    from narrows.codec.engine import Engine

__all__ = [
    "as_text",
    "held_out_rows",
    "measure",
    "measure_peers",
    "on_bytes",
    "on_columns",
    "on_pictures",
    "rows_to_pay",
    "warn_where_no_better",
]

_MOST_HELD = 4096
_MOST_BYTES = 4 << 20
_STRETCHES = 8
_FEWEST = 20
_SIDE = 4096
"""Pixels of the side of a mosaic, at most; WebP knows no larger picture than 16,383."""


def _optional(name: str) -> Any:
    """Return a module, None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _zstd(data: bytes) -> int | None:
    zstandard = _optional("zstandard")
    return zstandard and len(zstandard.ZstdCompressor(level=19).compress(data))


def _brotli(data: bytes) -> int | None:
    brotli = _optional("brotli")
    return brotli and len(brotli.compress(data, quality=11, lgwin=24))


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


def _parquet(columns: list[np.ndarray]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

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
    features = _optional("PIL.features")
    if not features or not features.check("webp") or board.shape[2] not in (1, 3, 4):
        return None
    file = io.BytesIO()
    # Also of what is wholly transparent the colours are kept.
    _image(board).save(file, "WEBP", lossless=True, quality=100, method=6, exact=True)
    return file.tell()


def _jpeg_xl(board: np.ndarray) -> int | None:
    if board.shape[2] not in (1, 3, 4):
        return None
    if _optional("pillow_jxl"):
        file = io.BytesIO()
        _image(board).save(file, "JXL", lossless=True, effort=9)
        return file.tell()
    imagecodecs = _optional("imagecodecs")
    pixels = board[..., 0] if board.shape[2] == 1 else board
    return imagecodecs and len(imagecodecs.jpegxl_encode(pixels, lossless=True, effort=9))


def _raw_bytes(batch: ColumnBatch) -> int:
    """Return how many bytes the rows take as they are; of text its own length."""
    return sum(part.nbytes if part.dtype.kind != "O" else len(as_text(part)) for part in batch.parts)


def held_out_rows(batch: ColumnBatch) -> tuple[np.ndarray, np.ndarray]:
    """Choose rows to measure with: some stretches of neighbours, so that logs and series stay what they are.

    Returns the others and these, rising. Of fewer than 20 rows all are in both.
    """
    n = batch.n_rows
    if n < _FEWEST:
        return np.arange(n), np.arange(n)
    per_row = max(1, _raw_bytes(ColumnBatch(batch.layout, batch.cut(0, min(n, 1000)))) // min(n, 1000))
    count = max(1, min(n // 10, _MOST_HELD, _MOST_BYTES // per_row))
    stretches = min(_STRETCHES, count)
    length = count // stretches
    starts = ((np.arange(stretches) + 0.5) * n / stretches - length / 2).astype(np.int64)
    mask = np.zeros(n, dtype=bool)
    mask[(np.maximum(starts, 0)[:, None] + np.arange(length)).ravel()] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def measure(engine: Engine, held: ColumnBatch, n_jobs: int | None) -> dict[str, Any]:
    """Return what held-out rows take by an engine, as they are, and by the general compressors."""
    count = max(1, held.n_rows * held.layout.row_values)
    return {
        "n_held_out": held.n_rows,
        "raw_bits_per_value": 8.0 * _raw_bytes(held) / count,
        "peers": measure_peers(engine, held),
        "bits_per_value": 8.0 * write_blocks(iter([held]), engine, io.BytesIO(), n_jobs) / count,
    }


def measure_peers(engine: Engine, batch: ColumnBatch) -> dict[str, float | None]:
    """Return the bits per value that general compressors need for rows, None for those that are not installed."""
    values = max(1, batch.n_rows * batch.layout.row_values)
    return {name: None if size is None else 8.0 * size / values for name, size in engine.peers(batch).items()}


def rows_to_pay(model_bytes: int, own: float, others: dict[str, Any], values: int) -> int | None:
    """Return after how many rows the model's own bytes are won back against the best peer; None for never."""
    _, best = _best(others)
    return math.ceil(8 * model_bytes / ((best - own) * values)) if own < best < math.inf else None


def _best(others: dict[str, Any]) -> tuple[str, float]:
    """Return the peer that needs the fewest bits, and those: infinitely many where there is none."""
    return min(
        ((n, bits) for n, bits in others.items() if bits is not None), key=lambda p: p[1], default=("", math.inf)
    )


def warn_where_no_better(bits_per_value: float, n_held_out: int, others: dict[str, Any]) -> None:
    """Warn when a general compressor does as well as the codec."""
    name, best = _best(others)
    if bits_per_value >= best:
        warnings.warn(
            f"the codec takes {bits_per_value:.3f} bits per value on {n_held_out:,} held-out rows, and {name} "
            f"{best:.3f}: a general compressor does as well here",
            NotBetterThanBaselineWarning,
            stacklevel=4,
        )
