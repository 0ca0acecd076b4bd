"""Proposing bins and predictors for one column, from training rows.

All of this may use floats: only what it chooses, whole numbers, takes part in coding.
"""

import numpy as np

from narrows.codec.table.bins import Bins
from narrows.codec.table.prediction import SAFE, Linear, Midpoint, safe

__all__ = ["propose_bins", "propose_linear", "propose_midpoint", "propose_nearest_bins", "quantile_edges"]

_FAR = 1 << 60
_DIRECT = 56
_EDGE_BITS = 18.0
_MOST_BINS = 56
_FACTOR_BITS = 22.0
_MOST_FACTORS = 24
_MOST_INPUTS = 700
_ONE = 4096
_TIGHT = 32
"""A prediction whose usual error is such a part of the range of values is a law."""


def quantile_edges(values: np.ndarray, n_classes: int) -> tuple[int, ...]:
    """Edges between at most so many classes of about equal number."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) <= n_classes:
        return tuple(int(v) for v in distinct[1:])
    heads = np.cumsum(counts)[:-1] / len(values)
    found = np.searchsorted(heads, np.arange(1, n_classes) / n_classes) + 1
    return tuple(int(v) for v in distinct[np.unique(np.minimum(found, len(distinct) - 1))])


def _split(distinct: np.ndarray, heads: np.ndarray, low: int, high: int, ends: tuple[float, float]) -> tuple:
    """Return the best edge for bins over distinct[low:high] that lie between these ends: (gain in bits, edge, at)."""
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


def _fitted_edges(values: np.ndarray) -> tuple[int, ...]:
    """Edges found one after another, each where it saves most, while it saves more than it costs."""
    distinct, counts = np.unique(values, return_counts=True)
    heads = np.concatenate([[0], np.cumsum(counts)]).astype(np.float64)
    parts = [(0, len(distinct), (float(distinct[0]), float(distinct[-1]) + 1))]
    splits = [_split(distinct, heads, *parts[0])]
    edges = {int(distinct[0]), int(distinct[-1]) + 1}
    for _ in range(_MOST_BINS - 2):
        best = max(range(len(parts)), key=lambda i: splits[i][0])
        gain, edge, at = splits[best]
        if gain < _EDGE_BITS:
            break
        low, high, ends = parts[best]
        parts[best : best + 1] = [(low, at, (ends[0], edge)), (at, high, (edge, ends[1]))]
        splits[best : best + 1] = [_split(distinct, heads, *p) for p in parts[best : best + 2]]
        edges.add(int(edge))
    return tuple(sorted(edges))


def _cost(bins: Bins, values: np.ndarray) -> float:
    """Bits of the values by the bins' overall counts and uniform places inside."""
    counts = np.bincount(bins.symbols(values), minlength=bins.n_symbols)
    some = counts[counts > 0]
    bits = float((some * np.log2(counts.sum() / some)).sum())
    widths = np.concatenate([[1 << 20], bins.widths, [1 << 20]]).astype(np.float64)
    return bits + float((counts * np.log2(np.maximum(widths, 1))).sum()) + 4.0 * len(some)


def propose_bins(values: np.ndarray, *, category: bool, centred: bool) -> tuple[Bins, float]:
    """Bins for these values, and their cost in bits, of naming the bins included."""
    low, high = int(values.min()), int(values.max())
    if category or high - low < _DIRECT:
        bins = Bins("range", (low, min(high, low + 4 * _DIRECT)))
        return bins, _cost(bins, values) + 16
    inside = np.clip(values, -_FAR, _FAR)
    choices = [(Bins("listed", _fitted_edges(inside)), _EDGE_BITS)]
    if centred:
        usual = float(np.median(np.abs(inside.astype(np.float64)))) + 0.3
        sizes = {max(1, int(16 * usual * factor)) for factor in (0.35, 0.6, 1.0, 1.6)}
        choices += [(Bins("scaled", (size,)), 0.0) for size in sorted(sizes)]
        for first in (2, max(2, int(usual / 16))):
            turns = 2 * max(2, int(np.log2(max(float(np.abs(inside).max()), 2.0) / first)) + 1)
            choices.append((Bins("doubling", (first, min(turns, 58))), 0.0))
    costs = [_cost(bins, values) + each * bins.n_symbols for bins, each in choices]
    best = int(np.argmin(costs))
    return choices[best][0], costs[best]


def propose_nearest_bins(values: np.ndarray) -> tuple[Bins, float]:
    """Bins for ways to the nearest known value, which are of all sizes: two for each power of two."""
    top = max(4.0, float(np.abs(values.astype(np.float64)).max()))
    bins = Bins("doubling", (2, min(58, 2 * int(np.log2(top)) + 1)))
    return bins, _cost(bins, values)


def propose_midpoint(values: np.ndarray, column: int, *, group_key: int) -> Midpoint | None:
    """Return the midpoint of the neighbouring rows, which is never far out."""
    own = values[column]
    return Midpoint(int(np.median(own)), group_key) if _predictable(own) else None


def _predictable(own: np.ndarray) -> bool:
    return len(own) >= 8 and -SAFE < int(own.min()) <= int(own.max()) < SAFE


def propose_linear(values: np.ndarray, column: int, earlier: list[int]) -> Linear | None:
    """Return a linear prediction from earlier columns, where any of them helps."""
    usable = [i for i in earlier if np.ptp(safe(values[i])) > 0][-_MOST_INPUTS:]
    if not _predictable(values[column]) or not usable:
        return None
    target, inputs = values[column].astype(np.float64), safe(values[usable]).astype(np.float64)
    chosen = sorted(_select(inputs, target))
    if not chosen:
        return None
    factors = _least_absolute(inputs[chosen], target)
    whole = np.rint(factors * _ONE)
    if not np.isfinite(whole).all() or np.abs(whole).max() > 1 << 50 or np.abs(whole[:-1]).max() > 1 << 22:
        return None
    low, high = int(values[column].min()), int(values[column].max())
    if np.median(np.abs(target - factors[:-1] @ inputs[chosen] - factors[-1])) < (high - low) / _TIGHT:
        # A law this good holds for later rows too, beyond the values of these.
        low, high = -SAFE, SAFE
    return Linear(tuple(usable[i] for i in chosen), tuple(int(f) for f in whole[:-1]), int(whole[-1]), low, high)


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


def _least_absolute(inputs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Factors and an intercept that make absolute errors small, by reweighted least squares."""
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
