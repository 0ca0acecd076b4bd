"""What a lab measures: entries with their values, the measures they are of, and tables of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from narrows.report.html import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np

__all__ = ["Entry", "Measure", "proportion_error", "table_of"]


@dataclass(frozen=True)
class Measure:
    """What is measured, a column of a table.

    Attributes
    ----------
    cell : str
        How a cell is written: a template over the values of an entry, ``"{rmse:.3f} ± {rmse_error:.3f}"``.
    better : {1, -1, 0}, default 0
        Whether higher or lower values are better; 0 where neither is.
    mark : bool, default True
        Whether a table marks the best.
    """

    cell: str
    better: int = 0
    mark: bool = True


@dataclass(frozen=True)
class Entry:
    """One way of doing what a lab is about, and what was measured of it.

    Attributes
    ----------
    key, name : str
        A key, and a short name for people.
    values : dict
        Measures by key. ``<measure>_error`` is the standard error of a measure, where it has one.
    samples : dict of ndarray
        What a measure is the mean of, where entries are compared pair by pair: a value a row, a user or a task.
    resamples : dict of ndarray
        A measure on the same bootstrap samples of the test rows for every entry.
    seconds : float or None
        Time of the fit. Does not count when results are compared.
    """

    key: str
    name: str
    values: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)
    resamples: dict[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)
    seconds: float | None = field(default=None, compare=False)

    def __getitem__(self, measure: str) -> Any:
        """Return the value of a measure."""
        return self.seconds if measure == "seconds" else self.values[measure]

    def cell(self, measure: Measure) -> str:
        """Return a measure as the text of a cell, empty where it was not measured."""
        try:
            return measure.cell.format_map(self.values | {"seconds": self.seconds})
        except (KeyError, TypeError):
            return ""


def proportion_error(value: float, n: int) -> float:
    """Return the standard error of a proportion among n."""
    return float((value * (1 - value) / n) ** 0.5)


def table_of(
    entries: Iterable[Entry],
    measures: Mapping[str, Measure],
    columns: Sequence[str],
    headings: Mapping[str, str],
    head: str,
) -> Table:
    """Return a table with a row for each entry that has any of the measures; the best of each column is marked."""
    rows = [entry for entry in entries if any(entry.cell(measures[key]) for key in columns if key != "seconds")]
    best: list[int | None] = [None]
    for column in columns:
        better = measures[column].better
        ranked = [(better * row[column], -number) for number, row in enumerate(rows) if column in row.values]
        best.append(-max(ranked)[1] if better and ranked and measures[column].mark else None)
    cells = tuple((row.name, *(row.cell(measures[column]) for column in columns)) for row in rows)
    return Table((head, *(headings[column] for column in columns)), cells, tuple(best))
