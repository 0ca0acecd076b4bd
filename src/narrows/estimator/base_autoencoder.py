"""What a fitted model does with rows: encode, decode, rebuild, clean, score, save."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from narrows.data.inputs import validate_rows
from narrows.estimator import checks
from narrows.estimator.base import FittedEstimator
from narrows.estimator.inference import apply_in_blocks

if TYPE_CHECKING:
    from torch import Tensor

    from narrows.data.inputs import ValidatedInput
    from narrows.networks.model import EncoderDecoder

__all__ = ["BaseAutoencoder"]


class BaseAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, FittedEstimator):
    """The use of a fitted pipeline; the estimators that fit one derive from it.

    Rows may come as an array, a frame, a CSR matrix or the path of a file; images also as an array (n, height,
    width) or (n, height, width, channels), and what is returned for them then has that shape too.
    """

    _fitted_attribute: ClassVar = "encoder_"
    _network_by_shape: ClassVar[bool] = False
    """Whether ``network="auto"`` chooses between tables and images."""

    _model: EncoderDecoder
    _row_shape: tuple[int, ...]
    n_components_: int
    n_features_in_: int
    image_shape_: tuple[int, int, int] | None

    def _set_model(self, model: EncoderDecoder, n_components: int, *, few_rows: bool) -> None:
        self._model = model
        self._few_rows = few_rows
        self.encoder_, self.decoder_ = model.encoder, model.decoder
        self.n_components_ = n_components
        self._n_features_out = n_components

    def _rows(self, X: Any) -> ValidatedInput:
        check_is_fitted(self, "encoder_")
        given = self._taken(X, reset=False, allow_missing=self._model.standardise.missing)
        checks.check_rows(self, given.row_shape)
        return given

    def _taken(self, X: Any, *, reset: bool, allow_missing: bool) -> ValidatedInput:
        """Validate input and take it for rows of numbers."""
        return validate_rows(self, X, reset=reset, allow_missing=allow_missing)

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
        given = self._rows(X)
        checks.check_code(self, "transform")
        size = checks.code_size(self, n_components)
        return apply_in_blocks(
            self._model, given.rows, lambda x: self.encoder_(x)[:, :size], (size,), given.float_dtype
        )

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Decode codes to rows in the data's units.

        Parameters
        ----------
        X : array-like of shape (n, n_components_)
            The codes; of an ordered model also the first few numbers of them.

        Returns
        -------
        ndarray of shape (n, n_features_in_)
            Or of images, if the model was fitted to an array of images.
        """
        check_is_fitted(self, "encoder_")
        checks.check_code(self, "inverse_transform")
        rows, dtype = checks.code_rows(self, X)
        decoded = apply_in_blocks(self._model, rows, self._decode, (self._model.head.n_features,), dtype)
        return decoded.reshape(-1, *self._row_shape)

    def _decode(self, codes: Tensor) -> Tensor:
        output = self._model.decode(codes.float())
        return self._model.head.mean(output.double() if codes.element_size() == 8 else output)

    def reconstruct(self, X: Any, n_components: int | None = None) -> np.ndarray:
        """Encode and decode rows.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.
        n_components : int, optional
            From how many numbers of the code, as for :meth:`transform`.

        Returns
        -------
        ndarray of the shape of X
            In the data's units; missing values are filled in.
        """
        given = self._rows(X)
        model = self._model
        wide = given.float_dtype == np.float64
        size = None if n_components is None else checks.code_size(self, n_components)

        def rebuild(block: Tensor) -> Tensor:
            output = model.output(model.standardise(block), size)
            return model.head.mean(output.double() if wide else output)

        rebuilt = apply_in_blocks(model, given.rows, rebuild, (model.head.n_features,), given.float_dtype)
        return rebuilt.reshape(-1, *given.row_shape)

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
        from narrows.estimator.tiled_inference import denoise_image

        check_is_fitted(self, "encoder_")
        return denoise_image(self, image, tile)

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
        given = self._rows(X)
        model = self._model
        unit = model.standardise.scale64 if model.standardise.scale64.numel() > 1 else 1.0

        def measure(block: Tensor) -> Tensor:
            exact = block.double()
            mean = model.head.mean(model.output(model.standardise(block)).double())
            error = ((mean - exact) / unit).square()
            return error if per_feature else error.nanmean(1)

        shape = (model.head.n_features,) if per_feature else ()
        errors = apply_in_blocks(model, given.rows, measure, shape, np.dtype(np.float64))
        return errors.reshape(-1, *given.row_shape) if per_feature else errors

    def score_samples(self, X: Any) -> np.ndarray:
        """Score rows by the likelihood: higher is better rebuilt.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n,)
            Minus the cost per value: minus the mean squared error in the data's units, or minus the cross-entropy.
        """
        given = self._rows(X)
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
