"""Ranking for users never seen: narrows beside EASE, popularity, and the recommenders people use.

Strong generalisation on MovieLens latest-small (ratings of 4 and more), lastfm-hetrec and citeulike-a, as
``recommender_common.py`` has it: a fifth of the users are held out, 80 % of their items are told, the rest is to be
found; NDCG@100 and recall@20 with ``min(k, n)`` in the denominator. EASE's penalty is chosen on validation users out of
a grid; narrows' ``method="auto"`` chooses for itself. The difference to EASE is paired by users, over all seeds.

    python bench/recommender_ranking.py [--sets movielens-small,lastfm,citeulike] [--seeds 0,1,2,3,4]
        [--narrows auto,linear,multvae,multdae] [--peers ENV/bin/python] [--ways als,multvae,multdae,vaecf]

``--peers`` is the Python of an environment with implicit, cornac and torch, see ``recommender_peers.py``; without it
the peers are left out. One thread each. CPU seconds of the fits are medians over seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from narrows import Recommender
from narrows.recommend.methods import Multinomial
from narrows.recommend.scorers import bags_of
from recommender_common import (
    NAMES,
    PEER_OPTIONS,
    Split,
    ndcg,
    paired,
    popularity,
    positives,
    recall,
    strong_split,
    tuned_ease,
    write,
)

METHODS = {
    "auto": "auto",
    "linear": "linear",
    "multvae": Multinomial(),
    "multdae": Multinomial(variational=False),
    "ensemble": "ensemble",
}


def ours(split: Split, seed: int, name: str) -> tuple[np.ndarray, float, str]:
    start = time.process_time()
    model = Recommender(METHODS[name], random_state=seed, device="cpu").fit(split.train)
    seconds = time.process_time() - start
    rows = split.fold_in.copy()
    rows.sort_indices()
    with torch.no_grad():
        scores = model.ranker(bags_of(rows)).numpy()
    return scores, seconds, f"{type(model.method_).__name__}: {model.reason_}"


def theirs(split: Split, seed: int, asked: argparse.Namespace, options: str) -> dict[str, tuple]:
    names = asked.ways.split(",")
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "given.npz"
        write(split, given)
        command = [asked.peers, str(Path(__file__).with_name("recommender_peers.py")), str(given), folder, str(seed)]
        answer = subprocess.run([*command, *names, *options.split()], check=True, capture_output=True, text=True)
        told = json.loads(answer.stdout.splitlines()[-1])
        return {name: (np.load(Path(folder) / f"{name}.npy"), told[name]["fit_cpu"]) for name in names}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", default=",".join(NAMES))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--narrows", default="auto,linear,multvae,multdae")
    parser.add_argument("--peers", default=None)
    parser.add_argument("--ways", default="als,multvae,multdae,vaecf")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    folder = os.environ["NARROWS_DATA"]
    for name in asked.sets.split(","):
        one_set(name, folder, [int(seed) for seed in asked.seeds.split(",")], asked)


def one_set(name: str, folder: str, seeds: list[int], asked: argparse.Namespace) -> None:
    matrix = positives(name, folder)
    found: dict[str, list[np.ndarray]] = {}
    recalled: dict[str, list[np.ndarray]] = {}
    seconds: dict[str, list[float]] = {}

    def add(way: str, scores: np.ndarray, spent: float) -> None:
        found.setdefault(way, []).append(ndcg(scores, split.fold_in, split.held_out))
        recalled.setdefault(way, []).append(recall(scores, split.fold_in, split.held_out))
        seconds.setdefault(way, []).append(spent)

    for seed in seeds:
        split = strong_split(matrix, seed)
        add("popularity", popularity(split), 0.0)
        start = time.process_time()
        scores, l2 = tuned_ease(split, seed)
        add("EASE, tuned", scores, time.process_time() - start)
        for way in asked.narrows.split(","):
            scores, spent, why = ours(split, seed, way)
            add(f"narrows {way}", scores, spent)
            if way == "auto":
                print(f"  seed {seed}: EASE l2={l2:g}; auto took {why}", flush=True)
        if asked.peers:
            for peer, (scores, spent) in theirs(split, seed, asked, PEER_OPTIONS[name]).items():
                add(peer, scores, spent)
    n_users, n_items = split.train.shape
    print(f"{name}, seeds {asked.seeds}: {n_users:,} users, {n_items:,} items in the last split")
    for way, values in found.items():
        gain, error = paired(values, found["EASE, tuned"])
        mean, hit = np.concatenate(values).mean(), np.concatenate(recalled[way]).mean()
        versus = f"{gain:+.4f} ± {error:.4f}" if way != "EASE, tuned" else ""
        spent = statistics.median(seconds[way])
        print(f"  {way:<18} NDCG@100 {mean:.4f}  recall@20 {hit:.4f}  {versus:>17}  {spent:7.1f} s")


if __name__ == "__main__":
    main()
