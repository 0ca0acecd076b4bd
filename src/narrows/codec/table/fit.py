"""Learning how to code columns: several ways are made ready, each is measured on training rows, the shortest stays."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.container.entropy import BitCounter
from narrows.codec.table.bins import Bins
from narrows.codec.table.block import N_FLAGS, BlockState
from narrows.codec.table.column import RANKED, RESIDUAL, VALUE, ColumnModel, code_column
from narrows.codec.table.propose import propose_bins, propose_linear, propose_midpoint, propose_nearest_bins
from narrows.codec.table.search import CandidateCoder, choose_contexts, model_bits, start_counts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["fit_columns"]

_FIT_ROWS = 1 << 15
_WAYS = 12
"""Ways that a column may have: with time for so many, all are tried."""
_UNSET = Bins("listed", (0,))


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
