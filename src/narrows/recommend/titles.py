"""Items as people write them: by title or id, several with commas, some with a rating."""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from narrows.errors import DataError

MOST_PARTS = 8
"""No title is looked for that has more commas than this, less one."""

_SHOWN = 4
_ARTICLES = "the|a|an|la|le|les|il|el|los|las|der|die|das"


def _plain(title: str) -> str:
    text = "".join(c for c in unicodedata.normalize("NFKD", title.casefold()) if not unicodedata.combining(c))
    return " ".join(text.split())


def plain_title(title: str) -> str:
    """Bring a title to the form in which titles are compared: without capitals and accents, its article first.

    Examples
    --------
    >>> plain_title("Godfather, The (1972)")
    'the godfather (1972)'
    """
    return re.sub(rf"^(.*?), ({_ARTICLES})(?= \(|$)", r"\2 \1", _plain(title))


class ItemNames:
    """What the items of a model may be called: ids as plain values, and titles by id, as far as they are known.

    Examples
    --------
    >>> names = ItemNames([1, 2, 3], {1: "Heat (1995)", 2: "Alien (1979)", 3: "Aliens (1986)"})
    >>> [names.found(way, text) for way, text in enumerate(["heat (1995)", "2", "Alien", "hea"])]
    [[1], [2], [2], [1]]
    """

    WAYS = 4
    """In turn: the whole title, the id, the title without its year, the beginning of the title."""

    def __init__(self, items: Iterable[Any], titles: dict[Any, str]) -> None:
        self.titles = titles
        whole: dict[str, list[Any]] = defaultdict(list)
        bare: dict[str, list[Any]] = defaultdict(list)
        ids = {str(item): [item] for item in items}
        # A title may be begun with its article or without.
        self._begun: list[tuple[str, str, Any]] = []
        for (item,) in ids.values():
            if title := titles.get(item):
                plain = plain_title(title)
                whole[plain].append(item)
                bare[re.sub(r" ?\([0-9]{4}(?:[-–][0-9]{0,4})?\)$", "", plain)].append(item)
                self._begun.append((plain, _plain(title), item))
        self._exact = (whole, ids, bare)

    def found(self, way: int, text: str) -> list[Any]:
        """Return the ids of the items that a text may mean, in one of the four ways."""
        plain = text if way == 1 else plain_title(text)
        if way < 3:
            return self._exact[way].get(plain, [])
        if not plain or plain.isdigit():
            # It is a number that no item has, and no title.
            return []
        return [item for title, other, item in self._begun if title.startswith(plain) or other.startswith(plain)]

    def near(self, text: str) -> tuple[float, list[str]]:
        """Return how near the nearest title (or id) is, and the names of those near, the nearest first."""
        plain, (whole, ids, bare) = plain_title(text), self._exact
        known = {**(ids if not whole else {}), **bare, **whole}
        close = difflib.get_close_matches(plain, known, n=_SHOWN, cutoff=0.6)
        ratio = difflib.SequenceMatcher(None, close[0], plain).ratio() if close else 0.0
        return ratio, list(dict.fromkeys(self.called(known[key][0]) for key in close))

    def called(self, item: Any) -> str:
        """Return the title of an item, or else its id."""
        return self.titles.get(item) or str(item)


def read_items(text: str, names: ItemNames, flag: str) -> list[Any]:
    """Read items that are named by title or id, with commas between them."""
    entries = _entries(text, names, flag)
    if any(rating is not None for _, rating in entries):
        raise DataError(f"{flag} takes items without ratings: leave '::' and what follows out.")
    return [item for item, _ in entries]


def read_history(text: str, names: ItemNames, flag: str = "--history") -> list[Any]:
    """Read what someone has: items by title or id, each perhaps with ``::`` and a rating.

    Titles may have commas in them: the longest known title counts. Quotes around one do no harm. What is returned are
    ids, or pairs of id and rating.

    Examples
    --------
    >>> names = ItemNames([1, 2], {1: "Godfather, The (1972)", 2: "Heat (1995)"})
    >>> read_history("Godfather, The (1972)::5, heat::4.5", names)
    [(1, 5.0), (2, 4.5)]
    >>> read_history("2, the godfather", names)
    [2, 1]
    """
    entries = _entries(text, names, flag)
    bare = [item for item, rating in entries if rating is None]
    if bare and len(bare) < len(entries):
        raise DataError(
            f"{flag} has ratings for some items and none for {names.called(bare[0])!r}: all of them or none."
        )
    return bare or entries


def _entries(text: str, names: ItemNames, flag: str) -> list[tuple[Any, float | None]]:
    parts = text.split(",")
    found: list[tuple[Any, float | None]] = []
    start = 0
    while start < len(parts):
        if not parts[start].strip():
            start += 1
            continue
        start, item, rating = _entry(_readings(parts, start), names, flag)
        found.append((item, None if rating is None else _number(rating, names.called(item), flag)))
    if not found:
        raise DataError(f"{flag} is empty: write titles or ids, as in {flag} 'Toy Story (1995)::5, Heat (1995)::4'.")
    return found


def _readings(parts: list[str], start: int) -> list[tuple[int, str, str | None]]:
    """Return what may be the next entry, the longest first: where it ends, a name, and the text of a rating."""
    found = []
    for stop in range(start + 1, min(len(parts), start + MOST_PARTS) + 1):
        # A rating ends an entry.
        name, colons, text = ",".join(parts[start:stop]).partition("::")
        name, rating = name.strip(), text.strip() if colons else None
        if len(name) > 1 and name[0] == name[-1] == '"':
            found.append((stop, name[1:-1].strip(), rating))
        found.append((stop, name, rating))
        if colons:
            break
    return found[::-1]


def _entry(readings: list[tuple[int, str, str | None]], names: ItemNames, flag: str) -> tuple[int, Any, str | None]:
    for way in range(ItemNames.WAYS):
        for stop, name, rating in readings:
            items = names.found(way, name)
            if len(items) > 1:
                shown = " or ".join(f"{item} ({names.called(item)})" for item in items[:_SHOWN])
                raise DataError(f"{flag}: {name!r} may be {shown}: write more of the title, or the id.")
            if items:
                return stop, items[0], rating
    (_, near), name = max((names.near(name), name) for _, name, _ in readings)
    why = f"near it: {', '.join(map(repr, near))}" if near else "nor any title near it"
    if not near and not names.titles:
        why = "and no titles are known: give them with --items FILE"
    raise DataError(f"{flag}: there is no item {name!r}, {why}.")


def _number(text: str, name: str, flag: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not abs(found) < float("inf"):
        raise DataError(f"{flag}: the rating of {name!r}, after '::', must be a number, got {text!r}.")
    return found
