"""``narrows recommend``: the items that users of a log, or anyone with a history, would like best."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it at runtime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from narrows.cli.arguments import (  # noqa: TC001 - typer reads them at runtime
    AsJson,
    Device,
    ItemColumn,
    RatingColumn,
    RatingMethod,
    TimestampColumn,
    Titles,
    UserColumn,
)
from narrows.cli.lists import Lists, Whom, record_of, show, write
from narrows.cli.recommender import fitted_recommender, load_recommender, options_of
from narrows.cli.show import note, print_json
from narrows.cli.values import CommandError

if TYPE_CHECKING:
    import numpy as np

    from narrows.cli.logs import Given

__all__ = ["recommend"]

TABLES = (".csv", ".tsv", ".parquet", ".pq")


def recommend(
    ratings: Annotated[
        str | None,
        typer.Argument(
            metavar="RATINGS",
            help="A log of users and items (csv, tsv, Parquet), or movielens-small; without it one is made up.",
        ),
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", "-u", metavar="ID,...", help="Whom to recommend to; may be given several times."),
    ] = None,
    history: Annotated[
        str | None,
        typer.Option(
            "--history",
            metavar="ITEMS",
            help="Someone's items, by title or id, with ratings or none: 'Toy Story (1995)::5, Heat (1995)::4'.",
        ),
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Recommend to all users of RATINGS, into -o.")] = False,
    k: Annotated[int, typer.Option("-k", metavar="N", min=1, help="How many items each.")] = 10,
    items: Titles = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", "-m", metavar="MODEL", help="A fitted recommender; RATINGS then only tells who has what."
        ),
    ] = None,
    method: RatingMethod = None,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Recommend also what someone has already.")
    ] = False,
    among: Annotated[
        Path | None, typer.Option("--among", metavar="FILE", help="Recommend only items in a column of this table.")
    ] = None,
    exclude: Annotated[
        str | None, typer.Option("--exclude", metavar="ITEMS", help="Never recommend these, by title or id.")
    ] = None,
    user_column: UserColumn = None,
    item_column: ItemColumn = None,
    rating_column: RatingColumn = None,
    timestamp_column: TimestampColumn = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="OUT", help="Write the lists as a table: .csv, .tsv or .parquet."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="MODEL", help="Keep the fitted recommender, for -m.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="INT", min=0, help="Fixes the fit [default: 0].", show_default=False),
    ] = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Recommend items to users of RATINGS, or to anyone with a history.

    A recommender is fitted to RATINGS, unless -m names one. Who has no history gets what is popular. Columns are found
    by their usual names (userId, movie_id, stars, ...). Where there are ratings, what was rated the mean or more counts
    as liked, and the rating that is predicted stands beside each item, for up to 1,000 users.
    """
    from narrows.cli.logs import column_names, read_ratings, read_titles

    asked = column_names(user_column, item_column, rating_column, timestamp_column)
    _check_together(ratings, user, history, model, everyone=everyone, out=out)
    if model is not None:
        _refuse_beside_model(method, save, seed)
    _check_places(out, save, _inputs(ratings, items, among, model))
    given: Given | None = None
    if ratings is not None or model is None:
        given = read_ratings(ratings, asked, items if model is None else None)
    if model is None:
        assert given is not None
        options = options_of({"method": method, "random_state": seed, **asked})
        fitted = fitted_recommender(given, options | {"device": device})
    else:
        fitted = load_recommender(model, device)
        if items is not None:
            fitted.titles_ = fitted.titles_ | read_titles(items, fitted.items_, asked)
    whom = _whom(fitted, given, user, history, everyone=everyone)
    lists = _recommended(fitted, whom, k, asked, seen=not include_seen, among=among, exclude=exclude)
    if user is None and history is None and not everyone:
        note(f"Note: no one was named with --user, --history or --all, so this is for user {whom.ids[0]}, the first.")
    written: dict[str, Path] = {}
    if save is not None:
        fitted.save(save)
        written["model"] = save
    if out is not None:
        write(out, lists)
        written["file"] = out
    if as_json:
        print_json(record_of(fitted, given, lists, short=everyone) | written)
    else:
        show(fitted, given, lists, written)


def _check_together(
    ratings: str | None,
    user: list[str] | None,
    history: str | None,
    model: Path | None,
    *,
    everyone: bool,
    out: Path | None,
) -> None:
    """Refuse what makes no sense together, before anything is read."""
    ways = {"--user": user is not None, "--history": history is not None, "--all": everyone}
    named = [flag for flag, is_given in ways.items() if is_given]
    if len(named) > 1:
        raise CommandError(f"{' and '.join(named)} do not go together: each says whom to recommend to.")
    if everyone and out is None:
        raise CommandError("--all makes a list for each user of the log: name a file for them with -o.")
    if model is not None and ratings is None and history is None:
        raise CommandError(
            "A model file lists no users: beside -m give RATINGS, from which their histories come, or a history with "
            "--history."
        )


def _refuse_beside_model(method: str | None, save: Path | None, seed: int | None) -> None:
    asked = next(
        (flag for flag, value in (("method", method), ("save", save), ("seed", seed)) if value is not None), None
    )
    if asked is not None:
        raise CommandError(f"--{asked} is for fitting, and -m names a model that is fitted: leave one of them out.")


def _inputs(ratings: str | None, *others: Path | None) -> list[Path | None]:
    from narrows.cli.logs import file_of_log

    return [None if ratings is None else file_of_log(ratings), *others]


def _check_places(out: Path | None, save: Path | None, inputs: list[Path | None]) -> None:
    from narrows.cli import files

    if out is not None:
        if out.suffix.lower() not in TABLES:
            raise CommandError(f"{out} must be a .csv, .tsv or .parquet file, for some of its columns are text.")
        files.check_table_place(out, *inputs)
    if save is not None:
        files.check_model_place(save, *inputs)


def _whom(fitted: Any, given: Given | None, user: list[str] | None, history: str | None, *, everyone: bool) -> Whom:
    from narrows.cli.logs import typed_users
    from narrows.recommend.interactions import plain

    if history is not None:
        return _with_history(fitted, history)
    assert given is not None
    if not any(plain(item) in fitted._places for item in given.log.items):
        raise CommandError(f"The model knows none of the items of {given.name}, so histories from there say nothing.")
    if everyone:
        wanted = None
    elif user is not None:
        wanted = typed_users(user, given.log, given.name)
    else:
        wanted = [plain(given.log.users[0])]
    return Whom(*fitted._rows(wanted, given.log))


def _with_history(fitted: Any, text: str) -> Whom:
    from narrows.cli.histories import Names, read_history
    from narrows.recommend.queries import history_interactions

    names = Names(fitted._places, fitted.titles_)
    found = read_history(text, names)
    log = history_interactions(found, fitted._columns())
    if log.rated and fitted._rater is None:
        note("Note: the model was fitted without ratings, so those of --history count for nothing.")
    rows, _ = log.on_items(fitted._places, len(fitted.items_))
    pairs = [entry if log.rated else (entry, None) for entry in found]
    # Titles have commas in them.
    said = "; ".join(names.called(item) + ("" if rating is None else f" {rating:g}") for item, rating in pairs)
    return Whom([None], rows, log.rated, said)


def _recommended(
    fitted: Any,
    whom: Whom,
    k: int,
    asked: dict[str, str | None],
    *,
    seen: bool,
    among: Path | None,
    exclude: str | None,
) -> Lists:
    """Ask the model; of few users also what they would rate the items."""
    import numpy as np

    from narrows.cli.histories import Names, read_items
    from narrows.cli.logs import ids_in, log_mistakes

    only, never = None, None
    if among is not None:
        only = ids_in(among, fitted.items_, asked)
        if not set(only) & set(fitted._places):
            raise CommandError(f"None of the items of {among} is known to the model.")
    if exclude is not None:
        never = read_items(exclude, Names(fitted._places, fitted.titles_), "--exclude")
    with log_mistakes():
        columns = fitted._recommended(whom.rows, k, rated=whom.rated, seen=seen, among=only, exclude=never)
    liked = np.diff(fitted._liked(whom.rows, rated=whom.rated).indptr).tolist()
    return Lists(whom, columns, _predicted(fitted, whom, columns), liked)


def _predicted(fitted: Any, whom: Whom, columns: dict[str, Any]) -> np.ndarray | None:
    """Return the ratings that are predicted, as ``Recommender.predict`` would without a frame."""
    from narrows.recommend.queries import ratings_in

    if fitted._rater is None or len(whom.ids) > 1000:
        return None
    rows = ratings_in(whom.rows, rated=whom.rated)
    found: np.ndarray = fitted._foretold(rows, columns["row"], columns["item"].tolist())[0]
    return found
