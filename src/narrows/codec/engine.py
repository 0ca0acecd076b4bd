"""The face of all engines: one kind of data and its fitted model, which turns whole blocks of rows into bytes and back.

What is made of a block begins with one byte that says how: the rows as they are, the same packed by a general
compressor, or the model's code.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from narrows.codec.container.format import Cursor, pack
from narrows.errors import CodecFileError

if TYPE_CHECKING:
    from narrows.codec.columns.choose import Bound
    from narrows.codec.columns.form import Schema
    from narrows.codec.columns.layout import ColumnBatch, Layout

__all__ = ["Engine", "FitOptions", "State", "open_block", "smallest_block"]

_BARE, _PACKED, _MODEL = 0, 1, 2

State = tuple[dict[str, Any], dict[str, np.ndarray]]
"""Options for JSON, and arrays."""


@dataclass(frozen=True)
class FitOptions:
    """What an engine is told at its fit."""

    max_seconds: float
    seed: int
    progress: Callable[[Any], None]
    bounds: dict[int, Bound] = field(default_factory=dict)
    n_components: int | None = None


class Engine(ABC):
    """What a codec does with blocks of rows, whatever the data.

    Attributes
    ----------
    rows_per_block : int
        How many rows make a good block.
    history : list
        What the model noted while it learned.
    rate_distortion : list of dict or None
        What each fineness costs, where something is lost.
    """

    kind: ClassVar[str]
    rows_per_block: int
    history: list[Any]
    rate_distortion: list[dict[str, Any]] | None = None

    @classmethod
    @abstractmethod
    def fit(cls, batch: ColumnBatch, held_out: ColumnBatch, options: FitOptions) -> Engine:
        """Learn from rows; some are held out of them, to choose by."""

    @abstractmethod
    def check(self, layout: Layout) -> None:
        """Refuse data that is not like that of the fit, by a DataError."""

    @abstractmethod
    def encode(self, parts: list[np.ndarray], schema: Schema) -> tuple[bytes, int]:
        """Turn a block's rows into bytes; return with them a checksum over the rows as they will come back."""

    @abstractmethod
    def decode(self, data: bytes, n_rows: int, schema: Schema) -> tuple[list[np.ndarray], int]:
        """Turn bytes into rows and their checksum."""

    def cost(self, parts: list[np.ndarray], schema: Schema) -> float:
        """Return how many bits a block of rows takes."""
        return 8.0 * len(self.encode(parts, schema)[0])

    @abstractmethod
    def peers(self, batch: ColumnBatch) -> dict[str, int | None]:
        """Return how many bytes general compressors make of the same rows."""

    @abstractmethod
    def to_state(self) -> State:
        """Return all of this as JSON values and arrays."""

    @classmethod
    @abstractmethod
    def from_state(cls, options: dict[str, Any], arrays: dict[str, np.ndarray]) -> Engine:
        """Rebuild an engine from its state."""

    @cached_property
    def fingerprint(self) -> bytes:
        """Return eight bytes that tell an engine from every other: files say with them whose they are."""
        options, arrays = self.to_state()
        # Of an autoencoder the weights tell all; what it notes beside them may be changed when it is loaded.
        options = {name: value for name, value in options.items() if name != "autoencoder"}
        digest = hashlib.sha256(json.dumps([self.kind, options], sort_keys=True).encode())
        for name in sorted(arrays):
            array = np.ascontiguousarray(arrays[name])
            digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
            digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        return digest.digest()[:8]


def smallest_block(code: bytes | None, code_crc: int, plain: bytes, limit: int) -> tuple[bytes, int]:
    """Choose among the model's code, the rows as they are, and those packed, if they may be unpacked again."""
    best, crc = bytes([_BARE]) + plain, zlib.crc32(plain)
    if code is not None and len(code) < len(plain):
        best, crc = bytes([_MODEL]) + code, code_crc
    # A general compressor is only asked where it has a chance: its first look is quick, its last is slow.
    if len(best) > 64 and len(plain) <= limit and (code is None or len(best) > len(plain) // 32):
        quick = len(zlib.compress(plain, 1))
        if quick < 1.5 * len(best):
            packed = bytes([_PACKED]) + pack(plain)
            if len(packed) < len(best):
                best, crc = packed, zlib.crc32(plain)
    return best, crc


def open_block(data: bytes, limit: int) -> tuple[bool, bytes]:
    """Return whether a block is the model's code, and that or the rows as they are."""
    cursor = Cursor(data)
    how = cursor.take(1)[0]
    rest = cursor.unpack(limit) if how == _PACKED else cursor.take(cursor.left)
    if how not in (_BARE, _PACKED, _MODEL) or cursor.left:
        raise CodecFileError(f"it is coded in a way ({how}) that is not known")
    return how == _MODEL, rest
