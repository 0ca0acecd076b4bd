"""Fitting a Parquet file as a stream against fitting the same rows in memory: memory and rows a second.

Data: ``--rows`` × ``--columns`` float32 from ten latent factors, bent, plus noise, seed 0, written to ``--folder`` in
row groups of pyarrow's default (1,048,576 rows); made once, kept unless ``--remove``. Each fit runs in a process of its
own, by turns: the file's path, then an array read with pyarrow before the clock starts. Twice: one epoch at the same
batch size, and the default plan. Peak memory is that of the whole process, imports included (on Linux the kernel's own
mark, VmHWM). Bars: streaming holds at most 1.2 GB, and trains at least half as fast.

Rows a second of the training: rows drawn / seconds between the first and the last record of ``history_``. Of the
whole fit: the same rows / all of ``fit``'s time, with measuring, holding out and PCA.

    python bench/streaming.py --folder FOLDER [--rows 5000000] [--columns 100] [--batch 512] [--repeats 3]

The file takes about 2 GB, the array in memory as much (``--memory-rows`` for less). About 15 minutes on two cores.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

from common import Line, fresh, machine, peak_rss, ratios, run_script, say, show

FACTORS = 10
GROUP = 2**20


def make(task: dict) -> dict:
    """Write the file, a row group at a time."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    first = rng.standard_normal((FACTORS, 2 * FACTORS), np.float32) / FACTORS**0.5
    second = rng.standard_normal((2 * FACTORS, task["columns"]), np.float32)
    names = [f"x{number}" for number in range(task["columns"])]
    part = Path(task["path"] + ".part")
    with pq.ParquetWriter(part, pa.schema([(name, pa.float32()) for name in names])) as writer:
        for start in range(0, task["rows"], GROUP):
            size = min(GROUP, task["rows"] - start)
            X = np.tanh(rng.standard_normal((size, FACTORS), np.float32) @ first) @ second
            X += 0.1 * rng.standard_normal(X.shape, np.float32)
            writer.write_table(pa.table([pa.array(np.ascontiguousarray(column)) for column in X.T], names=names))
    part.replace(task["path"])
    return {}


def in_memory(path: str, rows: int) -> Any:
    """Read the first rows into one array, a piece at a time."""
    import numpy as np
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        X = np.empty((min(rows, file.metadata.num_rows), file.metadata.num_columns), np.float32)
        start = 0
        for batch in file.iter_batches(65536):
            size = min(len(batch), len(X) - start)
            for number, column in enumerate(batch.columns):
                X[start : start + size, number] = column.to_numpy()[:size]
            start += size
            if start == len(X):
                break
    return X


def fit(task: dict) -> dict:
    from narrows.autoencoder import Autoencoder

    warnings.simplefilter("ignore")
    X = task["path"] if task["how"] == "stream" else in_memory(task["path"], task["rows"])
    plan = {} if task["plan"] == "default" else {"max_epochs": 1, "batch_size": task["batch"]}
    model = Autoencoder(random_state=0, device="cpu", **plan)
    start = time.perf_counter()
    model.fit(X)
    seconds = time.perf_counter() - start
    first, last = model.history_[0], model.history_[-1]
    rows = last["step"] * model.plan_["batch_size"]
    return {
        "seconds": seconds,
        "training": rows / (last["seconds"] - first["seconds"]),
        "whole": rows / seconds,
        "passes": last["epoch"],
        "peak": peak_rss() / 1e9,
        "error": model.baselines_["model"] / model.baselines_["pca"],
    }


def job(task: dict) -> dict:
    return make(task) if task["how"] == "make" else fit(task)


def compare(plan: str, task: dict, repeats: int) -> None:
    found: dict[str, list[dict]] = {"stream": [], "memory": []}
    for _ in range(repeats):
        for how, answers in found.items():
            answers.append(fresh(__file__, {**task, "how": how, "plan": plan}))
            last = answers[-1]
            say(f"{plan}, {how}: {last['seconds']:.1f} s, {last['training']:.0f} rows/s, {last['peak']:.2f} GB")

    def every(how: str, key: str) -> list[float]:
        return [answer[key] for answer in found[how]]

    lines = [
        Line("streaming: peak memory, GB", every("stream", "peak"), ".2f", most=1.2),
        Line("in memory: peak memory, GB", every("memory", "peak"), ".2f"),
    ]
    for key, label in (("training", "training"), ("whole", "whole fit")):
        ratio = ratios(every("stream", key), every("memory", key))
        lines += [
            Line(f"streaming: rows/s, {label}", every("stream", key), ".0f"),
            Line(f"in memory: rows/s, {label}", every("memory", key), ".0f"),
            Line(f"rows/s, {label}: streaming / in memory", ratio, ".2f", least=0.5),
        ]
    lines += [
        Line("streaming: s for fit", every("stream", "seconds"), ".1f"),
        Line("in memory: s for fit", every("memory", "seconds"), ".1f"),
        Line("streaming: passes over the rows", every("stream", "passes"), ".2f"),
        Line("streaming: held-out error / PCA's", every("stream", "error"), ".3f"),
        Line("in memory: held-out error / PCA's", every("memory", "error"), ".3f"),
    ]
    name = "the default plan" if plan == "default" else f"one epoch, batch {task['batch']}"
    show(f"{task['all_rows']} × {task['columns']} float32, {name} ({task['rows']} rows in memory)", lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the file is made")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--memory-rows", type=int, help="rows of the fit in memory; all by default")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plan", choices=("epoch", "default", "both"), default="both")
    parser.add_argument("--remove", action="store_true", help="remove the file afterwards")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / f"factors-{options.rows}x{options.columns}.parquet"
    task = {"path": str(path), "columns": options.columns, "batch": options.batch}
    if not path.exists():
        say(f"writing {path.name}")
        fresh(__file__, {**task, "how": "make", "rows": options.rows})
    task |= {"all_rows": options.rows, "rows": options.memory_rows or options.rows}
    for plan in ("epoch", "default") if options.plan == "both" else (options.plan,):
        compare(plan, task, options.repeats)
    print(f"\n{machine()}")
    if options.remove:
        path.unlink()


if __name__ == "__main__":
    run_script(main, job)
