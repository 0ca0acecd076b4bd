"""Explanations of anomalies: do they name the columns that were spoilt.

Data: the tables of anomaly_tables.py, split as there (seed 0). Of each up to ``--rows`` ordinary test rows get one to
three columns shifted, up or down, by ``--shift`` standard deviations (a uniform draw between two numbers). A row counts
as explained if the columns that were shifted, and no others, come first in ``explain``. Beside it: the same for the
largest standardised values, and for the largest standardised residuals of the detector's autoencoder (what is usually
shown). Rows are what they are: some have an odd value of their own, which may rightly come first.

    python bench/anomaly_explanations.py [--shift 5 10] [--rows 100] [--only NAME ...]

About 30 seconds on one core.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np

from anomaly_tables import split, tables
from common import machine, run_script, say


def planted(A: np.ndarray, B: np.ndarray, shift: tuple[float, float], seed: int) -> tuple[np.ndarray, list[set[int]]]:
    rng = np.random.default_rng(seed)
    deviations = A.std(0)
    free = np.flatnonzero(deviations > 0)
    rows, chosen = B.copy(), []
    for row in rows:
        columns = rng.choice(free, min(int(rng.integers(1, 4)), len(free) - 1), replace=False)
        sizes = rng.choice([-1, 1], len(columns)) * rng.uniform(*shift, len(columns))
        row[columns] += sizes * deviations[columns]
        chosen.append(set(columns.tolist()))
    return rows, chosen


def share_first(orders: list[list[int]], chosen: list[set[int]]) -> float:
    hits = [set(order[: len(known)]) == known for order, known in zip(orders, chosen, strict=True)]
    return 100 * float(np.mean(hits))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shift", type=float, nargs=2, default=(5.0, 10.0))
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    import torch

    from narrows import AnomalyDetector

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print("| table | explain | largest standardised values | largest standardised residuals |\n|---|---|---|---|")
    totals = []
    for name, (X, y) in tables(args.only).items():
        A, B, labels, _ = split(X, y, 0)
        detector = AnomalyDetector(random_state=0, device="cpu").fit(A)
        rows, chosen = planted(A, B[labels == 0][: args.rows], tuple(args.shift), 0)
        told = detector.explain(rows, top=3)
        names = {f"x{number}": number for number in range(A.shape[1])}
        orders = [[names[c] for c in part["column"]] for _, part in told.groupby("row", sort=True)]
        scale = np.where(A.std(0) > 0, A.std(0), 1.0)
        values = np.argsort(-np.abs((rows - A.mean(0)) / scale), axis=1)[:, :3].tolist()
        _, residual = detector._scorer.denoiser.residuals(torch.from_numpy(rows))
        residuals = (
            (residual / detector._scorer.denoiser.residual_std).abs().argsort(1, descending=True)[:, :3].tolist()
        )
        totals.append([share_first(found, chosen) for found in (orders, values, residuals)])
        print(f"| {name} | " + " | ".join(f"{value:.0f}" for value in totals[-1]) + " |")
        say(name)
    print("| **mean** | " + " | ".join(f"{value:.1f}" for value in np.mean(totals, 0)) + " |")
    print(
        f"\nPer cent of rows whose shifted columns come first; shifts of {args.shift} standard deviations.\n{machine()}"
    )


if __name__ == "__main__":
    run_script(main)
