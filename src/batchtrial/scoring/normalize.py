"""The three official answer normalisations, fast.

Each reproduces its benchmark's published evaluation script, quirks included: a number called SQuAD F1 must be SQuAD F1.

- SQuAD 2.0 lowers, deletes ASCII punctuation ("U.S.A." -> "usa") and keeps every other sign (curly quotes, dashes).
- TriviaQA makes ASCII punctuation and the quotes ‘ ’ ´ ` spaces ("U.S.A." -> "u s"; the last a is an article).
- NQ-Open decomposes first (NFD): a letter with an accent is a letter and a mark; "Ångström" loses its a, an article.

All three then blank the words a, an, the, wherever non-word characters stand on both sides, and squeeze white space.

How it is fast: one `bytes.translate` lowers, deletes and blanks in a single pass over UTF-8, where no byte of a longer
character is below 128. Articles then are whole tokens, unless a sign that is neither a word character nor white space
touches one; a scan for such signs decides whether the regular expression of the scripts has to run.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

ARTICLE = re.compile(r"\b(?:a|an|the)\b")
ARTICLES = frozenset(("a", "an", "the"))

# A byte that may belong to a sign, beside what may be an article: never misses one, may suspect too many.
_SUSPECT = re.compile(rb"[\x00-\x08\x0e-\x1b\x7f-\xff](?:(?=a|the)|(?<=[ane].))", re.DOTALL)
_MAX_SCANNED = 64  # longer characters in a text; beyond it the scan costs more than the regular expression
_CONTROL = 1  # stands for every control character that is no white space
_PUNCTUATION = string.punctuation.encode("ascii")
_ASCII = bytes(range(128))


def _blanking(spaced: bytes) -> bytes:
    """Byte to byte: `spaced` and white space blanked, all else kept."""
    blank = spaced + bytes(code for code in range(128) if chr(code).isspace())
    return bytes.maketrans(blank, b" " * len(blank))


def _folding(spaced: bytes) -> bytes:
    """For plain ASCII: `spaced` and white space blanked, letters lowered, other control characters made one."""
    table = bytearray(_blanking(spaced))
    for code in (*range(32), 127):
        table[code] = 32 if chr(code).isspace() else _CONTROL
    for letter in string.ascii_uppercase:
        table[ord(letter)] = ord(letter.lower())
    return bytes(table)


_BETWEEN = "\0"  # stands between texts that pass a table together


@cache
def _keeping_borders(folding: bytes) -> bytes:
    """The table with the sign between texts left as it is."""
    table = bytearray(folding)
    table[ord(_BETWEEN)] = ord(_BETWEEN)
    return bytes(table)


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalizer:
    """One official normalisation; call it for the normalised string.

    fold: lowers a text, with what the script does before that.
    deleted: ASCII signs that vanish.
    folding, blanking: byte tables, for plain ASCII in one pass and for text that is folded already.
    """

    name: str
    fold: Callable[[str], str]
    deleted: bytes
    folding: bytes
    blanking: bytes

    def __call__(self, text: str) -> str:
        return " ".join(self.tokens(text))

    def tokens(self, text: str) -> list[str]:
        """Normalised tokens, articles left out."""
        return [token for token in self.blanked(text).split() if token not in ARTICLES]

    def all_tokens(self, texts: Sequence[str]) -> list[list[str]]:
        """`tokens` of each text, and cheaper."""
        return [[token for token in spaced.split() if token not in ARTICLES] for spaced in self.all_spaced(texts)]

    def all_spaced(self, texts: Sequence[str]) -> list[str]:
        """`blanked` of each text with a space before and behind it, and cheaper: those in plain ASCII pass the table in one row."""
        plain = [text for text in texts if text.isascii()]
        row = f" {f' {_BETWEEN} '.join(plain)} "
        if plain and row.count(_BETWEEN) == len(plain) - 1:
            raw = row.encode("ascii").translate(_keeping_borders(self.folding), self.deleted)
            if _CONTROL not in raw:
                done = raw.decode("ascii").split(_BETWEEN)
                if len(done) == len(texts):
                    return done
                next_one = iter(done).__next__
                return [next_one() if text.isascii() else f" {self.blanked(text)} " for text in texts]
        return [f" {self.blanked(text)} " for text in texts]

    def blanked(self, text: str) -> str:
        """Lowered, without punctuation; any article left in it is a whole token, so the rest is a matter of splitting at plain spaces.

        Every token of the normalised text is a substring of this string; not every substring is a token.
        """
        raw = text.encode("utf-8", "surrogatepass")
        # What stands beyond ASCII is mostly a dash or a quote here and there, of which folding changes nothing: then the table lowers the rest.
        beyond = "" if len(raw) == len(text) else raw.translate(None, _ASCII).decode("utf-8", "surrogatepass")
        if not beyond or self.fold(beyond) == beyond:
            raw = raw.translate(self.folding, self.deleted)
            is_done = _CONTROL not in raw
        else:
            is_done = False
        if not is_done:
            raw = self.fold(text).encode("utf-8", "surrogatepass").translate(self.blanking, self.deleted)
        folded = raw.decode("utf-8", "surrogatepass")
        if is_done and not beyond:
            return folded
        is_safe = len(raw) - len(folded) <= _MAX_SCANNED and _SUSPECT.search(raw) is None
        folded = folded if is_safe else ARTICLE.sub(" ", folded)
        # Unicode has more spaces than one; folding makes none.
        return " ".join(folded.split()) if beyond and beyond.split() != [beyond] else folded


def _fold_squad(text: str) -> str:
    return text.lower()


def _fold_triviaqa(text: str) -> str:
    # Underscores before lowering, as in the script: the small form of a capital sigma depends on its neighbours.
    return text.replace("_", " ").lower().replace("‘", " ").replace("’", " ").replace("´", " ")


def _fold_nq_open(text: str) -> str:
    return unicodedata.normalize("NFD", text).lower()


def _deleting(name: str, fold: Callable[[str], str]) -> Normalizer:
    return Normalizer(name=name, fold=fold, deleted=_PUNCTUATION, folding=_folding(b""), blanking=_blanking(b""))


SQUAD = _deleting("squad_v2", _fold_squad)
NQ_OPEN = _deleting("nq_open", _fold_nq_open)
TRIVIAQA = Normalizer(name="triviaqa", fold=_fold_triviaqa, deleted=b"", folding=_folding(_PUNCTUATION), blanking=_blanking(_PUNCTUATION))
