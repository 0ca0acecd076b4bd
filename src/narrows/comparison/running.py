"""The comparison itself: one held-out split, three methods, every size."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.autoencoder import Autoencoder
from narrows.comparison.measure import Bench, Fit, leading
from narrows.comparison.result import METHODS, Comparison, Exhibits
from narrows.data.inputs import is_path
from narrows.errors import DataError, NotBetterThanBaselineWarning
from narrows.likelihoods import Gaussian
from narrows.networks import Dense
from narrows.tables import read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Progress = Callable[[str, float], None]

__all__ = ["compare"]

MOST_HELD_OUT = 10_000
LINEAR_STEPS = 3000
MANY_ROWS = 20_000

_ABOUT_PCA = (
    "PCA was fitted once, for its first components are those of every smaller PCA. The linear autoencoder starts at "
    "random and is trained by gradient descent, one fit a size."
)
_ABOUT_ORDERED = (
    "The autoencoder was fitted once, as an ordered one whose first numbers are the smaller codes: its time counts "
    "once for all sizes, and its size on disk is that of the whole."
)

# Shares of the time that a comparison takes, for the progress bar.
_SHARES = {"PCA": 0.02, "linear autoencoder": 0.2, "autoencoder": 0.6, "measuring": 0.18}
_RECORDS = 26


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
    """Hold narrows' autoencoder against PCA and a linear autoencoder, on the same held-out rows.

    Parameters
    ----------
    X : array-like, frame or path, shape (n, n_features), or array of images
        The rows; a file, or a folder of images, is read into memory.
    n_components : int or sequence of int, default (2, 4, 8, 16, 32, 64)
        Sizes of the code; those that the data has too few columns or rows for are left out, which a note says.
    y : array-like of shape (n,), optional
        Classes: then the codes are also judged by how well classifiers do on them.
    X_test, y_test : array-like (X_test as X), optional
        Rows to hold out instead of a fifth of ``X`` (at most 10,000 rows, the same share of each class).
    ordered : bool, default False
        Whether one ordered autoencoder, whose first numbers are the smaller codes, serves all sizes. By default one
        is fitted for each: that shows each size at its best and, an ordered fit being a long one, is no slower.
    scaling : {"common", "standard"}, default "common"
        ``"standard"`` brings columns to the same deviation first, for all methods, and counts errors in it.
    feature_names : sequence of str, optional
        Names of the columns, where X is no frame that has them.
    random_state : int, default 0
        Fixes everything random.
    verbose : int, default 0
        1 shows a progress bar.
    progress : callable, optional
        Told of what is being done: the stage, and which share of all is done.
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
    if progress is None and verbose:
        from narrows.fitting.progress import stage_progress

        with stage_progress() as told:
            return compare(
                X, n_components, y, X_test=X_test, y_test=y_test, ordered=ordered, scaling=scaling,
                feature_names=feature_names, random_state=random_state, progress=told, **options,
            )  # fmt: skip
    tell = progress or (lambda stage, share: None)  # noqa: ARG005
    if scaling not in ("common", "standard"):
        raise ValueError(f"scaling must be 'common' or 'standard', got {scaling!r}")
    (X, named), (X_test, _) = _opened(X), _opened(X_test)
    named = named if feature_names is None else feature_names
    names = None if named is None else [str(name) for name in named]
    bench, image_shape = _bench(X, y, X_test, y_test, scaling, random_state, options)
    sizes, notes = _sizes(n_components, bench)
    common = {"scaling": scaling, "random_state": random_state}
    own = {"image_shape": image_shape, **common, **options}
    tell("PCA", 0.0)
    whole, fits = _pca_fits(bench, sizes)
    ordered = ordered and len(sizes) > 1
    fits |= _network_fits(bench, sizes, own, common, tell, ordered=ordered)
    results, errors = [], {}
    variance = bench.variance()
    for number, ((method, size), fit) in enumerate(fits.items()):
        tell("measuring", 1 - _SHARES["measuring"] * (1 - number / len(fits)))
        entry, errors[method, size] = bench.measure(method, size, fit, variance)
        results.append(entry)
    tell("measuring", 1.0)
    chosen = bench.sample(len(bench.test), 2000)
    exhibits = Exhibits(
        rows=bench.test[chosen],
        labels=None if bench.test_labels is None else bench.test_labels[chosen],
        fits=fits,
        errors=errors,
        pca_curve=_pca_curve(bench, _pca_fit(whole, bench.unit, 0.0)),
        feature_names=names,
        image_shape=image_shape if image_shape is None else (*image_shape, 1)[:3],  # type: ignore[arg-type]
        n_held_out=len(bench.test),
        n_classified=min(len(bench.test), 2000),
    )
    models = {key: fit.model for key, fit in fits.items()}
    notes = (*notes, *_notes(bench, ordered=ordered, given=X_test is not None))
    return Comparison(tuple(results), notes, len(bench.train), bench.train.shape[1], models, exhibits)


def _bench(
    X: Any, y: Any, X_test: Any, y_test: Any, scaling: str, seed: int, options: dict[str, Any]
) -> tuple[Bench, tuple[int, ...] | None]:
    """Check rows and labels, and hold some out."""
    image_shape = options.pop("image_shape", None)
    rows, shape = _rows(X, "X")
    image_shape = image_shape or shape
    labels = _labels(y, len(rows), "y")
    if X_test is not None:
        test, _ = _rows(X_test, "X_test")
        if test.shape[1] != rows.shape[1]:
            raise DataError(f"X_test has {test.shape[1]} columns, and X has {rows.shape[1]}")
        train, train_labels, test_labels = rows, labels, _labels(y_test, len(test), "y_test")
    else:
        if len(rows) < 10:
            raise DataError(f"{len(rows)} rows are too few to hold some out: a comparison needs at least 10")
        kept, held = _split(len(rows), labels, seed)
        train, test = rows[kept], rows[held]
        train_labels, test_labels = (None, None) if labels is None else (labels[kept], labels[held])
    if (train_labels is None) != (test_labels is None):
        raise DataError("labels are needed for both the rows fitted to and those held out, or for neither")
    unit: Any = 1.0
    if scaling == "standard":
        spread = train.std(0, dtype=np.float64)
        unit = np.where(spread > 0, spread, 1.0)
    return Bench(train, test, unit, train_labels, test_labels, seed), image_shape


def _opened(X: Any) -> tuple[Any, Sequence[Any] | None]:
    """Return rows, read if they are a file, and the names of their columns."""
    if not is_path(X):
        return X, getattr(X, "columns", None)
    table = read(X)
    return table.values.reshape(-1, *table.shape), table.columns


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
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.rint(labels)):
        raise DataError(f"{name} must hold classes: whole numbers or texts, not measurements")
    return labels


def _split(n_rows: int, labels: np.ndarray | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    held_out = min(max(2, n_rows // 5), MOST_HELD_OUT)
    stratify = labels
    if labels is not None:
        counts = np.unique(labels, return_counts=True)[1]
        stratify = labels if counts.min() >= 2 and len(counts) <= held_out else None
    kept, held = train_test_split(np.arange(n_rows), test_size=held_out, random_state=seed, stratify=stratify)
    return np.sort(kept), np.sort(held)


def _sizes(n_components: int | Sequence[int], bench: Bench) -> tuple[tuple[int, ...], tuple[str, ...]]:
    asked = [n_components] if isinstance(n_components, (int, np.integer)) else list(n_components)
    if not asked or not all(isinstance(k, (int, np.integer)) and not isinstance(k, bool) and k > 0 for k in asked):
        raise ValueError(f"n_components must be whole numbers above 0, got {n_components!r}")
    most = min(bench.train.shape)
    varying = int((bench.train != bench.train[:1]).any(0).sum())
    fitting = sorted({int(size) for size in asked if size <= most})
    # A code of as many numbers as there are columns that vary keeps everything: nothing is left to compare.
    sizes = tuple(size for size in fitting if size < varying) or tuple(fitting)
    left_out = sorted({int(size) for size in asked if size > most})
    whole = [size for size in fitting if size not in sizes]
    if not sizes:
        raise DataError(f"no size is left: {len(bench.train)} training rows of {bench.train.shape[1]} columns")
    reasons = (
        (f"there are {most} columns or training rows", left_out),
        (f"{varying} columns vary and as many numbers keep everything", whole),
    )
    return sizes, tuple(
        f"Left out, for {reason}: codes of {', '.join(map(str, dropped))} numbers."
        for reason, dropped in reasons
        if dropped
    )


def _network_fits(
    bench: Bench,
    sizes: tuple[int, ...],
    own: dict[str, Any],
    common: dict[str, Any],
    tell: Progress,
    *,
    ordered: bool,
) -> dict[tuple[str, int], Fit]:
    """Fit the linear autoencoders, and one ordered autoencoder for all sizes or one for each."""
    fits: dict[tuple[str, int], Fit] = {}
    before = _SHARES["PCA"]
    linear = {"network": Dense((), linear_path=False), "likelihood": Gaussian("none"), **common}
    # From a random start a linear network needs many steps, whatever the number of rows, to come near PCA.
    batch = 256 if len(bench.train) > MANY_ROWS else 32
    linear["batch_size"], linear["max_epochs"] = batch, -(-LINEAR_STEPS * batch // len(bench.train))
    linear["learning_rate"] = 1e-2 if bench.train.shape[1] < 200 else 5e-3
    share = _SHARES["linear autoencoder"] / len(sizes)
    for number, size in enumerate(sizes):
        start = before + number * share
        model, seconds = _fitted(bench, Autoencoder(size, **linear), tell, METHODS["linear"], start, share)
        fits["linear", size] = Fit(model, model.transform, model.inverse_transform, seconds, shared=False)
    start = before + _SHARES["linear autoencoder"]
    share = _SHARES["autoencoder"] / (1 if ordered else len(sizes))
    if ordered:
        one = Autoencoder(sizes[-1], ordered=True, **own)
        model, seconds = _fitted(bench, one, tell, METHODS["autoencoder"], start, share)
        return fits | {("autoencoder", size): _ordered_fit(model, size, seconds) for size in sizes}
    for number, size in enumerate(sizes):
        model, seconds = _fitted(
            bench, Autoencoder(size, **own), tell, METHODS["autoencoder"], start + number * share, share
        )
        fits["autoencoder", size] = Fit(model, model.transform, model.inverse_transform, seconds, shared=False)
    return fits


def _ordered_fit(model: Autoencoder, size: int, seconds: float) -> Fit:
    return Fit(model, lambda rows: model.transform(rows, size), model.inverse_transform, seconds, shared=True)


def _fitted(
    bench: Bench, model: Autoencoder, tell: Progress, stage: str, start: float, share: float
) -> tuple[Autoencoder, float]:
    tell(stage, start)
    records = 0
    share *= 0.999  # so that rounding never puts the end of one stage after the start of the next

    def on_record(record: dict[str, Any]) -> None:  # noqa: ARG001
        nonlocal records
        records += 1
        tell(stage, start + share * min(1.0, records / _RECORDS))

    model.set_params(callbacks=(*model.callbacks, on_record))
    began = time.perf_counter()
    with warnings.catch_warnings():
        # The comparison says itself what is not better than what.
        warnings.simplefilter("ignore", NotBetterThanBaselineWarning)
        model.fit(bench.train)
    return model.set_params(callbacks=model.callbacks[:-1]), time.perf_counter() - began


def _pca_fits(bench: Bench, sizes: tuple[int, ...]) -> tuple[Any, dict[tuple[str, int], Fit]]:
    """Fit PCA once: its first components are those of every smaller one."""
    from sklearn.decomposition import PCA

    # From the covariance matrix all components cost the same as a few.
    few = bench.train.shape[1] <= 1000
    solver, most = ("covariance_eigh", min(bench.train.shape)) if few else ("randomized", sizes[-1])
    began = time.perf_counter()
    # In float32 the covariance of columns far from zero would be mostly rounding, and PCA's error far too large.
    scaled = np.asarray(bench.train / bench.unit if np.ndim(bench.unit) else bench.train, dtype=np.float64)
    with np.errstate(invalid="ignore"):  # of rows that are all the same
        pca = PCA(most, svd_solver=solver, random_state=bench.seed).fit(scaled)
    seconds = time.perf_counter() - began
    return pca, {("pca", size): _pca_fit(leading(pca, size), bench.unit, seconds) for size in sizes}


def _pca_fit(pca: Any, unit: Any, seconds: float) -> Fit:
    def encode(rows: np.ndarray) -> np.ndarray:
        return pca.transform(rows / unit if np.ndim(unit) else rows)

    return Fit(pca, encode, lambda codes: pca.inverse_transform(codes) * unit, seconds, shared=True)


def _pca_curve(bench: Bench, fit: Fit) -> np.ndarray:
    """Return PCA's error with 1, 2, 3, ... numbers: what each further one takes away is its own square."""
    whole = bench.row_errors(
        lambda rows: np.broadcast_to(fit.decode(np.zeros((1, fit.model.n_components_))), rows.shape)
    )
    squares = np.square(np.asarray(fit.encode(bench.test), dtype=np.float64)).mean(0) / bench.test.shape[1]
    return float(whole.mean()) - np.cumsum(squares)


def _notes(bench: Bench, *, ordered: bool, given: bool) -> tuple[str, ...]:
    from narrows.comparison.measure import TESTED_CODES, TRAINING_CODES, TRUSTED_ROWS

    held = f"{len(bench.test):,} rows {'that were given' if given else 'drawn at random'}"
    notes = [
        f"All is measured on {held}, which no method was fitted to; {len(bench.train):,} rows were.",
        _ABOUT_PCA,
        _ABOUT_ORDERED if ordered else "The autoencoder was fitted once for each size.",
        f"Trustworthiness is that of {min(TRUSTED_ROWS, len(bench.test)):,} held-out rows and 10 neighbours.",
    ]
    if bench.train_labels is not None and bench.test_labels is not None:
        commonest = np.unique(bench.test_labels, return_counts=True)[1].max() / len(bench.test_labels)
        notes.append(
            f"Classifiers learnt from {min(TRAINING_CODES, len(bench.train)):,} codes and were tried on "
            f"{min(TESTED_CODES, len(bench.test)):,} held-out ones: the 5 nearest neighbours on codes as they come, "
            "and logistic regression on codes of which each number was brought to mean 0 and deviation 1. "
            f"Always saying the commonest class would be right for {commonest:.1%} of the held-out rows."
        )
    return tuple(notes)
