"""Is a text mainly English? The rules on abstentions know English only, so answers in another language are counted.

A heuristic that would rather miss than accuse: most letters are of another script, or a text of at least three words holds two or more words that
are common in another language, strange to English and rare in names, and more of them than of common English words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

_READ: Final = 400  # characters of each text
_SIGNS: Final = "\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u2022\u00a0"  # of no word
_FEWEST_LETTERS: Final = 2
_FEWEST_WORDS: Final = 3
_ENGLISH: Final = (
    "the of and to is was were are it that this with for as by not from be has have had which on at or an his her its they he she who what "
    "when where does do did no any there their about into said than then would could can will i you we my your our know"
)
_FOREIGN: Final = (
    # Spanish, Portuguese, Italian, French
    "que es una por para con como pero más muy está esta este eso no sé lo se su fue son hay é uma não são com mas muito isso foi eu sei ele ela "
    "che è per sono questo questa della dalla nel nella gli non so lo stato il et est pas ne je tu il elle nous vous dans sur ce cette qui une "
    "des ces sont était avec sais réponse respuesta risposta resposta aux leur texto dice pasaje pregunta testo chiaro texte "
    # German, Dutch, the Nordic languages
    "und ist nicht ich weiß weiss das ein eine einer einen dem auf mit sich auch wird wurde es sie wir ihr kein keine dass antwort het een niet ik "
    "weet steht frage dat voor zijn wordt dit och är inte jag vet det som ett på og er ikke jeg ved hvem ja olen en tiedä "
    # Polish, Czech, Turkish, Indonesian, Vietnamese
    "nie wiem jest się na że jak nevím není je to ve ale ve bu bilmiyorum değil ve saya tidak tahu yang dan ini itu tôi không biết là của"
)
_BOTH: Final = (
    "no so as on do es lo se su la an en to is ja ve van per son fue dan hay des the we he she it i ne tu ce non come sur que see er det das sie dem "
    "na je il et una con com mas dit est"
)
"""Words of other languages that also are English, or stand in names and titles."""


def _pattern(words: str, but: str = "") -> str:
    return r"\b(?:" + "|".join(sorted({*words.split()} - {*but.split()})) + r")\b"


_ENGLISH_WORD: Final = _pattern(_ENGLISH)
_FOREIGN_WORD: Final = _pattern(_FOREIGN, f"{_BOTH} {_ENGLISH}")


def are_foreign(texts: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each text is mainly in another language than English, shape (n,); cheap for some thousands at once."""
    if not texts:
        return np.zeros(0, dtype=np.bool_)
    # Lowered first: a search that has to know every letter in two forms takes five times as long.
    heads = _series(list(map(_head, texts))).str.to_lowercase()
    n_foreign = heads.str.count_matches(_FOREIGN_WORD).to_numpy()
    is_foreign = n_foreign >= 2
    some = np.flatnonzero(is_foreign)
    if some.size:
        few = heads.gather(some)
        n_words, n_english = (few.str.count_matches(pattern).to_numpy() for pattern in (r"\p{L}+", _ENGLISH_WORD))
        is_foreign[some] = (n_words >= _FEWEST_WORDS) & (n_foreign[some] > n_english)
    some = np.flatnonzero(heads.str.len_bytes().to_numpy() > heads.str.len_chars().to_numpy())
    if some.size:
        few = heads.gather(some)
        n_letters, n_latin = (few.str.count_matches(pattern).to_numpy().astype(np.int64) for pattern in (r"\p{L}", r"\p{Latin}"))
        is_foreign[some] |= (n_letters >= _FEWEST_LETTERS) & (n_latin * 2 < n_letters)
    return is_foreign


def _head(text: str) -> str:
    """What is read of a text. Where nothing but its dashes and quotes lies beyond ASCII, the search for words is ten times as fast without them."""
    head = text[:_READ]
    if not head.isascii():
        for sign in _SIGNS:
            head = head.replace(sign, " ")
    return head


def _series(texts: Sequence[str]) -> pl.Series:
    try:
        return pl.Series("text", texts, dtype=pl.String)
    except UnicodeEncodeError:  # half of a surrogate pair
        return pl.Series("text", [text.encode("utf-8", "replace").decode() for text in texts], dtype=pl.String)
