"""``compare``: one held-out split, three methods, every size."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from narrows.comparison.comparison import Comparison, ComparisonArtifacts
from narrows.comparison.measure import TESTED_CODES, TRAINING_CODES, TRUSTED_ROWS, HeldOut
from narrows.comparison.methods import Progress, fit_networks, fit_pca, measuring_progress, pca_curve
from narrows.data.inputs import is_path, validate_rows
from narrows.data.rows import ArrayRows
from narrows.data.table import Table
from narrows.errors import DataError
from narrows.fitting.progress import stage_progress
from narrows.fitting.splits import equal_rows, held_out_rows

__all__ = ["compare"]

MOST_HELD_OUT = 10_000

_ABOUT_PCA = (
    "PCA was fitted once, for its first components are those of every smaller PCA. The linear autoencoder starts at "
    "random and is trained by gradient descent, one fit a size."
)
_ABOUT_ORDERED = (
    "The autoencoder was fitted once, as an ordered one whose first numbers are the smaller codes: its time counts "
    "once for all sizes, and its size on disk is that of the whole."
)


def compare(
    X: Any,
    n_components: int | Sequence[int] = (2, 4, 8, 16, 32, 64),
    y: Any = None,
    *,
    X_test: Any = None,
    y_test: Any = None,
    ordered: bool = False,
    scaling: str = "common",
    feature_names: Sequence[str] | None = None,
    random_state: int = 0,
    verbose: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> Comparison:
    """Compare narrows' autoencoder with PCA and a linear autoencoder, on the same held-out rows.

    Parameters
    ----------
    X : array-like, frame or path, shape (n, n_features), or array of images
        The rows; a file, or a folder of images, is read into memory.
    n_components : int or sequence of int, default (2, 4, 8, 16, 32, 64)
        Dimensions of the code; those that the data has too few columns or rows for are left out, which a note says.
    y : array-like of shape (n,), optional
        Classes: then the codes are also judged by how well classifiers do on them, beside always predicting the
        commonest class.
    X_test, y_test : array-like (X_test as X), optional
        Rows to hold out instead of a fifth of ``X`` (at most 10,000 rows, the same fraction of each class).
    ordered : bool, default False
        Whether one ordered autoencoder, whose first components are the smaller codes, serves all sizes. By default one
        is fitted for each: that shows each size at its best and, an ordered fit being a long one, is no slower.
    scaling : {"common", "standard"}, default "common"
        ``"standard"`` brings columns to the same standard deviation first, for all methods, and counts errors in it.
    feature_names : sequence of str, optional
        Names of the columns, where X is no frame that has them.
    random_state : int, default 0
        Fixes everything random.
    verbose : int, default 0
        1 shows a progress bar.
    progress : callable, optional
        Called with the stage, and which fraction of all is done.
    **options : object
        Any other parameter of :class:`narrows.Autoencoder`, for narrows' own fits.

    Returns
    -------
    Comparison
        ``print`` it, or see its ``verdict``, ``to_frame()``, ``plot()``, ``report(path)``.

    Raises
    ------
    DataError, ValueError
        If there are too few rows, no size is left, or labels do not fit.

    Examples
    --------
    >>> import narrows
    >>> X = narrows.datasets.make_manifold(600, 8, n_latent=2, random_state=0)
    >>> comparison = narrows.compare(X, (1, 2), max_epochs=20)
    >>> comparison["autoencoder", 2].error < comparison["pca", 2].error
    True
    """
    if scaling not in ("common", "standard"):
        raise ValueError(f"scaling must be 'common' or 'standard', got {scaling!r}")
    (X, names), (X_test, _) = _opened(X), _opened(X_test)
    names = names if feature_names is None else feature_names
    shape = options.pop("image_shape", None)
    data, image_shape = _hold_out(X, y, X_test, y_test, scaling, random_state)
    image_shape = shape or image_shape
    sizes, left_out = _sizes(n_components, data)
    ordered = ordered and len(sizes) > 1
    common = {"scaling": scaling, "random_state": random_state}
    own = {"image_shape": image_shape, **common, **options}
    shown = stage_progress() if verbose and progress is None else nullcontext(progress or _silent)
    results, errors = [], {}
    with shown as tell:
        tell("PCA", 0.0)
        pca, fits = fit_pca(data, sizes)
        fits |= fit_networks(data, sizes, common, own, tell, ordered=ordered)
        variance = data.variance()
        for number, ((method, size), fit) in enumerate(fits.items()):
            tell("measuring", measuring_progress(number / len(fits)))
            result, errors[method, size] = data.measure(method, size, fit, variance)
            results.append(result)
        tell("measuring", 1.0)
    chosen = data.sample(len(data.test), 2000)
    artifacts = ComparisonArtifacts(
        rows=data.test[chosen],
        labels=None if data.test_labels is None else data.test_labels[chosen],
        fits=fits,
        errors=errors,
        pca_curve=pca_curve(data, pca),
        feature_names=None if names is None else [str(name) for name in names],
        image_shape=image_shape if image_shape is None else (*image_shape, 1)[:3],
        n_held_out=len(data.test),
        n_classified=min(len(data.test), TESTED_CODES),
    )
    notes = (*left_out, *_notes(data, ordered=ordered, given=X_test is not None))
    models = {key: fit.model for key, fit in fits.items()}
    return Comparison(tuple(results), notes, len(data.train), data.train.shape[1], models, artifacts)


def _silent(stage: str, fraction: float) -> None:
    """Show no progress."""


def _opened(X: Any) -> tuple[Any, Sequence[Any] | None]:
    """Return rows, of a table its columns as numbers, and the names of these."""
    if not (is_path(X) or isinstance(X, Table)):
        return X, getattr(X, "columns", None)
    reader = BaseEstimator()
    given = validate_rows(reader, X, reset=True, allow_missing=True)
    if not isinstance(given.rows, ArrayRows):
        raise DataError(f"{X} has too many rows to be compared in memory: compare a part of it")
    values = given.rows.take(np.arange(given.rows.n_rows)).numpy()
    names = None if given.encoding is None else given.encoding.value_names
    if values.dtype.kind == "f" and (gaps := np.isnan(values).any(0)).any():
        column = repr(names[int(gaps.argmax())].partition("=")[0]) if names else int(gaps.argmax())
        raise DataError(f"column {column} has missing values, which PCA does not take: fill them in, or leave it out")
    return values.reshape(-1, *given.row_shape), names


def _hold_out(
    X: Any, y: Any, X_test: Any, y_test: Any, scaling: str, seed: int
) -> tuple[HeldOut, tuple[int, ...] | None]:
    """Check rows and labels, and hold some out; return with them the shape of one row, if it is an image."""
    rows, shape = _rows(X, "X")
    labels = _labels(y, len(rows), "y")
    if X_test is not None:
        test, _ = _rows(X_test, "X_test")
        if test.shape[1] != rows.shape[1]:
            raise DataError(f"X_test has {test.shape[1]} columns, and X has {rows.shape[1]}")
        train, train_labels, test_labels = rows, labels, _labels(y_test, len(test), "y_test")
    else:
        if len(rows) < 10:
            raise DataError(f"{len(rows)} rows are too few to hold some out: a comparison needs at least 10")
        kept, held = _split(rows, labels, seed)
        train, test = rows[kept], rows[held]
        train_labels, test_labels = (None, None) if labels is None else (labels[kept], labels[held])
    if (train_labels is None) != (test_labels is None):
        raise DataError("labels are needed for both the rows fitted to and those held out, or for neither")
    unit: Any = 1.0
    if scaling == "standard":
        std = train.std(0, dtype=np.float64)
        unit = np.where(std > 0, std, 1.0)
    return HeldOut(train, test, unit, train_labels, test_labels, seed), shape


def _rows(X: Any, name: str) -> tuple[np.ndarray, tuple[int, ...] | None]:
    from sklearn.utils import check_array

    shape: Any = getattr(X, "shape", ())
    if len(shape) in (3, 4):
        return check_array(np.asarray(X).reshape(shape[0], -1), dtype="numeric", input_name=name), tuple(shape[1:])
    return check_array(X, dtype="numeric", input_name=name), None


def _labels(y: Any, n_rows: int, name: str) -> np.ndarray | None:
    if y is None:
        return None
    labels = np.asarray(y)
    if labels.shape != (n_rows,):
        raise DataError(f"{name} must hold one class for each of {n_rows} rows, not be of shape {labels.shape}")
    if labels.dtype.kind == "O":
        missing = np.array([label is None or type(label).__name__ == "NAType" or label != label for label in labels])
        if missing.any():
            raise DataError(f"{name} has no class for row {int(missing.argmax())}, the first being 0: leave it out")
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.rint(labels)):
        raise DataError(f"{name} must hold classes: whole numbers or texts, not measurements")
    return labels


def _split(rows: np.ndarray, labels: np.ndarray | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hold rows out, with the classes in their proportion; rows that are equal stay together."""
    from sklearn.model_selection import train_test_split

    n_rows, twins = len(rows), equal_rows(ArrayRows(rows))
    held_out = min(max(2, n_rows // 5), MOST_HELD_OUT)
    if twins is not None:
        held = held_out_rows(n_rows, held_out, 1, twins, seed)[0]
        return np.setdiff1d(np.arange(n_rows), held), held
    stratify = labels
    if labels is not None:
        counts = np.unique(labels, return_counts=True)[1]
        stratify = labels if counts.min() >= 2 and len(counts) <= held_out else None
    kept, held = train_test_split(np.arange(n_rows), test_size=held_out, random_state=seed, stratify=stratify)
    return np.sort(kept), np.sort(held)


def _sizes(n_components: int | Sequence[int], data: HeldOut) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the sizes to compare, and what is to be said of those left out."""
    asked = [n_components] if isinstance(n_components, (int, np.integer)) else list(n_components)
    if not asked or not all(isinstance(k, (int, np.integer)) and not isinstance(k, bool) and k > 0 for k in asked):
        raise ValueError(f"n_components must be whole numbers above 0, got {n_components!r}")
    most = min(data.train.shape)
    varying = int((data.train != data.train[:1]).any(0).sum())
    fitting = sorted({int(size) for size in asked if size <= most})
    # A code of as many components as there are columns that vary keeps everything: nothing is left to compare.
    sizes = tuple(size for size in fitting if size < varying) or tuple(fitting)
    if not sizes:
        raise DataError(f"no size is left: {len(data.train)} training rows of {data.train.shape[1]} columns")
    too_large = sorted({int(size) for size in asked if size > most})
    complete = [size for size in fitting if size not in sizes]
    reasons = (
        (f"there are {most} columns or training rows", too_large),
        (f"{varying} columns vary and as many numbers keep everything", complete),
    )
    return sizes, tuple(
        f"Left out, for {reason}: codes of {', '.join(map(str, dropped))} numbers."
        for reason, dropped in reasons
        if dropped
    )


def _notes(data: HeldOut, *, ordered: bool, given: bool) -> tuple[str, ...]:
    """Say how it was measured."""
    held, given_or_drawn = f"{len(data.test):,} rows", "that were given" if given else "drawn at random"
    notes = [
        f"All is measured on {held} {given_or_drawn}, which no method was fitted to; {len(data.train):,} rows were.",
        _ABOUT_PCA,
        _ABOUT_ORDERED if ordered else "The autoencoder was fitted once for each size.",
        f"Trustworthiness is that of {min(TRUSTED_ROWS, len(data.test)):,} held-out rows and 10 neighbours.",
    ]
    if data.labels_tell:
        notes.append(
            f"Classifiers learnt from {min(TRAINING_CODES, len(data.train)):,} codes and were tried on "
            f"{min(TESTED_CODES, len(data.test)):,} held-out ones: the 5 nearest neighbours on codes as they come, "
            "and logistic regression on codes of which each number was brought to mean 0 and deviation 1. "
            f"Always saying the commonest class would be right for {data.majority_accuracy:.1%} of the held-out rows."
        )
    return tuple(notes)
