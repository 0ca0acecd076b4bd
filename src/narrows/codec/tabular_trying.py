"""Trying one way of coding a column: what would be known of its cells, and which contexts of that would help."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.tabular_arithmetic import SCORE, bit_length, logarithm
from narrows.codec.tabular_census import Census
from narrows.codec.tabular_column import RANKED, ColumnModel, evidence, find_ends, related
from narrows.codec.tabular_contexts import Context, Feature, Tally, feature_cells, forecast
from narrows.codec.tabular_copies import copies_of, matched_values, named_by_copy
from narrows.codec.tabular_proposing import quantile_edges
from narrows.codec.tabular_walk import only

if TYPE_CHECKING:
    from narrows.codec.tabular_column import Sheet
    from narrows.codec.tabular_learning import Known

__all__ = ["Meter", "Trial", "choose_contexts"]

_TRIAL_ROWS = 4000
_MOST_CONTEXTS = 6
_MOST_CELLS = 2048
_KEEP = 14


class Meter:
    """A coder that only adds up what writing would cost, in bits."""

    writes = True

    def __init__(self) -> None:
        self.bits = 0.0

    def weighted(self, weights: np.ndarray, symbols: np.ndarray | None) -> np.ndarray:
        """Count the cost of symbols by their weights."""
        assert symbols is not None
        mine = np.take_along_axis(weights, symbols[:, None].astype(np.int64), axis=1)[:, 0]
        self.bits += float((np.log2(weights.sum(axis=1)) - np.log2(mine)).sum())
        return symbols

    def evenly(self, sizes: np.ndarray, symbols: np.ndarray | None) -> np.ndarray:
        """Count the cost of symbols that may be anything below their size."""
        assert symbols is not None
        self.bits += float(np.log2(sizes).sum())
        return symbols.astype(np.int32)


class Trial:
    """One way of coding a column, and for every training row what it would know and see."""

    def __init__(self, sheet: Sheet, model: ColumnModel, earlier: list[int]) -> None:
        self.sheet, self.model, self.earlier = sheet, model, earlier
        self.symbols = np.zeros(0, dtype=np.int32)
        self._lay_out()

    def _lay_out(self) -> None:
        sheet, model = self.sheet, self.model
        self.steps = sheet.steps(model)
        if len(model.repeats):
            here = sheet.values[model.column]
            copied = matched_values(sheet, model.column, np.arange(len(here)))
            missed = (sheet.match < 0) | (copied != here)
            self.steps = [only(step, missed[step.rows]) for step in self.steps]
        if len(model.census):
            census, left = Census(model.census_guard, model.census), []
            for step in self.steps:
                hits = census.code(Meter(), sheet, model.column, step)
                census.add(sheet, model.column, step.rows)
                left.append(only(step, ~hits))
            self.steps = left
        self.order = np.concatenate([step.rows for step in self.steps])
        self.foretold = None
        if model.forecast is not None:
            self.foretold = [forecast(model.forecast, sheet, model.column, step) for step in self.steps]
        told = self.foretold if self.foretold is not None else [None] * len(self.steps)
        parts, self.ends = [], []
        for step, f in zip(self.steps, told, strict=True):
            find_ends(Meter(), model, sheet, step)
            parts.append(related(model, sheet, step, f))
            self.ends.append(sheet.ends)
        self.values = np.concatenate(parts)

    def set(self, model: ColumnModel) -> None:
        """Take another model that differs in its copies, and name all values by its symbols."""
        self.model = model
        self._lay_out()
        self._name()

    def _name(self) -> None:
        """Set the symbols, by the model's bins and copies."""
        model = self.model
        self.symbols = model.bins.symbols(self.values)
        if model.copies:
            copies, good = copies_of(self.sheet, self.order)
            own = self.sheet.values[model.column, self.order]
            self.symbols = named_by_copy(own, self.symbols, copies, good, model.bins.n_symbols)

    def cells(self, feature: Feature) -> np.ndarray:
        """Return the feature's class in all rows, in the order of coding."""
        told = self.foretold if self.foretold is not None else [None] * len(self.steps)
        found, at = [], 0
        averaged = feature.kind == "average"
        if averaged:
            self.sheet.tallies = {feature.column: Tally(self.sheet.values[feature.column])}
        for step, f, ends in zip(self.steps, told, self.ends, strict=True):
            self.sheet.ends = ends
            found.append(feature_cells(feature, self.sheet, self.model.column, step, f))
            if averaged:
                symbols = np.minimum(self.symbols[at : at + len(step.rows)], self.model.bins.n_symbols - 1)
                self.sheet.tallies[feature.column].add(step.rows, symbols)
                at += len(step.rows)
        return np.concatenate(found)


def _features(trial: Trial, known: Known) -> list[Feature]:
    """Everything that might be known of a cell beforehand."""
    sheet, model = trial.sheet, trial.model
    found = _earlier_features(trial, known)
    if trial.foretold is not None:
        for n_classes in (12, 32):
            edges = quantile_edges(np.concatenate(trial.foretold), n_classes)
            if len(edges) > 1:
                found.append(Feature("foretold", 0, edges, len(edges) + 1))
    found += _average_features(trial)
    if model.copies:
        found.append(Feature("copies", 0, (), 5))
    if model.relation == RANKED:
        spans = [_usual(ends[1] - ends[0]) for ends in trial.ends[-1:]]
        found += [Feature("span", 0, (max(0, spans[0] + start),), 4 + reach) for start, reach in ((-4, 14), (-12, 30))]
    if model.between:
        found += _neighbour_features(sheet, model.column, trial.earlier)
    return found


def _earlier_features(trial: Trial, known: Known) -> list[Feature]:
    found = []
    for i in trial.earlier:
        if known.bins[i].n_symbols > 3:
            found.append(Feature("symbol", i, (), known.bins[i].n_symbols))
        if not known.direct[i]:
            edges = quantile_edges(trial.sheet.values[i], 12)
            if edges:
                found.append(Feature("value", i, edges, len(edges) + 1))
    return found


def _average_features(trial: Trial) -> list[Feature]:
    """Averages by the values of earlier columns that have many, each some times."""
    sheet = trial.sheet
    found: list[Feature] = []
    if not 4 < trial.model.bins.n_symbols < 40:
        return found
    n = sheet.values.shape[1]
    many = sorted(((len(np.unique(sheet.values[i])), i) for i in trial.earlier[-64:]), reverse=True)
    for _, i in [(count, i) for count, i in many if 24 < count < n / 3][:3]:
        raw = Feature("average", i, tuple(range(1, 16 * trial.model.bins.n_symbols)), 16 * trial.model.bins.n_symbols)
        edges = quantile_edges(trial.cells(raw), 12)
        if len(edges) > 2:
            found.append(replace(raw, edges=edges, n_cells=len(edges) + 1))
    return found


def _neighbour_features(sheet: Sheet, column: int, earlier: list[int]) -> list[Feature]:
    own = sheet.values[column]
    edges = quantile_edges(own, 24)
    found = [Feature("level", 0, (), 6)]
    if edges:
        found += [Feature(kind, 0, edges, len(edges) + 1) for kind in ("left", "right")]
    for reach in (4, 7):
        found.append(Feature("gap", 0, (_usual(np.diff(own)) - (reach > 4),), 2 * reach + 1))
    found.append(Feature("restless", 0, (max(0, _usual(np.diff(own)) - 2),), 9))
    for i in earlier:
        other = sheet.values[i]
        if (other[1:] != other[:-1]).any():
            found.append(Feature("departure", i, (_usual(np.diff(other)),), 9))
            found.append(Feature("stays", i, (), 4))
    return found


def _usual(moves: np.ndarray) -> int:
    """Return the power of two below the usual size of the moves that are none of zero."""
    moves = np.abs(moves[moves != 0])
    if not len(moves):
        return 0
    return max(0, int(bit_length(np.array([int(np.median(moves))]))[0]) - 3)


def _joint(cells: np.ndarray, n_cells: int, symbols: np.ndarray, k: int) -> np.ndarray:
    return np.bincount(cells * k + symbols, minlength=n_cells * k).reshape(n_cells, k)


def _told(joint: np.ndarray) -> float:
    """Bits that a context tells of the symbols, less what learning its counts costs."""

    def spread(counts: np.ndarray) -> float:
        some = counts[counts > 0].astype(np.float64)
        return float((some * np.log2(some)).sum())

    n = float(joint.sum())
    gain = spread(joint) - spread(joint.sum(axis=1)) - spread(joint.sum(axis=0)) + n * np.log2(max(n, 1))
    rows = int(np.count_nonzero(joint.sum(axis=1)))
    filled = int(np.count_nonzero(joint))
    return float(gain - 2.2 * float(filled - rows) - 2.0 * float(rows))


class _Mixer:
    """Contexts under trial: evidence from one half of the rows, judged on the other."""

    def __init__(self, trial: Trial, k: int, rng: np.random.Generator) -> None:
        n = len(trial.symbols)
        half = rng.random(n) < 0.5
        self.learn, self.judge = np.flatnonzero(half), np.flatnonzero(~half)
        self.judge = self.judge[:: max(1, len(self.judge) // _TRIAL_ROWS)]
        self.k, self.symbols = k, trial.symbols
        overall = np.bincount(trial.symbols[self.learn], minlength=k) * 16 + 1
        self.shares = np.maximum(1, (overall << 16) // overall.sum())
        self.base = logarithm(self.shares)
        self.seen = self.symbols[self.judge]
        self.worth = n / max(1, len(self.judge))
        self.parts: list[np.ndarray] = []
        self.strengths = np.zeros(0)

    def evidence(self, cells: np.ndarray, n_cells: int, inertia: int = 4) -> np.ndarray:
        """Evidence in bits for the judging rows, float32 (rows, k)."""
        joint = _joint(cells[self.learn], n_cells, self.symbols[self.learn], self.k)
        table = evidence(joint.astype(np.int64), joint.sum(axis=1), self.shares, inertia)
        return (table[cells[self.judge]] / SCORE).astype(np.float32)

    def total(self) -> np.ndarray:
        scores = np.repeat((self.base / SCORE).astype(np.float32)[None, :], len(self.judge), axis=0)
        for part, strength in zip(self.parts, self.strengths, strict=True):
            scores += np.float32(strength) * part
        return scores

    def loss(self, scores: np.ndarray) -> float:
        """Bits over all rows, as judged."""
        top = scores.max(axis=1)
        spread = top + np.log2(np.exp2(scores - top[:, None]).sum(axis=1))
        return float((spread - scores[np.arange(len(scores)), self.seen]).sum()) * self.worth

    def refit(self, parts: list[np.ndarray], start: np.ndarray) -> tuple[np.ndarray, float]:
        """Strengths by Newton's method; the loss is convex in them."""
        strengths = start.copy()
        rows = np.arange(len(self.judge))
        stack = np.stack(parts)  # (contexts, rows, k)
        own = stack[:, rows, self.seen]
        base = (self.base / SCORE).astype(np.float32)[None, :]
        for _ in range(4):
            scores = base + np.tensordot(strengths.astype(np.float32), stack, axes=1)
            share = np.exp2(scores - scores.max(axis=1, keepdims=True))
            share /= share.sum(axis=1, keepdims=True)
            mean = (stack * share).sum(axis=2)
            slope = (own - mean).sum(axis=1)
            curve = np.empty((len(parts), len(parts)))
            for a in range(len(parts)):
                for b in range(a + 1):
                    curve[a, b] = curve[b, a] = (
                        (stack[a] * stack[b] * share).sum() - (mean[a] * mean[b]).sum()
                    ) * 0.693
            curve += np.eye(len(parts)) * (1e-3 * np.trace(curve) / len(parts) + 1e-3)
            move = np.linalg.solve(curve, slope.astype(np.float64))
            strengths = np.clip(strengths + np.clip(move, -0.5, 0.5), 0, 2)
        strengths = np.rint(strengths * 16) / 16
        scores = base + np.tensordot(strengths.astype(np.float32), stack, axes=1)
        return strengths, self.loss(scores)


def choose_contexts(trial: Trial, known: Known, k: int, rng: np.random.Generator) -> list[Context]:
    """Contexts found one after another, each the one that shortens the rows most, pairs of features included."""
    symbols, features = trial.symbols, _features(trial, known)
    if len(symbols) < 16 or not features:
        return []
    singles = []
    for feature in features:
        cells = trial.cells(feature)
        if feature.n_cells * k <= 1 << 17:
            singles.append((_told(_joint(cells, feature.n_cells, symbols, k)), feature, cells))
    singles.sort(key=lambda item: -item[0])
    pool: list[tuple[tuple[Feature, ...], np.ndarray, int]] = [
        ((f,), c, f.n_cells) for gain, f, c in singles[:_KEEP] if gain > 0
    ]
    pairs = []
    for a, (gain_a, f, c) in enumerate(singles[:9]):
        for gain_b, g, d in singles[a + 1 : 9]:
            n_cells = f.n_cells * g.n_cells
            if n_cells <= _MOST_CELLS and (f.kind != g.kind or f.column != g.column):
                gain = _told(_joint(c * g.n_cells + d, n_cells, symbols, k))
                if gain > max(gain_a, gain_b):
                    pairs.append((gain, (f, g), c * g.n_cells + d, n_cells))
    pairs.sort(key=lambda item: -item[0])
    pool += [(both, cells, n_cells) for _, both, cells, n_cells in pairs[:_KEEP]]
    if not pool:
        return []
    mixer = _Mixer(trial, k, rng)
    parts = [mixer.evidence(cells, n_cells) for _, cells, n_cells in pool]
    return _grow(mixer, pool, parts)


def _grow(mixer: _Mixer, pool: list, parts: list[np.ndarray]) -> list[Context]:
    chosen: list[int] = []
    strengths = np.zeros(0)
    loss = mixer.loss(mixer.total())
    while len(chosen) < _MOST_CONTEXTS:
        mixer.parts, mixer.strengths = [parts[i] for i in chosen], strengths
        scores = mixer.total()
        trials: list[tuple[float, int, float]] = []
        for i in range(len(pool)):
            if i not in chosen:
                trials += [(mixer.loss(scores + np.float32(w) * parts[i]), i, w) for w in (0.4, 0.8)]
        if not trials:
            break
        _, best, weight = min(trials)
        wanted, after = mixer.refit([*mixer.parts, parts[best]], np.append(strengths, weight))
        if loss - after < 48 + 0.002 * loss:
            break
        chosen.append(best)
        strengths, loss = wanted, after
    found = [Context(pool[i][0], round(16 * float(s))) for i, s in zip(chosen, strengths, strict=True)]
    return [context for context in found if context.strength]
