"""Recommenders people use, with one thread: what the recommender scripts hold narrows against.

Reads ``train`` and ``fold_in`` (users × items, the parts of CSR matrices of ones) from an npz file that ``write`` of
recommender_common.py wrote, writes OUT_DIR/METHOD.npy, the scores of all items for the users of ``fold_in``, and prints
one line of JSON: CPU and wall seconds of the fit and of the scoring of each method.

- ``als``: implicit's AlternatingLeastSquares, new users by ``recalculate_user``.
- ``multvae``: Mult-VAE as in the paper's public code (Liang et al. 2018): items-600-200-600-items with tanh, rows of
  unit length with dropout 0.5 as input, multinomial likelihood, KL annealed to 0.2, Adam 1e-3, dense batches.
- ``multdae``: Mult-DAE, the same without KL and draws, with that code's weight decay.
- ``vaecf``: cornac's VAECF at its defaults, new users through its encoder.

    python bench/recommender_peers.py GIVEN.npz OUT_DIR SEED METHOD... [--factors 64] [--epochs 100] ...

An environment for it: python -m venv ENV, then ENV/bin/pip install torch==2.13.0 implicit==0.7.3 cornac==3.0.1.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HIDDEN, CODE = 600, 200
PEAK = 0.2  # of the KL term's weight
DROPOUT = 0.5
WEIGHT_DECAY = 0.01


def als(train: Any, seed: int, options: argparse.Namespace) -> Callable:
    import numpy as np
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=options.factors,
        regularization=options.regularization,
        alpha=options.alpha,
        iterations=options.iterations,
        num_threads=1,
        random_state=seed,
    )
    model.fit(train, show_progress=False)

    def score(rows: Any) -> Any:
        return model.recalculate_user(np.arange(rows.shape[0]), rows) @ model.item_factors.T

    return score


def multvae(train: Any, seed: int, options: argparse.Namespace) -> Callable:
    return liang(train, seed, options, variational=True)


def multdae(train: Any, seed: int, options: argparse.Namespace) -> Callable:
    return liang(train, seed, options, variational=False)


def liang(train: Any, seed: int, options: argparse.Namespace, *, variational: bool) -> Callable:
    import torch

    network = build(train.shape[1], seed, variational=variational)
    for _ in epochs(network, train, seed, options):
        pass

    def score(rows: Any) -> Any:
        network.eval()
        with torch.no_grad():
            return network(torch.from_numpy(rows.toarray()))[0].numpy()

    return score


def build(n_items: int, seed: int, *, variational: bool) -> Any:
    import torch
    from torch import nn
    from torch.nn import functional

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.variational = variational
            self.outer, self.inner = nn.Linear(n_items, HIDDEN), nn.Linear(HIDDEN, CODE * (2 if variational else 1))
            self.back, self.out = nn.Linear(CODE, HIDDEN), nn.Linear(HIDDEN, n_items)
            for layer in (self.outer, self.inner, self.back, self.out):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.trunc_normal_(layer.bias, std=0.001, a=-0.002, b=0.002)

        def forward(self, x: Any) -> tuple[Any, Any]:
            h = functional.dropout(functional.normalize(x, dim=1), DROPOUT, self.training)
            h = self.inner(torch.tanh(self.outer(h)))
            kl = torch.zeros(())
            if self.variational:
                z, log_variance = h.chunk(2, dim=1)
                kl = 0.5 * (z**2 + log_variance.exp() - log_variance - 1).sum(1).mean()
                if self.training:
                    z = z + torch.randn_like(z) * (0.5 * log_variance).exp()
            else:
                z = torch.tanh(h)
            return self.out(torch.tanh(self.back(z))), kl

    torch.manual_seed(seed)
    return Network()


def epochs(network: Any, train: Any, seed: int, options: argparse.Namespace) -> Iterator[None]:
    """Train, and yield after each epoch."""
    import numpy as np
    import torch
    from torch.nn import functional

    rng = np.random.default_rng(seed)
    n_users = train.shape[0]
    decay = 0 if network.variational else 2 * WEIGHT_DECAY / options.batch
    adam = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=decay)
    # The paper's 200,000 steps are for a hundred thousand users; here the peak comes after 80 % of the steps.
    rise = 0.8 * options.epochs * -(-n_users // options.batch)
    step = 0
    for _ in range(options.epochs):
        network.train()
        order = rng.permutation(n_users)
        for start in range(0, n_users, options.batch):
            x = torch.from_numpy(train[order[start : start + options.batch]].toarray())
            logits, kl = network(x)
            error = -(functional.log_softmax(logits, dim=1) * x).sum(1).mean()
            loss = error + min(PEAK, PEAK * step / rise) * kl
            adam.zero_grad()
            loss.backward()
            adam.step()
            step += 1
        yield


def vaecf(train: Any, seed: int, _options: argparse.Namespace) -> Callable:
    import numpy as np
    import torch
    from cornac.data import Dataset
    from cornac.models import VAECF

    pairs = train.tocoo()
    maps = [{number: number for number in range(size)} for size in train.shape]
    data = Dataset(*train.shape, *maps, (pairs.row, pairs.col, pairs.data.astype(np.float64)))
    model = VAECF(seed=seed)
    model.fit(data)

    def score(rows: Any) -> Any:
        with torch.no_grad():
            return model.vae.decode(model.vae.encode(torch.from_numpy(rows.toarray()))[0]).numpy()

    return score


METHODS = {"als": als, "multvae": multvae, "multdae": multdae, "vaecf": vaecf}


def read(path: Path) -> Iterator[Any]:
    import numpy as np
    from scipy.sparse import csr_matrix

    with np.load(path) as given:
        n_items = int(given["n_items"])
        for name in ("train", "fold_in"):
            indices, indptr = given[name + "_indices"], given[name + "_indptr"]
            ones = np.ones(len(indices), np.float32)
            yield csr_matrix((ones, indices, indptr), shape=(len(indptr) - 1, n_items))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("given", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("methods", nargs="+", choices=METHODS, metavar="METHOD")
    parser.add_argument("--factors", type=int, default=64, help="als")
    parser.add_argument("--regularization", type=float, default=10.0, help="als")
    parser.add_argument("--alpha", type=float, default=10.0, help="als")
    parser.add_argument("--iterations", type=int, default=15, help="als")
    parser.add_argument("--epochs", type=int, default=100, help="multvae and multdae")
    parser.add_argument("--batch", type=int, default=500, help="multvae and multdae")
    return parser.parse_args()


def main() -> None:
    options = parse()
    # Read by BLAS and OpenMP when they are loaded, so before the imports.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"

    import numpy as np
    import torch

    torch.set_num_threads(1)
    train, fold_in = read(options.given)
    # The first fit of a process also pays for what is imported late.
    warm = argparse.Namespace(**vars(options) | {"epochs": 1, "iterations": 1})
    answer = {}
    for name in options.methods:
        METHODS[name](train[:20], 0, warm)(fold_in[:20])
        start = time.process_time(), time.perf_counter()
        score = METHODS[name](train, options.seed, options)
        fitted = time.process_time(), time.perf_counter()
        scores = np.asarray(score(fold_in), np.float32)
        done = time.process_time(), time.perf_counter()
        np.save(options.out / f"{name}.npy", scores)
        answer[name] = {
            "fit_cpu": fitted[0] - start[0],
            "fit_wall": fitted[1] - start[1],
            "score_cpu": done[0] - fitted[0],
            "score_wall": done[1] - fitted[1],
        }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
