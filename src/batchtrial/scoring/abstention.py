"""Is this answer an abstention: "I don't know.", "The passage does not say.", "Unanswerable"?

Rules for English, read clause by clause. An answer abstains when at least one clause abstains and no clause is left that could be
an answer: what remains may only be politeness, talk about what the passage does contain, or an offer to look again. So "I don't
know, but I think it is Paris" answers, and so does "The Tomb of the Unknown Soldier".

Text and phrases meet in one form: lower case, apostrophes of every shape dropped ("don't", "don’t" and "dont" are the same), other
signs blanked. An answer without a letter, digit or symbol abstains too. For other languages, and for wordings that are not known here,
`own_phrases` adds those that a config names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from batchtrial.scoring import phrases

# Characters in which an abstention shows itself: the first sentence, unless it is short or talks about the passage.
_SHORT_HEAD, _HEAD = 40, 240
_HEAD_OF_A_FACT = 160  # characters within which a sentence about some fact names the passage, the answer or knowing
_HEAD_OF_A_SAYING = 64
_LONG = 500  # characters; a longer text that abstains opens in one of the usual ways

# Each abstaining clause has one of these in it, before apostrophes are dropped.
_CUES = (
    "not", "n't", "no ", "dont", "doesnt", "cant", "never", "unk", "una", "unc", "unsp", "unsu", "undet", "insuff", "n/a",
    "idk", "dunno", "imposs", "fail", "neither", "nobody", "none", "nowhere", "lack", "absent", "missing", "omit", "silent", "left", "leaves",
    "beyond", "outside", "hard to", "difficult", "indeterm", "beats me", "who knows", "who can", "search me", "guess", "inadequate", "too ",
    "vague", "declin", "abstain", "i pass", "need", "requir", "irrelevant", "unrelated", "little", "unavail", "isn", "wasn",
)  # fmt: skip
# Words of sayings, of which there are many; at the beginning of a word, so that one search finds any.
_SAYING = re.compile(
    r"\b(?:god|heaven|lord|goodness|history|record|source|historian|chronicle|archive|document|scholar|expert|evidence|literature|guess|lost|got me"
    r"|omitt|narrator|tell us|find anything|slightest|myster|puzzle|escape|elude|slip|ring a|above my|specul|conject|left|knows|blank|stump|baffl"
    r"|clue|idea|at a loss|wish|to know|wiser|in the dark|my depth"
    r"|bell|withh|skip|ignore|skirt|glosse|passe|keeps|kept|remains|stays|hides|wonder|imagin|telling|un(?:n|m|d|id|re|ex|told|an|ad))"
)
# First words of an abstention, before apostrophes are dropped. "The" and the connecting words are the commonest first words of answers, so
# that they say nothing alone: such a sentence has to speak of the passage, of the answer or of knowing.
_OPENING = re.compile(
    r"\W*(?:(?P<open>i|id|more|further|additional|im|ive|we|were|you|one|it|its|thats|there|theres|no|not|none|nothing|nobody|nowhere|neither"
    r"|imposs\w+|hard|difficult|indeterm\w+|beats|who|search|havent|un\w+|can\w*|could\w*|do|don|dont|doesnt|does|never"
    r"|insufficient|information|idk|dunno|sorry|apologies|well|hmm+|honestly|ok|okay|absolutely|answer|final|short|correct|explanation"
    r"|reason|reasoning|note|please|a(?=[^\w ])|n(?=/)"
    r"|the (?:given |provided |above )*(?:passage|text|context|article|document|paragraph|excerpt|source|information|answer|question))"
    r"|this|that|my|based|according|from|given|in|with|using|as|since|because|and|so|thus|hence|therefore|to|however|but|although|though"
    r"|while|would|your|any|such|only|provided|supplied|source|above|really|simply|they|which|nor|or|thank|thanks|sadly|regrettably|alas|without)\b"
)
_SUBJECTS = (
    "passage", "text", "context", "article", "document", "paragraph", "excerpt", "source", "information", "story", "snippet", "answer",
    "question", "mention", "stated", "specif", "indicat", "detail", "know", "determin", "sure", "i can", "i do", "i'm", "i am", "named",
    "given", "provided", "recorded", "identif", "listed", "disclosed", "told", "infer", "establish", "there", "available", "author", "writer",
    "pinpoint", "confirmed", "verified", "included", "covered", "my ", "clear", "material", "sentence",
    "unsa", "unst", "unsp", "unkn", "explained", "something", "needed", "required", "name", "date", "year", "number", "reason", "figure", "place",
    "reveal", "reported", "documented", "unan", "undef", "unad", "spelled", "writer", "title", "cause", "amount", "price", "age",
)  # fmt: skip
_NEGATIONS = (
    "not", "n't", "no ", "never", "unclear", "unknown", "unanswer", "imposs", "cant", "fail", "neither", "none", "nowhere", "lack", "absent",
    "missing", "omit", "silent", "left", "leaves", "beyond", "outside", "insufficient", "inadequate", "unsp", "unst", "undis", "undet", "vague",
    "irrelevant", "unrelated", "little", "unavail", "isn", "wasn",
)  # fmt: skip
_ASCII_APOSTROPHES = ("'", "`")
_APOSTROPHES = (*_ASCII_APOSTROPHES, "’", "‘", "ʼ", "´")
_CUES_BEYOND_ASCII = _CUES + tuple(f"n{sign}t" for sign in _APOSTROPHES)

# A title that reads like an abstention: "I Don't Know How She Does It", "Nobody Knows".
_TITLED = re.compile(
    r"(?:i |you |we |they )?(?:don.?t|do not|never) (?:want to |really )?know (?:how|why|what|who|where|when|if|that|about|anything|much|you|me)\b.*"
    r"|(?:nobody|no one|god|heaven|who|lord|goodness) (?:only |really |ever )?knows?\b.*|i wish i knew\b.*|you.{0,4} got me.*",
    re.DOTALL,
)
_SMALL_WORDS = frozenset(("a", "an", "the", "of", "in", "on", "to", "for", "and", "but", "or", "at", "by", "from", "with", "as"))
_WORD = re.compile(r"[^\W\d_][\w'’-]*")

# A full stop after an initial or a title ends no sentence. The stop comes first in the pattern: the search can jump to it.
_ABBREVIATION = re.compile(r"\.(?:(?<=\b[a-z]\.)|(?<=\b(?:dr|mr|ms|st|jr|sr|vs|no)\.)|(?<=\bmrs\.)|(?<=\bprof\.))(?=\w|\s+\w)")
_SENTENCE_END = re.compile(r"[.!?…;:]+(?=[^\w,]|$)|[\n—–]+")
_SIGNS = re.compile(r"[^\w, ]+")
_COMMA = re.compile(r"[ ,]*,[ ,]*")
_CONTRAST = re.compile(r"(?:^|,? )(?:but|however|though|although|yet|while|whereas)(?:,? |$)")


def is_abstention(text: str) -> bool:
    """Whether the text declines to answer; True for a text that says nothing at all."""
    return _is_short_abstention(text) if len(text) <= _SHORT_HEAD else _is_abstention(text)


def _is_abstention(text: str) -> bool:
    opening = _OPENING.match(text[:_SHORT_HEAD].lower())
    if opening is not None or len(text) <= _LONG:
        end = text.find(". ", _SHORT_HEAD, _HEAD)
        head = text[: end if end > 0 else _HEAD].lower()
        if "passage" in head or "text" in head:
            head = text[:_HEAD].lower()
        is_usual = opening is not None and opening["open"] is not None
        is_likely = _SAYING.search(head[:_HEAD_OF_A_SAYING]) is not None or (
            _has_a_cue(head) if is_usual else _has_a_negated_subject(head[:_HEAD_OF_A_FACT])
        )
        if is_likely and _abstains(text) and not _is_title(text):
            return True
    # A letter or digit says something, and settles nearly all texts; so do symbols ("+", "🐸"), punctuation does not.
    return not text[:1].isalnum() and all(unicodedata.category(sign)[0] in "PZC" for sign in text)


# A run's abstentions are a few sentences over and over, and so are its short answers.
_is_short_abstention = lru_cache(maxsize=8192)(_is_abstention)
_kind_of = lru_cache(maxsize=2048)(phrases.kind_of)


def _has_a_cue(head: str) -> bool:
    return any(cue in head for cue in (_CUES if head.isascii() else _CUES_BEYOND_ASCII))


def _has_a_negated_subject(head: str) -> bool:
    """Whether a sentence that begins with any word may deny something of the passage or the answer."""
    for cue in _NEGATIONS if head.isascii() else _CUES_BEYOND_ASCII:
        if cue in head:
            return any(subject in head for subject in _SUBJECTS)
    return False


def _is_title(text: str) -> bool:
    """Whether every word that counts begins with a capital letter, as nobody writes a sentence."""
    if _TITLED.fullmatch(text.strip().lower()) is None or text.rstrip()[-1] in ".!?…" or text.isupper():
        return False
    words = _WORD.findall(text)
    return all(word[0].isupper() for word in words if word.lower() not in _SMALL_WORDS)


def _abstains(text: str) -> bool:
    is_declined = False
    for clause in clauses_of(text):
        kind = _kind_of(clause)
        if kind == "answer":
            return False
        is_declined = is_declined or kind == "abstain"
    return is_declined


def clauses_of(text: str) -> Iterator[str]:
    """The text's clauses, sentence by sentence, in the form that the phrases are written in."""
    for sentence in _sentences(text.lower()):
        yield from _clauses(sentence)


def _sentences(lowered: str) -> Iterator[str]:
    """Lazy, since the first sentence of nearly any text settles the matter."""
    for sign in _ASCII_APOSTROPHES if lowered.isascii() else _APOSTROPHES:
        lowered = lowered.replace(sign, "")
    plain = _ABBREVIATION.sub("", lowered.replace(" - ", ". "))
    start = 0
    for end in _SENTENCE_END.finditer(plain):
        yield plain[start : end.start()]
        start = end.end()
    yield plain[start:]


def _clauses(sentence: str) -> Iterator[str]:
    """Clauses in the form that the phrases are written in: words with one space, or a comma and a space, between them."""
    if len(sentence) > phrases.LONGEST_SENTENCE:
        yield sentence
        return
    words = " ".join(_SIGNS.sub(" ", sentence).split()).strip(" ,_")
    if "," in words:
        words = _COMMA.sub(", ", words)
    if words:
        yield from (clause.strip(" ,") for clause in _CONTRAST.split(words))
