"""``transform`` against the matrix products it cannot do without, and the memory it takes.

Data: MNIST's 60,000 × 784 training rows, as bytes and as float32; the model is ``Autoencoder(32,
network=Dense((128,)))`` after one epoch (``--full`` takes the default network instead). The products alone: for each
linear layer of the encoder one ``addmm`` into memory laid out before, over the same rows as float32, at whichever
batch size is fastest. By turns, in one process. Bar: transform reaches at least 70 % of that rate.

Memory: each in a process of its own that has loaded the model and the input, growth of the resident memory during
``transform`` less the result. Bar: at most 64 MB, for arrays in memory and for memory-mapped ``.npy`` files (where
pages of the file are part of the input, so there the memory beside mapped files counts). Once for a first call, and
once after a call on one row, which leaves out what libraries set up once.

    python bench/transform_rate.py [--runs 9] [--full]
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import Growth, Line, alternate, fresh, machine, mnist, ratios, run_script, say, show, slices, timed

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

BATCHES = (128, 256, 512, 1024, 2048, 4096, 8192)


def products(model: Any, X: np.ndarray, batch: int) -> Callable[[], None]:
    """Return a function that does the encoder's matrix products over all rows."""
    import torch

    rows = torch.from_numpy(X)
    layers = []
    for module in model.encoder_.modules():
        if isinstance(module, torch.nn.Linear):
            outs, ins = module.weight.shape
            inside = None if ins == X.shape[1] else torch.randn(batch, ins)
            layers.append((module.weight.detach().T, module.bias.detach(), inside, torch.empty(batch, outs)))

    def run() -> None:
        for cut in slices(len(rows), batch):
            size = cut.stop - cut.start
            for weight, bias, inside, out in layers:
                torch.addmm(bias, rows[cut] if inside is None else inside[:size], weight, out=out[:size])

    return run


def job(task: dict) -> dict:
    import numpy as np

    import narrows

    model = narrows.load(task["model"])
    path = task["input"]
    X: Any = path if task["how"] == "path" else np.load(path, mmap_mode="r" if task["how"] == "mapped" else None)
    if task["warm"]:
        model.transform(np.load(path, mmap_mode="r")[:1])
    with Growth() as growth:
        codes = model.transform(X)
    return {
        "resident": (growth.resident - codes.nbytes) / 1e6,
        "own": None if growth.own is None else (growth.own - codes.nbytes) / 1e6,
    }


def memory(folder: Path, runs: int) -> None:
    lines = []
    kinds = [(how, dtype) for dtype in ("uint8", "float32") for how in ("memory", "mapped", "path")]
    for warm in (False, True):
        for how, dtype in kinds:
            task = {"model": str(folder / "model"), "input": str(folder / f"{dtype}.npy"), "how": how, "warm": warm}
            found = [fresh(__file__, task) for _ in range(runs)]
            own = how == "mapped" and found[0]["own"] is not None
            values = [answer["own" if own else "resident"] for answer in found]
            name = {"memory": "array in memory", "mapped": "memory-mapped .npy", "path": "path of a .npy"}[how]
            call = "after a call on one row" if warm else "first call"
            lines.append(Line(f"{dtype}, {name}, {call}: MB", values, ".1f", most=64))
            say(lines[-1].what)
    show("Memory beyond input and output", lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--memory-runs", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="the default network, 256 and 128 wide")
    parser.add_argument("--rows", type=int, help="use only the first so many rows, to try the script")
    options = parser.parse_args()

    import numpy as np
    import torch

    from narrows import Autoencoder
    from narrows.networks import Dense

    warnings.simplefilter("ignore")
    data = mnist(options.rows).train
    network = Dense() if options.full else Dense((128,))
    model = Autoencoder(32, network=network, max_epochs=1, random_state=0, early_stopping=False, device="cpu").fit(data)
    inputs = {"uint8": data, "float32": data.astype(np.float32)}
    alone = {batch: products(model, inputs["float32"], batch) for batch in BATCHES}
    with torch.no_grad():
        trial = {batch: min(timed(run) for _ in range(3)) for batch, run in alone.items()}
        best = min(trial, key=trial.__getitem__)
        found = alternate(
            {
                "products": lambda: timed(alone[best]),
                "uint8": lambda: timed(lambda: model.transform(inputs["uint8"])),
                "float32": lambda: timed(lambda: model.transform(inputs["float32"])),
            },
            options.runs,
        )
    lines = [Line(f"products alone, batch {best}: ms", [1000 * s for s in found["products"]], ".1f")]
    for name in ("uint8", "float32"):
        lines += [
            Line(f"transform of {name}: ms", [1000 * s for s in found[name]], ".1f"),
            Line(f"rate of {name} / products", ratios(found["products"], found[name]), ".2f", least=0.7),
        ]
    every = ", ".join(f"{batch}: {1000 * seconds:.1f}" for batch, seconds in trial.items())
    show(f"transform of {len(data)} × 784", lines, [f"Products alone by batch size, best of 3, ms: {every}."])
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        for name, X in inputs.items():
            np.save(Path(folder) / f"{name}.npy", X)
        memory(Path(folder), options.memory_runs)
    print(f"\n{machine()}")


if __name__ == "__main__":
    run_script(main, job)
