"""Data sets by name."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from narrows.data.arrays import parse_idx
from narrows.datasets.download import file_content
from narrows.datasets.records import RECORDS, Record, record_of
from narrows.errors import DownloadError

__all__ = ["Dataset", "describe", "load", "names"]


@dataclass(frozen=True)
class Dataset:
    """A named data set in memory, parted into rows to fit and rows to test with.

    Attributes
    ----------
    name : str
        Its name, as :func:`narrows.datasets.load` takes it.
    train, test : ndarray of shape (n_rows, n_features)
        The rows; images are laid out flat, as uint8.
    train_labels, test_labels : ndarray of shape (n_rows,) or None
        Which class each row is of, as uint8; None for a set without classes.
    shape : tuple of int
        The shape of one row before it was laid out flat: ``(28, 28)``.
    source : str
        Where it came from: an address, a folder, or ``"embedded"`` in scikit-learn.
    licence, citation : str
        On what terms it may be used, and how to cite it.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None
    test_labels: np.ndarray | None
    shape: tuple[int, ...]
    source: str
    licence: str
    citation: str


def names() -> list[str]:
    """List the data sets :func:`load` knows.

    Examples
    --------
    >>> from narrows import datasets
    >>> datasets.names()
    ['digits', 'fashion-mnist', 'mnist']
    """
    return sorted(RECORDS)


def describe(name: str) -> Record:
    """Say what a data set is (sizes, licence, citation, files) without fetching anything.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Examples
    --------
    >>> from narrows import datasets
    >>> datasets.describe("mnist").shape
    (28, 28)
    """
    return record_of(name, RECORDS, "data set")


def load(name: str, *, progress: bool | None = None) -> Dataset:
    """Load a data set, downloading it if it is not on this machine yet.

    A file is looked for in ``$NARROWS_DATA/<name>/`` (packed or not), then in the cache folder
    (``$NARROWS_CACHE``, or the user's own), then fetched into the cache folder. Its content is checked every
    time.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    progress : bool, default=None
        Show a bar while downloading; None does so if the standard error is a terminal.

    Returns
    -------
    Dataset
        Rows to fit and rows to test with, with labels.

    Raises
    ------
    DataError
        If there is none of that name.
    DownloadError
        If a file could not be fetched or is not what it should be; the message says where to put it by hand.

    Examples
    --------
    >>> from narrows import datasets
    >>> digits = datasets.load("digits")
    >>> digits.train.shape, digits.test.shape, digits.shape
    ((1437, 64), (360, 64), (8, 8))
    """
    record = describe(name)
    if not record.files:
        return _load_digits(record)
    arrays = []
    source = ""
    for file in record.files:
        content, source = file_content(record, file, progress=progress)
        arrays.append(parse_idx(content, file.name))
    images, more_images = (record.n_train, *record.shape), (record.n_test, *record.shape)
    expected, found = [images, images[:1], more_images, more_images[:1]], [array.shape for array in arrays]
    if found != expected:
        raise DownloadError(f"The files of {record.name} hold arrays of shapes {found}, not {expected}.")
    train, train_labels, test, test_labels = arrays
    flat = train.reshape(len(train), -1), test.reshape(len(test), -1)
    return _dataset(record, *flat, train_labels, test_labels, source)


def _load_digits(record: Record) -> Dataset:
    """Part scikit-learn's digits, with the same share of each digit on both sides."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    # Values are whole numbers from 0 to 16, kept as floats there. The seed is part of what the set is.
    train, test, train_labels, test_labels = train_test_split(
        images.astype(np.uint8),
        labels.astype(np.uint8),
        test_size=record.n_test,
        stratify=labels,
        random_state=0,
    )
    return _dataset(record, train, test, train_labels, test_labels, "embedded")


def _dataset(
    record: Record, train: np.ndarray, test: np.ndarray, train_labels: Any, test_labels: Any, source: str
) -> Dataset:
    about = record.licence, record.citation
    return Dataset(record.name, train, test, train_labels, test_labels, record.shape, source, *about)
