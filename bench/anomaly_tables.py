"""Anomaly detection on many tables: narrows against nearest neighbours, isolation forest, LOF and pyod's autoencoder.

Data: every table of ADBench found in ``$NARROWS_DATA/adbench`` (arrays ``X``, ``y``; 1 is an anomaly), at most 10,000
rows of each, chosen by the seed. Seeds 0 to 2, one thread, no tuning for a table. Three questions (``--what``):

``ordinary``
    Fit to half of the ordinary rows, chosen by the seed; test on the other half and all anomalies. Area under the ROC
    curve (AUROC) and average precision (AP), in per cent. ``knn`` is the mean distance to the 5 nearest rows on
    standardised columns, ``knn 5th`` that to the fifth. Also the rate at which ordinary test rows have p-values of at
    most 1, 5 and 10 %, and how many standard errors that is off (binomial, of calibration rows as well as test rows).
``mixed``
    Fit to all rows as they are, and tell them apart (``contamination="auto"``); AUROC.
``contaminated``
    As ``ordinary``, with anomalies among the rows of the fit, 10 % of them or half of all there are; tested on the
    rest. ``clean`` is the same model, same options, without them; ``given`` has ``contamination=0.1``.

    python bench/anomaly_tables.py [--what ordinary] [--pyod-python PYTHON] [--seeds 3] [--only NAME ...]

PYTHON is the interpreter of an environment with pyod and the same torch (the recipe is in bench/pyod_script.py).
About 2 minutes for each question on one core.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from common import last_json, machine, run_script, say

HERE = Path(__file__).parent
MOST_ROWS = 10_000
RATES = (0.01, 0.05, 0.1)


def tables(only: list[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    folder = Path(os.environ.get("NARROWS_DATA", "")) / "adbench"
    found = {}
    for path in sorted(folder.glob("*.npz"), key=lambda path: path.stem.partition("_")[2].lower()):
        name = path.stem.partition("_")[2]
        if not only or name in only:
            with np.load(path) as archive:
                found[name] = archive["X"].astype(np.float64), archive["y"].astype(int)
    if not found:
        raise SystemExit(f"no tables in {folder}: set NARROWS_DATA")
    return found


def some(X: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    if len(X) <= MOST_ROWS:
        return X, y, rng
    chosen = rng.choice(len(X), MOST_ROWS, replace=False)
    return X[chosen], y[chosen], rng


def split(X: np.ndarray, y: np.ndarray, seed: int, share: float = 0.0) -> tuple[np.ndarray, ...]:
    """Return rows of the fit, test rows, their labels, and the ordinary rows of the fit alone."""
    X, y, rng = some(X, y, seed)
    ordinary, strange = rng.permutation(np.flatnonzero(y == 0)), rng.permutation(np.flatnonzero(y == 1))
    half = len(ordinary) // 2
    among = min(round(share / (1 - share) * half), len(strange) // 2)
    train = np.concatenate([ordinary[:half], strange[:among]])
    test = np.concatenate([ordinary[half:], strange[among:]])
    return X[train], X[test], y[test], X[ordinary[:half]]


def standardised(A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(A)
    return scaler.transform(A), scaler.transform(B)


def neighbours(A: np.ndarray, B: np.ndarray, *, fifth: bool = False) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    A, B = standardised(A, B)
    distances = NearestNeighbors(n_neighbors=min(5, len(A))).fit(A).kneighbors(B)[0]
    return distances[:, -1] if fifth else distances.mean(1)


def forest(A: np.ndarray, B: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.ensemble import IsolationForest

    return -IsolationForest(random_state=seed).fit(A).score_samples(B)


def local_factor(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import LocalOutlierFactor

    A, B = standardised(A, B)
    return -LocalOutlierFactor(n_neighbors=min(20, len(A) - 1), novelty=True).fit(A).score_samples(B)


def pyod(python: str, A: np.ndarray, B: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """Return pyod's scores and the seconds that its fit took."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "given.npz", Path(folder) / "found.npy"
        np.savez(given, A=A, B=B)
        answer = last_json([python, str(HERE / "pyod_script.py"), str(given), str(found), str(seed)])
        return np.load(found), answer["seconds"]


def quality(y: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    return 100 * float(roc_auc_score(y, scores)), 100 * float(average_precision_score(y, scores))


def show_qualities(found: dict[str, dict[str, list[tuple[float, float]]]]) -> None:
    names = list(next(iter(found.values())))
    print("| table | " + " | ".join(found) + " |\n|---" * 1 + "|---" * len(found) + "|")
    means = {system: {name: np.mean(values[name], 0) for name in names} for system, values in found.items()}
    for name in names:
        print(f"| {name} | " + " | ".join("{:.1f} / {:.1f}".format(*means[system][name]) for system in found) + " |")
    total = {system: np.mean(list(values.values()), 0) for system, values in means.items()}
    print("| **mean** | " + " | ".join("{:.2f} / {:.2f}".format(*total[system]) for system in found) + " |")
    for other in list(found)[1:]:
        wins = [sum(means["narrows"][n][k] > means[other][n][k] + 0.05 for n in names) for k in (0, 1)]
        losses = [sum(means["narrows"][n][k] < means[other][n][k] - 0.05 for n in names) for k in (0, 1)]
        gain = total["narrows"] - total[other]
        print(
            f"\nnarrows against {other}: AUROC {gain[0]:+.2f} ({wins[0]} won, {losses[0]} lost), "
            f"AP {gain[1]:+.2f} ({wins[1]} won, {losses[1]} lost)"
        )


def ordinary(args: argparse.Namespace) -> None:
    from narrows import AnomalyDetector

    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    seconds: dict[str, dict[str, list[float]]] = {}
    rates = []
    for name, (X, y) in tables(args.only).items():
        for seed in range(args.seeds):
            A, B, labels, _ = split(X, y, seed)
            start = time.perf_counter()
            detector = AnomalyDetector(random_state=seed, device="cpu").fit(A)
            took = {"narrows": time.perf_counter() - start}
            scores = {"narrows": detector.anomaly_score(B)}
            p = detector.p_values(B[labels == 0])
            m, n = len(detector.calibration_scores_), len(p)
            for rate in RATES:
                error = (rate * (1 - rate) * (1 / m + 1 / n)) ** 0.5
                rates.append((name, rate, float((p <= rate).mean()), (float((p <= rate).mean()) - rate) / error, m))
            scores["knn"] = neighbours(A, B)
            scores["knn 5th"] = neighbours(A, B, fifth=True)
            scores["isolation forest"] = forest(A, B, seed)
            scores["LOF"] = local_factor(A, B)
            if args.pyod_python:
                scores["pyod AutoEncoder"], took["pyod AutoEncoder"] = pyod(args.pyod_python, A, B, seed)
            for system, values in scores.items():
                found.setdefault(system, {}).setdefault(name, []).append(quality(labels, values))
            for system, value in took.items():
                seconds.setdefault(system, {}).setdefault(name, []).append(value)
            say(f"{name} {seed}")
    print("\n### Fit to ordinary rows: AUROC / AP\n")
    show_qualities(found)
    print("\nSeconds of a fit, mean over seeds:\n")
    for system, values in seconds.items():
        told = "  ".join(f"{name} {np.mean(v):.2f}" for name, v in values.items())
        print(f"- {system}: {sum(np.mean(v) for v in values.values()):.1f} in all;  {told}")
    show_rates(rates)


def show_rates(rates: list[tuple[str, float, float, float, int]]) -> None:
    print("\n### Ordinary test rows with p-values of at most 1, 5, 10 %: per cent, and standard errors off\n")
    print(
        "| table | calibration rows | "
        + " | ".join(f"{100 * rate:g} %" for rate in RATES)
        + " |\n|---|---|---|---|---|"
    )
    for name in dict.fromkeys(row[0] for row in rates):
        own = [row for row in rates if row[0] == name]
        cells = []
        for rate in RATES:
            here = [row for row in own if row[1] == rate]
            each = " ".join(f"{row[3]:+.1f}" for row in here)
            cells.append(f"{100 * np.mean([row[2] for row in here]):.1f} ({each})")
        print(f"| {name} | {own[0][4]:,} | " + " | ".join(cells) + " |")
    many = [abs(row[3]) for row in rates if row[4] >= 500]
    if many:
        inside = 100 * np.mean([value <= 2 for value in many])
        print(
            f"\nOf tables with 500 calibration rows or more: {inside:.0f} % within two standard errors (95 % expected)"
        )


def mixed(args: argparse.Namespace) -> None:
    from narrows import AnomalyDetector

    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name, (X, y) in tables(args.only).items():
        for seed in range(args.seeds):
            A, labels, _ = some(X, y, seed)
            detector = AnomalyDetector(contamination="auto", random_state=seed, device="cpu").fit(A)
            scores = {
                "narrows": detector.anomaly_score(A),
                "isolation forest": forest(A, A, seed),
                "knn": neighbours(A, A),
            }
            for system, values in scores.items():
                found.setdefault(system, {}).setdefault(name, []).append(quality(labels, values))
            say(f"{name} {seed}")
    print("\n### Fit to all rows as they are: AUROC / AP\n")
    show_qualities(found)


def contaminated(args: argparse.Namespace) -> None:
    from narrows import AnomalyDetector

    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name, (X, y) in tables(args.only).items():
        for seed in range(args.seeds):
            A, B, labels, clean = split(X, y, seed, share=0.1)
            for system, rows, share in (
                ("narrows", A, 0.1),
                ("given, clean", clean, 0.1),
                ("auto", A, "auto"),
                ("default", A, None),
                ("default, clean", clean, None),
            ):
                detector = AnomalyDetector(contamination=share, random_state=seed, device="cpu").fit(rows)
                found.setdefault(system, {}).setdefault(name, []).append(quality(labels, detector.anomaly_score(B)))
            for system, rows in (("isolation forest", A), ("isolation forest, clean", clean)):
                found.setdefault(system, {}).setdefault(name, []).append(quality(labels, forest(rows, B, seed)))
            say(f"{name} {seed}")
    print("\n### A tenth of the rows of the fit are anomalies (narrows: contamination=0.1): AUROC / AP\n")
    show_qualities(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=("ordinary", "mixed", "contaminated"), default="ordinary")
    parser.add_argument("--pyod-python")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    {"ordinary": ordinary, "mixed": mixed, "contaminated": contaminated}[args.what](args)
    print(f"\n{machine()}")


if __name__ == "__main__":
    run_script(main)
