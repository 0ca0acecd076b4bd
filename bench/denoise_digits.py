"""Denoising MNIST: narrows' dense and convolutional networks beside BM3D, non-local means, a median filter and PCA.

Noise as in the bars: Gaussian with sigma 0.5 clipped to 0..1, and 30 % salt and pepper; drawn once with seed 0 for the
10,000 test images. PSNR is that of the mean squared error over all of them. BM3D is told the noise level and, being
slow, measured on the first 500 images; non-local means has the best of a few settings on training images.

    python bench/denoise_digits.py [--quick]
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np

import narrows
from common import machine, mnist, say
from narrows.corruption import Gaussian, SaltAndPepper
from narrows.metrics import psnr
from narrows.networks import Convolutional

BM3D_IMAGES = 500


def spoil(X: np.ndarray, kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    if kind == "gaussian":
        return np.clip(X + 0.5 * rng.normal(size=X.shape), 0, 1).astype(np.float32)
    draw = rng.uniform(size=X.shape)
    return np.where(draw < 0.15, 0, np.where(draw >= 0.85, 1, X)).astype(np.float32)


def classic(noisy: np.ndarray, kind: str) -> dict[str, np.ndarray]:
    from bm3d import bm3d
    from scipy.ndimage import median_filter
    from skimage.restoration import denoise_nl_means

    images = noisy.reshape(-1, 28, 28)
    found = {"median 3 x 3": median_filter(images, (1, 3, 3)).reshape(noisy.shape)}
    if kind == "gaussian":
        means = [denoise_nl_means(image, patch_size=3, patch_distance=11, h=0.4) for image in images]
        found["non-local means"] = np.clip(np.reshape(means, noisy.shape), 0, 1)
        few = [bm3d(image, 0.5) for image in images[:BM3D_IMAGES]]
        found["BM3D"] = np.clip(np.reshape(few, (-1, 784)), 0, 1)
    return found


def linear(train: np.ndarray, noisy: np.ndarray, kind: str) -> np.ndarray:
    """Apply the best affine map from noisy to clean images, fitted to the training images."""
    from sklearn.linear_model import Ridge

    fitted = Ridge(1.0).fit(spoil(train[::-1], kind), train[::-1])
    return np.clip(fitted.predict(noisy), 0, 1)


def models(kind: str) -> dict[str, narrows.Autoencoder]:
    corruption = Gaussian(0.5, clip=(0, 1)) if kind == "gaussian" else SaltAndPepper(0.3)
    common = {"corruption": corruption, "image_shape": (28, 28), "random_state": 0}
    return {
        "narrows, dense, 32 numbers": narrows.Autoencoder(32, **common),
        "narrows, dense, 64 numbers": narrows.Autoencoder(64, **common),
        "narrows, Convolutional(), 64 numbers": narrows.Autoencoder(64, network=Convolutional(), **common),
        "narrows, Convolutional(skips=True)": narrows.Autoencoder(network=Convolutional(skips=True), **common),
    }


def main() -> None:
    quick = "--quick" in sys.argv
    data = mnist(5000 if quick else None)
    train = (data.train / 255).astype(np.float32)
    clean = (data.test[: 500 if quick else None] / 255).astype(np.float32)
    print(f"\n{machine()}\n")
    for kind in ("gaussian", "salt and pepper"):
        noisy = spoil(clean, kind)
        lines = [("noisy", psnr(clean, noisy), 0.0, 0.0)]
        for name, found in classic(noisy, kind).items():
            lines.append((name, psnr(clean[: len(found)], found), 0.0, 0.0))
        lines.append(("best affine map", psnr(clean, linear(train, noisy, kind)), 0.0, 0.0))
        for name, model in models(kind).items():
            say(f"{kind}: {name}")
            wall, cpu = time.perf_counter(), time.process_time()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", narrows.NotBetterThanBaselineWarning)
                model.fit(train)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            lines.append((name, psnr(clean, model.denoise(noisy)), wall, cpu))
        print(f"### MNIST, {kind}\n\n| | PSNR, dB | fit, s | fit, CPU s |\n|---|---|---|---|")
        for name, decibels, wall, cpu in lines:
            times = f"{wall:.0f} | {cpu:.0f}" if wall else " | "
            print(f"| {name} | {decibels:.2f} | {times} |")
        print(flush=True)


if __name__ == "__main__":
    main()
