"""Scoring a million rows from a Parquet file: memory, and rows a second, against isolation forest and pyod.

Data: ``--rows`` × 50 float32 from ten latent factors, bent, plus noise, seed 0, in row groups of
65,536. Detectors are fitted to 10,000 other rows of the same kind. narrows scores the file's path; the others get
arrays of 65,536 rows read from it, one after the other, their cheapest way. One process each, ``--threads`` threads.
The bar: at most 1 GB, imports included (VmHWM).

    python bench/anomaly_scoring.py --folder FOLDER [--rows 1000000] [--threads 1] [--pyod-python PYTHON]

About 2 minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from common import Line, fresh, last_json, machine, peak_rss, run_script, say, show

COLUMNS, FITTED, GROUP, FACTORS = 50, 10_000, 65_536, 10
HERE = Path(__file__).parent


def factors(rng, rows: int):
    import numpy as np

    first = np.random.default_rng(1).standard_normal((FACTORS, 2 * FACTORS), np.float32) / FACTORS**0.5
    second = np.random.default_rng(2).standard_normal((2 * FACTORS, COLUMNS), np.float32)
    X = np.tanh(rng.standard_normal((rows, FACTORS), np.float32) @ first) @ second
    return X + 0.1 * rng.standard_normal(X.shape, np.float32)


def job(task: dict) -> dict:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    if task["kind"] == "make":
        names = [f"x{number}" for number in range(COLUMNS)]
        with pq.ParquetWriter(task["path"], pa.schema([(name, pa.float32()) for name in names])) as writer:
            for start in range(0, task["rows"], GROUP):
                X = factors(rng, min(GROUP, task["rows"] - start))
                arrays = [pa.array(np.ascontiguousarray(column)) for column in X.T]
                writer.write_table(pa.table(arrays, names=names), row_group_size=GROUP)
        return {}
    import torch

    torch.set_num_threads(task["threads"])
    A = factors(np.random.default_rng(3), FITTED)
    if task["kind"] == "narrows":
        import pandas as pd

        from narrows import AnomalyDetector

        frame = pd.DataFrame(A, columns=[f"x{number}" for number in range(COLUMNS)])
        detector = AnomalyDetector(random_state=0, device="cpu").fit(frame)
        start = time.perf_counter()
        scores = detector.anomaly_score(task["path"])
        seconds = time.perf_counter() - start
        assert len(scores) == task["rows"]
        return {"rate": len(scores) / seconds, "peak": peak_rss()}
    from sklearn.ensemble import IsolationForest

    forest = IsolationForest(random_state=0, n_jobs=1).fit(A)
    seconds, rows = 0.0, 0
    for batch in pq.ParquetFile(task["path"]).iter_batches(GROUP):
        start = time.perf_counter()
        X = np.stack([column.to_numpy() for column in batch.columns], 1)
        rows += len(forest.score_samples(X))
        seconds += time.perf_counter() - start
        if rows >= task["most"]:
            break
    return {"rate": rows / seconds, "peak": peak_rss()}


def pyod_rate(python: str) -> float:
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder) / "given.npz", Path(folder) / "found.npy"
        B = factors(np.random.default_rng(0), GROUP)
        np.savez(given, A=factors(np.random.default_rng(3), FITTED), B=B)
        answer = last_json([python, str(HERE / "pyod_script.py"), str(given), str(found), "0"])
    return len(B) / answer["scoring"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pyod-python")
    args = parser.parse_args()
    path = args.folder / f"scoring-{args.rows}.parquet"
    task = {"path": str(path), "rows": args.rows, "threads": args.threads, "most": 4 * GROUP}
    if not path.is_file():
        say("making the file")
        fresh(__file__, task | {"kind": "make"})
    say("narrows")
    own = fresh(__file__, task | {"kind": "narrows"})
    say("isolation forest")
    forest = fresh(__file__, task | {"kind": "forest"})
    lines = [
        Line("narrows: peak memory, GB", [own["peak"] / 1e9], ".2f", most=1.0),
        Line("narrows: rows a second", [own["rate"]], ",.0f"),
        Line("isolation forest: rows a second", [forest["rate"]], ",.0f"),
        Line("narrows / isolation forest", [own["rate"] / forest["rate"]], ".2f"),
    ]
    if args.pyod_python:
        say("pyod")
        rate = pyod_rate(args.pyod_python)
        lines += [
            Line("pyod AutoEncoder: rows a second", [rate], ",.0f"),
            Line("narrows / pyod AutoEncoder", [own["rate"] / rate], ".2f"),
        ]
    show(f"{args.rows:,} x {COLUMNS} from Parquet, {args.threads} thread(s)", lines, [machine()])


if __name__ == "__main__":
    run_script(main, job)
