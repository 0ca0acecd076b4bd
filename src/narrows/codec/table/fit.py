"""Learning how to code columns: several ways are made ready, each is measured on training rows, the shortest stays."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from narrows.codec.container.entropy import BitCounter
from narrows.codec.table.bins import SCORE, Bins, bit_length, logarithm
from narrows.codec.table.block import N_FLAGS, N_RECENT, BlockState
from narrows.codec.table.column import (
    RANKED,
    RESIDUAL,
    VALUE,
    ColumnModel,
    Context,
    Feature,
    code_column,
    feature_cells,
    log_odds,
)
from narrows.codec.table.prediction import Linear
from narrows.codec.table.propose import (
    propose_bins,
    propose_linear,
    propose_midpoint,
    propose_nearest_bins,
    quantile_edges,
)

__all__ = ["fit_columns"]

_FIT_ROWS = 1 << 15
_WAYS = 12
"""Ways that a column may have: with time for so many, all are tried."""
_UNSET = Bins("listed", (0,))
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


def fit_columns(
    rows: np.ndarray,
    kinds: Sequence[str],
    *,
    max_seconds: float,
    seed: int,
    progress: Callable[[str], None] | None,
) -> tuple[list[ColumnModel], int]:
    """Return models of all columns, and how many of them must agree for rows to match; see ``TableModel.fit``."""
    stop, seconds = time.monotonic() + max_seconds, 0.0
    state = _training_state(rows)
    n = state.values.shape[1]
    known: list[ColumnModel] = []
    for column, kind in enumerate(kinds):
        began = time.monotonic()
        left = (stop - began) / (len(kinds) - column)
        most = 0 if left <= 0 or n < 8 else _WAYS if seconds * _WAYS <= left else max(1, int(left / seconds))
        rng = np.random.default_rng([seed, column])
        model, bits, tried = _fit_column(state, column, known, kind == "category", most, rng)
        if tried:
            seconds = (time.monotonic() - began) / tried
        known.append(model)
        state.advance(model.column, model.usual)
        if progress is not None:
            progress(f"column {column + 1} of {len(kinds)}: {bits / n:.2f} bits per value")
    if not any(model.copies for model in known):
        known = [replace(model, usual=None) for model in known]
    return known, state.window if any(len(model.repeats) for model in known) else 0


def _training_state(rows: np.ndarray) -> BlockState:
    """Training rows as a block: all, or stretches of them from all over the table."""
    if len(rows) > _FIT_ROWS:
        stretch = _FIT_ROWS // 8
        starts = np.linspace(0, len(rows) - stretch, 8).astype(np.int64)
        rows = np.concatenate([rows[s : s + stretch] for s in starts])
    state = BlockState.of(rows if len(rows) else np.zeros((1, rows.shape[1]), dtype=np.int64))
    # As many columns tell rows apart as hold some bits more than a row's number has.
    n = state.values.shape[1]
    bits = []
    for values in state.values:
        counts = np.unique(values, return_counts=True)[1]
        bits.append(float((counts * np.log2(n / counts)).sum() / n))
    usual = float(np.mean(bits)) if bits else 0.0
    state.window = int(np.clip(round((np.log2(n + 1) + 3) / (0.8 * usual + 0.1)), 2, 24))
    return state


def _fit_column(
    state: BlockState, column: int, known: list[ColumnModel], category: bool, most: int, rng: np.random.Generator
) -> tuple[ColumnModel, float, int]:
    """Return the shortest way found to code the column, its bits, and how many ways were tried.

    So many are tried to the end at most, those that look best at first; with 0 the column is coded by its own counts
    alone. Leaves the state's symbols of the column as that way sets them.
    """
    usual = None if category or not most else _usual_value(state.values[column])
    ready = []
    for way in (
        _ways(state, column, known, category) if most else [ColumnModel(column, hierarchical=False, bins=_UNSET)]
    ):
        own = CandidateCoder(state, way).own
        if way.relation == RANKED:
            bins, cost = propose_nearest_bins(own)
        else:
            bins, cost = propose_bins(own, category=category, centred=way.relation == RESIDUAL)
        ready.append((cost, replace(way, bins=bins, usual=usual)))
    ready = sorted(ready, key=lambda item: item[0])[: max(1, most)] if most < _WAYS else ready
    best: tuple[float, ColumnModel] | None = None
    for _, way in ready:
        for model in [way, *_reusing(state, way)] if most else [way]:
            made = _finish(state, model, known if most else (), rng)
            best = made if best is None or made[0] < best[0] else best
    assert best is not None
    code_column(BitCounter(), best[1], state)
    return best[1], best[0], len(ready) if most else 0


def _ways(state: BlockState, column: int, known: list[ColumnModel], category: bool) -> list[ColumnModel]:
    """Ways worth trying, yet without bins and contexts."""
    forward, earlier = ColumnModel(column, hierarchical=False, bins=_UNSET), [model.column for model in known]
    found = [forward]
    if category:
        return [forward, replace(forward, hierarchical=True)]
    linear = propose_linear(state.values, column, earlier)
    if linear is not None:
        found += [replace(forward, relation=relation, predictor=linear) for relation in (RESIDUAL, VALUE)]
    for key in (-1, *_group_keys(state.values, column, earlier)):
        middle = propose_midpoint(state.values, column, group_key=key)
        if middle is not None:
            relations = (RESIDUAL, VALUE, *([RANKED] if key >= 0 else []))
            found += [
                ColumnModel(column, hierarchical=True, bins=_UNSET, relation=relation, predictor=middle)
                for relation in relations
            ]
    return found


def _group_keys(values: np.ndarray, column: int, earlier: list[int]) -> list[int]:
    """Earlier columns with runs, outside of which this column's neighbours are no help: one at the most."""
    moves = np.log2(np.abs(np.diff(values[column].astype(np.float64))) + 1)
    found = []
    for i in earlier[:64]:
        same = values[i][1:] == values[i][:-1]
        if 0.3 < same.mean() < 0.9999:
            found.append((moves[~same].mean() - moves[same].mean(), i))
    return [i for gain, i in sorted(found, reverse=True)[:1] if gain > 1]


def _usual_value(values: np.ndarray) -> int | None:
    """Return the most frequent value of a column that has one and many others."""
    distinct, counts = np.unique(values, return_counts=True)
    top = int(np.argmax(counts))
    return None if len(distinct) < 40 or counts[top] < 0.2 * len(values) else int(distinct[top])


def _reusing(state: BlockState, model: ColumnModel) -> list[ColumnModel]:
    """Return the same way with values that were seen before, where that would hit."""
    own, found = state.values[model.column], []
    matched = np.flatnonzero(state.matches.rows >= 0)
    hits = own[state.matches.rows[matched]] == own[matched]
    if not model.hierarchical and hits.sum() > 0.02 * len(own) and hits.mean() > 0.3:
        counts = np.zeros((N_FLAGS, 2))
        np.add.at(counts, (state.matches.length[matched], hits.astype(np.int64)), 1)
        counts = np.ceil(counts * np.minimum(1, 32 / np.maximum(1, counts.max(axis=1, keepdims=True))))
        found.append(replace(model, repeats=counts.astype(np.uint8).reshape(-1)))
    if model.predictor is not None and model.predictor.group_key >= 0 and model.relation != RANKED:
        key = state.values[model.predictor.group_key]
        rises = (own[1:] > own[:-1])[key[1:] == key[:-1]]
        if len(rises) and rises.mean() >= 0.99 and 100 <= len(np.unique(own)) <= 0.6 * len(own):
            found.append(replace(model, dictionary=np.tile(np.array([1, 4], dtype=np.uint8), N_FLAGS)))
    if model.usual is not None:
        recent, there = state.recent.of(np.arange(len(own)))
        if (((recent == own[:, None]) & there).any(axis=1) & (own != model.usual)).mean() > 0.02:
            found += [replace(m, copies=True) for m in (model, *found)]
    return found


def _finish(
    state: BlockState, way: ColumnModel, known: Sequence[ColumnModel], rng: np.random.Generator
) -> tuple[float, ColumnModel]:
    """Choose contexts and counts to begin with; return with them the cost, the model's own included."""
    candidate = CandidateCoder(state, way)
    contexts = choose_contexts(candidate, known, rng)
    model = replace(way, contexts=contexts, start=start_counts(candidate.symbols, way.n_symbols))
    counter = BitCounter()
    code_column(counter, model, state)
    return counter.bits + model_bits(model), model
