"""The network of a first course: the baseline that labs hold narrows' defaults against."""

from __future__ import annotations

from narrows.autoencoder import Autoencoder
from narrows.likelihoods import Gaussian
from narrows.networks import Dense
from narrows.training.optimisers import Adam

__all__ = ["course_autoencoder"]


def course_autoencoder(
    n_components: int, hidden: int, *, epochs: int, seed: int, output: str = "sigmoid", batch_size: int = 32
) -> Autoencoder:
    """Return the autoencoder as courses write it in Keras: one ReLU layer on either side of a ReLU code.

    It is fitted by Adam at 0.001 to the squared error of all rows; none are held out.
    """
    network = Dense(
        (hidden,),
        activation="relu",
        code_activation="relu",
        output_activation=output,
        linear_path=False,
        init="glorot",
    )
    return Autoencoder(
        n_components,
        network=network,
        likelihood=Gaussian(bounds="none"),
        scaling="none",
        optimizer=Adam(eps=1e-7),
        schedule="constant",
        learning_rate=1e-3,
        batch_size=batch_size,
        max_epochs=epochs,
        early_stopping=False,
        validation_fraction=0,
        random_state=seed,
    )
