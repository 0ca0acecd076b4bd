"""Frames with columns of text and categories: into numbers, a column for each category, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from narrows.errors import DataError, NarrowsError

__all__ = ["FrameColumns", "frame_of", "is_missing", "library_of"]

MOST_LEVELS = 200
"""A column of text with more different values than this holds names rather than categories."""


@dataclass(frozen=True)
class FrameColumns:
    """How the columns of a frame become numbers: first those of numbers, then a block for each of categories.

    Attributes
    ----------
    names : list of str
        The frame's columns, in their order.
    levels : list of (list or None)
        Of each column its categories, None for one of numbers or truth values.
    others : bool, default False
        Whether each block has a last column for categories that the fit has not seen; otherwise they are refused.
    """

    names: list[str]
    levels: list[list[Any] | None]
    others: bool = False

    @classmethod
    def learn(cls, X: Any, *, others: bool = False) -> FrameColumns | None:
        """Look at a frame; None for anything else, and for a frame that has numbers only."""
        if not _is_frame(X):
            return None
        names = [str(name) for name in X.columns]
        if twice := [name for number, name in enumerate(names) if name in names[:number]]:
            raise DataError(f"the frame has more than one column {twice[0]!r}")
        texts = [_is_text(X, name) for name in X.columns]
        if not any(texts):
            return None
        levels: list[list[Any] | None] = []
        for name, text in zip(X.columns, texts, strict=True):
            levels.append(_levels(X[name], str(name)) if text else None)
        return cls([str(name) for name in X.columns], levels, others)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers each column of categories becomes."""
        return tuple(len(known) + self.others for known in self.levels if known is not None)

    @property
    def n_numbers(self) -> int:
        """How many columns hold numbers."""
        return sum(known is None for known in self.levels)

    def encode(self, X: Any) -> np.ndarray:
        """Turn a frame into numbers."""
        if not _is_frame(X):
            raise DataError("the model was fitted to a frame with categories: give a frame with the same columns")
        given = {str(name): name for name in X.columns}
        if missing := [name for name in self.names if name not in given]:
            raise DataError(f"the frame lacks the column {missing[0]!r} of the fit")
        numbers, blocks = [], []
        for name, known in zip(self.names, self.levels, strict=True):
            values = X[given[name]].to_numpy()
            if known is None:
                numbers.append(_as_float(values, name))
                continue
            place = {level: number for number, level in enumerate(known)}
            found = np.array([-1 if is_missing(value) else place.get(_plain(value), -2) for value in values])
            if self.others:
                found[found == -2] = len(known)
            elif (found == -2).any():
                unknown = _plain(values[int((found == -2).argmax())])
                raise DataError(f"column {name!r} has the category {unknown!r}, which was not seen in the fit")
            block = (found[:, None] == np.arange(len(known) + self.others)).astype(np.float64)
            block[found == -1] = np.nan
            blocks.append(block)
        columns = [column[:, None] for column in numbers]
        return np.ascontiguousarray(np.concatenate([*columns, *blocks], axis=1))

    def decode(self, rows: np.ndarray) -> dict[str, Any]:
        """Turn numbers into columns: of a block the category with the largest number."""
        result: dict[str, Any] = {}
        number, start = 0, self.n_numbers
        for name, known in zip(self.names, self.levels, strict=True):
            if known is None:
                result[name] = rows[:, number]
                number += 1
                continue
            # Of what the fit has not seen there is no name.
            block = rows[:, start : start + len(known)]
            values = np.empty(len(known), dtype=object)
            values[:] = known
            result[name] = values[block.argmax(1)] if len(rows) else np.empty(0, dtype=object)
            start += len(known) + self.others
        return result

    @property
    def value_names(self) -> list[str]:
        """The names of all numbers that a row becomes."""
        numbers = [name for name, known in zip(self.names, self.levels, strict=True) if known is None]
        blocks = [
            f"{name}={level}"
            for name, known in zip(self.names, self.levels, strict=True)
            if known is not None
            for level in [*known, *(["(other)"] if self.others else [])]
        ]
        return numbers + blocks

    def fold(self, values: np.ndarray) -> np.ndarray:
        """Average the values of each category's column over the block, so that there is a value a column."""
        parts, number, start = [], 0, self.n_numbers
        for known in self.levels:
            if known is None:
                parts.append(values[:, number])
                number += 1
            else:
                size = len(known) + self.others
                parts.append(values[:, start : start + size].mean(1))
                start += size
        return np.stack(parts, 1)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, for a file."""
        return {"names": self.names, "levels": self.levels, **({"others": True} if self.others else {})}


def library_of(data: Any) -> str:
    """Say which library a frame is of; pandas for everything else."""
    return "polars" if type(data).__module__.partition(".")[0] == "polars" else "pandas"


def frame_of(columns: dict[str, Any], library: str, index: Any = None) -> Any:
    """Make a frame of either library; of pandas with an index."""
    if library == "polars":
        import polars as pl

        return pl.DataFrame(columns)
    try:
        import pandas as pd
    except ImportError:
        raise NarrowsError('frames need pandas: pip install "narrows[frames]"') from None
    return pd.DataFrame(columns, index=index)


def _is_frame(X: Any) -> bool:
    return (
        hasattr(X, "columns")
        and hasattr(X, "dtypes")
        and type(X).__module__.partition(".")[0]
        in (
            "pandas",
            "polars",
        )
    )


def _is_text(X: Any, name: Any) -> bool:
    column = X[name]
    if hasattr(X, "schema"):
        kind = X.schema[name]
        if not (kind.is_numeric() or str(kind) in ("Boolean", "String", "Categorical") or str(kind).startswith("Enum")):
            raise DataError(f"column {name!r} of type {kind} holds neither numbers nor categories")
        return not (kind.is_numeric() or str(kind) == "Boolean")
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    kind = column.dtype
    if is_numeric_dtype(kind) or is_bool_dtype(kind):
        return False
    if str(kind) == "object":
        # Objects may be numbers, and truth values with gaps.
        known = [value for value in column if not is_missing(value)]
        return any(isinstance(value, str) for value in known)
    if not (str(kind) in ("category", "string", "str") or str(kind).startswith("string")):
        raise DataError(f"column {name!r} of type {kind} holds neither numbers nor categories")
    return True


def _levels(column: Any, name: str) -> list[Any]:
    values = [_plain(value) for value in column.to_numpy() if not is_missing(value)]
    if unknown := [value for value in values if not isinstance(value, (str, int, float))]:
        kind = type(unknown[0]).__name__
        raise DataError(f"column {name!r} has categories of type {kind}, which no model file can hold: make them text")
    known = sorted(set(values), key=lambda value: (str(type(value)), value))
    if len(known) > MOST_LEVELS:
        raise DataError(
            f"column {name!r} has {len(known):,} different values, more than the {MOST_LEVELS} that are taken for "
            "categories: leave it out"
        )
    return known or [""]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def is_missing(value: Any) -> bool:
    """Say whether a value stands for none."""
    # pandas' NA says neither yes nor no to being itself.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def _as_float(values: np.ndarray, name: str) -> np.ndarray:
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        plain = [np.nan if is_missing(value) else value for value in values]
        try:
            return np.array(plain, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"column {name!r} is not numeric: leave it out, or turn it into numbers first") from None
