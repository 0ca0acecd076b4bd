"""Conclusions of a lab, as data: comparisons of its entries, each of which chooses a sentence and fills it in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from narrows.labs.results import Entry, Measure

__all__ = ["Compare", "Comparison", "Conclusion", "compare"]

SAME = 0.01
"""Values closer than one per cent count as the same."""


@dataclass(frozen=True)
class Comparison:
    """How one value stands to another.

    Attributes
    ----------
    one, other : float
        The values.
    order : {1, 0, -1}
        Whether the first is better, the two are not to be distinguished, or it is worse.
    error : float or None
        Standard error of the difference, twice which decides; None where one per cent does.
    """

    one: float
    other: float
    order: int
    error: float | None = None

    @property
    def ratio(self) -> float:
        """The larger value divided by the smaller one."""
        low, high = sorted((self.one, self.other))
        return high / low if low > 0 else float("inf")

    @property
    def change(self) -> float:
        """By which fraction of the second value the first differs from it."""
        return abs(self.one / (self.other or 1.0) - 1)

    @property
    def relation(self) -> str:
        """Key of the words for it."""
        if self.error is not None:
            return {1: "better", 0: "same", -1: "worse"}[self.order]
        if not self.order:
            return "equal"
        return ("times_" if self.ratio >= 2 else "") + ("below" if self.one < self.other else "above")


def compare(one: Entry, other: Entry, measure: str, better: int) -> Comparison:
    """Compare two entries by a measure, of which higher (1) or lower (-1) values are better."""
    difference = better * float(one[measure] - other[measure])
    error = _difference_error(one, other, measure)
    limit = SAME * max(abs(one[measure]), abs(other[measure])) if error is None else 2 * error
    return Comparison(one[measure], other[measure], int(np.sign(difference)) * (abs(difference) > limit), error)


def _difference_error(one: Entry, other: Entry, measure: str) -> float | None:
    """Return the standard error of a difference, from pairs, bootstrap samples or both standard errors."""
    if measure in one.samples and measure in other.samples:
        pairs = one.samples[measure] - other.samples[measure]
        return float(pairs.std(ddof=1)) / len(pairs) ** 0.5 if len(pairs) > 1 else 0.0
    if measure in one.resamples and measure in other.resamples:
        return float((one.resamples[measure] - other.resamples[measure]).std())
    first, second = (entry.values.get(f"{measure}_error") for entry in (one, other))
    return None if first is None or second is None else float(np.hypot(first, second))


@dataclass(frozen=True)
class Conclusion:
    """A sentence as data: which one, with which ending, and the values of its fields.

    Attributes
    ----------
    key : str
        Of the sentence.
    order : {1, 0, -1}
        Chooses the ending.
    values : dict
        The facts of a result, its entries by key (``{pca[test_mse]:.4f}``), and of a comparison ``one``, ``other``,
        ``other_name``, ``difference``, ``error``, ``relation``, ``relation_to_<key>`` for each of the others, and
        ``ranking``: all entries of the measure, the best first.
    """

    key: str
    order: int
    values: dict[str, Any]


@dataclass(frozen=True)
class Compare:
    """A line in a lab's list of comparisons.

    Attributes
    ----------
    key : str
        Of the sentence.
    compared : tuple of str
        Keys of entries: the first is compared with the second, which decides, and with the rest; ``"*"`` is the best
        of all others.
    measure : str
        By which measure.
    order, when : str
        A fact of the result that decides instead, and one without which nothing is said.
    """

    key: str
    compared: tuple[str, ...] = ()
    measure: str = ""
    order: str = ""
    when: str = ""

    def conclude(
        self, facts: Mapping[str, Any], entries: Sequence[Entry], measures: Mapping[str, Measure]
    ) -> Conclusion | None:
        """Return the conclusion for a result, or None where there is nothing to say."""
        if self.when and not facts.get(self.when):
            return None
        by_key = {entry.key: entry for entry in entries}
        values: dict[str, Any] = {**facts, **by_key}
        order = 0
        if self.measure:
            measure, better = measures[self.measure], measures[self.measure].better
            known = (entry for entry in entries if self.measure in entry.values)
            ranked = sorted(known, key=lambda entry: -better * entry[self.measure])
            values["ranking"] = ", ".join(f"{entry.name} {entry.cell(measure)}" for entry in ranked)
        if self.compared:
            key, *keys = self.compared
            best = next(entry for entry in ranked if entry.key != key)
            others = [best if other == "*" else by_key[other] for other in keys]
            found = [compare(by_key[key], other, self.measure, better) for other in others]
            first, order = found[0], found[0].order
            values |= {f"relation_to_{other.key}": words for other, words in zip(others, found, strict=True)}
            values |= {"one": first.one, "other": first.other, "difference": first.one - first.other}
            values |= {"error": first.error, "relation": first, "other_name": others[0].name}
        return Conclusion(self.key, facts[self.order] if self.order else order, values)
