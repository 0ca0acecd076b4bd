"""A log of who took what: users, items, perhaps ratings and times, in the caller's own ids."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from typing import Any

import numpy as np
from scipy import sparse

from narrows.errors import DataError

__all__ = ["Columns", "Interactions", "is_usual", "kept", "numbered", "plain", "positives_of", "read_interactions"]

_USUAL = {
    "user": ("user", "userid", "user_id", "uid", "customer", "customer_id", "customerid", "visitor_id", "visitorid"),
    "item": ("item", "itemid", "item_id", "iid", "movie", "movieid", "movie_id", "film", "film_id", "product",
             "product_id", "productid", "track_id", "artist_id", "artistid", "book_id", "isbn"),
    "rating": ("rating", "ratings", "stars", "score"),
    "timestamp": ("timestamp", "time", "datetime", "date", "ts"),
}  # fmt: skip


def is_usual(role: str, name: str) -> bool:
    """Say whether a column of this name is usually one of users, items, ratings or times."""
    return name.lower().replace(" ", "_") in _USUAL[role]


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

    def found(self, names: list[str], known: Columns | None = None) -> Columns:
        """Return the columns of a log with these names: the usual names, or the first two for users and items.

        Parameters
        ----------
        names : list of str
            The columns there are.
        known : Columns, optional
            Those of an earlier log, which are taken where they are there and nothing else is asked for.

        Raises
        ------
        DataError
            If a column that was named is not there, or there is none that could be meant.
        """
        chosen: dict[str, str | None] = {}
        for role in ("user", "item", "rating", "timestamp"):
            asked = getattr(self, role)
            if asked == "auto" and known is not None and getattr(known, role) in names:
                asked = getattr(known, role)
            if asked is None or asked == "auto":
                free = [name for name in names if name not in chosen.values() and name not in self._named()]
                usual = [name for name in free if is_usual(role, name)]
                chosen[role] = usual[0] if usual and asked == "auto" else None
            elif asked in names:
                if asked in chosen.values():
                    raise DataError(f"column {asked!r} cannot be that of {role}s and of something else too")
                chosen[role] = asked
            else:
                raise DataError(f"the log has no column {asked!r} for {role}s; it has {', '.join(map(repr, names))}")
        rest = [name for name in names if name not in chosen.values()]
        for role in ("user", "item"):
            if chosen[role] is None:
                if getattr(self, role) is None or not rest:
                    raise DataError(
                        f"a log needs a column of users and one of items, and there is none to take for {role}s among "
                        f"{', '.join(map(repr, names))}"
                    )
                chosen[role] = rest.pop(0)
        return Columns(**chosen)

    def _named(self) -> list[str]:
        return [name for name in (self.user, self.item, self.rating, self.timestamp) if name not in (None, "auto")]


@dataclass(frozen=True)
class Interactions:
    """Interactions of users with items, each pair once.

    Attributes
    ----------
    users : ndarray of shape (n_users,)
        The ids of the rows.
    items : ndarray of shape (n_items,)
        The ids of the columns.
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

    def entries(self, keep: np.ndarray) -> Interactions:
        """Return the log with only some of its entries; all users and items stay."""
        return replace(self, matrix=kept(self.matrix, keep), times=None if self.times is None else self.times[keep])

    def of_users(self, rows: np.ndarray) -> Interactions:
        """Return the log of some users, by their row numbers."""
        times = None
        if self.times is not None:
            numbered = sparse.csr_array(
                (np.arange(len(self)), self.matrix.indices, self.matrix.indptr), shape=self.matrix.shape
            )
            times = self.times[numbered[rows].data]
        return replace(self, users=self.users[rows], matrix=self.matrix[rows], times=times)

    def columns(self) -> dict[str, np.ndarray]:
        """Return the log as columns: user, item, and rating and timestamp where it has them."""
        rows = np.repeat(np.arange(len(self.users)), np.diff(self.matrix.indptr))
        found = {"user": self.users[rows], "item": self.items[self.matrix.indices]}
        if self.rated:
            found["rating"] = self.matrix.data.copy()
        if self.times is not None:
            found["timestamp"] = self.times.copy()
        return found

    def on_items(self, places: dict[Any, int], n_items: int) -> tuple[sparse.csr_array, np.ndarray]:
        """Bring the rows onto the items of a model.

        Parameters
        ----------
        places : dict
            From an item's id to its column.
        n_items : int
            How many columns there are.

        Returns
        -------
        matrix : csr_array of float32, shape (n_users, n_items)
            Entries sorted by item; items that the model does not know are left out.
        unknown : ndarray of int, shape (n_users,)
            How many of each user's items those are.
        """
        where = self._columns_in(places)
        column = where[self.matrix.indices]
        rows = np.repeat(np.arange(len(self.users)), np.diff(self.matrix.indptr))
        known = column >= 0
        matrix = sparse.csr_array(
            (self.matrix.data[known], (rows[known], column[known])), shape=(len(self.users), n_items)
        )
        matrix.sort_indices()
        return matrix, np.bincount(rows[~known], minlength=len(self.users))

    def _columns_in(self, places: dict[Any, int]) -> np.ndarray:
        return np.array([places.get(plain(item), -1) for item in self.items], dtype=np.int64)

    def unknown(self, places: dict[Any, int], users: list[Any]) -> list[set[Any]]:
        """Return for some users the items they have that a model does not know."""
        strange = self._columns_in(places) < 0
        rows = {plain(user): row for row, user in enumerate(self.users)}
        found = []
        for user in users:
            row = rows.get(user)
            has = self.matrix.indices[self.matrix.indptr[row] : self.matrix.indptr[row + 1]] if row is not None else []
            found.append({plain(self.items[column]) for column in has if strange[column]})
        return found


def kept(matrix: sparse.csr_array, keep: np.ndarray) -> sparse.csr_array:
    """Return a matrix with only some of its stored entries, in order; ``keep`` says which, shape (nnz,)."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))[keep]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))])
    kind = matrix.indptr.dtype
    return sparse.csr_array((matrix.data[keep], matrix.indices[keep], indptr.astype(kind)), shape=matrix.shape)


def positives_of(matrix: sparse.csr_array, threshold: float | None) -> sparse.csr_array:
    """Return ones where an item is liked: rated so high, or there at all."""
    keep = np.ones(matrix.nnz, bool) if threshold is None else matrix.data >= np.float32(threshold)
    found = kept(matrix, keep)
    found.data = np.ones(found.nnz, np.float32)
    return found


def read_interactions(
    data: Any, columns: Columns | None = None, *, known: Columns | None = None, rated: bool | None = None
) -> Interactions:
    """Take what a user has for a log.

    Parameters
    ----------
    data : frame, mapping, CSR matrix, path, Interactions or Ratings
        Interactions: a pandas or polars frame, or a mapping of names to arrays, with a column of users and one of items
        and perhaps of ratings and times; a sparse matrix of users by items, whose ids are row and column numbers; the
        path of such a table. Of a pair that comes twice in a table the last counts; in a matrix such entries add up.
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
    if isinstance(data, Interactions):
        return _unrated(data) if columns.rating is None and data.rated else data
    if sparse.issparse(data):
        log = _of_matrix(data, rated)
        return _unrated(log) if columns.rating is None else log
    if isinstance(data, (str, os.PathLike)):
        from narrows.tables import read_named

        data = read_named(data)
    elif hasattr(data, "collect") and hasattr(data, "lazy"):
        data = data.collect()
    elif hasattr(data, "columns") and callable(data.columns):
        data = data.columns()
    elif hasattr(data, "column_names") and hasattr(data, "column"):
        data = {name: data.column(name).to_numpy() for name in data.column_names}
    if isinstance(data, Mapping):
        table = {str(name): np.asarray(values) for name, values in data.items()}
    elif hasattr(data, "columns") and hasattr(data, "__getitem__"):
        table = {str(name): data[name].to_numpy() for name in data.columns}
    else:
        raise DataError(
            "a log of ratings is a frame with columns of users and items, a sparse matrix of users by items, or the "
            f"path of a csv or Parquet file, not {type(data).__name__}"
        )
    return _of_table(table, columns.found(list(table), known))


def _unrated(log: Interactions) -> Interactions:
    """Return the pairs alone."""
    matrix = log.matrix.copy()
    matrix.data = np.ones_like(matrix.data)
    return replace(log, matrix=matrix, rated=False)


def _of_table(table: dict[str, np.ndarray], columns: Columns) -> Interactions:
    if flat := [name for name, values in table.items() if values.ndim != 1]:
        raise DataError(f"column {flat[0]!r} is not one column of values, but of shape {table[flat[0]].shape}")
    sizes = {len(values) for values in table.values()}
    if len(sizes) > 1:
        raise DataError(f"the columns of the log have different lengths: {', '.join(map(str, sorted(sizes)))}")
    if sizes == {0}:
        raise DataError("the log has no rows")
    users, row = numbered(table[str(columns.user)], "users", columns.user)
    items, column = numbered(table[str(columns.item)], "items", columns.item)
    values = np.ones(len(row), np.float32)
    if columns.rating is not None:
        values = _ratings(table[columns.rating], columns.rating)
    times = None if columns.timestamp is None else _times(table[columns.timestamp], columns.timestamp)
    order = np.lexsort((column, row)) if times is None else np.lexsort((times, column, row))
    row, column, values = row[order], column[order], values[order]
    # Of a pair that comes more than once the last counts: in time, or else in the order of the log.
    last = np.append((row[1:] != row[:-1]) | (column[1:] != column[:-1]), True)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row[last], minlength=len(users)))])
    matrix = sparse.csr_array((values[last], column[last], indptr), shape=(len(users), len(items)))
    return Interactions(
        users, items, matrix, None if times is None else times[order][last], columns.rating is not None, columns
    )


def _ratings(values: np.ndarray, name: str) -> np.ndarray:
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
    values = np.asarray(values)
    if values.dtype.kind in "OU":
        try:
            values = np.array([_seconds(value) for value in values])
        except (TypeError, ValueError, AttributeError):
            raise DataError(
                f"column {name!r} is taken for times and holds neither numbers nor dates: timestamp=None leaves it out"
            ) from None
    if values.dtype.kind not in "iufMm":
        raise DataError(
            f"column {name!r} is taken for times and holds neither numbers nor dates: timestamp=None leaves it out"
        )
    if (np.isnat(values) if values.dtype.kind in "Mm" else np.isnan(values)).any():
        raise DataError(f"column {name!r} lacks times: leave those rows out, or the column with timestamp=None")
    return values


def _seconds(value: Any) -> float:
    """Return a date, a text that tells one, or a number, as a number."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if hasattr(value, "toordinal") and not hasattr(value, "timestamp"):
        value = datetime.combine(value, time())
    if hasattr(value, "timestamp"):
        # What tells no zone is taken as it is written, wherever this machine stands.
        return float((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    return float(value)


def _of_matrix(matrix: Any, rated: bool | None) -> Interactions:
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
    return Interactions(np.arange(found.shape[0]), np.arange(found.shape[1]), found.astype(np.float32), None, rated)


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
