"""How much `recommend` costs beyond what it cannot do without: the products and the partial sorts.

Made-up interactions (``datasets.make_ratings``), 12,000 users, 20,000 items, 1,200,000 interactions, seed 0;
recommendations for 10,000 users, k = 10. The bare time is that of the same scorer's sums and matrix products over
blocks of 256 users, and ``torch.topk`` of their scores, with nothing hidden, looked up or laid out. Both are run in
turn, five times; the medians and their ratio are told.

    python bench/recommender_serving.py
"""

from __future__ import annotations

import statistics
import time

import torch

from narrows import Recommender, datasets
from narrows.recommend.methods import Factors, Linear, Multinomial
from narrows.recommend.scorers import bags_of

ROUNDS, USERS, BLOCK, K = 5, 10_000, 256, 10


def bare(scorer: object, rows: object) -> float:
    start = time.perf_counter()
    with torch.no_grad():
        for first in range(0, USERS, BLOCK):
            torch.topk(scorer(bags_of(rows[first : first + BLOCK])), K, dim=1)
    return time.perf_counter() - start


def main() -> None:
    log = datasets.make_ratings(12_000, 20_000, 1_200_000, rated=False, random_state=0)
    for name, method in (
        ("linear, rank 500", Linear(100.0, 0.15, 500)),
        ("factors, 48", Factors(48, iterations=2)),
        ("Mult-VAE", Multinomial(max_epochs=1)),
    ):
        model = Recommender(method, validation_fraction=0, random_state=0).fit(log)
        users = model.read_log(log).users[:USERS]
        rows = model.read_log(log).matrix[:USERS]
        times: dict[str, list[float]] = {"bare": [], "recommend": []}
        for _ in range(ROUNDS):
            times["bare"].append(bare(model.ranker, rows))
            start = time.perf_counter()
            model.recommend(users, K)
            times["recommend"].append(time.perf_counter() - start)
        least, whole = (statistics.median(times[part]) for part in ("bare", "recommend"))
        print(f"{name}: recommend {whole:.2f} s, bare {least:.2f} s, ratio {whole / least:.2f}", flush=True)


if __name__ == "__main__":
    main()
