"""The variational autoencoder of a first course: narrows against the same thing in pythae, in time and in the bound.

Data: MNIST, 60,000 rows to train with; the grey of a pixel is the chance of a one, and zeros and ones are drawn afresh
for each epoch on both sides (narrows draws at each step, pythae gets a data set that is filled anew before each
epoch; its time is told with and without that). Network in all cases 784-400-20-400-784. What is told is minus the
evidence lower bound in nats a row, 8 draws a row, of the 10,000 test rows with zeros and ones drawn once, by seed 0.
Everything is measured by turns, each fit in a process of its own that has loaded the data before the clock starts.

(a) *As in pythae*: ReLU, Adam 1e-3, batches of 128, 5 epochs, no warm-up of the KL, in both (bench/pythae_script.py is
    the pythae side). narrows starts the decoder's last biases at the mean row; the rest of the start differs only as
    the libraries' first weights do. narrows must take at most pythae's CPU time for an epoch.
(b) *Better settings*: the same layers and passes over the rows, no rows held out, ``Dense((400,), linear_path=False,
    init="pca")``, whose layers begin as PCA, and ``Muon(block=64)`` at a rate of 0.02 with batches of 192; everything
    else is narrows' default. Chosen on the last 10,000 training rows, where the warm-up of the KL, the schedule and the
    activation hardly matter. The bar is a bound of at most 100 nats.

An epoch's time is that of the process, all threads, the median over the epochs but the first; both sides have
``--threads`` threads. narrows' fit then trains a plain autoencoder and fits a prior, which "fit" includes.

    python bench/vae_pythae.py --pythae-python PYTHON [--mnist FOLDER] [--seeds 3] [--epochs 5] [--threads 1]
                               [--set NAME=VALUE ...]

PYTHON is the interpreter of an environment with pythae 0.1.2 and the same torch as here (the recipe is in
bench/pythae_script.py); FOLDER has the four idx files (default: $NARROWS_DATA/mnist). About 6 minutes on one core.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

from common import Line, fresh, last_json, machine, mnist, parameter, ratios, run_script, say, show

HERE = Path(__file__).parent
DRAWS = 8
BETTER = {"learning_rate": 0.02, "batch_size": 192}


def job(task: dict) -> dict:
    import warnings

    import numpy as np
    import torch

    from narrows import VariationalAutoencoder
    from narrows.likelihoods import Bernoulli
    from narrows.networks import Dense
    from narrows.training.optimisers import Adam, Muon

    warnings.simplefilter("ignore")
    torch.set_num_threads(task["threads"])
    data = mnist(task["rows"])
    common = {
        "likelihood": Bernoulli(dynamic=True),
        "max_epochs": task["epochs"],
        "early_stopping": False,
        "validation_fraction": 0,
        "random_state": task["seed"],
        "device": "cpu",
    }
    train, top = data.train, 255.0
    if task["kind"] == "same":
        train, top = (train / 255).astype(np.float32), 1.0
        common |= {
            "network": Dense((400,), activation="relu", init="glorot", linear_path=False),
            "kl_warmup": 0,
            "scaling": "none",
            "optimizer": Adam(),
            "schedule": "constant",
            "learning_rate": 1e-3,
            "batch_size": 128,
        }
    else:
        network = Dense((400,), linear_path=False, init="pca")
        common |= {"network": network, "optimizer": Muon(block=64)} | task["more"]
    ends: list[tuple[float, float]] = []

    def mark(record: dict) -> None:
        if record["run"] == "fit":
            ends.append((time.process_time(), time.perf_counter()))

    model = VariationalAutoencoder(20, callbacks=[mark], **common)
    cpu, wall = time.process_time(), time.perf_counter()
    model.fit(train)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    binary = np.random.default_rng(0).random(data.test.shape) < (data.test / 255).astype(np.float32)
    found = model.elbo((binary * top).astype(train.dtype), n_samples=DRAWS)
    cpus, walls = (np.diff(times).tolist() for times in zip(*ends, strict=True))
    return {
        "cpu": cpus,
        "wall": walls,
        "fit_cpu": cpu,
        "seconds": wall,
        "bound": -float(found.total.mean()),
        "active": model.n_active_components_,
        "torch": torch.__version__,
    }


class Lab:
    """Runs fits in fresh processes and keeps what they gave."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.env = {"OMP_NUM_THREADS": str(options.threads)}
        self.found: dict[str, list[dict]] = {}

    def pythae(self, seed: int) -> None:
        """Fit with pythae; the first epoch is left out of its times, as it is of narrows'."""
        options = self.options
        script = [options.pythae_python, str(HERE / "pythae_script.py"), str(options.mnist), "--seed", str(seed)]
        script += ["--epochs", str(options.epochs), "--threads", str(options.threads)]
        answer = last_json(script + (["--rows", str(options.rows)] if options.rows else []), self.env)
        answer |= {name: answer[name][1:] for name in ("cpu", "wall", "drawing")}
        answer["undrawn"] = [whole - part for whole, part in zip(answer["cpu"], answer["drawing"], strict=True)]
        self._keep("pythae", answer)

    def narrows(self, name: str, seed: int) -> None:
        """Fit with narrows."""
        options = self.options
        task = {
            "kind": name,
            "seed": seed,
            "epochs": options.epochs,
            "rows": options.rows,
            "threads": options.threads,
            "more": BETTER | dict(map(parameter, options.set)),
        }
        self._keep(name, fresh(__file__, task, env=self.env))

    def _keep(self, name: str, answer: dict) -> None:
        self.found.setdefault(name, []).append(answer)
        say(f"{name}: {statistics.median(answer['cpu']):.2f} CPU s an epoch, -bound {answer['bound']:.2f}")

    def every(self, name: str, key: str) -> list[float]:
        """Return one number of all fits of this name, the median where an answer has one for each epoch."""
        values = [answer[key] for answer in self.found[name]]
        return [statistics.median(value) if isinstance(value, list) else value for value in values]


def told(lab: Lab) -> None:
    pythae, same, better = ((lambda key, name=name: lab.every(name, key)) for name in ("pythae", "same", "better"))
    show(
        "(a) As in pythae",
        [
            Line("pythae: -bound, nats", pythae("bound"), ".2f"),
            Line("narrows: -bound, nats", same("bound"), ".2f"),
            Line("pythae: CPU s an epoch", pythae("cpu"), ".2f"),
            Line("pythae: CPU s an epoch without the drawing", pythae("undrawn"), ".2f"),
            Line("narrows: CPU s an epoch", same("cpu"), ".2f"),
            Line("CPU s an epoch, narrows / pythae", ratios(same("cpu"), pythae("cpu")), ".3f", most=1),
            Line("the same, pythae's without the drawing", ratios(same("cpu"), pythae("undrawn")), ".3f"),
            Line("wall s an epoch, narrows / pythae", ratios(same("wall"), pythae("wall")), ".3f"),
            Line("pythae: CPU s for fit", pythae("fit_cpu"), ".1f"),
            Line("narrows: CPU s for fit", same("fit_cpu"), ".1f"),
        ],
        ["An epoch's time is the median over the epochs of one fit but the first."],
    )
    settings = (BETTER | dict(map(parameter, lab.options.set))).items()
    show(
        "(b) narrows' better settings, the same widths and epochs",
        [
            Line("-bound, nats", better("bound"), ".2f", most=100),
            Line("numbers of the code in use, of 20", better("active"), ".0f"),
            Line("CPU s an epoch", better("cpu"), ".2f"),
            Line("CPU s an epoch, narrows / pythae", ratios(better("cpu"), pythae("cpu")), ".3f", most=1),
            Line("CPU s for fit", better("fit_cpu"), ".1f"),
            Line(
                "pythae less narrows: -bound, nats",
                [a - b for a, b in zip(pythae("bound"), better("bound"), strict=True)],
                ".2f",
            ),
        ],
        ["Here " + ", ".join(f"{name}={value}" for name, value in settings) + "."],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pythae-python", required=True, help="interpreter of an environment with pythae")
    parser.add_argument("--mnist", type=Path, help="folder of the idx files; default $NARROWS_DATA/mnist")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5, help="at least 2")
    parser.add_argument("--threads", type=int, default=1, help="of both sides")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other parameters in (b)")
    parser.add_argument("--rows", type=int, help="use only the first so many training rows, to try the script")
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error("--epochs must be at least 2: the first one's time is not told")
    if options.mnist is None:
        if "NARROWS_DATA" not in os.environ:
            parser.error("say where MNIST is: --mnist FOLDER, or set NARROWS_DATA")
        options.mnist = Path(os.environ["NARROWS_DATA"]) / "mnist"
    lab = Lab(options)
    for seed in range(options.seeds):
        lab.pythae(seed)
        lab.narrows("same", seed)
        lab.narrows("better", seed)
    versions = {name: lab.found[name][0]["torch"] for name in ("pythae", "same")}
    if versions["pythae"] != versions["same"]:
        raise SystemExit(
            f"both sides must have the same torch, but pythae has {versions['pythae']}, {versions['same']} is here"
        )
    told(lab)
    print(f"\n{machine()} pythae {lab.found['pythae'][0]['pythae']}; threads: {options.threads}.")


if __name__ == "__main__":
    run_script(main, job)
