"""One column of a table: how its values are foretold, in which bins they are named, and which contexts weigh the bins.

    earlier columns ──┬─▶ forecast p ──▶ v = x − p ──▶ bin of v (weighed), place inside the bin (even)
    neighbouring rows ┤                                   ▲
                      └─▶ context 1, 2, … ─▶ counts ──────┘

Every context keeps counts of the bins seen in each of its cells, which grow while a block is coded, on either side.
Its evidence is the logarithm of what it says over what the column's overall counts say; the evidences, each with its
own strength, are added to the overall score.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.tabular_arithmetic import logarithm, weights
from narrows.codec.tabular_census import Census
from narrows.codec.tabular_contexts import (
    Context,
    Tally,
    cells_of,
    forecast,
    from_nearest,
    neighbour_ends,
    ranked_ends,
    to_nearest,
)
from narrows.codec.tabular_copies import Repeats, copies_of, named_by_copy, update_match, update_recent
from narrows.codec.tabular_walk import Step, grown, only, scattered, walk

if TYPE_CHECKING:
    from narrows.codec.coder import Coder
    from narrows.codec.tabular_bins import Bins
    from narrows.codec.tabular_contexts import Forecast
    from narrows.codec.tabular_groups import Groups

__all__ = [
    "MISSED",
    "NEIGHBOURS",
    "RANKED",
    "ColumnModel",
    "Counts",
    "Sheet",
    "code_column",
    "evidence",
    "find_ends",
    "related",
    "shifted",
]


MISSED, NEIGHBOURS, RANKED = 1, 2, 3


class Sheet:
    """A block on its way through the coder: values and symbols, column by column.

    Attributes
    ----------
    values : ndarray of int64 (n_columns, n_rows)
    symbols : ndarray of int32 (n_columns, n_rows)
        The bin of every value coded so far.
    recent : ndarray of int64 (4, n_rows)
        In each row the latest different values that were not usual for their column; `recent_n` says how many.
    match, match_length : ndarray of int64 (n_rows,)
        A row that agrees in the columns just coded (−1 where there is none), and in how many.
    match_shift : ndarray of int64 (n_rows,)
        How many columns further left the matched row agrees.
    """

    def __init__(self, n_columns: int, n_rows: int) -> None:
        self.values = np.zeros((n_columns, n_rows), dtype=np.int64)
        self.symbols = np.zeros((n_columns, n_rows), dtype=np.int32)
        self.recent = np.zeros((4, n_rows), dtype=np.int64)
        self.recent_n = np.zeros(n_rows, dtype=np.int64)
        self.match = np.full(n_rows, -1, dtype=np.int64)
        self.match_shift = np.zeros(n_rows, dtype=np.int64)
        self.match_length = np.zeros(n_rows, dtype=np.int64)
        self.match_steps = walk(n_rows, between=False)
        self.tallies: dict[int, Tally] = {}
        self.ends: tuple[np.ndarray, np.ndarray, np.ndarray] = (self.match,) * 3
        self.groups: Groups | None = None
        self.coded: list[int] = []
        self.counts: dict[int, Counts] = {}

    def steps(self, model: ColumnModel) -> list[Step]:
        """Return the steps in which the column is coded."""
        if len(model.repeats):
            return self.match_steps
        steps = walk(self.values.shape[1], between=model.between)
        if self.groups is None or not self.groups.given.any():
            return steps
        return grown([scattered(np.flatnonzero(~self.groups.given))])

    def advance(self, model: ColumnModel, *, window: int, shift: int, recent: bool) -> None:
        """Take note that a column is known now."""
        self.coded.append(model.column)
        if recent and model.usual is not None:
            update_recent(self, model.column, model.usual)
        if window:
            update_match(self, window, shift)


@dataclass
class ColumnModel:
    """How one column is coded.

    Attributes
    ----------
    column : int
        Which column of the sheet.
    between : bool
        Whether rows are taken from between known ones (else onward).
    bins : Bins
    relation : int
        Of what the bins are: 0, the value itself; `MISSED`, what the forecast misses; `NEIGHBOURS`, the way to the
        nearer of the neighbouring rows' values; `RANKED`, to the nearer of the known values right below and above.
    forecast : Forecast or None
    contexts : list of Context
    start : ndarray of uint8 (n_symbols,)
        Counts to begin with.
    copies : str
        "recent" where a value may be one of the row's latest unusual ones, else "".
    repeats : ndarray of uint8 (40,) or (0,)
        Misses and hits to begin with, by the length of a match, where values may repeat a matched row's.
    census : ndarray of uint8 (40,) or (0,)
        New and known values to begin with, where values are picked among those the column has held before.
    census_guard : int
        The column in whose groups this one rises; −1 for none.
    usual : int or None
        The usual value of a column whose other values are worth remembering along the row.
    inertia : int
        How many observations of its own make a cell trust itself as much as the overall counts.
    parent : int
        An earlier column whose counts, as they are when it is done, are these to begin with; −1 for none.
    copied : bool
        Whether all else is the parent's too, its columns moved along.
    """

    column: int
    between: bool
    bins: Bins
    relation: int = 0
    forecast: Forecast | None = None
    contexts: list[Context] = field(default_factory=list)
    start: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.uint8))
    copies: str = ""
    repeats: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.uint8))
    census: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.uint8))
    census_guard: int = -1
    usual: int | None = None
    inertia: int = 4
    parent: int = -1
    copied: bool = False

    @property
    def n_symbols(self) -> int:
        """Bins, and copies."""
        return self.bins.n_symbols + (4 if self.copies else 0)


def shifted(model: ColumnModel, column: int) -> ColumnModel:
    """Return the model for another column, all that it looks at moved along; its counts go on from the first one's."""
    by = column - model.column
    plan = model.forecast
    if plan is not None:
        guard = plan.guard + by if plan.guard >= 0 else plan.guard
        plan = replace(plan, columns=tuple(c + by for c in plan.columns), guard=guard)
    contexts = [replace(c, features=tuple(f.moved(by) for f in c.features)) for c in model.contexts]
    return replace(model, column=column, forecast=plan, contexts=contexts, parent=model.column, copied=True)


class Counts:
    """Counts of symbols: overall, and in each cell of each context."""

    def __init__(self, model: ColumnModel) -> None:
        k = model.n_symbols
        self.k = k
        self.inertia = model.inertia
        self.overall = 16 * model.start.astype(np.int64) + 1 if len(model.start) else np.ones(k, dtype=np.int64)
        self.cells = [np.zeros((context.n_cells, k), dtype=np.int64) for context in model.contexts]
        self.totals = [np.zeros(context.n_cells, dtype=np.int64) for context in model.contexts]
        self.strengths = [context.strength for context in model.contexts]

    def base(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the overall shares, of 65,536, and their scores."""
        shares = np.maximum(1, (self.overall << 16) // int(self.overall.sum()))
        return shares, logarithm(shares)

    def add(self, cells: list[np.ndarray], symbols: np.ndarray) -> None:
        """Count what was seen."""
        self.overall += 16 * np.bincount(symbols, minlength=self.k)
        for counts, totals, cell in zip(self.cells, self.totals, cells, strict=True):
            flat = counts.reshape(-1)
            where = cell * self.k + symbols
            if len(where) * 4 > len(flat):
                flat += np.bincount(where, minlength=len(flat))
                totals += np.bincount(cell, minlength=len(totals))
            else:
                np.add.at(flat, where, 1)
                np.add.at(totals, cell, 1)

    def scores(self, cells: list[np.ndarray], n: int) -> np.ndarray:
        """Return the scores of all symbols, for rows in these cells; (n, k)."""
        shares, base = self.base()
        total = np.repeat(base[None, :], n, axis=0)
        for counts, totals, cell, strength in zip(self.cells, self.totals, cells, self.strengths, strict=True):
            table = (evidence(counts, totals, shares, self.inertia) * strength) >> 4
            total += table.take(cell, axis=0)
        return total


def evidence(counts: np.ndarray, totals: np.ndarray, shares: np.ndarray, inertia: int) -> np.ndarray:
    """For each cell and symbol, how much likelier than overall; in scores, int32 (cells, symbols).

    With counts n of N, a share p and an inertia a it is log2((n + a·p) / (N + a)) − log2(p): nothing in an empty cell.
    """
    k = counts.shape[1]
    whole = logarithm(np.array([inertia]))[0]
    table = np.empty(counts.shape, dtype=np.int32)
    table[:] = (whole - logarithm(totals + inertia))[:, None]
    flat = table.reshape(-1)
    seen = np.flatnonzero(counts)
    prior = shares[seen % k] * inertia
    flat[seen] += logarithm((counts.reshape(-1)[seen] << 16) + prior) - logarithm(prior)
    return table


def code_column(coder: Coder, model: ColumnModel, sheet: Sheet) -> None:
    """Write the sheet's column, or read it into the sheet."""
    counts = Counts(model) if model.parent < 0 else deepcopy(sheet.counts[model.parent])
    repeats = Repeats(model.repeats) if len(model.repeats) else None
    averaged = {f.column for context in model.contexts for f in context.features if f.kind == "average"}
    sheet.tallies = {i: Tally(sheet.values[i]) for i in averaged}
    census = Census(model.census_guard, model.census) if len(model.census) else None
    for step in sheet.steps(model):
        whole = step
        if repeats is not None:
            hits = repeats.code(coder, sheet, model.column, step.rows)
            if hits.any():
                _name_repeats(model, sheet, only(step, hits))
                step = only(step, ~hits)
        if census is not None:
            hits = census.code(coder, sheet, model.column, step)
            _name_repeats(model, sheet, only(step, hits))
            step = only(step, ~hits)
        if len(step.rows):
            _code_step(coder, model, sheet, step, counts)
        if census is not None:
            census.add(sheet, model.column, whole.rows)
    sheet.counts[model.column] = counts
    if sheet.groups is not None:
        rows = sheet.groups.fill(sheet, model.column)
        _name_repeats(model, sheet, Step(rows, rows, rows, rows, rows, 0))


def _name_repeats(model: ColumnModel, sheet: Sheet, step: Step) -> None:
    if model.relation == NEIGHBOURS and step.level:
        find_ends(None, model, sheet, step)
    foretold = None if model.forecast is None else forecast(model.forecast, sheet, model.column, step)
    sheet.symbols[model.column, step.rows] = model.bins.symbols(related(model, sheet, step, foretold))


def _code_step(coder: Coder, model: ColumnModel, sheet: Sheet, step: Step, counts: Counts) -> None:
    values, symbols = sheet.values[model.column], sheet.symbols[model.column]
    plain = model.bins.n_symbols
    find_ends(coder, model, sheet, step)
    foretold = None if model.forecast is None else forecast(model.forecast, sheet, model.column, step)
    cells = [cells_of(context, sheet, model.column, step, foretold) for context in model.contexts]
    scores = counts.scores(cells, len(step.rows))
    given, names, copies = None, None, None
    if model.copies:
        copies, good = copies_of(sheet, step.rows)
        scores[:, plain:][~good] = -(1 << 20)
    if coder.writes:
        given = related(model, sheet, step, foretold)
        names = model.bins.symbols(given)
        if copies is not None:
            names = named_by_copy(values[step.rows], names, copies, good, plain)
    names = coder.weighted(weights(scores), names)
    counts.add(cells, names)
    found = model.bins.code_inside(coder, names, given)
    found = unrelated(model, sheet, step, foretold, found)
    copied = np.flatnonzero(names >= plain)
    if copies is not None and len(copied):
        found[copied] = copies[copied, names[copied] - plain]
    values[step.rows] = found
    if len(copied):
        names = names.copy()
        names[copied] = model.bins.symbols(related(model, sheet, step, foretold)[copied])
    symbols[step.rows] = names
    for tally in sheet.tallies.values():
        tally.add(step.rows, names)


def find_ends(coder: Coder | None, model: ColumnModel, sheet: Sheet, step: Step) -> None:
    """Set the known values between which the step's are named, where the model has such."""
    plan = model.forecast
    if plan is None:
        return
    if model.relation == NEIGHBOURS and step.level:
        sheet.ends = (*neighbour_ends(plan, sheet, model.column, step), np.zeros(0, dtype=np.int64))
    if model.relation == RANKED and step.level and coder is not None:
        sheet.ends = ranked_ends(coder, plan, sheet, model.column, step)
    elif model.relation == RANKED:
        default = np.full(len(step.rows), plan.intercept >> 12)
        sheet.ends = (default, default, np.full(len(step.rows), 2))


def related(model: ColumnModel, sheet: Sheet, step: Step, foretold: np.ndarray | None) -> np.ndarray:
    """Return what the bins are of, for the step's rows."""
    here = sheet.values[model.column, step.rows]
    if model.relation == MISSED:
        return here - foretold
    if model.relation == RANKED or (model.relation == NEIGHBOURS and step.level):
        return to_nearest(here, *sheet.ends[:2])
    return here


def unrelated(
    model: ColumnModel, sheet: Sheet, step: Step, foretold: np.ndarray | None, found: np.ndarray
) -> np.ndarray:
    """Return the values, from what the bins are of."""
    if model.relation == MISSED:
        return found + foretold
    if model.relation == RANKED or (model.relation == NEIGHBOURS and step.level):
        return from_nearest(found, *sheet.ends[:2])
    return found
