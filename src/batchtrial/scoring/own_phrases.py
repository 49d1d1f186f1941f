"""Abstentions in words that a config names: another language, or a wording that the rules for English do not know."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from batchtrial.scoring.abstention import clauses_of, is_abstention
from batchtrial.scoring.phrases import kind_of

_LONGEST: Final = 2000  # characters; a longer answer says something
_GAP: Final = "ǂ"  # a letter of no language with phrases for this; stands for `*` while a phrase is brought into form; no text has it


@dataclass(frozen=True)
class OwnPhrases:
    """Decides as `is_abstention` does, with further phrases.

    phrases: each is a whole answer or a clause of one, compared without case, apostrophes and signs; `*` stands for any words.
    """

    phrases: tuple[str, ...] = ()

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        forms = ["; ".join(clauses_of(phrase.replace("*", f" {_GAP} "))) for phrase in self.phrases]
        return re.compile("|".join(_gapped(re.escape(form)) for form in forms))

    def abstains(self, text: str) -> bool:
        """Whether the text declines to answer."""
        return (bool(self.phrases) and len(text) <= _LONGEST and self._is_own(text)) or is_abstention(text)

    def _is_own(self, text: str) -> bool:
        clauses = list(clauses_of(text))
        if self._pattern.fullmatch("; ".join(clauses)):
            return True
        is_own = [self._pattern.fullmatch(clause) is not None for clause in clauses]
        # As with the phrases that are known: what else is said may be an excuse, but no answer.
        return any(is_own) and all(own or kind_of(clause) != "answer" for own, clause in zip(is_own, clauses, strict=True))


def _gapped(form: str) -> str:
    """An escaped phrase with its gaps as patterns that stay inside a clause."""
    return form.replace("\\ " + _GAP, "(?: [^;]*)?").replace(_GAP + "\\ ", "(?:[^;]* )?").replace(_GAP, "[^;]*")
