"""A linear autoencoder finds PCA's subspace: its test error against PCA's.

Data: MNIST, 60,000 rows as bytes; squared error on the 10,000 test rows in units of 0..1. Likelihood
``Gaussian(bounds="none")``, the plain squared error. Three linear networks: the linear path that starts at PCA, one
linear layer each way from a random start, and two of them (128 wide) from a random start. Everything else is the
default. Bar: test error within 1 % of PCA's.

    python bench/linear_is_pca.py [--sizes 8 32] [--seeds 3]

About 10 minutes on two cores.
"""

from __future__ import annotations

import argparse
import time
import warnings

from common import Line, machine, mnist, pixel_error, run_script, say, show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 32], help="sizes of the code")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, help="use only the first so many training rows, to try the script")
    parser.add_argument("--epochs", type=int, help="passes over the rows; the default plan otherwise")
    options = parser.parse_args()

    import numpy as np
    from sklearn.decomposition import PCA

    from narrows import Autoencoder
    from narrows.likelihoods import Gaussian
    from narrows.networks import Dense

    warnings.simplefilter("ignore")
    data = mnist(options.rows)
    test = data.test.astype(np.float64)
    networks = {
        "starts at PCA": Dense((), activation="identity", linear_path=True),
        "random start": Dense((), activation="identity", linear_path=False),
        "random start, 128 between": Dense((128,), activation="identity", linear_path=False),
    }
    lines = []
    for size in options.sizes:
        pca = PCA(size, svd_solver="covariance_eigh").fit(data.train.astype(np.float64))
        base = float(np.mean((pca.inverse_transform(pca.transform(test)) - test) ** 2)) / 255**2
        lines.append(Line(f"PCA-{size}: test MSE", [base], ".6f"))
        errors: dict[str, list[float]] = {name: [] for name in networks}
        seconds: dict[str, list[float]] = {name: [] for name in networks}
        for seed in range(options.seeds):
            for name, network in networks.items():
                model = Autoencoder(
                    size,
                    network=network,
                    likelihood=Gaussian(bounds="none"),
                    max_epochs=options.epochs or "auto",
                    random_state=seed,
                    device="cpu",
                )
                start = time.perf_counter()
                model.fit(data.train)
                seconds[name].append(time.perf_counter() - start)
                errors[name].append(pixel_error(model, data.test, 255.0))
                say(f"{size} numbers, {name}: {errors[name][-1] / base:.4f} of PCA, {model.stopped_}")
        for name in networks:
            against = [error / base for error in errors[name]]
            lines += [
                Line(f"{size}, {name}: test MSE", errors[name], ".6f"),
                Line(f"{size}, {name}: test MSE / PCA's", against, ".4f", least=0.99, most=1.01),
                Line(f"{size}, {name}: s for fit", seconds[name], ".1f"),
            ]
    show("A linear autoencoder against PCA", lines)
    print(f"\n{machine()}")


if __name__ == "__main__":
    run_script(main)
