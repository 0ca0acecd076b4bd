"""MNIST at 2 to 64 numbers: a default fit for each size, and one ordered fit for all, against PCA, on the test images.

python bench/sizes.py [--seed 0]
"""

from __future__ import annotations

import sys
import time

from sklearn.decomposition import PCA

import narrows
from common import Line, machine, mnist, pixel_error, say, show

SIZES = (2, 4, 8, 16, 32, 64)
BARS = {2: 0.75, 8: 0.50, 16: 0.42, 32: 0.33, 64: 0.40}


def main() -> None:
    seed = int(sys.argv[sys.argv.index("--seed") + 1]) if "--seed" in sys.argv else 0
    data = mnist()
    lines = []
    pca = PCA(64, svd_solver="covariance_eigh").fit(data.train)
    codes = pca.transform(data.test)
    linear = {}
    for size in SIZES:
        kept = codes.copy()
        kept[:, size:] = 0
        linear[size] = float(((pca.inverse_transform(kept) - data.test) ** 2).mean()) / 255**2
    own = {}
    for size in SIZES:
        start = time.perf_counter()
        model = narrows.Autoencoder(size, random_state=seed).fit(data.train)
        seconds = time.perf_counter() - start
        own[size] = pixel_error(model, data.test, 255)
        say(f"{size}: {own[size]:.5f} in {seconds:.0f} s")
        lines.append(
            Line(f"default fit, {size} numbers: error over PCA's", [own[size] / linear[size]], most=BARS.get(size))
        )
        lines.append(Line(f"default fit, {size} numbers: seconds", [seconds], most=60))
    start = time.perf_counter()
    model = narrows.Autoencoder(64, ordered=True, random_state=seed).fit(data.train)
    seconds = time.perf_counter() - start
    lines.append(Line("ordered fit to 64: seconds", [seconds]))
    for size in SIZES:
        error = float(((model.reconstruct(data.test, size) - data.test) ** 2).mean()) / 255**2
        say(f"ordered {size}: {error:.5f}")
        lines.append(Line(f"ordered, {size} numbers: error over that of a default fit", [error / own[size]], most=1.12))
        lines.append(Line(f"ordered, {size} numbers: error over PCA's", [error / linear[size]], most=1))
    show(f"MNIST by size of the code, seed {seed}", lines, [machine()])


if __name__ == "__main__":
    main()
