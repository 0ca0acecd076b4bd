"""The engine of all labs: it fits one system after another, measures each, and keeps what was found.

A lab is data, systems (a name and how to fit), measures, the parts of a page, and comparisons. Its words are elsewhere,
in ``sentences/``.
"""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from narrows.errors import DataError, NotBetterThanBaselineWarning, PosteriorCollapseWarning
from narrows.labs.conclusions import Entry, Sentences
from narrows.report.html import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from narrows.labs.conclusions import Compare, Conclusion, Measure

__all__ = ["Lab", "LabResult", "Part", "Progress", "System", "fit"]

Progress = Callable[[str, str], None]
"""Receives what is being done: a stage, and how far it is (may be empty)."""


@dataclass(frozen=True)
class System:
    """One way of doing what a lab is about: a key, and what fits it and returns what was fitted."""

    key: str
    fit: Callable[[], Any]


@dataclass(frozen=True)
class Part:
    """A part of a lab's page, with the heading, text and caption of its key.

    It shows a table of the entries that have any of some measures (``columns``), or another table, and a figure drawn
    in a theme; with neither rows nor a figure it is left out.
    """

    key: str
    columns: tuple[str, ...] = ()
    table: Callable[[LabResult], Table] | None = None
    figure: Callable[[LabResult, str], Figure] | None = None


class Lab(ABC):
    """An exercise. A subclass states what it is made of, and the engine runs it.

    Attributes
    ----------
    name, prose : str
        The lab's name, and that of its sentences.
    datasets : tuple of str
        Data sets to choose from, the default first; empty where there is no choice.
    measures, parts, comparisons
        What is measured, shown and said.
    needs_pandas : bool
        Whether it makes frames.
    facts, artifacts : dict
        Numbers that belong to no system, and what the page shows, both filled while the lab runs.
    sources : tuple of str
        Licences and citations of the data.
    """

    name: ClassVar[str]
    prose: ClassVar[str]
    datasets: ClassVar[tuple[str, ...]] = ()
    measures: ClassVar[Mapping[str, Measure]]
    parts: ClassVar[tuple[Part, ...]]
    comparisons: ClassVar[tuple[Compare, ...]]
    needs_pandas: ClassVar[bool] = False

    def __init__(self, seed: int, progress: Progress) -> None:
        self.seed, self.progress, self._stage = seed, progress, ""
        self.facts: dict[str, Any] = {"seed": seed}
        self.artifacts: dict[str, Any] = {}
        self.sources: tuple[str, ...] = ()
        self.entries: dict[str, Entry] = {}
        self.seconds: dict[str, float] = {}

    @classmethod
    def sentences(cls, language: str = "en") -> Sentences:
        """Return the words of the lab in a language."""
        return Sentences(cls.prose, language)

    @abstractmethod
    def prepare(self) -> None:
        """Load the data and check the options, which a subclass adds as keyword parameters."""

    @abstractmethod
    def systems(self) -> Iterable[System]:
        """Return what is fitted, in order."""

    @abstractmethod
    def measure(self, key: str, fitted: Any) -> None:
        """Measure a system on the test data, and :meth:`record` what was found."""

    def finish(self) -> None:  # noqa: B027
        """Derive what needs all systems."""

    def tell(self, detail: str) -> None:
        """Say how far a fit is."""
        self.progress(self._stage, detail)

    def record(self, key: str, values: Mapping[str, Any]) -> Entry:
        """Add values to the entry of a key, which is made where there is none; what is NaN counts as not measured."""
        if key not in self.entries:
            self.entries[key] = Entry(key, self._name(key), seconds=self.seconds.get(key))
        self.entries[key].values.update({name: value for name, value in values.items() if value == value})
        return self.entries[key]

    def _name(self, key: str) -> str:
        name: str = self.sentences()["names"][key].format_map(self.facts)
        return name

    def run(self, **options: Any) -> LabResult:
        """Run the lab; see :func:`narrows.labs.run_lab`."""
        if self.needs_pandas and find_spec("pandas") is None:
            raise DataError(f"The lab {self.name} needs pandas: pip install 'narrows[frames]'.")
        self.progress("loading the data", "")
        self.prepare(**options)
        systems, told = tuple(self.systems()), {}
        for number, system in enumerate(systems, 1):
            self._stage = f"{number} of {len(systems)}: {self._name(system.key)}"
            self.tell("")
            began = time.perf_counter()
            with _collect_warnings() as caught:
                fitted = system.fit()
            self.seconds[system.key] = self.seconds.get(system.key, 0.0) + time.perf_counter() - began
            if caught:
                told[self._name(system.key)] = "; ".join(caught)
            self.tell("measuring")
            self.measure(system.key, fitted)
        self.progress("comparing", "")
        self.finish()
        entries, words = tuple(self.entries.values()), self.sentences()
        described = (f"{self._name(key)}: {text}." for key, text in words["descriptions"].items())
        notes = (*described, *words["notes_by_data"].get(self.facts.get("data"), ()), *words["notes"])
        filled = tuple(note.format_map(self.facts) for note in notes)
        lab = type(self)
        return LabResult(lab, self.seed, self.facts, entries, self.seconds, told, filled, self.sources, self.artifacts)


@contextmanager
def _collect_warnings() -> Iterator[list[str]]:
    """Collect what narrows warns of, that a model is no better than a trivial answer; give other warnings."""
    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield told
    for item in caught:
        if issubclass(item.category, (NotBetterThanBaselineWarning, PosteriorCollapseWarning)):
            told.append(str(item.message))
        else:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)


def fit(model: Any, rows: np.ndarray, labels: np.ndarray | None = None, *, tell: Callable[[str], Any] = str) -> Any:
    """Fit a network of narrows, tell its progress by epochs, and pass an interruption on."""

    def after_epoch(record: dict[str, Any]) -> None:
        tell(f"epoch {record['epoch']:.3g}, loss {record.get('val_loss', record.get('loss')):.4g}")

    model.set_params(callbacks=(after_epoch,)).fit(rows, labels).set_params(callbacks=())
    if model.stopped_ == "interrupted":
        raise KeyboardInterrupt
    return model


@dataclass(frozen=True)
class LabResult:
    """A lab that has been run. Two results are equal when all but their times is.

    Attributes
    ----------
    lab : type
        What was run.
    seed : int
        What everything random came from.
    facts : dict
        Sizes and other numbers that belong to no entry, lists of films and the like.
    entries : tuple of Entry
        All systems and simple answers, and what was measured of them.
    seconds : dict of float
        Time of each fit. Does not count when results are compared.
    warnings : dict of str
        What fits warned of, by the name of their system.
    notes, sources : tuple of str
        How it was done, and the licences and citations of the data.
    artifacts : dict
        Fitted models and arrays that the page shows.
    """

    lab: type[Lab] = field(repr=False)
    seed: int
    facts: dict[str, Any]
    entries: tuple[Entry, ...]
    seconds: dict[str, float] = field(compare=False)
    warnings: dict[str, str]
    notes: tuple[str, ...]
    sources: tuple[str, ...]
    artifacts: dict[str, Any] = field(repr=False, compare=False)

    def __getitem__(self, key: str) -> Entry:
        """Return the entry of this key."""
        return next(entry for entry in self.entries if entry.key == key)

    def fill(self, template: str) -> str:
        """Return a template filled in with the facts and the entries."""
        return template.format_map({**self.facts, **{entry.key: entry for entry in self.entries}})

    def text(self, key: str) -> str:
        """Return a sentence of the lab, filled in."""
        return self.fill(self.lab.sentences()[key])

    def conclude(self) -> list[Conclusion]:
        """Return the conclusions as data, in no language."""
        found = (line.conclude(self.facts, self.entries, self.lab.measures) for line in self.lab.comparisons)
        return [conclusion for conclusion in found if conclusion is not None]

    @property
    def conclusions(self) -> tuple[str, ...]:
        """What the numbers say, a sentence or two each."""
        words = self.lab.sentences()
        warned = (words["warned"].format(name=name, text=text) for name, text in self.warnings.items())
        return (*map(words.conclusion, self.conclude()), *warned)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as dictionaries, lists, text and numbers, ready for JSON, without the artifacts."""
        entries = [{"key": one.key, "name": one.name, **one.values, "seconds": one.seconds} for one in self.entries]
        plain = {"name": self.lab.name, "seed": self.seed, "facts": self.facts, "entries": entries}
        plain |= {"seconds": self.seconds, "warnings": self.warnings, "conclusions": list(self.conclusions)}
        return plain | {"notes": list(self.notes), "sources": list(self.sources)}
