"""The autoencoder as a scikit-learn transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from narrows.data.inputs import as_companions
from narrows.data.rows import PairedRows
from narrows.estimator import checks, state
from narrows.estimator.base import atomic_fit
from narrows.estimator.base_autoencoder import BaseAutoencoder
from narrows.fitting import settings as resolution

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import numpy as np
    import torch
    from torch import Tensor

    from narrows.corruption import Corruption
    from narrows.data.rows import Rows
    from narrows.fitting.fit import Fitted
    from narrows.likelihoods import Likelihood
    from narrows.networks import Network
    from narrows.training.optimisers import Optimizer
    from narrows.training.schedules import Schedule

__all__ = ["Autoencoder"]


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
        :class:`~narrows.networks.ordered.OrderedDecoder`.
    likelihood : Likelihood, "gaussian", "bernoulli" or "auto", default "auto"
        What a reconstruction costs. ``"gaussian"``, which ``"auto"`` takes, is squared error, kept within the bounds
        the data shows; ``"bernoulli"`` is binary cross-entropy, for data in 0..1.
    corruption : Corruption, name, callable or None, default None
        How the input is spoilt while the clean row stays the target, afresh at each step: for a denoising
        autoencoder. A function gets float rows in the data's units, laid out flat, and a ``torch.Generator``. Held-out
        rows are spoilt too, so ``history_`` and ``baselines_`` say how well noise is taken away.
    missing : {"error", "mask"}, default "error"
        ``"mask"`` takes NaN as not observed: it enters as the column's mean and does not count in the loss.
    scaling : {"common", "standard", "none"}, default "common"
        ``"common"`` centres each column and divides all by one number, so that errors count in the data's units, as
        for PCA: columns of large spread weigh more. ``"standard"`` divides each by its own standard deviation, so
        that all weigh the same: right for columns of different units. ``"none"`` takes values as they are.
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
    early_stopping : bool, default True
        Whether to keep the weights that did best on held-out rows, and to stop when they no longer improve.
    validation_fraction : float or "auto", default "auto"
        Share of rows held out. ``"auto"``: a tenth, at most 10,000 rows; below 500 rows three folds or five; and up
        to 5,000 rows the fit is repeated on all rows for as many steps as did best.
    patience : int or "auto", default "auto"
        Evaluations without improvement before stopping. ``"auto"``: a third of the budget, or never where
        ``max_epochs`` is given.
    max_seconds : float or None, default None
        Limit on the training time. The schedule then follows the clock, so results depend on the machine.
    checkpoint : path-like or None, default None
        A file to which the state of the training is saved now and then. If a fit of the same options and data is cut
        off, the next ``fit`` goes on from there, with bit-identical results. Removed when the fit is done.
    checkpoint_seconds : float, default 60
        Seconds between two savings.
    device : str, default "auto"
        ``"auto"`` takes a CUDA device where there is one, otherwise the CPU.
    random_state : int, RandomState or None, default None
        Fixes everything random. No global generator is touched.
    verbose : int, default 0
        1 shows a progress bar and a summary line; 2 prints each record as well.
    callbacks : sequence of callables, default ()
        Each is given the history record of every evaluation, a dictionary; a true answer stops the training.

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
    stopped_ : str
        Why the training ended: "budget", "patience", "time", "callback" or "interrupted".
    n_steps_ : int
        Training steps behind the final weights.
    plan_ : dict
        Optimiser, schedule, learning rate, batch size and budget as they were used.
    image_shape_ : tuple of int or None
        Height, width and channels of the images that rows are.
    n_features_in_ : int
        Columns seen in ``fit``.
    feature_names_in_ : ndarray of str
        Their names, where the input had names.

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

    _choices: ClassVar = {"missing": ("error", "mask"), "scaling": ("common", "standard", "none")}
    _kept: ClassVar = ("history", "baselines", "stayed_linear", "stopped", "n_steps", "plan")

    def __init__(
        self,
        n_components: int | str = "auto",
        *,
        network: Network | str | tuple[torch.nn.Module, torch.nn.Module] = "dense",
        image_shape: tuple[int, ...] | None = None,
        ordered: bool = False,
        likelihood: Likelihood | str = "auto",
        corruption: Corruption | str | Callable[..., Tensor] | None = None,
        missing: str = "error",
        scaling: str = "common",
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
        self.ordered = ordered
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

    @atomic_fit
    def fit(self, X: Any, y: Any = None) -> Autoencoder:
        """Fit to rows.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows; or images, an array (n, height, width) or (n, height, width, channels).
        y : array or frame of the shape of X, optional
            The clean versions of noisy rows ``X``: the model learns to give these for those. Labels, of one
            dimension, are ignored, for scikit-learn's pipelines.

        Returns
        -------
        Autoencoder
            This object. Ctrl-C ends the training early and keeps the best weights so far.
        """
        from narrows.fitting.baselines import warn_if_not_better
        from narrows.fitting.fit import fit_model
        from narrows.fitting.progress import progress_bar

        rows = self._validated(X, y, reset=True)
        settings = resolution.settings(self, rows.n_features, self.image_shape_)
        file = resolution.checkpoint_file(self, rows, settings)
        with progress_bar(self, rows.n_rows) as monitor:
            fitted = fit_model(rows, settings, monitor, file)
        if file is not None and fitted.stopped != "interrupted":
            file.remove()
        self._take(fitted, settings.n_components)
        warn_if_not_better(self.baselines_, self.n_components_, stayed=self.stayed_linear_)
        return self

    def _validated(self, X: Any, y: Any, *, reset: bool) -> Rows:
        """Check options and rows; clean rows that come beside noisy ones are then the data."""
        resolution.check_options(self)
        missing = self.missing == "mask"
        given = self._taken(X, reset=reset, allow_missing=missing)
        if reset:
            self.image_shape_ = resolution.image_shape(self, given.rows.n_features, given.row_shape)
            self._row_shape = given.row_shape
        checks.check_rows(self, given.row_shape)
        clean = as_companions(self, X, y, given, allow_missing=missing)
        return given.rows if clean is None else PairedRows(clean, given.rows)

    def _take(self, fitted: Fitted, n_components: int) -> None:
        self._set_model(fitted.model, n_components, few_rows=fitted.few_rows)
        self.history_ = fitted.history
        self.baselines_ = fitted.baselines
        self.stayed_linear_ = fitted.stayed
        self.stopped_ = fitted.stopped
        self.n_steps_ = fitted.steps
        self.plan_ = resolution.plan_record(fitted.plan)
        self.__dict__.pop("_partial", None)

    def partial_fit(self, X: Any, y: Any = None) -> Autoencoder:
        """Take one pass over more rows.

        The first call sets the scale and the linear start from its rows, so give it a fair sample; later calls go on
        from the state of the optimiser at a constant rate. Nothing is held out.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.
        y : array or frame of the shape of X, optional
            Clean versions of noisy rows, as for :meth:`fit`.
        """
        from narrows.fitting.incremental import Incremental

        first = not hasattr(self, "_partial")
        rows = self._validated(X, y, reset=first)
        if first:
            settings = resolution.settings(self, rows.n_features, self.image_shape_)
            self._partial = Incremental(rows, settings)
            self.history_ = []
            self.stayed_linear_, self.stopped_ = False, "budget"
            self.plan_ = resolution.plan_record(self._partial.plan)
            self._set_model(self._partial.model, settings.n_components, few_rows=self._partial.few_rows)
        self.history_.append(self._partial.update(rows))
        self.n_steps_ = self._partial.n_steps
        self.baselines_ = self._partial.compare(rows)
        return self

    def _to_file(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return state.to_file(self)

    @classmethod
    def _from_file(
        cls, metadata: dict[str, Any], tensors: dict[str, Tensor], *, network: Any, device: str
    ) -> Autoencoder:
        return state.from_file(cls, metadata, tensors, network=network, device=device)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.missing == "mask"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
