"""How well digits can be told apart by 32 numbers: PCA's, an autoencoder's as taught, narrows' default.

Data: MNIST, all 60,000 training rows for the codes; then the classifier of a first course
(``narrows.labs.classifier``) on the codes: 128 ReLU, softmax, RMSprop 1e-3, 20 epochs, batches of 128, the last fifth
of the training rows for validation. Codes go in as they come, or with ``--standardise`` each number with mean 0 and
spread 1 over the rows the classifier trains on. Systems by turns, seeds 0, 1, 2, … for network and classifier; PCA is
of the bytes, divided by 255 as for the others. There is no bar but PCA: what matters is whether a code classifies as
well as PCA's.

    python bench/classifier_on_codes.py [--seeds 5] [--standardise]

About 8 minutes on two cores.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import TYPE_CHECKING, Any

from common import Line, machine, mnist, run_script, say, show

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

SIZE = 32


def systems(epochs: int | None) -> dict[str, Callable[[int], Any]]:
    """Return what makes each transformer, for rows in 0..1."""
    from sklearn.decomposition import PCA

    from narrows import Autoencoder
    from narrows.likelihoods import Gaussian
    from narrows.networks import Dense
    from narrows.training.optimisers import Adam

    layers = Dense((128,), activation="relu", code_activation="relu", output_activation="sigmoid", init="glorot")
    taught = {
        "network": layers,
        "likelihood": Gaussian(bounds="none"),
        "scaling": "none",
        "optimizer": Adam(eps=1e-7),
        "schedule": "constant",
        "learning_rate": 1e-3,
        "batch_size": 32,
        "max_epochs": epochs or 5,
        "early_stopping": False,
        "validation_fraction": 0,
    }
    plan = {"max_epochs": epochs or "auto", "device": "cpu"}
    return {
        f"PCA({SIZE})": lambda seed: PCA(SIZE, svd_solver="covariance_eigh", random_state=seed),
        "as taught": lambda seed: Autoencoder(SIZE, random_state=seed, device="cpu", **taught),
        f"Autoencoder({SIZE}, network=Dense((128,)))": lambda seed: Autoencoder(
            SIZE, network=Dense((128,)), random_state=seed, **plan
        ),
        f"Autoencoder({SIZE})": lambda seed: Autoencoder(SIZE, random_state=seed, **plan),
    }


def codes(model: Any, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Fit and encode."""
    import numpy as np

    train, test = (X.astype(np.float32) / 255 for X in (data.train, data.test))
    model.fit(train)
    return model.transform(train), model.transform(test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--standardise", action="store_true", help="codes with mean 0 and spread 1")
    parser.add_argument("--rows", type=int, help="use only the first so many training rows, to try the script")
    parser.add_argument("--epochs", type=int, help="of all autoencoders, to try the script")
    options = parser.parse_args()

    from narrows.labs.classifier import CodeClassifier, classify_codes

    warnings.simplefilter("ignore")
    data = mnist(options.rows)
    made = systems(options.epochs)
    found: dict[str, dict[str, list[float]]] = {name: {"validation": [], "test": [], "seconds": []} for name in made}
    for seed in range(options.seeds):
        for name, make in made.items():
            start = time.perf_counter()
            train, test = codes(make(seed), data)
            found[name]["seconds"].append(time.perf_counter() - start)
            accuracy = classify_codes(
                train,
                data.train_labels,
                test,
                data.test_labels,
                CodeClassifier(seed=seed),
                standardise=options.standardise,
            )
            found[name]["validation"].append(100 * accuracy.validation)
            found[name]["test"].append(100 * accuracy.test)
            say(f"{name}, seed {seed}: {100 * accuracy.test:.2f} % of test rows")
    lines = []
    for name, values in found.items():
        lines += [
            Line(f"{name}: % of validation rows", values["validation"], ".2f"),
            Line(f"{name}: % of test rows", values["test"], ".2f"),
            Line(f"{name}: s to fit and encode", values["seconds"], ".1f"),
        ]
    how = "standardised" if options.standardise else "as they come"
    show(f"The classifier on {SIZE} numbers, {how}", lines)
    print(f"\n{machine()}")


if __name__ == "__main__":
    run_script(main)
