"""The model of pictures, as a block model: fitted, then whole blocks to bytes and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.codec.coder import Reader, Writer
from narrows.codec.pictures_shape import Tiling
from narrows.codec.pictures_walk import PictureWalk

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PictureModel"]

BLOCK_VALUES = 4_000_000
"""Values in a block: enough pictures in step for numpy to be busy, few enough for memory and random access."""


class PictureModel:
    """What a codec knows of pictures of one size.

    Parameters
    ----------
    tiling : Tiling
        How a picture is cut: small ones are not.
    tensors : dict of str to ndarray
        Whole-number weights.
    differences : bool
        Whether values are told as differences from what the neighbours let expect.
    history : list of dict
        How the training went.

    Examples
    --------
    >>> import numpy as np
    >>> from narrows.codec.pictures import PictureModel
    >>> pictures = np.random.default_rng(0).integers(0, 4, (200, 6, 6), dtype=np.uint8)
    >>> model = PictureModel.fit(pictures, max_seconds=2, random_state=0)
    >>> data = model.encode(pictures[:50])
    >>> bool((model.decode(data, 50) == pictures[:50]).all())
    True
    """

    def __init__(
        self,
        tiling: Tiling,
        tensors: dict[str, np.ndarray],
        *,
        differences: bool,
        history: list[dict[str, Any]] | None = None,
    ) -> None:
        self.tiling, self.tensors, self.differences = tiling, tensors, differences
        self.history = history or []
        self.walk = PictureWalk(tiling.tile, tensors, differences=differences)
        self.rows_per_block = max(1, BLOCK_VALUES // tiling.values)

    @classmethod
    def fit(
        cls,
        rows: np.ndarray,
        *,
        max_seconds: float,
        random_state: int,
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> PictureModel:
        """Learn from pictures.

        Parameters
        ----------
        rows : ndarray of uint8, shape (n, height, width) or (n, height, width, channels)
            Training pictures.
        max_seconds : float
            Limit on the training's time.
        random_state : int
            Starts the weights and orders the pictures.
        progress : callable, optional
            Given each record of the history as it is made.
        """
        from narrows.codec.pictures_training import fit_network

        tiling = Tiling.of(rows.shape[1:])
        tensors, differences, history = fit_network(
            tiling.sample(rows, random_state), tiling.tile, max_seconds=max_seconds, seed=random_state, tell=progress
        )
        return cls(tiling, tensors, differences=differences, history=history)

    def encode(self, rows: np.ndarray) -> bytes:
        """Turn a block of pictures into bytes."""
        tiles = self.tiling.cut(rows)
        coder = Writer()
        if len(tiles):
            self.walk.code(coder, tiles, len(tiles))
        return coder.finish()

    def decode(self, data: bytes, n_rows: int) -> np.ndarray:
        """Turn bytes into the pictures they were made from; the bytes are taken to be whole."""
        n = n_rows * self.tiling.count
        shape = self.tiling.tile
        tiles = np.zeros((0, shape.height, shape.width, shape.channels), dtype=np.uint8)
        if n:
            tiles = self.walk.code(Reader(data), None, n)
        return self.tiling.join(tiles, n_rows)

    def to_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return options for JSON and tensors."""
        options = {"shape": list(self.tiling.picture), "differences": self.differences}
        return options, dict(self.tensors)

    @classmethod
    def from_state(cls, options: dict[str, Any], tensors: dict[str, np.ndarray]) -> PictureModel:
        """Rebuild a model from :meth:`to_state`."""
        return cls(Tiling.of(tuple(options["shape"])), tensors, differences=bool(options["differences"]))
