"""Data sets by name."""

from __future__ import annotations

import difflib

import numpy as np

from narrows.datasets.dataset import Dataset
from narrows.datasets.download import content_of
from narrows.datasets.records import RECORDS, Record
from narrows.errors import DataError, DownloadError

__all__ = ["describe", "load", "names"]


def names() -> list[str]:
    """List the data sets :func:`load` knows.

    Returns
    -------
    list of str
        In alphabetical order.

    Examples
    --------
    >>> from narrows import datasets
    >>> datasets.names()
    ['digits', 'fashion-mnist', 'mnist']
    """
    return sorted(RECORDS)


def describe(name: str) -> Record:
    """Say what a data set is without fetching anything.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Returns
    -------
    Record
        Sizes, licence, citation, addresses and files.

    Raises
    ------
    DataError
        If there is none of that name.

    Examples
    --------
    >>> from narrows import datasets
    >>> datasets.describe("mnist").shape
    (28, 28)
    """
    if name not in RECORDS:
        near = difflib.get_close_matches(name.lower(), RECORDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(f"There is no data set {name!r}; there are {', '.join(names())}.{hint}")
    return RECORDS[name]


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
    from narrows.tables.arrays import parse_idx

    arrays = []
    source = ""
    for file in record.files:
        content, source = content_of(record, file, progress=progress)
        arrays.append(parse_idx(content, file.name))
    train, train_labels, test, test_labels = arrays
    _check_sizes(record, train, train_labels, test, test_labels)
    return Dataset(
        name=record.name,
        train=train.reshape(len(train), -1),
        test=test.reshape(len(test), -1),
        train_labels=train_labels,
        test_labels=test_labels,
        shape=record.shape,
        source=source,
        licence=record.licence,
        citation=record.citation,
    )


def _check_sizes(
    record: Record, train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> None:
    """Refuse files whose checksums stand in the wrong line of the record."""
    images, more_images = (record.n_train, *record.shape), (record.n_test, *record.shape)
    expected = [images, images[:1], more_images, more_images[:1]]
    found = [array.shape for array in (train, train_labels, test, test_labels)]
    if found != expected:
        raise DownloadError(f"The files of {record.name} hold arrays of shapes {found}, not {expected}.")


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
    return Dataset(
        name=record.name,
        train=train,
        test=test,
        train_labels=train_labels,
        test_labels=test_labels,
        shape=record.shape,
        source="embedded",
        licence=record.licence,
        citation=record.citation,
    )
