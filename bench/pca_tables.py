"""Held-out squared error of a default fit against PCA with a code of the same size, over many tables.

Every data set of ADBench found in ``$NARROWS_DATA/adbench`` (normal rows only), isolet, usps and digits; each whole
(up to 20,000 training rows) and as a training subsample of 100 rows. A quarter of the rows, at most 5,000, is the
test set. Columns are standardised by the training rows, or left raw with ``--raw``.

    NARROWS_DATA=... python bench/pca_tables.py [--raw] [--seed 0] [--jobs 2] [--out table.md]
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from joblib import Parallel, delayed

SIZES = (2, 8, 32)
LIMIT = 1.01


def data_sets() -> dict[str, np.ndarray]:
    folder = Path(os.environ["NARROWS_DATA"])
    found = {}
    for path in sorted((folder / "adbench").glob("*.npz")):
        with np.load(path) as archive:
            found[path.stem] = archive["X"][archive["y"] == 0]
    found["isolet"] = np.load(folder / "isolet" / "isolet.npz")["X"]
    found["usps"] = np.load(folder / "usps" / "usps.npz")["x_train"]
    from sklearn.datasets import load_digits

    found["digits"] = load_digits().data
    return found


def split(X: np.ndarray, seed: int, few: int | None, *, raw: bool) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(len(X))
    n_test = len(X) // 4
    test, train = X[order[:n_test]][:5000], X[order[n_test:]][:20_000]
    train = train[:few]
    if raw:
        return train, test
    mean, spread = train.mean(0), train.std(0)
    spread[spread < 1e-12] = 1
    return (train - mean) / spread, (test - mean) / spread


def compare(name: str, X: np.ndarray, size: int, seed: int, few: int | None, *, raw: bool) -> dict:
    import torch
    from sklearn.decomposition import PCA

    from narrows import Autoencoder

    torch.set_num_threads(1)
    train, test = split(X, seed, few, raw=raw)
    pca = PCA(size).fit(train)
    base = np.mean((pca.inverse_transform(pca.transform(test)) - test.astype(float)) ** 2)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Autoencoder(size, random_state=seed).fit(train)
    seconds = time.perf_counter() - start
    error = np.mean((model.reconstruct(test) - test.astype(float)) ** 2)
    return {
        "name": name, "rows": len(train), "columns": X.shape[1], "size": size, "pca": base, "ratio": error / base,
        "seconds": seconds, "stayed": model.stayed_linear_, "steps": model.n_steps_,
        "held_out": model.baselines_["model"] / max(model.baselines_["pca"], 1e-300),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", action="store_true", help="leave columns in their own units")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="data sets whose name has this in it")
    parser.add_argument("--rows", choices=("both", "full", "few"), default="both")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    tasks = []
    for name, X in data_sets().items():
        if options.only not in name:
            continue
        for few in {"both": (None, 100), "full": (None,), "few": (100,)}[options.rows]:
            n_train = min(few or len(X), len(X) - len(X) // 4)
            if few and n_train < few:
                continue
            tasks += [(name, X, k, options.seed, few) for k in SIZES if k < min(X.shape[1], n_train)]
    results = Parallel(options.jobs)(delayed(compare)(*task, raw=options.raw) for task in tasks)
    lines = [
        "| data | rows | columns | size | PCA | narrows / PCA | held out said | stayed | steps | s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['name']} | {r['rows']} | {r['columns']} | {r['size']} | {r['pca']:.4g} "
        f"| {r['ratio']:.3f}{' **' if r['ratio'] > LIMIT else ''} "
        f"| {r['held_out']:.3f} | {'yes' if r['stayed'] else ''} | {r['steps']} | {r['seconds']:.1f} |"
        for r in results
    ]
    for label, chosen in (
        ("whole", [r for r in results if r["rows"] != 100]),
        ("100 rows", [r for r in results if r["rows"] == 100]),
    ):
        if chosen:
            ratios = np.array([r["ratio"] for r in chosen])
            lines.append(
                f"\n{label}: geometric mean {np.exp(np.log(np.maximum(ratios, 1e-6)).mean()):.3f}, "
                f"worst {ratios.max():.3f}, {int((ratios > LIMIT).sum())} of {len(ratios)} above {LIMIT}"
            )
    text = "\n".join(lines)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
