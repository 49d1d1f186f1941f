"""A whole part brought into another order: where each id stands among the others, and rows that are taken up in any order.

A dict of rows would do the same. At 100,000 ids in random order each look-up finds the processor's cache cold three times over, and objects of 900
bytes that are freed in another order than they were made keep the allocator busy; the two cost more than to decode the lines that they came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, islice
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.intp]
_WORD: Final = 8  # bytes that are taken as one number
_ODD: Final = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: its powers are far from each other


class Pile:
    """Rows put down one behind the other, in memory that is used again after `clear`."""

    def __init__(self) -> None:
        self._memory, self._ends = bytearray(), [0]

    def __len__(self) -> int:
        return len(self._ends) - 1

    def clear(self) -> None:
        """Begin anew."""
        self._ends = [0]

    def put(self, rows: Sequence[str]) -> None:
        """Put rows down behind the others, as UTF-8."""
        at, text = self._ends[-1], "".join(rows)
        data = text.encode()
        # In plain ASCII a letter is a byte, and nothing has to be encoded row by row to know where it ends.
        sizes = map(len, rows if len(data) == len(text) else map(str.encode, rows))
        self._memory[at : at + len(data)] = data
        self._ends += islice(accumulate(sizes, initial=at), 1, None)

    def take(self, places: Places) -> Taken:
        """The rows at these places, until `clear`."""
        ends = np.array(self._ends)
        return Taken(self._memory, ends[places], ends[places + 1])


class Taken(Sequence[memoryview]):
    """Some rows of a pile, looked at where they lie. The pile takes no more rows while any of them is held."""

    def __init__(self, memory: bytearray, begins: Places, ends: Places) -> None:
        self._memory, self._begins, self._ends = memory, begins, ends

    def __len__(self) -> int:
        return len(self._begins)

    @overload
    def __getitem__(self, place: int) -> memoryview: ...
    @overload
    def __getitem__(self, place: slice) -> list[memoryview]: ...
    def __getitem__(self, place: int | slice) -> memoryview | list[memoryview]:
        memory = memoryview(self._memory)
        if isinstance(place, int):
            return memory[self._begins[place] : self._ends[place]]
        return [memory[begin:end] for begin, end in zip(self._begins[place].tolist(), self._ends[place].tolist(), strict=True)]


def places(wanted: Sequence[str], among: Sequence[str]) -> Places | None:
    """For each wanted id, each named once, its place in `among`; None unless both hold the same ids, all of one length."""
    lengths = set(map(len, wanted)) | set(map(len, among))
    if len(wanted) != len(among) or len(lengths) != 1:
        return None
    size = lengths.pop()
    ours, theirs = _as_numbers(wanted, size), _as_numbers(among, size)
    if ours is None or theirs is None:
        return None
    found = np.empty(len(wanted), dtype=np.intp)
    found[np.argsort(_mixed(ours))] = np.argsort(_mixed(theirs))
    # Two ids may have one number, and two lists may differ: then something does not stand where it should.
    return found if np.array_equal(theirs[found], ours) else None


def _as_numbers(ids: Sequence[str], size: int) -> NDArray[np.uint64] | None:
    """Shape (n_ids, words of an id); None when an id is not plain ASCII."""
    text = "".join(ids)
    if not text.isascii():
        return None
    padded = np.zeros((len(ids), -(-size // _WORD) * _WORD), dtype=np.uint8)
    padded[:, :size] = np.frombuffer(text.encode("ascii"), dtype=np.uint8).reshape(len(ids), size)
    return padded.view(np.uint64)


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One number per id, shape (n_ids,): any sum with odd weights that spreads over 64 bits will do."""
    weights = np.array([pow(_ODD, power, 1 << 64) for power in range(1, numbers.shape[1] + 1)], dtype=np.uint64)
    mixed: NDArray[np.uint64] = (numbers * weights).sum(axis=1, dtype=np.uint64)
    return mixed
