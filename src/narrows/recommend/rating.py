"""Predicting ratings: a linear autoencoder whose loss counts only the ratings that exist, fitted by variational EM.

A rating of user u for item i is

::

    rating = mean + w_i . [1, z_u] + noise        noise: Student t, with a variance of the user's own
    w_i ~ Normal(B x_i, S)                        x_i: who rates item i (how many, and which directions of the log)
    z_u ~ Normal(A g_u, 1)                        g_u: what user u rates

The code z_u of a user is the mean of its posterior given the ratings of their history: an encoder that is computed,
not learned, so that any history can be encoded. That is probabilistic matrix factorisation (Salakhutdinov and Mnih
2008), or factor analysis with missing values, with the uncertainty of both sides integrated over (variational EM)
instead of tuned penalties. What was rated, whatever the rating, says much by itself (SVD++, Koren 2008); here it moves
the means of both priors. What is left of a history is passed on to similar items, each residual corrected for its
having been fitted.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import svds
from torch import Tensor

from narrows.recommend.interactions import rows_of
from narrows.recommend.methods import Rating
from narrows.recommend.scorers import Bags, Scorer, cosines

NOISE_DAMPING = 10.0
"""A user's variance counts as many ratings of the common one."""

PRIOR_RIDGE = 10.0
EMBEDDING = 100
SMOOTHING = 0.5
"""So much similarity's worth of residuals of 0 stands beside those of the history."""

STEPS = 5
"""Rounds in which the code of a history, its variance and the weights of its ratings settle."""

MOST_LEVERAGE = 0.9

PRIOR_DAMPING = 15.0
"""A history so long is believed by half in what it says before its ratings are looked at."""

CHUNK_ITEMS = 512
_CHUNK_RATINGS = 20_000


class RatingScorer(Scorer):
    """Predicted ratings of all items, from a history of ratings."""

    weights: Tensor
    covariances: Tensor
    features: Tensor
    directions: Tensor
    prior: Tensor
    center: Tensor
    scale: Tensor
    numbers: Tensor

    def __init__(self, **buffers: Tensor) -> None:
        super().__init__(len(buffers["weights"]), **buffers)

    def similar(self, items: Tensor) -> Tensor:
        """Return the cosines between the weights of items."""
        return cosines(self.weights[:, 1:], items)

    def forward(self, bags: Bags) -> Tensor:
        """Return predicted ratings, shape (n_users, n_items)."""
        mean, std, _, _, least, most = self.numbers.tolist()
        histories = [(bags.items[a:b], bags.values[a:b]) for a, b in pairwise(bags.offsets.tolist())]
        found = [self._encode(*history) for history in histories]
        codes = torch.stack([code for code, _, _ in found])
        predicted = torch.cat([torch.ones_like(codes[:, :1]), codes], 1).float() @ self.weights.T
        for row, ((items, _), (_, residuals, trust)) in enumerate(zip(histories, found, strict=True)):
            if len(items):
                predicted[row] += self.neighbor_residuals(items, residuals, trust)
        return (mean + std * predicted).clamp_(least, most)

    def neighbor_residuals(self, items: Tensor, residuals: Tensor, trust: Tensor) -> Tensor:
        """Return the residuals of a history's ratings, averaged over similar items; shape (n_items,)."""
        above = torch.zeros(self.n_items, device=items.device)
        below = torch.full((self.n_items,), SMOOTHING, device=items.device)
        for start in range(0, len(items), CHUNK_ITEMS):
            part = slice(start, start + CHUNK_ITEMS)
            near = (self.directions[items[part]] @ self.directions.T).clamp_(min=0).square_().mul_(trust[part, None])
            # A rating is not predicted from itself.
            near[torch.arange(len(near), device=items.device), items[part]] = 0.0
            above += residuals[part] @ near
            below += near.sum(0)
        return above / below

    def _encode(self, items: Tensor, ratings: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return a user's code, and the residual and the weight of each rating.

        User by user, so that a code does not depend on who else is asked for.
        """
        mean, std, common, freedom, least, most = self.numbers.tolist()
        values = (ratings.double().clamp(least, most) - mean) / std
        size = self.weights.shape[1]
        start = self._prior_code(items)
        if not len(items):
            return start, values.float(), values.float()
        weights, covariances = self.weights[items].double(), self.covariances[items].double()
        inner = covariances.view(-1, size, size)[:, 1:, 1:].reshape(len(items), -1)
        eye = torch.eye(size - 1, dtype=torch.float64, device=values.device)
        variance, trust = common, torch.ones_like(values)
        for _ in range(STEPS):
            weight = trust / variance
            squares = (weights * weight[:, None]).T @ weights + (weight @ covariances).view(size, size)
            right = (weight * values) @ weights
            covariance = torch.linalg.inv(squares[1:, 1:] + eye)
            code = covariance @ (right[1:] - squares[1:, 0] + start)
            padded_code = torch.cat([torch.ones_like(code[:1]), code])
            error = values - weights @ padded_code
            uncertainty = ((weights[:, 1:] @ covariance) * weights[:, 1:]).sum(1) + inner @ covariance.flatten()
            uncertainty = uncertainty + covariances @ torch.outer(padded_code, padded_code).flatten()
            before, missed = variance, error.square() + uncertainty
            trust = (freedom + 1) / (freedom + missed / before)
            variance = (float((missed * trust).sum()) + NOISE_DAMPING * common) / (len(items) + NOISE_DAMPING)
        # What the error would be had the rating not been in the history.
        leverage = (uncertainty * trust / before).clamp(max=MOST_LEVERAGE)
        return code, (error / (1 - leverage)).float(), trust.float()

    def _prior_code(self, items: Tensor) -> Tensor:
        """Return the mean of the code before any rating is looked at.

        It was fitted to users with as many items as those of the log have: of shorter histories less is concluded.
        """
        count = float(len(items))
        counted = torch.tensor([count], dtype=torch.float64, device=items.device).log1p()
        inputs = torch.cat([counted, self.features[items].double().sum(0) / (count + 1.0)])
        return ((inputs - self.center) / self.scale) @ self.prior * (count / (count + PRIOR_DAMPING))


def fit_rating(
    matrix: sparse.csr_array,
    method: Rating,
    *,
    seed: int,
    log: Callable[[str], None] = lambda line: None,  # noqa: ARG005
) -> RatingScorer:
    """Fit to a matrix whose stored entries are ratings; ``log`` is given a line at the end."""
    matrix = matrix[np.diff(matrix.indptr) > 0]
    fit = _Fit(matrix, method, seed)
    for _ in range(method.iterations):
        fit.round()
    log(f"rating: {method.iterations} rounds, standard deviation of the noise {fit.std * np.sqrt(fit.common):.3f}")
    return fit.scorer()


class _Fit:
    """Variational EM: the codes of users given the weights of items, and the other way round, in turn."""

    def __init__(self, matrix: sparse.csr_array, method: Rating, seed: int) -> None:
        self.freedom = method.degrees_of_freedom
        self.shape = matrix.shape
        self.users = rows_of(matrix)
        self.items = matrix.indices.astype(np.int64)
        ratings = matrix.data.astype(np.float64)
        self.mean, self.std = ratings.mean(), max(float(ratings.std()), 1e-9)
        self.least, self.most = ratings.min(), ratings.max()
        self.values = (ratings - self.mean) / self.std
        self.rated = np.bincount(self.users, minlength=self.shape[0])
        self.taken = np.bincount(self.items, minlength=self.shape[1])
        self.active = self.taken > 0
        self.features, self.directions = self._features(method.n_features)
        inputs = self._inputs()
        self.center, self.scale = inputs.mean(0), np.maximum(inputs.std(0), 1e-9)
        self.inputs = (inputs - self.center) / self.scale
        self._begin(min(method.n_components, *self.shape), seed)

    def _features(self, n_features: int) -> tuple[np.ndarray, np.ndarray]:
        """Return features of items by who rates them, and directions for the similarity of items."""
        entries = 1 / np.sqrt((self.rated[self.users] + 5.0) * (self.taken[self.items] + 5.0))
        log = sparse.csr_matrix((entries, (self.users, self.items)), self.shape)
        size = min(EMBEDDING, min(self.shape) - 1)
        found = np.zeros((self.shape[1], 1))
        if size >= 2:
            _, values, vectors = svds(log, k=size, v0=np.ones(min(self.shape)), rng=0)
            # The first direction is popularity.
            found = vectors[np.argsort(-values)[1:]].T
        features = found[:, :n_features] / np.sqrt((self.taken[:, None] + 1.0) / len(self.values))
        features = np.clip(features / np.maximum(features[self.active].std(0), 1e-12), -4.0, 4.0)
        features = np.column_stack([np.log1p(self.taken), features])
        features -= np.average(features, axis=0, weights=self.taken)
        features /= np.maximum(features[self.active].std(0), 1e-9)
        length = np.linalg.norm(found, axis=1, keepdims=True) + 1e-9
        return features, found / length * np.sqrt(self.taken / (self.taken + 2.0))[:, None]

    def _inputs(self) -> np.ndarray:
        sums = self._by_user(np.ones(len(self.users))) @ self.features
        return np.column_stack([np.log1p(self.rated), sums / (self.rated[:, None] + 1.0)])

    def _by_user(self, entries: np.ndarray) -> sparse.csr_matrix:
        return sparse.csr_matrix((entries, (self.users, self.items)), self.shape)

    def _begin(self, size: int, seed: int) -> None:
        n_users, n_items = self.shape
        first = np.zeros(size + 1)
        first[1] = 0.4
        biases = np.bincount(self.items, self.values, n_items) / (self.taken + 4.0)
        drawn = np.random.default_rng(seed).normal(0.0, 0.05, (n_items, size))
        self.weights = first + np.column_stack([biases, drawn])
        self.covariances = np.zeros((n_items, (size + 1) ** 2))
        self.second = _outer(self.weights)
        self.precision = np.diag(np.r_[4.0, np.full(size, 50.0)])
        self.item_prior = np.tile(first, (n_items, 1))
        self.prior = np.zeros((self.inputs.shape[1], size))
        self.variance, self.trust = np.full(n_users, 0.7), np.ones(len(self.users))
        self.common = 0.7

    def round(self) -> None:
        """Take one step on each side."""
        codes, second, missed = self._codes()
        self.common = float(missed.mean())
        summed = np.bincount(self.users, missed, self.shape[0])
        self.variance = (summed + NOISE_DAMPING * self.common) / (self.rated + NOISE_DAMPING)
        inputs, penalty = self.inputs, PRIOR_RIDGE * np.eye(self.inputs.shape[1])
        self.prior = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ codes[:, 1:])
        self._items(codes, second)

    def _codes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return codes with a 1 before them, their second moments, and of each rating by how much it is missed."""
        n_users, size = self.shape[0], self.weights.shape[1]
        weight = self.trust / self.variance[self.users]
        squares = (self._by_user(weight) @ self.second).reshape(n_users, size, size)
        right = self._by_user(weight * self.values) @ self.weights
        inner = np.linalg.inv(squares[:, 1:, 1:] + np.eye(size - 1))
        code = np.einsum("ukl,ul->uk", inner, right[:, 1:] - squares[:, 1:, 0] + self.inputs @ self.prior)
        padded_code = np.column_stack([np.ones(n_users), code])
        padded = np.zeros((n_users, size, size))
        padded[:, 1:, 1:] = inner
        spread, outer = padded.reshape(n_users, -1), _outer(padded_code)
        missed = np.empty(len(self.values))
        for start in range(0, len(missed), _CHUNK_RATINGS):
            part = slice(start, start + _CHUNK_RATINGS)
            users, items = self.users[part], self.items[part]
            error = self.values[part] - np.einsum("nk,nk->n", self.weights[items], padded_code[users])
            uncertainty = np.einsum("na,na->n", self.second[items], spread[users])
            uncertainty += np.einsum("na,na->n", self.covariances[items], outer[users])
            missed[part] = error**2 + uncertainty
        self.trust = (self.freedom + 1) / (self.freedom + missed / self.variance[self.users])
        return padded_code, outer + spread, missed * self.trust

    def _items(self, codes: np.ndarray, second: np.ndarray) -> None:
        """Update the weights of items, and the prior they come from."""
        n_items, size = self.weights.shape
        weight = self.trust / self.variance[self.users]
        squares = (self._by_user(weight).T @ second).reshape(n_items, size, size)
        covariances = np.linalg.inv(squares + self.precision)
        right = self._by_user(weight * self.values).T @ codes + self.item_prior @ self.precision
        self.weights = np.einsum("ikl,il->ik", covariances, right)
        self.covariances = covariances.reshape(n_items, -1)
        self.second = _outer(self.weights) + self.covariances
        inputs = np.column_stack([np.ones(n_items), self.features])
        active, penalty = inputs[self.active], PRIOR_RIDGE * np.eye(inputs.shape[1])
        penalty[0, 0] = 1e-9
        self.item_prior = inputs @ np.linalg.solve(active.T @ active + penalty, active.T @ self.weights[self.active])
        off = (self.weights - self.item_prior)[self.active]
        spread = (off.T @ off + covariances[self.active].sum(0)) / self.active.sum()
        self.precision = np.linalg.inv(spread + 1e-6 * np.eye(size))

    def scorer(self) -> RatingScorer:
        """Return what was found."""
        numbers = [self.mean, self.std, self.common, self.freedom, self.least, self.most]
        names = ("weights", "covariances", "features", "directions")
        parts = {name: np.asarray(getattr(self, name), dtype=np.float32) for name in names}
        parts |= {"prior": self.prior, "center": self.center, "scale": self.scale, "numbers": np.array(numbers)}
        return RatingScorer(**{name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in parts.items()})


def _outer(rows: np.ndarray) -> np.ndarray:
    return (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
