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


@cache
def _keeping_line_ends(folding: bytes) -> bytes:
    """The table with line ends left as they are."""
    table = bytearray(folding)
    table[ord("\n")] = ord("\n")
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
        """`tokens` of each text; cheaper for some short ones, which pass the table in one row."""
        row = "\n".join(texts)
        if texts and row.isascii() and row.count("\n") == len(texts) - 1:
            raw = row.encode("ascii").translate(_keeping_line_ends(self.folding), self.deleted)
            if _CONTROL not in raw:
                return [[token for token in line.split() if token not in ARTICLES] for line in raw.decode("ascii").split("\n")]
        return [self.tokens(text) for text in texts]

    def blanked(self, text: str) -> str:
        """Lowered, without punctuation; any article left in it is a whole token, so the rest is a matter of splitting.

        Every token of the normalised text is a substring of this string; not every substring is a token.
        """
        if text.isascii():
            raw = text.encode("ascii").translate(self.folding, self.deleted)
            if _CONTROL not in raw:
                return raw.decode("ascii")
        raw = self.fold(text).encode("utf-8", "surrogatepass").translate(self.blanking, self.deleted)
        folded = raw.decode("utf-8", "surrogatepass")
        is_safe = len(raw) - len(folded) <= _MAX_SCANNED and _SUSPECT.search(raw) is None
        return folded if is_safe else ARTICLE.sub(" ", folded)


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
