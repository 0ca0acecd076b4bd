"""What compressed data says of itself, without the codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from narrows.codec import filing
from narrows.codec.fileformat import VERSION, FileReader
from narrows.codec.layout import layout_from_json

if TYPE_CHECKING:
    import os

    from narrows.codec.layout import Layout

__all__ = ["describe", "description"]


def describe(data: bytes | str | os.PathLike[str]) -> dict[str, Any]:
    """Return what compressed data says of itself, without the codec.

    Parameters
    ----------
    data : bytes or path-like
        What ``Codec.compress`` gave, or a file of it.

    Returns
    -------
    dict
        ``what`` it holds ("array", "pictures", "frame", "columns"), ``dtype``, ``shape``, ``columns``, ``n_rows``,
        ``n_values``, ``n_bytes``, ``bits_per_value``, ``n_blocks``, ``rows_per_block``, ``fingerprint`` of its codec,
        and the ``format``.

    Raises
    ------
    CodecFileError
        If it is foreign, newer, truncated or damaged in its head or table; blocks are not looked at.
    """
    with filing.opened(data) as (source, what):
        reader = FileReader(source, what)
        return description(reader, layout_from_json(reader.head.description))


def description(reader: FileReader, layout: Layout) -> dict[str, Any]:
    """Return what an opened file says of itself."""
    values = reader.n_rows * layout.row_values
    return layout.describe(reader.n_rows) | {
        "n_rows": reader.n_rows,
        "n_values": values,
        "n_bytes": reader.size,
        "bits_per_value": 8.0 * reader.size / values if values else None,
        "n_blocks": len(reader.blocks),
        "rows_per_block": reader.head.rows_per_block,
        "fingerprint": reader.head.fingerprint.hex(),
        "format": VERSION,
    }
