"""The variational autoencoder as a scikit-learn transformer that also makes new rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import sklearn.mixture  # noqa: F401 - to import it draws from Python's own generator, which a fit must leave alone
import torch
from torch import Tensor

from narrows.corruption import Corruption
from narrows.data.inputs import validate_rows
from narrows.data.moments import Moments
from narrows.data.rows import ArrayRows, PairedRows, Rows
from narrows.data.streams import StreamRows
from narrows.errors import DataError, ModelFileError
from narrows.estimator.base import atomic_fit, documented
from narrows.fitting.fit import fit_estimator
from narrows.fitting.incremental import Incremental
from narrows.fitting.objectives import NegativeElbo
from narrows.fitting.selection import warn_of_density
from narrows.fitting.settings import FitConfig, check_options, resolve_corruption, resolve_network
from narrows.likelihoods import Likelihood
from narrows.networks import Network
from narrows.priors import CodePrior, Prior
from narrows.training.optimisers import Optimizer
from narrows.training.schedules import KLWeight, Schedule
from narrows.validation import check_number
from narrows.variational.base import BaseVariational
from narrows.variational.generation import encode_labels
from narrows.variational.sampling import Form, fit_prior, measure_marginals


@documented
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
        variance learnt for each column, or as ``Gaussian(variance=…)`` says. ``"discretisedlogistic"``: for whole
        numbers, such as 8-bit pixels. ``"auto"`` takes bernoulli where more than half of all values are the
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
        Whether the decoder is given the label of a row, so that the code need not hold it (Sohn, Lee and Yan 2015).
        Labels that are handed to ``fit`` otherwise leave the network as it is without them, and each gets a mixture
        over the codes of its own: either way ``sample(n, y=7)`` draws rows of one label.
    corruption : Corruption, name, callable or None, default None
        How the encoder's input is corrupted while training, while the clean row stays the target.
    missing : {"mask", "error"}, default "mask"
        ``"mask"`` takes NaN as not observed: it enters as the column's mean and does not count in the loss. ``"error"``
        refuses it.
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
    {training_parameters}

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
    plan_ : dict
        Optimiser, schedule, learning rate, batch size, budget, likelihood and scaling as they were used.
    {fit_attributes}

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
    Frames may have columns of text or categories: each gets probabilities for its categories, and comes back as it was.
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
    _saved_attributes: ClassVar = ("history", "baselines", "stopped", "n_steps", "plan", "n_active_components")

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
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.free_bits = free_bits
        self.prior = prior
        self.conditional = conditional

    @atomic_fit
    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> VariationalAutoencoder:
        """Fit to rows.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows; or images, an array (n, height, width) or (n, height, width, channels).
        y : array of shape (n,), optional
            Labels. Each gets a mixture over its codes, so that ``sample(n, y=label)`` draws rows of it; with
            ``conditional=True`` the decoder is given them too. Numbers that are no classes are ignored.
        groups : array of shape (n,), optional
            Rows of one group are held out together or not at all, as equal rows always are; by default those of a
            table's columns of kind ``group``.

        Returns
        -------
        VariationalAutoencoder
            This object. Ctrl-C ends the training early and keeps the best weights so far.
        """
        rows, labels = self._rows_of(X, y, reset=True)
        result = fit_estimator(self, rows, self._config(rows.n_features), self._grouping(groups, rows))
        self._keep(result)
        self.plan_ |= _describe_config(result.config)
        self.n_active_components_ = int(result.statistics["active_components"])
        self._form = self._learn_form(rows, result.moments)
        self._learn_distribution(rows, labels, result.config.seed)
        warn_of_density(self.baselines_, self.n_active_components_, self.n_components_, self.kl_warmup)
        return self

    @atomic_fit
    def partial_fit(self, X: Any, y: Any = None) -> VariationalAutoencoder:
        """Take one pass over more rows.

        Of an object that is not fitted yet, the first call sets the scale and the likelihood from its rows, so give it
        a fair sample. Otherwise it goes on from what is fitted: from the state of the optimiser after another
        ``partial_fit``, from the weights after ``fit`` or ``load``. The rate is constant and the KL has its whole
        weight; nothing is held out, and the prior is the standard normal.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.
        y : ignored
            For scikit-learn's pipelines.
        """
        if self.conditional:
            raise ValueError("partial_fit knows no labels: use fit with conditional=True")
        first = not hasattr(self, "encoder_")
        rows, _ = self._rows_of(X, None, reset=first)
        found = self._update(rows, partial(Incremental, rows, self._config(rows.n_features)))
        self.plan_ |= _describe_config(found.config)
        self.n_active_components_ = int(self.history_[-1]["active_components"])
        self._mixture = None
        if first:
            self._form = self._learn_form(rows, found.moments)
        else:
            self._form = replace(self._form, marginals=None)
        return self

    def _check_own_options(self) -> None:
        check_number("beta", self.beta, low=0)
        check_number("free_bits", self.free_bits, low=0)
        check_number("kl_warmup", self.kl_warmup, low=0, high=1)
        Prior.resolve(self.prior)
        if not resolve_network(self).has_code:
            raise ValueError("a variational autoencoder needs a network with a code: one with skips has none")

    def _rows_of(self, X: Any, y: Any, *, reset: bool) -> tuple[Rows, np.ndarray | None]:
        """Check options, rows and labels; where the decoder takes labels they come beside the rows."""
        self._check_own_options()
        check_options(self)
        given = validate_rows(self, X, reset=reset, allow_missing=self.missing == "mask")
        self._set_row_shape(given, reset=reset)
        found = None if y is None else encode_labels(y, given.rows.n_rows)
        if reset:
            self.__dict__.pop("classes_", None)
            if found is not None:
                self.classes_ = found[0]
        labels = None if found is None else found[1]
        if not self.conditional:
            return given.rows, labels
        if labels is None:
            raise ValueError("conditional=True needs labels: fit(X, y) with one class for each row")
        if isinstance(given.rows, StreamRows):
            raise DataError("conditional=True needs rows in memory: a stream is read in its own order, without labels")
        return PairedRows(given.rows, ArrayRows(labels[:, None])), labels

    def _config(self, n_features: int) -> FitConfig:
        objective = NegativeElbo(
            KLWeight(float(self.beta), float(self.kl_warmup), float(self.free_bits)),
            resolve_corruption(self.corruption),
            len(self.classes_) if self.conditional else 0,
        )
        return self._resolve_config(n_features, objective)

    def _learn_form(self, rows: Rows, moments: Moments) -> Form:
        return Form.of(rows, moments, self._model, images=self.image_shape_ is not None)

    def _learn_distribution(self, rows: Rows, labels: np.ndarray | None, seed: int) -> None:
        """Fit the prior to the codes, and learn what separates sampled columns from the data's."""
        self._mixture = None
        try:
            self._mixture = fit_prior(self._model, rows, Prior.resolve(self.prior), labels, seed)
            if self._form.draws:
                drawn_from = self._prior_named(None)
                self._form.marginals = measure_marginals(self._model, rows, drawn_from, seed=seed)
        except KeyboardInterrupt:
            # The network is what took long: it is kept, without what was to come.
            self.stopped_ = "interrupted"

    def _to_file(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        metadata, tensors = super()._to_file()
        classes = getattr(self, "classes_", None)
        metadata["fitted"] |= {
            "posterior": True,
            "n_labels": self._model.n_labels,
            "linear_path": self.plan_["linear_path"],
            "classes": None if classes is None else classes.tolist(),
            "classes_dtype": None if classes is None else "str" if classes.dtype.kind == "U" else str(classes.dtype),
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
        model: VariationalAutoencoder = super()._from_file(metadata, own, network=network, device=device)
        fitted = metadata["fitted"]
        model._check_own_options()
        if fitted["classes"] is not None:
            model.classes_ = np.asarray(fitted["classes"], dtype=fitted["classes_dtype"])
        n_classes = len(fitted["classes"] or ())
        if fitted["n_labels"] not in (0, n_classes):
            raise ModelFileError("the model takes other labels than it was fitted to")
        own_prior = parts["mixture"]
        model._mixture = CodePrior.from_tensors(own_prior, model.n_components_, n_classes) if own_prior else None
        model._form = Form.from_file(fitted["form"], parts["form"])
        model._form.check(model._model.standardise.shift64)
        return model


def _describe_config(config: FitConfig) -> dict[str, Any]:
    """Return what the data has decided, as plain values."""
    return {
        "likelihood": config.likelihood.to_json(),
        "scaling": config.scaling,
        "linear_path": getattr(config.network, "linear_path", None),
    }
