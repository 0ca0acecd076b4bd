"""Logs of users and items on the command line: by name, from a file, or made up; their columns, and ids as typed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from narrows import datasets
from narrows.cli.errors import CommandError
from narrows.cli.printing import note
from narrows.data.opening import choose_columns, open_source
from narrows.datasets.records import RATINGS
from narrows.errors import DataError
from narrows.io.files import existing_file
from narrows.recommend import Columns, Interactions, read_interactions
from narrows.recommend.interactions import columns_of, is_usual
from narrows.recommend.queries import read_titles

MADE_UP_SEED = 0
ROLES = ("user", "item", "rating", "timestamp")


@dataclass(frozen=True)
class RatingsInput:
    """A log, titles of items by id, what it is called, and which columns of its file hold what."""

    log: Interactions
    titles: dict[Any, str]
    name: str
    columns: dict[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        """Say what the log is."""
        from_columns = f" (columns {', '.join(map(repr, self.columns.values()))})" if self.columns else ""
        kind = "ratings" if self.log.rated else "pairs"
        return (
            f"{self.name}: {len(self.log):,} {kind} of {len(self.log.users):,} users with {len(self.log.items):,} "
            f"items{from_columns}"
        )

    def check_known(self, model: Any) -> None:
        """Refuse a log of none of whose items a model knows anything."""
        if not model.item_index_.keys() & set(self.log.items.tolist()):
            raise CommandError(f"The model knows none of the items of {self.name}.")


def column_names(**given: str | None) -> dict[str, str | None]:
    """Return the columns that ``user_column=`` and the others name, by role; "none" leaves ratings or times out."""
    named = {flag.removesuffix("_column"): name for flag, name in given.items() if name is not None}
    return {role: None if role in ROLES[2:] and name.lower() == "none" else name for role, name in named.items()}


def file_of_log(data: str) -> Path | None:
    """Return the file that RATINGS means, None for a named set; what is neither is refused."""
    if data in RATINGS:
        return None
    path = Path(data)
    if not path.exists() and path.name == data and not path.suffix:
        try:
            datasets.load_ratings(data)
        except DataError as error:
            raise CommandError(f"There is no file {data!r}, and: {error}") from error
    return existing_file(path)


def read_ratings(data: str | None, asked: dict[str, str | None], items: Path | None = None) -> RatingsInput:
    """Read RATINGS, or make a log up for want of one, and a table of titles where there is one.

    ``asked`` are the columns that were named, as of :func:`column_names`.
    """
    file = None if data is None else file_of_log(data)
    columns: dict[str, str] = {}
    titles: dict[Any, str] = {}
    if file is None:
        if asked:
            flag = f"--{next(iter(asked))}-column"
            raise CommandError(f"{flag} is for files, and {data or 'a made-up log'} is none.")
        known = datasets.make_ratings(random_state=MADE_UP_SEED) if data is None else datasets.load_ratings(data)
        log, titles = read_interactions(known), dict(known.titles or {})
    else:
        log, columns = _read_file(file, asked)
    if items is not None:
        titles = titles_in(items, log.items, asked)
    return RatingsInput(log, titles, data or "a log made up for want of RATINGS", columns)


def _read_file(file: Path, asked: dict[str, str | None]) -> tuple[Interactions, dict[str, str]]:
    source = open_source(file)
    every = source.arrow_schema.names
    names = [name for name in every if name not in source.index_columns]
    if not source.origin.named and not {"user", "item"} <= asked.keys():
        # Logs without names have their columns in this order.
        asked = {role: str(k) if k < len(every) else None for k, role in enumerate(ROLES)} | asked
        taken = ", ".join(f"{role} {place}" for role, place in asked.items() if place is not None)
        note(f"Note: {file} has no column names, so columns are taken by their place: {taken}.")
    # A column may be named by its position.
    named = {role: name and every[choose_columns(every, name, None, str(file))[0]] for role, name in asked.items()}
    try:
        columns = Columns(**named).resolve(names)
    except DataError as error:
        raise CommandError(f"{file}: {error}") from error
    chosen = {role: name for role in ROLES if (name := getattr(columns, role)) is not None}
    log = read_interactions(open_source(file, columns=list(chosen.values()), index=False), columns)
    for role, ids in (("user", log.users), ("item", log.items)):
        if ids.dtype.kind == "f":
            raise CommandError(f"Column {chosen[role]!r} of {file} holds fractions, no ids: see --{role}-column.")
    guessed = [role for role in ("user", "item") if role not in asked and not is_usual(role, chosen[role])]
    if guessed:
        taken = " and ".join(f"{chosen[role]!r} for {role}s" for role in guessed)
        unused = ", ".join(repr(name) for name in names if name not in chosen.values()) or "none"
        note(f"Note: columns taken by their place: {taken}; not used: {unused}. --user-column and so on name them.")
    return log, chosen


def titles_in(items: Path, ids: np.ndarray, asked: dict[str, str | None]) -> dict[Any, str]:
    """Read a table with a column of ids and one of titles, and refuse it if none is of an item of the log."""
    try:
        titles = read_titles(existing_file(items), Columns(item=asked.get("item") or "auto"))
    except DataError as error:
        raise CommandError(f"{items}: {error}") from error
    if not titles.keys() & set(ids.tolist()):
        theirs, ours = ", ".join(map(str, list(titles)[:3])), ", ".join(map(str, ids[:3]))
        raise CommandError(f"No item of the log is in {items}: its ids are such as {theirs}, not {ours}.")
    return titles


def ids_in(file: Path, ids: np.ndarray, asked: dict[str, str | None]) -> list[Any]:
    """Read a column of items from a table, as ids of the model's type."""
    table = columns_of(file) or {}
    named = asked.get("item") if asked.get("item") in table else "auto"
    values = table[str(Columns("auto", named, None, None).resolve(["user", *table]).item)]
    same = values.dtype.kind == ids.dtype.kind or {values.dtype.kind, ids.dtype.kind} <= set("iu")
    return values.tolist() if same else [typed(str(value), ids, "item") for value in values.tolist()]


def typed(text: str, ids: np.ndarray, what: str) -> Any:
    """Turn an id of a "user" or an "item" as it is typed into one of the type that the ids of a log have.

    Examples
    --------
    >>> typed("7", np.array([3, 7]), "user"), typed("7", np.array(["3", "7"]), "user")
    (7, '7')
    """
    made = {"i": int, "u": int, "f": float}.get(ids.dtype.kind)
    if made is None:
        return {str(value): value for value in ids.tolist()}.get(text, text)
    try:
        # A column of whole numbers with gaps is one of floats.
        return made(text.removesuffix(".0"))
    except ValueError:
        such = f"{'whole ' * (made is int)}numbers such as {ids[0]}" if len(ids) else "numbers"
        raise CommandError(f"There can be no {what} {text!r}: {what}s of this log are {such}.") from None


def typed_users(texts: Sequence[str], given: RatingsInput) -> list[Any]:
    """Turn the users of ``--user``, some of them with commas between, into ids; say which are not in the log."""
    known = given.log.user_ids.index
    found = []
    for text in texts:
        parts = [text] if text in known else [part.strip() for part in text.split(",") if part.strip()]
        found += [typed(part, given.log.users, "user") for part in parts]
    if not found:
        raise CommandError("--user is empty: write an id, or several with commas between them.")
    for user in dict.fromkeys(found):
        if user not in known:
            note(f"Note: user {user} is not in {given.name}, and gets what is popular.")
    return list(dict.fromkeys(found))
