"""Items as people write them: by title or id, several with commas, some with a rating."""

import difflib
import re
import unicodedata
from bisect import bisect_left
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
    text = _plain(title)
    return re.sub(rf"^(.*?), ({_ARTICLES})(?= \(|$)", r"\2 \1", text)


def _without_year(plain: str) -> str:
    return re.sub(r" ?\([0-9]{4}(?:[-–][0-9]{0,4})?\)$", "", plain)


class ItemNames:
    """What the items of a model may be called: ids as plain values, and titles by id, as far as they are known.

    Examples
    --------
    >>> names = ItemNames([1, 2, 3], {1: "Heat (1995)", 2: "Alien (1979)", 3: "Aliens (1986)"})
    >>> [names.found(how, text) for how, text in enumerate(["heat (1995)", "2", "Alien", "hea"])]
    [[1], [2], [2], [1]]
    """

    WAYS = 4
    """In turn: the whole title, the id, the title without its year, the beginning of the title."""

    def __init__(self, items: Iterable[Any], titles: dict[Any, str]) -> None:
        self.titles = titles
        self._ids = {str(item): item for item in items}
        self._whole: dict[str, list[Any]] = {}
        self._bare: dict[str, list[Any]] = {}
        for item, title in self._titled():
            plain = plain_title(title)
            self._whole.setdefault(plain, []).append(item)
            self._bare.setdefault(_without_year(plain), []).append(item)
        # A title may be begun with its article or without.
        both = {(form, item) for item, title in self._titled() for form in (_plain(title), plain_title(title))}
        self._sorted = sorted(both, key=lambda pair: pair[0])

    def found(self, way: int, text: str) -> list[Any]:
        """Return the ids of the items that a text may mean, in one of the four ways."""
        if way == 1:
            return [self._ids[text]] if text in self._ids else []
        plain = plain_title(text)
        if way != 3:
            return (self._bare if way else self._whole).get(plain, [])
        if not plain or plain.isdigit():
            # It is a number that no item has, and no title.
            return []
        items = []
        for title, item in self._sorted[bisect_left(self._sorted, plain, key=lambda pair: pair[0]) :]:
            if not title.startswith(plain):
                break
            items.append(item)
        return list(dict.fromkeys(items))

    def _titled(self) -> list[tuple[Any, str]]:
        return [(item, title) for item in self._ids.values() if (title := self.titles.get(item))]

    def near(self, text: str) -> list[tuple[float, str]]:
        """Return how near the nearest titles (or ids) are, and these, the nearest first."""
        plain = plain_title(text)
        by_text = {**{key: key for key in self._ids}, **self._whole, **self._bare} if self._whole else self._ids
        close = difflib.get_close_matches(plain, by_text, n=_SHOWN, cutoff=0.6)
        found: dict[str, float] = {}
        for key in close:
            # The nearest first, so of a title with and without its year the nearer counts.
            found.setdefault(self.called(self._first(key)), difflib.SequenceMatcher(None, key, plain).ratio())
        return [(ratio, name) for name, ratio in found.items()]

    def _first(self, key: str) -> Any:
        items = self._whole.get(key) or self._bare.get(key)
        return items[0] if items else self._ids[key]

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
    rated = [rating is not None for _, rating in entries]
    if all(rated):
        return entries
    if any(rated):
        item = names.called(entries[rated.index(False)][0])
        raise DataError(f"{flag} has ratings for some items and none for {item!r}: give all of them one, or none.")
    return [item for item, _ in entries]


def _entries(text: str, names: ItemNames, flag: str) -> list[tuple[Any, float | None]]:
    parts = text.split(",")
    found, start = [], 0
    while start < len(parts):
        if not parts[start].strip():
            start += 1
            continue
        stop, item, rating = _entry(_readings(parts, start), names, flag)
        found.append((item, None if rating is None else _number(rating, names.called(item), flag)))
        start = stop
    if not found:
        raise DataError(f"{flag} is empty: write titles or ids, as in {flag} 'Toy Story (1995)::5, Heat (1995)::4'.")
    return found


def _readings(parts: list[str], start: int) -> list[tuple[int, str, str | None]]:
    """Return what may be the next entry, the longest first: where it ends, a name, and the text of a rating."""
    found = []
    for stop in range(start + 1, min(len(parts), start + MOST_PARTS) + 1):
        # A rating ends an entry.
        name, colons, rating = ",".join(parts[start:stop]).partition("::")
        name = name.strip()
        if len(name) > 1 and name[0] == name[-1] == '"':
            found.append((stop, name[1:-1].strip(), rating.strip() if colons else None))
        found.append((stop, name, rating.strip() if colons else None))
        if colons:
            break
    return found[::-1]


def _entry(readings: list[tuple[int, str, str | None]], names: ItemNames, flag: str) -> tuple[int, Any, str | None]:
    for way in range(ItemNames.WAYS):
        for stop, name, rating in readings:
            items = names.found(way, name)
            if len(items) > 1:
                raise DataError(_ambiguous(name, items, names, flag))
            if items:
                return stop, items[0], rating
    raise DataError(_unknown([name for _, name, _ in readings], names, flag))


def _ambiguous(name: str, items: list[Any], names: ItemNames, flag: str) -> str:
    titles = [names.called(item) for item in items]
    shown = [f"{item} ({title})" if titles.count(title) > 1 else repr(title) for item, title in zip(items, titles)]  # noqa: B905
    more = f", or {len(shown) - _SHOWN:,} others" if len(shown) > _SHOWN else ""
    way = "write its id" if len(set(titles)) == 1 else "write more of the title, or the id"
    return f"{flag}: {name!r} may be {' or '.join(shown[:_SHOWN])}{more}: {way}."


def _unknown(readings: list[str], names: ItemNames, flag: str) -> str:
    near = [(names.near(name), name) for name in readings]
    best = max(near, key=lambda pair: pair[0][0][0] if pair[0] else 0.0)
    if best[0]:
        shown = ", ".join(repr(name) for _, name in best[0])
        return f"{flag}: there is no item {best[1]!r}; near it {'are' if len(best[0]) > 1 else 'is'} {shown}."
    why = "nor any title near it" if names.titles else "and no titles are known: give them with --items FILE"
    return f"{flag}: there is no item {readings[-1]!r}, {why}."


def _number(text: str, name: str, flag: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not abs(found) < float("inf"):
        raise DataError(f"{flag}: the rating of {name!r}, after '::', must be a number, got {text!r}.")
    return found
