"""Predicted ratings on MovieLens latest-small: narrows beside the biases, item means and biased matrix factorisation.

Random splits of the 100,836 ratings, 90 % to fit and 10 % to predict, seeds 0 to 4: root mean squared error in stars.
Matrix factorisation (Koren, Bell and Volinsky 2009) learns a vector and a bias for each user and item by alternating
ridge regressions; its size and penalty are the best of a grid on ratings held out of the training part of seed 0.

    python bench/recommender_ratings.py [--seeds 0,1,2,3,4]
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch

from narrows.recommend import Rating, read_interactions, split_random
from narrows.recommend.rating import fit_rating
from narrows.recommend.scorers import ConstantScorer, fit_biases, item_means, scores_at

SIZES, PENALTIES, ROUNDS = (4, 8, 16), (4.0, 8.0, 12.0, 20.0), 20


def factorised(matrix, size: int, penalty: float, seed: int = 0):
    """Return a function from users and items to ratings."""
    users = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    items, mean = matrix.indices, float(matrix.data.mean())
    left = matrix.data - mean
    rng = np.random.default_rng(seed)
    n_users, n_items = matrix.shape
    U = np.column_stack([np.zeros(n_users), np.ones(n_users), rng.normal(0, 0.1, (n_users, size))])
    V = np.column_stack([np.ones(n_items), np.zeros(n_items), rng.normal(0, 0.1, (n_items, size))])
    by_item = np.argsort(items, kind="stable")
    ends = np.cumsum(np.bincount(items, minlength=matrix.shape[1]))

    def half(own: np.ndarray, other: np.ndarray, groups, across: np.ndarray, fixed: int) -> None:
        free = [column for column in range(size + 2) if column != fixed]
        for row, group in enumerate(groups):
            if len(group):
                A = other[across[group]]
                y = left[group] - A[:, fixed] * own[row, fixed]
                A = A[:, free]
                own[row, free] = np.linalg.solve(A.T @ A + penalty * np.eye(len(free)), A.T @ y)
            else:
                own[row, free] = 0.0

    of_users = np.split(np.arange(len(left)), matrix.indptr[1:-1])
    of_items = np.split(by_item, ends[:-1])
    for _ in range(ROUNDS):
        half(U, V, of_users, items, 1)
        half(V, U, of_items, users, 0)
    return lambda u, i: np.clip(mean + (U[u] * V[i]).sum(1), 0.5, 5.0)


def rmse(predicted: np.ndarray, real: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted - real) ** 2)))


def quiet(line: str) -> None:
    del line


def read_pairs(log) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(len(log.users)), np.diff(log.matrix.indptr)), log.matrix.indices


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default="0,1,2,3,4")
    seeds = [int(seed) for seed in parser.parse_args().seeds.split(",")]
    torch.set_num_threads(1)
    log = read_interactions(Path(os.environ["NARROWS_DATA"]) / "ml-latest-small" / "ratings.csv")
    inner, held = split_random(split_random(log, random_state=0)[0], random_state=100)
    tried = {
        (size, penalty): rmse(factorised(inner.matrix, size, penalty)(*read_pairs(held)), held.matrix.data)
        for size in SIZES
        for penalty in PENALTIES
    }
    size, penalty = min(tried, key=tried.__getitem__)
    found: dict[str, list[float]] = {}
    for seed in seeds:
        train, test = split_random(log, random_state=seed)
        pairs, real, start = read_pairs(test), test.matrix.data, time.perf_counter()
        model = fit_rating(train.matrix, Rating(), seed=0, log=quiet)
        seconds = time.perf_counter() - start
        means = ConstantScorer(item_means(train.matrix))
        ways = {"narrows": model, "user and item bias": fit_biases(train.matrix), "item means": means}
        for name, scorer in ways.items():
            predicted = scores_at(scorer, train.matrix, pairs, torch.device("cpu"))
            found.setdefault(name, []).append(rmse(predicted, real))
        found.setdefault(f"biased matrix factorisation ({size}, {penalty:g})", []).append(
            rmse(factorised(train.matrix, size, penalty)(*pairs), real)
        )
        found.setdefault("zeros", []).append(rmse(np.zeros(len(real)), real))
        print(f"  seed {seed}: narrows {found['narrows'][-1]:.4f} in {seconds:.1f} s", flush=True)
    for name, values in sorted(found.items(), key=lambda pair: np.mean(pair[1])):
        print(f"{name:<40} {np.mean(values):.4f}  (seeds: {', '.join(f'{value:.4f}' for value in values)})")


if __name__ == "__main__":
    main()
