"""A picture of 4,000 x 4,000 pixels through a convolutional network in tiles: memory, time, and no seams.

The weights do not matter here, so the network is trained for a few steps only. Peak memory is that of the whole
process, Python and torch included, while the picture is cleaned; seams are looked for on a picture of 1,000 x 1,000,
which also fits in one piece.

    python bench/tiles.py
"""

from __future__ import annotations

import warnings

import numpy as np

from common import Line, fresh, machine, peak_rss, run_script, show, timed

SIDE = 4000


def model():
    import narrows
    from narrows.corruption import Gaussian
    from narrows.networks import Convolutional

    rng = np.random.default_rng(0)
    ramps = rng.normal(size=(400, 2)) @ np.stack(np.mgrid[-1:1:32j, -1:1:32j]).reshape(2, -1)
    patches = (128 + 60 * ramps).clip(0, 255).astype(np.uint8).reshape(-1, 32, 32)
    network = Convolutional((48, 64, 96), blocks=2, skips=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return narrows.Autoencoder(network=network, corruption=Gaussian(25), max_epochs=3, random_state=0).fit(patches)


def job(given: dict) -> dict:
    fitted = model()
    picture = np.random.default_rng(0).integers(0, 256, (given["side"],) * 2, dtype=np.uint8)
    if given["what"] == "memory":
        seconds = timed(lambda: fitted.denoise_image(picture))
        return {"seconds": seconds, "peak": peak_rss()}
    whole = fitted.denoise_image(picture, tile=10**6)
    tiled = fitted.denoise_image(picture, tile=128)
    return {"apart": float(np.abs(whole - tiled).max()), "changed": float(np.abs(whole - picture).mean())}


def main() -> None:
    big = fresh(__file__, {"what": "memory", "side": SIDE})
    seams = fresh(__file__, {"what": "seams", "side": 1000})
    show(
        f"{SIDE} x {SIDE} pixels in tiles of 256",
        [
            Line("peak memory of the process, GB", [big["peak"] / 1e9], most=1.0),
            Line("seconds", [big["seconds"]]),
            Line(
                "largest difference between tiles of 128 and no tiles, grey levels of 255", [seams["apart"]], most=1e-3
            ),
            Line("mean change that the network makes, grey levels", [seams["changed"]]),
        ],
        [machine()],
    )


if __name__ == "__main__":
    run_script(main, job)
