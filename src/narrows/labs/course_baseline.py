"""What a first course does, the baseline of labs: its autoencoder, and its recommender on a table of stars.

The table has zeros for what nobody rated. The recommender's loss over all cells is held against that of predicting 0
everywhere, and its stars, for ratings it was not given, against means. Its list of films is read as courses print it,
and as it should be read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.autoencoder import Autoencoder
from narrows.datasets import Ratings
from narrows.errors import DataError
from narrows.likelihoods import Gaussian
from narrows.networks import Dense
from narrows.training.optimisers import Adam

if TYPE_CHECKING:
    Reconstruct = Callable[[np.ndarray], np.ndarray]

__all__ = ["RatingsTable", "course_autoencoder", "error_of_hidden", "losses", "suggestions"]

STARS = 5.0
VALIDATION_FRACTION, HIDDEN_FRACTION = 0.2, 0.1
SPLIT_SEED = 42
"""Of the users held out. On MovieLens latest-small it gives the loss of 0.0120 that courses report; with other users a
table of zeros has one of 0.008 to 0.011."""
N_LISTED = 10
# The table is dense, as in the course; this many cells take a gigabyte.
MOST_CELLS = 2**28


def course_autoencoder(
    n_components: int, hidden: int, *, epochs: int, seed: int, output: str = "sigmoid", batch_size: int = 32
) -> Autoencoder:
    """Return the autoencoder as courses write it in Keras: one ReLU layer on either side of a ReLU code.

    It is fitted by Adam at 0.001 to the squared error of all rows; none are held out.
    """
    network = Dense(
        (hidden,), activation="relu", code_activation="relu", output_activation=output, linear_path=False, init="glorot"
    )
    return Autoencoder(
        n_components,
        network=network,
        likelihood=Gaussian(bounds="none"),
        scaling="none",
        optimizer=Adam(eps=1e-7),
        schedule="constant",
        learning_rate=1e-3,
        batch_size=batch_size,
        max_epochs=epochs,
        early_stopping=False,
        validation_fraction=0,
        random_state=seed,
    )


@dataclass(frozen=True)
class RatingsTable:
    """Users by films, stars divided by 5, zeros for what was not rated; the users of the fit and those held out."""

    cells: np.ndarray
    users: np.ndarray
    items: np.ndarray
    train: np.ndarray
    validation: np.ndarray

    @classmethod
    def of(cls, ratings: Ratings) -> RatingsTable:
        """Lay out a log of ratings, of which a fifth of the users is held out."""
        from sklearn.model_selection import train_test_split

        stars = ratings.rating
        if stars is None or not len(stars):
            raise DataError(f"The course baseline is fitted to stars, and {ratings.name} has none.")
        if not (stars.min() > 0 and stars.max() <= STARS):
            raise DataError(f"Stars must be above 0 and at most 5; here they are {stars.min():g} to {stars.max():g}.")
        users, rows = np.unique(ratings.user, return_inverse=True)
        items, columns = np.unique(ratings.item, return_inverse=True)
        if len(users) < 5:
            raise DataError(f"A fifth of the users is held out, so there must be at least 5, not {len(users)}.")
        if len(users) * len(items) > MOST_CELLS:
            raise DataError(
                f"{len(users):,} users by {len(items):,} items make too large a table: the course baseline wants every "
                f"cell in memory, so it takes {MOST_CELLS:,} at most."
            )
        cells = np.zeros((len(users), len(items)), dtype=np.float32)
        cells[rows, columns] = stars / np.float32(STARS)
        numbers = np.arange(len(users))
        train, validation = train_test_split(numbers, test_size=VALIDATION_FRACTION, random_state=SPLIT_SEED)
        return cls(cells, users, items, train, validation)


def losses(reconstruct: Reconstruct, table: RatingsTable, rows: np.ndarray) -> dict[str, float]:
    """Return the mean squared error over all cells of some users: of a network, of zeros, and of the average row."""
    given = table.cells[rows]
    answers = {
        "course": reconstruct(given),
        "zero": np.zeros_like(given),
        "average": table.cells[table.train].mean(0, dtype=np.float64),
    }
    return {key: float(np.square(given - answer, dtype=np.float64).mean()) for key, answer in answers.items()}


def error_of_hidden(
    reconstruct: Reconstruct, table: RatingsTable, seed: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Hide a tenth of the ratings of users held out, and return the RMSE of their stars, and numbers about them."""
    rows, columns = np.nonzero(table.cells[table.validation])
    n_hidden = max(1, round(HIDDEN_FRACTION * len(rows)))
    chosen = np.random.default_rng(seed).choice(len(rows), n_hidden, replace=False)
    rows, columns = rows[chosen], columns[chosen]
    given = table.cells.copy()
    truth = STARS * given[table.validation[rows], columns].astype(np.float64)
    given[table.validation[rows], columns] = 0
    predicted = STARS * reconstruct(given[table.validation])[rows, columns].astype(np.float64)
    known, sums = (given > 0).sum(0), STARS * given.sum(0, dtype=np.float64)
    mean = sums.sum() / max(1, known.sum())
    item_means = np.where(known > 0, sums / np.maximum(known, 1), mean)
    answers = {"course": predicted, "zero": 0.0, "mean": mean, "items": item_means[columns]}
    rmse = {key: float(np.sqrt(np.square(truth - answer).mean())) for key, answer in answers.items()}
    about = {"predicted_mean": float(predicted.mean()), "true_mean": float(truth.mean())}
    return rmse, {"n_hidden": n_hidden, **about}


def suggestions(reconstruct: Reconstruct, table: RatingsTable, titles: dict[int, str] | None) -> dict[str, Any]:
    """List the first user's unseen films of highest score; the course takes positions in the list of scores for ids.

    Of each the number that the course prints as an id, the film at that position, and what has that number as its id.
    ``n_tied`` counts the unseen films of exactly the last score of the list.
    """
    row, known = table.cells[0], titles or {}
    unseen = np.flatnonzero(row == 0)
    scores = reconstruct(row[None])[0][unseen]
    best = np.argsort(-scores, kind="stable")[:N_LISTED]
    films = known.keys() | set(table.items.tolist())
    lines = [
        {
            "printed": int(position),
            "item": (item := table.items[unseen[position]].item()),
            "title": known.get(item),
            "stars": float(STARS * scores[position]),
            "read_title": known.get(int(position)),
            "names_film": int(position) in films,
        }
        for position in best
    ]
    last = scores[best[-1]] if len(best) else np.nan
    return {
        "suggestions": lines,
        "n_unseen": len(unseen),
        "n_tied": int((scores == last).sum()),
        "n_tied_listed": int((scores[best] == last).sum()),
        "n_named": sum(line["names_film"] for line in lines),
        "n_right": sum(line["printed"] == line["item"] for line in lines),
    }
