"""``narrows recommend``: the items that users of a log, or anyone with a history, would like best."""

from pathlib import Path
from typing import Any

import numpy as np

from narrows.cli import files
from narrows.cli.errors import CommandError
from narrows.cli.flags import parse, refuse_beside_model, refuse_together
from narrows.cli.printing import note
from narrows.cli.recommend.fit import fitted_recommender, load_recommender
from narrows.cli.recommend.output import Lists, Users, show, write
from narrows.cli.recommend.ratings_input import (
    RatingsInput,
    column_names,
    file_of_log,
    ids_in,
    read_ratings,
    titles_in,
    typed_users,
)
from narrows.recommend.ids import plain
from narrows.recommend.titles import ItemNames, read_history, read_items

_MOST_RATED = 1000
"""Ratings are predicted for up to as many users."""


def recommend(
    ratings: str | None,
    user: list[str] | None,
    history: str | None,
    k: int,
    items: Path | None,
    model: Path | None,
    method: str | None,
    among: Path | None,
    exclude: str | None,
    out: Path | None,
    save: Path | None,
    seed: int | None,
    device: str,
    *,
    everyone: bool,
    include_seen: bool,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Fit or load a recommender, and print or write what it recommends; ``columns`` are flags that name columns."""
    asked = column_names(**columns)
    ways = {"--user": user is not None, "--history": history is not None, "--all": everyone}
    refuse_together([flag for flag, is_given in ways.items() if is_given], "each says whom to recommend to")
    if everyone and out is None:
        raise CommandError("--all makes a list for each user of the log: name a file for them with -o.")
    if model is not None:
        _refuse_beside_model(ratings, history, {"--method": method, "--save": save, "--seed": seed})
    inputs = [None if ratings is None else file_of_log(ratings), items, among, model]
    files.check_table_place(out, *inputs, text=True)
    files.check_model_place(save, *inputs)
    given: RatingsInput | None = None
    if ratings is not None or model is None:
        given = read_ratings(ratings, asked, items if model is None else None)
    if model is None:
        options = parse("recommender", {"method": method, "random_state": seed}) | asked | {"device": device}
        fitted = fitted_recommender(given, options)  # type: ignore[arg-type]
    else:
        fitted = load_recommender(model, device)
        if items is not None:
            fitted.titles_ = fitted.titles_ | titles_in(items, fitted.items_, asked)
    users = _users(fitted, given, user, history, everyone=everyone)
    lists = _lists(fitted, users, k, _items_among(fitted, among, asked), _items_named(fitted, exclude), include_seen)
    if not any(ways.values()):
        note(f"Note: no one was named with --user, --history or --all, so this is for user {users.ids[0]}, the first.")
    written: dict[str, Path] = {}
    if save is not None:
        fitted.save(save)
        written["model"] = save
    if out is not None:
        write(out, lists)
        written["file"] = out
    show(fitted, given, lists, written, short=everyone, as_json=as_json)


def _refuse_beside_model(ratings: str | None, history: str | None, given: dict[str, Any]) -> None:
    if ratings is None and history is None:
        raise CommandError(
            "A model file lists no users: beside -m give RATINGS, from which their histories come, or a history with "
            "--history."
        )
    refuse_beside_model("", given)


def _users(
    fitted: Any, given: RatingsInput | None, user: list[str] | None, history: str | None, *, everyone: bool
) -> Users:
    """Return whom to recommend to, and what they have."""
    if history is not None:
        return _user_of_history(fitted, history)
    assert given is not None
    if not any(plain(item) in fitted.item_index_ for item in given.log.items):
        raise CommandError(f"The model knows none of the items of {given.name}, so histories from there say nothing.")
    wanted = None if everyone else [plain(given.log.users[0])] if user is None else typed_users(user, given)
    return Users(*fitted.rows_of_users(wanted, given.log))


def _user_of_history(fitted: Any, text: str) -> Users:
    names = ItemNames(fitted.item_index_, fitted.titles_)
    found = read_history(text, names)
    rows, rated = fitted.rows_of_history(found)
    if rated and fitted.rating_scale_ is None:
        note("Note: the model was fitted without ratings, so those of --history count for nothing.")
    pairs = [entry if rated else (entry, None) for entry in found]
    # Titles have commas in them.
    said = "; ".join(names.called(item) + ("" if rating is None else f" {rating:g}") for item, rating in pairs)
    return Users([None], rows, rated, said)


def _items_among(fitted: Any, among: Path | None, asked: dict[str, str | None]) -> list[Any] | None:
    if among is None:
        return None
    found = ids_in(among, fitted.items_, asked)
    if not set(found) & set(fitted.item_index_):
        raise CommandError(f"None of the items of {among} is known to the model.")
    return found


def _items_named(fitted: Any, exclude: str | None) -> list[Any] | None:
    return None if exclude is None else read_items(exclude, ItemNames(fitted.item_index_, fitted.titles_), "--exclude")


def _lists(fitted: Any, users: Users, k: int, among: Any, exclude: Any, include_seen: bool) -> Lists:
    """Ask the model; of few users also what they would rate the items."""
    columns = fitted.recommend_rows(
        users.rows, k, rated=users.rated, exclude_seen=not include_seen, among=among, exclude=exclude
    )
    positives = np.diff(fitted.positives(users.rows, rated=users.rated).indptr).tolist()
    predicted = None
    if fitted.rating_scale_ is not None and len(users.ids) <= _MOST_RATED:
        # As Recommender.predict would without a frame.
        predicted = fitted.predict_rows(users.rows, columns["row"], columns["item"].tolist(), rated=users.rated)[0]
    return Lists(users, columns, predicted, positives)
