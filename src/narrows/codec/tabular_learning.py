"""Learning how to code a column: several ways are made ready, each is measured on training rows, the shortest stays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.tabular_bins import Bins
from narrows.codec.tabular_column import MISSED, NEIGHBOURS, RANKED, ColumnModel, code_column, shifted
from narrows.codec.tabular_copies import copies_of, matched_values
from narrows.codec.tabular_proposing import propose_bins, propose_forecast, propose_ways
from narrows.codec.tabular_trying import Meter, Trial, choose_contexts

if TYPE_CHECKING:
    from narrows.codec.tabular_column import Sheet

__all__ = ["Known", "learn_column", "measure"]

_START_BITS = 6.0


@dataclass
class Known:
    """What is settled about the columns coded so far.

    Attributes
    ----------
    shift : int
        By how many columns rows repeat themselves, 0 where they do not.
    earlier : list of int
        The columns, in the order of coding.
    models : dict of ColumnModel
    bins : dict of Bins
    direct : dict of bool
        Whether a column's bins name its values.
    """

    shift: int = 0
    earlier: list[int] = field(default_factory=list)
    models: dict[int, ColumnModel] = field(default_factory=dict)
    bins: dict[int, Bins] = field(default_factory=dict)
    direct: dict[int, bool] = field(default_factory=dict)

    def add(self, model: ColumnModel) -> None:
        """Take note of a column."""
        self.earlier.append(model.column)
        self.models[model.column] = model
        self.bins[model.column] = model.bins
        self.direct[model.column] = not model.relation and bool((model.bins.widths == 1).all())


def _ways(sheet: Sheet, column: int, known: Known, *, category: bool) -> list[ColumnModel]:
    """Ways worth trying, yet without bins and contexts."""
    nothing = Bins("listed", (0,))
    found = [ColumnModel(column, between=between, bins=nothing) for between in (False, True)]
    if category:
        return found[:1] if sheet.groups is not None else found
    found.pop()
    onward = sheet.groups is not None
    linear = propose_forecast(sheet, column, known.earlier, guard=-2, linear=True)
    if linear is not None:
        found += [
            ColumnModel(column, between=False, bins=nothing, relation=relation, forecast=linear) for relation in (1, 0)
        ]
    for guard in () if onward else (-1, *_guards(sheet, column, known.earlier)):
        plain = propose_forecast(sheet, column, known.earlier, guard=guard, linear=False)
        if plain is not None:
            relations = (MISSED, 0, NEIGHBOURS, *([RANKED] if guard >= 0 else []))
            found += [
                ColumnModel(column, between=True, bins=nothing, relation=relation, forecast=plain)
                for relation in relations
            ]
        bent = propose_forecast(sheet, column, known.earlier, guard=guard, linear=True)
        if bent is not None:
            found.append(ColumnModel(column, between=True, bins=nothing, relation=MISSED, forecast=bent))
    return found


def _guards(sheet: Sheet, column: int, earlier: list[int]) -> list[int]:
    """Earlier columns with runs, outside of which this column's neighbours are no help."""
    own = sheet.values[column].astype(np.float64)
    moves = np.log2(np.abs(np.diff(own)) + 1)
    found = []
    for i in earlier[:64]:
        same = sheet.values[i][1:] == sheet.values[i][:-1]
        if 0.3 < same.mean() < 0.9999:
            found.append((moves[~same].mean() - moves[same].mean(), i))
    return [i for gain, i in sorted(found, reverse=True)[:1] if gain > 1]


def _copying(sheet: Sheet, model: ColumnModel, usual: int | None) -> list[ColumnModel]:
    """Return the same way with copies, where copies would hit."""
    found = []
    own = sheet.values[model.column]
    if not model.between:
        matched = np.flatnonzero(sheet.match >= 0)
        hits = matched_values(sheet, model.column, matched) == own[matched]
        if hits.sum() > 0.02 * len(own) and hits.mean() > 0.3:
            counts = np.zeros((20, 2))
            np.add.at(counts, (sheet.match_length[matched], hits.astype(np.int64)), 1)
            counts = np.ceil(counts * np.minimum(1, 32 / np.maximum(1, counts.max(axis=1, keepdims=True))))
            found.append(replace(model, repeats=counts.astype(np.uint8).reshape(-1)))
    census = _census(sheet, model)
    if census is not None and not model.between | (model.relation > 0) | (model.forecast is not None):
        found.append(replace(model, census=census[0]))
    plan = model.forecast
    rises = census is not None and plan is not None and census[1] >= 0 and census[1] == plan.guard and not plan.factors
    if census is not None and rises and model.between and model.relation in (0, MISSED):
        found.append(replace(model, census=census[0], census_guard=census[1]))
    if usual is not None:
        copies, good = copies_of(sheet, np.arange(len(own)))
        hits = ((copies == own[:, None]) & good).any(axis=1) & (own != usual)
        if hits.mean() > 0.02:
            found += [replace(m, copies="recent") for m in (model, *found)]
    return found


def _census(sheet: Sheet, model: ColumnModel) -> tuple[np.ndarray, int] | None:
    """Return flags to begin with, and the guard in whose groups the column rises, if its many values come again."""
    own = sheet.values[model.column]
    distinct = len(np.unique(own))
    if distinct < 100 or distinct > 0.6 * len(own):
        return None
    start = np.tile(np.array([[1, 4]], dtype=np.uint8), (20, 1)).reshape(-1)
    guard = -1 if model.forecast is None else model.forecast.guard
    if guard >= 0:
        same = sheet.values[guard][1:] == sheet.values[guard][:-1]
        if not same.any() or (own[1:] > own[:-1])[same].mean() < 0.99:
            guard = -1
    return start, guard


def _usual_value(values: np.ndarray) -> int | None:
    """Return the most frequent value of a column that has one and many others."""
    distinct, counts = np.unique(values, return_counts=True)
    top = int(np.argmax(counts))
    if len(distinct) < 40 or counts[top] < 0.2 * len(values):
        return None
    return int(distinct[top])


def learn_column(
    sheet: Sheet, column: int, known: Known, *, category: bool, seed: int, most: int | None = None
) -> tuple[ColumnModel, float, int]:
    """Return the shortest way found to code the column, its bits on the sheet, and how many ways were tried.

    At ``most`` so many are tried to the end, those that look best at first; with 0 the column is coded by its own
    counts alone. Leaves the sheet's symbols of the column as that way sets them.
    """
    rng = np.random.default_rng([seed, column])
    if most == 0 or sheet.values.shape[1] < 8:
        return *_plainest(sheet, column, category=category), 0
    usual = None if category else _usual_value(sheet.values[column])
    alike = [c for c in (column - known.shift, column + known.shift) if known.shift and 0 <= c < len(sheet.values)]
    reach = (int(sheet.values[alike].min()), int(sheet.values[alike].max())) if alike else None
    ready = []
    for model in _ways(sheet, column, known, category=category):
        trial = Trial(sheet, model, known.earlier)
        centred = model.relation > 0
        if model.relation == RANKED:
            chosen, cost = propose_ways(trial.values)
        else:
            chosen, cost = propose_bins(trial.values, category=category, centred=centred, reach=reach)
        if chosen.n_symbols > 250:
            continue
        trial.model = replace(model, bins=chosen, usual=usual)
        ready.append((cost, trial))
    if most is not None:
        ready = sorted(ready, key=lambda item: item[0])[:most]
    tried = []
    for _, trial in ready:
        for model in [trial.model, *_copying(sheet, trial.model, usual)]:
            trial.set(model)
            made, cost = _finish(trial, known, rng)
            tried.append((cost, made))
    best = min(tried, key=lambda item: item[0])
    for model in _inherited(column, known, best[1]):
        # A column that is wholly like another keeps later ones alike as well.
        cost = (measure(model, sheet) + _description(model)) * (0.98 if model.copied else 1)
        if cost < best[0]:
            best = cost, model
    code_column(Meter(), best[1], sheet)
    return best[1], best[0], len(ready)


def _inherited(column: int, known: Known, model: ColumnModel) -> list[ColumnModel]:
    """Ways that begin with an earlier column's counts, where there is a column like this one."""
    found = []
    like = known.models.get(column - known.shift) if known.shift else None
    if like is not None:
        found.append(shifted(like, column))
    nothing = np.zeros(0, dtype=np.uint8)
    for i in known.earlier[:-40:-1]:
        like = known.models[i]
        if (like.relation, like.between, like.n_symbols) != (model.relation, model.between, model.n_symbols):
            continue
        if like.bins.kind == model.bins.kind and (
            model.bins.kind == "scaled" or like.bins.numbers == model.bins.numbers
        ):
            moved = shifted(like, column)
            found.append(
                replace(
                    moved,
                    bins=model.bins,
                    forecast=model.forecast,
                    start=nothing,
                    repeats=model.repeats,
                    copies=model.copies,
                    usual=model.usual,
                    copied=False,
                )
            )
            break
    return [m for m in found if _possible(m, known)]


def _possible(model: ColumnModel, known: Known) -> bool:
    """Whether all that a moved model looks at is there, and fits its cells."""
    plan = model.forecast
    features = [f for context in model.contexts for f in context.features]
    looks = {f.column for f in features if f.kind in ("symbol", "value", "departure", "stays", "average")}
    if plan is not None:
        looks |= {*plan.columns, *([plan.guard] if plan.guard >= 0 else [])}
    if plan is None and any(f.kind == "foretold" for f in features):
        return False
    return looks <= set(known.earlier)


def _description(model: ColumnModel) -> float:
    """Bits that the model itself takes, about."""
    if model.copied:
        return 24.0
    bits = _START_BITS * np.count_nonzero(model.start) + 40.0
    if model.parent < 0:
        bits += 40.0 * len(model.contexts)
    if model.forecast is not None:
        bits += 24.0 * len(model.forecast.factors)
    if model.bins.kind == "listed":
        bits += 14.0 * len(model.bins.edges)
    return bits


def _plainest(sheet: Sheet, column: int, *, category: bool) -> tuple[ColumnModel, float]:
    """Return the column by its own counts alone."""
    bins, _ = propose_bins(sheet.values[column], category=category, centred=False)
    model = ColumnModel(column, between=False, bins=bins)
    model.start = start_counts(bins.symbols(sheet.values[column]), bins.n_symbols)
    code_column(meter := Meter(), model, sheet)
    return model, meter.bits


def _finish(trial: Trial, known: Known, rng: np.random.Generator) -> tuple[ColumnModel, float]:
    """Contexts, counts to begin with and inertia for one way; and its cost, of naming all this included."""
    model, k = trial.model, trial.model.n_symbols
    contexts = choose_contexts(trial, known, k, rng)
    start = start_counts(trial.symbols, k)
    tried = []
    for inertia in (3, 8, 20):
        made = replace(model, contexts=contexts, start=start, inertia=inertia)
        tried.append((measure(made, trial.sheet) + _description(made), made))
        if not contexts:
            break
    cost, made = min(tried, key=lambda item: item[0])
    return made, cost


def measure(model: ColumnModel, sheet: Sheet) -> float:
    """Return what the column costs in this sheet, in bits."""
    meter = Meter()
    code_column(meter, model, sheet)
    return meter.bits


def start_counts(symbols: np.ndarray, k: int) -> np.ndarray:
    """Return counts to begin with, in one byte each."""
    counts = np.bincount(symbols, minlength=k).astype(np.float64)
    top = counts.max(initial=0)
    if top > 255:
        counts = np.ceil(counts * (255 / top))
    return counts.astype(np.uint8)
