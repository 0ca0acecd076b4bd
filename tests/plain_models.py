"""The plainest models a codec can have, a histogram for each column: its frame is tested with them, not their size."""

from __future__ import annotations

import numpy as np

from narrows.codec.container.entropy import Reader, Writer
from narrows.codec.pictures.engine import PictureEngine
from narrows.codec.pictures.shape import Tiling


class PlainTable:
    rows_per_block = 256
    history = ({"step": 1},)

    def __init__(self, columns):
        self.columns = columns

    @classmethod
    def fit(cls, rows, *, kinds=None, max_seconds=1.0, random_state=0, progress=None):
        columns = []
        for column in rows.reshape(len(rows), -1).T:
            known, counts = np.unique(column, return_counts=True)
            order = np.argsort(-counts, kind="stable")[:200]
            order = order[np.argsort(known[order])]
            columns.append((known[order].astype(np.int64), np.minimum(counts[order], 10_000).astype(np.int64)))
        return cls(columns)

    def _walk(self, coder, rows, n):
        found = np.zeros((n, len(self.columns)), dtype=np.int64)
        for number, (known, counts) in enumerate(self.columns):
            weights = np.tile(np.append(counts, 1).astype(np.float32), (n, 1))
            symbols = None
            if rows is not None:
                place = np.minimum(np.searchsorted(known, rows[:, number]), len(known) - 1)
                symbols = np.where(known[place] == rows[:, number], place, len(known))
            symbols = coder.weighted(weights, symbols)
            strange = np.flatnonzero(symbols == len(known))
            found[:, number] = np.append(known, 0)[symbols]
            if len(strange):
                sizes = np.full(len(strange) * 8, 256)
                raw = None
                if rows is not None:
                    raw = np.ascontiguousarray(rows[strange, number]).view(np.uint8).astype(np.int32)
                raw = coder.uniform(sizes, raw)
                found[strange, number] = raw.astype(np.uint8).view(np.int64)
        return found

    def encode(self, rows):
        writer = Writer()
        self._walk(writer, np.asarray(rows, dtype=np.int64), len(rows))
        return writer.finish()

    def decode(self, data, n_rows):
        return self._walk(Reader(data), None, n_rows)

    def to_state(self):
        tensors = {}
        for number, (known, counts) in enumerate(self.columns):
            tensors[f"known{number}"] = known
            tensors[f"counts{number}"] = counts.astype(np.uint32)
        return {"n": len(self.columns)}, tensors

    @classmethod
    def from_state(cls, options, tensors):
        return cls([(tensors[f"known{k}"], tensors[f"counts{k}"].astype(np.int64)) for k in range(options["n"])])


class PlainPictures(PictureEngine):
    def __init__(self, shape, model):
        self.shape, self.model, self.tiling, self.history = shape, model, Tiling.of(shape), []
        self.rows_per_block = 64

    @classmethod
    def fit_pictures(cls, pictures, options):
        return PlainPictures(pictures.shape[1:], PlainTable.fit(pictures.reshape(len(pictures), -1)))

    def encode_pictures(self, pictures):
        return self.model.encode(pictures.reshape(len(pictures), -1))

    def decode_pictures(self, data, n_rows):
        return self.model.decode(data, n_rows).astype(np.uint8)

    def to_state(self):
        options, tensors = self.model.to_state()
        return options | {"shape": list(self.shape)}, tensors

    @classmethod
    def from_state(cls, options, arrays):
        return cls(tuple(options["shape"]), PlainTable.from_state(options, arrays))
