"""Films through a wide network as courses teach it: a table of stars with zeros for what nobody rated.

The network is measured in the two ways that matter. Its loss over all cells is held against that of saying "0"
everywhere, and its stars, for ratings it was not shown, against the mean of all ratings and of each film's. And its
list of films is read as courses print it, and as it should be read.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.autoencoder import Autoencoder
from narrows.errors import DataError
from narrows.labs.fits import Progress, fit_quietly
from narrows.likelihoods import Gaussian
from narrows.networks import Dense
from narrows.training.optimisers import Adam

if TYPE_CHECKING:
    from narrows.datasets import Ratings

__all__ = ["Suggestion", "TaughtResult", "run_taught"]

HIDDEN, CODE, EPOCHS, BATCH = 512, 256, 50, 256
STARS = 5.0
VALIDATION_SHARE, HIDDEN_SHARE = 0.2, 0.1
SPLIT_SEED = 42
LISTED = 10
# The table is dense, as taught; this many cells take a gigabyte.
MOST_CELLS = 2**28


@dataclass(frozen=True)
class Suggestion:
    """A line of the list of unseen films.

    Attributes
    ----------
    printed : int
        The number that is printed as the film's id: its position among the films the user has not rated.
    item : int
        The id of the film at that position.
    title : str or None
        Its title, where titles are known.
    stars : float
        What the network foretells.
    read_title : str or None
        The title of the film that has the printed number as its id, for which a reader must take it; None if there
        is no such film or it has no title.
    names_film : bool
        Whether there is a film of that id at all.
    """

    printed: int
    item: int
    title: str | None
    stars: float
    read_title: str | None
    names_film: bool

    @property
    def right(self) -> bool:
        """Whether the printed number happens to be the film's id."""
        return self.printed == self.item


@dataclass(frozen=True)
class TaughtResult:
    """The network as taught, and what its numbers are worth. Two runs are equal when all but their times is.

    Losses are mean squared errors over all cells of the table, stars divided by 5. Errors (RMSE) are in stars, over
    ratings of validation users that were set to 0 in what the network was shown.

    Attributes
    ----------
    data, source : str
        Name of the ratings; their licence and citation.
    seed, split_seed : int
        What the network's start and the hidden ratings came from; and the split of the users.
    n_users, n_items, n_ratings : int
        Size of the table, and its cells that are not empty.
    n_train, n_validation : int
        Users fitted, and users held out.
    layers : tuple of int
        Widths, from input to output.
    output : str
        Activation of the output.
    epochs, steps : int
        Passes over the training users, and training steps.
    seconds : float
        Time of the fit. Does not count when results are compared.
    validation_loss : float
        What a course reports: the loss of the held-out users.
    zero_loss, mean_row_loss : float
        The same for the answer "0" everywhere, and for the average row of the training users.
    n_hidden : int
        Ratings hidden for the errors in stars: a tenth of the validation users'.
    rmse_network, rmse_zero, rmse_mean, rmse_item_mean : float
        Errors of the network, of "0", of the mean of all ratings not hidden, and of each film's mean of these (of
        all, for a film without any).
    mean_stars : float
        What the network foretells for the hidden ratings, on average.
    true_mean_stars : float
        What they are.
    user : int
        Whom the list is for.
    user_was_fitted : bool
        Whether the user is one of those the network was fitted to.
    n_unseen : int
        Films the user has not rated.
    n_tied : int
        Unseen films with exactly the score of the last one listed, that one included: which of them are listed is
        chance. A sigmoid far on the side of "0" gives exactly 0 to all of them.
    suggestions : tuple of Suggestion
        The list, best first; ties in the order of ids.
    warning : str or None
        What the fit warned of.
    history : list of dict
        The loss while training, as in ``Autoencoder.history_``.
    """

    data: str
    source: str
    seed: int
    split_seed: int
    n_users: int
    n_items: int
    n_ratings: int
    n_train: int
    n_validation: int
    layers: tuple[int, ...]
    output: str
    epochs: int
    steps: int
    seconds: float = field(compare=False)
    validation_loss: float
    zero_loss: float
    mean_row_loss: float
    n_hidden: int
    rmse_network: float
    rmse_zero: float
    rmse_mean: float
    rmse_item_mean: float
    mean_stars: float
    true_mean_stars: float
    user: int
    user_was_fitted: bool
    n_unseen: int
    n_tied: int
    suggestions: tuple[Suggestion, ...]
    warning: str | None
    history: list[dict[str, Any]] = field(repr=False, compare=False)

    @property
    def n_named(self) -> int:
        """How many of the printed numbers are the id of some film."""
        return sum(line.names_film for line in self.suggestions)

    @property
    def n_right(self) -> int:
        """How many of them are the id of the film that is meant."""
        return sum(line.right for line in self.suggestions)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as dictionaries, lists, text and numbers, ready for JSON; without the history.

        Returns
        -------
        dict
        """
        plain = asdict(self)
        del plain["history"]
        plain["layers"] = list(self.layers)
        plain["suggestions"] = [{**asdict(line), "right": line.right} for line in self.suggestions]
        return {**plain, "n_named": self.n_named, "n_right": self.n_right}


@dataclass(frozen=True)
class _Table:
    """Users by films, stars divided by 5, zeros for what was not rated."""

    cells: np.ndarray
    users: np.ndarray
    items: np.ndarray
    train: np.ndarray
    validation: np.ndarray


def run_taught(
    ratings: Ratings,
    *,
    seed: int = 0,
    split_seed: int = SPLIT_SEED,
    user: int | None = None,
    output: str = "sigmoid",
    max_epochs: int = EPOCHS,
    progress: Progress = lambda stage, detail: None,  # noqa: ARG005
) -> TaughtResult:
    """Fit the recommender of a first course and measure what it has learnt.

    The table has a row a user and a column a film, and 0 where there is no rating. Four fifths of the users are
    fitted: layers of 512, 256 and 512 units, ReLU, Adam at 0.001, batches of 256, 50 passes, squared error over all
    cells.

    Parameters
    ----------
    ratings : Ratings
        With ratings above 0, up to 5.
    seed : int, default 0
        Fixes everything random but the split: a second run gives the same numbers, apart from times.
    split_seed : int, default 42
        Which users are held out, by scikit-learn's ``train_test_split``. On MovieLens latest-small 42 gives the loss
        of 0.0120 that is taught; with other users the table of zeros itself has one of 0.008 to 0.011.
    user : int, optional
        Whom to list films for; the first.
    output : {"sigmoid", "identity"}, default "sigmoid"
        Activation of the output.
    max_epochs : int, default 50
        Passes over the training users; fewer for a quick look.
    progress : callable, optional
        Told what is being done: a stage, and how far it is (may be empty).

    Returns
    -------
    TaughtResult
        Numbers, and the list of films.

    Raises
    ------
    DataError
        If there are no ratings, or some not above 0 or above 5; fewer than five users; a table too large; or no such
        user.

    Examples
    --------
    >>> from narrows.datasets import make_ratings
    >>> from narrows.labs.movies_taught import run_taught
    >>> result = run_taught(make_ratings(200, 300, 3000, random_state=0))
    >>> result.rmse_mean < result.rmse_network
    True
    """
    progress("laying out the table", "")
    table = _table(ratings, split_seed)
    number = 0 if user is None else int(np.searchsorted(table.users, user))
    if user is not None and (number == len(table.users) or table.users[number] != user):
        raise DataError(f"There is no user {user!r} among the {len(table.users):,} of {ratings.name}.")
    model = _network(seed, output, max_epochs, progress)
    progress("fitting the network as taught", "")
    began = time.perf_counter()
    warning = fit_quietly(model, table.cells[table.train])
    seconds = time.perf_counter() - began
    progress("measuring", "")
    width = len(table.items)
    return TaughtResult(
        data=ratings.name,
        source=f"{ratings.citation}. Licence: {ratings.licence}.",
        seed=seed,
        split_seed=split_seed,
        n_users=len(table.users),
        n_items=width,
        n_ratings=int(np.count_nonzero(table.cells)),
        n_train=len(table.train),
        n_validation=len(table.validation),
        layers=(width, HIDDEN, CODE, HIDDEN, width),
        output=output,
        epochs=max_epochs,
        steps=int(model.n_steps_),
        seconds=seconds,
        **_losses(model, table),
        **_stars(model, table, seed),
        user=table.users[number].item(),
        user_was_fitted=bool(np.isin(number, table.train)),
        **_list(model, table, number, ratings.titles),
        warning=warning,
        history=model.history_,
    )


def _table(ratings: Ratings, split_seed: int) -> _Table:
    from sklearn.model_selection import train_test_split

    stars = ratings.rating
    if stars is None or not len(stars):
        raise DataError(f"The network as taught is fitted to stars, and {ratings.name} has none.")
    if not (stars.min() > 0 and stars.max() <= STARS):
        raise DataError(f"Stars must be above 0 and at most 5; here they are {stars.min():g} to {stars.max():g}.")
    users, rows = np.unique(ratings.user, return_inverse=True)
    items, columns = np.unique(ratings.item, return_inverse=True)
    if len(users) < 5:
        raise DataError(f"A fifth of the users is held out, so there must be at least 5, not {len(users)}.")
    if len(users) * len(items) > MOST_CELLS:
        raise DataError(
            f"{len(users):,} users by {len(items):,} items make too large a table: the network as taught wants every "
            f"cell in memory, so it takes {MOST_CELLS:,} at most."
        )
    cells = np.zeros((len(users), len(items)), dtype=np.float32)
    cells[rows, columns] = stars / np.float32(STARS)
    train, validation = train_test_split(np.arange(len(users)), test_size=VALIDATION_SHARE, random_state=split_seed)
    return _Table(cells, users, items, train, validation)


def _network(seed: int, output: str, max_epochs: int, progress: Progress) -> Autoencoder:
    def tell(record: dict[str, Any]) -> None:
        progress("fitting the network as taught", f"pass {record['epoch']:.3g}, error {record['loss']:.4f}")

    return Autoencoder(
        CODE,
        network=Dense(
            (HIDDEN,),
            activation="relu",
            code_activation="relu",
            output_activation=output,
            linear_path=False,
            init="glorot",
        ),
        likelihood=Gaussian(bounds="none"),
        scaling="none",
        optimizer=Adam(eps=1e-7),
        schedule="constant",
        learning_rate=1e-3,
        batch_size=BATCH,
        max_epochs=max_epochs,
        early_stopping=False,
        validation_fraction=0,
        random_state=seed,
        callbacks=(tell,),
    )


def _losses(model: Autoencoder, table: _Table) -> dict[str, Any]:
    held_out = table.cells[table.validation]
    answers = {
        "validation_loss": model.reconstruct(held_out),
        "zero_loss": np.zeros_like(held_out),
        "mean_row_loss": table.cells[table.train].mean(0, dtype=np.float64),
    }
    return {name: float(np.square(held_out - answer, dtype=np.float64).mean()) for name, answer in answers.items()}


def _stars(model: Autoencoder, table: _Table, seed: int) -> dict[str, Any]:
    """Hide a tenth of the validation users' ratings, and measure what is said of them."""
    rows, columns = np.nonzero(table.cells[table.validation])
    n_hidden = max(1, round(HIDDEN_SHARE * len(rows)))
    chosen = np.random.default_rng(seed).choice(len(rows), n_hidden, replace=False)
    rows, columns = rows[chosen], columns[chosen]
    shown = table.cells.copy()
    truth = STARS * shown[table.validation[rows], columns].astype(np.float64)
    shown[table.validation[rows], columns] = 0
    said = STARS * model.reconstruct(shown[table.validation])[rows, columns].astype(np.float64)
    known = (shown > 0).sum(0)
    sums = STARS * shown.sum(0, dtype=np.float64)
    mean = sums.sum() / max(1, known.sum())
    item_means = np.where(known > 0, sums / np.maximum(known, 1), mean)

    def rmse(answer: np.ndarray | float) -> float:
        return float(np.sqrt(np.square(truth - answer).mean()))

    return {
        "n_hidden": n_hidden,
        "rmse_network": rmse(said),
        "rmse_zero": rmse(0.0),
        "rmse_mean": rmse(mean),
        "rmse_item_mean": rmse(item_means[columns]),
        "mean_stars": float(said.mean()),
        "true_mean_stars": float(truth.mean()),
    }


def _list(model: Autoencoder, table: _Table, number: int, titles: dict[int, str] | None) -> dict[str, Any]:
    """List the unseen films of highest score; the course takes positions in the list of scores for ids."""
    row = table.cells[number]
    unseen = np.flatnonzero(row == 0)
    scores = model.reconstruct(row[None])[0][unseen]
    best = np.argsort(-scores, kind="stable")[:LISTED]
    titles = titles or {}
    films = titles.keys() | set(table.items.tolist())
    suggestions = tuple(
        Suggestion(
            printed=int(position),
            item=(item := table.items[unseen[position]].item()),
            title=titles.get(item),
            stars=float(STARS * scores[position]),
            read_title=titles.get(int(position)),
            names_film=int(position) in films,
        )
        for position in best
    )
    n_tied = int((scores == scores[best[-1]]).sum()) if len(best) else 0
    return {"n_unseen": len(unseen), "n_tied": n_tied, "suggestions": suggestions}
