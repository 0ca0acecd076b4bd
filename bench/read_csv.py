"""Reading a CSV to typed batches: narrows against pyarrow.csv and pandas.read_csv, by time and peak memory.

Data: 20 columns, seed 0, repeated to ``--megabytes``: six decimal numbers, five whole ones, four texts of few values,
a time, a text with commas, postal codes with leading zeros, true and false, a number with gaps; texts are quoted. Each
reading runs in a process of its own, by turns. narrows: the first reading, which finds out the types, and one after
it. pyarrow, with its own defaults: ``open_csv``, a stream as narrows' is, which parses on one core; and ``read_csv``,
into memory, on all. pandas: ``read_csv``, into memory, since 3.1 on all cores too. Bars: the first reading takes no
more than 1.3 times as long as ``open_csv``, and 600 MB.

    python bench/read_csv.py --folder FOLDER [--megabytes 200] [--repeats 5] [--streams-only] [--remove]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from common import Line, fresh, machine, peak_rss, ratios, run_script, say, show

READERS = ("open_csv", "narrows", "read_csv", "pandas")
WHOLE = ("read_csv", "pandas")
"""The readers that hold the whole file in memory."""

ROWS = 50_000


def make(task: dict) -> dict:
    """Write the file: the same rows over and over."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import csv

    rng = np.random.default_rng(0)
    cities = np.array(["Berlin", "München", "Paris", "Rome", "Oslo"])
    columns = {f"decimal_{k}": rng.normal(size=ROWS).round(4) for k in range(6)}
    columns |= {f"whole_{k}": rng.integers(0, 10 ** (k + 2), ROWS) for k in range(5)}
    columns |= {f"city_{k}": cities[rng.integers(0, 5, ROWS)] for k in range(4)}
    columns["when"] = (np.datetime64("2024-01-01T00:00:00") + rng.integers(0, 3 * 10**7, ROWS)).astype(str)
    columns["text"] = np.array([f"note {number}, read" for number in rng.integers(0, 10**6, ROWS)])
    columns["postcode"] = np.array([f"{number:05d}" for number in rng.integers(0, 10**5, ROWS)])
    columns["member"] = rng.random(ROWS) < 0.5
    columns["gaps"] = rng.normal(size=ROWS).round(2)
    arrays = {
        name: pa.array(values, mask=rng.random(ROWS) < 0.3 * (name == "gaps")) for name, values in columns.items()
    }
    table = pa.table(arrays)
    part = Path(task["path"] + ".part")
    with part.open("wb") as file:
        while file.tell() < task["megabytes"] * 10**6:
            csv.write_csv(table, file, csv.WriteOptions(include_header=file.tell() == 0))
    part.replace(task["path"])
    return {}


def read(task: dict) -> dict:
    """Read the file once, and with narrows once more."""
    import pyarrow as pa
    from pyarrow import csv

    from narrows.data.text import TextSource

    answer: dict = {}
    rows: list[int] = []

    def take(batch: pa.RecordBatch) -> None:
        rows.append(len(batch))

    if task["how"] == "pandas":
        import pandas as pd
    start = time.perf_counter()
    if task["how"] == "open_csv":
        for batch in csv.open_csv(task["path"]):
            take(batch)
    elif task["how"] == "read_csv":
        rows.append(len(csv.read_csv(task["path"])))
    elif task["how"] == "pandas":
        rows.append(len(pd.read_csv(task["path"])))
    else:
        source = TextSource(task["path"])
        source.visit(lambda _: take)
    answer["seconds"] = time.perf_counter() - start
    answer["rows"] = sum(rows)
    if task["how"] == "narrows":
        start = time.perf_counter()
        for _ in source.batches():
            pass
        answer["again"] = time.perf_counter() - start
    return answer | {"peak": peak_rss() / 1e6}


def job(task: dict) -> dict:
    return make(task) if task["how"] == "make" else read(task)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the file is made")
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--streams-only", action="store_true", help="leave out what reads into memory")
    parser.add_argument("--remove", action="store_true", help="remove the file afterwards")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / f"mixed-{options.megabytes}.csv"
    task = {"path": str(path), "megabytes": options.megabytes}
    if not path.exists():
        say(f"writing {path.name}")
        fresh(__file__, {**task, "how": "make"})
    found: dict[str, list[dict]] = {how: [] for how in READERS if how not in WHOLE or not options.streams_only}
    for _ in range(options.repeats):
        for how, answers in found.items():
            answers.append(fresh(__file__, {**task, "how": how}))
            say(f"{how}: {answers[-1]['seconds']:.2f} s, {answers[-1]['peak']:.0f} MB")
    if len({answer["rows"] for answers in found.values() for answer in answers}) > 1:
        raise SystemExit("The readers do not agree on the number of rows.")

    def every(how: str, key: str = "seconds") -> list[float]:
        return [answer[key] for answer in found[how]]

    lines = [Line(f"{how}: s", every(how), ".2f") for how in found]
    lines += [Line("narrows: s, each later reading", every("narrows", "again"), ".2f")]
    for how in sorted(found.keys() - {"narrows"}):
        bar = 1.3 if how == "open_csv" else None
        lines += [Line(f"narrows / {how}", ratios(every("narrows"), every(how)), ".2f", most=bar)]
    lines += [Line("narrows: peak memory, MB", every("narrows", "peak"), ".0f", most=600)]
    lines += [Line(f"{how}: peak memory, MB", every(how, "peak"), ".0f") for how in found if how != "narrows"]
    show(f"{path.stat().st_size / 1e6:.0f} MB, {found['narrows'][0]['rows']} rows × 20 columns", lines)
    print(f"\n{machine()}")
    if options.remove:
        path.unlink()


if __name__ == "__main__":
    run_script(main, job)
