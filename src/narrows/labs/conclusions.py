"""What a lab measures, and its conclusions as data: comparisons of entries, each of which chooses a sentence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

__all__ = ["Compare", "Comparison", "Conclusion", "Entry", "Measure", "Sentences", "compare", "proportion_error"]

SAME = 0.01
"""Values closer than one per cent count as the same."""


@dataclass(frozen=True)
class Measure:
    """What is measured, a column of a table.

    A cell is a template over the values of an entry, ``"{rmse:.3f} ± {rmse_error:.3f}"``; higher (1) or lower (-1)
    values are ``better``, or neither (0), and a table may ``mark`` the best.
    """

    cell: str
    better: int = 0
    mark: bool = True


@dataclass(frozen=True)
class Entry:
    """One way of doing what a lab is about, and what was measured of it, by the key of a measure.

    ``<measure>_error`` among the values is a standard error. Samples are what a measure is the mean of, a value a row,
    a user or a task, in the same order for every entry.
    """

    key: str
    name: str
    values: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, np.ndarray] = field(default_factory=dict, compare=False, repr=False)
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


@dataclass(frozen=True)
class Comparison:
    """How one value stands to another: better (1), not to be distinguished (0), or worse (-1).

    Twice the standard error of the difference decides, or one per cent where there is none.
    """

    one: float
    other: float
    order: int
    error: float | None = None

    @property
    def ratio(self) -> float:
        """The larger value by the smaller one."""
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
    """Return the standard error of a difference, from pairs or both standard errors."""
    if measure in one.samples and measure in other.samples:
        pairs = one.samples[measure] - other.samples[measure]
        return float(pairs.std(ddof=1)) / len(pairs) ** 0.5 if len(pairs) > 1 else 0.0
    first, second = (entry.values.get(f"{measure}_error") for entry in (one, other))
    return None if first is None or second is None else float(np.hypot(first, second))


@dataclass(frozen=True)
class Conclusion:
    """A sentence as data: its key, the order that chooses its ending, and the values and comparisons in its fields."""

    key: str
    order: int
    values: dict[str, Any]
    comparisons: dict[str, Comparison] = field(default_factory=dict)


@dataclass(frozen=True)
class Compare:
    """A line in a lab's list of comparisons: the first entry with the second, which decides, and with the rest.

    ``"*"`` is the best of all other entries; a fact may decide instead (``order``), or must hold (``when``). The
    sentence may name the facts of a result and its entries (``{pca[test_mse]:.4f}``), ``{ranking}`` (all entries of the
    measure, the best first), and of the comparison ``{one}``, ``{other}``, ``{other_name}``, ``{difference}``,
    ``{error}``, ``{relation}`` and, for each of the others, ``{relation_to_<key>}``.
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
        if self.when and not facts[self.when]:
            return None
        by_key = {entry.key: entry for entry in entries}
        values: dict[str, Any] = {**facts, **by_key}
        relations, order = {}, 0
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
            relations = {f"relation_to_{other.key}": relation for other, relation in zip(others, found, strict=True)}
            first = relations["relation"] = found[0]
            values |= {"one": first.one, "other": first.other, "other_name": others[0].name}
            values |= {"difference": first.one - first.other, "error": first.error}
            order = first.order
        return Conclusion(self.key, facts[self.order] if self.order else order, values, relations)


@cache
def _read(name: str, language: str) -> dict[str, Any]:
    file = resources.files("narrows.labs") / "sentences" / f"{name}.{language}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


class Sentences(dict[str, Any]):
    """The words of a lab in one language, those of ``sentences/<lab>.<language>.json`` and ``common.<language>.json``.

    A file of another language has all keys of the English one.
    """

    def __init__(self, lab: str, language: str = "en") -> None:
        super().__init__(_read("common", language) | _read(lab, language))

    def conclusion(self, conclusion: Conclusion) -> str:
        """Return a conclusion as a sentence, with the ending for its order; comparisons in it become words."""
        templates, values = self["conclusions"][conclusion.key], dict(conclusion.values)
        for name, found in conclusion.comparisons.items():
            values[name] = self["relations"][found.relation].format(ratio=found.ratio, change=found.change)
        ending = templates.get({1: "better", 0: "same", -1: "worse"}[conclusion.order], ".")
        return (templates["text"] + ending).format_map(values)
