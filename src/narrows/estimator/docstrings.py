"""Parts of docstrings that several classes share, written once and filled in where a class is made."""

from __future__ import annotations

import re
from textwrap import indent
from typing import TypeVar

__all__ = ["documented", "fill"]

PARTS = {
    "training_parameters": """\
early_stopping : bool, default True
    Whether to keep the weights that did best on held-out rows, and to stop when they no longer improve. Without it
    nothing is held out, unless ``validation_fraction`` is given.
validation_fraction : float or "auto", default "auto"
    Fraction of the rows held out. ``"auto"``: a tenth, at most 10,000 rows; below 500 rows three folds or five; and
    up to 5,000 rows the fit is repeated on all rows for as many steps as did best.
patience : int or "auto", default "auto"
    Evaluations without improvement before stopping. ``"auto"``: a third of the budget, or never where
    ``max_epochs`` is given.
max_seconds : float or None, default None
    Limit on the training time. The schedule then follows the clock, so results depend on the machine.
checkpoint : path-like or None, default None
    A file to which the state of the training is saved now and then. If a fit of the same options and data is cut
    off, the next ``fit`` goes on from there, with bit-identical results. Removed when the fit is done.
checkpoint_seconds : float, default 60
    Seconds between two savings.
device : str, default "auto"
    ``"auto"`` takes a CUDA device where there is one, otherwise the CPU.
random_state : int, RandomState or None, default None
    Fixes everything random. No global generator is touched.
verbose : int, default 0
    1 shows a progress bar and a summary line; 2 prints each record as well.
callbacks : sequence of callables, default ()
    Each is given the history record of every evaluation, a dictionary; a true answer stops the training.
""",
    "fit_attributes": """\
stopped_ : str
    Why the training ended: "budget", "patience", "time", "callback" or "interrupted".
n_steps_ : int
    Training steps behind the final weights.
image_shape_ : tuple of int or None
    Height, width and channels of the images that rows are.
n_features_in_ : int
    Columns seen in ``fit``.
feature_names_in_ : ndarray of str
    Their names, where the input had names.
""",
}

T = TypeVar("T", bound=type)


def fill(docstring: str) -> str:
    """Put the shared parts in the place of their names in braces, each on a line of its own."""
    for name, part in PARTS.items():
        line = re.compile(rf"^( *)\{{{name}\}}\n", re.MULTILINE)
        docstring = line.sub(lambda found, part=part: indent(part, found.group(1)), docstring)  # type: ignore[misc]
    return docstring


def documented(cls: T) -> T:
    """Decorate a class: fill the shared parts into its docstring."""
    if cls.__doc__ is not None:
        cls.__doc__ = fill(cls.__doc__)
    return cls
