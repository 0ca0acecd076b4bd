"""Contexts: what is known of a cell of a table before it is coded, as small whole numbers known on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from narrows.codec.table.arithmetic import bit_length, signed_class
from narrows.codec.table.prediction import safe

if TYPE_CHECKING:
    from narrows.codec.table.block import BlockState
    from narrows.codec.table.order import Step

__all__ = ["KINDS", "OF_COLUMNS", "Context", "Feature", "cells_of", "feature_cells"]

OF_COLUMNS = ("symbol", "value")
KINDS = (*OF_COLUMNS, "predicted", "gap", "span", "copies")


@dataclass(frozen=True)
class Feature:
    """One thing known beforehand.

    Attributes
    ----------
    kind : str
        One of `KINDS`. Of an earlier column: its bin ("symbol"), a class of its value. Of the column itself: a class of
        what is predicted, of the gap between the known neighbours, of the distance of the
        bounds ("span"), and how many recent values there are to copy.
    column : int
        The earlier column it looks at, where it looks at one.
    edges : tuple of int
        For "value" and "predicted" the edges between classes; for "gap" and "span" the smallest power of two told
        apart.
    n_cells : int
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
