"""How small: tables through ``Codec``, against zstd, xz, brotli and Parquet on the same columns.

Data: letter, SpamBase and shuttle of ADBench, the ratings log of MovieLens-small, exactly; one machine of SMD and
isolet with every value within 1e-2 and 1e-3. The tables of ADBench are fitted on the even blocks of 100 rows and
measured on the odd ones, the log on the first half of its users; SMD is fitted on its training rows and measured on its
test rows; isolet, of few and wide rows, is fitted and measured on the same rows and the model's bytes are counted.
Seed 0. The peers get the columns as whole numbers of the smallest type that holds them, by rows or by columns,
whichever is smaller; for bounded columns the same quantised numbers.

    python bench/codec_tables.py [--max-seconds 300] [NAME ...]
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from common import Line, machine, run_script, say, show
from narrows.codec import Codec

FOLDER = Path(os.environ.get("NARROWS_DATA", "."))


def halves(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Part rows into even and odd blocks of 100."""
    even = np.arange(len(X)) // 100 % 2 == 0
    return X[even], X[~even]


def adbench(name: str) -> tuple[Any, Any]:
    """Return two halves of a table of ADBench."""
    found = next((FOLDER / "adbench").glob(f"*{name}*.npz"))
    return halves(np.load(found)["X"])


def ratings() -> tuple[Any, Any]:
    """Return the log of the first half of the users, and of the second."""
    log = np.genfromtxt(FOLDER / "ml-latest-small" / "ratings.csv", delimiter=",", skip_header=1)
    first = log[:, 0] <= np.median(np.unique(log[:, 0]))
    return log[first], log[~first]


def smd() -> tuple[Any, Any]:
    """Return the training and the test rows of one machine."""
    with np.load(next((FOLDER / "smd").glob("*.npz"))) as file:
        return file["train"], file["test"]


def isolet() -> tuple[Any, Any]:
    """Return the same rows twice."""
    X = np.load(next((FOLDER / "isolet").glob("*.npz")))["X"]
    return X, X


CASES: dict[str, tuple[Any, float | None, float | None]] = {
    "letter": (lambda: adbench("letter"), None, None),
    "SpamBase": (lambda: adbench("SpamBase"), None, None),
    "shuttle": (lambda: adbench("shuttle"), None, None),
    "ratings": (ratings, None, None),
    "SMD 1e-2": (smd, 1e-2, 1.60),
    "SMD 1e-3": (smd, 1e-3, 3.70),
    "isolet 1e-2": (isolet, 1e-2, 5.36),
    "isolet 1e-3": (isolet, 1e-3, 8.78),
}


def bits_of(X: np.ndarray) -> np.ndarray:
    """Return the values as the bits they are."""
    return np.ascontiguousarray(X).view(f"u{X.dtype.itemsize}")


def measure(name: str, max_seconds: float) -> None:
    """Fit, compress, restore, and print what came of it."""
    make, bound, bar = CASES[name]
    fit, test = make()
    say(f"{name}: {fit.shape} to fit, {test.shape} to measure, {test.dtype}")
    began = time.perf_counter()
    codec = Codec(bound, max_seconds=max_seconds, random_state=0).fit(fit)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    data = codec.compress(test)
    encode = test.nbytes / 1e6 / (time.perf_counter() - began)
    began = time.perf_counter()
    back = codec.decompress(data)
    decode = test.nbytes / 1e6 / (time.perf_counter() - began)
    off = int((np.abs(back - test) > bound).sum()) if bound is not None else int((bits_of(back) != bits_of(test)).sum())
    peers = codec.measure_peers(test)
    known = {peer: bits for peer, bits in peers.items() if bits is not None}
    best = min(known.values())
    bits = 8 * len(data) / test.size
    whole = bits + 8 * codec.model_bytes_ / test.size
    counted = test is fit
    lines = [
        Line("bits per value, whole file", [bits], ".3f", most=None if counted else bar),
        Line("with the model's own bytes", [whole], ".3f", most=bar if counted else None),
        Line("over the best peer", [bits / best], ".3f", most=0.85 if bound is None else None),
        *(Line(f"{peer}, bits per value", [size], ".3f") for peer, size in sorted(known.items(), key=lambda p: p[1])),
        Line("values that are off", [off], ".0f", most=0),
        Line("model, bytes", [codec.model_bytes_], ".0f"),
        Line("fit, seconds", [seconds], ".0f"),
        Line("encode, MB/s of floats", [encode], ".1f"),
        Line("decode, MB/s of floats", [decode], ".1f"),
    ]
    show(name, lines, [machine()])


def main() -> None:
    """Run all, or those named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(CASES), metavar="NAME")
    parser.add_argument("--max-seconds", type=float, default=300.0)
    options = parser.parse_args()
    for name in options.names or list(CASES):
        measure(name, options.max_seconds)


if __name__ == "__main__":
    run_script(main)
