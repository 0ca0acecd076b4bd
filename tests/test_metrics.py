"""PSNR and SSIM against closed forms and scikit-image."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import narrows
from narrows.metrics import psnr, ssim

pytest.importorskip("skimage")

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
RGB = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (20, 30), dtype=np.uint16)


def test_psnr_is_that_of_the_mean_squared_error():
    assert psnr(np.zeros((4, 4)), np.full((4, 4), 0.1)) == pytest.approx(20)
    assert psnr(GREY, GREY) == float("inf")
    noisy = GREY.astype(float) + 5
    assert psnr(GREY, noisy) == pytest.approx(20 * np.log10(255 / 5))
    assert psnr(GREY.astype(np.float32), noisy) == pytest.approx(20 * np.log10(255 / 5))
    assert psnr(DEEP, DEEP.astype(float) + 1) == pytest.approx(20 * np.log10(65535))
    assert psnr(np.zeros((3, 3)), np.ones((3, 3)), data_range=10) == pytest.approx(20)
    # Its own span, where nothing else is known.
    wide = np.array([[-3.0, 5.0], [1.0, 2.0]])
    assert psnr(wide, wide + 0.8) == pytest.approx(20)
    for other, span in ((RGB, None), (GREY, 0)):
        with pytest.raises(narrows.DataError):
            psnr(GREY, other, data_range=span)


@pytest.mark.parametrize("pixels", [GREY, RGB], ids=["grey", "rgb"])
def test_both_are_scikit_images(pixels):
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    noisy = (pixels + RNG.normal(0, 20, pixels.shape)).clip(0, 255)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    options["channel_axis"] = None if pixels.ndim == 2 else -1
    assert ssim(pixels, noisy) == pytest.approx(structural_similarity(pixels.astype(float), noisy, **options))
    assert ssim(pixels, pixels) == pytest.approx(1)
    noisy = noisy.astype(np.uint8)
    assert psnr(pixels, noisy) == pytest.approx(peak_signal_noise_ratio(pixels, noisy))


def test_ssim_of_small_images():
    small = GREY[:8, :8]
    assert ssim(small, small) == pytest.approx(1)
    assert ssim(small, 255 - small) < 0.5
    for bad in (GREY[:2, :9], GREY[None, None, None], GREY[0], np.array([["a"]]), np.zeros((0, 8, 8))):
        with pytest.raises(narrows.DataError):
            ssim(bad, bad)


def test_ssim_of_a_stack_is_the_mean():
    grey = np.stack([GREY, GREY[::-1], 255 - GREY])
    noisy = (grey + RNG.normal(0, 30, grey.shape)).clip(0, 255).astype(np.uint8)
    assert ssim(grey, noisy) == pytest.approx(np.mean([ssim(a, b) for a, b in zip(grey, noisy, strict=True)]))
    colors, others = np.stack([RGB, RGB[::-1]]), np.stack([RGB, RGB])
    assert ssim(colors, others) == pytest.approx((1 + ssim(RGB[::-1], RGB)) / 2)
    assert ssim(GREY[None, :, :, None], GREY[None, ::-1, :, None]) == pytest.approx(ssim(GREY, GREY[::-1]))


def test_ssim_of_flat_images_is_that_of_their_brightness():
    # Without any variance only the first factor of the formula is left.
    first, second, c1 = 0.3, 0.6, 0.01**2
    expected = (2 * first * second + c1) / (first**2 + second**2 + c1)
    assert ssim(np.full((16, 16), first), np.full((16, 16), second)) == pytest.approx(expected)


def test_without_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(narrows.DataError, match=r'pip install "narrows\[images\]"'):
        ssim(GREY, GREY)
