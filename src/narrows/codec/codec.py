"""The codec: data compressed with a learned model, and restored."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from narrows.codec import evaluation, files, serialization
from narrows.codec.blocks import Decoder, write_blocks
from narrows.codec.codes import CodesEngine
from narrows.codec.columns.choose import Bound
from narrows.codec.columns.intake import pieces_of, take, take_for_fit
from narrows.codec.container.entropy import require_constriction
from narrows.codec.engine import FitOptions
from narrows.codec.pictures.engine import PictureEngine
from narrows.codec.table.engine import TableEngine
from narrows.errors import DataError, ModelFileError
from narrows.estimator.base import FittedEstimator, atomic_fit
from narrows.estimator.serialization import UNSAVED_OPTIONS, file_size, load
from narrows.io.atomic import atomic_write
from narrows.validation import check_number

if TYPE_CHECKING:
    from narrows.codec.columns.layout import Layout
    from narrows.codec.engine import Engine

__all__ = ["Codec"]


class Codec(FittedEstimator):
    """Compress data with a model learned from it, and restore it exactly, or within a bound.

    Pictures of eight bits and tables of whole numbers, categories, text and decimals come back bit for bit. Whatever
    does not look like the rows of the fit costs more, at most one part in a hundred over its raw size, and comes back
    all the same.

    Parameters
    ----------
    max_error : float, dict or None, default None
        None restores every bit. A number lets floats be off by as much at the most; a dictionary says so for some
        columns, by name or by position, and the others, like whole numbers that are not named, are restored exactly.
        Every value is checked when it is compressed, in the arithmetic of its own type; those that would be off by
        more, NaN and infinities are kept as they are; a negative zero may come back as zero.
    relative : bool, default False
        Whether ``max_error`` is a fraction of each value. Every octave is then parted into the same cells. Columns of
        whole numbers stay exact.
    code_only : bool, default False
        Keep only the code of an autoencoder, rounded: the smallest file, of which something like the rows comes back.
    n_components : int or None, default None
        Size of that code; None chooses as ``Autoencoder`` does. Only for ``code_only``.
    image_shape : tuple of int or None, default None
        Height and width, and channels unless there is one, of the pictures that rows of uint8 are. None takes it from
        an array of pictures, (n, height, width) or (n, height, width, channels), or a file of them.
    max_seconds : float, default 600
        About how long the fit may learn; measuring comes on top.
    n_jobs : int or None, default None
        Blocks that are coded at once; None for one each processor. The bytes do not depend on it.
    callbacks : sequence of callable, default ()
        Called with what the model notes while it learns: a record with ``bits_per_value``, or a line of text.
    random_state : int, RandomState or None, default None
        Fixes everything random; where ``max_seconds`` ends the fit, how far that came depends on the machine too.

    Attributes
    ----------
    kind_ : str
        "pictures", "table" or "codes".
    bits_per_value_ : float
        What a value of the held-out rows takes, everything in the file counted.
    raw_bits_per_value_ : float
        What it takes as it is.
    peers_ : dict of str to (float or None)
        Bits per value that general compressors need for the same rows; None for those that are not installed.
    model_bytes_ : int
        Size of the file that ``save`` writes.
    rows_to_pay_ : int or None
        After how many rows the model's own bytes are won back against the best peer; None for never.
    n_held_out_ : int
        Rows that all this was measured on: stretches of neighbours, kept out of the fit (unless there are fewer than
        20 rows).
    rate_distortion_ : list of dict or None
        With ``code_only``: for each step ``bits_per_row``, ``bits_per_value``, ``mse``, ``psnr`` and ``chosen``.
    history_ : list
        What the model noted while it learned.
    fingerprint_ : str
        What files say of the codec they need.
    image_shape_ : tuple of int or None
        The shape of the pictures that rows are.
    n_features_in_ : int
        Values in a row.

    Warns
    -----
    NotBetterThanBaselineWarning
        When a general compressor does as well on the held-out rows.

    Notes
    -----
    A file needs the codec it was made with: ``save`` it. Blocks of some megabytes are coded each by itself, so any
    rows can be had without the others, and damage loses only the block it is in.

    Examples
    --------
    >>> import numpy as np, narrows
    >>> from narrows.codec import Codec
    >>> days = np.arange(4000)
    >>> X = np.stack([days, days % 7, (days % 7 > 4) * 20 + days % 3], axis=1)
    >>> codec = Codec(max_seconds=5, random_state=0).fit(X)
    >>> data = codec.compress(X)
    >>> bool(np.array_equal(codec.decompress(data), X)), len(data) < X.nbytes / 20
    (True, True)
    >>> codec.decompress(data, rows=slice(10, 12)).tolist()
    [[10, 3, 1], [11, 4, 2]]
    """

    _fitted_attribute = "_engine"

    def __init__(
        self,
        max_error: float | dict[Any, float] | None = None,
        *,
        relative: bool = False,
        code_only: bool = False,
        n_components: int | None = None,
        image_shape: tuple[int, ...] | None = None,
        max_seconds: float = 600.0,
        n_jobs: int | None = None,
        callbacks: Sequence[Callable[[Any], None]] = (),
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.max_error = max_error
        self.relative = relative
        self.code_only = code_only
        self.n_components = n_components
        self.image_shape = image_shape
        self.max_seconds = max_seconds
        self.n_jobs = n_jobs
        self.callbacks = callbacks
        self.random_state = random_state

    @atomic_fit
    def fit(self, X: Any, y: Any = None) -> Codec:
        """Learn from rows.

        Parameters
        ----------
        X : array-like, Table, frame, dict of arrays or path
            Rows like those to be compressed. A file of more than 256 MB is read in part.
        y : object, optional
            Ignored; there for scikit-learn's pipelines.

        Returns
        -------
        Codec
            This object.
        """
        self._check_options()
        require_constriction()
        batch = take_for_fit(X, self.image_shape)
        picture = batch.layout.picture
        if self.image_shape is not None and picture is None:
            raise DataError("image_shape is for pictures of eight bits, and these are no uint8")
        engine: type[Engine] = PictureEngine if picture is not None else TableEngine
        engine = CodesEngine if self.code_only else engine
        rows, held_rows = evaluation.held_out_rows(batch)
        held = batch.pick(held_rows)
        random_state = np.random.RandomState() if self.random_state is None else check_random_state(self.random_state)
        options = FitOptions(
            max_seconds=float(self.max_seconds),
            seed=int(random_state.randint(2**31 - 1)),
            progress=self._tell,
            bounds=self._bounds(batch.layout),
            n_components=None if self.n_components is None else int(self.n_components),
        )
        self._take_engine(engine.fit(batch.pick(rows), held, options))
        self.history_, self.rate_distortion_ = self._engine.history, self._engine.rate_distortion
        self.n_features_in_ = batch.layout.row_values
        for name, value in evaluation.measure(self._engine, held, self.n_jobs).items():
            setattr(self, f"{name}_", value)
        self.rows_to_pay_, self.model_bytes_ = None, 0
        self.model_bytes_ = file_size(self)
        self.rows_to_pay_ = evaluation.rows_to_pay(
            self.model_bytes_, self.bits_per_value_, self.peers_, self.n_features_in_
        )
        evaluation.warn_where_no_better(self.bits_per_value_, self.n_held_out_, self.peers_)
        return self

    def _check_options(self) -> None:
        """Refuse options that cannot be, by a DataError that says which, and what it may be."""
        errors = self.max_error.values() if isinstance(self.max_error, dict) else [self.max_error]
        try:
            for error in errors:
                check_number("max_error", error, high=1e308, open_low=True, none=True)
            check_number("max_seconds", self.max_seconds, open_low=True)
            check_number("n_jobs", self.n_jobs, integer=True, low=1, none=True)
        except ValueError as error:
            raise DataError(str(error)) from None
        if self.relative and self.max_error is None:
            raise DataError("relative says how max_error is meant, and there is no max_error")
        if self.code_only and self.max_error is not None:
            raise DataError("code_only gives no bound on the error: leave max_error or code_only out")
        if self.n_components is not None and not self.code_only:
            raise DataError("n_components is the size of the code that code_only keeps: say code_only=True too")

    def _bounds(self, layout: Layout) -> dict[int, Bound]:
        """Return how far off the values of each column may be, of those that may be at all."""
        if self.max_error is None or layout.picture is not None:
            return {}
        schema, own = layout.schema(), layout.numbers()
        if not isinstance(self.max_error, dict):
            bound = Bound(float(self.max_error), relative=bool(self.relative))
            return {place: bound for _, place in own if place is not None and schema[place][1].kind == "f"}
        found: dict[int, Bound] = {}
        for name, error in self.max_error.items():
            if name is None or error is None:
                continue
            places = [place for known, place in own if known == name]
            if not places and isinstance(name, (int, np.integer)) and 0 <= int(name) < len(own):
                places = [own[int(name)][1]]
            numeric = [place for place in places if place is not None]
            if not places or len(numeric) < len(places):
                why = "which holds no numbers that may be off" if places else "which is not there"
                raise DataError(f"max_error names column {name!r}, {why}")
            found |= dict.fromkeys(numeric, Bound(float(error), relative=bool(self.relative)))
        return found

    def _tell(self, record: Any) -> None:
        for callback in self.callbacks:
            callback(record)

    def _take_engine(self, engine: Engine) -> None:
        self._engine = engine
        self.kind_ = engine.kind
        self.image_shape_ = getattr(engine, "shape", None)
        self.fingerprint_ = engine.fingerprint.hex()

    def measure_peers(self, X: Any) -> dict[str, float | None]:
        """Return the bits per value that general compressors need for rows, as in ``peers_``.

        Parameters
        ----------
        X : array-like, Table, frame or dict of arrays
            What :meth:`compress` takes. Values within a bound are given to the compressors as the whole numbers that
            the codec makes of them.

        Raises
        ------
        DataError
            If these are other columns than those of the fit.
        """
        check_is_fitted(self)
        batch = take(X, self.image_shape_)
        self._engine.check(batch.layout)
        return evaluation.measure_peers(self._engine, batch)

    def compress(self, X: Any) -> bytes:
        """Return rows as the bytes of a compressed file.

        Parameters
        ----------
        X : array-like, Table, frame or dict of arrays
            With the columns of the fit; there may be none or one.

        Raises
        ------
        DataError
            If these are other columns than those of the fit, or hold other kinds of values.
        """
        file = io.BytesIO()
        self.compress_to([X], file)
        return file.getvalue()

    def compress_to(self, chunks: Iterable[Any], file: BinaryIO) -> int:
        """Write pieces of data, one after the other, into a compressed file.

        Parameters
        ----------
        chunks : iterable
            Each as for :meth:`compress`; taken when they are needed, so that memory is bounded by a few of them. Their
            length does not matter to the bytes.
        file : binary file
            Opened for writing. Nothing is sought in it.

        Returns
        -------
        int
            How many bytes were written.
        """
        check_is_fitted(self)
        batches = (take(chunk, self.image_shape_) for chunk in chunks)
        return write_blocks(batches, self._engine, file, self.n_jobs)

    def compress_file(self, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> int:
        """Compress a file into another, which appears whole or not at all.

        Parameters
        ----------
        source : path-like
            Any file that narrows reads. ``.npy``, ``.csv``, ``.tsv`` and ``.parquet`` are read in pieces.
        target : path-like
            Usually called ``.nrw``.

        Returns
        -------
        int
            The size of the target.
        """
        _refuse_same(source, target)
        with atomic_write(target) as temporary, temporary.open("wb") as file:
            return self.compress_to(pieces_of(source), file)

    def decompress(self, data: bytes | str | os.PathLike[str], rows: Any = None, *, on_damage: str = "raise") -> Any:
        """Restore rows.

        Parameters
        ----------
        data : bytes or path-like
            What :meth:`compress` gave, or a file of it.
        rows : slice, int, range or array of int, optional
            Only these rows, in this order; only the blocks that they are in are read. A lone number gives one row.
        on_damage : {"raise", "skip"}, default "raise"
            What becomes of damaged blocks. ``"skip"`` leaves their rows out and warns which those are.

        Returns
        -------
        object
            What was compressed: an array of the same type, shape and order, a frame of the same columns, types and
            index, or a dictionary of arrays.

        Raises
        ------
        CodecFileError
            If it is foreign, newer, damaged, or made with another codec. Where only some blocks are damaged, the
            message names their rows, and the error has them as ``lost``; after three it gives up, and ``verify``
            names all.
        """
        if on_damage not in ("raise", "skip"):
            raise DataError(f'on_damage must be "raise" or "skip", not {on_damage!r}')
        with self._opened(data) as decoder:
            return decoder.rows(rows, on_damage)

    @contextmanager
    def _opened(self, data: bytes | str | os.PathLike[str]) -> Iterator[Decoder]:
        check_is_fitted(self)
        with files.opened(data) as (source, what):
            yield Decoder(self._engine, source, self.n_jobs, what)

    def decompress_pieces(self, data: bytes | str | os.PathLike[str]) -> Iterator[Any]:
        """Yield restored rows block by block, in bounded memory; of a file without rows nothing."""
        with self._opened(data) as decoder:
            for _, _, rows in decoder.pieces():
                yield rows

    def decompress_file(self, source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
        """Restore a compressed file into another, which appears whole or not at all.

        Parameters
        ----------
        source : path-like
            What :meth:`compress_file` wrote.
        target : path-like
            ``.npy`` for arrays, which is written block by block; ``.csv``, ``.tsv``, ``.parquet`` for frames and
            columns; arrays of two dimensions may go into any of them.
        """
        _refuse_same(source, target)
        with self._opened(source) as decoder:
            files.write_rows(decoder, target)

    def verify(self, data: bytes | str | os.PathLike[str]) -> dict[str, Any]:
        """Decode everything, compare all checksums, and return what :func:`describe` does.

        Raises
        ------
        CodecFileError
            If anything is not as it was; damaged blocks are named, all of them.
        """
        with self._opened(data) as decoder:
            decoder.verify()
            return files.description(decoder.reader, decoder.layout)

    @staticmethod
    def describe(data: bytes | str | os.PathLike[str]) -> dict[str, Any]:
        """Return what compressed data says of itself; see :func:`describe`."""
        return files.describe(data)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Codec:
        """Load what ``save`` wrote.

        Raises
        ------
        DataError, ModelFileError
            If there is no such file, or it holds no whole codec.
        """
        found = load(path)
        if not isinstance(found, cls):
            raise ModelFileError(f"{path} holds a {type(found).__name__}, not a Codec")
        return found

    def _to_file(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        options = {name: value for name, value in self.get_params(deep=False).items() if name not in UNSAVED_OPTIONS}
        fitted = {name: serialization.plain(getattr(self, f"{name}_")) for name in serialization.FITTED}
        engine, tensors = serialization.engine_to_file(self._engine)
        return {"options": serialization.options_to_file(options), "fitted": fitted, "engine": engine}, tensors

    @classmethod
    def _from_file(
        cls,
        metadata: dict[str, Any],
        tensors: dict[str, Tensor],
        *,
        network: Any,  # noqa: ARG003
        device: str,  # noqa: ARG003
    ) -> Codec:
        try:
            codec = cls(**serialization.options_from_file(metadata["options"]))
            codec._check_options()
            for name, value in serialization.fitted_from_file(metadata["fitted"]).items():
                setattr(codec, f"{name}_", value)
            codec._take_engine(serialization.engine_from_file(metadata["engine"], tensors))
        except (ArithmeticError, AssertionError, MemoryError) as error:
            raise ModelFileError(f"the file holds no codec: {error}") from error
        return codec


def _refuse_same(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    if Path(source).resolve() == Path(target).resolve():
        raise DataError(f"{target} cannot be read and replaced at the same time: give the target another name")
