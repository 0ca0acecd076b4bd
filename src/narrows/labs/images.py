"""The images of labs: pixels from 0 to 1, and the digit of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from narrows import datasets

__all__ = ["DigitImages", "load_images"]

_WHITE = {"digits": 16.0, "mnist": 255.0}


@dataclass(frozen=True)
class DigitImages:
    """Training and test images, shape (n, height, width), their digits, and the licence and citation."""

    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray
    test_labels: np.ndarray
    source: str


def load_images(name: str) -> DigitImages:
    """Load ``"digits"``, which come with scikit-learn, or ``"mnist"``."""
    data, white = datasets.load(name), np.float32(_WHITE[name])
    assert data.train_labels is not None
    assert data.test_labels is not None
    train, test = ((rows.astype(np.float32) / white).reshape(-1, *data.shape) for rows in (data.train, data.test))
    # Whole numbers of the usual kind: a label is then written as 7, not as an unsigned one.
    labels, test_labels = (found.astype(np.int64) for found in (data.train_labels, data.test_labels))
    return DigitImages(train, test, labels, test_labels, f"{data.citation}. Licence: {data.licence}.")
