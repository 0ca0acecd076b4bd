"""One column of a table: how its values are predicted, in which bins they are named, and which contexts weigh the bins.

::

    earlier columns ──┬─▶ prediction p ──▶ v = x − p ──▶ bin of v (weighed), place inside the bin (uniform)
    neighbouring rows ┤                                     ▲
                      └─▶ context 1, 2, … ─▶ counts ────────┘

Every context keeps counts of the bins seen in each of its cells, which grow while a block is coded, on either side. Its
log-odds are the logarithm of what it says over what the column's overall counts say; those of all contexts, each with
its own weight, are added to the overall score: logistic mixing, with weights that are learnt at the fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.table.bins import Bins, bit_length, logarithm, signed_class, weights
from narrows.codec.table.block import N_RECENT, BlockState, RepeatFlags, ValueDictionary
from narrows.codec.table.prediction import (
    Linear,
    Midpoint,
    Step,
    coding_order,
    from_nearest,
    ranked_bounds,
    safe,
    to_nearest,
)

if TYPE_CHECKING:
    from narrows.codec.container.entropy import EntropyCoder

__all__ = [
    "KINDS",
    "OF_COLUMNS",
    "RANKED",
    "RESIDUAL",
    "VALUE",
    "ColumnModel",
    "Context",
    "Feature",
    "code_column",
    "feature_cells",
    "log_odds",
]

OF_COLUMNS = ("symbol", "value")
KINDS = (*OF_COLUMNS, "predicted", "gap", "span", "copies")
VALUE, RESIDUAL, RANKED = range(3)
"""What bins are of: the value; the residual of its prediction; the way to the nearer known value of its group."""
_PSEUDO_COUNT = 6


@dataclass(frozen=True)
class Feature:
    """One thing known beforehand, of so many cells.

    Of an earlier column: its bin ("symbol"), a class of its value. Of the column itself: a class of what is predicted,
    of the gap between the known neighbours, of the distance of the bounds ("span"), and how many recent values there
    are to copy. The edges are those between classes; for "gap" and "span" the smallest power of two told apart.
    """

    kind: str
    column: int
    edges: tuple[int, ...]
    n_cells: int


@dataclass(frozen=True)
class Context:
    """One or two features, and how much the log-odds of their counts weigh (in sixteenths)."""

    features: tuple[Feature, ...]
    mixing_weight: int

    @property
    def n_cells(self) -> int:
        """Cells in all."""
        return prod(feature.n_cells for feature in self.features)


def feature_cells(
    feature: Feature, state: BlockState, column: int, step: Step, predicted: np.ndarray | None
) -> np.ndarray:
    """Return the class of the feature in every row of the step, int64 below its n_cells."""
    kind, edges = feature.kind, feature.edges
    if kind == "symbol":
        return np.minimum(state.symbols[feature.column, step.rows], feature.n_cells - 1).astype(np.int64)
    if kind == "copies":
        return state.recent.count[step.rows]
    if kind == "predicted":
        return np.searchsorted(edges, np.zeros(len(step.rows)) if predicted is None else predicted, side="right")
    if kind == "span":
        low, high, place = state.bounds
        size = np.clip(bit_length((high - low).view(np.uint64)) - edges[0], 0, feature.n_cells - 4)
        return np.where(place == 3, 3 + size, place)
    if kind == "gap":
        own = state.values[column]
        return signed_class(safe(own[step.right]) - safe(own[step.left]), edges[0], feature.n_cells // 2)
    return np.searchsorted(edges, state.values[feature.column, step.rows], side="right")


def cells_of(context: Context, state: BlockState, column: int, step: Step, predicted: np.ndarray | None) -> np.ndarray:
    """Return the cell of the context in which every row of the step falls."""
    cells = np.zeros(len(step.rows), dtype=np.int64)
    for feature in context.features:
        cells = cells * feature.n_cells + feature_cells(feature, state, column, step, predicted)
    return cells


def _no_counts() -> np.ndarray:
    return np.zeros(0, dtype=np.uint8)


@dataclass(frozen=True)
class ColumnModel:
    """How one column is coded: its order, its bins and what they are of, its predictor and contexts.

    Counts to begin with are of symbols (``start``), of misses and hits where values may repeat a matched row's, and of
    new and known values where they may be picked among those that the column has held before (``dictionary``).
    ``usual`` is the value of a column whose other values are worth remembering along the row; ``copies`` says whether
    a value may be one of the row's recent ones.
    """

    column: int
    hierarchical: bool
    bins: Bins
    relation: int = VALUE
    predictor: Linear | Midpoint | None = None
    contexts: tuple[Context, ...] = ()
    start: np.ndarray = field(default_factory=_no_counts)
    repeats: np.ndarray = field(default_factory=_no_counts)
    dictionary: np.ndarray = field(default_factory=_no_counts)
    usual: int | None = None
    copies: bool = False

    @property
    def n_symbols(self) -> int:
        """Bins, and recent values."""
        return self.bins.n_symbols + N_RECENT * self.copies

    def steps(self, state: BlockState) -> list[Step]:
        """Return the steps in which the column is coded."""
        if len(self.repeats):
            return state.matches.steps
        return coding_order(state.values.shape[1], hierarchical=self.hierarchical)

    def reuse(self, state: BlockState) -> RepeatFlags | ValueDictionary | None:
        """Return what tells which values are those seen before, where the model has such."""
        if len(self.repeats):
            return RepeatFlags(self.repeats, state.matches)
        if len(self.dictionary) and self.predictor is not None:
            return ValueDictionary(self.dictionary, state.values[self.predictor.group_key])
        return None

    def predict(self, state: BlockState, step: Step) -> np.ndarray | None:
        """Return the predictions for the step's rows, where the model makes any."""
        return None if self.predictor is None else self.predictor(state.values, self.column, step)

    def find_bounds(self, coder: EntropyCoder, state: BlockState, step: Step) -> None:
        """Set the known values between which the step's are named, where the model has such."""
        if self.relation == RANKED and isinstance(self.predictor, Midpoint):
            state.bounds = ranked_bounds(coder, self.predictor, state.values, self.column, step)

    def relative(self, state: BlockState, step: Step, predicted: np.ndarray | None) -> np.ndarray:
        """Return what the bins are of, for the step's rows."""
        here = state.values[self.column, step.rows]
        if self.relation == RESIDUAL:
            return here - predicted
        return to_nearest(here, *state.bounds[:2]) if self.relation == RANKED else here

    def absolute(self, state: BlockState, step: Step, predicted: np.ndarray | None, found: np.ndarray) -> np.ndarray:
        """Return the values, from what the bins are of."""
        if self.relation == RESIDUAL:
            return found + predicted
        return from_nearest(found, *state.bounds[:2]) if self.relation == RANKED else found


class Counts:
    """Counts of symbols: overall, and in each cell of each context."""

    def __init__(self, model: ColumnModel) -> None:
        k = model.n_symbols
        self.model, self.k = model, k
        self.overall = 16 * model.start.astype(np.int64) + 1 if len(model.start) else np.ones(k, dtype=np.int64)
        self.cells = [np.zeros((context.n_cells, k), dtype=np.int64) for context in model.contexts]
        self.totals = [np.zeros(context.n_cells, dtype=np.int64) for context in model.contexts]

    def add(self, cells: list[np.ndarray], symbols: np.ndarray) -> None:
        """Count what was seen."""
        self.overall += 16 * np.bincount(symbols, minlength=self.k)
        for counts, totals, cell in zip(self.cells, self.totals, cells, strict=True):
            np.add.at(counts.reshape(-1), cell * self.k + symbols, 1)
            np.add.at(totals, cell, 1)

    def scores(self, cells: list[np.ndarray], n: int) -> np.ndarray:
        """Return the scores of all symbols, for rows in these cells; (n, k)."""
        prior = np.maximum(1, (self.overall << 16) // int(self.overall.sum()))
        total = np.repeat(logarithm(prior)[None, :], n, axis=0)
        for counts, totals, cell, context in zip(self.cells, self.totals, cells, self.model.contexts, strict=True):
            table = (log_odds(counts, totals, prior) * context.mixing_weight) >> 4
            total += table.take(cell, axis=0)
        return total


def log_odds(counts: np.ndarray, totals: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """For each cell and symbol, how much likelier than overall; in scores, int32 (cells, symbols).

    With counts n of N, a prior p (of 65,536) and a pseudo-count a, which is how many observations make a cell trust
    itself as much as the prior, it is log2((n + a·p) / (N + a)) − log2(p): nothing in an empty cell.
    """
    k = counts.shape[1]
    table = np.empty(counts.shape, dtype=np.int32)
    table[:] = (logarithm(np.array([_PSEUDO_COUNT]))[0] - logarithm(totals + _PSEUDO_COUNT))[:, None]
    flat = table.reshape(-1)
    seen = np.flatnonzero(counts)
    scaled = prior[seen % k] * _PSEUDO_COUNT
    flat[seen] += logarithm((counts.reshape(-1)[seen] << 16) + scaled) - logarithm(scaled)
    return table


def code_column(coder: EntropyCoder, model: ColumnModel, state: BlockState) -> None:
    """Write the state's column, or read it into the state."""
    counts, values = Counts(model), state.values[model.column]
    reuse = model.reuse(state)
    for step in model.steps(state):
        left = step
        if reuse is not None:
            hits = reuse.code(coder, values, step)
            known, left = step.only(hits), step.only(~hits)
            named = model.bins.symbols(model.relative(state, known, model.predict(state, known)))
            state.symbols[model.column, known.rows] = named
        if len(left.rows):
            _code_step(coder, model, state, left, counts)
        if reuse is not None:
            reuse.add(values[step.rows])


def _code_step(coder: EntropyCoder, model: ColumnModel, state: BlockState, step: Step, counts: Counts) -> None:
    model.find_bounds(coder, state, step)
    predicted = model.predict(state, step)
    cells = [cells_of(context, state, model.column, step, predicted) for context in model.contexts]
    scores = counts.scores(cells, len(step.rows))
    values, plain = state.values[model.column], model.bins.n_symbols
    recent, there = state.recent.of(step.rows) if model.copies else (None, None)
    if there is not None:
        scores[:, plain:][~there] = -(1 << 20)
    own, symbols = None, None
    if coder.writes:
        own = model.relative(state, step, predicted)
        symbols = model.bins.symbols(own)
        if model.copies:
            symbols = state.recent.name(values[step.rows], symbols, step.rows, plain)
    symbols = coder.weighted(weights(scores), symbols)
    counts.add(cells, symbols)
    found = model.absolute(state, step, predicted, model.bins.code_inside(coder, symbols, own))
    if recent is not None:
        copied = np.flatnonzero(symbols >= plain)
        found[copied] = recent[copied, symbols[copied] - plain]
    values[step.rows] = found
    if recent is not None:
        symbols = model.bins.symbols(model.relative(state, step, predicted))
    state.symbols[model.column, step.rows] = symbols
