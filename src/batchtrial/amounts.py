"""Numbers with their nouns, as sentences have them."""

from __future__ import annotations


def counted(n: int, noun: str, plural: str = "") -> str:
    """`1 part`, `1,200 parts`; a plural that takes more than an s is handed in."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
