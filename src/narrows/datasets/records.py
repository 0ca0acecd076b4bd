"""What is known of each data set: where its files are, what they must contain, on what terms."""

import difflib
from dataclasses import dataclass
from typing import TypeVar

from narrows.errors import DataError

__all__ = ["RATINGS", "RECORDS", "Member", "RatingsRecord", "Record", "RemoteFile", "record_of"]

R = TypeVar("R")


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set.

    Attributes
    ----------
    name : str
        Its name on the server, ending in ``.gz``.
    n_bytes, n_bytes_content : int
        Size of the file, and of what it holds once unpacked.
    md5 : str
        MD5 of the file.
    md5_content : str or None
        MD5 of what it holds, by which files that were unpacked, or packed anew, can be checked.
    """

    name: str
    n_bytes: int
    n_bytes_content: int
    md5: str
    md5_content: str | None = None


@dataclass(frozen=True)
class Record:
    """A data set before it is loaded.

    Attributes
    ----------
    name, summary : str
        What :func:`narrows.datasets.load` calls it, also the name of its folder; one line for people.
    n_train, n_test : int
        Rows.
    shape : tuple of int
        The shape of a row.
    licence, citation : str
        On what terms it may be used, and how to cite it.
    megabytes : float
        What a download takes, in units of 1,000,000 bytes; 0 for an embedded set.
    addresses : tuple of str
        Folders on the web that hold the files, in the order they are tried.
    files : tuple of RemoteFile
        Training images, training labels, test images, test labels.
    """

    name: str
    summary: str
    n_train: int
    n_test: int
    shape: tuple[int, ...]
    licence: str
    citation: str
    megabytes: float = 0.0
    addresses: tuple[str, ...] = ()
    files: tuple[RemoteFile, ...] = ()


@dataclass(frozen=True)
class Member:
    """A file inside an archive: its own name without the folder it is in, and the MD5 and the size of its content."""

    name: str
    md5: str
    n_bytes: int


@dataclass(frozen=True)
class RatingsRecord:
    """A set of ratings before it is loaded.

    As :class:`Record`, but for ``folder``, the folder its files are in, on this machine and in the archive (which is
    ``<folder>.zip``), and for ``members``, the ratings, then the items.
    """

    name: str
    folder: str
    summary: str
    n_users: int
    n_items: int
    n_ratings: int
    licence: str
    citation: str
    megabytes: float
    addresses: tuple[str, ...]
    members: tuple[Member, ...]


_DIGITS = Record(
    name="digits",
    summary="Handwritten digits, small and grey, that come with scikit-learn: no download.",
    n_train=1437,
    n_test=360,
    shape=(8, 8),
    licence="CC BY 4.0",
    citation="E. Alpaydin and C. Kaynak (1998). Optical Recognition of Handwritten Digits. UCI Machine "
    "Learning Repository. https://doi.org/10.24432/C50P49",
)

_MNIST = Record(
    name="mnist",
    summary="Handwritten digits, grey: the usual first test.",
    n_train=60_000,
    n_test=10_000,
    shape=(28, 28),
    licence="CC BY-SA 3.0",
    citation="Y. LeCun, L. Bottou, Y. Bengio and P. Haffner (1998). Gradient-based learning applied to "
    "document recognition. Proceedings of the IEEE 86(11), 2278-2324. https://doi.org/10.1109/5.726791",
    megabytes=11.6,
    addresses=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    files=(
        RemoteFile("train-images-idx3-ubyte.gz", 9_912_422, 47_040_016,
                   "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
        RemoteFile("train-labels-idx1-ubyte.gz", 28_881, 60_008,
                   "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
        RemoteFile("t10k-images-idx3-ubyte.gz", 1_648_877, 7_840_016,
                   "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
        RemoteFile("t10k-labels-idx1-ubyte.gz", 4_542, 10_008,
                   "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
    ),
)  # fmt: skip

_FASHION_MNIST = Record(
    name="fashion-mnist",
    summary="Photographs of clothes, grey, of the same size and number as MNIST, and harder.",
    n_train=60_000,
    n_test=10_000,
    shape=(28, 28),
    licence="MIT",
    citation="H. Xiao, K. Rasul and R. Vollgraf (2017). Fashion-MNIST: a novel image dataset for "
    "benchmarking machine learning algorithms. https://arxiv.org/abs/1708.07747",
    megabytes=30.9,
    addresses=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    # Its authors publish the checksums of the packed files only.
    files=(
        RemoteFile("train-images-idx3-ubyte.gz", 26_421_880, 47_040_016, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        RemoteFile("train-labels-idx1-ubyte.gz", 29_515, 60_008, "25c81989df183df01b3e8a0aad5dffbe"),
        RemoteFile("t10k-images-idx3-ubyte.gz", 4_422_102, 7_840_016, "bef4ecab320f06d8554ea6380940ec79"),
        RemoteFile("t10k-labels-idx1-ubyte.gz", 5_148, 10_008, "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
)

RECORDS: dict[str, Record] = {record.name: record for record in (_DIGITS, _FASHION_MNIST, _MNIST)}

# The set is still developed by its authors, who may put another version at the same address: what is known here is
# the one of September 2018, and its two files are checked rather than the archive around them.
_MOVIELENS_SMALL = RatingsRecord(
    name="movielens-small",
    folder="ml-latest-small",
    summary="Stars that people gave to films, of September 2018, small: the usual first test.",
    n_users=610,
    n_items=9_724,
    n_ratings=100_836,
    licence="Research use; redistribution only under these same terms; no commercial use without permission of the "
    "GroupLens Research Project at the University of Minnesota; no endorsement by it may be implied",
    citation="F. M. Harper and J. A. Konstan (2015). The MovieLens Datasets: History and Context. ACM Transactions on "
    "Interactive Intelligent Systems 5(4), 19. https://doi.org/10.1145/2827872",
    megabytes=1.0,
    addresses=("https://files.grouplens.org/datasets/movielens/",),
    members=(
        Member("ratings.csv", md5="325a6f09399d1c45671f187505e1a100", n_bytes=2_483_723),
        Member("movies.csv", md5="ed94fab72b62442ef8150d9446e000d6", n_bytes=494_431),
    ),
)

RATINGS: dict[str, RatingsRecord] = {record.name: record for record in (_MOVIELENS_SMALL,)}


def record_of(name: str, records: dict[str, R], what: str) -> R:
    """Return the record of this name, or refuse it and say which are meant."""
    if name not in records:
        near = difflib.get_close_matches(str(name).lower(), records, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DataError(f"There is no {what} {name!r}; there are {', '.join(sorted(records))}.{hint}")
    return records[name]
