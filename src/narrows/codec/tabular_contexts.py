"""What is known of a cell of a table before it is coded: forecasts of its value, and contexts to count in.

A feature is a small whole number known on both sides: the bin of an earlier column, the class of the gap between two
known rows, how far an earlier column departs from its neighbouring rows. A context is one feature or a pair of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.tabular_arithmetic import bit_length, signed_class

if TYPE_CHECKING:
    from narrows.codec.coder import Coder
    from narrows.codec.tabular_column import Sheet
    from narrows.codec.tabular_walk import Step

__all__ = [
    "KINDS",
    "SAFE",
    "Context",
    "Feature",
    "Forecast",
    "Tally",
    "cells_of",
    "feature_cells",
    "forecast",
    "inputs_of",
]

KINDS = (
    "symbol",
    "value",
    "foretold",
    "left",
    "right",
    "gap",
    "level",
    "departure",
    "stays",
    "restless",
    "before",
    "copies",
    "span",
    "average",
)
_OF_COLUMNS = ("symbol", "value", "departure", "stays", "average")
SAFE = 1 << 40
_PLACES = 12


@dataclass(frozen=True)
class Feature:
    """One thing known beforehand.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    column : int
        The earlier column it looks at, where it looks at one.
    edges : tuple of int
        For "value", "foretold", "left", "right": the edges between classes. For "gap" and "departure": the smallest
        power of two told apart.
    n_cells : int
    """

    kind: str
    column: int
    edges: tuple[int, ...]
    n_cells: int

    def moved(self, by: int) -> Feature:
        """Return the same of a column so many further on."""
        return replace(self, column=self.column + by) if self.kind in _OF_COLUMNS else self


class Tally:
    """The average bin of a column's known rows, for every value of an earlier column.

    Parameters
    ----------
    keys : ndarray of int64 (n_rows,)
        The earlier column.
    """

    def __init__(self, keys: np.ndarray) -> None:
        distinct, self.keys = np.unique(keys, return_inverse=True)
        self.sums = np.zeros(len(distinct), dtype=np.int64)
        self.counts = np.zeros(len(distinct), dtype=np.int64)

    def averages(self, rows: np.ndarray) -> np.ndarray:
        """Sixteen times the averages, drawn towards the overall one by three rows of it."""
        overall = 16 * int(self.sums.sum()) // max(1, int(self.counts.sum()))
        mine = self.keys[rows]
        return (16 * self.sums[mine] + 3 * overall) // (self.counts[mine] + 3)

    def add(self, rows: np.ndarray, symbols: np.ndarray) -> None:
        """Take in rows that are known now."""
        np.add.at(self.sums, self.keys[rows], symbols)
        np.add.at(self.counts, self.keys[rows], 1)


@dataclass(frozen=True)
class Context:
    """One or two features, and how much their counts' evidence weighs (in sixteenths)."""

    features: tuple[Feature, ...]
    strength: int

    @property
    def n_cells(self) -> int:
        """Cells in all."""
        cells = 1
        for feature in self.features:
            cells *= feature.n_cells
        return cells


@dataclass(frozen=True)
class Forecast:
    """A value foretold from known ones.

    Attributes
    ----------
    columns : tuple of int
        Earlier columns whose values (walk onward), or departures from their neighbouring rows (between), enter.
    factors : tuple of int
        One for each of `columns`, in 1/4096; between known rows one more, for the curve through the far neighbours.
    intercept : int
        In 1/4096.
    guard : int
        Between known rows, an earlier column: a neighbour in which it differs is left aside. −1 for none.
    low, high : int
        The forecast is kept within, or not beyond its neighbours.
    """

    columns: tuple[int, ...]
    factors: tuple[int, ...]
    intercept: int
    guard: int
    low: int
    high: int


def _safe(values: np.ndarray) -> np.ndarray:
    return np.clip(values, -SAFE, SAFE)


def neighbour_ends(plan: Forecast, sheet: Sheet, column: int, step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Return the known neighbours' values, the lower first; where the guard sets one apart, the other twice."""
    own = sheet.values[column]
    left, right = _safe(own[step.left]), _safe(own[step.right])
    if plan.guard >= 0:
        guard = sheet.values[plan.guard]
        near = guard[step.rows]
        good_left, good_right = guard[step.left] == near, guard[step.right] == near
        left, right = np.where(good_left, left, right), np.where(good_right | ~good_left, right, left)
    return np.minimum(left, right), np.maximum(left, right)


def ranked_ends(
    coder: Coder, plan: Forecast, sheet: Sheet, column: int, step: Step
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Write or read between which known values of its guard's group each value lies.

    Returns the two values, the lower first (the same one twice beyond the ends), and where: 0 below all, 1 above all,
    2 where the group has none yet, 3 between.
    """
    guard, own = sheet.values[plan.guard], sheet.values[column]
    known = np.arange(0, len(own), step.spacing)
    order = np.lexsort((own[known], guard[known]))
    groups, values = guard[known][order], _safe(own[known][order])
    near = guard[step.rows]
    first, last = np.searchsorted(groups, near, side="left"), np.searchsorted(groups, near, side="right")
    place = _place(values, first, last, _safe(own[step.rows])) - first if coder.writes else None
    place = coder.evenly(last - first + 1, place).astype(np.int64)
    top = len(values) - 1
    below = values[np.clip(first + place - 1, 0, top)]
    above = values[np.clip(first + place, 0, top)]
    at_start, at_end = place == 0, first + place == last
    low = np.where(at_start, above, below)
    high = np.where(at_end, below, above)
    empty = first == last
    default = plan.intercept >> _PLACES
    state = np.where(empty, 2, np.where(at_start, 0, np.where(at_end, 1, 3)))
    return np.where(empty, default, low), np.where(empty, default, high), state


def _place(values: np.ndarray, first: np.ndarray, last: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where in its own stretch of sorted values each wanted one belongs, before its equals."""
    low, high = first.copy(), last.copy()
    while (open_ := low < high).any():
        middle_ = (low + high) >> 1
        less = open_ & (values[np.minimum(middle_, len(values) - 1)] < wanted)
        low = np.where(less, middle_ + 1, low)
        high = np.where(open_ & ~less, middle_, high)
    return low


def to_nearest(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Twice the way from the nearer end towards the other, plus 1 if it is the upper one; of equal ends, the way."""
    inward = values - low
    upper = inward > (high - low) >> 1
    return np.where(high == low, inward, np.where(upper, 2 * (high - values) + 1, 2 * inward))


def from_nearest(ways: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the values that have these ways."""
    inward = ways >> 1
    return np.where(high == low, low + ways, np.where(ways & 1, high - inward, low + inward))


def middle(values: np.ndarray, step: Step, guard: np.ndarray | None, default: int) -> np.ndarray:
    """Twice the value halfway between the known neighbours, those set apart by the guard left aside."""
    left, right = _safe(values[step.left]), _safe(values[step.right])
    if guard is None:
        return left + right
    near = guard[step.rows]
    good_left, good_right = guard[step.left] == near, guard[step.right] == near
    both = np.where(good_left, np.where(good_right, left + right, 2 * left), 2 * right)
    return np.where(good_left | good_right, both, 2 * default)


def inputs_of(sheet: Sheet, column: int, step: Step, columns: tuple[int, ...], base: np.ndarray | None) -> list:
    """Return the numbers a forecast is a weighted sum of, each int64 (rows,)."""
    if base is None:
        return [_safe(sheet.values[i, step.rows]) for i in columns]
    own = sheet.values[column]
    far = _safe(own[step.far_left]) + _safe(own[step.far_right])
    found = []
    for i in columns:
        other = sheet.values[i]
        here = _safe(other[step.rows])
        found.append(2 * here - _safe(other[step.left]) - _safe(other[step.right]))
    return [*found, base - far]


def forecast(plan: Forecast, sheet: Sheet, column: int, step: Step) -> np.ndarray:
    """Return the foretold values of the step's rows, int64."""
    level = step.level > 0
    base = None
    total = np.full(len(step.rows), plan.intercept, dtype=np.int64)
    if plan.guard != -2:
        guard = None if plan.guard < 0 else sheet.values[plan.guard]
        if not level:
            return np.full(len(step.rows), plan.intercept >> _PLACES, dtype=np.int64)
        base = middle(sheet.values[column], step, guard, plan.intercept >> _PLACES)
        total = base << (_PLACES - 1)
    if plan.factors:
        for factor, given in zip(plan.factors, inputs_of(sheet, column, step, plan.columns, base), strict=True):
            total += factor * given
    low, high = plan.low, plan.high
    if base is not None:
        # Where the known neighbours are beyond, the value may be.
        low, high = np.minimum(low, base >> 1), np.maximum(high, (base + 1) >> 1)
    return np.clip((total + (1 << (_PLACES - 1))) >> _PLACES, low, high)


def _of_columns(feature: Feature, sheet: Sheet, step: Step) -> np.ndarray:
    """Return classes of what an earlier column holds in the rows and around them."""
    kind = feature.kind
    if kind == "symbol":
        return np.minimum(sheet.symbols[feature.column, step.rows], feature.n_cells - 1).astype(np.int64)
    if kind == "average":
        return np.searchsorted(feature.edges, sheet.tallies[feature.column].averages(step.rows), side="right")
    other = sheet.values[feature.column]
    if kind == "value":
        return np.searchsorted(feature.edges, other[step.rows], side="right")
    here = _safe(other[step.rows])
    if kind == "stays":
        return 2 * (other[step.left] == here) + (other[step.right] == here)
    away = 2 * here - _safe(other[step.left]) - _safe(other[step.right])
    return signed_class(away, feature.edges[0], feature.n_cells // 2)


def _of_neighbours(feature: Feature, own: np.ndarray, step: Step) -> np.ndarray:
    """Return classes of what the column itself holds in known rows nearby."""
    kind = feature.kind
    if kind in ("left", "right"):
        beside = own[step.left if kind == "left" else step.right]
        if not step.level:
            return np.zeros(len(beside), dtype=np.int64)
        return np.searchsorted(feature.edges, beside, side="right")
    left, right = _safe(own[step.left]), _safe(own[step.right])
    if kind == "gap":
        return signed_class(right - left, feature.edges[0], feature.n_cells // 2)
    far = np.abs(_safe(own[step.far_left]) - left) + np.abs(_safe(own[step.far_right]) - right) + np.abs(left - right)
    return np.clip(bit_length(far.view(np.uint64)) - feature.edges[0], 0, feature.n_cells - 1)


def feature_cells(feature: Feature, sheet: Sheet, column: int, step: Step, foretold: np.ndarray | None) -> np.ndarray:
    """Return the class of the feature in every row of the step, int64 below its n_cells."""
    kind = feature.kind
    if kind in _OF_COLUMNS:
        return _of_columns(feature, sheet, step)
    if kind == "copies":
        return sheet.recent_n[step.rows]
    if kind == "level":
        return np.full(len(step.rows), step.level, dtype=np.int64)
    if kind == "foretold":
        return np.searchsorted(feature.edges, np.zeros(len(step.rows)) if foretold is None else foretold, side="right")
    if kind == "span":
        low, high, state = sheet.ends
        size = np.clip(bit_length((high - low).view(np.uint64)) - feature.edges[0], 0, feature.n_cells - 4)
        return np.where(state == 3, 3 + size, state)
    return _of_neighbours(feature, sheet.values[column], step)


def cells_of(context: Context, sheet: Sheet, column: int, step: Step, foretold: np.ndarray | None) -> np.ndarray:
    """Return the cell of the context in which every row of the step falls."""
    cells = np.zeros(len(step.rows), dtype=np.int64)
    for feature in context.features:
        cells *= feature.n_cells
        cells += feature_cells(feature, sheet, column, step, foretold)
    return cells
