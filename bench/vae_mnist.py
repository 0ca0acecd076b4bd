"""The likelihood of binarised MNIST under a variational autoencoder of narrows with 40 numbers, as literature tells it.

Data: MNIST with zeros and ones drawn once, grey as their chance, from ``np.random.default_rng(0)``: first those of the
60,000 training rows, then those of the 10,000 test rows, which everything is measured on. Model:
``VariationalAutoencoder(40, likelihood="bernoulli", max_seconds=600)``, told that rows are images, for which the
default network is convolutional, or with ``network="dense"``; everything else is the default, or as ``--epochs`` and
``--set`` say. Told are, in nats a row, minus the evidence lower
bound (8 draws a row) under the standard normal prior and under the mixture that was fitted afterwards, minus the
log-likelihood by importance sampling (1,000 draws a row, standard normal prior; of all test rows, of the convolutional
network's of the first 1,000, or of ``--iw-rows``), how many of the 40 numbers are in use, and the time of ``fit``.

    python bench/vae_mnist.py [--network auto] [--max-seconds 600] [--seeds 1] [--iw-rows 10000] [--set NAME=VALUE ...]

On two cores, beside the fit, about 5 minutes for the 1,000 draws of all test rows, and as many for those of 1,000 rows
of the convolutional network.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

import numpy as np

from common import Line, machine, mnist, parameter, say, show
from narrows import VariationalAutoencoder

BARS = {"dense": (92, 88), "auto": (92, 88)}
IW_ROWS = {"dense": 10_000, "auto": 1000}
SIZE = 40
IW_BLOCK = 1000


def measure(task: dict) -> dict:
    warnings.simplefilter("ignore", UserWarning)
    data = mnist()
    rng = np.random.default_rng(0)
    # As bytes, 0 and 255, a quarter of the memory.
    train, test = ((rng.random(part.shape) < part / 255).astype(np.uint8) * 255 for part in (data.train, data.test))
    train, test = train[: task["rows"]], test[: task["test_rows"]]
    options = {"max_seconds": task["max_seconds"] or None, "random_state": task["seed"], "device": "cpu"} | task["set"]
    if task["epochs"]:
        options["max_epochs"] = task["epochs"]
    model = VariationalAutoencoder(
        SIZE, network=task["network"], image_shape=(28, 28), likelihood="bernoulli", **options
    )
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(train)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    say(f"fitted in {wall:.0f} s: {model.n_steps_} steps, {model.stopped_}")
    found = model.elbo(test)
    bounds = {"normal": -float(found.total.mean()), "mixture": -float(model.elbo(test, prior="mixture").total.mean())}
    say(f"-bound: {bounds['normal']:.2f}, with the mixture {bounds['mixture']:.2f}")
    start = time.perf_counter()
    weighted: list[np.ndarray] = []
    for first in range(0, task["iw_rows"], IW_BLOCK):
        block = test[first : min(first + IW_BLOCK, task["iw_rows"])]
        weighted.append(model.log_likelihood(block, task["iw_samples"]))
        say(f"importance: {first + len(block)} rows, {-np.concatenate(weighted).mean():.2f}")
    every = np.concatenate(weighted)
    return {
        "normal": bounds["normal"],
        "mixture": bounds["mixture"],
        "reconstruction": -float(found.reconstruction.mean()),
        "kl": float(found.kl.mean()),
        "weighted": -float(every.mean()),
        "error": float(every.std() / len(every) ** 0.5),
        "first": -float(found.total[: len(every)].mean()),
        "active": model.n_active_components_,
        "fit": wall,
        "cpu": cpu,
        "training": model.history_[-1]["seconds"],
        "steps": model.n_steps_,
        "passes": model.history_[-1]["epoch"],
        "stopped": model.stopped_,
        "iw_seconds": time.perf_counter() - start,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=list(BARS), default="auto")
    parser.add_argument(
        "--max-seconds", type=float, default=600, help="limit on the training; 0 for the default budget"
    )
    parser.add_argument("--epochs", type=int, help="max_epochs of the fit, if not the default")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other parameters of the estimator")
    parser.add_argument("--iw-samples", type=int, default=1000)
    parser.add_argument("--iw-rows", type=int, help="the first so many test rows get the 1,000 draws; see above")
    parser.add_argument("--test-rows", type=int, help="measure the first so many test rows only")
    parser.add_argument("--rows", type=int, help="use only the first so many training rows, to try the script")
    options = parser.parse_args()
    options.iw_rows = min(options.iw_rows or IW_ROWS[options.network], options.test_rows or 10_000)
    task = {name: getattr(options, name) for name in ("network", "max_seconds", "epochs", "iw_samples", "iw_rows")}
    task |= {"rows": options.rows, "test_rows": options.test_rows, "set": dict(map(parameter, options.set))}
    told(options, [measure(task | {"seed": seed}) for seed in range(options.seeds)])


def told(options: argparse.Namespace, answers: list[dict]) -> None:
    def every(key: str) -> list[float]:
        return [answer[key] for answer in answers]

    most, weighted = BARS[options.network]
    lines = [
        Line("-bound, standard normal prior, nats", every("normal"), ".2f", most=most),
        Line("of it reconstruction", every("reconstruction"), ".2f"),
        Line("of it KL", every("kl"), ".2f"),
        Line("-bound, mixture prior, nats", every("mixture"), ".2f"),
        Line(
            f"-log-likelihood, {options.iw_samples} draws, {options.iw_rows} rows",
            every("weighted"),
            ".2f",
            most=weighted,
        ),
        Line("its standard error over rows", every("error"), ".2f"),
        Line("-bound of these rows, standard normal", every("first"), ".2f"),
        Line(f"numbers of the code in use, of {SIZE}", every("active"), ".0f", least=30),
        Line("s for fit", every("fit"), ".0f", most=600),
        Line("CPU s for fit", every("cpu"), ".0f"),
        Line("s of the main training", every("training"), ".0f"),
        Line("steps behind the weights", every("steps"), ".0f"),
        Line("passes over the rows", every("passes"), ".1f"),
        Line("s for the importance sampling", every("iw_seconds"), ".0f"),
    ]
    ended = ", ".join(answer["stopped"] for answer in answers)
    given = f"max_seconds={options.max_seconds or None}" + "".join(f", {text}" for text in options.set)
    threads = os.environ.get("OMP_NUM_THREADS", "as many threads as cores")
    notes = [f"{given}; ended by: {ended}; OMP_NUM_THREADS: {threads}."]
    show(f"Binarised MNIST, {options.network}", lines, notes)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
