"""Denoising grey photographs at sigma 25: narrows' convolutional network beside BM3D and non-local means.

The network is trained on random patches of eight of the twelve Kodak photographs in ``NARROWS_DATA/kodak`` and tested,
as the others are, on the four that are left, with the same noise (seed 0; not clipped, as the papers have it). BM3D and
non-local means are told the noise level. With ``--folder`` another folder of photographs is tested on instead, by the
model trained on all twelve.

    python bench/denoise_photos.py [--folder FOLDER] [--max-seconds 600] [--quick]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np

import narrows
from common import machine, say
from narrows.corruption import Gaussian
from narrows.data import read_image
from narrows.datasets import image_folder
from narrows.metrics import psnr, ssim
from narrows.networks import Convolutional

SIGMA = 25.0
N_TEST = 4


def train(files: list[Path], *, patches: int, max_seconds: float | None) -> tuple[narrows.Autoencoder, float, float]:
    X = image_folder(files, color="grey", patches=48, n_patches=patches).images
    network = Convolutional((48, 64, 96), blocks=2, skips=True)
    model = narrows.Autoencoder(
        network=network, corruption=Gaussian(SIGMA), random_state=0, max_seconds=max_seconds, verbose=1
    )
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(X)
    return model, time.perf_counter() - wall, time.process_time() - cpu


def classic(noisy: np.ndarray) -> dict[str, np.ndarray]:
    from bm3d import bm3d
    from skimage.restoration import denoise_nl_means

    means = denoise_nl_means(noisy, patch_size=7, patch_distance=10, h=0.6 * SIGMA, sigma=SIGMA, fast_mode=False)
    return {"non-local means": means, "BM3D": bm3d(noisy, SIGMA)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder")
    parser.add_argument("--max-seconds", type=float)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    kodak = sorted((Path(os.environ["NARROWS_DATA"]) / "kodak").glob("*.png"))
    training, tested = kodak[:-N_TEST], kodak[-N_TEST:]
    if given.folder:
        training, tested = kodak, sorted(Path(given.folder).glob("*.png"))
    patches = 2000 if given.quick else 20_000
    model, wall, cpu = train(training, patches=patches, max_seconds=30 if given.quick else given.max_seconds)
    found: dict[str, list[tuple[float, float]]] = {}
    rng = np.random.default_rng(0)
    for file in tested:
        say(file.name)
        clean = read_image(file, color="grey").astype(np.float32)
        noisy = (clean + SIGMA * rng.normal(size=clean.shape)).astype(np.float32)
        results = {"noisy": noisy, "narrows": model.denoise_image(noisy), **classic(noisy)}
        for name, image in results.items():
            found.setdefault(name, []).append((psnr(clean, image, 255), ssim(clean, image, 255)))
    print(f"\n{machine()}\n\n{len(training)} photographs to train on, {len(tested)} to test; narrows: {wall:.0f} s, ")
    print(f"{cpu:.0f} CPU seconds, {model.n_steps_} steps.\n\n| | PSNR, dB | SSIM |\n|---|---|---|")
    for name, values in found.items():
        print(f"| {name} | {statistics.mean(v[0] for v in values):.2f} | {statistics.mean(v[1] for v in values):.3f} |")


if __name__ == "__main__":
    main()
