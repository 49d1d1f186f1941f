"""Where the lines of a file are, what stands at the same place of each, and where each id of a part stands among the others.

Python objects would do the same. At 100,000 of them in random order each one that is touched finds the processor's cache cold, and to keep lines, cut
ids out of them and look these up in a dict costs half of what it costs to decode them.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.intp]
Data = bytes | mmap.mmap
_BLOCK: Final = 1 << 19  # bytes that are looked through at once: few enough to stay in the processor's cache
_NEWLINE: Final = 10
_WORD: Final = 8  # bytes that are taken as one number
_ODD: Final = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: its powers are far from each other


def line_ends(data: Data, check: Callable[[], None]) -> Places:
    """Bytes from the beginning to behind each line end; the last line may have none. check: called once in a while."""
    found, seen = np.frombuffer(data, dtype=np.uint8), []
    for at in range(0, len(found), _BLOCK):
        check()
        seen.append(np.flatnonzero(found[at : at + _BLOCK] == _NEWLINE) + (at + 1))
    if len(found) and found[-1] != _NEWLINE:
        seen.append(np.array([len(found)]))
    return np.concatenate(seen) if seen else np.empty(0, dtype=np.intp)


def pieces(data: Data, begins: Places, size: int) -> bytes:
    """`size` bytes from each beginning on, one piece behind the other; b"" when one of them would reach over the end."""
    if not len(begins) or begins.max() > len(data) - size:
        return b""
    # Overlapping pieces, one from every byte on: taking the wanted ones out copies each as a whole.
    from_every_byte = np.ndarray((len(data) - size + 1,), dtype=f"S{size}", buffer=data, strides=(1,))
    return from_every_byte[begins].tobytes()


def places(wanted: bytes, among: bytes, n_ids: int) -> Places | None:
    """For each wanted id its place in `among`, both one id behind the other; None unless both hold the same ids, each once and all of one length."""
    if not n_ids or len(wanted) % n_ids or len(wanted) != len(among):
        return None
    ours, theirs = _as_numbers(wanted, n_ids), _as_numbers(among, n_ids)
    found = np.empty(n_ids, dtype=np.intp)
    found[np.argsort(_mixed(ours))] = np.argsort(_mixed(theirs))
    # Two ids may have one number, and two lists may differ: then something does not stand where it should.
    return found if np.array_equal(theirs[found], ours) else None


def _as_numbers(ids: bytes, n_ids: int) -> NDArray[np.uint64]:
    """Shape (n_ids, words of an id)."""
    size = len(ids) // n_ids
    padded = np.zeros((n_ids, -(-size // _WORD) * _WORD), dtype=np.uint8)
    padded[:, :size] = np.frombuffer(ids, dtype=np.uint8).reshape(n_ids, size)
    return padded.view(np.uint64)


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One number per id, shape (n_ids,): any sum with odd weights that spreads over 64 bits will do."""
    weights = np.array([pow(_ODD, power, 1 << 64) for power in range(1, numbers.shape[1] + 1)], dtype=np.uint64)
    mixed: NDArray[np.uint64] = (numbers * weights).sum(axis=1, dtype=np.uint64)
    return mixed
