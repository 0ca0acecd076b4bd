"""The autoencoder of a first course, in plain Keras: what keras_lab.py holds narrows against.

784-128-32-128-784, ReLU, the code included, sigmoid output, Adam 1e-3, squared error, batches of 32, 5 epochs, MNIST
divided by 255; no validation data. Needs TensorFlow and numpy only. Prints one line of JSON: seconds of each epoch
and of the whole ``fit``, and the mean squared error on the test images afterwards.

    python bench/keras_script.py MNIST_FOLDER [--seed 0] [--epochs 5] [--rows 60000]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def images(folder: Path, name: str):
    import numpy as np

    packed = folder / (name + ".gz")
    content = gzip.decompress(packed.read_bytes()) if packed.is_file() else (folder / name).read_bytes()
    return np.frombuffer(content, np.uint8, offset=16).reshape(-1, 784).astype(np.float32) / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the four files of MNIST are, packed or not")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rows", type=int)
    options = parser.parse_args()

    import keras
    import numpy as np
    import tensorflow as tf
    from keras import layers

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs=None) -> None:
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch, logs=None) -> None:
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None) -> None:
            self.seconds.append(time.perf_counter() - self.start)

    train = images(options.folder, "train-images-idx3-ubyte")[: options.rows]
    test = images(options.folder, "t10k-images-idx3-ubyte")
    keras.utils.set_random_seed(options.seed)
    model = keras.Sequential(
        [
            layers.Input((784,)),
            layers.Dense(128, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(128, activation="relu"),
            layers.Dense(784, activation="sigmoid"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse")
    clock = Clock()
    start = time.perf_counter()
    model.fit(train, train, epochs=options.epochs, batch_size=32, verbose=0, callbacks=[clock])
    seconds = time.perf_counter() - start
    error = float(np.mean((model.predict(test, batch_size=1000, verbose=0) - test).astype(np.float64) ** 2))
    versions = f"Keras {keras.__version__}, TensorFlow {tf.__version__}"
    print(json.dumps({"epochs": clock.seconds, "seconds": seconds, "mse": error, "versions": versions}))


if __name__ == "__main__":
    main()
