"""How small and how fast: pictures through ``Codec``, against general compressors and codecs for pictures.

Data: MNIST, fitted on its 60,000 training images and measured on its 10,000 test images; and, with ``--photographs
FOLDER``, patches of 28 x 28 of photographs in grey (the last quarter of the files, by name, is tested on), as they are
and with each patch's contrast stretched to 0..255, as many sets of small images have it. Seed 0. Bits per pixel count
the whole file; the peers get all test images as one stream or one mosaic, whichever way is smaller.

    python bench/codec_pictures.py [--max-seconds 600] [--photographs FOLDER]

With ``--ready CODEC`` the MNIST codec is loaded rather than fitted: for speed alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from common import Line, machine, mnist, run_script, say, show
from narrows.codec import Codec
from narrows.codec.evaluation import on_pictures

SIDE = 28


def patches(files: list[Path], *, stretched: bool) -> np.ndarray:
    """Cut grey photographs into patches."""
    from PIL import Image

    found = []
    for file in files:
        grey = np.asarray(Image.open(file).convert("L"))
        rows, columns = grey.shape[0] // SIDE, grey.shape[1] // SIDE
        cut = grey[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)
        found.append(cut.reshape(-1, SIDE, SIDE))
    whole = np.concatenate(found)
    if not stretched:
        return whole
    low = whole.min((1, 2), keepdims=True).astype(float)
    span = np.maximum(whole.max((1, 2), keepdims=True) - low, 1)
    return np.round((whole - low) * 255 / span).astype(np.uint8)


def measure(name: str, codec: Codec, test: np.ndarray, fit_seconds: float | None, bars: dict[str, float]) -> None:
    """Compress and restore the test pictures, and print what came of it."""
    say(f"{name}: peers")
    peers = {peer: 8 * size / test.size for peer, size in on_pictures(test).items() if size is not None}
    best = min(peers.values())
    sizes, encode, decode = [], [], []
    for _ in range(5):
        began = time.perf_counter()
        data = codec.compress(test)
        encode.append(test.nbytes / 1e6 / (time.perf_counter() - began))
        began = time.perf_counter()
        same = np.array_equal(codec.decompress(data), test)
        decode.append(test.nbytes / 1e6 / (time.perf_counter() - began))
        if not same:
            raise SystemExit("what came back is not what was given")
        sizes.append(8 * len(data) / test.size)
    lines = [
        Line("bits per pixel, whole file", sizes[:1], ".4f", most=bars.get("bits")),
        Line(
            "with the model's own bytes", [sizes[0] + 8 * codec.model_bytes_ / test.size], ".4f", most=bars.get("all")
        ),
        Line("over the best peer", [sizes[0] / best], ".3f", most=bars.get("best")),
        *(Line(f"{peer}, bits per pixel", [bits], ".4f") for peer, bits in sorted(peers.items(), key=lambda p: p[1])),
        Line("encode, MB/s", encode, ".2f", least=bars.get("rate")),
        Line("decode, MB/s", decode, ".2f", least=bars.get("rate")),
        Line("model, bytes", [codec.model_bytes_], ".0f"),
    ]
    if fit_seconds is not None:
        lines.append(Line("fit, seconds", [fit_seconds], ".0f", most=bars.get("fit")))
    show(name, lines, [machine()])


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-seconds", type=float, default=600.0)
    parser.add_argument("--ready")
    parser.add_argument("--keep")
    parser.add_argument("--photographs", type=Path)
    options = parser.parse_args()
    data = mnist()
    began = time.perf_counter()
    if options.ready:
        codec, seconds = Codec.load(options.ready), None
    else:
        codec = Codec(max_seconds=options.max_seconds, random_state=0).fit(data.train.reshape(-1, SIDE, SIDE))
        seconds = time.perf_counter() - began
        if options.keep:
            codec.save(options.keep)
    bars = {"bits": 1.03, "all": 1.10, "best": 0.85, "rate": 5.0, "fit": 900.0}
    measure("MNIST, 10,000 test images", codec, data.test.reshape(-1, SIDE, SIDE), seconds, bars)
    if options.photographs is None:
        return
    files = sorted(options.photographs.glob("*.png"))
    split = len(files) - len(files) // 4
    for stretched in (False, True):
        train, test = patches(files[:split], stretched=stretched), patches(files[split:], stretched=stretched)
        began = time.perf_counter()
        codec = Codec(max_seconds=options.max_seconds / 2, random_state=0).fit(train)
        seconds = time.perf_counter() - began
        measure(f"Photographs, {'stretched' if stretched else 'plain'} patches", codec, test, seconds, {"best": 0.85})


if __name__ == "__main__":
    run_script(main)
