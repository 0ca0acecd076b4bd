"""What users hand in, in their own ids: one history, pairs, titles."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from narrows.errors import DataError
from narrows.recommend.ids import id_array, id_list, object_array, plain
from narrows.recommend.interactions import Columns, Interactions, columns_of, read_interactions


def read_history(history: Any, columns: Columns, known: Columns | None = None, *, rated: bool = False) -> Interactions:
    """Read one user's history: a sparse row, a log, a frame, a mapping to ratings, a list of items or one of pairs."""
    if sparse.issparse(history) or callable(getattr(history, "columns", None)):
        if sparse.issparse(history) and history.shape[0] == 1 and not history.nnz:
            return _history([], None)
        log = read_interactions(history, columns, rated=rated or None)
        _check_one(len(log.users))
        return log
    if hasattr(history, "columns") and hasattr(history, "__getitem__"):
        return _history(*_columns_of_history(columns_of(history) or {}, columns, known))
    if hasattr(history, "to_dict") and hasattr(history, "index"):
        # A pandas Series: items in its index, ratings in its values.
        history = history.to_dict()
    if isinstance(history, Mapping):
        return _history(history, list(history.values()))
    if isinstance(history, (str, bytes)) or not isinstance(history, Iterable):
        raise DataError(f"a history is a list of items, or items with ratings, not {history!r}")
    entries = list(history)
    if entries and all(isinstance(entry, (tuple, list)) and len(entry) == 2 for entry in entries):
        return _history([item for item, _ in entries], [rating for _, rating in entries])
    return _history(entries, None)


def _check_one(n_users: int) -> None:
    if n_users != 1:
        raise DataError(f"a history is of one user, not of {n_users:,}: give those to recommend(histories=…)")


def _columns_of_history(table: dict[str, np.ndarray], columns: Columns, known: Columns | None) -> tuple[Any, Any]:
    """Return the items and the ratings of a table; a column of users, if there is one, is not that of items."""
    users = {columns.user, known.user if known is not None else None} & set(table)
    for name in users if table and len(next(iter(table.values()))) else ():
        _check_one(len(set(table[str(name)].tolist())))
    rest = [name for name in table if name not in users]
    found = Columns("\0", columns.item, columns.rating, None).resolve(["\0", *rest], known)
    return table[str(found.item)], None if found.rating is None else table[found.rating]


def _history(items: Iterable[Any], ratings: Any) -> Interactions:
    array = items if isinstance(items, np.ndarray) else object_array(items)
    if not len(array):
        return Interactions(np.zeros(1, np.int64), np.zeros(0, np.int64), sparse.csr_array((1, 0), dtype=np.float32))
    table = {"user": np.zeros(len(array), np.int64), "item": array} | ({} if ratings is None else {"rating": ratings})
    return read_interactions(table, Columns("user", "item", None if ratings is None else "rating", None))


def select_users(log: Interactions, users: Any) -> Interactions:
    """Return the rows of one user or some, in their order, empty where a user is not in the log."""
    listed, matrix = id_list(users, "users"), log.matrix
    n_users, n_items = matrix.shape
    places = log.user_ids.places(listed, "users")
    indptr = np.append(matrix.indptr, matrix.indptr[-1])
    padded = sparse.csr_array((matrix.data, matrix.indices, indptr), (n_users + 1, n_items))
    return replace(log, users=id_array(listed), matrix=padded[np.where(places < 0, n_users, places)], times=None)


def read_pairs(pairs: Any, columns: Columns, known: Columns | None) -> tuple[list[Any], list[Any]]:
    """Take pairs of users and items: a frame, a log, a mapping, or a list of tuples."""
    table = None if isinstance(pairs, (str, bytes)) else columns_of(pairs)
    if table is not None:
        found = Columns(columns.user, columns.item, None, None).resolve(list(table), known)
        users, items = id_list(table[str(found.user)], "users"), id_list(table[str(found.item)], "items")
        if len(users) != len(items):
            raise DataError(f"there are {len(users):,} users and {len(items):,} items in the pairs")
        return users, items
    listed = None if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable) else list(pairs)
    if listed is None or any(not isinstance(pair, (tuple, list, np.ndarray)) or len(pair) != 2 for pair in listed):
        raise DataError("pairs must be a frame with columns of users and items, or a list of (user, item)")
    return [plain(user) for user, _ in listed], [plain(item) for _, item in listed]


def read_titles(titles: Any, columns: Columns) -> dict[Any, str]:
    """Take titles: a mapping from ids, a frame or path with a column of items and one of titles."""
    if titles is None:
        return {}
    if isinstance(titles, Mapping):
        return {plain(item): str(title) for item, title in titles.items()}
    table = columns_of(titles)
    if table is None:
        raise DataError(f"titles must be a mapping, a frame or the path of a table, got {type(titles).__name__}")
    names = list(table)
    if len(names) < 2:
        raise DataError(f"titles need two columns, one of items and one of titles, and there is only {names}")
    item = columns.item if columns.item in names else Columns("auto", "auto", None, None).resolve(["user", *names]).item
    rest = [name for name in names if name != item]
    rest = [name for name in rest if name.lower() in ("title", "name", "titles")] or rest
    if table[rest[0]].dtype.kind not in "OU":
        raise DataError(f"titles are texts, and column {rest[0]!r} holds {table[rest[0]].dtype}")
    pairs = zip(table[str(item)], table[rest[0]], strict=True)
    return {plain(key): str(value) for key, value in pairs if value is not None}
