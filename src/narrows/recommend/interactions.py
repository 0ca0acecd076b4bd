"""Interactions of users with items, perhaps with ratings and times, in the caller's own ids, as a sparse matrix."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime, time
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from narrows.data.opening import open_source
from narrows.data.source import Source
from narrows.errors import DataError
from narrows.recommend.ids import Ids, number_ids

_USUAL = {
    "user": "user userid uid customer customerid visitorid",
    "item": "item itemid iid movie movieid film filmid product productid trackid artistid bookid isbn",
    "rating": "rating ratings stars score",
    "timestamp": "timestamp time datetime date ts",
}

_INDEX = ("", "index", "unnamed: 0")

_NO_TIMES = "column {!r} is taken for times and holds neither numbers nor dates: timestamp=None leaves it out"


def is_usual(role: str, name: str) -> bool:
    """Say whether a column of this name is usually one of users, items, ratings or times."""
    return name.lower().replace(" ", "").replace("_", "") in _USUAL[role].split()


@dataclass(frozen=True)
class Columns:
    """Which columns of a log hold what; ``"auto"`` finds them by their names, None leaves them out.

    Attributes
    ----------
    user, item, rating, timestamp : str or None
        Column names.
    """

    user: str | None = "auto"
    item: str | None = "auto"
    rating: str | None = "auto"
    timestamp: str | None = "auto"

    def resolve(self, names: list[str], known: Columns | None = None) -> Columns:
        """Return the columns of a log with these names: as asked, or else as in an earlier log, or else as is usual.

        Users and items without a usual name are the first two columns that are left and no index.
        """
        listed = ", ".join(map(repr, names))
        reserved = set(astuple(self)) - {None, "auto"}
        chosen: dict[str, str | None] = {}
        for role in _USUAL:
            wanted = getattr(self, role)
            if wanted == "auto" and known is not None and getattr(known, role) in names:
                wanted = getattr(known, role)
            if wanted is None or wanted == "auto":
                free = [name for name in names if name not in chosen.values() and name not in reserved]
                usual = [name for name in free if is_usual(role, name)]
                chosen[role] = usual[0] if usual and wanted == "auto" else None
            elif wanted not in names:
                raise DataError(f"the log has no column {wanted!r} for {role}s; it has {listed}")
            elif wanted in chosen.values():
                raise DataError(f"column {wanted!r} cannot be that of {role}s and of something else too")
            else:
                chosen[role] = wanted
        rest = [name for name in names if name not in chosen.values() and name.lower() not in _INDEX]
        for role in ("user", "item"):
            if chosen[role] is None:
                if getattr(self, role) is None or not rest:
                    raise DataError(
                        f"a log needs a column of users and one of items, and there is none to take for {role}s among "
                        f"{listed}"
                    )
                chosen[role] = rest.pop(0)
        return Columns(**chosen)


@dataclass(frozen=True)
class Interactions:
    """Interactions of users with items, each pair once.

    Attributes
    ----------
    users, items : ndarray of shape (n_users,), ndarray of shape (n_items,)
        The ids of the rows and of the columns.
    matrix : csr_array of float32, shape (n_users, n_items)
        Of each pair the rating, 1 where there are none.
    times : ndarray or None, shape (n,)
        The time of each stored entry of the matrix.
    rated : bool
        Whether the values are ratings.
    names : Columns or None
        What the columns were called.
    """

    users: np.ndarray
    items: np.ndarray
    matrix: sparse.csr_array
    times: np.ndarray | None = None
    rated: bool = False
    names: Columns | None = None

    def __len__(self) -> int:
        return int(self.matrix.nnz)

    def __repr__(self) -> str:
        what = "ratings" if self.rated else "interactions"
        return f"Interactions({len(self):,} {what} of {len(self.users):,} users with {len(self.items):,} items)"

    @property
    def rows(self) -> np.ndarray:
        """The row of each stored entry, shape (n,)."""
        return rows_of(self.matrix)

    @property
    def ratings(self) -> sparse.csr_array:
        """The ratings, none where only what was taken is known."""
        return self.matrix if self.rated else sparse.csr_array(self.matrix.shape, dtype=self.matrix.dtype)

    @cached_property
    def user_ids(self) -> Ids:
        """The users, with the row of each."""
        return Ids(self.users)

    def select_entries(self, keep: np.ndarray) -> Interactions:
        """Return only some of the entries; all users and items stay."""
        times = None if self.times is None else self.times[keep]
        return replace(self, matrix=select_entries(self.matrix, keep), times=times)

    def select_users(self, rows: np.ndarray) -> Interactions:
        """Return the interactions of some users, by their row numbers."""
        times = None
        if self.times is not None:
            entries = (np.arange(len(self)), self.matrix.indices, self.matrix.indptr)
            times = self.times[sparse.csr_array(entries, shape=self.matrix.shape)[rows].data]
        return replace(self, users=self.users[rows], matrix=self.matrix[rows], times=times)

    def columns(self) -> dict[str, np.ndarray]:
        """Return the interactions as columns: user, item, and rating and timestamp where there are any."""
        found = {"user": self.users[self.rows], "item": self.items[self.matrix.indices]}
        if self.rated:
            found["rating"] = self.matrix.data.copy()
        if self.times is not None:
            found["timestamp"] = self.times.copy()
        return found

    def align(self, ids: Ids, what: str = "the log") -> Interactions:
        """Return the interactions with the items of a model, in its order; those with other items are left out."""
        column, rows = ids.places(self.items, what)[self.matrix.indices], self.rows
        known = column >= 0
        shape = (len(self.users), len(ids.values))
        matrix = sparse.csr_array((self.matrix.data[known], (rows[known], column[known])), shape=shape)
        matrix.sort_indices()
        return replace(self, items=ids.values, matrix=matrix, times=None)


def rows_of(matrix: sparse.csr_array) -> np.ndarray:
    """Return the row of each stored entry."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def select_entries(matrix: sparse.csr_array, keep: np.ndarray) -> sparse.csr_array:
    """Return a matrix with only some of its stored entries, in order; ``keep`` says which, shape (nnz,)."""
    counts = np.bincount(rows_of(matrix)[keep], minlength=matrix.shape[0])
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(matrix.indptr.dtype)
    return sparse.csr_array((matrix.data[keep], matrix.indices[keep], indptr), shape=matrix.shape)


def positives_of(matrix: sparse.csr_array, threshold: float | None) -> sparse.csr_array:
    """Return ones where an item is rated at least so high; without a threshold, where it is there at all."""
    keep = np.ones(matrix.nnz, bool) if threshold is None else matrix.data >= np.float32(threshold)
    found = select_entries(matrix, keep)
    found.data = np.ones(found.nnz, np.float32)
    return found


def read_interactions(
    data: Any, columns: Columns | None = None, *, known: Columns | None = None, rated: bool | None = None
) -> Interactions:
    """Read a log of who took what.

    Parameters
    ----------
    data : frame, mapping, CSR matrix, path, Interactions or Ratings
        A pandas or polars frame, or a mapping of names to arrays, with a column of users and one of items and perhaps
        of ratings and times; a sparse matrix of users by items, whose ids are row and column numbers; the path of such
        a table. Of a pair that comes twice in a table the last counts; in a matrix such entries add up.
    columns : Columns, optional
        Which column holds what; found by their names by default. ``rating=None`` makes pairs of whatever is given.
    known : Columns, optional
        The columns of an earlier log, which are taken where they are there.
    rated : bool, optional
        Whether the values of a matrix are ratings; by default they are if any differs from 1.

    Raises
    ------
    DataError
        If it is none of these, has no rows, missing ids, or ratings that are no finite numbers.
    """
    columns = columns or Columns()
    if isinstance(data, Interactions) or sparse.issparse(data):
        found = data if isinstance(data, Interactions) else _from_matrix(data, rated)
        if columns.rating is None and found.rated:
            found = replace(found, matrix=positives_of(found.matrix, None), rated=False)
        return found
    table = columns_of(data)
    if table is None:
        raise DataError(
            "a log of ratings is a frame with columns of users and items, a sparse matrix of users by items, or the "
            f"path of a csv or Parquet file, not {type(data).__name__}"
        )
    return _from_table(table, columns.resolve(list(table), known))


def columns_of(data: Any) -> dict[str, np.ndarray] | None:
    """Return the columns of a path, a frame of any library, a mapping or a log, by name; None of anything else."""
    if isinstance(data, (str, os.PathLike)):
        data = open_source(data)
    elif hasattr(data, "collect") and hasattr(data, "lazy"):
        data = data.collect()
    elif callable(getattr(data, "columns", None)):
        data = data.columns()
    if isinstance(data, Source):
        data = data.table([name for name in data.arrow_schema.names if name not in data.index_columns])
    if hasattr(data, "column_names") and hasattr(data, "column"):
        data = {name: data.column(name).to_numpy() for name in data.column_names}
    if isinstance(data, Mapping):
        return {str(name): np.asarray(values) for name, values in data.items()}
    if hasattr(data, "columns") and hasattr(data, "__getitem__"):
        return {str(name): data[name].to_numpy() for name in data.columns}
    return None


def _from_table(table: dict[str, np.ndarray], columns: Columns) -> Interactions:
    if flat := [name for name, values in table.items() if values.ndim != 1]:
        raise DataError(f"column {flat[0]!r} is not one column of values, but of shape {table[flat[0]].shape}")
    sizes = {len(values) for values in table.values()}
    if len(sizes) > 1:
        raise DataError(f"the columns of the log have different lengths: {', '.join(map(str, sorted(sizes)))}")
    if sizes == {0}:
        raise DataError("the log has no rows")
    users, row = number_ids(table[str(columns.user)], "users", columns.user)
    items, column = number_ids(table[str(columns.item)], "items", columns.item)
    rated = columns.rating is not None
    values = _ratings(table[columns.rating], columns.rating) if rated else np.ones(len(row), np.float32)  # type: ignore[index]
    times = None if columns.timestamp is None else _times(table[columns.timestamp], columns.timestamp)
    order = np.lexsort((column, row)) if times is None else np.lexsort((times, column, row))
    row, column, values = row[order], column[order], values[order]
    # Of a pair that comes more than once the last counts: in time, or else in the order of the log.
    last = np.append((row[1:] != row[:-1]) | (column[1:] != column[:-1]), True)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row[last], minlength=len(users)))])
    matrix = sparse.csr_array((values[last], column[last], indptr), shape=(len(users), len(items)))
    return Interactions(users, items, matrix, None if times is None else times[order][last], rated, columns)


def _from_matrix(matrix: Any, rated: bool | None) -> Interactions:
    """Take a sparse matrix; its ids are numbers of rows and columns."""
    if matrix.dtype.kind not in "biuf":
        raise DataError(f"a matrix of ratings must hold numbers, not {matrix.dtype}")
    # Entries of a pair add up, which small integers would not bear.
    found = sparse.csr_array(matrix.astype(np.float64), copy=True)
    found.sum_duplicates()
    found.eliminate_zeros()
    if not found.nnz:
        raise DataError("the log has no rows")
    if not np.isfinite(found.data).all():
        raise DataError("the matrix of ratings holds values that are missing or infinite: leave them out")
    if rated is None:
        rated = bool((found.data != 1).any())
    users, items = (np.arange(size) for size in found.shape)
    return Interactions(users, items, found.astype(np.float32), None, rated)


def _ratings(values: np.ndarray, name: str | None) -> np.ndarray:
    try:
        found = np.asarray(values).astype(np.float64, casting="same_kind" if np.iscomplexobj(values) else "unsafe")
    except (TypeError, ValueError):
        raise DataError(f"column {name!r} holds ratings that are no numbers") from None
    bad = ~(np.abs(found) < np.finfo(np.float32).max)
    if bad.any():
        raise DataError(
            f"{int(bad.sum()):,} ratings are missing or infinite, the first in row {int(bad.argmax())} (of 0..): "
            "leave those rows out"
        )
    return found.astype(np.float32)


def _times(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype.kind in "OU":
        try:
            values = np.array([_seconds(value) for value in values])
        except (TypeError, ValueError, AttributeError):
            raise DataError(_NO_TIMES.format(name)) from None
    if values.dtype.kind not in "iufMm":
        raise DataError(_NO_TIMES.format(name))
    if (np.isnat(values) if values.dtype.kind in "Mm" else np.isnan(values)).any():
        raise DataError(f"column {name!r} lacks times: leave those rows out, or the column with timestamp=None")
    return values


def _seconds(value: Any) -> float:
    """Return a date, a text that tells one, or a number (as text too), as a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            value = datetime.fromisoformat(value)
    if hasattr(value, "toordinal") and not hasattr(value, "timestamp"):
        value = datetime.combine(value, time())
    if hasattr(value, "timestamp"):
        # What tells no zone is taken as it is written, wherever this machine stands.
        return float((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    return float(value)
