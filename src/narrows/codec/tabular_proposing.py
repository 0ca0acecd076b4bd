"""Choosing bins, forecasts and contexts for one column, from training rows.

All of this may use floats: only what it chooses, whole numbers, takes part in coding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.tabular_bins import Bins
from narrows.codec.tabular_contexts import SAFE, Forecast, inputs_of, middle
from narrows.codec.tabular_walk import walk

if TYPE_CHECKING:
    from narrows.codec.tabular_column import Sheet

__all__ = ["propose_bins", "propose_forecast", "propose_ways", "quantile_edges"]

_FAR = 1 << 60
_DIRECT = 56
_EDGE_BITS = 18.0
_MOST_BINS = 56
_FACTOR_BITS = 22.0
_MOST_FACTORS = 24
_ONE = 4096
_TIGHT = 32
"""A forecast whose usual error is such a part of the range of values is a law."""


def quantile_edges(values: np.ndarray, n_classes: int) -> tuple[int, ...]:
    """Edges between at most so many classes of about equal number."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= n_classes:
        return tuple(int(v) for v in distinct[1:])
    heads = np.cumsum(counts)[:-1] / len(values)
    found = np.searchsorted(heads, np.arange(1, n_classes) / n_classes) + 1
    return tuple(int(v) for v in distinct[np.unique(np.minimum(found, len(distinct) - 1))])


def _split(distinct: np.ndarray, heads: np.ndarray, low: int, high: int, ends: tuple[float, float]) -> tuple:
    """Return the best edge for bins over distinct[low:high] that lie between these ends: (gain in bits, edge)."""
    n = heads[high] - heads[low]
    if high - low < 1 or ends[1] - ends[0] < 2 or n < 2:
        return 0.0, 0.0, low
    before = distinct[low:high].astype(np.float64)  # an edge right before a value, or right behind it
    edges = np.concatenate([before, before + 1])
    at = np.concatenate([np.arange(low, high), np.arange(low + 1, high + 1)])
    good = (edges > ends[0]) & (edges < ends[1])
    edges, at = edges[good], at[good]
    if not len(edges):
        return 0.0, 0.0, low
    first, second = heads[at] - heads[low], heads[high] - heads[at]
    wide = edges - ends[0], ends[1] - edges
    gain = first * np.log2(np.maximum(first, 0.3) / wide[0]) + second * np.log2(np.maximum(second, 0.3) / wide[1])
    best = int(np.argmax(gain))
    return float(gain[best] - n * np.log2(n / (ends[1] - ends[0]))), float(edges[best]), int(at[best])


def _fitted_edges(values: np.ndarray) -> np.ndarray:
    """Edges found one after another, each where it saves most, while it saves more than it costs."""
    distinct, counts = np.unique(values, return_counts=True)
    heads = np.concatenate([[0], np.cumsum(counts)]).astype(np.float64)
    parts = [(0, len(distinct), (float(distinct[0]), float(distinct[-1]) + 1))]
    splits = [_split(distinct, heads, *parts[0])]
    edges = [int(distinct[0]), int(distinct[-1]) + 1]
    while len(edges) < _MOST_BINS:
        best = max(range(len(parts)), key=lambda i: splits[i][0])
        gain, edge, at = splits[best]
        if gain < _EDGE_BITS:
            break
        low, high, ends = parts[best]
        parts[best : best + 1] = [(low, at, (ends[0], edge)), (at, high, (edge, ends[1]))]
        splits[best : best + 1] = [_split(distinct, heads, *p) for p in parts[best : best + 2]]
        edges.append(int(edge))
    return np.unique(np.array(edges, dtype=np.int64))


def bins_cost(bins: Bins, values: np.ndarray) -> float:
    """Bits of the values by the bins' overall counts and even places inside."""
    symbols = bins.symbols(values)
    counts = np.bincount(symbols, minlength=bins.n_symbols)
    some = counts[counts > 0]
    bits = float((some * np.log2(counts.sum() / some)).sum())
    widths = np.concatenate([[1 << 20], bins.widths, [1 << 20]]).astype(np.float64)
    return bits + float((counts * np.log2(np.maximum(widths, 1))).sum()) + 4.0 * len(some)


def propose_bins(
    values: np.ndarray, *, category: bool, centred: bool, reach: tuple[int, int] | None = None
) -> tuple[Bins, float]:
    """Bins for these values, and their cost in bits, of naming the bins included; `reach` widens a range of them."""
    low, high = int(values.min()), int(values.max())
    if reach is not None and not centred:
        low, high = min(low, reach[0]), max(high, reach[1])
    if category or high - low < _DIRECT:
        bins = Bins("range", (low, min(high, low + 4 * _DIRECT)))
        return bins, bins_cost(bins, values) + 16
    inside = np.clip(values, -_FAR, _FAR)
    choices = [(Bins("listed", tuple(int(e) for e in _fitted_edges(inside))), _EDGE_BITS)]
    if centred:
        usual = float(np.median(np.abs(inside.astype(np.float64)))) + 0.3
        sizes = {max(1, int(16 * usual * factor)) for factor in (0.35, 0.6, 1.0, 1.6)}
        choices += [(Bins("scaled", (size,)), 0.0) for size in sorted(sizes)]
        for first in (2, max(2, int(usual / 16))):
            turns = 2 * max(2, int(np.log2(max(float(np.abs(inside).max()), 2.0) / first)) + 1)
            choices.append((Bins("doubling", (first, min(turns, 58))), 0.0))
    costs = [bins_cost(bins, values) + each * bins.n_symbols for bins, each in choices]
    best = int(np.argmin(costs))
    return choices[best][0], costs[best]


def propose_ways(values: np.ndarray) -> tuple[Bins, float]:
    """Bins for ways to the nearest known value, which are of all sizes: two for each power of two."""
    top = max(4.0, float(np.abs(values.astype(np.float64)).max()))
    bins = Bins("doubling", (2, min(58, 2 * int(np.log2(top)) + 1)))
    return bins, bins_cost(bins, values)


def _design(sheet: Sheet, column: int, columns: tuple[int, ...], guard: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the target and the inputs of a forecast over all rows that have them."""
    targets, inputs = [], []
    for step in walk(sheet.values.shape[1], between=guard > -2):
        if guard > -2 and not step.level:
            continue
        base = None
        here = sheet.values[column, step.rows].astype(np.float64)
        if guard > -2:
            own = None if guard < 0 else sheet.values[guard]
            base = middle(sheet.values[column], step, own, int(np.median(sheet.values[column])))
            here = here - base / 2
        targets.append(here)
        given = inputs_of(sheet, column, step, columns, base)
        inputs.append(np.array(given, dtype=np.float64).reshape(len(given), len(here)))
    if not targets:
        return np.zeros(0), np.zeros((0, 0))
    return np.concatenate(targets), np.concatenate(inputs, axis=1)


def _select(inputs: np.ndarray, target: np.ndarray) -> list[int]:
    """Return inputs worth their bits in a least-squares sum, found one after another by sweeping cross products."""
    n = len(target)
    both = np.vstack([inputs, target])
    both = both - both.mean(axis=1, keepdims=True)
    scale = np.sqrt((both**2).mean(axis=1))
    scale[scale == 0] = 1
    both /= scale[:, None]
    cross = both @ both.T / n
    start = np.diag(cross).copy()
    chosen: list[int] = []
    while len(chosen) < min(_MOST_FACTORS, len(inputs)):
        own, left = np.diag(cross)[:-1], max(cross[-1, -1], 1e-12)
        usable = own > 1e-7 * np.maximum(start[:-1], 1e-30)
        usable[chosen] = False
        if not usable.any():
            break
        drop = np.where(usable, cross[:-1, -1] ** 2 / np.where(usable, own, 1), 0)
        best = int(np.argmax(drop))
        after = max(left - drop[best], 1e-12)
        if 0.5 * n * np.log2(left / after) < _FACTOR_BITS or left <= 1e-12:
            break
        chosen.append(best)
        cross = cross - np.outer(cross[:, best], cross[best]) / cross[best, best]
    return chosen


def _solve(inputs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Factors and an intercept that make absolute errors small."""
    design = np.vstack([inputs, np.ones(len(target))]).T
    scale = np.maximum(np.sqrt((design**2).mean(axis=0)), 1e-9)
    design = design / scale
    factors = np.zeros(design.shape[1])
    weight = np.ones(len(target))
    for _ in range(8):
        heavy = design * weight[:, None]
        ridge = 1e-9 * len(target) * np.eye(design.shape[1])
        factors = np.linalg.solve(heavy.T @ design + ridge, heavy.T @ target)
        off = np.abs(target - design @ factors)
        weight = 1 / np.maximum(off, 0.25 * off.mean() + 0.05)
        weight *= len(weight) / weight.sum()
    return factors / scale


def propose_forecast(
    sheet: Sheet, column: int, columns: list[int], *, guard: int, linear: bool, most: int = 700
) -> Forecast | None:
    """Return a forecast of the column from earlier ones (guard −2), or from neighbouring rows (−1, or a guard)."""
    own = sheet.values[column]
    low, high = int(own.min()), int(own.max())
    if len(own) < 8 or not -(1 << 40) < low <= high < 1 << 40:
        return None
    if guard > -2 and not linear:
        # Halfway between two values is never far out.
        return Forecast((), (), int(np.median(own)) * _ONE, guard, -SAFE, SAFE)
    usable = [i for i in columns if np.ptp(np.clip(sheet.values[i], -(1 << 40), 1 << 40)) > 0][-most:]
    target, inputs = _design(sheet, column, tuple(usable), guard)
    if not len(target) or not len(inputs):
        return None
    chosen = sorted(_select(inputs, target))
    if not chosen:
        return None
    if guard > -2 and len(usable) not in chosen:
        chosen.append(len(usable))
    factors = _solve(inputs[chosen], target)
    whole = np.rint(factors * _ONE)
    if not np.isfinite(whole).all() or np.abs(whole).max() > 1 << 50 or np.abs(whole[:-1]).max() > 1 << 22:
        return None
    intercept = int(np.median(own)) * _ONE if guard > -2 else int(whole[-1])
    names = tuple(usable[i] for i in chosen if i < len(usable))
    off = np.median(np.abs(target - factors[:-1] @ inputs[chosen] - factors[-1]))
    if off < (high - low) / _TIGHT:
        # A law this good holds for later rows too, beyond the values of these.
        low, high = -SAFE, SAFE
    return Forecast(names, tuple(int(f) for f in whole[:-1]), intercept, guard, low, high)
