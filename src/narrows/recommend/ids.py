"""Ids as people have them: numbers, texts, truth values; each gets a place."""

from __future__ import annotations

from typing import Any

import numpy as np

from narrows.errors import DataError

__all__ = ["numbered", "plain"]


def plain(value: Any) -> Any:
    """Return an id as a plain Python value, so that 7 is found wherever it comes from."""
    return value.item() if isinstance(value, np.generic) else value


def numbered(ids: np.ndarray, what: str, name: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the different ids in order, and of each row the number of its id."""
    ids = _checked(np.asarray(ids), what, name)
    if ids.dtype.kind in "iu" and len(ids) and ids.min() >= 0 and ids.max() < 4 * len(ids) + 1000:
        # Whole numbers from a short span need no sorting.
        there = np.zeros(int(ids.max()) + 1, bool)
        there[ids] = True
        unique = np.flatnonzero(there).astype(ids.dtype)
        place = np.cumsum(there, dtype=np.int64) - 1
        return unique, place[ids]
    unique, number = np.unique(ids, return_inverse=True)
    return unique, number.astype(np.int64)


def _checked(ids: np.ndarray, what: str, name: str | None) -> np.ndarray:
    """Refuse missing ids and mixtures; bring whole floats to integers and texts to one type."""
    if ids.dtype.kind not in "OiubfU":
        raise DataError(f"column {name!r} holds {ids.dtype}, which cannot be ids: make them text or numbers")
    missing = _missing(ids)
    if missing.any():
        raise DataError(f"{int(missing.sum()):,} {what} are missing, the first in row {int(missing.argmax())} (of 0..)")
    if ids.dtype.kind == "f" and np.all(ids == np.floor(ids)) and np.all(np.abs(ids) < 2**53):
        return ids.astype(np.int64)
    return _of_one_kind(ids, name) if ids.dtype == object else ids


def _missing(ids: np.ndarray) -> np.ndarray:
    if ids.dtype.kind == "f":
        return ~np.isfinite(ids)
    if ids.dtype.kind == "U":
        return np.asarray(ids == "")
    if ids.dtype == object:
        return np.array([_is_missing(value) for value in ids], dtype=bool)
    return np.zeros(len(ids), bool)


def _of_one_kind(ids: np.ndarray, name: str | None) -> np.ndarray:
    kinds = {type(plain(value)) for value in ids}
    if kinds == {str}:
        return ids.astype(str)
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in ids):
        return ids.astype(np.int64)
    if strange := kinds - {str, int, bool, float}:
        kind = min(kind.__name__ for kind in strange)
        raise DataError(f"column {name!r} holds ids of type {kind}: make them text or numbers")
    if len(kinds) > 1:
        shown = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"column {name!r} mixes ids of types {shown}: make them all text or all numbers")
    return ids


def _is_missing(value: Any) -> bool:
    # NaN differs from itself, and NA says neither yes nor no.
    return value is None or (value != value) is not False
