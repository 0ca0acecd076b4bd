"""What a codec learns from rows, by kind of data: pictures, a table, or codes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from narrows.codec import engines
from narrows.codec.checking import bounds_of
from narrows.codec.codes import fit_codes
from narrows.codec.columns import TableForm

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from narrows.codec.codec import Codec
    from narrows.codec.layout import Given

__all__ = ["Learned", "learn"]


@dataclass(frozen=True)
class Learned:
    """A fitted engine and how it came about.

    Attributes
    ----------
    engine : Engine
        What codes blocks.
    history : list
        What the model noted.
    rate_distortion : list of dict or None
        For codes alone.
    """

    engine: engines.Engine
    history: list[Any]
    rate_distortion: list[dict[str, Any]] | None = None


def learn(
    codec: Codec, given: Given, fit: np.ndarray, held: np.ndarray, seed: int, tell: Callable[[Any], None]
) -> Learned:
    """Learn from the rows to fit; those held out choose the step of a code."""
    if codec.code_only:
        engine, curve, history = fit_codes(given, held, fit, codec.n_components, codec.max_seconds, seed, tell)
        return Learned(engine, history, curve)
    layout = given.layout
    chosen = given.pick(fit)
    if layout.picture is not None:
        model = engines.model_class("pictures").fit(
            chosen.parts[0], max_seconds=codec.max_seconds, random_state=seed, progress=tell
        )
        return Learned(engines.PictureEngine(model, layout.picture), _noted(model))
    started = time.monotonic()
    schema = layout.schema()
    form = TableForm.learn(schema, chosen.parts, bounds_of(codec, layout))
    model = None
    if form.kinds:
        left = max(1.0, codec.max_seconds - (time.monotonic() - started))
        codes = form.encode(chosen.parts, schema).codes
        model = engines.model_class("table").fit(
            codes, kinds=form.kinds, max_seconds=left, random_state=seed, progress=tell
        )
    return Learned(engines.TableEngine(form, model), _noted(model))


def _noted(model: Any) -> list[Any]:
    return list(getattr(model, "history", []))
