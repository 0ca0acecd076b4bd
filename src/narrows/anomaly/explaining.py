"""Which columns make a row strange, and what was expected in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from narrows.errors import NarrowsError

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.anomaly.rebuilding import Rebuilder
    from narrows.data.categories import FrameColumns
    from narrows.data.rows import Rows

__all__ = ["Explainer", "Explanation", "expected_values"]

DEPTH = 5
"""Columns that are taken for unknown one after the other."""

FLOOR = 2.5e-3
"""Added to what is usual, in squared standard deviations: a column that is always foretold exactly has a scale, too."""

LEAST_CHANCE = 1e-4

VALUES_AT_ONCE = 1 << 23

EXAMPLE_VALUES, FEWEST_EXAMPLES = 1 << 27, 20

GROUPS, PARTINGS = 3, 4
"""Into how many groups columns are parted, of which one is hidden at a time, and how often."""


@dataclass(frozen=True)
class Explanation:
    """Of each row its columns, those to blame first.

    Attributes
    ----------
    order : ndarray of int, shape (n, n_columns)
        The columns' numbers.
    surprise : ndarray of float64, shape (n, n_columns)
        Of each column, in its own place: 2 is usual. At most that of the columns before it in the order.
    expected : Tensor of float32, shape (n, n_values)
        What was expected of each value, in the network's units, where the columns before it in the order are unknown.
    """

    order: np.ndarray
    surprise: np.ndarray
    expected: Tensor


@dataclass(frozen=True)
class Explainer:
    """What is usual in each column of a table.

    A column's surprise is the sum of two parts, each over what is usual: how far the value is from what the
    autoencoder makes of the row without it, and how far from the column's mean. Of a category they are twice minus the
    logarithm of its chance, which for normal noise the squares are, too.

    Attributes
    ----------
    rebuilder : Rebuilder
        The scales and the autoencoder.
    form : FrameColumns or None
        How the columns of a frame became numbers.
    names : list of str
        The names of the columns.
    parts : list of slice
        Where the values of each column are.
    usual : Tensor of float64, shape (2, n_columns)
        What both parts of the surprise are divided by.
    """

    rebuilder: Rebuilder
    form: FrameColumns | None
    names: list[str]
    parts: list[slice]
    usual: Tensor

    @classmethod
    def learn(cls, rebuilder: Rebuilder, form: FrameColumns | None, names: list[str]) -> Explainer:
        """Measure what is usual on the rows that a rebuilder keeps for examples."""
        parts = _parts(rebuilder.columns.n_numbers, form, len(names))
        start = cls(rebuilder, form, names, parts, torch.ones((2, len(parts)), dtype=torch.float64))
        # Every value of every example is foretold: of wide tables fewer examples do.
        n_values = rebuilder.examples.shape[1]
        count = max(FEWEST_EXAMPLES, EXAMPLE_VALUES // n_values**2)
        examples = rebuilder.examples[:: max(1, len(rebuilder.examples) // count)]
        unknown = torch.zeros((len(examples), len(parts)), dtype=torch.bool)
        costs = start.costs(examples, start.expected(examples, unknown))
        # Between the mean and what one row in a hundred has: columns with heavy tails surprise less often.
        usual = (costs.mean(1) * costs.quantile(0.99, 1)).sqrt() + FLOOR
        return cls(rebuilder, form, names, parts, usual)

    def expected(self, units: Tensor, unknown: Tensor) -> Tensor:
        """Return what is expected of each column, given the others.

        Parameters
        ----------
        units : Tensor of float32, shape (n, n_values)
            Rows in the network's units.
        unknown : Tensor of bool, shape (n, n_columns)
            Columns that are not to be looked at either.
        """
        n_columns, base = len(self.parts), self.rebuilder.columns.base
        of_value = torch.empty(units.shape[1], dtype=torch.int64)
        for number, part in enumerate(self.parts):
            of_value[part] = number
        found = torch.empty_like(units)
        step = max(1, VALUES_AT_ONCE // (n_columns * units.shape[1]))
        for start in range(0, len(units), step):
            some = slice(start, start + step)
            count = len(units[some])
            hidden = unknown[some].unsqueeze(1) | torch.eye(n_columns, dtype=torch.bool)
            rows = torch.where(hidden[:, :, of_value], base, units[some].unsqueeze(1))
            rebuilt = self.rebuilder.rebuild(rows.reshape(count * n_columns, -1)).reshape(count, n_columns, -1)
            found[some] = rebuilt[:, of_value, torch.arange(units.shape[1])]
        return found

    def costs(self, units: Tensor, expected: Tensor) -> Tensor:
        """Return how far values are from what is expected and from the mean, (2, n, n_columns), both squared."""
        n_numbers, chances = self.rebuilder.columns.n_numbers, self.rebuilder.columns.chances
        costs = torch.empty((2, len(units), len(self.parts)), dtype=torch.float64)
        for number, part in enumerate(self.parts):
            seen = units[:, part].double()
            if part.start < n_numbers:
                costs[0, :, number] = (seen - expected[:, part]).square().sum(1)
                costs[1, :, number] = seen.square().sum(1)
                continue
            likely = (expected[:, part].double() * seen).sum(1).clamp(LEAST_CHANCE, 1.0)
            frequent = (chances[part.start - n_numbers : part.stop - n_numbers] * seen).sum(1)
            costs[0, :, number] = -2 * torch.log(likely)
            costs[1, :, number] = -2 * torch.log(frequent.clamp(LEAST_CHANCE, 1.0))
        return costs

    def explain(self, x: Tensor) -> Explanation:
        """Explain rows in the data's units, float64, shape (n, n_values)."""
        units = self.rebuilder.columns.units(x)
        gaps = torch.isnan(units)
        units = torch.where(gaps, self.rebuilder.columns.base, units)
        missing = torch.stack([gaps[:, part].any(1) for part in self.parts], 1)
        unknown, rows = missing.clone(), torch.arange(len(units))
        surprise = torch.zeros(missing.shape, dtype=torch.float64)
        expected = torch.empty_like(units)
        told, rank = torch.zeros_like(missing), torch.zeros(missing.shape, dtype=torch.float64)
        for step in range(DEPTH + 1):
            now = self.expected(units, unknown)
            values = (self.costs(units, now) / self.usual.unsqueeze(1)).sum(0)
            for number, part in enumerate(self.parts):
                # What is told of a column is what was expected when its turn came.
                left = ~told[:, number]
                expected[left, part] = now[left, part]
            surprise = torch.where(told | missing, surprise, values)
            if step < DEPTH:
                worst = torch.where(told | missing, -1.0, values).argmax(1)
                rank[rows, worst] = torch.where(told[rows, worst], rank[rows, worst], float(step))
                told[rows, worst] = True
                unknown[rows, worst] = True
        # First those that had their turn, in its order, then the others by their surprise, at the end what is missing.
        keys = torch.where(told, rank, DEPTH + torch.where(missing, 2.0, 1 / (1 + surprise)))
        order = keys.argsort(dim=1, stable=True)
        # None counts for more than those before it.
        capped = surprise.gather(1, order).cummin(1).values
        return Explanation(order.numpy(), torch.zeros_like(surprise).scatter(1, order, capped).numpy(), expected)

    def frame(self, x: Tensor, given: Any, top: int | None) -> Any:
        """Return a long table of what makes rows strange.

        Parameters
        ----------
        x : Tensor of float64, shape (n, n_values)
            The rows in the data's units.
        given : object
            What the user gave: of a frame the index is kept, and what its categories are called.
        top : int or None
            How many columns of each row.
        """
        try:
            import pandas as pd
        except ImportError:
            raise NarrowsError("explain needs pandas: pip install 'narrows[frames]'") from None
        told = self.explain(x)
        order = told.order[:, :top]
        rows = np.repeat(np.arange(len(x)), order.shape[1])
        columns = order.reshape(-1)
        index = list(given.index) if hasattr(given, "index") and hasattr(given, "columns") else list(range(len(x)))
        seen, expected = self._seen(x, given), self._expected(told.expected)
        total = np.maximum(told.surprise.sum(1, keepdims=True), 1e-30)
        return pd.DataFrame(
            {
                "row": [index[row] for row in rows],
                "column": [self.names[column] for column in columns],
                "seen": _picked(seen, rows, columns),
                "expected": _picked(expected, rows, columns),
                "share": (told.surprise / total)[rows, columns],
            }
        )

    def _seen(self, x: Tensor, given: Any) -> list[np.ndarray]:
        if self.form is None:
            return list(x.numpy().T)
        known = {str(name): name for name in given.columns}
        return [given[known[name]].to_numpy() for name in self.names]

    def _expected(self, expected: Tensor) -> list[np.ndarray]:
        n_numbers = self.rebuilder.columns.n_numbers
        numbers = self.rebuilder.columns.numbers(expected[:, :n_numbers])
        values = torch.cat([numbers, expected[:, n_numbers:].double()], 1).numpy()
        if self.form is None:
            return list(values.T)
        return [np.asarray(column) for column in self.form.decode(values).values()]


def expected_values(rebuilder: Rebuilder, form: FrameColumns | None, rows: Rows, names: list[str], given: Any) -> Any:
    """Return what each value of rows is expected to be, in the data's units, given others of its row.

    A third of the columns is hidden at a time, about as many as were wrong when the autoencoder learnt: of a row of
    which it knows more it overstates what goes together. Each value is the mean over partings by chance of what was
    made of it where it was hidden, in each column brought to the size that is right on average over rows of the fit.

    Parameters
    ----------
    rebuilder : Rebuilder
        The scales and the autoencoder.
    form : FrameColumns or None
        How the columns of a frame became numbers.
    rows : Rows
        In the data's units.
    names : list of str
        The names of the columns.
    given : object
        What the user gave: a frame with categories comes back as one of its kind.

    Returns
    -------
    ndarray of float64, shape (n, n_columns), or frame
    """
    columns, n_numbers = rebuilder.columns, rebuilder.columns.n_numbers
    groups = _groups(_parts(n_numbers, form, len(names)), len(columns.base))

    def hidden(units: Tensor) -> Tensor:
        total = torch.zeros_like(units)
        for group in groups:
            made = rebuilder.rebuild(torch.where(group, columns.base, units))
            total += torch.where(group, made, 0.0)
        return total / PARTINGS

    seen, made = rebuilder.examples[:, :n_numbers], hidden(rebuilder.examples)[:, :n_numbers]
    slope = ((made * seen).mean(0) / made.square().mean(0).clamp_min(1e-6)).clamp(0.0, 2.0)
    blocks = []
    for block in rows.blocks(1 << 14):
        units = columns.units(block.double())
        made = hidden(torch.where(torch.isnan(units), columns.base, units))
        numbers = columns.numbers(made[:, :n_numbers] * slope)
        blocks.append(torch.cat([numbers, made[:, n_numbers:].double()], 1))
    values = torch.cat(blocks).numpy()
    if form is None:
        return values
    named = form.decode(values)
    if hasattr(given, "schema"):
        import polars as pl

        return pl.DataFrame(named)
    import pandas as pd

    return pd.DataFrame(named, index=given.index)


def _groups(parts: list[slice], n_values: int) -> list[Tensor]:
    """Part the columns into groups, several times: which values are in each, every value once a parting."""
    generator, groups = np.random.default_rng(0), []
    for _ in range(PARTINGS):
        for chosen in np.array_split(generator.permutation(len(parts)), min(GROUPS, len(parts))):
            hidden = torch.zeros(n_values, dtype=torch.bool)
            for number in chosen:
                hidden[parts[number]] = True
            groups.append(hidden)
    return groups


def _parts(n_numbers: int, form: FrameColumns | None, n_columns: int) -> list[slice]:
    """Return where the values of each column are, in the order of the frame's columns."""
    if form is None:
        return [slice(number, number + 1) for number in range(n_columns)]
    parts, number, start, sizes = [], 0, n_numbers, iter(form.sizes)
    for known in form.levels:
        if known is None:
            parts.append(slice(number, number + 1))
            number += 1
        else:
            size = next(sizes)
            parts.append(slice(start, start + size))
            start += size
    return parts


def _picked(columns: list[np.ndarray], rows: np.ndarray, numbers: np.ndarray) -> Any:
    """Return one value of each row, as floats where all columns are numbers."""
    picked = [columns[number][row] for row, number in zip(rows, numbers, strict=True)]
    return picked if any(column.dtype.kind not in "iufb" for column in columns) else np.array(picked, dtype=np.float64)
