"""What a lab gives: plain data, for the terminal, for JSON and for the report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Accuracy", "Entry", "Exhibits", "LabResult"]


@dataclass(frozen=True)
class Accuracy:
    """Share of images whose digit a classifier names rightly, from their codes alone.

    Attributes
    ----------
    validation : float
        On the last fifth of the training rows, which the classifier did not see.
    test : float
        On the test rows, which neither the classifier nor the model saw.
    """

    validation: float
    test: float


@dataclass(frozen=True)
class Entry:
    """One way of getting images through a narrow code, and what was measured.

    Attributes
    ----------
    key : str
        ``"mean"``, ``"pca"``, ``"taught"`` or ``"narrows"``.
    name, description : str
        For people: a short name, and one line on what it is.
    test_mse : float
        Mean squared error of the rebuilt test images, per pixel, pixels from 0 to 1.
    clipped_mse : float
        The same once rebuilt pixels are cut to 0..1, which needs no training.
    seconds : float
        Time of the fit. Does not count when results are compared.
    steps : int or None
        Training steps behind the weights, for networks.
    passes : float or None
        How often these steps have seen each training image.
    dead_units : int or None
        Code units that are zero for every test image.
    zero_share : float or None
        Share of zeros among all numbers in the codes of the test images.
    stayed_linear : bool
        Whether the fit saw no gain in leaving PCA.
    accuracy, accuracy_standardised : Accuracy or None
        Of the classifier on the codes as they come, and on codes brought to mean 0 and deviation 1 first.
    warning : str or None
        What the fit warned of.
    """

    key: str
    name: str
    description: str
    test_mse: float
    clipped_mse: float
    seconds: float = field(compare=False)
    steps: int | None = None
    passes: float | None = None
    dead_units: int | None = None
    zero_share: float | None = None
    stayed_linear: bool = False
    accuracy: Accuracy | None = None
    accuracy_standardised: Accuracy | None = None
    warning: str | None = None


@dataclass(frozen=True, eq=False)
class Exhibits:
    """What the report shows, as arrays; dictionaries go by the key of an entry.

    Attributes
    ----------
    images : ndarray of shape (n_images, n_pixels)
        The first test images.
    rebuilt : dict of ndarray, shape (n_images, n_pixels)
        The same images as each model rebuilds them.
    errors : dict of ndarray, shape (n_test,)
        Mean squared error of each test image.
    codes : dict of ndarray, shape (n_codes, n_components)
        Codes of the first test images, at most 5,000.
    code_labels : ndarray of shape (n_codes,)
        The digit of each.
    histories : dict of list of dict
        The loss while training, as in ``Autoencoder.history_``.
    """

    images: np.ndarray
    rebuilt: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    codes: dict[str, np.ndarray]
    code_labels: np.ndarray
    histories: dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class LabResult:
    """A lab that has been run. Two runs are equal when all but their times is.

    Attributes
    ----------
    name : str
        The data set.
    seed : int
        What everything random came from.
    n_components, hidden : int
        Numbers in the code; units in the hidden layer.
    n_train, n_test : int
        Rows fitted and rows tested.
    shape : tuple of int
        Of an image.
    notes : tuple of str
        How the lab was set up, a sentence each.
    entries : tuple of Entry
        Mean image, PCA, network as taught, narrows.
    source : str
        The data's licence and citation.
    exhibits : Exhibits
        What the report shows.
    """

    name: str
    seed: int
    n_components: int
    hidden: int
    n_train: int
    n_test: int
    shape: tuple[int, ...]
    notes: tuple[str, ...]
    entries: tuple[Entry, ...]
    source: str
    exhibits: Exhibits = field(repr=False, compare=False)

    def __getitem__(self, key: str) -> Entry:
        """Return the entry of this key."""
        for entry in self.entries:
            if entry.key == key:
                return entry
        raise KeyError(key)

    @property
    def n_pixels(self) -> int:
        """Pixels of an image."""
        return self.shape[0] * self.shape[1]

    @property
    def lessons(self) -> tuple[str, ...]:
        """What the numbers say, a sentence each."""
        from narrows.labs.lessons import lessons

        return lessons(self)

    def to_dict(self, *, exhibits: bool = False) -> dict[str, Any]:
        """Return the result as dictionaries, lists, text and numbers, ready for JSON.

        Parameters
        ----------
        exhibits : bool, default False
            Whether to put in the images, maps and loss curves as well.

        Returns
        -------
        dict
        """
        plain = {name: value for name, value in vars(self).items() if name != "exhibits"}
        plain["entries"] = [asdict(entry) for entry in self.entries]
        for name in ("shape", "notes"):
            plain[name] = list(plain[name])
        plain["lessons"] = list(self.lessons)
        if exhibits:
            plain["exhibits"] = _listed(vars(self.exhibits))
        return plain


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _listed(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_listed(part) for part in value]
    return value.tolist() if hasattr(value, "tolist") else value
