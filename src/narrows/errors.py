"""The errors and warnings a user of narrows can meet, each one clear sentence."""

__all__ = [
    "CodecFileError",
    "ColumnsLeftOutWarning",
    "DataError",
    "DownloadError",
    "ModelFileError",
    "NarrowsError",
    "NotBetterThanBaselineWarning",
    "PosteriorCollapseWarning",
    "TrainingDivergedError",
    "UnlikeTrainingDataWarning",
]


class NarrowsError(Exception):
    """Anything narrows refuses to do, with the reason; the base of its other errors."""


class DataError(NarrowsError, ValueError):
    """Data that cannot be read or used as it is: the message says what and where."""


class DownloadError(NarrowsError, OSError):
    """A data set that could not be fetched, or whose content is not what it should be."""


class ModelFileError(NarrowsError, ValueError):
    """A file that is not a whole narrows model: foreign, damaged, newer, or of another kind."""


class TrainingDivergedError(NarrowsError, RuntimeError):
    """A loss that became infinite or not a number, also at the lower rate it was retried with."""


class CodecFileError(NarrowsError, ValueError):
    """Compressed data that cannot be restored: foreign, damaged, newer, or made with another codec.

    Attributes
    ----------
    lost : list of tuple of int
        The rows that are lost, as pairs (first, last + 1), where the rest can still be had; otherwise empty.
    """

    def __init__(self, message: str, lost: list[tuple[int, int]] | None = None) -> None:
        super().__init__(message)
        self.lost = lost or []


class NotBetterThanBaselineWarning(UserWarning):
    """The model is no better, on held-out rows, than a trivial answer: the message names the numbers."""


class PosteriorCollapseWarning(UserWarning):
    """A variational model leaves most of its code unused: the message says how much, and what helps."""


class ColumnsLeftOutWarning(UserWarning):
    """Columns of a table that no model learns from, with what they were taken for: the message names them."""


class UnlikeTrainingDataWarning(UserWarning):
    """Rows that are far from those of the fit, in their range, units or columns: the message names the columns."""
