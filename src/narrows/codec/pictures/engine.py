"""The engine of pictures of eight bits: a network predicts each value from those before it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.codec import peers
from narrows.codec.container.entropy import Reader, Writer
from narrows.codec.engine import Engine, FitOptions, State, open_block, smallest_block
from narrows.codec.pictures.order import PictureCoder
from narrows.codec.pictures.shape import Tiling, weight_shapes
from narrows.errors import CodecFileError, DataError

if TYPE_CHECKING:
    from narrows.codec.columns.form import Schema
    from narrows.codec.columns.layout import ColumnBatch, Layout

__all__ = ["PictureEngine"]

BLOCK_VALUES = 4_000_000
"""Values in a block: enough pictures in step for numpy to be busy, few enough for memory and random access."""


class PictureEngine(Engine):
    """What a codec knows of pictures of one size.

    Parameters
    ----------
    shape : tuple of int
        Height, width and perhaps channels.
    tensors : dict of str to ndarray
        Whole-number weights.
    differences : bool
        Whether values are coded as differences from what the neighbours let expect.
    history : list of dict
        How the training went.
    """

    kind = "pictures"

    def __init__(
        self,
        shape: tuple[int, ...],
        tensors: dict[str, np.ndarray],
        *,
        differences: bool,
        history: list[dict[str, Any]] | None = None,
    ) -> None:
        self.shape, self.tensors, self.differences, self.history = tuple(shape), tensors, differences, history or []
        self.tiling = Tiling.of(self.shape)
        self.coder = PictureCoder(self.tiling.tile, tensors, differences=differences)
        self.rows_per_block = max(1, BLOCK_VALUES // self.tiling.values)

    @classmethod
    def fit(cls, batch: ColumnBatch, held_out: ColumnBatch, options: FitOptions) -> PictureEngine:  # noqa: ARG003
        """Train a network, of pictures cut into tiles where they are large."""
        return cls.fit_pictures(batch.parts[0], options)

    @classmethod
    def fit_pictures(cls, pictures: np.ndarray, options: FitOptions) -> PictureEngine:
        """Train on pictures, uint8 (n, height, width[, channels])."""
        from narrows.codec.pictures.training import fit_network

        shape = pictures.shape[1:]
        tiling = Tiling.of(shape)
        tensors, differences, history = fit_network(
            tiling.sample(pictures, options.seed),
            tiling.tile,
            max_seconds=options.max_seconds,
            seed=options.seed,
            tell=options.progress,
        )
        return cls(shape, tensors, differences=differences, history=history)

    def check(self, layout: Layout) -> None:
        """Refuse pictures of another shape, and what is none."""
        if layout.picture != self.shape:
            called = "a table" if layout.picture is None else f"pictures of {' × '.join(map(str, layout.picture))}"
            fitted = " × ".join(map(str, self.shape))
            raise DataError(f"the codec was fitted to pictures of {fitted}, and these are {called}")

    def encode(self, parts: list[np.ndarray], schema: Schema) -> tuple[bytes, int]:
        """Turn pictures into bytes."""
        pictures = np.ascontiguousarray(parts[0])
        plain = pictures.tobytes()
        return smallest_block(self.encode_pictures(pictures), zlib.crc32(plain), plain, len(plain))

    def decode(self, data: bytes, n_rows: int, schema: Schema) -> tuple[list[np.ndarray], int]:
        """Turn bytes into pictures."""
        is_code, rest = open_block(data, n_rows * self.tiling.values)
        if is_code:
            rest = self.decode_pictures(rest, n_rows).tobytes()
        return [np.frombuffer(rest, np.uint8).reshape(n_rows, *self.shape)], zlib.crc32(rest)

    def encode_pictures(self, pictures: np.ndarray) -> bytes:
        """Turn pictures into the model's code."""
        tiles, writer = self.tiling.cut(pictures), Writer()
        if len(tiles):
            self.coder.code(writer, tiles, len(tiles))
        return writer.finish()

    def decode_pictures(self, data: bytes, n_rows: int) -> np.ndarray:
        """Turn the model's code into the pictures it was made from; the bytes are taken to be whole."""
        tile, n = self.tiling.tile, n_rows * self.tiling.count
        tiles = np.zeros((0, tile.height, tile.width, tile.channels), dtype=np.uint8)
        if n:
            tiles = self.coder.code(Reader(data), None, n)
        return self.tiling.join(tiles, n_rows)

    def peers(self, batch: ColumnBatch) -> dict[str, int | None]:
        """Give the compressors all bytes, and those for pictures mosaics."""
        return peers.on_pictures(batch.parts[0])

    def to_state(self) -> State:
        """Return all of this as JSON values and arrays."""
        return {"shape": list(self.shape), "differences": self.differences}, dict(self.tensors)

    @classmethod
    def from_state(cls, options: dict[str, Any], arrays: dict[str, np.ndarray]) -> PictureEngine:
        """Rebuild an engine from its state."""
        shape = tuple(options["shape"])
        if len(shape) not in (2, 3) or not all(type(size) is int and 0 < size < 1 << 16 for size in shape):
            raise CodecFileError("the codec is for pictures that cannot be")
        differences = bool(options["differences"])
        if {name: array.shape for name, array in arrays.items()} != weight_shapes(
            Tiling.of(shape).tile, arrays, differences
        ):
            raise CodecFileError("the weights of the codec's network have shapes that cannot be")
        return cls(shape, arrays, differences=differences)
