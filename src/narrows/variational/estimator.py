"""The variational autoencoder as a scikit-learn transformer that also makes new rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import sklearn.mixture  # noqa: F401 - to import it draws from Python's own generator, which a fit must leave alone

from narrows.data.inputs import is_path
from narrows.data.rows import ArrayRows, PairedRows
from narrows.errors import DataError
from narrows.estimator import checks, state
from narrows.estimator.base import atomic_fit
from narrows.fitting import settings as resolution
from narrows.fitting.build import AUTO
from narrows.fitting.elbo import KLWeight
from narrows.priors import CodePrior, Prior
from narrows.validation import check_number
from narrows.variational.base import BaseVariational
from narrows.variational.generation import encode_labels
from narrows.variational.sampling import Form, measure_marginals
from narrows.variational.verdict import warn_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    import torch
    from torch import Tensor

    from narrows.corruption import Corruption
    from narrows.data.rows import Rows
    from narrows.fitting.build import FitConfig
    from narrows.likelihoods import Likelihood
    from narrows.networks import Network
    from narrows.training.optimisers import Optimizer
    from narrows.training.schedules import Schedule
    from narrows.variational.fitting import Fitted

__all__ = ["VariationalAutoencoder"]


class VariationalAutoencoder(BaseVariational):
    """Learn the distribution of rows through a narrow code, and draw new rows from it.

    An encoder gives a normal distribution of codes for each row, a mean and a standard deviation; a decoder turns a
    code drawn from it back into a row. Both learn to rebuild rows while the codes are kept near a standard normal
    distribution, so that codes can be drawn without a row (Kingma and Welling 2014, *Auto-encoding variational
    Bayes*; Rezende, Mohamed and Wierstra 2014). ``transform`` gives the mean codes, the same at every call.

    Parameters
    ----------
    n_components : int or "auto", default "auto"
        Size of the code. ``"auto"``: half the number of columns, rounded up, at most 32. Numbers that are not worth
        their KL go unused: see ``n_active_components_``.
    network : Network, "auto", "dense", "convolutional" or pair of torch modules, default "auto"
        What encodes and decodes. ``"dense"`` is ``Dense()``: two hidden layers, (512, 256) for 64 columns or more,
        that with a normal likelihood correct a linear path which starts at PCA, and otherwise begin as PCA
        themselves (``Dense(init="pca")``). ``"auto"`` is that for tables, and
        ``Convolutional(blocks=1)`` for images: give an array of images, or ``image_shape`` for rows that are images
        laid out flat. A pair ``(encoder, decoder)`` of your own modules gets standardised rows: the encoder returns
        means and log-variances, in one tensor or two, the decoder what the likelihood takes (logits for
        ``"bernoulli"``).
    image_shape : tuple of int or None, default None
        Height and width, and channels unless there is one, of the images that rows are. None takes it from an array
        of images; networks for images need to know it.
    likelihood : Likelihood or name, default "auto"
        What a reconstruction costs. ``"bernoulli"``: cross-entropy, for data in 0..1 or 8-bit pixels; with
        ``Bernoulli(dynamic=True)`` zeros and ones are drawn afresh at each step. ``"gaussian"``: normal noise with a
        variance learnt for each column, or as ``Gaussian(variance=…)`` says. ``"discretisedlogistic"``: chances of
        whole numbers, such as 8-bit pixels. ``"auto"`` takes bernoulli where more than half of all values are the
        ends of 0..1 or 0..255, and otherwise gaussian.
    beta : float, default 1
        Weight of the KL. Above 1 codes carry less and are nearer to the prior, number by number (Higgins et al.
        2017, *beta-VAE*); only at 1 is the loss a bound on the likelihood.
    kl_warmup : float, default 0.25
        Share of the training over which the weight of the KL rises from zero: without it, codes of many numbers
        lose most of them at once, before the decoder has learnt their use (Bowman et al. 2016; Sønderby et al. 2016).
    free_bits : float, default 0
        Nats of each number of the code that cost nothing (Kingma et al. 2016). It keeps all numbers in use, at some
        cost in the bound.
    prior : Prior, "mixture" or "normal", default "mixture"
        What new codes are drawn from. ``"mixture"``: a mixture of normal distributions fitted to the codes after
        training, since they never follow the ``"normal"`` one, which training pulls them to, altogether.
    conditional : bool, default False
        Whether the decoder is told the label of a row, so that the code need not hold it (Sohn, Lee and Yan 2015).
        Labels that are handed to ``fit`` otherwise leave the network as it is without them, and each gets a mixture
        over the codes of its own: either way ``sample(n, y=7)`` draws rows of one label.
    corruption : Corruption, name, callable or None, default None
        How the encoder's input is spoilt while training, while the clean row stays the target.
    missing : {"error", "mask"}, default "error"
        ``"mask"`` takes NaN as not observed: it enters as the column's mean and does not count in the loss.
    scaling : {"auto", "common", "standard", "none"}, default "auto"
        ``"common"`` centres each column and divides all by one number, ``"standard"`` each by its own standard
        deviation, ``"none"`` takes values as they are. ``"auto"`` is ``"common"`` for images and for a Bernoulli
        likelihood, and ``"standard"`` otherwise: the noise of each column is learnt, so its unit means nothing.
    optimizer : Optimizer, "auto", "adam", "muon" or "rmsprop", default "auto"
        ``"auto"`` is Adam, and Muon for convolutional networks.
    learning_rate : float or "auto", default "auto"
        The peak rate. ``"auto"`` is 0.002 for Adam, 0.0005 for tables of fewer than 5,000 rows
        and 64 columns, and 0.01 for Muon.
    schedule : Schedule, "auto" or name, default "auto"
        How the rate falls: ``"auto"`` is ``Trapezoid()``, constant and then straight down to zero.
    batch_size : int or "auto", default "auto"
        Rows in a step: 32 for few rows to 128.
    max_epochs : int or "auto", default "auto"
        Passes over the rows. ``"auto"`` sets a budget of 300 to 40,000 steps.
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
    n_active_components_ : int
        How many of its numbers are used: the variance of their means over held-out rows is above 0.01 (Burda,
        Grosse and Salakhutdinov 2016).
    encoder_, decoder_ : torch.nn.Sequential
        Plain torch modules from the data's units to mean codes, and from codes to means in the data's units.
    history_ : list of dict
        One record an evaluation, in nats a row, means over the steps since the last one: ``reconstruction_loss``,
        summed over features; ``kl_loss``, summed over the code; ``total_loss``, their sum with the KL at its full
        weight ``beta``; ``loss``, what was minimised, with warm-up and free bits; the same with ``val_`` on held-out
        rows; ``active_components``; ``step``, ``epoch``, ``seconds``, ``learning_rate``.
    baselines_ : dict
        On the same ``"rows"`` rows, ``"held_out"`` or not. ``"bits_per_feature"`` and ``"nats_per_row"``: minus the
        bound of the ``"model"``, and the cost under a model of ``"independent"`` features and, of a normal
        likelihood, under probabilistic PCA, ``"ppca"``. Mean squared errors of reconstructions: of the ``"model"``,
        the ``"mean"`` row, ``"pca"`` with a code of the same size, and a plain ``"autoencoder"`` of the same network
        after a fifth of the steps, or 1,500.
    classes_ : ndarray
        The labels, where there were any.
    stopped_ : str
        Why the training ended: "budget", "patience", "time", "callback" or "interrupted".
    n_steps_ : int
        Training steps behind the final weights.
    plan_ : dict
        Optimiser, schedule, learning rate, batch size, budget, likelihood and scaling as they were used.
    image_shape_ : tuple of int or None
        Height, width and channels of the images that rows are.
    n_features_in_ : int
        Columns seen in ``fit``.
    feature_names_in_ : ndarray of str
        Their names, where the input had names.

    Warns
    -----
    NotBetterThanBaselineWarning
        When held-out rows are no more likely than under a model of independent features.
    PosteriorCollapseWarning
        When fewer than half of the numbers of the code are used.

    Raises
    ------
    TrainingDivergedError
        When the loss diverges, also at a tenth of the learning rate.

    Notes
    -----
    Frames may have columns of text or categories: each gets chances for its categories, and comes back as it was.
    Of tables with a normal likelihood, each value that is sampled is moved to the same quantile of its column in the
    data, as in a copula, so that whole numbers, spikes and tails are the data's (``noise=False`` gives bare means).

    Examples
    --------
    >>> import numpy as np, narrows
    >>> X = narrows.datasets.make_manifold(1000, 10, n_latent=2, random_state=0)
    >>> model = narrows.VariationalAutoencoder(2, max_epochs=20, random_state=0).fit(X)
    >>> mean, std = model.encode_distribution(X)
    >>> model.sample(5, random_state=0).shape
    (5, 10)
    >>> bits = model.baselines_["bits_per_feature"]
    >>> bits["model"] < bits["independent"]
    True
    """

    _network_by_shape: ClassVar = True
    _choices: ClassVar = {"missing": ("error", "mask"), "scaling": ("auto", "common", "standard", "none")}
    _kept: ClassVar = ("history", "baselines", "stopped", "n_steps", "plan", "n_active_components")

    def __init__(
        self,
        n_components: int | str = "auto",
        *,
        network: Network | str | tuple[torch.nn.Module, torch.nn.Module] = "auto",
        image_shape: tuple[int, ...] | None = None,
        likelihood: Likelihood | str = "auto",
        beta: float = 1.0,
        kl_warmup: float = 0.25,
        free_bits: float = 0.0,
        prior: Prior | str = "mixture",
        conditional: bool = False,
        corruption: Corruption | str | Callable[..., Tensor] | None = None,
        missing: str = "error",
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
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.free_bits = free_bits
        self.prior = prior
        self.conditional = conditional
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
    def fit(self, X: Any, y: Any = None) -> VariationalAutoencoder:
        """Fit to rows.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows; or images, an array (n, height, width) or (n, height, width, channels).
        y : array of shape (n,), optional
            Labels. Each gets a mixture over its codes, so that ``sample(n, y=label)`` draws rows of it; with
            ``conditional=True`` the decoder is told of them too. Numbers that are no classes are ignored.

        Returns
        -------
        VariationalAutoencoder
            This object. Ctrl-C ends the training early and keeps the best weights so far.
        """
        from narrows.fitting.progress import progress_bar
        from narrows.variational.fitting import fit_variational

        rows, labels = self._validated_rows(X, y, reset=True)
        settings = self._settings(rows)
        file = resolution.checkpoint_file(self, rows, settings)
        with progress_bar(self, rows.n_rows) as monitor:
            fitted = fit_variational(rows, settings, monitor, file)
        if file is not None and fitted.stopped != "interrupted":
            file.remove()
        self._take(fitted, X, rows, labels)
        warn_of(self.baselines_, self.n_active_components_, self.n_components_, self.kl_warmup)
        return self

    def _validated_rows(self, X: Any, y: Any, *, reset: bool) -> tuple[Rows, np.ndarray | None]:
        """Check options, rows and labels; where the decoder is told of labels they come beside the rows."""
        resolution.check_options(self)
        self._check_own_options()
        if reset:
            self._columns = None
        given = self._taken(X, reset=reset, allow_missing=self.missing == "mask")
        if reset:
            self.image_shape_ = resolution.image_shape(self, given.rows.n_features, given.row_shape)
            self._row_shape = given.row_shape
        checks.check_rows(self, given.row_shape)
        labels = self._labels(y, given.rows.n_rows, reset=reset)
        if not self.conditional:
            return given.rows, labels
        if labels is None:
            raise ValueError("conditional=True needs labels: fit(X, y) with one class for each row")
        if is_path(X):
            raise DataError("conditional=True needs rows in memory: a file is read in its own order, without labels")
        return PairedRows(given.rows, ArrayRows(labels[:, None])), labels

    def _check_own_options(self) -> None:
        check_number("beta", self.beta, low=0)
        check_number("free_bits", self.free_bits, low=0)
        check_number("kl_warmup", self.kl_warmup, low=0, high=1)
        Prior.resolve(self.prior)
        if not resolution.resolve_network(self).has_code:
            raise ValueError("a variational autoencoder needs a network with a code: one with skips has none")

    def _labels(self, y: Any, count: int, *, reset: bool) -> np.ndarray | None:
        """Return the number of each row's label, if labels were given."""
        found = None if y is None else encode_labels(y, count)
        if reset:
            self.__dict__.pop("classes_", None)
            if found is not None:
                self.classes_ = found[0]
        return None if found is None else found[1]

    def _settings(self, rows: Rows) -> FitConfig:
        settings = resolution.settings(self, rows.n_features, self.image_shape_)
        kl = KLWeight(float(self.beta), float(self.kl_warmup), float(self.free_bits))
        undecided = isinstance(self.likelihood, str) and self.likelihood == "auto"
        likelihood = AUTO if undecided else settings.likelihood
        n_labels = len(self.classes_) if self.conditional else 0
        settings = replace(settings, kl=kl, likelihood=likelihood, n_labels=n_labels)
        if self._columns is None:
            return settings
        return replace(settings, levels=self._columns.sizes, names=self._columns.value_names)

    def _take(self, fitted: Fitted, X: Any, rows: Rows, labels: np.ndarray | None) -> None:
        from narrows.variational.fitting import fitted_prior

        settings, model = fitted.settings, fitted.model
        self._set_model(model, settings.n_components, few_rows=False)
        self.history_ = fitted.history
        self.baselines_ = fitted.baselines
        self.stopped_ = fitted.stopped
        self.n_steps_ = fitted.steps
        self.n_active_components_ = fitted.active
        self.plan_ = resolution.plan_record(fitted.plan) | _settled_record(settings)
        self._form = Form.of(
            X, rows, fitted.moments, model, images=self.image_shape_ is not None, columns=self._columns
        )
        self.__dict__.pop("_partial", None)
        self._mixture = None
        try:
            self._mixture = fitted_prior(model, rows, Prior.resolve(self.prior), labels, settings.seed)
            if self._form.draws:
                drawn_from = self._prior_named(None)
                self._form.marginals = measure_marginals(
                    model, rows, drawn_from, n_labels=settings.n_labels, seed=settings.seed
                )
        except KeyboardInterrupt:
            # The network is what took long: it is kept, without what was to come.
            self.stopped_ = "interrupted"

    def partial_fit(self, X: Any, y: Any = None) -> VariationalAutoencoder:
        """Take one pass over more rows.

        The first call sets the scale and the likelihood from its rows, so give it a fair sample; later calls go on
        from the state of the optimiser at a constant rate and with the whole KL. Nothing is held out, and the prior
        is the standard normal.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.
        y : ignored
            For scikit-learn's pipelines.
        """
        from narrows.fitting.incremental import Incremental
        from narrows.variational.fitting import with_total

        if self.conditional:
            raise ValueError("partial_fit knows no labels: use fit with conditional=True")
        first = not hasattr(self, "_partial")
        rows, _ = self._validated_rows(X, None, reset=first)
        if first:
            self._partial = Incremental(rows, self._settings(rows))
            partial = self._partial
            self.history_, self.stopped_, self._mixture = [], "budget", None
            self.plan_ = resolution.plan_record(partial.plan) | _settled_record(partial.settings)
            self._set_model(partial.model, partial.settings.n_components, few_rows=False)
            self._form = Form.of(
                X, rows, partial.moments, self._model, images=self.image_shape_ is not None, columns=self._columns
            )
        self.history_.append(with_total(self._partial.update(rows), self._partial.settings))
        self.n_steps_ = self._partial.n_steps
        self.n_active_components_ = int(self.history_[-1]["active_components"])
        self.baselines_ = self._partial.compare(rows)
        return self

    def _to_file(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        metadata, tensors = state.to_file(self)
        classes = getattr(self, "classes_", None)
        metadata["fitted"] |= {
            "posterior": True,
            "n_labels": self._model.n_labels,
            "linear_path": self.plan_["linear_path"],
            "classes": None if classes is None else classes.tolist(),
            "classes_dtype": None if classes is None else str(classes.dtype),
            "form": self._form.to_json(),
        }
        parts = {"form": self._form.tensors(), "mixture": {} if self._mixture is None else self._mixture.tensors()}
        extra = {f"{part}/{name}": value for part, own in parts.items() for name, value in own.items()}
        return metadata, tensors | extra

    @classmethod
    def _from_file(
        cls, metadata: dict[str, Any], tensors: dict[str, Tensor], *, network: Any, device: str
    ) -> VariationalAutoencoder:
        own = {name: value for name, value in tensors.items() if "/" not in name}
        parts: dict[str, dict[str, Tensor]] = {"form": {}, "mixture": {}}
        for name, value in tensors.items():
            part, slash, rest = name.partition("/")
            if slash:
                parts[part][rest] = value
        model: VariationalAutoencoder = state.from_file(cls, metadata, own, network=network, device=device)
        fitted = metadata["fitted"]
        model._form = Form.from_file(fitted["form"], parts["form"])
        model._mixture = CodePrior(**parts["mixture"]) if parts["mixture"] else None
        if fitted["classes"] is not None:
            model.classes_ = np.asarray(fitted["classes"], dtype=fitted["classes_dtype"])
        return model

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.missing == "mask"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _settled_record(settings: FitConfig) -> dict[str, Any]:
    """Return what the data has decided, as plain values."""
    return {
        "likelihood": settings.likelihood.to_json(),
        "scaling": settings.scaling,
        "linear_path": getattr(settings.network, "linear_path", None),
    }
