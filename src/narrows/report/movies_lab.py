"""The report of the lab on films."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from narrows.labs.words import error_text
from narrows.report.html import Section, Table, write_report
from narrows.report.plots import plain_ticks
from narrows.report.recommend_plots import plot_bars, plot_item_map
from narrows.report.theme import new_figure, require_matplotlib, style_axes, theme_of

if TYPE_CHECKING:
    import os

    from matplotlib.figure import Figure

    from narrows.labs.movies_results import Film, MoviesResult

__all__ = ["movies_lab_report", "movies_tables"]

LONGEST_TITLE = 48
"""Letters of a title in a table; a longer one goes without its year."""


def movies_tables(result: MoviesResult) -> dict[str, Table]:
    """Return the lab's numbers as tables, for the terminal and for the report, by what they are of.

    Parameters
    ----------
    result : MoviesResult
        A lab that has been run.

    Returns
    -------
    dict of Table
        In lists of films nothing is marked as best.
    """
    user = f"user {result.user}"
    word = f"the genre {result.group.lower()}" if result.kind == "genre" else result.group.lower()
    return {
        "As taught: the loss over all cells of the table, zeros and all": _loss_table(result),
        "As taught: errors in stars, of ratings that were hidden": _taught_stars_table(result),
        f"As taught: the list for {user}": _taught_list(result),
        "Predicted stars": _stars_table(result),
        "Lists of films, for users not in the fit": _ranking_table(result),
        f"What {user} liked most": _films(result.liked, "film", "stars"),
        f"What narrows recommends to {user}": _films(result.recommended, "film", "stars foretold"),
        f"Recommended to somebody who loves {word}": _films(result.recommended_new, "film", result.kind),
        f"Most like {_listed(result.similar_to.title)}": _films(result.similar, "film", result.kind),
    }


def _loss_table(result: MoviesResult) -> Table:
    taught = result.taught
    values = (taught.validation_loss, taught.zero_loss, taught.mean_row_loss)
    names = ("network as taught", "zeros everywhere", "average row")
    rows = tuple((name, error_text(value)) for name, value in zip(names, values, strict=True))
    return Table(("answer", "validation loss"), rows, (None, values.index(min(values))))


def _taught_stars_table(result: MoviesResult) -> Table:
    values = _taught_errors(result)
    lengths = list(values.values())
    rows = tuple((name, f"{value:.3f}") for name, value in values.items())
    return Table(("answer", "RMSE in stars"), rows, (None, lengths.index(min(lengths))))


def _taught_errors(result: MoviesResult) -> dict[str, float]:
    taught = result.taught
    return {
        "network as taught": taught.rmse_network,
        "zeros everywhere": taught.rmse_zero,
        "mean of all ratings": taught.rmse_mean,
        "mean of each film": taught.rmse_item_mean,
    }


def _taught_list(result: MoviesResult) -> Table:
    rows = []
    for number, line in enumerate(result.taught.suggestions, 1):
        known = "no film"
        if line.names_film:
            known = _listed(line.read_title) if line.read_title else "a film without a title"
        meant = _listed(line.title) if line.title else f"item {line.item}"
        rows.append((f"{number}. {meant}", f"{line.stars:.2f}", str(line.printed), known))
    return Table(("the film that is meant", "stars", "printed", "which is the id of"), tuple(rows))


def _stars_table(result: MoviesResult) -> Table:
    heads = ("answer", "RMSE in stars", "MAE in stars", "RMSE, users not in the fit")
    rows = tuple(
        (one.name, f"{one.rmse:.3f}", f"{one.mae:.3f}", "-" if one.rmse_new is None else f"{one.rmse_new:.3f}")
        for one in result.stars
    )
    columns = [[one.rmse, one.mae, one.rmse_new or float("inf")] for one in result.stars]
    return Table(heads, rows, (None, *(min(range(len(rows)), key=lambda r, c=c: columns[r][c]) for c in range(3))))  # type: ignore[misc]


def _ranking_table(result: MoviesResult) -> Table:
    heads = ("list by", "NDCG@100", "recall@20", "precision@10", "films covered")
    rows = tuple(
        (
            one.name,
            f"{one.ndcg:.3f} ± {one.ndcg_error:.3f}",
            f"{one.recall:.3f} ± {one.recall_error:.3f}",
            f"{one.precision:.3f} ± {one.precision_error:.3f}",
            f"{one.coverage:.1%}",
        )
        for one in result.ranking
    )
    best = [
        max(range(len(rows)), key=lambda r, m=measure: getattr(result.ranking[r], m))  # type: ignore[misc]
        for measure in ("ndcg", "recall", "precision")
    ]
    return Table(heads, rows, (None, *best, None))


def _films(films: tuple[Film, ...], head: str, what: str) -> Table:
    rows = tuple(
        (
            f"{number}. {_listed(film.title)}",
            film.group.lower() if what in ("genre", "taste") else _stars(film.stars),
            f"{film.mean_stars:.2f}",
            f"{film.n_ratings:,}",
        )
        for number, film in enumerate(films, 1)
    )
    return Table((head, what, "mean", "ratings"), rows)


def _listed(title: str) -> str:
    """Return a title without other names in brackets, no longer than there is room for in 80 columns."""
    found = re.fullmatch(r"(.*?)((?: \(\d{4}\))?)", title)
    name, year = (found[1], found[2]) if found else (title, "")
    name = re.sub(r"\s*\([^()]*\)", "", name).strip() or name
    if len(name) + len(year) <= LONGEST_TITLE:
        return name + year
    return name if len(name) <= LONGEST_TITLE else name[: LONGEST_TITLE - 1].rpartition(" ")[0].rstrip(" ,:-") + " …"


def _stars(stars: float | None) -> str:
    return "-" if stars is None else f"{stars:.1f}"


def movies_lab_report(result: MoviesResult, path: str | os.PathLike[str]) -> None:
    """Write the report of the lab: one HTML file with its numbers, what they say, and pictures.

    Parameters
    ----------
    result : MoviesResult
        A lab that has been run.
    path : path-like
        The file.

    Raises
    ------
    DataError
        If matplotlib is missing or the file cannot be written.

    Examples
    --------
    >>> from narrows.labs import run_movies_lab
    >>> from narrows.report import movies_lab_report
    >>> movies_lab_report(run_movies_lab(), "report.html")  # doctest: +SKIP
    """
    require_matplotlib()
    taught = result.taught
    lead = (
        f"{taught.n_ratings:,} ratings that {taught.n_users:,} users gave to {taught.n_items:,} films; seed "
        f"{result.seed}."
    )
    if result.made_up:
        lead = f"Made-up ratings, not those of people: {lead}"
    write_report(path, "Films: the lab on recommending", _sections(result), lead=lead)


def _sections(result: MoviesResult) -> list[Section]:
    tables = list(movies_tables(result).items())
    return [
        Section("What the numbers say", items=result.lessons),
        *_taught_sections(result, tables[:3]),
        *_measured_sections(result, tables[3:5]),
        *_list_sections(result, tables[5:]),
        _map_section(result),
        Section("How it was done", items=result.notes),
        Section("The data", items=result.sources),
    ]


def _taught_sections(result: MoviesResult, tables: list[tuple[str, Table]]) -> list[Section]:
    loss, stars, films = tables
    taught = result.taught
    return [
        Section(
            loss[0],
            "Stars are divided by 5 and stand in a table of users by films, with 0 where there is no rating. The loss "
            "is the mean squared error over all its cells; the best is bold.",
            table=loss[1],
            figure=lambda theme: _plot_loss(result, theme),
            caption=f"The loss of the {taught.n_train:,} users of the fit, pass by pass, and of the "
            f"{taught.n_validation:,} held out at the end; dotted, the same users' loss for a table of zeros and for "
            "the average row.",
        ),
        Section(
            stars[0],
            f"A tenth of the ratings of the users held out, {taught.n_hidden:,}, is set to 0 in what the network is "
            f"shown. On average they are {taught.true_mean_stars:.2f} stars; the network says {taught.mean_stars:.2f}. "
            "The best is bold.",
            table=stars[1],
        ),
        Section(
            films[0],
            "The network's scores for the films not rated are sorted, and positions in that list are printed as if "
            "they were ids of films. On the left what is meant; on the right what a reader finds under the number.",
            table=films[1],
        ),
    ]


def _measured_sections(result: MoviesResult, tables: list[tuple[str, Table]]) -> list[Section]:
    stars, ranking = tables
    least = "" if result.least_rmse is None else f" Who knew all they were made from: {result.least_rmse:.3f}."
    errors = {score.name: score.rmse for score in result.stars}
    tried = Section("How narrows chose", f"It took what it did for this: {result.reason}.", _tried(result))
    return [
        Section(
            stars[0],
            f"Of {result.n_stars:,} ratings hidden at random; and, for users who are not in the fit, of a fifth of "
            f"their ratings from the rest. The best of a column is bold.{least}",
            table=stars[1],
            figure=lambda theme: plot_bars(
                {"as taught: RMSE in stars": _taught_errors(result), "RMSE in stars, hidden at random": errors},
                highlight=("network as taught", "narrows"),
                same_scale=True,
                theme=theme,
            ),
            caption="How far off predicted stars are, less being better: the network as taught and narrows, each "
            "beside simple answers for the same ratings.",
        ),
        Section(
            ranking[0],
            "A fifth of the users is held out; a fifth of what each of them has is hidden, and films liked among it "
            f"are to be found. Means over {result.n_asked:,} users ± standard errors; the best of a column is bold. "
            "Films covered: the share of all films in any first ten.",
            table=ranking[1],
            figure=lambda theme: plot_bars(
                {
                    "NDCG@100": {one.name: (one.ndcg, one.ndcg_error) for one in result.ranking},
                    "recall@20": {one.name: (one.recall, one.recall_error) for one in result.ranking},
                },
                highlight=("narrows",),
                theme=theme,
            ),
            caption="How good the lists are, more being better; lines are standard errors over users. 1 would be a "
            "list with all that users went on to like at its top.",
        ),
        *([tried] if result.candidates else []),
    ]


def _tried(result: MoviesResult) -> Table | None:
    if not result.candidates:
        return None
    rows = tuple((one.name, f"{one.ndcg:.3f} ± {one.error:.3f}") for one in result.candidates)
    values = [one.ndcg for one in result.candidates]
    return Table(("tried on users of the fit", "NDCG@100"), rows, (None, values.index(max(values))))


def _list_sections(result: MoviesResult, tables: list[tuple[str, Table]]) -> list[Section]:
    liked, recommended, new, similar = tables
    loved = "; ".join(_listed(film.title) for film in result.history)
    return [
        Section(liked[0], "Mean and number of ratings are those of all users.", table=liked[1]),
        Section(
            recommended[0],
            "In the order of the list, which is that of what users alike went on to like, not of predicted stars.",
            table=recommended[1],
        ),
        Section(
            new[0],
            f"A made-up user who is in no data, and gave the most stars to these: {loved}.",
            table=new[1],
        ),
        Section(similar[0], "By what the model that ranks holds of the two films.", table=similar[1]),
    ]


def _map_section(result: MoviesResult) -> Section:
    shown = result.exhibits
    return Section(
        "A map of films",
        figure=lambda theme: plot_item_map(shown.points, shown.titles, shown.groups, order=shown.order, theme=theme),
        caption=f"The {result.n_mapped:,} most-rated films, by t-SNE: films lie together that are alike to the model, "
        f"and distances further off mean nothing. Colours are {result.kind}s, which it was not told; titles are "
        "written where there is room, of the best known first.",
    )


def _plot_loss(result: MoviesResult, theme: str) -> Figure:
    """Draw the loss of the fit, and beside it that of users held out, on one scale."""
    taught, colours = result.taught, theme_of(theme)
    figure = new_figure(9.4, 3.6, colours)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1.6))
    style_axes(left, colours, title="users of the fit", xlabel="passes over the users", ylabel="loss over all cells")
    style_axes(right, colours, title="users held out")
    records = [(record["epoch"], record["loss"]) for record in taught.history if "loss" in record]
    left.plot(*zip(*records, strict=True), color=colours.series[0], lw=1.8)
    left.xaxis.get_major_locator().set_params(integer=True)
    right.plot([0.1], [taught.validation_loss], "o", color=colours.series[0], ms=8, zorder=3)
    note = {"textcoords": "offset points", "fontsize": 9, "color": colours.ink, "ha": "left", "zorder": 4}
    # On paper of its own, as a dotted line may run through it.
    box = {"facecolor": colours.paper, "edgecolor": "none", "pad": 1.5}
    words = f"network {error_text(taught.validation_loss)}"
    right.annotate(words, (0.1, taught.validation_loss), (-6, 12), bbox=box, **note)
    right.set_xlim(0, 1)
    right.set_xticks([])
    held_out = {"zeros everywhere": taught.zero_loss, "average row": taught.mean_row_loss}
    for axes, levels in ((left, result.exhibits.training_levels), (right, held_out)):
        _levels(axes, levels, colours)
    values = [value for _, value in records] + [taught.validation_loss, *held_out.values()]
    values += result.exhibits.training_levels.values()
    low, high = min(values), max(values)
    if high > 3 * low > 0:
        left.set_yscale("log")
        left.set_ylim(low * (low / high) ** 0.1, high * (high / low) ** 0.08)
        plain_ticks(left.yaxis)
    return figure


def _levels(axes: Any, levels: dict[str, float], colours: Any) -> None:
    """Draw losses of trivial answers across, the upper one written above its line and the lower one below."""
    upper = max(levels, key=lambda name: levels[name])
    for name, level in levels.items():
        axes.axhline(level, color=colours.series[1] if name == "zeros everywhere" else colours.faint, lw=1.2, ls=":")
        above = name == upper
        style = {"textcoords": "offset points", "color": colours.faint, "fontsize": 8.5, "ha": "right"}
        axes.annotate(
            f"{name} {error_text(level)}",
            (1, level),
            (-3, 3 if above else -3),
            xycoords=("axes fraction", "data"),
            va="bottom" if above else "top",
            **style,
        )
