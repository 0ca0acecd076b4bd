"""Trying one way of coding a column: what would be known of its cells, and which contexts of that would help."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.container.entropy import BitCounter
from narrows.codec.table.bins import SCORE, bit_length, logarithm
from narrows.codec.table.block import N_RECENT
from narrows.codec.table.column import RANKED, Context, Feature, feature_cells, log_odds
from narrows.codec.table.prediction import Linear
from narrows.codec.table.propose import quantile_edges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from narrows.codec.table.block import BlockState
    from narrows.codec.table.column import ColumnModel

__all__ = ["CandidateCoder", "choose_contexts"]

_JUDGED_ROWS = 4000
_MOST_CONTEXTS = 6
_MOST_CELLS = 2048
_KEEP = 14
_PAIRED = 9
_MIXING_WEIGHTS = np.array([6, 13], dtype=np.float32) / np.float32(16)

Cells = tuple[tuple[Feature, ...], np.ndarray, int]
"""One or two features, the cell of every row, and how many cells there are."""


class CandidateCoder:
    """One way of coding a column: what its bins are of and those bins, for training rows in the order of coding."""

    def __init__(self, state: BlockState, model: ColumnModel) -> None:
        self.state, self.model = state, model
        values = state.values[model.column]
        self.steps = model.steps(state)
        reuse = model.reuse(state)
        if reuse is not None:
            left = []
            for step in self.steps:
                left.append(step.only(~reuse.code(BitCounter(), values, step)))
                reuse.add(values[step.rows])
            self.steps = left
        self.predicted = [model.predict(state, step) for step in self.steps]
        parts, self.bounds = [], []
        for step, predicted in zip(self.steps, self.predicted, strict=True):
            model.find_bounds(BitCounter(), state, step)
            parts.append(model.relative(state, step, predicted))
            self.bounds.append(state.bounds)
        self.own = np.concatenate(parts)
        self.symbols = model.bins.symbols(self.own)
        if model.copies:
            rows = np.concatenate([step.rows for step in self.steps])
            self.symbols = state.recent.name(values[rows], self.symbols, rows, model.bins.n_symbols)

    def cells(self, feature: Feature) -> np.ndarray:
        """Return the feature's class in all rows, in the order of coding."""
        found = []
        for step, predicted, bounds in zip(self.steps, self.predicted, self.bounds, strict=True):
            self.state.bounds = bounds
            found.append(feature_cells(feature, self.state, self.model.column, step, predicted))
        return np.concatenate(found)

    def features(self, known: Sequence[ColumnModel]) -> list[Feature]:
        """Everything that might be known of a cell beforehand."""
        state, model = self.state, self.model
        found = []
        for other in known:
            n_symbols = other.bins.n_symbols
            if n_symbols > 3:
                found.append(Feature("symbol", other.column, (), n_symbols))
            if other.relation or (other.bins.widths > 1).any():
                found += _classed("value", other.column, state.values[other.column], 12)
        if model.predictor is not None:
            predicted = np.concatenate([p for p in self.predicted if p is not None])
            found += [f for n in (12, 32) for f in _classed("predicted", 0, predicted, n) if f.n_cells > 2]
        if model.copies:
            found.append(Feature("copies", 0, (), N_RECENT + 1))
        if model.relation == RANKED:
            usual = _usual(self.bounds[-1][1] - self.bounds[-1][0])
            found += [Feature("span", 0, (max(0, usual + low),), 4 + reach) for low, reach in ((-4, 14), (-12, 30))]
        if model.hierarchical:
            usual = _usual(np.diff(state.values[model.column]))
            found.append(Feature("gap", 0, (usual - 1,), 15))
        return found


def _classed(kind: str, column: int, values: np.ndarray, n_classes: int) -> list[Feature]:
    edges = quantile_edges(values, n_classes)
    return [Feature(kind, column, edges, len(edges) + 1)] if edges else []


def _usual(moves: np.ndarray) -> int:
    """Return the power of two below the usual size of the moves that are none of zero."""
    moves = np.abs(moves[moves != 0])
    if not len(moves):
        return 0
    return max(0, int(bit_length(np.array([int(np.median(moves))]))[0]) - 3)


def _joint(cells: np.ndarray, n_cells: int, symbols: np.ndarray, k: int) -> np.ndarray:
    return np.bincount(cells * k + symbols, minlength=n_cells * k).reshape(n_cells, k)


def _information(joint: np.ndarray) -> float:
    """Bits that a context tells of the symbols, less what learning its counts costs."""

    def entropy_sum(counts: np.ndarray) -> float:
        some = counts[counts > 0].astype(np.float64)
        return float((some * np.log2(some)).sum())

    rows, n = joint.sum(axis=1), float(joint.sum())
    gain = entropy_sum(joint) - entropy_sum(rows) - entropy_sum(joint.sum(axis=0)) + n * np.log2(max(n, 1))
    n_rows, filled = np.count_nonzero(rows), np.count_nonzero(joint)
    return float(gain - 2.2 * float(filled - n_rows) - 2.0 * float(n_rows))


class _Mixer:
    """Contexts under trial: log-odds from one half of the rows, judged on the other."""

    def __init__(self, symbols: np.ndarray, k: int, rng: np.random.Generator) -> None:
        half = rng.random(len(symbols)) < 0.5
        self.learn, self.judge = np.flatnonzero(half), np.flatnonzero(~half)
        self.judge = self.judge[:: max(1, len(self.judge) // _JUDGED_ROWS)]
        self.k, self.symbols = k, symbols
        overall = np.bincount(symbols[self.learn], minlength=k) * 16 + 1
        self.prior = np.maximum(1, (overall << 16) // overall.sum())
        self.base = (logarithm(self.prior) / SCORE).astype(np.float32)
        self.seen = symbols[self.judge]
        self.worth = len(symbols) / max(1, len(self.judge))

    def log_odds(self, cells: np.ndarray, n_cells: int) -> np.ndarray:
        """Log-odds in bits for the judging rows, float32 (rows, k)."""
        joint = _joint(cells[self.learn], n_cells, self.symbols[self.learn], self.k)
        table = log_odds(joint.astype(np.int64), joint.sum(axis=1), self.prior)
        return (table[cells[self.judge]] / SCORE).astype(np.float32)

    def loss(self, scores: np.ndarray) -> float:
        """Bits over all rows, as judged."""
        top = scores.max(axis=1)
        normaliser = top + np.log2(np.exp2(scores - top[:, None]).sum(axis=1))
        return float((normaliser - scores[np.arange(len(scores)), self.seen]).sum()) * self.worth


def choose_contexts(
    candidate: CandidateCoder, known: Sequence[ColumnModel], rng: np.random.Generator
) -> tuple[Context, ...]:
    """Contexts found one after another, each the one that shortens the rows most, pairs of features included."""
    pool = _pool(candidate, known) if len(candidate.symbols) >= 16 else []
    if not pool:
        return ()
    mixer = _Mixer(candidate.symbols, candidate.model.n_symbols, rng)
    parts = [mixer.log_odds(cells, n_cells) for _, cells, n_cells in pool]
    chosen: dict[int, float] = {}
    scores = np.repeat(mixer.base[None, :], len(mixer.judge), axis=0)
    loss = mixer.loss(scores)
    while len(chosen) < min(_MOST_CONTEXTS, len(pool)):
        left = [i for i in range(len(pool)) if i not in chosen]
        after, best, weight = min((mixer.loss(scores + w * parts[i]), i, w) for i in left for w in _MIXING_WEIGHTS)
        if loss - after < 48 + 0.002 * loss:
            break
        chosen[best], loss = weight, after
        scores += weight * parts[best]
    return tuple(Context(pool[i][0], round(16 * float(weight))) for i, weight in chosen.items())


def _pool(candidate: CandidateCoder, known: Sequence[ColumnModel]) -> list[Cells]:
    """Return the features, and pairs of them, that tell most by themselves."""
    symbols, k = candidate.symbols, candidate.model.n_symbols
    singles = []
    for feature in candidate.features(known):
        if feature.n_cells * k <= 1 << 17:
            cells = candidate.cells(feature)
            singles.append((_information(_joint(cells, feature.n_cells, symbols, k)), feature, cells))
    singles.sort(key=lambda item: -item[0])
    pairs = []
    for a, (gain_a, f, c) in enumerate(singles[:_PAIRED]):
        for gain_b, g, d in singles[a + 1 : _PAIRED]:
            n_cells = f.n_cells * g.n_cells
            if n_cells <= _MOST_CELLS and (f.kind, f.column) != (g.kind, g.column):
                cells = c * g.n_cells + d
                gain = _information(_joint(cells, n_cells, symbols, k))
                if gain > max(gain_a, gain_b):
                    pairs.append((gain, ((f, g), cells, n_cells)))
    pairs.sort(key=lambda item: -item[0])
    pool: list[Cells] = [((f,), c, f.n_cells) for gain, f, c in singles[:_KEEP] if gain > 0]
    return pool + [cells for _, cells in pairs[:_KEEP]]


def model_bits(model: ColumnModel) -> float:
    """Bits that a column's model itself takes, about."""
    bits = 40.0 + 6.0 * np.count_nonzero(model.start) + 40.0 * len(model.contexts)
    if isinstance(model.predictor, Linear):
        bits += 24.0 * len(model.predictor.factors)
    return bits + (14.0 * len(model.bins.edges) if model.bins.kind == "listed" else 0.0)


def start_counts(symbols: np.ndarray, n_symbols: int) -> np.ndarray:
    """Return counts to begin with, in one byte each."""
    counts = np.bincount(symbols, minlength=n_symbols).astype(np.float64)
    return np.minimum(np.ceil(counts * min(1.0, 255 / max(1.0, counts.max()))), 255).astype(np.uint8)
