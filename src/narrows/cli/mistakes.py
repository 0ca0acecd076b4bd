"""Mistakes of the user, as opposed to mistakes of ours, which keep their traceback."""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from narrows.cli.show import note
from narrows.cli.values import CommandError
from narrows.errors import NarrowsError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["mistakes_of", "warnings_as_lines"]


@contextmanager
def mistakes_of(columns: list[str] | None = None) -> Iterator[None]:
    """Take a ValueError or TypeError in the block for a refusal of what was asked for.

    Estimators refuse options and data by these two, as scikit-learn does. Everything else is a fault of the
    program and passes.

    Parameters
    ----------
    columns : list of str, optional
        Names to put in the place of "column 3".
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        text = str(error)
        if columns is not None:
            text = re.sub(r"\bcolumn (\d+)\b", lambda found: f"column {_name(columns, int(found[1]))}", text)
        if isinstance(error, NarrowsError) and text == str(error):
            raise
        raise CommandError(text) from error


def _name(columns: list[str], number: int) -> str:
    return repr(columns[number]) if number < len(columns) else str(number)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Show each warning of the block as one line on the standard error, after the block."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Rows are handed over as an array whose columns were chosen by name already.
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        # What libraries tell developers is not for users.
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        try:
            yield
        finally:
            shown = dict.fromkeys(str(warning.message) for warning in caught)
    for text in shown:
        note(f"Note: {text}.")
