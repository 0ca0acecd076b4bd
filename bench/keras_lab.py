"""The autoencoder of a first course: narrows against the same thing in Keras, in time and in test error.

Data: MNIST, 60,000 rows to train with, squared error on the 10,000 test rows in units of 0..1 (pixels / 255).
Network in all cases 784-128-32-128-784. Everything is measured by turns, each fit in a process of its own that has
imported its library and loaded the data before the clock starts; there is no warm-up. narrows runs on the CPU.

(a) *As taught*: the same network, losses, optimiser and batches in both (bench/keras_script.py is the Keras side).
    narrows must reach Keras' error, and take at most 0.6 of Keras' time per epoch.
(b) *Defaults*: ``Autoencoder(32, network=Dense((128,)), max_epochs=E)`` on the bytes as they are. E = 1 and 5, then as
    many epochs as fit into Keras' five-epoch fit, then ``max_seconds`` set so that the fit takes that long.

Seeds 0, 1, 2, …, the same for all. "fit" is all of ``fit``'s wall time, including measuring, holding out rows and
comparing with PCA.

    python bench/keras_lab.py --keras-python PYTHON [--mnist FOLDER] [--seeds 5] [--shorter]

PYTHON is the interpreter of an environment with tensorflow-cpu; FOLDER has the four idx files (default:
$NARROWS_DATA/mnist). About 15 minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

from common import Line, epoch_seconds, fresh, last_json, machine, mnist, pixel_error, ratios, run_script, say, show

HERE = Path(__file__).parent
MANY_EPOCHS = 1000


def job(task: dict) -> dict:
    import warnings

    import numpy as np

    from narrows.autoencoder import Autoencoder
    from narrows.likelihoods import Gaussian
    from narrows.networks import Dense
    from narrows.training.optimisers import Adam

    warnings.simplefilter("ignore")
    data = mnist(task.get("rows"))
    train, test, unit = data.train, data.test, 255.0
    if task["kind"] == "taught":
        train, test, unit = train.astype(np.float32) / 255, test.astype(np.float32) / 255, 1.0
        model = Autoencoder(
            32,
            network=Dense(
                (128,), activation="relu", code_activation="relu", output_activation="sigmoid", init="glorot"
            ),
            likelihood=Gaussian(bounds="none"),
            scaling="none",
            optimizer=Adam(eps=1e-7),
            schedule="constant",
            learning_rate=1e-3,
            batch_size=32,
            max_epochs=task["epochs"],
            early_stopping=False,
            validation_fraction=0,
            random_state=task["seed"],
            device="cpu",
        )
    else:
        model = Autoencoder(
            32,
            network=Dense((128,)),
            max_epochs=task["epochs"],
            max_seconds=task.get("max_seconds"),
            random_state=task["seed"],
            device="cpu",
        )
    start = time.perf_counter()
    model.fit(train)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "mse": pixel_error(model, test, unit),
        "epochs": epoch_seconds(model.history_),
        "training": model.history_[-1]["seconds"],
        "passes": model.history_[-1]["epoch"],
        "stopped": model.stopped_,
    }


class Lab:
    """Runs fits in fresh processes and keeps what they gave."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.found: dict[str, list[dict]] = {}

    def keras(self, name: str, seed: int) -> dict:
        """Fit with Keras."""
        options = self.options
        script = [options.keras_python, str(HERE / "keras_script.py"), str(options.mnist), "--seed", str(seed)]
        script += ["--epochs", str(options.epochs)] + (["--rows", str(options.rows)] if options.rows else [])
        return self._keep(name, last_json(script))

    def narrows(self, name: str, seed: int, epochs: int, kind: str = "default", **more: float) -> dict:
        """Fit with narrows."""
        task = {"kind": kind, "seed": seed, "epochs": epochs, "rows": self.options.rows, **more}
        return self._keep(name, fresh(__file__, task))

    def _keep(self, name: str, answer: dict) -> dict:
        self.found.setdefault(name, []).append(answer)
        say(f"{name}: {answer['seconds']:.2f} s, test MSE {answer['mse']:.5f}")
        return answer

    def every(self, name: str, key: str) -> list[float]:
        """Return one number of all fits of this name."""
        return [answer[key] for answer in self.found[name]]

    def median(self, name: str, key: str) -> float:
        """Return the median of one number over the fits of this name."""
        return statistics.median(self.every(name, key))

    def epoch(self, name: str) -> list[float]:
        """Return the median seconds of an epoch, for each fit."""
        return [statistics.median(answer["epochs"]) for answer in self.found[name]]


def first_rounds(lab: Lab) -> None:
    epochs = lab.options.epochs
    for seed in range(lab.options.seeds):
        lab.keras("keras", seed)
        lab.narrows("taught", seed, epochs, kind="taught")
        lab.narrows("one", seed, 1)
        lab.narrows("five", seed, epochs)
    keras, taught = lab.every("keras", "mse"), lab.every("taught", "mse")
    low, high = min(0.0084, *keras), max(0.0094, *keras)
    show(
        "(a) As taught",
        [
            Line("Keras: test MSE", keras, ".5f"),
            Line("narrows: test MSE", taught, ".5f", least=round(low, 5), most=round(high, 5)),
            Line("Keras: s an epoch", lab.epoch("keras"), ".2f"),
            Line("narrows: s an epoch", lab.epoch("taught"), ".2f"),
            Line("s an epoch, narrows / Keras", ratios(lab.epoch("taught"), lab.epoch("keras")), ".3f", most=0.6),
            Line("Keras: s for fit", lab.every("keras", "seconds"), ".1f"),
            Line("narrows: s for fit", lab.every("taught", "seconds"), ".1f"),
        ],
        [
            "The bar on the error is 0.0084 to 0.0094, widened to Keras' own spread in this run.",
            "An epoch's time is the median over the epochs of one fit.",
        ],
    )


def larger_budgets(lab: Lab) -> None:
    options = lab.options
    budget = lab.median("keras", "seconds")
    per_epoch = (lab.median("five", "seconds") - lab.median("one", "seconds")) / max(1, options.epochs - 1)
    setup = statistics.median(a["seconds"] - a["training"] for a in lab.found["five"])
    limit = max(0.1, budget - setup)
    epochs = max(1, int(1 + (budget - lab.median("one", "seconds")) / per_epoch))
    for _ in range(4):
        name = f"{epochs} epochs"
        if name not in lab.found:
            for seed in range(options.seeds):
                lab.keras("keras again", seed)
                lab.narrows(name, seed, epochs)
        if lab.median(name, "seconds") <= lab.median("keras again", "seconds") or epochs == 1:
            break
        epochs -= 1
    for seed in range(options.seeds):
        lab.keras("keras again", seed)
        lab.narrows("clock", seed, MANY_EPOCHS, max_seconds=limit)
    keras = lab.median("keras", "seconds")
    later = lab.median("keras again", "seconds")
    lines = [
        Line(
            "Keras: s for its five epochs", lab.every("keras", "seconds") + lab.every("keras again", "seconds"), ".1f"
        ),
        Line("1 epoch: test MSE", lab.every("one", "mse"), ".5f", most=0.0081),
        Line("1 epoch: s for fit", lab.every("one", "seconds"), ".2f"),
        Line(
            "1 epoch: fit / Keras' fit",
            ratios(lab.every("one", "seconds"), lab.every("keras", "seconds")),
            ".3f",
            most=0.125,
            bar="try 1/15 = 0.067",
        ),
        Line("1 epoch: s of training alone", lab.every("one", "training"), ".2f"),
        Line(f"{options.epochs} epochs: test MSE", lab.every("five", "mse"), ".5f", most=0.0055),
        Line(f"{options.epochs} epochs: s for fit", lab.every("five", "seconds"), ".2f"),
    ]
    for name in [name for name in lab.found if name.endswith(" epochs")]:
        lines += [
            Line(
                f"{name}: test MSE", lab.every(name, "mse"), ".5f", most=0.0047 if name == f"{epochs} epochs" else None
            ),
            Line(f"{name}: s for fit", lab.every(name, "seconds"), ".2f", most=round(later, 2)),
        ]
    lines += [
        Line("by the clock: test MSE", lab.every("clock", "mse"), ".5f", most=0.0047),
        Line("by the clock: s for fit", lab.every("clock", "seconds"), ".2f", bar=f"Keras {keras:.2f} and {later:.2f}"),
        Line("by the clock: passes over the rows", lab.every("clock", "passes"), ".1f"),
    ]
    note = (
        f"By the clock: max_epochs={MANY_EPOCHS}, max_seconds={limit:.2f}: Keras' median less {setup:.2f} s, which a "
        "fit takes beside training.\n\nFor all but 1 and 5 epochs Keras is measured again beside each fit."
    )
    show("(b) narrows' defaults at the same layer sizes", lines, [note])


def shorter(lab: Lab) -> None:
    options = lab.options
    training = lab.median("one", "training")
    shares = (0.25, 0.5, 0.75)
    for seed in range(options.seeds):
        lab.keras("keras beside shorter", seed)
        for share in shares:
            lab.narrows(f"share {share}", seed, 1, max_seconds=share * training)
    lines = []
    for share in shares:
        name = f"share {share}"
        lines += [
            Line(f"{share} of an epoch's time: test MSE", lab.every(name, "mse"), ".5f", most=0.0081),
            Line(f"{share} of an epoch's time: passes", lab.every(name, "passes"), ".2f"),
            Line(
                f"{share} of an epoch's time: fit / Keras' fit",
                ratios(lab.every(name, "seconds"), lab.every("keras beside shorter", "seconds")),
                ".3f",
                most=0.125,
            ),
        ]
    show("(b) Less than an epoch", lines, ["max_epochs=1 with max_seconds at a share of one epoch's training time."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras-python", required=True, help="interpreter of an environment with tensorflow-cpu")
    parser.add_argument("--mnist", type=Path, help="folder of the idx files; default $NARROWS_DATA/mnist")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5, help="of Keras and as taught")
    parser.add_argument("--rows", type=int, help="use only the first so many training rows, to try the script")
    parser.add_argument("--shorter", action="store_true", help="also less than an epoch, by max_seconds")
    parser.add_argument("--only-taught", action="store_true", help="leave out the larger budgets of (b)")
    options = parser.parse_args()
    if options.mnist is None:
        if "NARROWS_DATA" not in os.environ:
            parser.error("say where MNIST is: --mnist FOLDER, or set NARROWS_DATA")
        options.mnist = Path(os.environ["NARROWS_DATA"]) / "mnist"
    lab = Lab(options)
    first_rounds(lab)
    if not options.only_taught:
        larger_budgets(lab)
    if options.shorter:
        shorter(lab)
    print(f"\n{machine()} {lab.found['keras'][0]['versions']}.")


if __name__ == "__main__":
    run_script(main, job)
