"""An epoch of training against the time of its matrix products alone.

Data: MNIST bytes, 60,000 rows, batches of 512; ``Autoencoder(32, network=Dense((128,)))`` with Adam and with Muon,
nothing held out. An epoch of narrows is the difference between two successive ``history_`` records (one at each
epoch's end), so shuffling, drawing batches, scaling, loss, gradients and the optimiser are all in it; the first
epoch of each fit is left out. The products alone: for every linear layer of the model and every batch, the forward
product (``addmm``) and the two backward ones (``mm``), in float32, into memory that was laid out before. By turns, in
one process. Bar: at most 1.5 times the products.

Also shown: the ratio to the products that training cannot do without, which leaves out the gradient with respect to
the data for the two layers that see it.

    python bench/epoch_cost.py [--rounds 5] [--epochs 3] [--batch 512]

About 2 minutes on two cores.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from typing import TYPE_CHECKING, Any

from common import Line, alternate, epoch_seconds, machine, mnist, ratios, run_script, say, show, timed

if TYPE_CHECKING:
    from collections.abc import Callable


def products(model: Any, n_rows: int, batch: int, *, data_gradients: bool) -> Callable[[], None]:
    """Return a function that does an epoch's matrix products."""
    import torch

    generator = torch.Generator().manual_seed(0)

    def full(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    modules = [(True, m) for m in model.encoder_.modules()] + [(False, m) for m in model.decoder_.modules()]
    layers = []
    for encodes, module in modules:
        if isinstance(module, torch.nn.Linear):
            outs, ins = module.weight.shape
            sees_data = encodes and ins == model.n_features_in_
            layers.append(
                {
                    "weight": full(outs, ins), "bias": full(outs), "x": full(batch, ins), "gradient": full(batch, outs),
                    "y": full(batch, outs), "x_gradient": full(batch, ins), "weight_gradient": full(outs, ins),
                    "into": data_gradients or not sees_data,
                }
            )  # fmt: skip

    def epoch() -> None:
        for start in range(0, n_rows, batch):
            rows = min(batch, n_rows - start)
            for layer in layers:
                torch.addmm(layer["bias"], layer["x"][:rows], layer["weight"].T, out=layer["y"][:rows])
            for layer in reversed(layers):
                gradient = layer["gradient"][:rows]
                torch.mm(gradient.T, layer["x"][:rows], out=layer["weight_gradient"])
                if layer["into"]:
                    torch.mm(gradient, layer["weight"], out=layer["x_gradient"][:rows])

    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="epochs timed in each fit, after one that is not")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rows", type=int, help="use only the first so many training rows, to try the script")
    options = parser.parse_args()

    import torch

    from narrows import Autoencoder
    from narrows.networks import Dense

    warnings.simplefilter("ignore")
    X = mnist(options.rows).train

    def fit(optimizer: str) -> Autoencoder:
        return Autoencoder(
            32,
            network=Dense((128,)),
            optimizer=optimizer,
            batch_size=options.batch,
            max_epochs=options.epochs + 1,
            early_stopping=False,
            validation_fraction=0,
            random_state=0,
            device="cpu",
        ).fit(X)

    def epoch(optimizer: str) -> float:
        seconds = statistics.median(epoch_seconds(fit(optimizer).history_)[1:])
        say(f"{optimizer}: {seconds:.3f} s an epoch")
        return seconds

    model = fit("adam")
    every = products(model, len(X), options.batch, data_gradients=True)
    needed = products(model, len(X), options.batch, data_gradients=False)
    every(), needed()
    with torch.no_grad():
        found = alternate(
            {
                "adam": lambda: _with_gradients(epoch, "adam"),
                "products": lambda: statistics.median(timed(every) for _ in range(options.epochs)),
                "muon": lambda: _with_gradients(epoch, "muon"),
                "needed": lambda: statistics.median(timed(needed) for _ in range(options.epochs)),
            },
            options.rounds,
        )
    lines = [
        Line("matrix products alone: s", found["products"], ".3f"),
        Line("without the gradient for the data: s", found["needed"], ".3f"),
    ]
    for name, label in (("adam", "Adam"), ("muon", "Muon")):
        lines += [
            Line(f"{label}: s an epoch", found[name], ".3f"),
            Line(f"{label} / products", ratios(found[name], found["products"]), ".2f", most=1.5),
            Line(f"{label} / products without the gradient for the data", ratios(found[name], found["needed"]), ".2f"),
        ]
    parameters = sum(p.numel() for p in [*model.encoder_.parameters(), *model.decoder_.parameters()])
    notes = [f"{parameters} parameters, {torch.get_num_threads()} threads."]
    show(f"An epoch, {len(X)} rows, batch {options.batch}", lines, notes)
    print(f"\n{machine()}")


def _with_gradients(measure: Callable[[str], float], name: str) -> float:
    import torch

    with torch.enable_grad():
        return measure(name)


if __name__ == "__main__":
    run_script(main)
