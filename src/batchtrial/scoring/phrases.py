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
    "present", "explained", "listed", "said", "to be found", f"in {_PASSAGE}",
)  # fmt: skip
_SETTLE = _either(
    "answer", "determine", "find", r"say(?! enough\b)", r"tell(?! an?\b)", "provide", "identify", "locate", "verify", "confirm", "know", "give",
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
_PEOPLE = "(?:i|we|you|one)"
_COULD_NOT = _either(_CANNOT, "cannot really", "could never", "can never")
_WORK_OUT = _either(
    "know", "tell", "say", "determine", "infer", "deduce", "conclude", "establish", "ascertain", "work out", "pinpoint", "identify",
    "judge", "confirm", "verify", "name", "be (?:sure|certain)", "answer",
)  # fmt: skip
_WORKED_OUT = _either(
    "determined", "known", "inferred", "deduced", "concluded", "established", "ascertained", "worked out", "pinpointed", "identified", "answered",
    "confirmed", "verified", "told", "said",
)  # fmt: skip
# What may follow "cannot tell" so that nothing is told after all.
_OF_THIS = (
    rf"(?: (?:(?:this|that|it|these|those|which|for (?:sure|certain)|exactly|the (?:exact |correct )?(?:answer|date|year|name|number|reason))\b[^,]*"
    rf"|(?:{_WH}|how|if) [^,]*|(?:from|based on|by|given|using|because|since|as|with|without) [^,]*))?"
)
_BECAUSE = "(?: (?:from|based on|because|since|as|given|using|with|without|by|in|for) [^,]*)?"
_INFO = _either(
    "answers?", "authors?", "architects?", "builders?", "founders?", "names?", "titles?", "dates?", "years?", "months?", "days?", "times?", "ages?",
    "numbers?", "figures?", "amounts?", "sums?", "prices?", "costs?", "values?", "sizes?", "lengths?", "heights?", "distances?", "percentages?",
    "rates?", "reasons?", "causes?", "explanations?", "motives?", "places?", "locations?", "address(?:es)?", "sources?", "definitions?",
    "descriptions?", "details?", "information", "specifics", "facts?",
)  # fmt: skip
_REPORTED = _either(
    "given", "provided", "stated", "mentioned", "specified", "indicated", "named", "identified", "disclosed", "recorded", "listed", "supplied",
    "offered", "included", "described", "said", "reported", "noted", "explained", "revealed",
)  # fmt: skip
_NOTHING_LEFT = _either("unstated", "unsaid", "unclear", "unanswered", "unspecified", "unmentioned", "unexplained", "undefined", "unaddressed")
_LITTLE = _either("insufficient", "inadequate", "too little", "too few", "little or no", "not enough", "no", "nothing")
_NO_USE = _either(
    "insufficient", "inadequate", "not (?:sufficient|enough|adequate|specific|explicit|clear|relevant|detailed enough)", "too vague", "vague",
    "silent(?= (?:on|about|as|regarding)|$)", "irrelevant", "unrelated", "unclear", "unhelpful", "inconclusive",
    "isnt (?:sufficient|enough|specific|explicit|clear|relevant)",
)  # fmt: skip

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
    rf"(?:i|we) (?:have no|have insufficient|lack) (?:{_ENOUGH} )*{_FACTS}{_REST}",
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
    rf"(?:impossible to {_SETTLE}|unclear)(?: (?!to\b|until\b)[^,]*)?",
    rf"(?:it|this|that|{_ANSWER}|{_QUESTION}|its) (?:is |remains )?(?:unknown|unanswerable|unspecified|uncertain)"
    rf"(?: (?:{_WH}|how|if|from|based|given|because|since|exactly|precisely|according)\b[^,]*| {_IN_PASSAGE})?",
    rf"(?:it|this|that|{_ANSWER}|{_QUESTION}) (?:cannot|can not|cant|could not|couldnt) be {_ADVERBS}{_SETTLED}{_REST}",
    rf"{_QUESTION} (?:has no|does not have an|doesnt have an) answer{_REST}",
    rf"it (?:does not|doesnt|never) {_ADVERBS}(?:say|says|state|states|mention|mentions|specify|specifies|tell)"
    rf"(?: (?:{_WH}|how|if|the|it|this|that|any|in)\b[^,]*)?",
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
    # nobody knows
    rf"{_PEOPLE} {_ADVERBS}{_DO_NOT} {_ADVERBS}know{_OF_THIS}",
    rf"{_PEOPLE} {_COULD_NOT} {_ADVERBS}{_WORK_OUT}{_OF_THIS}",
    rf"(?:nobody|no one) (?:can|could) {_WORK_OUT}{_OF_THIS}",
    r"(?:(?:we are|were|you are|the reader is) (?:not|never)|we arent|you arent|the reader isnt) (?:told|informed)(?: (?:this|that|(?:wh"
    r"|how)\w*)\b[^,]*)?",
    r"(?:i am |im )?(?:not aware|unaware|not familiar|unfamiliar|not informed)(?: (?:of|with|about) (?!an? |some )[^,]*)?",
    r"(?:(?:i|we|you) have |ive |weve |i have got )?(?:no|not any) (?:knowledge|record|recollection|memory|way (?:of (?:know|tell)ing|to (?:know"
    r"|tell)))(?: [^,]*)?",
    r"there(?: i|)s no way (?:of (?:know|tell|say)ing|to (?:know|tell|say))(?: [^,]*)?",
    r"i (?:could not|couldnt) (?:say|tell you)(?: (?:wh\w+|how|if|exactly|for sure)\b[^,]*)?",
    r"i (?:cannot|cant|can not|do not|dont) (?:recall|remember)(?: (?:this|that|it|the|wh\w+|how)\b[^,]*)?",
    r"(?:i )?(?:have not|havent|do not have|dont have) (?:a clue|the (?:faintest|slightest|foggiest)(?: idea| clue)?)(?: [^,]*)?",
    "no clue|beats me|who knows|who can say|search me",
    rf"(?:it is |its )?(?:impossible|hard|difficult|not (?:possible|easy)|tricky) to (?:say|tell|know|determine|judge|work out|be (?:sure"
    rf"|certain)){_OF_THIS}",
    r"i (?:would|d|could|will|ll) (?:only |just )?be guessing|id (?:only |just )?be guessing",
    r"(?:i would|id|i) (?:rather not|prefer not to|decline to|will not|wont|refuse to) (?:guess|answer|say|speculate)(?: [^,]*)?",
    r"i (?:must|have to|will) (?:abstain|pass)|i (?:abstain|pass)",
    rf"i (?:have no|lack the \w+ to|do not have an|dont have an|do not have the|dont have the) {_SETTLE}(?: [^,]*)?",
    rf"i (?:do not|dont) (?:possess|have) (?:\w+ ){{0,4}}(?:{_FACTS})(?: [^,]*)?",
    rf"i {_CANNOT} {_ADVERBS}(?:name|see|give|provide|infer|deduce|work out|pinpoint) (?:you )?(?:this|that|it|an?|the|any)\b[^,]*",
    r"i (?:(?:can|could) )?(?:find|found|see|saw) (?:no (?:mention|information|reference|indication|details?)|nothing (?:about|on|regarding))\b[^,]*",
    r"my (?:training )?(?:data|knowledge)(?: base)? (?:does not|doesnt|do not|dont) (?:include|cover|contain|extend)\b[^,]*",
    # it cannot be worked out
    rf"(?:the|this|that|these|his|her|its|their|any) [^,]{{1,80}} {_COULD_NOT} be {_ADVERBS}{_WORKED_OUT}{_BECAUSE}",
    rf"(?:it|this|that) {_COULD_NOT} be {_ADVERBS}{_WORKED_OUT}{_OF_THIS}",
    rf"(?:cannot|can not|cant|could not|couldnt) (?:tell|know|say|determine|infer|be {_ADVERBS}{_WORKED_OUT}){_OF_THIS}",
    rf"it (?:is not|isnt|was not|wasnt) possible to {_ADVERBS}(?:{_WORK_OUT}|(?:give|provide|state|offer) (?:an?|the|any)\b)[^,]*",
    rf"it is impossible to {_ADVERBS}(?:infer|deduce|conclude|establish|ascertain|work out|pinpoint|identify|judge|name)\b[^,]*",
    # no such thing is told
    rf"no (?:exact |specific |such |definite |particular |further |clear )?{_INFO} (?:is|are|was|were|has been|have been) {_ADVERBS}{_REPORTED}"
    r"(?: (?:for|about|of|on|in|by|here|there|anywhere|at all|regarding)\b[^,]*)?",
    rf"no (?!one\b|body\b)[^,]{{1,60}} (?:is|are|was|were) {_ADVERBS}(?:mentioned|stated|specified|indicated)(?: (?:in|by|here|anywhere"
    rf"|at all)\b[^,]*)?",
    rf"(?:no|none|nothing) (?:is |was )?{_REPORTED}(?: (?:about|on|of|regarding|in|here)\b[^,]*)?",
    r"no (?:mention|evidence|indication) of (?:it|this|that)|no (?:data|evidence|details?)(?: (?:available|given|provided|found))?",
    rf"(?:the|this|that|his|her|its|their) (?:[^,]{{1,60}} )?{_INFO}(?: of [^,]{{1,60}})? {_IS_NOT} {_ADVERBS}"
    rf"(?:{_REPORTED}|known|there|available)(?: (?:in|by|here|there|anywhere|at all)\b[^,]*)?",
    rf"(?:the|this|that|his|her|its|their) [^,]{{1,60}} (?:is not|isnt|are not|arent) {_ADVERBS}(?:named|identified|disclosed|specified|known)",
    rf"(?!{_PASSAGE} )(?:the|his|her|its|their) [^,]{{1,80}} (?:is|are|remains?|was|were) (?:unknown|unclear|unspecified|unstated|undisclosed"
    rf"|undetermined|not clear)"
    r"(?: (?:from|based on|in this|in the (?:given|passage|text))\b[^,]*)?",
    r"(?:it|this|that) (?:is not|isnt|was not|wasnt) (?:known|made clear|covered|said)",
    rf"(?:(?:it|this|that) )?(?:is not|isnt|was not|wasnt) {_ADVERBS}{_TOLD}(?: {_IN_PASSAGE})?",
    rf"not {_ADVERBS}{_REPORTED}(?: {_IN_PASSAGE})?",
    rf"there {_ADVERBS}(?:is|was|are|isnt|arent|wasnt) (?:nothing|no|not|not any|any|anything|little|too little|insufficient"
    rf"|hardly any)(?: [^,]+)? (?:in|from|within) {_PASSAGE}{_REST}",
    rf"(?:{_WH}|how|why) [^,]{{1,80}} {_IS_NOT} {_ADVERBS}(?:{_REPORTED}|known|clear)(?: {_IN_PASSAGE})?",
    rf"(?:{_WH}|how|why) [^,]{{1,80}} (?:is|are|remains?|was|were) (?:left )?(?:unknown|{_NOTHING_LEFT})(?: {_IN_PASSAGE})?",
    rf"[^,]{{1,100}} {_COULD_NOT} be {_ADVERBS}(?:found|seen|{_WORKED_OUT}) (?:in|from|by|with|using|based on) {_PASSAGE}{_REST}",
    rf"[^,]{{1,80}} (?:is not|isnt|was not|wasnt) (?:something|a thing) (?:that )?{_PASSAGE} [^,]*",
    rf"[^,]{{1,120}} {_IS_NOT} (?:\w+ )?(?:in|within|part of) {_PASSAGE}",
    rf"(?:un\w+|not clear|missing|absent) (?:in|from|by) {_PASSAGE}",
    rf"[^,]{{1,100}} (?:does not|doesnt|do not|dont|never) (?:appear|occur|come up|figure)s? (?:anywhere )?(?:in|within) {_PASSAGE}{_REST}",
    rf"nothing (?:about|on|of) [^,]{{1,80}} (?:appears|occurs|is [a-z]+) (?:in|within) {_PASSAGE}{_REST}",
    rf"(?:the|this|that|it|these|his|her|its|their) (?:[^,]{{1,80}} )?(?:goes|go|remains?) {_NOTHING_LEFT}(?: {_IN_PASSAGE})?",
    r"not enough is (?:said|given|stated|known|told|provided)(?: [^,]*)?",
    r"(?:one|you|i|we) would (?:have to|only|just) (?:be )?guess(?:ing)?(?: [^,]*)?",
    r"i (?:do not|dont) see (?:an|any|the) answer(?: [^,]*)?",
    rf"i (?:do not|dont) (?:think|believe) (?:that )?(?:this|that|it|{_QUESTION}) (?:can|could) be {_WORKED_OUT}(?: [^,]*)?",
    rf"{_PEOPLE} {_COULD_NOT} work (?:this|that|it) out(?: [^,]*)?",
    rf"(?:you|we|i|one) (?:would |will |d )?(?:need|require) (?:more|further|additional) {_FACTS}(?: [^,]*)?",
    rf"(?:more|further|additional) {_FACTS} (?:is|are|would be|were) (?:needed|required|necessary)(?: [^,]*)?",
    rf"i (?:do not|dont|did not|didnt) (?:see|find|read) [^,]{{1,80}} (?:in|from|within) {_PASSAGE}{_REST}",
    rf"i (?:see|find|found|saw) (?:no|nothing)(?: [^,]{{1,80}})? (?:in|from|within) {_PASSAGE}{_REST}",
    rf"i (?:do not|dont) (?:think|believe) (?:that )?{_PASSAGE} {_ADVERBS}(?:{_TELL}|says?|mentions?|states?)(?: [^,]*)?",
    rf"(?:nobody|no one) knows (?:from|based on) {_PASSAGE}{_REST}",
    rf"(?:it|this|that) is nowhere {_REPORTED}(?: {_IN_PASSAGE})?",
    rf"no (?:relevant |useful |clear |direct |definite |further )?(?:{_FACTS}|conclusion) (?:can|could) be [^,]*",
    r"no (?:relevant|useful|direct|pertinent|sufficient|clear) (?:information|details?|data|mention|evidence|answer)(?: [^,]*)?",
    rf"{_PASSAGE} {_DOES_NOT} support (?:an|any|the|a definite) [^,]*",
    rf"theres (?:nothing|no|not any|little)(?: [^,]+)? (?:in|from|within) {_PASSAGE}{_REST}",
    rf"there {_ADVERBS}(?:isnt|is not|arent|are not) (?:enough|sufficient|any) {_FACTS}(?: [^,]*)?",
    rf"(?:there is|there was|there are|theres) (?:too little|insufficient|not enough|inadequate) {_FACTS}(?: [^,]*)?",
    rf"it (?:is not|isnt|was not|wasnt) known (?:{_WH}|how|if) [^,]*",
    rf"(?:thats|its|this is|that is) not (?:{_TOLD}|covered|included|discussed|in there|there)(?: {_IN_PASSAGE})?",
    rf"(?:it|this|that|{_QUESTION}|{_ANSWER}|the matter|the point) (?:is|are|was) left (?:{_NOTHING_LEFT}|open)(?: [^,]*)?",
    rf"{_THE_FACT} (?:is|was) (?:missing|absent|unavailable|omitted|lacking|not there)(?: (?:from|in) [^,]*)?",
    rf"[^,]{{1,100}} (?:is|are|was|were) (?:entirely |completely )?(?:missing|absent|omitted|left out|lacking) (?:from|in) {_PASSAGE}{_REST}",
    rf"[^,]{{1,100}} (?:is|are|lies|lie|goes|falls?) (?:well )?(?:beyond|outside)(?: of)? (?:the scope of |what )?{_PASSAGE}{_REST}",
    r"(?:indeterminate|indeterminable|undeterminable|unknowable|not (?:determinable|ascertainable))(?: (?:from|based on|in) [^,]*)?",
    r"unable to (?:say|tell|determine|know|answer|identify)(?: (?:this|that|it|the|from|based|wh\w+|how)\b[^,]*)?",
    # the passage is of no use
    rf"{_PASSAGE} leaves? (?:(?:it|this|that|the [^,]{{1,60}}) )?(?:{_NOTHING_LEFT}|open)(?: [^,]*)?",
    rf"{_PASSAGE} (?:is|are|remains?|stays?) (?:{_NO_USE})(?: (?:on|about|as to|regarding|for|to|with)\b[^,]*)?",
    rf"{_PASSAGE} (?:isnt|arent|is not|are not) (?:sufficient|enough|specific|explicit|clear)(?: (?:on|about|as to|regarding|for|to)\b[^,]*)?",
    rf"{_PASSAGE} (?:gives?|provides?|offers?|contains?|has|have|includes?) (?:us |me |you |the reader )?{_LITTLE}(?: [^,]*)?",
    rf"{_PASSAGE} (?:lacks?|omits?) (?:this|that|these|those|such|the (?:necessary|required|relevant|requested|exact|specific|answer|date|year|name"
    rf"|number"
    rf"|information|details?)|any|enough|sufficient|information|details?)\b[^,]*",
    rf"{_PASSAGE} {_DOES_NOT} {_ADVERBS}(?:touch|speak|elaborate|go|hold|allow|let|make clear|relate|help|reach|extend|tells|names?|gives?"
    r"|identif(?:y|ies)|permit|enable)(?: [^,]*)?",
    rf"(?:none|neither|no part|nothing) (?:of |in )?(?:(?:the|these|those|any) )*(?:{_GIVEN} )*(?:sentences? in |parts? of )?"
    r"(?:the )?(?:passage|text|context|article|document|paragraph|excerpt|source|snippet)s?"
    rf"(?: (?:itself|above|alone|provided|given|here))* (?:actually |really )?(?:{_TELL}|mentions?|says?|states?|relates?|covers?|answers?"
    rf"|address(?:es)?"
    r"|concerns?|specif(?:y|ies)|explains?|tells?|gives?|provides?|contains?|deals?|discuss(?:es)?|names?|refers?)(?: [^,]*)?",
    rf"nothing here {_TELL}[^,]*",
    rf"nowhere (?:is|are|was|were) (?:this|that|it|the [^,]{{1,60}}) {_REPORTED}(?: {_IN_PASSAGE})?",
    rf"nowhere (?:in {_PASSAGE} |does {_PASSAGE} |is )[^,]+",
    rf"the (?:author|writer|narrator)s? {_DOES_NOT} {_ADVERBS}(?:say|state|mention|specify|tells?|indicate|identify|name|reveal|disclose|mentions"
    rf"|says)"
    rf"(?: (?:us|this|that|it|the|an?|any|{_WH}|how)\b[^,]*)?",
    rf"(?:it|they) (?:never|{_DO_NOT}|does not|doesnt) {_ADVERBS}(?:says?|state|mentions?|specify|tell us)(?: (?:an?|the|any|this|that|{_WH}"
    rf"|how)\b[^,]*)?",
    r"the (?:given|provided|available) (?:information|context|text|passage) (?:does|do) not allow [^,]*",
    # some fact is not in the passage
    rf"[^,]{{1,120}} {_IS_NOT} {_ADVERBS}{_TOLD} (?:\w+ )?{_IN_PASSAGE}",
    rf"(?:the|this|that|his|her|their|its) [^,]{{1,100}} {_IS_NOT} {_ADVERBS}(?:mentioned|stated|specified|indicated)",
    rf"(?:no|neither) [^,]{{1,120}} (?:is|are|was|were) {_ADVERBS}{_TOLD} {_IN_PASSAGE}",
)

_FILLER_TEXTS = (
    "",
    r"(?:i am |im )?(?:very |so |really )?sorry(?: about that)?|unfortunately|sadly|regrettably|alas|apologies|my apologies|i apologi[sz]e[^,]*",
    r"(?:the |my )?(?:final |short |correct )*answer(?: is)?|a|explanation|reason|reasoning|note|well|hmm+|honestly",
    r"to be honest|ok|okay|so|thus|hence|therefore|thank you|thanks|as far as i (?:know|can tell)",
    r"as an? (?:ai|large language model|language model)(?: language model| model| assistant)?",
    r"(?:without|lacking) (?:more|further|additional|any|other) [^,]*",
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
    rf"(?:(?:as far as {_PASSAGE} goes|judging from {_PASSAGE}|(?:i am|im) (?:very |so |really )?sorry|sorry|unfortunately|sadly|regrettably"
    rf"|(?:based on|from|given) what (?:is|was|i was|i am|has been) (?:given|provided|said|written|told)"
    r"|apologies|and|so|because|since|as|therefore|thus|that"
    r"|hence|or|well|i think|i believe|i am afraid|im afraid|i regret|i must admit|i have to (?:say|admit)|it (?:seems|appears)(?: that)?"
    r"|(?:the )?answer is"
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
