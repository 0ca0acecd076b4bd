"""What the network of pictures and their coder agree on: neighbours, bins, tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["BINS", "COUNTS", "FINE", "LEVELS", "Shape", "Tiling", "windows"]

BINS, FINE = 32, 8
COUNTS = 16
"""Counts of a value so far, up to which the model tells them apart."""
ABOVE = ((1, 3), (2, 2))
LEFT = 4
LARGEST, TILE, SAMPLE = 48, 32, 60_000


@dataclass(frozen=True)
class Shape:
    """Height, width and channels of a picture, and where its decoded neighbours lie.

    A picture is kept with two empty rows above it and ``margin`` empty values at either side of each row.
    """

    height: int
    width: int
    channels: int

    @property
    def values(self) -> int:
        """Values in a row."""
        return self.width * self.channels

    @property
    def margin(self) -> int:
        """Empty values at either side of a row."""
        return LEFT * self.channels

    @property
    def stride(self) -> int:
        """Values in a row with its margins."""
        return self.values + 2 * self.margin


def windows(shape: Shape, channel: int) -> list[tuple[int, int]]:
    """Where the neighbours of a value lie: rows up, and values to the left (negative) or right.

    The first four are left, above, above left, above right; then for each earlier channel of the same pixel its
    value, its left, its above and its above left; then the others.
    """
    c = shape.channels
    near = [(0, -c), (1, 0), (1, -c), (1, c)]
    cross = [(up, -back - left) for back in range(1, channel + 1) for up, left in ((0, 0), (0, c), (1, 0), (1, c))]
    rest = [(0, -k * c) for k in range(2, LEFT + 1)]
    for up, reach in ABOVE:
        rest += [(up, k * c) for k in range(-reach, reach + 1) if (up, k * c) not in near]
    return near + cross + rest


LEVELS = [((1 + n) ** 16).bit_length() - 1 for n in range(1025)]
"""16 · log2(1 + n), rounded down, from the bit length of (1 + n)^16."""


@dataclass(frozen=True)
class Tiling:
    """How pictures of one size are cut into tiles that are coded on their own.

    Pictures of up to 48 values a side stay whole. Larger ones are cut into tiles of at most 32 a side, the last ones
    filled up with their edge, so that even a single picture has many places that can be handled in step.
    """

    picture: tuple[int, ...]
    rows: int
    columns: int

    @classmethod
    def of(cls, picture: tuple[int, ...]) -> Tiling:
        """Cut pictures of this shape."""
        height, width = picture[:2]
        if max(height, width) <= LARGEST:
            return cls(tuple(picture), 1, 1)
        return cls(tuple(picture), -(-height // TILE), -(-width // TILE))

    @property
    def count(self) -> int:
        """Tiles in a picture."""
        return self.rows * self.columns

    @property
    def values(self) -> int:
        """Values in a picture."""
        return math.prod(self.picture)

    @property
    def tile(self) -> Shape:
        """The shape of a tile."""
        height, width, *channels = self.picture
        return Shape(-(-height // self.rows), -(-width // self.columns), channels[0] if channels else 1)

    def cut(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures (n, height, width[, channels]) to tiles (n · count, height, width, channels)."""
        shape = self.tile
        whole = pictures.reshape(len(pictures), *self.picture[:2], shape.channels)
        if self.count == 1:
            return np.ascontiguousarray(whole)
        more = [(0, 0), *self._filling(), (0, 0)]
        whole = np.pad(whole, more, mode="edge") if len(whole) else np.zeros((0, *self._filled(), shape.channels))
        cut = whole.reshape(len(whole), self.rows, shape.height, self.columns, shape.width, shape.channels)
        return np.ascontiguousarray(cut.transpose(0, 1, 3, 2, 4, 5)).reshape(-1, *cut.shape[2:3], *cut.shape[4:])

    def join(self, tiles: np.ndarray, n: int) -> np.ndarray:
        """Tiles back to n pictures."""
        shape = self.tile
        if self.count > 1:
            cut = tiles.reshape(n, self.rows, self.columns, shape.height, shape.width, shape.channels)
            tiles = cut.transpose(0, 1, 3, 2, 4, 5).reshape(n, *self._filled(), shape.channels)
            tiles = tiles[:, : self.picture[0], : self.picture[1]]
        return np.ascontiguousarray(tiles).reshape(n, *self.picture)

    def sample(self, pictures: np.ndarray, seed: int) -> np.ndarray:
        """Tiles to learn from, 60,000 at most, taken at random."""
        rng = np.random.default_rng(seed)
        most = max(1, SAMPLE * 8 // self.count)
        if len(pictures) > most:
            pictures = pictures[np.sort(rng.choice(len(pictures), most, replace=False))]
        tiles = self.cut(pictures)
        return tiles if self.count == 1 else tiles[rng.permutation(len(tiles))[:SAMPLE]]

    def _filled(self) -> tuple[int, int]:
        return self.tile.height * self.rows, self.tile.width * self.columns

    def _filling(self) -> list[tuple[int, int]]:
        return [(0, to - have) for to, have in zip(self._filled(), self.picture[:2], strict=True)]
