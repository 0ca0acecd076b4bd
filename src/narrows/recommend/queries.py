"""What users hand in, in their own ids: ids, one history, pairs, titles; and the tidy frames they get back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from narrows.errors import DataError
from narrows.recommend.interactions import Columns, Interactions, columns_of, plain, read_interactions

__all__ = [
    "check_id_type",
    "history_interactions",
    "id_array",
    "id_list",
    "places_of",
    "ratings_in",
    "read_pairs",
    "read_titles",
    "rows_or_empty",
    "titles_to_ids",
]


def id_list(ids: Any, what: str) -> list[Any]:
    """Take one id, or some, for a list of plain values."""
    if isinstance(ids, (str, bytes)) or np.isscalar(ids) or ids is None:
        ids = [ids]
    if not isinstance(ids, Iterable):
        raise DataError(f"{what} must be an id or a list of ids, got {ids!r}")
    found = [plain(value) for value in ids]
    if any(not isinstance(value, (str, int, float, bool)) for value in found):
        raise DataError(f"{what} must be ids, which are texts or numbers, got {ids!r}")
    return found


def id_array(ids: list[Any]) -> np.ndarray:
    """Return ids as an array that keeps them: whole numbers on both sides of 64 bits would become floats."""
    found = np.array(ids)
    return found if found.tolist() == ids else np.array(ids, dtype=object)


def check_id_type(ids: Iterable[Any], known: Mapping[Any, int], what: str) -> None:
    """Refuse ids that cannot be any of the known ones: texts where those are numbers, or the other way round."""
    is_text = isinstance(next(iter(known), None), str)
    for value in ids if known else ():
        if isinstance(value, str) != is_text:
            kind = "texts" if is_text else "numbers"
            raise DataError(f"the ids of the model are {kind}, and {what} holds {value!r} ({type(value).__name__})")


def titles_to_ids(history: Interactions, item_index: dict[Any, int], titles: dict[Any, str]) -> Interactions:
    """Take titles for the ids they belong to, where a history names items so and a title is of one item only."""
    ids = history.items.tolist()
    is_text = isinstance(next(iter(item_index)), str)
    if all(value in item_index or isinstance(value, str) == is_text for value in ids):
        return history
    owners: dict[str, list[Any]] = {}
    for item, title in titles.items():
        owners.setdefault(title, []).append(item)
    found = [owners[value][0] if len(owners.get(value, [])) == 1 else value for value in ids]
    check_id_type([value for value in found if value not in item_index], item_index, "the history")
    return replace(history, items=_object_array(found))


def history_interactions(
    history: Any, columns: Columns, known: Columns | None = None, *, rated: bool = False
) -> Interactions:
    """Read one user's history."""
    if sparse.issparse(history) and not history.nnz and history.shape[0] == 1:
        return _empty()
    if sparse.issparse(history) or isinstance(history, Interactions) or callable(getattr(history, "columns", None)):
        n_users = history.shape[0] if sparse.issparse(history) else None
        found = read_interactions(history, columns, rated=rated or None) if n_users in (None, 1) else None
        n_users = n_users or len(found.users)  # type: ignore[union-attr]
        if found is None or n_users != 1:
            raise DataError(f"a history is of one user, not of {n_users:,}: give those to recommend(histories=…)")
        return found
    if hasattr(history, "columns") and hasattr(history, "__getitem__"):
        items, ratings = _history_columns(history, columns, known)
    else:
        items, ratings = _listed(history)
    if not len(items):
        return _empty()
    table: dict[str, Any] = {"user": np.zeros(len(items), np.int64), "item": items}
    if ratings is not None:
        table["rating"] = ratings
    return read_interactions(table, Columns("user", "item", None if ratings is None else "rating", None))


def _listed(history: Any) -> tuple[Any, list[Any] | None]:
    """Part a mapping, a list of items or one of pairs into items and ratings."""
    if hasattr(history, "to_dict") and hasattr(history, "index"):
        # A pandas Series: items in its index, ratings in its values.
        history = history.to_dict()
    if isinstance(history, Mapping):
        return _object_array(list(history)), list(history.values())
    if isinstance(history, (str, bytes)) or not isinstance(history, Iterable):
        raise DataError(f"a history is a list of items, or items with ratings, not {history!r}")
    entries = list(history)
    if entries and all(isinstance(entry, (tuple, list)) and len(entry) == 2 for entry in entries):
        return _object_array([entry[0] for entry in entries]), [entry[1] for entry in entries]
    return _object_array(entries), None


def _object_array(values: list[Any]) -> np.ndarray:
    found = np.empty(len(values), object)
    found[:] = [plain(value) for value in values]
    return found


def _history_columns(frame: Any, columns: Columns, known: Columns | None) -> tuple[Any, Any]:
    """Return the items and the ratings of a frame; the column of users, if there is one, is not that of items."""
    if not len(frame):
        return [], None
    names = {str(name): name for name in frame.columns}
    users = {columns.user, known.user if known is not None else None} & set(names)
    owners = {plain(value) for name in users for value in frame[names[str(name)]].to_numpy()}
    if len(owners) > 1:
        raise DataError(f"a history is of one user, not of {len(owners):,}: give those to recommend(histories=…)")
    rest = [name for name in names if name not in users]
    found = Columns("\0", columns.item, columns.rating, None).resolve(["\0", *rest], known)
    ratings = None if found.rating is None else frame[names[found.rating]].to_numpy()
    return frame[names[str(found.item)]].to_numpy(), ratings


def _empty() -> Interactions:
    return Interactions(np.zeros(1, np.int64), np.zeros(0, np.int64), sparse.csr_array((1, 0), dtype=np.float32))


def places_of(ids: list[Any], index: dict[Any, int]) -> np.ndarray:
    """Return the places of ids, -1 for those that are not known."""
    return np.array([index.get(value, -1) for value in ids], dtype=np.int64)


def ratings_in(rows: sparse.csr_array, *, rated: bool) -> sparse.csr_array:
    """Return the ratings in users' rows: none where the rows tell only what was taken."""
    return rows if rated else sparse.csr_array(rows.shape, dtype=rows.dtype)


def rows_or_empty(matrix: sparse.csr_array, rows: np.ndarray) -> sparse.csr_array:
    """Return rows of a matrix, an empty one where there is -1."""
    if (rows >= 0).all():
        return matrix[rows]
    counts = np.where(rows < 0, 0, np.diff(matrix.indptr)[rows])
    there = matrix[rows[rows >= 0]]
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return sparse.csr_array((there.data, there.indices, indptr), (len(rows), matrix.shape[1]))


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
    item = columns.item if columns.item in names else Columns("auto", "auto", None, None).resolve(["user", *names]).item
    rest = [name for name in names if name != item]
    rest = [name for name in rest if name.lower() in ("title", "name", "titles")] or rest
    if not rest:
        raise DataError(f"titles need a column beside that of items, and there is only {item!r}")
    if table[rest[0]].dtype.kind not in "OU":
        raise DataError(f"titles are texts, and column {rest[0]!r} holds {table[rest[0]].dtype}")
    return {plain(key): str(value) for key, value in zip(table[str(item)], table[rest[0]], strict=True)}
