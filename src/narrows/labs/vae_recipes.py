"""The sizes of the lab on variational autoencoders, for each data set that it runs on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from narrows import datasets
from narrows.errors import DataError

__all__ = ["SMALL", "VAE_LABS", "VaeRecipe", "recipe_for"]

SMALL = 2
"""Numbers in the code as taught: all images that it can draw fit on a page."""


@dataclass(frozen=True)
class VaeRecipe:
    """The sizes of the lab on one data set; epochs of None leave narrows its own budget."""

    n_components: int
    taught_hidden: int
    taught_epochs: int
    small_epochs: int | None
    large_epochs: int | None
    plain_epochs: int | None
    reader_hidden: int
    reader_epochs: int
    importance_rows: int
    white: float
    repeats: int = 5
    importance_draws: int = 200
    notes: tuple[str, ...] = ()


VAE_LABS = {
    "digits": VaeRecipe(
        n_components=8,
        taught_hidden=64,
        taught_epochs=200,
        small_epochs=None,
        large_epochs=None,
        plain_epochs=None,
        reader_hidden=32,
        reader_epochs=200,
        importance_rows=360,
        white=16.0,
        notes=(
            "An image has 64 pixels where MNIST's has 784: the layer as taught has {taught_hidden} units (there, 512).",
            "There are 1/40 of MNIST's rows: the network as taught takes {taught_epochs} passes (there, 30).",
        ),
    ),
    "mnist": VaeRecipe(
        n_components=32,
        taught_hidden=512,
        taught_epochs=30,
        small_epochs=15,
        large_epochs=20,
        plain_epochs=10,
        reader_hidden=64,
        reader_epochs=20,
        importance_rows=500,
        white=255.0,
        repeats=3,
        notes=(
            "To keep the lab to minutes, narrows' fits are cut to {small_epochs} and {large_epochs} passes.",
            "For the same reason the plain autoencoders are cut to {plain_epochs}.",
        ),
    ),
}


def recipe_for(data: str, n_components: int | None, max_epochs: int | None) -> VaeRecipe:
    """Return the sizes of the lab, with those that were asked for.

    Raises
    ------
    DataError
        If there is no such data set here, or the larger code is none.
    """
    if data not in VAE_LABS:
        raise DataError(f"The lab on variational autoencoders has data {' and '.join(VAE_LABS)}, not {data!r}.")
    recipe = VAE_LABS[data]
    if n_components is not None:
        recipe = replace(recipe, n_components=n_components)
    width = int(np.prod(datasets.describe(data).shape))
    if not SMALL < recipe.n_components < width:
        raise DataError(
            f"The larger code of this lab may have {SMALL + 1} to {width - 1} numbers, not {recipe.n_components}."
        )
    if max_epochs is not None:
        names = ("taught_epochs", "small_epochs", "large_epochs", "plain_epochs")
        given = {name: getattr(recipe, name) for name in names}
        cut = {name: min(max_epochs, epochs or max_epochs) for name, epochs in given.items()}
        recipe = replace(recipe, **cut)  # type: ignore[arg-type]
    return recipe
