"""Can a classifier tell sampled rows of a table from real ones? narrows beside columns that are drawn independently.

Tables: ``wine`` (45_wine of ADBench, 129 rows, 13 columns), ``letter`` (20_letter of ADBench, 1,600 rows, 32 columns),
both with their anomalies, and ``films``, a frame of mixed columns made of MovieLens latest-small: 10,000 ratings chosen
by seed 0, each with the rating, the user's mean rating and number of ratings, the film's mean rating, number of
ratings and year, hour, weekday and year of the rating (numbers and whole numbers), and 19 genres (true or false).

The rows are halved at random. A model is fitted to one half, ``VariationalAutoencoder(random_state=seed)`` with all
defaults (arrays as they are, the frame with its types), and as many rows are sampled as the other half has. Told is
the area under the ROC curve of a random forest (scikit-learn's, 200 trees) that tells these from the held-out half, on
rows it has not seen: five folds, their mean. 0.5 is what cannot be told apart, 1 what always can. Beside it the same
for rows whose columns are each drawn by itself, with replacement, from the training half, and for the training half
itself (the floor). The bar is to be below independent columns. Seeds 0 to 2: halves, fit, samples and forest.

    python bench/vae_tables.py [--seeds 3] [--only films] [--rows 10000] [--set NAME=VALUE ...]

About 5 minutes on two cores, most of it for ``films``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

from common import Line, machine, parameter, say, show, timed
from narrows import VariationalAutoencoder

MOST_ROWS = 10_000
N_TREES = 200


def films(folder: Path, count: int) -> pd.DataFrame:
    """Make a table of mixed columns, one row a rating."""
    ratings, movies = pd.read_csv(folder / "ratings.csv"), pd.read_csv(folder / "movies.csv")
    year = movies["title"].str.extract(r"\((\d{4})\)\s*$", expand=False).astype(float)
    genres = movies["genres"].str.get_dummies("|").drop(columns=["(no genres listed)"]).astype(bool)
    movies = pd.concat([movies[["movieId"]].assign(film_year=year), genres], axis=1).dropna()
    time = pd.to_datetime(ratings["timestamp"], unit="s")
    users, rated = ratings.groupby("userId")["rating"], ratings.groupby("movieId")["rating"]
    table = ratings[["movieId", "rating"]].assign(
        user_mean=users.transform("mean"),
        user_count=users.transform("size"),
        film_mean=rated.transform("mean"),
        film_count=rated.transform("size"),
        hour=time.dt.hour,
        weekday=time.dt.day_of_week,
        rating_year=time.dt.year,
    )
    table = table.merge(movies, on="movieId").drop(columns="movieId")
    whole = dict.fromkeys(("user_count", "film_count", "hour", "weekday", "rating_year", "film_year"), "int64")
    table = table.astype(whole)
    return table.iloc[np.random.default_rng(0).permutation(len(table))[:count]].reset_index(drop=True)


def tables(rows: int) -> dict[str, Any]:
    folder = Path(os.environ["NARROWS_DATA"])
    found: dict[str, Any] = {}
    for name in ("45_wine", "20_letter"):
        with np.load(folder / "adbench" / f"{name}.npz") as archive:
            found[name.partition("_")[2]] = archive["X"][:rows]
    return found | {"films": films(folder / "ml-latest-small", rows)}


def chosen(table: Any, numbers: np.ndarray) -> Any:
    return table.iloc[numbers].reset_index(drop=True) if hasattr(table, "iloc") else table[numbers]


def each_by_itself(table: Any, count: int, rng: np.random.Generator) -> Any:
    """Draw every column by itself, with replacement."""
    if hasattr(table, "iloc"):
        return pd.DataFrame({name: rng.choice(column.to_numpy(), count) for name, column in table.items()})
    return np.stack([rng.choice(column, count) for column in table.T], 1)


def told_apart(real: Any, other: Any, seed: int) -> float:
    """Return the area under the curve of a forest that tells two tables apart."""
    rows = np.concatenate([np.asarray(part, np.float64) for part in (real, other)])
    labels = np.repeat([0, 1], [len(real), len(other)])
    forest = RandomForestClassifier(N_TREES, random_state=seed)
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return float(cross_val_score(forest, rows, labels, cv=folds, scoring="roc_auc").mean())


def measure(name: str, table: Any, seeds: int, options: dict[str, Any]) -> list[Line]:
    found: dict[str, list[float]] = {key: [] for key in ("sampled", "independent", "real", "seconds")}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(table))
        half = len(table) // 2
        train, held_out = chosen(table, order[:half]), chosen(table, order[half:])
        model = VariationalAutoencoder(random_state=seed, device="cpu", **options)
        found["seconds"].append(timed(lambda model=model, train=train: model.fit(train)))
        sampled = model.sample(len(held_out), random_state=seed)
        if hasattr(table, "dtypes") and not table.dtypes.equals(sampled.dtypes):
            raise SystemExit(f"{name}: the sampled columns have other types")
        found["sampled"].append(told_apart(held_out, sampled, seed))
        found["independent"].append(told_apart(held_out, each_by_itself(train, len(held_out), rng), seed))
        found["real"].append(told_apart(held_out, train, seed))
        say(f"{name}, seed {seed}: " + ", ".join(f"{key} {values[-1]:.3f}" for key, values in found.items()))
    bar = statistics.median(found["independent"])
    shape = f"{name}, {table.shape[0]} x {table.shape[1]}"
    return [
        Line(f"{shape}: sampled", found["sampled"], ".3f", most=round(bar, 3), bar="below independent columns"),
        Line(f"{shape}: independent columns", found["independent"], ".3f"),
        Line(f"{shape}: other real rows", found["real"], ".3f"),
        Line(f"{shape}: s for fit", found["seconds"], ".1f"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="tables whose name has this in it")
    parser.add_argument("--rows", type=int, default=MOST_ROWS, help="rows of a table at most")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other parameters of the estimator")
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    given = dict(map(parameter, options.set))
    lines = [
        line
        for name, table in tables(options.rows).items()
        if options.only in name
        for line in measure(name, table, options.seeds, given)
    ]
    show("Real rows against sampled ones: area under the ROC curve of a random forest", lines)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
