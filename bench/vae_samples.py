"""How near sampled digits are to real ones: a Frechet distance on the features of a small classifier.

Data: MNIST, grey. Model: ``VariationalAutoencoder(random_state=seed)``, told that rows are images, for which the
default network is convolutional, or with ``network="dense"``; all else default unless ``--set`` says otherwise. 10,000
images are sampled from it as means of the pixels, with codes from the standard normal prior and from the mixture fitted
afterwards, and held against the 10,000 test images.

The classifier is plain torch: two convolutions (16 and 32 maps, 3 x 3, each followed by a maximum over 2 x 2), a layer
of 64 units and one of 10, ReLU, Adam with a rate that falls from 2e-3 to 0, batches of 128, 4 passes, seed 0; its test
accuracy is told and must be above 98.5 %. The features are those 64 units after the ReLU, as they are. The distance is
that between two normal distributions with the means and covariances of the features (Dowson and Landau 1982; Heusel et
al. 2017). It is in squared units of the features, which are this classifier's own, so their variance over the test
images, summed, is told too, and the distance as a share of it.

For scale also: 10,000 training images (the floor), reconstructions of the test images (what a perfect prior would
leave), and images whose pixels are each drawn by itself from the training rows.

    python bench/vae_samples.py [--seeds 1] [--set NAME=VALUE ...] [--network auto] [--max-seconds 600]

One minute for the classifier, then the fit's time, at most 10 minutes, for each seed.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import torch
from torch import nn

from common import Line, machine, mnist, parameter, say, show, timed
from narrows import VariationalAutoencoder

N_FEATURES = 64
MOST_PASSES = 4
ACCURACY = 0.985


def as_images(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rows.reshape(-1, 1, 28, 28).astype(np.float32) / 255)


def classifier(train: np.ndarray, labels: np.ndarray) -> tuple[nn.Sequential, nn.Linear]:
    """Train the classifier; return it up to its features, and its last layer."""
    torch.manual_seed(0)
    features = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 49, N_FEATURES), nn.ReLU(),
    )  # fmt: skip
    last = nn.Linear(N_FEATURES, 10)
    optimizer = torch.optim.Adam([*features.parameters(), *last.parameters()])
    images, targets = as_images(train), torch.from_numpy(labels.astype(np.int64))
    batches = -(-len(images) // 128)
    for number in range(MOST_PASSES):
        for step, chosen in enumerate(torch.randperm(len(images)).split(128)):
            optimizer.param_groups[0]["lr"] = 2e-3 * (1 - (number + step / batches) / MOST_PASSES)
            loss = nn.functional.cross_entropy(last(features(images[chosen])), targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return features, last


@torch.no_grad()
def features_of(rows: np.ndarray, network: nn.Module) -> np.ndarray:
    return torch.cat([network(block) for block in as_images(rows).split(1000)]).double().numpy()


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Return the squared distance of two normal distributions with the moments of these features."""
    means, covariances = zip(*((rows.mean(0), np.cov(rows.T)) for rows in (first, second)), strict=True)
    values, vectors = np.linalg.eigh(covariances[0])
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    # The trace of the root of a product is that of its symmetric form.
    common = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    return float(((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0] + covariances[1]) - 2 * common)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--network", choices=("auto", "dense"), default="auto")
    parser.add_argument("--max-seconds", type=float, default=600, help="limit on the training; 0 for none")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other parameters of the estimator")
    parser.add_argument("--rows", type=int, help="use only the first so many training rows, to try the script")
    parser.add_argument("--samples", type=int, default=10_000)
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    data, count = mnist(options.rows), options.samples
    say("training the classifier")
    features, last = classifier(data.train, data.train_labels)
    real = features_of(data.test, features)
    scores = real @ last.weight.detach().double().numpy().T + last.bias.detach().double().numpy()
    accuracy = float((scores.argmax(1) == data.test_labels).mean())
    say(f"test accuracy {accuracy:.4f}")

    def distance(rows: np.ndarray) -> float:
        return frechet(features_of(rows, features), real)

    rng = np.random.default_rng(0)
    floor = distance(data.train[rng.permutation(len(data.train))[:count]])
    apart = distance(np.stack([rng.choice(column, count) for column in data.train.T], 1))
    found: dict[str, list[float]] = {name: [] for name in ("mixture", "normal", "rebuilt", "seconds", "active")}
    for seed in range(options.seeds):
        given = dict(map(parameter, options.set))
        model = VariationalAutoencoder(
            network=options.network, image_shape=(28, 28), max_seconds=options.max_seconds or None,
            random_state=seed, device="cpu", **given,
        )  # fmt: skip
        found["seconds"].append(timed(lambda model=model: model.fit(data.train)))
        found["active"].append(model.n_active_components_)
        found["rebuilt"].append(distance(model.reconstruct(data.test)))
        for prior in ("normal", "mixture"):
            found[prior].append(distance(model.sample(count, noise=False, prior=prior, random_state=seed)))
        say(f"seed {seed}: mixture {found['mixture'][-1]:.2f}, normal {found['normal'][-1]:.2f}")
    told(found, floor, apart, accuracy, real)


def told(found: dict[str, list[float]], floor: float, apart: float, accuracy: float, real: np.ndarray) -> None:
    spread = float(real.var(0).sum())
    show(
        f"Frechet distance to the test images, {N_FEATURES} features of a classifier",
        [
            Line("sampled, mixture prior", found["mixture"], ".2f", most=15),
            Line("the same over the features' variance", [value / spread for value in found["mixture"]], ".4f"),
            Line("sampled, standard normal prior", found["normal"], ".2f"),
            Line("reconstructions of the test images", found["rebuilt"], ".2f"),
            Line("training images: the floor", [floor], ".2f"),
            Line("each pixel drawn by itself", [apart], ".1f"),
            Line("variance of the test images' features, summed", [spread], ".1f"),
            Line("test accuracy of the classifier, %", [100 * accuracy], ".2f", least=100 * ACCURACY),
            Line("numbers of the code in use", found["active"], ".0f"),
            Line("s for fit", found["seconds"], ".0f"),
        ],
    )
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
