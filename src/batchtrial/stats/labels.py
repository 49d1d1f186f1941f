"""Labels as numbers from 0 on, in the order of the labels."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SPARE: Final = 8
"""Numbers for each item up to which counting them all costs less than sorting the items."""


def codes_of(labels: ArrayLike) -> NDArray[np.intp]:
    """A code for each label, shape (n,): 0 for the least of them, then without a gap; as `np.unique` gives them.

    Whole numbers that lie closely together, as most labels of clusters here, are counted and not sorted.
    """
    own: NDArray[Any] = np.asarray(labels).ravel()
    if own.dtype.kind == "i" and own.size:
        low, high = int(own.min()), int(own.max())
        if high - low < _SPARE * own.size:
            near = own.astype(np.intp) - low
            is_there = np.bincount(near) > 0
            return near if is_there.all() else np.asarray((np.cumsum(is_there) - 1)[near], dtype=np.intp)
    return np.asarray(np.unique(own, return_inverse=True)[1], dtype=np.intp)
