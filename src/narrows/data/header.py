"""Whether the first line of a text table holds names, and the names that columns go by."""

import itertools
import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["NUMBER", "counts_from_zero", "find_header", "made_names"]

NUMBER = r"^\s*[-+]?[0-9.,]*[0-9][0-9.,]*([eE][-+]?[0-9]+)?\s*$"
"""What a number looks like, with either decimal mark."""
_WHOLE = r"^\s*[0-9]{1,15}\s*$"


def _is_all(column: pa.Array, pattern: str, missing: Sequence[str]) -> bool:
    """Return whether all cells that are not missing match, and there are some."""
    cells = column.filter(pc.invert(pc.is_in(column, pa.array(missing, pa.string()))))
    return len(cells) > 0 and pc.all(pc.match_substring_regex(cells, pattern)).as_py()


def find_header(first: list[str], below: list[pa.Array], missing: Sequence[str], notes: list[str]) -> bool:
    """Return whether the first line holds names rather than data."""
    named = [k for k, cell in enumerate(first) if cell not in missing]
    numbers = [k for k in named if re.search(NUMBER, first[k])]
    texts = [k for k in named if k not in numbers]
    if not len(below[0]):
        return not numbers
    if any(_is_all(below[k], NUMBER, missing) for k in texts):
        return True
    if not numbers:
        if any(_alike(first[k], below[k][0].as_py()) for k in texts):
            return False
        recur = [pc.any(pc.equal(below[k], first[k])).as_py() for k in texts]
        return not (recur and all(recur))
    header = _numbers_are_names([first[k] for k in numbers], [below[k] for k in numbers], missing)
    header = header and not any(pc.any(pc.equal(below[k], first[k])).as_py() for k in texts)
    if header:
        shown = ", ".join(first[:4]) + (", ..." if len(first) > 4 else "")
        notes.append(f"The first line ({shown}) is taken for the header; --no-header reads it as data.")
    return header


def _alike(cell: str, other: str) -> bool:
    """Return whether two cells begin with a digit or a sign and have digits in the same places, as dates have."""
    return re.match(r"[-+]?\W?\d", cell) is not None and re.sub(r"\d", "0", cell) == re.sub(r"\d", "0", other)


def _numbers_are_names(names: list[str], below: list[pa.Array], missing: Sequence[str]) -> bool:
    """Return whether numbers are names: 0..n-1, or whole and different above decimal numbers, or years."""
    if len(set(names)) < len(names) or not all(re.search(_WHOLE, name) for name in names):
        return False
    values = [int(name) for name in names]
    if len(values) > 2 and values == list(range(len(values))):
        return True
    whole_below = [_is_all(column, r"^\s*[-+]?[0-9]+\s*$", missing) for column in below]
    years = len(values) > 2 and all(1800 <= value <= 2200 for value in values)
    consecutive = values == list(range(values[0], values[0] + len(values)))
    return not any(whole_below) or (years and consecutive)


def counts_from_zero(column: pa.Array) -> bool:
    """Return whether the cells are 0, 1, 2, ..."""
    return len(column) > 0 and all(cell.as_py() == str(k) for k, cell in enumerate(column))


def made_names(cells: list[str], index_candidate: bool, notes: list[str]) -> list[str]:
    """Return names that are all different and not empty."""
    names: list[str] = []
    taken = set(cells)
    given: set[str] = set()
    for number, cell in enumerate(cells):
        name = wanted = cell or ("index" if number == 0 and index_candidate else f"column_{number}")
        if not cell or cell in given:
            name = next(each for each in _numbered(wanted, start=bool(cell)) if each not in taken)
        given.add(cell)
        taken.add(name)
        if not cell:
            notes.append(f"Column {number + 1} has no name: it is called {name!r}.")
        elif name != cell:
            notes.append(f"Column {number + 1} has a name that occurs before, {cell!r}: it is called {name!r}.")
        names.append(name)
    return names


def _numbered(name: str, start: bool) -> Iterator[str]:
    """Yield name (unless a number is a must), name_1, name_2, ..."""
    if not start:
        yield name
    yield from (f"{name}_{count}" for count in itertools.count(1))
