"""Running a fitted module over rows: in fixed blocks, so that a row's result does not depend on the others.

Blocks are padded to a multiple of a fixed number of rows, so that one row alone is computed as it would be among a
million; and nothing is held beyond the input, the result and a block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from narrows.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from narrows.data.rows import Rows

__all__ = ["apply_in_blocks"]

PAD_ROWS = 64


def apply_in_blocks(
    module: nn.Module, rows: Rows, function: Callable[[Tensor], Tensor], shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Apply a function to all rows, a block at a time."""
    result = np.empty((rows.n_rows, *shape), dtype)
    device = next((t.device for t in [*module.parameters(), *module.buffers()]), torch.device("cpu"))
    block_rows = int(np.clip(2**19 // max(1, rows.n_features) // PAD_ROWS * PAD_ROWS, PAD_ROWS, 1024))
    module.eval()
    start = 0
    with torch.no_grad():
        for block in rows.blocks(block_rows):
            size = len(block)
            if size % PAD_ROWS:
                spare = torch.zeros((-size % PAD_ROWS, block.shape[1]), dtype=block.dtype)
                block = torch.cat([block, spare])
            found = function(block.to(device))[:size].cpu()
            if not torch.isfinite(found).all():
                _refuse_overflow(found, block[:size], start)
            result[start : start + size] = found.numpy()
            start += size
    return result


def _refuse_overflow(found: Tensor, block: Tensor, start: int) -> None:
    """Refuse finite rows whose result is not: they are too far from what the model was fitted to."""
    wrong = ~torch.isfinite(found).flatten(1).all(1) if found.ndim > 1 else ~torch.isfinite(found)
    finite = torch.isfinite(block).all(1) if block.is_floating_point() else torch.ones_like(wrong)
    # A row with missing values may have missing results, but none that are infinite.
    wrong &= finite | torch.isinf(found).reshape(len(found), -1).any(1)
    if wrong.any():
        row = int(wrong.int().argmax())
        column = int(torch.nan_to_num(block[row].double()).abs().argmax())
        raise DataError(
            f"row {start + row} is too far from what the model was fitted to for a finite result: "
            f"its column {column} holds {float(block[row, column]):g}"
        )
