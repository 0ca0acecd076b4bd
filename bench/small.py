"""How long a default fit of a small table takes.

Data: ``narrows.datasets.make_manifold(rows, columns)``, seed 0; ``Autoencoder(random_state=0)`` with all defaults, so
with folds, choice and refit. Warm: in this process, after one fit. Fresh: a process of its own for each fit, after
its imports. By turns. Bar: 200 × 10 in 1.5 s.

    python bench/small.py [--runs 5] [--shapes 200x10 1000x20 …]

About 2 minutes on two cores.
"""

from __future__ import annotations

import argparse
import time
import warnings

from common import Line, fresh, machine, run_script, say, show

SHAPES = (
    (200, 10),
    (100, 10),
    (1000, 20),
    (1, 10),
    (2, 10),
    (9, 10),
    (10, 10),
    (50, 2),
    (499, 30),
    (500, 30),
    (100, 500),
)


def job(task: dict) -> dict:
    from narrows import datasets
    from narrows.autoencoder import Autoencoder

    warnings.simplefilter("ignore")
    rows, columns = task["shape"]
    X = datasets.make_manifold(rows, columns, min(2, columns), random_state=0)
    model = Autoencoder(random_state=0, device="cpu")
    start = time.perf_counter()
    model.fit(X)
    return {"seconds": time.perf_counter() - start, "steps": model.n_steps_, "stopped": model.stopped_}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--shapes", nargs="+", help="rows x columns, such as 200x10")
    options = parser.parse_args()
    shapes = [tuple(int(part) for part in shape.split("x")) for shape in options.shapes or ()] or SHAPES
    job({"shape": (50, 5)})
    lines = []
    for shape in shapes:
        warm, cold = [], []
        for _ in range(options.runs):
            warm.append(job({"shape": shape}))
            cold.append(fresh(__file__, {"shape": shape}))
        name = f"{shape[0]} × {shape[1]}"
        most = 1.5 if shape == (200, 10) else None
        say(f"{name}: {warm[0]['seconds']:.2f} s, {warm[0]['steps']} steps behind the model")
        lines += [
            Line(f"{name}, warm: s", [r["seconds"] for r in warm], ".2f", most=most),
            Line(f"{name}, fresh process: s", [r["seconds"] for r in cold], ".2f", most=most),
        ]
    show("Small tables, default fit", lines)
    print(f"\n{machine()}")


if __name__ == "__main__":
    run_script(main, job)
