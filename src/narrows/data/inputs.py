"""What people hand to an estimator becomes rows: arrays, frames, sparse matrices, and files read as streams."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from narrows.data.rows import ArrayRows, Rows, SparseRows
from narrows.data.streams import StreamRows
from narrows.errors import DataError

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

__all__ = ["ValidatedInput", "is_path", "validate_clean_rows", "validate_rows"]


@dataclass(frozen=True)
class ValidatedInput:
    """Validated input.

    Attributes
    ----------
    rows : Rows
        The rows, in the data's own type.
    float_dtype : numpy.dtype
        Type of what is returned for them: float64 for float64 and wide integers, otherwise float32.
    row_shape : tuple of int
        The shape of one row before it was laid out flat.
    """

    rows: Rows
    float_dtype: np.dtype
    row_shape: tuple[int, ...]


def is_path(X: Any) -> bool:
    """Say whether ``X`` names a file."""
    return isinstance(X, (str, os.PathLike))


def validate_rows(estimator: BaseEstimator, X: Any, *, reset: bool, allow_missing: bool) -> ValidatedInput:
    """Validate input as scikit-learn does, without copying it or changing its type."""
    if is_path(X):
        return _from_file(estimator, X, reset=reset)
    from scipy.sparse import csr_array, issparse
    from sklearn.utils.validation import validate_data

    _refuse_text_columns(X)
    X, row_shape = _flat(X)
    finite: bool | str = "allow-nan" if allow_missing else True
    checked = validate_data(
        estimator,
        X,
        reset=reset,
        accept_sparse="csr",
        dtype="numeric",
        ensure_all_finite=finite,
    )
    if issparse(checked):
        rows: Rows = SparseRows(csr_array(checked))
    else:
        rows = ArrayRows(checked)
    return ValidatedInput(rows, _float_dtype(checked.dtype), row_shape or (rows.n_features,))


def _flat(X: Any) -> tuple[Any, tuple[int, ...] | None]:
    """Lay an array of images out as rows; return with it the shape of one of them, None for a plain table."""
    shape: Any = getattr(X, "shape", ())
    if len(shape) <= 2 or not hasattr(X, "reshape"):
        return X, None
    if len(shape) > 4:
        raise DataError(f"rows may be images, (n, height, width) or (n, height, width, channels), not of shape {shape}")
    return X.reshape(shape[0], -1) if shape[0] else np.empty((0, 1)), tuple(int(size) for size in shape[1:])


def validate_clean_rows(
    estimator: BaseEstimator, X: Any, y: Any, given: ValidatedInput, *, allow_missing: bool
) -> Rows | None:
    """Validate the clean rows that may be handed in beside noisy ones."""
    shape: Any = getattr(y, "shape", ())
    if len(shape) < 2:
        return None
    rows, values = int(shape[0]), int(np.prod(shape[1:]))
    if is_path(X) or (rows, values) != (given.rows.n_rows, given.rows.n_features):
        warnings.warn(
            f"y of shape {tuple(shape)} is not used: clean rows to learn from have the shape of X, "
            f"({given.rows.n_rows}, {given.rows.n_features})",
            UserWarning,
            stacklevel=3,
        )
        return None
    return validate_rows(estimator, y, reset=False, allow_missing=allow_missing).rows


def _float_dtype(dtype: np.dtype) -> np.dtype:
    narrow = (dtype.kind == "f" and dtype.itemsize <= 4) or (dtype.kind in "iub" and dtype.itemsize <= 2)
    return np.dtype(np.float32 if narrow else np.float64)


def _from_file(estimator: BaseEstimator, path: str | os.PathLike[str], *, reset: bool) -> ValidatedInput:

    from sklearn.utils.validation import _check_n_features

    from narrows.tables import open_segments

    source = open_segments(path)
    if reset:
        estimator.n_features_in_ = source.n_features
        if source.columns is not None:
            estimator.feature_names_in_ = np.asarray(source.columns, dtype=object)
        elif hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    else:
        _check_n_features(estimator, np.empty((1, source.n_features)), reset=False)
        known = getattr(estimator, "feature_names_in_", None)
        if source.columns is not None and known is not None and list(known) != list(source.columns):
            missing = [name for name in known if name not in source.columns]
            raise DataError(
                f"{path} does not have the columns of the fit, in their order"
                + (f": {missing[0]!r} is missing" if missing else "")
            )
    return ValidatedInput(StreamRows(source), _float_dtype(source.dtype), tuple(source.shape))


def _refuse_text_columns(X: Any) -> None:
    """Name the column that is not numeric, where a frame has one."""
    if hasattr(X, "dtypes") and hasattr(X, "columns") and not hasattr(X, "schema"):
        from pandas.api.types import is_bool_dtype, is_numeric_dtype

        # Columns of objects may hold numbers: scikit-learn's own check tries them and says what it could not convert.
        bad = [
            column
            for column, dtype in zip(X.columns, X.dtypes, strict=True)
            if not (is_numeric_dtype(dtype) or is_bool_dtype(dtype) or str(dtype) == "object")
        ]
    elif hasattr(X, "schema") and hasattr(X, "columns"):
        bad = [c for c, t in X.schema.items() if not (t.is_numeric() or str(t) == "Boolean")]
    else:
        return
    if bad:
        raise DataError(f"column {bad[0]!r} is not numeric: leave it out, or turn it into numbers first")
