"""What a fitted autoencoder does with rows: encode, decode, reconstruct, denoise, score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from narrows.data.encoding import Encoding
from narrows.data.inputs import ValidatedInput, group_column, validate_rows
from narrows.data.output import to_origin
from narrows.data.rows import ArrayRows, Rows, apply_in_blocks
from narrows.data.schema import Schema
from narrows.data.source import Origin
from narrows.data.unlike import warn_if_unlike
from narrows.errors import DataError
from narrows.estimator import state
from narrows.estimator.base import FittedEstimator
from narrows.estimator.tiled_inference import denoise_image
from narrows.fitting.fit import FitResult
from narrows.fitting.incremental import Incremental
from narrows.fitting.objectives import Objective
from narrows.fitting.settings import FitConfig, describe_training, resolve_config, resolve_image_shape, resolve_network
from narrows.fitting.splits import as_groups
from narrows.networks.model import EncoderDecoder
from narrows.validation import check_number


class BaseAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, FittedEstimator):
    """Base of the autoencoders: the parameters that all of them have, and the use of a fitted one.

    Rows may come as an array, a frame, a CSR matrix or the path of a file; images also as an array (n, height,
    width) or (n, height, width, channels), and what is returned for them then has that shape too.
    """

    _fitted_attribute: ClassVar = "encoder_"
    _metadata: ClassVar = state.AutoencoderMetadata
    _network_by_shape: ClassVar[bool] = False
    """Whether ``network="auto"`` chooses between tables and images."""
    _choices: ClassVar[dict[str, tuple[str, ...]]]
    _saved_attributes: ClassVar[tuple[str, ...]]
    """Names of plain fitted values, without the underscore, that a model file holds."""

    missing: str
    _model: EncoderDecoder
    _row_shape: tuple[int, ...]
    _few_rows: bool
    _partial: Incremental | None
    n_components_: int
    n_features_in_: int
    image_shape_: tuple[int, int, int] | None
    schema_: Schema
    _groups: Any = None
    _limits: tuple[np.ndarray, np.ndarray]
    """The least and the greatest value of the fit, of each column."""

    def _set_row_shape(self, given: ValidatedInput, *, reset: bool) -> None:
        """Learn the shape of a row (``reset=True``), or hold it against that of the fit."""
        if reset:
            self._groups = group_column(given.source, self.schema_) if given.source is not None else None
            self.image_shape_ = resolve_image_shape(self, given.rows.n_features, given.row_shape)
            self._row_shape = given.row_shape
        self._check_row_shape(given.row_shape)

    def _grouping(self, groups: Any, rows: Rows) -> np.ndarray | None:
        """Return the groups of rows that are held out together: those given, or a table's own."""
        return as_groups(self._groups if groups is None else groups, rows.n_rows)

    @property
    def _encoding(self) -> Encoding | None:
        """How the columns of a table become numbers; None of a model that was fitted to an array."""
        return Encoding.learn(self.schema_) if hasattr(self, "schema_") else None

    def _in_data_form(self, rows: np.ndarray, row_shape: tuple[int, ...] | None = None) -> Any:
        """Give rows the form of the data: the shape of an array's, or of columns that were not all numbers a table."""
        encoding = self._encoding
        if encoding is None or encoding.is_plain:
            return rows.reshape(-1, *(row_shape or self._row_shape))
        return to_origin(encoding.decode(rows.reshape(len(rows), -1).astype(np.float64)), Origin(self.schema_.library))

    def _validate_new(self, X: Any) -> ValidatedInput:
        """Validate rows for a fitted model."""
        check_is_fitted(self)
        given = validate_rows(self, X, reset=False, allow_missing=self._model.standardise.missing)
        self._check_row_shape(given.row_shape)
        warn_if_unlike(given.rows, *self._limits, self._value_names())
        return given

    def forget_limits(self) -> None:
        """Forget the range of the fit, so that rows far outside it are taken without a warning."""
        self._limits = tuple(np.zeros_like(limit) for limit in self._limits)  # type: ignore[assignment]

    def _check_row_shape(self, row_shape: tuple[int, ...]) -> None:
        """Refuse images that have as many values as those of the fit but another shape."""
        known = self.image_shape_
        if known is not None and len(row_shape) > 1 and (*row_shape, 1)[:3] != known:
            raise DataError(f"images of shape {row_shape} were given, but the model was fitted to {known}")

    def _resolve_config(self, n_features: int, objective: Objective) -> FitConfig:
        """Resolve all parameters for rows of so many numbers."""
        encoding = self._encoding
        levels = () if encoding is None else encoding.sizes
        names = self._value_names()
        return resolve_config(self, n_features, objective, names=names, shape=self.image_shape_, levels=levels)

    def _set_model(self, model: EncoderDecoder, n_components: int, *, few_rows: bool) -> None:
        self._model = model
        self._few_rows = few_rows
        self._partial = None
        self.encoder_, self.decoder_ = model.encoder, model.decoder
        self.n_components_ = n_components
        self._n_features_out = n_components

    def _keep(self, result: FitResult) -> None:
        """Set what all autoencoders keep of a fit."""
        self._set_model(result.model, result.config.n_components, few_rows=result.few_rows)
        self.history_ = result.history
        self.baselines_ = result.baselines
        self._limits = result.moments.limits()
        self.stopped_ = result.stopped
        self.n_steps_ = result.steps
        self.plan_ = describe_training(result.train_config)

    def _update(self, rows: Rows, begin: Callable[..., Incremental]) -> Incremental:
        """Take a pass over a portion of rows: of the fit under way, from what is fitted, or from scratch."""
        fitted = hasattr(self, "encoder_")
        partial = self._partial if fitted else None
        if partial is None:
            partial = begin(self._model, self.n_steps_) if fitted else begin()
        record = partial.update(rows)
        if not fitted:
            self._limits = partial.moments.limits()
            self._set_model(partial.model, partial.config.n_components, few_rows=partial.start.freeze_linear)
        self.history_ = [*self.history_, record] if fitted else [record]
        self.baselines_ = partial.compare(rows)
        self.stopped_, self.n_steps_ = "budget", partial.n_steps
        self.plan_ = describe_training(partial.train_config)
        self._partial = partial
        return partial

    def _value_names(self) -> list[str] | None:
        """Return the names of the numbers that a row becomes, where columns have names."""
        encoding = self._encoding
        if encoding is not None:
            return encoding.value_names
        names = getattr(self, "feature_names_in_", None)
        return None if names is None else [str(name) for name in names]

    def _check_code(self, what: str) -> None:
        """Refuse what needs a code where the network has none."""
        if not resolve_network(self).has_code:
            raise DataError(
                f"{what} needs a code, and a network with skips has none that is narrow: use reconstruct or denoise, "
                "or fit a network without skips"
            )

    def _code_size(self, n_components: int | None) -> int:
        """Return how many numbers of the code are asked for."""
        size = self.n_components_
        if n_components is None or n_components == size:
            return size
        if not self._model.ordered:
            raise ValueError(
                f"n_components={n_components!r}: only a model fitted with ordered=True has codes of which the first "
                f"numbers are a code; this one has {size}"
            )
        check_number("n_components", n_components, integer=True, low=1, high=size + 1)
        return int(n_components)

    def _validate_codes(self, codes: Any) -> tuple[Rows, np.dtype]:
        """Validate codes for decoding."""
        array = check_array(codes, dtype=[np.float64, np.float32])
        size, given = self.n_components_, array.shape[1]
        if given > size or (given < size and not self._model.ordered):
            limit = "at most " if self._model.ordered else ""
            raise ValueError(f"codes must have {limit}{size} columns, got {given}")
        return ArrayRows(array), array.dtype

    def transform(self, X: Any, n_components: int | None = None) -> np.ndarray:
        """Encode rows: the same for the same row, whatever rows come with it.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.
        n_components : int, optional
            How many numbers of the code to give, all by default; fewer only of a model fitted with ``ordered=True``,
            whose first numbers are a code by themselves.

        Returns
        -------
        ndarray of shape (n, n_components_)
            The codes, float32 for float32 and 8- and 16-bit input, otherwise float64.
        """
        given = self._validate_new(X)
        self._check_code("transform")
        size = self._code_size(n_components)
        return apply_in_blocks(
            self._model, given.rows, lambda x: self.encoder_(x)[:, :size], (size,), given.float_dtype
        )

    def inverse_transform(self, X: Any) -> Any:
        """Decode codes to rows in the data's units.

        Parameters
        ----------
        X : array-like of shape (n, n_components_)
            The codes; of an ordered model also the first few numbers of them.

        Returns
        -------
        ndarray of shape (n, n_features_in_), images, or table
            Images, if the model was fitted to an array of images; a table of the kind that was given to the fit, where
            its columns were not all numbers.
        """
        check_is_fitted(self)
        self._check_code("inverse_transform")
        rows, dtype = self._validate_codes(X)
        decoded = apply_in_blocks(self._model, rows, self._decode, (self._model.head.n_features,), dtype)
        return self._in_data_form(decoded)

    def _decode(self, codes: Tensor) -> Tensor:
        output = self._model.decode(codes.float())
        return self._model.head.mean(output.double() if codes.element_size() == 8 else output)

    def reconstruct(self, X: Any, n_components: int | None = None) -> Any:
        """Encode and decode rows.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.
        n_components : int, optional
            From how many numbers of the code, as for :meth:`transform`.

        Returns
        -------
        ndarray of the shape of X, or table
            In the data's units; missing values are filled in. A table where the columns are not all numbers.
        """
        given = self._validate_new(X)
        model = self._model
        wide = given.float_dtype == np.float64
        size = None if n_components is None else self._code_size(n_components)

        def reconstruct(block: Tensor) -> Tensor:
            output = model.output(model.standardise(block), size)
            return model.head.mean(output.double() if wide else output)

        rebuilt = apply_in_blocks(model, given.rows, reconstruct, (model.head.n_features,), given.float_dtype)
        return self._in_data_form(rebuilt, given.row_shape)

    def denoise(self, X: Any) -> np.ndarray:
        """Clean noisy rows: rebuild them with a model that was fitted to give clean rows for noisy ones.

        It is :meth:`reconstruct` by the name of the job, for a model fitted with ``corruption`` or to pairs of noisy
        and clean rows. One that was fitted to clean rows alone may serve too, where noise does not pass its code.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The noisy rows.

        Returns
        -------
        ndarray of the shape of X
            In the data's units.
        """
        return self.reconstruct(X)

    def denoise_image(self, image: Any, *, tile: int = 256) -> np.ndarray:
        """Clean one picture of any size, by tiles that overlap as far as the network sees.

        No seam shows, since every pixel is computed from all that it would be computed from without tiles; memory is
        bounded by the tile.

        Parameters
        ----------
        image : array of shape (height, width) or (height, width, channels)
            In the units of the fit. Each channel of a colour picture goes by itself through a model of grey images.
        tile : int, default 256
            Height and width of the pieces that are computed at once; larger ones overlap less in all but take more
            memory.

        Returns
        -------
        ndarray of float32, of the shape of the image

        Raises
        ------
        DataError
            If the network takes images of one size only and this is not of it, or it is no image.
        """
        check_is_fitted(self)
        return denoise_image(self._model, self.image_shape_, self.denoise, image, tile)

    def reconstruction_error(self, X: Any, *, per_feature: bool = False) -> np.ndarray:
        """Measure how far rows are from their reconstruction.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.
        per_feature : bool, default False
            Whether to return each value's squared error rather than the row's mean.

        Returns
        -------
        ndarray of shape (n,), or of the shape of X
            Squared errors in the data's units; in standard deviations of each column with ``scaling="standard"``.
            Missing values have NaN and do not count in the mean.
        """
        given = self._validate_new(X)
        model = self._model
        unit = model.standardise.scale64 if model.standardise.scale64.numel() > 1 else 1.0

        def measure(block: Tensor) -> Tensor:
            exact = block.double()
            mean = model.head.mean(model.output(model.standardise(block)).double())
            error = ((mean - exact) / unit).square()
            return error if per_feature else error.nanmean(1)

        shape = (model.head.n_features,) if per_feature else ()
        errors = apply_in_blocks(model, given.rows, measure, shape, np.dtype(np.float64))
        if not per_feature:
            return errors
        encoding = self._encoding
        return errors.reshape(-1, *given.row_shape) if encoding is None else encoding.fold(errors)

    def score_samples(self, X: Any) -> np.ndarray:
        """Score rows by the likelihood: higher is better reconstructed.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n,)
            Minus the cost per value: minus the mean squared error in the data's units, or minus the cross-entropy.
        """
        given = self._validate_new(X)
        model = self._model
        factor = model.head.unit / self.n_features_in_

        def score(block: Tensor) -> Tensor:
            z = model.standardise(block)
            return -factor * model.head.nll_per_row(model.output(z), block, z).double()

        return apply_in_blocks(model, given.rows, score, (), np.dtype(np.float64))

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean of :meth:`score_samples`, for model selection.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.
        y : ignored
            For scikit-learn's pipelines.
        """
        return float(self.score_samples(X).mean())

    def _to_file(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return state.to_file(self)

    @classmethod
    def _from_file(cls, metadata: dict[str, Any], tensors: dict[str, Tensor], *, network: Any, device: str) -> Any:
        return state.from_file(cls, metadata, tensors, network=network, device=device)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.missing == "mask"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
