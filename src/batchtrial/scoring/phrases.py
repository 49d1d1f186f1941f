"""The phrases of an abstention, written in the form that `abstention` brings texts into: small letters, no apostrophes.

Every clause of a text is one of four kinds: it abstains, it is filler ("sorry", "based on the passage"), it explains what the
passage does say or asks for more, or it is none of these and so may be an answer. A phrase that is also an ordinary statement
about the world ("it is not found in Australia") must name the passage to count as an abstention.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal, NamedTuple

ClauseKind = Literal["abstain", "filler", "explain", "answer"]

LONGEST_SENTENCE = 400  # characters; a longer one says something


def _either(*phrases: str) -> str:
    return f"(?:{'|'.join(phrases)})"


_REST = "(?: [^,]*)?"
_ADVERBS = (
    "(?:(?:explicitly|directly|specifically|clearly|actually|really|even|exactly|precisely|ever|honestly|simply|currently"
    "|truly|yet|entirely|completely|fully|quite|very|seem to|appear to|100) )*"
)
_GIVEN = "(?:given|provided|above|supplied|source|reading|following)"
_PASSAGE = (
    rf"(?:(?:the|this|that|any|your|my) (?:{_GIVEN} )*|(?:{_GIVEN} )+)(?:information in the (?:{_GIVEN} )*)?"
    r"(?:passage|text|context|article|document|paragraph|excerpt|source material|information|story|snippet)s?"
    r"(?: (?:itself|above|alone|provided|given|here|you gave|you provided))*"
)
_IN_PASSAGE = rf"(?:in|by|from|within|anywhere in|with) (?:{_PASSAGE}|passage|context|text|here){_REST}"
_TELL = _either(
    "say", "state", "mention", "specify", "tell", "give", "provide", "include", "indicate", "answer", "explain", "discuss",
    "describe", "address", "reveal", "identify", "name", "list", "offer", "disclose", "clarify", "have", "define", "cover",
    "detail", "note", "report", "supply", "present", "refer", "talk", "show", "make", "confirm", "elaborate", "go into",
    "appear", "suggest", "specifies", "discusses", "addresses",
    "(?:say|state|mention|tell|give|provide|include|indicate|explain|describe|name|disclose)s",
    r"contains? (?:any|the|this|that|these|those|enough|information|an|details?|specific|sufficient|such|it)",
)  # fmt: skip
_STATED = _either(
    "stated", "mentioned", "specified", "indicated", "disclosed", "provided", "answerable", "answered", "clear", "addressed",
    "discussed", "determinable", "possible to (?:say|tell|know|determine|answer|infer|identify|find|establish|be sure)",
)  # fmt: skip
_TOLD = _either(
    _STATED, "given", "available", "known", "included", "found", "covered", "described", "named", "identified", "contained",
    "present", "explained", "listed", "said", f"in {_PASSAGE}",
)  # fmt: skip
_SETTLE = _either(
    "answer", "determine", "find", "say", "tell", "provide", "identify", "locate", "verify", "confirm", "know", "give",
    "respond", "comment", r"help(?= (?:with|you)\b)", "assist",
)  # fmt: skip
_SETTLED = _either("answered", "determined", "found", "said", "known", "inferred", "established", "identified", "verified")
_CANNOT = _either("cannot", "can not", "cant", "could not", "couldnt", "am not able to", "was not able to")
_DO_NOT = _either("do not", "dont", "did not", "didnt", "would not", "wouldnt")
_DOES_NOT = _either("does not", "doesnt", "do not", "dont", "did not", "didnt", "never", "fails to", "cannot", "can not", "cant")
_IS_NOT = _either("is not", "isnt", "was not", "wasnt", "are not", "arent", "were not", "werent", "is never", "was never")
_FACTS = _either("information", "info", "answer", "mention", "indication", "details?", "data", "reference", "context", "knowledge")
_ENOUGH = _either("enough", "sufficient", "adequate", "any", "that", "this", "the", "access to", "specific", "such")
_QUESTION = "(?:this|the|that|your) question"
_ANSWER = "(?:the|a|my) (?:exact |correct |specific |definite )?answer"
_THE_FACT = _either(_ANSWER, _QUESTION, "(?:the|this|that|such|any) (?:specific |requested )?(?:information|detail|fact)")
_WH = r"wh(?:o|om|ose|at|en|ere|ich|y|ether)\b"

_ABSTAIN_TEXTS = (
    # I do not know, have, see
    rf"(?:i )?{_ADVERBS}{_DO_NOT} {_ADVERBS}know(?: (?:{_WH}|how|if|the|that|this|it|of|an?|any|anything|enough|for sure"
    rf"|for certain|exactly|about|because|based|from|since|as)\b[^,]*)?",
    rf"(?:i have |ive |i have absolutely |absolutely )?no (?:idea|clue)(?: (?:{_WH}|how|about|if)[^,]*)?",
    "idk|i dunno|dunno",
    rf"(?:i am |im )?{_ADVERBS}(?:not {_ADVERBS}(?:sure|certain)|unsure|uncertain)"
    rf"(?: (?:{_WH}|how|about|if|of|based|from|that|the|as)[^,]*)?",
    rf"(?:i am |im |i was )?{_ADVERBS}unable to {_ADVERBS}{_SETTLE}{_REST}",
    rf"i {_ADVERBS}{_CANNOT} {_ADVERBS}{_SETTLE}{_REST}",
    rf"im not able to {_SETTLE}{_REST}",
    "(?:cannot|can not|cant) say",
    rf"(?:cannot|can not|cant) (?:answer|determine|be {_ADVERBS}{_SETTLED})"
    r"(?: (?:the|this|that|from|based|with|by|in|it)\b[^,]*)?",
    rf"i {_DO_NOT} (?:have|see|find) (?:{_ENOUGH} )*(?:specific )?{_FACTS}{_REST}",
    rf"i (?:have no|have insufficient|lack) (?:{_ENOUGH} )*{_FACTS}{_REST}",
    # stubs
    "unanswerable|unknown|n a|not applicable|unclear|undetermined|unspecified",
    r"(?:no )?answer(?: (?:is )?(?:not )?(?:in|from|given|found|available|provided|possible)\b[^,]*)",
    "no answer",
    rf"(?:insufficient|not enough|not sufficient) (?:information|info|data|context|evidence|details?){_REST}",
    r"information (?:is )?(?:not (?:available|given|provided|found)|unavailable|missing)(?: (?:in|from|by)\b[^,]*)?",
    rf"not {_ADVERBS}{_TOLD}(?: (?:at all|enough|{_IN_PASSAGE}))?",
    # it, the answer, the question
    rf"(?:it|its|this|that) (?:is |was )?not {_ADVERBS}{_STATED}(?: (?!as\b|until\b)[^,]*)?",
    rf"(?:it|this|that) (?:isnt|wasnt) {_ADVERBS}{_STATED}(?: (?!as\b|until\b)[^,]*)?",
    rf"(?:it|its|this|that) (?:is |was )?not {_ADVERBS}{_TOLD}(?: (?:{_IN_PASSAGE}|(?:{_WH}|how|if)[^,]*))?",
    rf"{_THE_FACT} (?:{_IS_NOT} {_ADVERBS}{_TOLD}|does not appear|doesnt appear)(?: (?!as\b|until\b)[^,]*)?",
    rf"(?:it|this|that|{_ANSWER}|{_QUESTION}|its) (?:is |remains )?"
    rf"(?:impossible to {_SETTLE}|unclear|unknown|unanswerable|unspecified|uncertain)(?: (?!to\b|until\b)[^,]*)?",
    rf"(?:it|this|that|{_ANSWER}|{_QUESTION}) (?:cannot|can not|cant|could not|couldnt) be {_ADVERBS}{_SETTLED}{_REST}",
    rf"{_QUESTION} (?:has no|does not have an|doesnt have an) answer{_REST}",
    rf"it (?:does not|doesnt|never) {_ADVERBS}(?:say|says|state|states|mention|mentions|specify|specifies|tell)"
    rf"(?: (?:{_WH}|how|if|the|it|this|that|any|in)[^,]*)?",
    rf"(?:does not|doesnt|never) {_ADVERBS}(?:say|state|mention|specify) (?:{_WH}|how|if) [^,]*",
    # the passage
    rf"{_PASSAGE} {_DOES_NOT} {_ADVERBS}{_TELL}{_REST}",
    rf"{_PASSAGE} {_DOES_NOT} {_ADVERBS}{_TELL} [^,]+"
    rf"(?:, (?:and |or |nor )*(?:the|his|her|their|any|an?|{_WH}|how) (?!answer\b)\w+(?: \w+){{0,3}})+",
    rf"{_PASSAGE} (?:makes?|gives?|provides?|contains?|has|have|offers?|includes?) no(?:t enough)? [^,]+",
    rf"{_PASSAGE} (?:says? nothing|is not clear|isnt clear|is unclear){_REST}",
    rf"(?:nothing|nowhere) in {_PASSAGE} [^,]+",
    rf"(?:there is|there was|there are|theres|there isnt) (?:no|not|not enough|insufficient|nothing|any|enough) ?"
    rf"(?:(?:enough|any|specific|such|direct|explicit|clear|further) )*"
    rf"(?:{_FACTS}|way to (?:know|tell|determine|say|answer)|about|in {_PASSAGE})"
    rf"(?: (?:about|of|on|in|for|to|from|that|given|provided|available|regarding|as|{_WH})\b[^,]*)?",
    r"no (?:specific |such |further |other )?(?:information|mention|details?|indication|data)"
    r"(?: (?:about|of|on|in|is|are|was|given|provided|available|regarding|for|to|found)\b[^,]*)?",
    # some fact is not in the passage
    rf"[^,]{{1,120}} {_IS_NOT} {_ADVERBS}{_TOLD} (?:\w+ )?{_IN_PASSAGE}",
    rf"(?:the|this|that|his|her|their|its) [^,]{{1,100}} {_IS_NOT} {_ADVERBS}(?:mentioned|stated|specified|indicated)",
    rf"(?:no|neither) [^,]{{1,120}} (?:is|are|was|were) {_ADVERBS}{_TOLD} {_IN_PASSAGE}",
)

_FILLER_TEXTS = (
    "",
    r"(?:i am |im )?(?:very |so |really )?sorry(?: about that)?|unfortunately|apologies|my apologies|i apologi[sz]e[^,]*",
    r"(?:the |my )?(?:final |short |correct )*answer(?: is)?|a|explanation|reason|reasoning|note|well|hmm+|honestly",
    r"to be honest|ok|okay|so|thus|hence|therefore|thank you|thanks|as far as i (?:know|can tell)",
    r"as an ai(?: language model| model| assistant)?",
    rf"(?:based (?:only |solely )?on|according to|from|given|in|with|using) (?:only |just )?{_PASSAGE}[^,]*",
)

_ONLY = _either("only", "just", "merely", "simply", "mainly", "mostly", "instead", "also", "rather")
_SPEAKS = _either(
    "mentions?", "discuss(?:es)?", "describes?", "talks?", "focus(?:es)?", "covers?", "lists?", "refers?", "deals?",
    "explains?", "contains?", "provides?", "is about", "are about", "tells?", "gives?",
)  # fmt: skip
_EXPLAIN_TEXTS = (
    rf"{_PASSAGE} (?:{_ONLY} )*{_SPEAKS}{_REST}",
    rf"(?:{_PASSAGE}|it|they) (?:{_ONLY} (?:{_SPEAKS}|says?|states?|goes|includes?)|(?:says?|states?) {_ONLY}){_REST}",
    rf"(?:it |they )?(?:{_ONLY} )*(?:mentions?|discuss(?:es)?|describes?|talks about|focus(?:es)? on|covers?){_REST}",
    rf"(?:it|they|this) (?:does not|doesnt|do not|dont){_REST}",
    r"(?:only|not|nor|or|nothing|neither|which) [^,]*",
    r"(?:please|if you|could you|can you|let me know|feel free|i would need|i need|id need|perhaps you|would you)\b.*",
    r"(?:more|further|additional|other) (?:information|context|details?)\b[^,]*",
)

# Words before the clause proper; contrasts are cut before, since what follows them is a clause of its own.
_LEAD_TEXT = (
    r"(?:(?:(?:i am|im) (?:very |so |really )?sorry|sorry|unfortunately|apologies|and|so|because|since|as|therefore|thus|that"
    r"|hence|or|well|i think|i believe|i am afraid|im afraid|it (?:seems|appears)(?: that)?|(?:the )?answer is"
    rf"|(?:based (?:only |solely )?on|according to|from|given|in) {_PASSAGE})(?:,? |$))+"
)


class _Patterns(NamedTuple):
    lead: re.Pattern[str]
    kinds: tuple[tuple[ClauseKind, re.Pattern[str]], ...]


@cache
def _patterns() -> _Patterns:
    """Compiled at first use: that takes 40 ms, and most commands score nothing."""
    texts: tuple[tuple[ClauseKind, tuple[str, ...]], ...] = (("abstain", _ABSTAIN_TEXTS), ("filler", _FILLER_TEXTS), ("explain", _EXPLAIN_TEXTS))
    return _Patterns(re.compile(_LEAD_TEXT), tuple((kind, re.compile(_either(*each))) for kind, each in texts))


def kind_of(clause: str) -> ClauseKind:
    """What a clause does; "answer" for all that no phrase knows."""
    if len(clause) > LONGEST_SENTENCE:
        return "answer"
    known = _known(clause)
    if known != "answer" or "," not in clause:
        return known
    kinds: set[ClauseKind] = set()
    for piece in clause.split(", "):
        kinds.add(_known(piece))
        if "answer" in kinds:
            return "answer"
    return "abstain" if "abstain" in kinds else "explain"


def _known(clause: str) -> ClauseKind:
    patterns = _patterns()
    lead = patterns.lead.match(clause)
    candidates = (clause, clause[lead.end() :]) if lead else (clause,)
    for kind, pattern in patterns.kinds:
        if any(pattern.fullmatch(candidate) for candidate in candidates):
            return kind
    return "answer"
