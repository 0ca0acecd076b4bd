"""A variational autoencoder in pythae: what vae_pythae.py holds narrows against.

784-400-20-400-784 with ReLU and a sigmoid output, in pythae's own classes (its default network is the same with 512
units, a number that it does not let one set), ``reconstruction_loss="bce"``, Adam 1e-3, batches of 128, MNIST with
zeros and ones drawn afresh for each epoch: a callback fills pythae's data set anew before each, all rows in one call
and in place, the cheapest way there is (row by row in ``__getitem__`` it takes more than twice as long). Prints one
line of JSON: CPU and wall seconds of each epoch, how much of the CPU time the drawing took, minus the bound on the
binarised test images, and versions.

    python bench/pythae_script.py MNIST_FOLDER [--seed 0] [--epochs 5] [--rows 60000] [--threads 1]

An environment for it: python -m venv ENV, then ENV/bin/pip install torch==2.13.0 pythae==0.1.2. That pythae, the last
one, is of 2023; it ran with numpy 2.4, pydantic 2.14 and scikit-learn 1.9 as they are.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

DRAWS = 8


def images(folder: Path, name: str):
    import numpy as np

    packed = folder / (name + ".gz")
    content = gzip.decompress(packed.read_bytes()) if packed.is_file() else (folder / name).read_bytes()
    return np.frombuffer(content, np.uint8, offset=16).reshape(-1, 784).astype(np.float32) / 255


def build(hidden: int, size: int):
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from torch import nn

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(784, hidden), nn.ReLU())
            self.mean, self.log_variance = nn.Linear(hidden, size), nn.Linear(hidden, size)

        def forward(self, x):
            inner = self.layers(x)
            return ModelOutput(embedding=self.mean(inner), log_covariance=self.log_variance(inner))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, 784), nn.Sigmoid())

        def forward(self, z):
            return ModelOutput(reconstruction=self.layers(z))

    config = VAEConfig(input_dim=(784,), latent_dim=size, reconstruction_loss="bce")
    return VAE(config, encoder=Encoder(), decoder=Decoder())


def fit(model, grey, options: argparse.Namespace) -> dict:
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.pipelines import TrainingPipeline
    from pythae.trainers import BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    class Moments(TrainingCallback):
        def on_train_begin(self, training_config, **kwargs) -> None:
            self.cpu: list[float] = []
            self.wall: list[float] = []
            self.drawing: list[float] = []

        def on_epoch_begin(self, training_config, **kwargs) -> None:
            self.start = time.process_time(), time.perf_counter()
            torch.lt(data.data.uniform_(), grey, out=data.data)
            self.drawing.append(time.process_time() - self.start[0])

        def on_epoch_end(self, training_config, **kwargs) -> None:
            self.cpu.append(time.process_time() - self.start[0])
            self.wall.append(time.perf_counter() - self.start[1])

    data = BaseDataset(torch.bernoulli(grey), torch.ones(len(grey)))
    moments = Moments()
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder,
            per_device_train_batch_size=128,
            num_epochs=options.epochs,
            learning_rate=1e-3,
            seed=options.seed,
            no_cuda=True,
        )
        pipeline = TrainingPipeline(training_config=settings, model=model)
        start = time.process_time(), time.perf_counter()
        pipeline(train_data=data, callbacks=[moments])
        cpu, seconds = time.process_time() - start[0], time.perf_counter() - start[1]
    return {"cpu": moments.cpu, "wall": moments.wall, "drawing": moments.drawing, "fit_cpu": cpu, "seconds": seconds}


def negative_bound(model, rows) -> float:
    import torch

    model.eval()
    total = 0.0
    with torch.no_grad():
        for _ in range(DRAWS):
            for block in rows.split(1000):
                found = model({"data": block})
                total += float(found.recon_loss + found.reg_loss) * len(block)
    return total / (DRAWS * len(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the four files of MNIST are, packed or not")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    import numpy as np
    import torch
    from pythae.trainers.trainer_utils import set_seed

    torch.set_num_threads(options.threads)
    train = torch.from_numpy(images(options.folder, "train-images-idx3-ubyte")[: options.rows])
    grey = images(options.folder, "t10k-images-idx3-ubyte")
    test = torch.from_numpy((np.random.default_rng(0).random(grey.shape) < grey).astype(np.float32))
    set_seed(options.seed)
    model = build(400, 20)
    answer = fit(model, train, options)
    answer |= {"bound": negative_bound(model, test), "torch": torch.__version__, "pythae": version("pythae")}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
