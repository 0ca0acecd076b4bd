"""The ways to recommend, as option values."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from narrows.options import Option
from narrows.validation import check_number


@dataclass(frozen=True)
class Method(Option):
    """The family of ways to recommend; ``method="linear"`` is short for ``method=Linear()``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for setting in fields(self):
            if setting.metadata:
                check_number(setting.name, getattr(self, setting.name), **setting.metadata)


def _number(default: Any, low: float = 0, **limits: Any) -> Any:
    """Return a setting that is a number within limits, as :func:`check_number` takes them."""
    return field(default=default, metadata={"low": low, **limits})


def _count(default: Any, **limits: Any) -> Any:
    return _number(default, 1, integer=True, **limits)


@dataclass(frozen=True)
class Linear(Method):
    """The linear autoencoder in closed form: each item is predicted from the others a user has (EASE, Steck 2019).

    ::

        row of a user (n_items) -- weights, zero diagonal --> scores (n_items)

    The ridge regression of every item on all others, solved at once. With ``popularity`` above 0 columns are divided by
    (how often an item was taken)**popularity first, and the scores stay in those units: what much-taken items say of
    others is held back, and so is their own place in the lists. On small and middling logs that is what beats EASE
    itself, which is ``Linear(popularity=0)``.

    It needs items x items numbers where users are more than items, and items x users (the dual form) where they are
    fewer; both are exact. Beyond 150 million numbers a truncated singular value decomposition is kept, which is close.

    Parameters
    ----------
    l2 : float or "auto"
        Ridge penalty. "auto" takes 100 unless another, from 25 to 2000, is significantly better on validation users.
        That is found out among the items taken most, for less than half of what the fit itself costs.
    popularity : float, default 0.15
        Exponent, 0 to 1.
    rank : int or "auto"
        Components to keep; "auto" keeps all while that is to be afforded, otherwise 500.

    References
    ----------
    H. Steck (2019), *Embarrassingly shallow autoencoders for sparse data*, WWW. Penalties that grow with popularity:
    H. Steck (2020), *Autoencoders that don't overfit towards the identity*, NeurIPS.
    """

    l2: float | str = _number("auto", open_low=True, auto=True)
    popularity: float = _number(0.15, high=1.0001)
    rank: int | str = _count("auto", auto=True)


@dataclass(frozen=True)
class Multinomial(Method):
    r"""A denoising or variational autoencoder with a multinomial likelihood (Mult-DAE, Mult-VAE; Liang et al. 2018).

    ::

        items a user has --sum--> code (n_components) ----------------------------+
                        \-sum->  tanh (hidden) ------------------------------------+--> softmax over items

    At every step a part of each user's items is hidden from the encoder, and those are to be given a high probability.
    It starts at the linear answer (:class:`Linear` of rank ``n_components``), so it begins where other networks hardly
    arrive; of its evaluations on validation users (NDCG) the best one is kept, so it does not end below its start.

    Parameters
    ----------
    n_components : int, default 200
        Size of the code.
    hidden : int, default 100
        Units beside the linear path.
    variational : bool, default True
        Whether the code is a distribution (Mult-VAE), with the Kullback-Leibler divergence weighed by ``beta``;
        otherwise the model is a Mult-DAE, which learns faster and overfits sooner.
    beta : float, default 0.2
        Weight of that divergence, reached over the first half of the training.
    dropout : float, default 0.5
        Fraction of the items that the encoder is not given.
    learning_rate : float, default 0.0005
        Peak rate of Adam.
    max_epochs : int or "auto"
        Passes over the users; "auto" makes 20, fewer for large logs.
    batch_size : int or "auto"
        Users in a step; "auto" takes 100, 500 for more than 10,000 users.

    References
    ----------
    D. Liang, R. G. Krishnan, M. D. Hoffman and T. Jebara (2018), *Variational autoencoders for collaborative
    filtering*, WWW.
    """

    n_components: int = _count(200)
    hidden: int = _count(100)
    variational: bool = True
    beta: float = _number(0.2)
    dropout: float = _number(0.5, high=1)
    learning_rate: float = _number(5e-4, open_low=True)
    max_epochs: int | str = _count("auto", auto=True)
    batch_size: int | str = _count("auto", auto=True)


@dataclass(frozen=True)
class Factors(Method):
    """A linear autoencoder with a narrow code and weighted errors (weighted matrix factorisation, Hu et al. 2008).

    ::

        items a user has -- ridge regression on their factors --> code (n_components) --> scores (n_items)

    A user's code is computed from their items, so anyone can be encoded. By itself about as good as EASE; its mistakes
    are different ones, which is what an :class:`Ensemble` lives on.

    Parameters
    ----------
    n_components : int or "auto"
        Size of the code; "auto" takes 48, and 128 from 3,000 users on.
    weight : float, default 5
        How much more an item counts that a user has than one they have not.
    l2 : float, default 10
        Ridge penalty on codes and factors.
    iterations : int, default 15
        Rounds of the fit, of codes and factors in turn.

    References
    ----------
    Y. Hu, Y. Koren and C. Volinsky (2008), *Collaborative filtering for implicit feedback datasets*, ICDM; G. Takács,
    I. Pilászy and D. Tikk (2011), *Applications of the conjugate gradient method for implicit feedback collaborative
    filtering*, RecSys.
    """

    n_components: int | str = _count("auto", auto=True)
    weight: float = _number(5.0)
    l2: float = _number(10.0, open_low=True)
    iterations: int = _count(15)


@dataclass(frozen=True)
class Rating(Method):
    """Predicted ratings: a linear autoencoder that is asked only for ratings that exist.

    A rating is the mean, the bias of the item, and the product of the item's weights with the user's code; the code
    is the mean of its posterior given the user's ratings and what they chose to rate. Weights and codes are integrated
    over by variational EM, so no penalty has to be tuned; ratings far off count less (Student's t). For ``predict``; as
    a way to rank it favours what few people rated highly.

    Parameters
    ----------
    n_components : int, default 16
        Size of the code.
    n_features : int, default 16
        Directions of the log (who rates what) that tell of items and users before a rating is looked at.
    iterations : int, default 40
        Rounds of EM.
    degrees_of_freedom : float, default 10
        Of the noise; large numbers make it normal.

    References
    ----------
    R. Salakhutdinov and A. Mnih (2008), *Probabilistic matrix factorization*, NIPS; Y. J. Lim and Y. W. Teh (2007),
    *Variational Bayesian approach to movie rating prediction*, KDD Cup; Y. Koren (2008), *Factorization meets the
    neighborhood*, KDD. The loss on observed entries only: S. Sedhain, A. K. Menon, S. Sanner and L. Xie (2015),
    *AutoRec*, WWW.
    """

    n_components: int = _count(16)
    n_features: int = _count(16)
    iterations: int = _count(40)
    degrees_of_freedom: float = _number(10.0, open_low=True)


@dataclass(frozen=True)
class Ensemble(Method):
    """Several ways together: their scores, standardised for each user, are added.

    What each counts is the best of a few weights on validation users, found for one after the other.

    Parameters
    ----------
    parts : tuple of Linear, Factors and Multinomial
        Two or more, no kind twice.
    """

    parts: tuple[Linear | Factors | Multinomial, ...] = (Linear(), Factors())

    def __post_init__(self) -> None:
        kinds = [type(part) for part in self.parts] if isinstance(self.parts, tuple) else []
        if len(kinds) < 2 or len(set(kinds)) < len(kinds) or not set(kinds) <= {Linear, Factors, Multinomial}:
            raise ValueError(f"parts must be two or three of Linear(…), Factors(…), Multinomial(…), got {self.parts!r}")
