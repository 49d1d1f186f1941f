"""Pieces that the phrases of an abstention are made of: people, passages, verbs of telling, what a passage may leave out."""

from __future__ import annotations


def either(*phrases: str) -> str:
    """One of the expressions."""
    return f"(?:{'|'.join(phrases)})"


REST = "(?: [^,]*)?"
ADVERBS = (
    "(?:(?:explicitly|directly|specifically|clearly|actually|really|even|exactly|precisely|ever|honestly|simply|currently"
    "|truly|yet|entirely|completely|fully|quite|very|seem to|appear to|100) )*"
)
GIVEN = "(?:given|provided|above|supplied|source|reading|following)"
PASSAGE = (
    rf"(?:(?:the|this|that|any|your|my) (?:{GIVEN} )*|(?:{GIVEN} )+)(?:information in the (?:{GIVEN} )*)?"
    r"(?:passage|text|context|article|document|paragraph|excerpt|source material|information|story|snippet)s?"
    r"(?: (?:itself|above|alone|provided|given|here|you gave|you provided))*"
)
IN_PASSAGE = rf"(?:in|by|from|within|anywhere in|with) (?:{PASSAGE}|passage|context|text|here){REST}"
TELL = either(
    "say", "state", "mention", "specify", "tell", "give", "provide", "include", "indicate", "answer", "explain", "discuss",
    "describe", "address", "reveal", "identify", "name", "list", "offer", "disclose", "clarify", "have", "define", "cover",
    "detail", "note", "report", "supply", "present", "refer", "talk", "show", "make", "confirm", "elaborate", "go into",
    "appear", "suggest", "specifies", "discusses", "addresses",
    "(?:say|state|mention|tell|give|provide|include|indicate|explain|describe|name|disclose)s",
    r"contains? (?:any|the|this|that|these|those|enough|information|an|details?|specific|sufficient|such|it)",
)  # fmt: skip
STATED = either(
    "stated", "mentioned", "specified", "indicated", "disclosed", "provided", "answerable", "answered", "clear", "addressed",
    "discussed", "determinable", "possible to (?:say|tell|know|determine|answer|infer|identify|find|establish|be sure)",
)  # fmt: skip
TOLD = either(
    STATED, "given", "available", "known", "included", "found", "covered", "described", "named", "identified", "contained",
    "present", "explained", "listed", "said", "to be found", f"in {PASSAGE}",
)  # fmt: skip
SETTLE = either(
    "answer", "determine", "find", r"say(?! enough\b)", r"tell(?! an?\b)", "provide", "identify", "locate", "verify", "confirm", "know", "give",
    "respond", "comment", r"help(?= (?:with|you)\b)", "assist",
)  # fmt: skip
SETTLED = either("answered", "determined", "found", "said", "known", "inferred", "established", "identified", "verified")
CANNOT = either("cannot", "can not", "cant", "could not", "couldnt", "am not able to", "was not able to")
DO_NOT = either("do not", "dont", "did not", "didnt", "would not", "wouldnt")
DOES_NOT = either("does not", "doesnt", "do not", "dont", "did not", "didnt", "never", "fails to", "cannot", "can not", "cant")
IS_NOT = either("is not", "isnt", "was not", "wasnt", "are not", "arent", "were not", "werent", "is never", "was never")
FACTS = either("information", "info", "answer", "mention", "indication", "details?", "data", "reference", "context", "knowledge")
ENOUGH = either("enough", "sufficient", "adequate", "any", "that", "this", "the", "access to", "specific", "such")
QUESTION = "(?:this|the|that|your) question"
ANSWER = "(?:the|a|my) (?:exact |correct |specific |definite )?answer"
THE_FACT = either(ANSWER, QUESTION, "(?:the|this|that|such|any) (?:specific |requested )?(?:information|detail|fact)")
WH = r"wh(?:o|om|ose|at|en|ere|ich|y|ether)\b"
PEOPLE = "(?:i|we|you|one)"
COULD_NOT = either(CANNOT, "cannot really", "could never", "can never")
WORK_OUT = either(
    "know", "tell", "say", "determine", "infer", "deduce", "conclude", "establish", "ascertain", "work out", "pinpoint", "identify",
    "judge", "confirm", "verify", "name", "be (?:sure|certain)", "answer",
)  # fmt: skip
WORKED_OUT = either(
    "determined", "known", "inferred", "deduced", "concluded", "established", "ascertained", "worked out", "pinpointed", "identified", "answered",
    "confirmed", "verified", "told", "said",
)  # fmt: skip
# What may follow "cannot tell" so that nothing is told after all.
OF_THIS = (
    rf"(?: (?:(?:this|that|it|these|those|which|for (?:sure|certain)|exactly|the (?:exact |correct )?(?:answer|date|year|name|number|reason))\b[^,]*"
    rf"|(?:{WH}|how|if) [^,]*|(?:from|based on|by|given|using|because|since|as|with|without) [^,]*))?"
)
BECAUSE = "(?: (?:from|based on|because|since|as|given|using|with|without|by|in|for) [^,]*)?"
INFO = either(
    "answers?", "authors?", "architects?", "builders?", "founders?", "names?", "titles?", "dates?", "years?", "months?", "days?", "times?",
    "ages?", "numbers?", "figures?", "amounts?", "sums?", "prices?", "costs?", "values?", "sizes?", "lengths?", "heights?", "distances?",
    "percentages?", "rates?", "reasons?", "causes?", "identit(?:y|ies)", "whereabouts", "birthplaces?", "birthdays?", "nationalit(?:y", "|ies)",
    "occupations?", "origins?", "surnames?", "colou?rs?", "weights?", "widths?", "depths?", "duration", "population", "salar(?:y", "|ies)",
    "fate", "explanations?", "motives?", "places?", "locations?", "address(?:es)?", "sources?", "definitions?", "descriptions?", "details?",
    "information", "specifics", "facts?",
)  # fmt: skip
REPORTED = either(
    "given", "provided", "stated", "mentioned", "specified", "indicated", "named", "identified", "disclosed", "recorded", "listed", "supplied",
    "offered", "included", "described", "said", "reported", "noted", "explained", "revealed",
)  # fmt: skip
NOTHING_LEFT = either(
    "unstated", "unsaid", "unclear", "unanswered", "unspecified", "unmentioned", "unexplained", "undefined", "unaddressed", "unnamed",
    "unidentified", "undisclosed", "unrecorded", "unreported", "unrevealed", "undocumented", "undescribed", "unknown", "untold", "undetermined",
)  # fmt: skip
LITTLE = either("insufficient", "inadequate", "too little", "too few", "little or no", "not enough", "no", "nothing")
NO_USE = either(
    "insufficient", "inadequate", "not (?:sufficient|enough|adequate|specific|explicit|clear|relevant|detailed enough)", "too vague", "vague",
    "silent(?= (?:on|about|as|regarding)|$)", "irrelevant", "unrelated", "unclear", "unhelpful", "inconclusive",
    "isnt (?:sufficient|enough|specific|explicit|clear|relevant)",
)  # fmt: skip

IT = "(?:it|this|that|the answer|the question)"
IT_IS = "(?:(?:it|this|that|the answer|the question|this question) (?:is|lies|falls|goes|remains|seems) |its |thats )"
THE_INFO = rf"(?:the|this|that|his|her|its|their) (?:[^,]{{1,60}} )?{INFO}(?: of [^,]{{1,60}})?"
WAS = "(?:is|are|was|were|has been|have been)"
NEVER = either("is not", "isnt", "was not", "wasnt", "are not", "arent", "were not", "werent", "is never", "was never", "has (?:not|never) been",
                 "hasnt been", "have (?:not|never) been", "havent been", "were never")  # fmt: skip
SOURCES = "(?:(?:the|any|most|available|surviving|written|official|known|existing|contemporary) )*"
SOURCES += "(?:history|records?|sources?|historians?|chroniclers?|chronicles?|documents?|archives?|literature|scholars?|experts?|evidence)"
NONE_IS = "(?:there (?:is|was|are|were|exists?|survives?|seems? to be|appears? to be) no|theres no"
NONE_IS += "|there (?:isnt|is not|wasnt|was not|arent|are not) any|there (?:does not|doesnt|do not|dont) (?:seem|appear) to be (?:any|an?))"
