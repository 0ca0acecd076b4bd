"""Ids of users and items: of one type, in order, each with its place; ``"007"`` and 7 are two ids, NumPy's 7 is one."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from narrows.errors import DataError

KINDS = {str: "texts", bool: "truth values", int: "numbers", float: "numbers"}


def plain(value: Any) -> Any:
    """Return an id as a plain Python value, so that 7 is found wherever it comes from."""
    return value.item() if isinstance(value, np.generic) else value


def id_list(ids: Any, what: str) -> list[Any]:
    """Take one id, or some, for a list of plain values."""
    if isinstance(ids, (str, bytes)) or np.isscalar(ids) or ids is None:
        ids = [ids]
    if not isinstance(ids, Iterable):
        raise DataError(f"{what} must be an id or a list of ids, got {ids!r}")
    found = [plain(value) for value in ids]
    if any(type(value) not in KINDS for value in found):
        raise DataError(f"{what} must be ids, which are texts or numbers, got {ids!r}")
    return found


def object_array(values: Iterable[Any]) -> np.ndarray:
    """Return an array of plain values, each as it is."""
    listed = [plain(value) for value in values]
    found = np.empty(len(listed), object)
    found[:] = listed
    return found


def id_array(ids: list[Any]) -> np.ndarray:
    """Return ids as an array that keeps them.

    Whole numbers on both sides of 64 bits would become floats; one long text would make all others as wide.
    """
    found = object_array(ids) if ids and isinstance(ids[0], str) else np.array(ids)
    return found if found.tolist() == ids else object_array(ids)


class Ids:
    """Ids in order, and the place of each."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.index: dict[Any, int] = {value: place for place, value in enumerate(values.tolist())}
        self.kind = KINDS.get(type(next(iter(self.index), None)))

    def places(self, ids: Any, what: str) -> np.ndarray:
        """Return the places of one id or some, -1 for those that are not known; ids of another type are refused."""
        listed = id_list(ids, what)
        for value in listed if self.kind else ():
            if KINDS[type(value)] != self.kind:
                raise DataError(
                    f"the ids of the model are {self.kind}, and {what} holds {value!r} ({type(value).__name__})"
                )
        return np.array([self.index.get(value, -1) for value in listed], dtype=np.int64)


def number_ids(ids: np.ndarray, what: str, name: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the different ids of a column in order, and of each row the number of its id."""
    ids = _of_one_type(ids, what, name)
    if ids.dtype.kind in "iu" and ids.max() < 2**63:
        ids = ids.astype(np.int64)
    if ids.dtype.kind in "iu" and ids.min() >= 0 and ids.max() < 4 * len(ids) + 1000:
        # Whole numbers from a short span need no sorting.
        there = np.zeros(int(ids.max()) + 1, bool)
        there[ids] = True
        place = np.cumsum(there, dtype=np.int64) - 1
        return np.flatnonzero(there).astype(ids.dtype), place[ids]
    if ids.dtype == object:
        ordered = sorted(set(ids))
        index = {value: place for place, value in enumerate(ordered)}
        return id_array(ordered), np.array([index[value] for value in ids], dtype=np.int64)
    unique, number = np.unique(ids, return_inverse=True)
    return unique, number.astype(np.int64)


def _of_one_type(ids: np.ndarray, what: str, name: str | None) -> np.ndarray:
    """Refuse missing ids and mixtures; bring whole floats to integers, and objects to the type they are of."""
    if ids.dtype.kind not in "OiubfU":
        raise DataError(f"column {name!r} holds {ids.dtype}, which cannot be ids: make them text or numbers")
    if ids.dtype.kind in "OU":
        ids = object_array(ids)
    if (missing := _missing(ids)).any():
        raise DataError(f"{int(missing.sum()):,} {what} are missing, the first in row {int(missing.argmax())} (of 0..)")
    types = {type(value) for value in ids} if ids.dtype == object else set()
    if strange := types - set(KINDS):
        raise DataError(
            f"column {name!r} holds ids of type {min(t.__name__ for t in strange)}: make them text or numbers"
        )
    if len(types) > 1:
        listed = ", ".join(sorted(t.__name__ for t in types))
        raise DataError(f"column {name!r} mixes ids of types {listed}: make them all text or all numbers")
    if types == {int} and all(-(2**63) <= value < 2**63 for value in ids):
        return ids.astype(np.int64)
    if types == {float}:
        ids = ids.astype(np.float64)
    if ids.dtype.kind == "f" and np.all(ids == np.floor(ids)) and np.all(np.abs(ids) < 2**53):
        return ids.astype(np.int64)
    return ids


def _missing(ids: np.ndarray) -> np.ndarray:
    if ids.dtype == object:
        # NaN differs from itself, and NA says neither yes nor no.
        return np.array([v is None or (v != v) is not False or v == "" for v in ids], dtype=bool)
    return ~np.isfinite(ids) if ids.dtype.kind == "f" else np.zeros(len(ids), bool)
