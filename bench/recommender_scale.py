"""Mult-DAE on a log of 20 million interactions, and on one a tenth as long: memory, and what an interaction costs.

Made-up interactions (``datasets.make_ratings(rated=False, random_state=0)``): 200,000 users x 50,000 items with
20,000,000 interactions, and 20,000 users x 50,000 items with 2,000,000. Each is run in a process of its own, which
tells the seconds of one epoch (from the first step to the last, the start by a singular value decomposition apart),
those of ``recommend`` for everyone, k = 10, and its peak memory, the log and Python included.

    python bench/recommender_scale.py            # both
    python bench/recommender_scale.py 20000      # one
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

ITEMS, PER_USER = 50_000, 100
SIZES = (20_000, 200_000)


def one(n_users: int) -> dict[str, float]:
    import numpy as np

    from narrows import Recommender, datasets
    from narrows.recommend import multinomial
    from narrows.recommend.methods import Multinomial

    log = datasets.make_ratings(n_users, ITEMS, n_users * PER_USER, rated=False, random_state=0)
    made = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    seconds = {}
    train = multinomial.train

    def timed(*args: object, **options: object) -> object:
        start = time.perf_counter()
        found = train(*args, **options)
        seconds["epoch"] = time.perf_counter() - start
        return found

    multinomial.train = timed
    method = Multinomial(n_components=100, hidden=100, variational=False, max_epochs=1)
    start = time.perf_counter()
    model = Recommender(method, validation_fraction=0, random_state=0).fit(log)
    fitted = time.perf_counter()
    del log
    found = model.recommend(k=10)
    done = time.perf_counter()
    assert len(found) == 10 * n_users
    assert np.isfinite(found["score"].to_numpy()).all()
    return {
        "users": n_users,
        "interactions": n_users * PER_USER,
        "fit": fitted - start,
        "epoch": seconds["epoch"],
        "recommend": done - fitted,
        "made_gb": made,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(one(int(sys.argv[1]))))
        return
    costs = {}
    for size in SIZES:
        answer = subprocess.run([sys.executable, __file__, str(size)], check=True, capture_output=True, text=True)
        found = json.loads(answer.stdout.splitlines()[-1])
        costs[size] = found["epoch"] / found["interactions"]
        print(
            f"{size:,} users: fit {found['fit']:.0f} s, of which the epoch {found['epoch']:.0f} s "
            f"({size / found['epoch']:,.0f} users/s, {1e6 * costs[size]:.2f} microseconds an interaction); recommend "
            f"for everyone {found['recommend']:.0f} s ({size / found['recommend']:,.0f} users/s); peak "
            f"{found['peak_gb']:.2f} GB (the log alone, while it is made, {found['made_gb']:.2f} GB)",
            flush=True,
        )
    print(f"an interaction of the long log costs {costs[SIZES[1]] / costs[SIZES[0]]:.2f} times one of the short log")


if __name__ == "__main__":
    main()
