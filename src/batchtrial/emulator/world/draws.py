"""Numbers and ids drawn from a seed: pure, and the same on every machine and in every order.

Nothing here keeps a state; a draw is a function of its key alone, so an answer can be made again at any time instead of being stored.
"""

from __future__ import annotations

import hashlib
from math import gcd
from typing import Final

_SEPARATOR: Final = "\x1f"
_TWO_64: Final = float(2**64)


def digest(*key: object) -> bytes:
    """32 bytes that depend on every part of the key."""
    joined = _SEPARATOR.join(map(str, key))
    # surrogatepass: a lone surrogate in model input must not stop the server.
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).digest()


def uniform(raw: bytes, index: int = 0) -> float:
    """Number in the open interval (0, 1) from bytes 8*index .. 8*index+8 of a digest; index 0..3."""
    return (_word(raw, index) + 0.5) / _TWO_64


def pick(raw: bytes, index: int, n: int) -> int:
    """Index in 0..n-1 from the same bytes as `uniform(raw, index)`."""
    return _word(raw, index) % n


def _word(raw: bytes, index: int) -> int:
    """Bytes 8*index .. 8*index+8 as a number. Raises IndexError behind the end, where every draw would be 0."""
    if not 0 <= index < len(raw) // 8:
        raise IndexError(f"a digest of {len(raw)} bytes has no draw {index}")
    return int.from_bytes(raw[8 * index : 8 * index + 8], "big")


def token(prefix: str, *key: object, length: int = 24) -> str:
    """Prefix and `length` (up to 64) hexadecimal characters."""
    return prefix + digest(*key).hex()[:length]


def number(*key: object) -> int:
    """Signed 63-bit integer, as SQLite stores it."""
    return int.from_bytes(digest(*key)[:8], "big") >> 1


class Shuffle:
    """A fixed permutation of 0..n-1 in constant memory: position -> (a * position + b) mod n with a prime to n.

    It scatters rather than randomises, which is all that "in no particular order" asks for.
    """

    __slots__ = ("_a", "_b", "_n")

    def __init__(self, n: int, *key: object) -> None:
        raw = digest("shuffle", n, *key)
        self._n = max(n, 1)
        a = int(self._n * 0.381966) + 1 + pick(raw, 0, 97)
        while gcd(a, self._n) != 1:
            a += 1
        self._a, self._b = a, pick(raw, 1, self._n)

    def __call__(self, position: int) -> int:
        return (self._a * position + self._b) % self._n
