"""What a fitted variational autoencoder says of rows: distributions, reconstructions, bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from narrows.data.rows import apply_in_blocks
from narrows.priors import CodePrior
from narrows.validation import check_number, resolve_seed
from narrows.variational.bounds import Elbo, bound, importance_bound
from narrows.variational.generation import BaseGenerator


class BaseVariational(BaseGenerator):
    """The use of a fitted variational autoencoder; :class:`~narrows.VariationalAutoencoder` fits one.

    Where nothing is drawn by name, nothing random happens: ``transform`` gives means, and the draws behind bounds and
    scores belong to each row, so that they are the same from call to call and whatever rows come with it.
    """

    def encode_distribution(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Encode rows to distributions.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.

        Returns
        -------
        mean, std : ndarray of shape (n, n_components_)
            Of the normal posterior of each number of the code; the mean is what ``transform`` gives.
        """
        given = self._validate_new(X)
        model = self._model
        size = self.n_components_

        def encode(block: Tensor) -> Tensor:
            mean, log_variance = model.posterior(model.standardise(block))
            return torch.cat([mean, torch.exp(log_variance / 2)], 1)

        found = apply_in_blocks(model, given.rows, encode, (2 * size,), given.float_dtype)
        return found[:, :size], found[:, size:]

    def reconstruct(self, X: Any, n_components: int | None = None, *, y: Any = None) -> np.ndarray:
        """Encode rows to their mean codes and decode these.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.
        n_components : int, optional
            All numbers of the code; fewer are not possible.
        y : label, or array of shape (n,), optional
            Labels, for a conditional model. Those of other rows are possible:
            the same code then becomes another kind of row.

        Returns
        -------
        ndarray of the shape of X
            In the data's units.
        """
        if y is None:
            return super().reconstruct(X, n_components)
        given = self._validate_new(X)
        codes = np.asarray(self.transform(X, n_components))
        rebuilt = self._decoded(codes, y).astype(given.float_dtype)
        return self._in_data_form(rebuilt, given.row_shape)

    def reconstruction_error(self, X: Any, *, per_feature: bool = False) -> np.ndarray:
        """Measure how far rows are from their reconstruction, as :meth:`Autoencoder.reconstruction_error` does.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.
        per_feature : bool, default False
            Whether to return each value's squared error rather than the row's mean. Of a column of categories it is
            the mean over what its categories' probabilities are off, in standard deviations.

        Returns
        -------
        ndarray of shape (n,), or of the shape of X
            Squared errors in the data's units; in standard deviations of each column with ``scaling="standard"``,
            which is what ``"auto"`` is for tables.
        """
        return super().reconstruction_error(X, per_feature=per_feature)

    def elbo(
        self,
        X: Any,
        *,
        y: Any = None,
        n_samples: int = 8,
        prior: str = "normal",
        random_state: int = 0,
    ) -> Elbo:
        """Estimate the evidence lower bound of rows, in parts.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows. Values between 0 and 1 enter a Bernoulli likelihood as they are.
        y : label, or array of shape (n,), optional
            Labels, for a conditional model.
        n_samples : int, default 8
            Draws from each row's posterior.
        prior : {"normal", "mixture"}, default "normal"
            The prior that codes are compared with. The standard normal is what training uses, and what figures refer
            to; its KL has a closed form. The mixture fitted afterwards is nearer to the codes, so that its
            bound, whose KL is estimated from the draws, is higher.
        random_state : int, default 0
            Of the draws, which belong to each row.

        Returns
        -------
        Elbo
            A tuple ``(total, reconstruction, kl)`` of arrays of shape (n,), in nats, sums over features and over the
            code; ``total`` is ``reconstruction - kl``. Of a normal likelihood it is a density in the data's units.
        """
        rows, labels, chosen = self._bound_inputs(X, y, prior, n_samples)
        return bound(self._model, rows, labels, chosen, n_samples, resolve_seed(random_state))

    def log_likelihood(
        self, X: Any, n_samples: int = 100, *, y: Any = None, prior: str = "normal", random_state: int = 0
    ) -> np.ndarray:
        """Estimate the log-likelihood of rows by importance sampling.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.
        n_samples : int, default 100
            Draws a row: with 1 it is a draw of the evidence lower bound; it rises with the number, towards the
            log-likelihood. Published figures have 1,000 or 5,000.
        y, prior, random_state
            As of :meth:`elbo`.

        Returns
        -------
        ndarray of shape (n,)
            In nats (Burda, Grosse and Salakhutdinov 2016, *Importance weighted autoencoders*).
        """
        rows, labels, chosen = self._bound_inputs(X, y, prior, n_samples)
        return importance_bound(self._model, rows, labels, chosen, n_samples, resolve_seed(random_state))

    def score_samples(self, X: Any) -> np.ndarray:
        """Score rows by their evidence lower bound: higher is more like the data.

        Parameters
        ----------
        X : array-like, frame, CSR matrix or path, shape (n, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n,)
            ``elbo(X).total``, in nats a row.
        """
        return self.elbo(X).total

    def _bound_inputs(self, X: Any, y: Any, prior: str, n_samples: int) -> tuple[Any, Tensor | None, CodePrior | None]:
        check_number("n_samples", n_samples, integer=True, low=1)
        rows = self._validate_new(X).rows
        labels = self._label_columns(y, rows.n_rows)
        return rows, labels, self._prior_named(prior)
