"""Named public data sets, checked and kept, generators of made-up data, and images of one's own.

:func:`load` gives a :class:`Dataset`; :func:`names` lists what there is and :func:`describe` says what one is
before anything is fetched. :func:`load_ratings` gives :class:`Ratings` of items by users. A file is looked for in
the folder the environment variable ``NARROWS_DATA`` names, then among those fetched before (in
``NARROWS_CACHE``, or the user's cache folder), and only then downloaded. Wherever it came from, its content is
checked.
"""

from narrows.datasets.dataset import Dataset, describe, load, names
from narrows.datasets.generators import RatingStructure, make_manifold, make_ratings
from narrows.datasets.image_folder import ImageFolder, image_folder
from narrows.datasets.ratings import Ratings, load_ratings
from narrows.datasets.records import Record, RemoteFile

__all__ = [
    "Dataset",
    "ImageFolder",
    "RatingStructure",
    "Ratings",
    "Record",
    "RemoteFile",
    "describe",
    "image_folder",
    "load",
    "load_ratings",
    "make_manifold",
    "make_ratings",
    "names",
]
