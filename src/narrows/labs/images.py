"""The images of labs: pixels from 0 to 1, and the digit of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from narrows import datasets
from narrows.errors import DataError

__all__ = ["DigitImages", "load_images"]

_NAMES = {"digits": "digits", "mnist": "MNIST"}
_WHITE = {"digits": 16.0, "mnist": 255.0}


@dataclass(frozen=True)
class DigitImages:
    """Training and test images, shape (n, height, width), their digits, and the licence and citation."""

    name: str
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray
    source: str

    def facts(self, n_components: int, least: int = 1) -> dict[str, Any]:
        """Return the sizes for a code, which must have some components, and fewer than there are pixels."""
        n_pixels = self.test[0].size
        if not least <= n_components < n_pixels:
            raise DataError(f"The code of this lab may have {least} to {n_pixels - 1} components, not {n_components}.")
        sizes = {"n_train": len(self.train), "n_test": len(self.test), "n_pixels": n_pixels}
        return sizes | {"data": self.name, "n_components": n_components}


def load_images(name: str) -> DigitImages:
    """Load ``"digits"``, which come with scikit-learn, or ``"mnist"``."""
    if name not in _NAMES:
        raise DataError(f"This lab runs on {' or '.join(_NAMES)}, not on {name!r}.")
    data, white = datasets.load(name), np.float32(_WHITE[name])
    assert data.train_labels is not None
    assert data.test_labels is not None
    train, test = ((rows.astype(np.float32) / white).reshape(-1, *data.shape) for rows in (data.train, data.test))
    # Whole numbers of the usual kind: a label is then written as 7, not as an unsigned one.
    labels, test_labels = (found.astype(np.int64) for found in (data.train_labels, data.test_labels))
    return DigitImages(_NAMES[name], train, test, labels, test_labels, f"{data.citation}. Licence: {data.licence}.")
