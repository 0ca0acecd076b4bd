"""The autoencoder as a scikit-learn transformer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from narrows.corruption import Corruption
from narrows.data.inputs import validate_clean_rows, validate_rows
from narrows.data.rows import PairedRows, Rows
from narrows.estimator.base import atomic_fit, documented
from narrows.estimator.base_autoencoder import BaseAutoencoder
from narrows.fitting.fit import fit_estimator
from narrows.fitting.incremental import Incremental
from narrows.fitting.objectives import OrderedReconstruction, Reconstruction
from narrows.fitting.selection import warn_of_reconstruction
from narrows.fitting.settings import FitConfig, check_options, resolve_corruption
from narrows.likelihoods import Likelihood
from narrows.networks import Network
from narrows.training.optimisers import Optimizer
from narrows.training.schedules import Schedule

__all__ = ["Autoencoder"]


@documented
class Autoencoder(BaseAutoencoder):
    """Squeeze rows through a narrow code and rebuild them.

    Takes the place of PCA: ``transform`` gives the codes, ``inverse_transform`` rebuilds rows from codes, both in
    the data's own units. The default network starts as PCA with a code of the same size and leaves it only where
    held-out rows say that this is a gain; how it compares is kept in ``baselines_``.

    Parameters
    ----------
    n_components : int or "auto", default "auto"
        Size of the code. ``"auto"``: half the number of columns, rounded up, at most 32.
    network : Network, "dense", or pair of torch modules, default "dense"
        What encodes and decodes. ``"dense"`` is ``Dense()``: two hidden layers that correct a linear path which
        starts at PCA. ``"convolutional"`` is for images. A pair ``(encoder, decoder)`` of your own modules gets
        standardised rows.
    image_shape : tuple of int or None, default None
        Height and width, and channels unless there is one, of the images that rows are. None takes it from an array
        of images; networks for images need to know it.
    ordered : bool, default False
        Whether the first numbers of the code are to be a code by themselves, as those of PCA are: one model of 64
        numbers is then also one of 32, 16, 8, 4 and 2, at some cost of fitting and of error. See
        :class:`~narrows.networks.model.OrderedDecoder`.
    likelihood : Likelihood, "gaussian", "bernoulli" or "auto", default "auto"
        What a reconstruction costs. ``"gaussian"``, which ``"auto"`` takes, is squared error, kept within the bounds
        the data shows; ``"bernoulli"`` is binary cross-entropy, for data in 0..1.
    corruption : Corruption, name, callable or None, default None
        How the input is corrupted while the clean row stays the target, afresh at each step: for a denoising
        autoencoder. A function gets float rows in the data's units, laid out flat, and a ``torch.Generator``. Held-out
        rows are corrupted too, so ``history_`` and ``baselines_`` say how well noise is taken away.
    missing : {"mask", "error"}, default "mask"
        ``"mask"`` takes NaN as not observed: it enters as the column's mean and does not count in the loss. ``"error"``
        refuses it.
    scaling : {"auto", "common", "standard", "none"}, default "auto"
        ``"common"`` centres each column and divides all by one number, so that errors count in the data's units, as
        for PCA: columns of large spread weigh more. ``"standard"`` divides each by its own standard deviation, so
        that all weigh the same: right for columns of different units. ``"none"`` takes values as they are. ``"auto"``
        is ``"standard"`` for tables whose columns are not all numbers, otherwise ``"common"``.
    optimizer : Optimizer, "auto", "adam", "muon" or "rmsprop", default "auto"
        ``"auto"`` is Adam, and Muon for convolutional networks.
    learning_rate : float or "auto", default "auto"
        The peak rate. ``"auto"`` goes by the number of rows and columns: 0.003 to 0.01 for Adam.
    schedule : Schedule, "auto" or name, default "auto"
        How the rate falls: ``"auto"`` is ``Trapezoid()``, constant and then straight down to zero.
    batch_size : int or "auto", default "auto"
        Rows in a step: 32 for few rows to 512 for very many.
    max_epochs : int or "auto", default "auto"
        Passes over the rows. ``"auto"`` sets a budget of 300 to 6,000 steps.
    {training_parameters}

    Attributes
    ----------
    n_components_ : int
        Size of the code.
    encoder_, decoder_ : torch.nn.Sequential
        Plain torch modules from the data's units to codes and back; lift them out as they are.
    history_ : list of dict
        One record an evaluation: ``step``, ``epoch``, ``seconds``, ``loss``, ``val_loss``, ``learning_rate``. Losses
        are per value: for squared error, the mean squared error in the data's units.
    baselines_ : dict
        Mean squared error per value of the ``"model"``, of the ``"mean"`` row and of ``"pca"`` with a code of the
        same size, all on the same ``"rows"`` rows, ``"held_out"`` or not; with corruption or pairs also of the noisy
        ``"input"`` itself. An ordered model has ``"sizes"``: the same for the first 2, 4, 8, … numbers.
    stayed_linear_ : bool
        Whether held-out rows saw no gain in leaving PCA, so that the model is PCA (within the data's bounds).
    plan_ : dict
        Optimiser, schedule, learning rate, batch size and budget as they were used.
    {fit_attributes}

    Warns
    -----
    NotBetterThanBaselineWarning
        When the model is not clearly better than PCA or the mean row.

    Raises
    ------
    TrainingDivergedError
        When the loss diverges, also at a tenth of the learning rate.

    Notes
    -----
    Input may be an array of any numeric type (uint8 stays uint8 until a batch is drawn), a pandas or polars frame, a
    CSR matrix, a memory map, or the path of a Parquet, CSV or ``.npy`` file, which is read as a stream.

    Autoencoders as a nonlinear PCA: Kramer 1991; Hinton and Salakhutdinov 2006. A linear autoencoder finds the
    subspace of PCA: Baldi and Hornik 1989.

    Examples
    --------
    >>> import narrows
    >>> X = narrows.datasets.make_manifold(1000, 10, n_latent=2, random_state=0)
    >>> model = narrows.Autoencoder(2, random_state=0).fit(X)
    >>> model.transform(X).shape
    (1000, 2)
    >>> model.baselines_["model"] < 0.5 * model.baselines_["pca"]
    True
    """

    _choices: ClassVar = {"missing": ("error", "mask"), "scaling": ("auto", "common", "standard", "none")}
    _saved_attributes: ClassVar = ("history", "baselines", "stayed_linear", "stopped", "n_steps", "plan")

    def __init__(
        self,
        n_components: int | str = "auto",
        *,
        network: Network | str | tuple[torch.nn.Module, torch.nn.Module] = "dense",
        image_shape: tuple[int, ...] | None = None,
        ordered: bool = False,
        likelihood: Likelihood | str = "auto",
        corruption: Corruption | str | Callable[..., Tensor] | None = None,
        missing: str = "mask",
        scaling: str = "auto",
        optimizer: Optimizer | str = "auto",
        learning_rate: float | str = "auto",
        schedule: Schedule | str = "auto",
        batch_size: int | str = "auto",
        max_epochs: int | str = "auto",
        early_stopping: bool = True,
        validation_fraction: float | str = "auto",
        patience: int | str = "auto",
        max_seconds: float | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float = 60.0,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        callbacks: Sequence[Callable[[dict[str, Any]], bool | None]] = (),
    ) -> None:
        self.n_components = n_components
        self.network = network
        self.image_shape = image_shape
        self.likelihood = likelihood
        self.corruption = corruption
        self.missing = missing
        self.scaling = scaling
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.max_seconds = max_seconds
        self.checkpoint = checkpoint
        self.checkpoint_seconds = checkpoint_seconds
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks
        self.ordered = ordered

    @atomic_fit
    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Autoencoder:
        """Fit to rows.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows; or images, an array (n, height, width) or (n, height, width, channels).
        y : array or frame of the shape of X, optional
            The clean versions of noisy rows ``X``: the model learns to give these for those. Labels, of one
            dimension, are ignored, for scikit-learn's pipelines.
        groups : array of shape (n,), optional
            Rows of one group are held out together or not at all, as equal rows always are; by default those of a
            table's columns of kind ``group``.

        Returns
        -------
        Autoencoder
            This object. Ctrl-C ends the training early and keeps the best weights so far.
        """
        rows = self._rows_of(X, y, reset=True)
        result = fit_estimator(self, rows, self._config(rows.n_features), self._grouping(groups, rows))
        self._keep(result)
        self.stayed_linear_ = result.stayed
        warn_of_reconstruction(self.baselines_, self.n_components_, stayed=self.stayed_linear_)
        return self

    @atomic_fit
    def partial_fit(self, X: Any, y: Any = None) -> Autoencoder:
        """Take one pass over more rows.

        Of an object that is not fitted yet, the first call sets the scale and the linear start from its rows, so give
        it a fair sample. Otherwise it goes on from what is fitted: from the state of the optimiser after another
        ``partial_fit``, from the weights after ``fit`` or ``load``. The rate is constant, and nothing is held out.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.
        y : array or frame of the shape of X, optional
            Clean versions of noisy rows, as for :meth:`fit`.
        """
        rows = self._rows_of(X, y, reset=not hasattr(self, "encoder_"))
        self._update(rows, partial(Incremental, rows, self._config(rows.n_features)))
        self.stayed_linear_ = False
        return self

    def _rows_of(self, X: Any, y: Any, *, reset: bool) -> Rows:
        """Check options and rows; clean rows that come beside noisy ones are then the data."""
        check_options(self)
        missing = self.missing == "mask"
        given = validate_rows(self, X, reset=reset, allow_missing=missing)
        self._set_row_shape(given, reset=reset)
        clean = validate_clean_rows(self, y, given, allow_missing=missing)
        return given.rows if clean is None else PairedRows(clean, given.rows)

    def _config(self, n_features: int) -> FitConfig:
        kind = OrderedReconstruction if self.ordered else Reconstruction
        objective = kind(resolve_corruption(self.corruption))
        config = self._resolve_config(n_features, objective)
        if self.scaling != "auto":
            return config
        mixed = (encoding := self._encoding) is not None and not encoding.is_plain
        return replace(config, scaling="standard" if mixed else "common")
