"""Which columns make a row anomalous, and what was expected in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from narrows.data.libraries import frame_of
from narrows.data.source import Source

if TYPE_CHECKING:
    from narrows.anomaly.denoiser import Denoiser
    from narrows.data.encoding import Encoding
    from narrows.data.rows import Rows

__all__ = ["Explainer", "expected_values"]

DEPTH = 5
"""Columns that are taken for unknown one after the other."""

FLOOR = 2.5e-3
"""Added to what is usual, in squared standard deviations: a column that is predicted exactly has a scale, too."""

LEAST_PROBABILITY = 1e-4

VALUES_AT_ONCE = 1 << 23

EXAMPLE_VALUES, FEWEST_EXAMPLES = 1 << 27, 20

GROUPS, PARTITIONS = 3, 4
"""Into how many groups columns are parted, of which one is hidden at a time, and how often."""


@dataclass(frozen=True)
class Explainer:
    """What is usual in each column of a table, and so how surprising a value is.

    A column's surprise is the sum of two parts, each over what is usual: how far the value is from what the
    autoencoder makes of the row without it, and how far from the column's mean. Of a category they are twice minus the
    logarithm of its probability, which for normal noise the squares are, too.
    """

    denoiser: Denoiser
    form: Encoding | None
    names: list[str]
    places: list[slice]  # where the values of each column are
    usual: Tensor  # (2, n_columns): what both parts of the surprise are divided by

    @classmethod
    def fit(cls, denoiser: Denoiser, form: Encoding | None, names: list[str]) -> Explainer:
        """Measure what is usual on the rows that a denoiser keeps for examples."""
        places = _places(denoiser.scaler.n_numbers, form, len(names))
        start = cls(denoiser, form, names, places, torch.ones((2, len(places)), dtype=torch.float64))
        # Every value of every example is predicted: of wide tables fewer examples do.
        n_values = denoiser.examples.shape[1]
        count = max(FEWEST_EXAMPLES, EXAMPLE_VALUES // n_values**2)
        examples = denoiser.examples[:: max(1, len(denoiser.examples) // count)]
        unknown = torch.zeros((len(examples), len(places)), dtype=torch.bool)
        costs = start._costs(examples, start._predict(examples, unknown))
        # Between the mean and what one row in a hundred has: columns with heavy tails surprise less often.
        usual = (costs.mean(1) * costs.quantile(0.99, 1)).sqrt() + FLOOR
        return cls(denoiser, form, names, places, usual)

    def _predict(self, z: Tensor, unknown: Tensor) -> Tensor:
        """Return what is expected of each column of rows in the network's units, given those that are not unknown."""
        n_columns = len(self.places)
        column_of = torch.empty(z.shape[1], dtype=torch.int64)
        for number, place in enumerate(self.places):
            column_of[place] = number
        predicted = torch.empty_like(z)
        step = max(1, VALUES_AT_ONCE // (n_columns * z.shape[1]))
        for start in range(0, len(z), step):
            some = slice(start, start + step)
            count = len(z[some])
            hidden = unknown[some].unsqueeze(1) | torch.eye(n_columns, dtype=torch.bool)
            rows = torch.where(hidden[:, :, column_of], self.denoiser.scaler.fill_values, z[some].unsqueeze(1))
            output = self.denoiser.reconstruct(rows.reshape(count * n_columns, -1)).reshape(count, n_columns, -1)
            predicted[some] = output[:, column_of, torch.arange(z.shape[1])]
        return predicted

    def _costs(self, z: Tensor, expected: Tensor) -> Tensor:
        """Return how far values are from what is expected and from the mean, (2, n, n_columns), both squared."""
        n_numbers, probabilities = self.denoiser.scaler.n_numbers, self.denoiser.scaler.probabilities
        costs = torch.empty((2, len(z), len(self.places)), dtype=torch.float64)
        for number, place in enumerate(self.places):
            seen = z[:, place].double()
            if place.start < n_numbers:
                costs[0, :, number] = (seen - expected[:, place]).square().sum(1)
                costs[1, :, number] = seen.square().sum(1)
                continue
            likely = (expected[:, place].double() * seen).sum(1).clamp(LEAST_PROBABILITY, 1.0)
            frequent = (probabilities[place.start - n_numbers : place.stop - n_numbers] * seen).sum(1)
            costs[0, :, number] = -2 * torch.log(likely)
            costs[1, :, number] = -2 * torch.log(frequent.clamp(LEAST_PROBABILITY, 1.0))
        return costs

    def _attribute(self, x: Tensor) -> tuple[np.ndarray, np.ndarray, Tensor]:
        """Explain rows in the data's units.

        Returns the columns of each row in the order of their attribution; of each column, in its own place, its
        surprise (2 is usual), at most that of the columns before it in the order; and what was expected of each value,
        in the network's units, where the columns before it in the order are unknown.
        """
        z = self.denoiser.scaler.transform(x)
        gaps = torch.isnan(z)
        z = torch.where(gaps, self.denoiser.scaler.fill_values, z)
        missing = torch.stack([gaps[:, place].any(1) for place in self.places], 1)
        unknown, rows = missing.clone(), torch.arange(len(z))
        surprise = torch.zeros(missing.shape, dtype=torch.float64)
        expected = torch.empty_like(z)
        done, rank = torch.zeros_like(missing), torch.zeros(missing.shape, dtype=torch.float64)
        for step in range(DEPTH + 1):
            predicted = self._predict(z, unknown)
            values = (self._costs(z, predicted) / self.usual.unsqueeze(1)).sum(0)
            for number, place in enumerate(self.places):
                # What is told of a column is what was expected when its turn came.
                left = ~done[:, number]
                expected[left, place] = predicted[left, place]
            surprise = torch.where(done | missing, surprise, values)
            if step < DEPTH:
                worst = torch.where(done | missing, -1.0, values).argmax(1)
                rank[rows, worst] = torch.where(done[rows, worst], rank[rows, worst], float(step))
                done[rows, worst] = True
                unknown[rows, worst] = True
        # First those that had their turn, in its order, then the others by their surprise, at the end what is missing.
        keys = torch.where(done, rank, DEPTH + torch.where(missing, 2.0, 1 / (1 + surprise)))
        order = keys.argsort(dim=1, stable=True)
        # None counts for more than those before it.
        capped = surprise.gather(1, order).cummin(1).values
        return order.numpy(), torch.zeros_like(surprise).scatter(1, order, capped).numpy(), expected

    def explain(self, x: Tensor, source: Source | None, top: int | None) -> Any:
        """Return a long table of what makes rows anomalous, of the first ``top`` columns of each.

        ``x`` are the rows in the data's units, ``source`` is the table that they are of: its index is kept, and what
        its values are called.
        """
        order, surprise, predicted = self._attribute(x)
        order = order[:, :top]
        rows = np.repeat(np.arange(len(x)), order.shape[1])
        columns = order.reshape(-1)
        own = None if source is None else source.origin.index
        index = list(range(len(x))) if own is None else list(own)
        if self.form is None or source is None or self.form.is_plain:
            seen = list(x.numpy().T)
        else:
            seen = [_values(column) for column in source.table(self.names).columns]
        values = _in_data_units(self.denoiser, predicted).numpy()
        plain = self.form is None or self.form.is_plain
        decoded = values.T if plain else map(_values, self.form.decode(values).columns)  # type: ignore[union-attr]
        total = np.maximum(surprise.sum(1, keepdims=True), 1e-30)
        return frame_of(
            {
                "row": [index[row] for row in rows],
                "column": [self.names[column] for column in columns],
                "seen": _picked(seen, rows, columns),
                "expected": _picked(list(decoded), rows, columns),
                "attribution": (surprise / total)[rows, columns],
            },
            "pandas",
        )


def _values(column: Any) -> np.ndarray:
    """Return an Arrow column's values as Python has them, numbers as numbers, moments as ISO 8601 writes them."""
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.string())
    return column.to_numpy() if column.null_count == 0 else np.array(column.to_pylist(), dtype=object)


def expected_values(denoiser: Denoiser, form: Encoding | None, rows: Rows, names: list[str]) -> np.ndarray:
    """Return what each value of rows is expected to be, in the data's units, given others of its row.

    A third of the columns is hidden at a time, about as many as were wrong when the autoencoder learnt: of a row of
    which it knows more it overstates what goes together. Each value is the mean over random partitions of what was made
    of it where it was hidden, in each column brought to the size that is right on average over rows of the fit.
    Categories (``form``) come as their probabilities.
    """
    scaler, n_numbers = denoiser.scaler, denoiser.scaler.n_numbers
    groups = _groups(_places(n_numbers, form, len(names)), len(scaler.fill_values))

    def hidden(z: Tensor) -> Tensor:
        total = torch.zeros_like(z)
        for group in groups:
            output = denoiser.reconstruct(torch.where(group, scaler.fill_values, z))
            total += torch.where(group, output, 0.0)
        return total / PARTITIONS

    seen, predicted = denoiser.examples[:, :n_numbers], hidden(denoiser.examples)[:, :n_numbers]
    slope = ((predicted * seen).mean(0) / predicted.square().mean(0).clamp_min(1e-6)).clamp(0.0, 2.0)
    blocks = []
    for block in rows.blocks(1 << 14):
        z = scaler.transform(block.double())
        predicted = hidden(torch.where(torch.isnan(z), scaler.fill_values, z))
        predicted[:, :n_numbers] *= slope
        blocks.append(_in_data_units(denoiser, predicted))
    return torch.cat(blocks).numpy()


def _in_data_units(denoiser: Denoiser, z: Tensor) -> Tensor:
    """Return rows in the network's units in the data's, float64; categories stay as they are."""
    n = denoiser.scaler.n_numbers
    return torch.cat([denoiser.scaler.inverse_transform(z[:, :n]), z[:, n:].double()], 1)


def _groups(places: list[slice], n_values: int) -> list[Tensor]:
    """Part the columns into groups, several times: which values are in each, every value once a partition."""
    generator, groups = np.random.default_rng(0), []
    for _ in range(PARTITIONS):
        for chosen in np.array_split(generator.permutation(len(places)), min(GROUPS, len(places))):
            hidden = torch.zeros(n_values, dtype=torch.bool)
            for number in chosen:
                hidden[places[number]] = True
            groups.append(hidden)
    return groups


def _places(n_numbers: int, form: Encoding | None, n_columns: int) -> list[slice]:
    """Return where the values of each column are, in the order of the frame's columns."""
    if form is None:
        return [slice(number, number + 1) for number in range(n_columns)]
    places, number, start, sizes = [], 0, n_numbers, iter(form.sizes)
    for levels in form.levels:
        if levels is None:
            places.append(slice(number, number + 1))
            number += 1
        else:
            size = next(sizes)
            places.append(slice(start, start + size))
            start += size
    return places


def _picked(columns: list[np.ndarray], rows: np.ndarray, numbers: np.ndarray) -> Any:
    """Return one value of each row, as floats where all columns are numbers."""
    picked = [columns[number][row] for row, number in zip(rows, numbers, strict=True)]
    return picked if any(column.dtype.kind not in "iufb" for column in columns) else np.array(picked, dtype=np.float64)
