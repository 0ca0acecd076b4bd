"""``narrows recommend``: the items that users of a log, or anyone with a history, would like best."""

from pathlib import Path
from typing import Any

import numpy as np

from narrows.cli import files
from narrows.cli.errors import CommandError
from narrows.cli.flags import parse, refuse_beside_model, refuse_together
from narrows.cli.printing import note
from narrows.cli.recommend.fit import describe_model, fitted_recommender, load_recommender
from narrows.cli.recommend.output import Lists, show, write
from narrows.cli.recommend.ratings_input import (
    RatingsInput,
    column_names,
    file_of_log,
    ids_in,
    read_ratings,
    titles_in,
    typed_users,
)
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
        refuse_beside_model("", {"--method": method, "--save": save, "--seed": seed})
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
    if history is None:
        log, said = _rows_of_log(fitted, given, user, everyone=everyone), ""
    else:
        log, said = _row_of_history(fitted, history)
    options = _options(fitted, among, exclude, asked) | {"exclude_seen": not include_seen}
    lists = _lists(fitted, [None] if history else log.users.tolist(), log, k, **options)
    if not any(ways.values()):
        note(f"Note: no one was named with --user, --history or --all, so this is for user {lists.ids[0]}, the first.")
    written: dict[str, Path] = {}
    if save is not None:
        fitted.save(save)
        written["model"] = save
    if out is not None:
        write(out, lists)
        written["file"] = out
    source = None if given is None else given.describe()
    record = {"log": source, **describe_model(fitted), "history": said, "n_users": len(lists.ids), **written}
    show(record, lists, listed=not everyone and (out is None or as_json), as_json=as_json)


def _rows_of_log(fitted: Any, given: RatingsInput | None, user: list[str] | None, *, everyone: bool) -> Any:
    """Return what users of the log have."""
    if given is None:
        raise CommandError("A model file lists no users: beside -m give RATINGS with their histories, or --history.")
    given.check_known(fitted)
    first = given.log.users[:1].tolist()
    wanted = None if everyone else first if user is None else typed_users(user, given)
    return fitted.rows_of_users(wanted, given.log)


def _row_of_history(fitted: Any, text: str) -> tuple[Any, str]:
    """Return what a history holds, and how it was understood."""
    names = ItemNames(fitted.item_index_, fitted.titles_)
    found = read_history(text, names)
    log = fitted.rows_of_history(found)
    if log.rated and fitted.rating_scale_ is None:
        note("Note: the model was fitted without ratings, so those of --history count for nothing.")
    pairs = [entry if log.rated else (entry, None) for entry in found]
    # Titles have commas in them.
    said = "; ".join(names.called(item) + ("" if rating is None else f" {rating:g}") for item, rating in pairs)
    return log, said


def _options(fitted: Any, among: Path | None, exclude: str | None, asked: dict[str, str | None]) -> dict[str, Any]:
    """Return which items are to be chosen among, and which are left out."""
    found = None if among is None else ids_in(among, fitted.items_, asked)
    if found is not None and not fitted.item_index_.keys() & set(found):
        raise CommandError(f"None of the items of {among} is known to the model.")
    names = ItemNames(fitted.item_index_, fitted.titles_)
    return {"among": found, "exclude": None if exclude is None else read_items(exclude, names, "--exclude")}


def _lists(fitted: Any, ids: list[Any], log: Any, k: int, **options: Any) -> Lists:
    """Ask the model; of few users also what they would rate the items."""
    columns = fitted.recommend_rows(log, k, **options)
    if fitted.rating_scale_ is not None and len(ids) <= _MOST_RATED:
        # As Recommender.predict would without a frame.
        columns["predicted_rating"], _ = fitted.predict_rows(log, columns["row"], columns["item"].tolist())
    seen, positives = (np.diff(matrix.indptr).tolist() for matrix in (log.matrix, fitted.positives(log)))
    return Lists(ids, seen, positives, columns)
