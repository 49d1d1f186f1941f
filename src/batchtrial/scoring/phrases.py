"""The phrases of an abstention, written in the form that `abstention` brings texts into: small letters, no apostrophes.

Every clause of a text is one of four kinds: it abstains, it is filler ("sorry", "based on the passage"), it explains what the
passage does say or asks for more, or it is none of these and so may be an answer. A phrase that is also an ordinary statement
about the world ("it is not found in Australia") must name the passage to count as an abstention.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal, NamedTuple

from batchtrial.scoring.phrase_parts import (
    ADVERBS,
    ANSWER,
    BECAUSE,
    CANNOT,
    COULD_NOT,
    DO_NOT,
    DOES_NOT,
    ENOUGH,
    FACTS,
    GIVEN,
    IN_PASSAGE,
    INFO,
    IS_NOT,
    IT,
    LITTLE,
    NEVER,
    NO_USE,
    NOTHING_LEFT,
    OF_THIS,
    PASSAGE,
    PEOPLE,
    QUESTION,
    REPORTED,
    REST,
    SETTLE,
    SETTLED,
    STATED,
    TELL,
    THE_FACT,
    THE_INFO,
    TOLD,
    WAS,
    WH,
    WORK_OUT,
    WORKED_OUT,
    either,
)
from batchtrial.scoring.sayings import SAYINGS

ClauseKind = Literal["abstain", "filler", "explain", "answer"]

LONGEST_SENTENCE = 400  # characters; a longer one says something


_ABSTAIN_TEXTS = (
    *SAYINGS,
    # I do not know, have, see
    rf"(?:i )?{ADVERBS}{DO_NOT} {ADVERBS}know(?: (?:{WH}|how|if|the|that|this|it|of|an?|any|anything|enough|for sure"
    rf"|for certain|exactly|about|because|based|from|since|as)\b[^,]*)?",
    rf"(?:i have |ive |i have absolutely |absolutely )?no (?:idea|clue)(?: (?:{WH}|how|about|if)[^,]*)?",
    "idk|i dunno|dunno",
    rf"(?:i am |im )?{ADVERBS}(?:not {ADVERBS}(?:sure|certain)|unsure|uncertain)"
    rf"(?: (?:{WH}|how|about|if|of|based|from|that|the|as)[^,]*)?",
    rf"(?:i am |im |i was )?{ADVERBS}unable to {ADVERBS}{SETTLE}{REST}",
    rf"i {ADVERBS}{CANNOT} {ADVERBS}{SETTLE}{REST}",
    rf"im not able to {SETTLE}{REST}",
    "(?:cannot|can not|cant) say",
    rf"(?:cannot|can not|cant) (?:answer|determine|be {ADVERBS}{SETTLED})"
    r"(?: (?:the|this|that|from|based|with|by|in|it)\b[^,]*)?",
    rf"i {DO_NOT} (?:have|see|find) (?:{ENOUGH} )*(?:specific )?{FACTS}{REST}",
    rf"(?:i|we) (?:have no|have insufficient|lack) (?:{ENOUGH} )*{FACTS}{REST}",
    # stubs
    "unanswerable|unknown|n a|not applicable|unclear|undetermined|unspecified",
    r"(?:no )?answer(?: (?:is )?(?:not )?(?:in|from|given|found|available|provided|possible)\b[^,]*)",
    "no answer",
    rf"(?:insufficient|not enough|not sufficient) (?:information|info|data|context|evidence|details?){REST}",
    r"information (?:is )?(?:not (?:available|given|provided|found)|unavailable|missing)(?: (?:in|from|by)\b[^,]*)?",
    rf"not {ADVERBS}{TOLD}(?: (?:at all|enough|{IN_PASSAGE}))?",
    # it, the answer, the question
    rf"(?:it|its|this|that) (?:is |was )?not {ADVERBS}{STATED}(?: (?!as\b|until\b)[^,]*)?",
    rf"(?:it|this|that) (?:isnt|wasnt) {ADVERBS}{STATED}(?: (?!as\b|until\b)[^,]*)?",
    rf"(?:it|its|this|that) (?:is |was )?not {ADVERBS}{TOLD}(?: (?:{IN_PASSAGE}|(?:{WH}|how|if)[^,]*))?",
    rf"{THE_FACT} (?:{IS_NOT} {ADVERBS}{TOLD}|does not appear|doesnt appear)(?: (?!as\b|until\b)[^,]*)?",
    rf"(?:it|this|that|{ANSWER}|{QUESTION}|its) (?:is |remains )?"
    rf"(?:impossible to {SETTLE}|unclear)(?: (?!to\b|until\b)[^,]*)?",
    rf"(?:it|this|that|{ANSWER}|{QUESTION}|its) (?:is |remains )?(?:unknown|unanswerable|unspecified|uncertain)"
    rf"(?: (?:{WH}|how|if|from|based|given|because|since|exactly|precisely|according)\b[^,]*| {IN_PASSAGE})?",
    rf"(?:it|this|that|{ANSWER}|{QUESTION}) (?:cannot|can not|cant|could not|couldnt) be {ADVERBS}{SETTLED}{REST}",
    rf"{QUESTION} (?:has no|does not have an|doesnt have an) answer{REST}",
    rf"it (?:does not|doesnt|never) {ADVERBS}(?:say|says|state|states|mention|mentions|specify|specifies|tell)"
    rf"(?: (?:{WH}|how|if|the|it|this|that|any|in)\b[^,]*)?",
    rf"(?:does not|doesnt|never) {ADVERBS}(?:say|state|mention|specify) (?:{WH}|how|if) [^,]*",
    # the passage
    rf"{PASSAGE} {DOES_NOT} {ADVERBS}{TELL}{REST}",
    rf"{PASSAGE} {DOES_NOT} {ADVERBS}{TELL} [^,]+"
    rf"(?:, (?:and |or |nor )*(?:the|his|her|their|any|an?|{WH}|how) (?!answer\b)\w+(?: \w+){{0,3}})+",
    rf"{PASSAGE} (?:makes?|gives?|provides?|contains?|has|have|offers?|includes?) no(?:t enough)? [^,]+",
    rf"{PASSAGE} (?:says? nothing|is not clear|isnt clear|is unclear){REST}",
    rf"(?:nothing|nowhere) in {PASSAGE} [^,]+",
    rf"(?:there is|there was|there are|theres|there isnt) (?:no|not|not enough|insufficient|nothing|any|enough) ?"
    rf"(?:(?:enough|any|specific|such|direct|explicit|clear|further) )*"
    rf"(?:{FACTS}|way to (?:know|tell|determine|say|answer)|about|in {PASSAGE})"
    rf"(?: (?:about|of|on|in|for|to|from|that|given|provided|available|regarding|as|{WH})\b[^,]*)?",
    r"no (?:specific |such |further |other )?(?:information|mention|details?|indication|data)"
    r"(?: (?:about|of|on|in|is|are|was|given|provided|available|regarding|for|to|found)\b[^,]*)?",
    # nobody knows
    rf"{PEOPLE} {ADVERBS}{DO_NOT} {ADVERBS}know{OF_THIS}",
    rf"{PEOPLE} {COULD_NOT} {ADVERBS}{WORK_OUT}{OF_THIS}",
    rf"(?:nobody|no one) (?:can|could) {WORK_OUT}{OF_THIS}",
    r"(?:(?:we are|were|you are|the reader is) (?:not|never)|we arent|you arent|the reader isnt) (?:told|informed)(?: (?:this|that|(?:wh"
    r"|how)\w*)\b[^,]*)?",
    r"(?:i am |im )?(?:not aware|unaware|not familiar|unfamiliar|not informed)(?: (?:of|with|about) (?!an? |some )[^,]*)?",
    r"(?:(?:i|we|you) have |ive |weve |i have got )?(?:no|not any) (?:knowledge|record|recollection|memory|way (?:of (?:know|tell)ing|to (?:know"
    r"|tell)))(?: [^,]*)?",
    r"there(?: i|)s no way (?:of (?:know|tell|say)ing|to (?:know|tell|say))(?: [^,]*)?",
    r"i (?:could not|couldnt) (?:say|tell you)(?: (?:wh\w+|how|if|exactly|for sure)\b[^,]*)?",
    r"(?:i )?(?:cannot|cant|can not|do not|dont) (?:recall|remember)(?: (?:this|that|it|the|wh\w+|how)\b[^,]*)?",
    r"(?:i )?(?:have not|havent|do not have|dont have) (?:got )?(?:an? (?:clue|idea|inkling)|the (?:faintest|slightest|foggiest|remotest)(?: idea"
    r"| clue)?)(?: [^,]*)?",
    "no clue|beats me|who knows|who can say|search me",
    rf"(?:it is |its )?(?:impossible|hard|difficult|not (?:possible|easy)|tricky) to (?:say|tell|know|determine|judge|work out|be (?:sure"
    rf"|certain)){OF_THIS}",
    r"i (?:would|d|could|will|ll) (?:only |just )?be guessing|id (?:only |just )?be guessing",
    r"(?:i would|id|i) (?:rather not|prefer not to|decline to|will not|wont|refuse to) (?:guess|answer|say|speculate)(?: [^,]*)?",
    r"i (?:must|have to|will) (?:abstain|pass)|i (?:abstain|pass)",
    rf"i (?:have no|lack the \w+ to|do not have an|dont have an|do not have the|dont have the) {SETTLE}(?: [^,]*)?",
    rf"i (?:do not|dont) (?:possess|have) (?:\w+ ){{0,4}}(?:{FACTS})(?: [^,]*)?",
    rf"i {CANNOT} {ADVERBS}(?:name|see|give|provide|infer|deduce|work out|pinpoint) (?:you )?(?:this|that|it|an?|the|any)\b[^,]*",
    r"i (?:(?:can|could) )?(?:find|found|see|saw) (?:no (?:mention|information|reference|indication|details?)|nothing (?:about|on|regarding))\b[^,]*",
    r"my (?:training )?(?:data|knowledge)(?: base)? (?:does not|doesnt|do not|dont) (?:include|cover|contain|extend)\b[^,]*",
    # it cannot be worked out
    rf"(?:the|this|that|these|his|her|its|their|any) [^,]{{1,80}} {COULD_NOT} be {ADVERBS}{WORKED_OUT}{BECAUSE}",
    rf"(?:it|this|that) {COULD_NOT} be {ADVERBS}{WORKED_OUT}{OF_THIS}",
    rf"(?:cannot|can not|cant|could not|couldnt) (?:tell|know|say|determine|infer|be {ADVERBS}{WORKED_OUT}){OF_THIS}",
    rf"it (?:is not|isnt|was not|wasnt) possible to {ADVERBS}(?:{WORK_OUT}|(?:give|provide|state|offer) (?:an?|the|any)\b)[^,]*",
    rf"it is impossible to {ADVERBS}(?:infer|deduce|conclude|establish|ascertain|work out|pinpoint|identify|judge|name)\b[^,]*",
    # no such thing is told
    rf"no (?:exact |specific |such |definite |particular |further |clear )?{INFO} (?:is|are|was|were|has been|have been) {ADVERBS}{REPORTED}"
    r"(?: (?:for|about|of|on|in|by|here|there|anywhere|at all|regarding)\b[^,]*)?",
    rf"no (?!one\b|body\b)[^,]{{1,60}} (?:is|are|was|were) {ADVERBS}(?:mentioned|stated|specified|indicated)(?: (?:in|by|here|anywhere"
    rf"|at all)\b[^,]*)?",
    rf"(?:no|none|nothing) (?:is |was )?{REPORTED}(?: (?:about|on|of|regarding|in|here)\b[^,]*)?",
    r"no (?:mention|evidence|indication) of (?:it|this|that)|no (?:data|evidence|details?)(?: (?:available|given|provided|found))?",
    rf"(?:the|this|that|his|her|its|their) (?:[^,]{{1,60}} )?{INFO}(?: of [^,]{{1,60}})? {IS_NOT} {ADVERBS}"
    rf"(?:{REPORTED}|known|there|available)(?: (?:in|by|here|there|anywhere|at all)\b[^,]*)?",
    rf"(?:the|this|that|his|her|its|their) [^,]{{1,60}} (?:is not|isnt|are not|arent) {ADVERBS}(?:named|identified|disclosed|specified|known)",
    rf"(?!{PASSAGE} )(?:the|his|her|its|their) [^,]{{1,80}} (?:is|are|remains?|was|were) (?:unknown|unclear|unspecified|unstated|undisclosed"
    rf"|undetermined|not clear)"
    r"(?: (?:from|based on|in this|in the (?:given|passage|text))\b[^,]*)?",
    r"(?:it|this|that) (?:is not|isnt|was not|wasnt) (?:known|made clear|covered|said)",
    rf"(?:(?:it|this|that) )?(?:is not|isnt|was not|wasnt) {ADVERBS}{TOLD}(?: {IN_PASSAGE})?",
    rf"not {ADVERBS}{REPORTED}(?: (?:anywhere|at all|here|there|{IN_PASSAGE}))?",
    rf"there {ADVERBS}(?:is|was|are|isnt|arent|wasnt) (?:nothing|no|not|not any|any|anything|little|too little|insufficient"
    rf"|hardly any)(?: [^,]+)? (?:in|from|within) {PASSAGE}{REST}",
    rf"(?:{WH}|how|why) [^,]{{1,80}} {IS_NOT} {ADVERBS}(?:{REPORTED}|known|clear)(?: {IN_PASSAGE})?",
    rf"(?:{WH}|how|why) [^,]{{1,80}} (?:is|are|remains?|was|were) (?:left )?(?:unknown|{NOTHING_LEFT})(?: {IN_PASSAGE})?",
    rf"[^,]{{1,100}} {COULD_NOT} be {ADVERBS}(?:found|seen|{WORKED_OUT}) (?:in|from|by|with|using|based on) {PASSAGE}{REST}",
    rf"[^,]{{1,80}} (?:is not|isnt|was not|wasnt) (?:something|a thing) (?:that )?{PASSAGE} [^,]*",
    rf"[^,]{{1,120}} {IS_NOT} (?:\w+ )?(?:in|within|part of) {PASSAGE}",
    rf"(?:un\w+|not clear|missing|absent) (?:in|from|by) {PASSAGE}",
    rf"[^,]{{1,100}} (?:does not|doesnt|do not|dont|never) (?:appear|occur|come up|figure)s? (?:anywhere )?(?:in|within) {PASSAGE}{REST}",
    rf"nothing (?:about|on|of) [^,]{{1,80}} (?:appears|occurs|is [a-z]+) (?:in|within) {PASSAGE}{REST}",
    rf"(?:the|this|that|it|these|his|her|its|their) (?:[^,]{{1,80}} )?(?:goes|go|went|remains?|stays?) {ADVERBS}{NOTHING_LEFT}(?: {IN_PASSAGE})?",
    rf"(?:the|this|that|it|these|his|her|its|their) (?:[^,]{{1,80}} )?{WAS} (?:simply |also )?(?:left|kept) {NOTHING_LEFT}"
    rf"(?: {IN_PASSAGE})?",
    rf"(?:{IT}|{THE_INFO}|(?:this|that|the) (?:part|detail|point|matter|field|entry|spot)) {WAS} (?:simply |also )?left (?:blank|open|vague)"
    rf"(?: {IN_PASSAGE})?",
    rf"{THE_INFO} {WAS} (?:simply |also )?(?:omitted|left (?:out|blank)|withheld|skipped|passed over|kept (?:secret|back|hidden))"
    rf"(?: (?:from|in|by|of) {PASSAGE})?",
    rf"(?:the|this|that|it|these|his|her|its|their) (?:[^,]{{1,60}} )?{NEVER} {ADVERBS}(?:revealed|disclosed|specified|stated|spelled out|identified"
    rf"|given a name)(?: (?:here|anywhere|{IN_PASSAGE}))?",
    "un(?:named|disclosed|mentioned|recorded|revealed|reported|documented|specified|stated)",
    r"not enough is (?:said|given|stated|known|told|provided)(?: [^,]*)?",
    r"(?:one|you|i|we) would (?:have to|only|just) (?:be )?guess(?:ing)?(?: [^,]*)?",
    r"i (?:do not|dont) see (?:an|any|the) answer(?: [^,]*)?",
    rf"i (?:do not|dont) (?:think|believe) (?:that )?(?:this|that|it|{QUESTION}) (?:can|could) be {WORKED_OUT}(?: [^,]*)?",
    rf"{PEOPLE} {COULD_NOT} work (?:this|that|it) out(?: [^,]*)?",
    rf"(?:you|we|i|one) (?:would |will |d )?(?:need|require) (?:more|further|additional) {FACTS}(?: [^,]*)?",
    rf"(?:more|further|additional) {FACTS} (?:is|are|would be|were) (?:needed|required|necessary)(?: [^,]*)?",
    rf"i (?:do not|dont|did not|didnt) (?:see|find|read) [^,]{{1,80}} (?:in|from|within) {PASSAGE}{REST}",
    rf"i (?:see|find|found|saw) (?:no|nothing)(?: [^,]{{1,80}})? (?:in|from|within) {PASSAGE}{REST}",
    rf"i (?:do not|dont) (?:think|believe) (?:that )?{PASSAGE} {ADVERBS}(?:{TELL}|says?|mentions?|states?)(?: [^,]*)?",
    rf"(?:nobody|no one) knows (?:from|based on) {PASSAGE}{REST}",
    rf"(?:it|this|that) is nowhere {REPORTED}(?: {IN_PASSAGE})?",
    rf"no (?:relevant |useful |clear |direct |definite |further )?(?:{FACTS}|conclusion) (?:can|could) be [^,]*",
    r"no (?:relevant|useful|direct|pertinent|sufficient|clear) (?:information|details?|data|mention|evidence|answer)(?: [^,]*)?",
    rf"{PASSAGE} {DOES_NOT} support (?:an|any|the|a definite) [^,]*",
    rf"theres (?:nothing|no|not any|little)(?: [^,]+)? (?:in|from|within) {PASSAGE}{REST}",
    rf"there {ADVERBS}(?:isnt|is not|arent|are not) (?:enough|sufficient|any) {FACTS}(?: [^,]*)?",
    rf"(?:there is|there was|there are|theres) (?:too little|insufficient|not enough|inadequate) {FACTS}(?: [^,]*)?",
    rf"it (?:is not|isnt|was not|wasnt) known (?:{WH}|how|if) [^,]*",
    rf"(?:thats|its|this is|that is) not (?:{TOLD}|covered|included|discussed|in there|there)(?: {IN_PASSAGE})?",
    rf"(?:it|this|that|{QUESTION}|{ANSWER}|the matter|the point) (?:is|are|was) left (?:{NOTHING_LEFT}|open)(?: [^,]*)?",
    rf"{THE_FACT} (?:is|was) (?:missing|absent|unavailable|omitted|lacking|not there)(?: (?:from|in) [^,]*)?",
    rf"[^,]{{1,100}} (?:is|are|was|were) (?:entirely |completely )?(?:missing|absent|omitted|left out|lacking) (?:from|in) {PASSAGE}{REST}",
    rf"[^,]{{1,100}} (?:is|are|lies|lie|goes|falls?) (?:well )?(?:beyond|outside)(?: of)? (?:the scope of |what )?{PASSAGE}{REST}",
    r"(?:indeterminate|indeterminable|undeterminable|unknowable|not (?:determinable|ascertainable))(?: (?:from|based on|in) [^,]*)?",
    r"unable to (?:say|tell|determine|know|answer|identify)(?: (?:this|that|it|the|from|based|wh\w+|how)\b[^,]*)?",
    # the passage is of no use
    rf"{PASSAGE} leaves? (?:(?:it|this|that|the [^,]{{1,60}}) )?(?:{NOTHING_LEFT}|open)(?: [^,]*)?",
    rf"{PASSAGE} (?:is|are|remains?|stays?) (?:{NO_USE})(?: (?:on|about|as to|regarding|for|to|with)\b[^,]*)?",
    rf"{PASSAGE} (?:isnt|arent|is not|are not) (?:sufficient|enough|specific|explicit|clear)(?: (?:on|about|as to|regarding|for|to)\b[^,]*)?",
    rf"{PASSAGE} (?:gives?|provides?|offers?|contains?|has|have|includes?) (?:us |me |you |the reader )?{LITTLE}(?: [^,]*)?",
    rf"{PASSAGE} (?:skips?|ignores?|skirts?|avoids?|passes over|glosses over|leaves out|keeps? (?:quiet|silent|mum) (?:on|about))"
    rf" (?:(?:this|that|it|{QUESTION}|{WH}|how)\b[^,]*|{THE_INFO}(?: \w+)?)",
    rf"(?:{PASSAGE}|it|the (?:author|writer|narrator)) (?:leaves?|left) (?:it|this|that|the [^,]{{1,60}}) out(?: [^,]*)?",
    rf"the (?:author|writer|narrator|storyteller) (?:omits?|withholds?|skips?|hides?|passes over|keeps? back) (?:it|this|that|{THE_INFO})(?: [^,]*)?",
    rf"{PASSAGE} (?:lacks?|omits?) (?:this|that|these|those|such|the (?:necessary|required|relevant|requested|exact|specific|answer|date|year|name"
    rf"|number"
    rf"|information|details?)|any|enough|sufficient|information|details?)\b[^,]*",
    rf"{PASSAGE} {DOES_NOT} {ADVERBS}(?:touch|speak|elaborate|go|hold|allow|let|make clear|relate|help|reach|extend|tells|names?|gives?"
    r"|identif(?:y|ies)|permit|enable)(?: [^,]*)?",
    rf"(?:none|neither|no part|nothing) (?:of |in )?(?:(?:the|these|those|any) )*(?:{GIVEN} )*(?:sentences? in |parts? of )?"
    r"(?:the )?(?:passage|text|context|article|document|paragraph|excerpt|source|snippet)s?"
    rf"(?: (?:itself|above|alone|provided|given|here))* (?:actually |really )?(?:{TELL}|mentions?|says?|states?|relates?|covers?|answers?"
    rf"|address(?:es)?"
    r"|concerns?|specif(?:y|ies)|explains?|tells?|gives?|provides?|contains?|deals?|discuss(?:es)?|names?|refers?)(?: [^,]*)?",
    rf"nothing here {TELL}[^,]*",
    rf"nowhere (?:is|are|was|were) (?:this|that|it|the [^,]{{1,60}}) {REPORTED}(?: {IN_PASSAGE})?",
    rf"nowhere (?:in {PASSAGE} |does {PASSAGE} |is )[^,]+",
    rf"the (?:author|writer|narrator)s? {DOES_NOT} {ADVERBS}(?:say|state|mention|specify|tells?|indicate|identify|name|reveal|disclose|mentions"
    rf"|says)"
    rf"(?: (?:us|this|that|it|the|an?|any|{WH}|how)\b[^,]*)?",
    rf"(?:it|they) (?:never|do not|dont|does not|doesnt) {ADVERBS}(?:says?|state|mentions?|specify|tell us)(?: (?:an?|the|any|this|that|{WH}"
    rf"|how)\b[^,]*)?",
    r"the (?:given|provided|available) (?:information|context|text|passage) (?:does|do) not allow [^,]*",
    # some fact is not in the passage
    rf"[^,]{{1,120}} {IS_NOT} {ADVERBS}{TOLD} (?:\w+ )?{IN_PASSAGE}",
    rf"(?:the|this|that|his|her|their|its) [^,]{{1,100}} {IS_NOT} {ADVERBS}(?:mentioned|stated|specified|indicated)",
    rf"(?:no|neither) [^,]{{1,120}} (?:is|are|was|were) {ADVERBS}{TOLD} {IN_PASSAGE}",
)

_FILLER_TEXTS = (
    "",
    r"(?:i am |im )?(?:very |so |really )?sorry(?: about that)?|unfortunately|sadly|regrettably|alas|apologies|my apologies|i apologi[sz]e[^,]*",
    r"(?:the |my )?(?:final |short |correct )*answer(?: is)?|a|explanation|reason|reasoning|note|well|hmm+|honestly",
    r"to be honest|ok|okay|so|thus|hence|therefore|thank you|thanks|as far as i (?:know|can tell)",
    r"as an? (?:ai|large language model|language model)(?: language model| model| assistant)?",
    r"(?:without|lacking) (?:more|further|additional|any|other) [^,]*",
    rf"(?:based (?:only |solely )?on|according to|from|given|in|with|using) (?:only |just )?{PASSAGE}[^,]*",
)

_ONLY = either("only", "just", "merely", "simply", "mainly", "mostly", "instead", "also", "rather")
_SPEAKS = either(
    "mentions?", "discuss(?:es)?", "describes?", "talks?", "focus(?:es)?", "covers?", "lists?", "refers?", "deals?",
    "explains?", "contains?", "provides?", "is about", "are about", "tells?", "gives?",
)  # fmt: skip
_EXPLAIN_TEXTS = (
    rf"{PASSAGE} (?:{_ONLY} )*{_SPEAKS}{REST}",
    rf"(?:{PASSAGE}|it|they) (?:{_ONLY} (?:{_SPEAKS}|says?|states?|goes|includes?)|(?:says?|states?) {_ONLY}){REST}",
    rf"(?:it |they )?(?:{_ONLY} )*(?:mentions?|discuss(?:es)?|describes?|talks about|focus(?:es)? on|covers?){REST}",
    rf"(?:it|they|this) (?:does not|doesnt|do not|dont){REST}",
    r"(?:only|not|nor|or|nothing|neither|which) [^,]*",
    r"(?:please|if you|could you|can you|let me know|feel free|i would need|i need|id need|perhaps you|would you)\b.*",
    r"(?:more|further|additional|other) (?:information|context|details?)\b[^,]*",
)

# Words before the clause proper; contrasts are cut before, since what follows them is a clause of its own.
_LEAD_TEXT = (
    rf"(?:(?:as far as {PASSAGE} goes|judging from {PASSAGE}|(?:i am|im) (?:very |so |really )?sorry|sorry|unfortunately|sadly|regrettably"
    rf"|(?:based on|from|given) what (?:is|was|i was|i am|has been) (?:given|provided|said|written|told)"
    r"|apologies|and|so|because|since|as|therefore|thus|that"
    r"|hence|or|well|i think|i believe|i am afraid|im afraid|i regret|i must admit|i have to (?:say|admit)|it (?:seems|appears)(?: that)?"
    r"|(?:the )?answer is"
    rf"|(?:based (?:only |solely )?on|according to|from|given|in) {PASSAGE})(?:,? |$))+"
)


_NO_COMMA = re.compile(r"\[\^,[^\]]*\]|\{\d*,\d*\}")
_MAYBE_COMMA = re.compile(r",|\.|\\[WDS]|\[\^")

Kinds = tuple[tuple[ClauseKind, re.Pattern[str]], ...]


class _Patterns(NamedTuple):
    """kinds: of any clause; with_comma: the same of those phrases that may hold a comma, a few of them all, for clauses that do."""

    lead: re.Pattern[str]
    kinds: Kinds
    with_comma: Kinds


@cache
def _patterns() -> _Patterns:
    """Compiled at first use: that takes 40 ms, and most commands score nothing."""
    texts: tuple[tuple[ClauseKind, tuple[str, ...]], ...] = (("abstain", _ABSTAIN_TEXTS), ("filler", _FILLER_TEXTS), ("explain", _EXPLAIN_TEXTS))
    some = tuple((kind, tuple(one for one in each if _may_hold_comma(one))) for kind, each in texts)
    kinds, with_comma = (tuple((kind, re.compile(either(*each) if each else "(?!)")) for kind, each in one) for one in (texts, some))
    return _Patterns(re.compile(_LEAD_TEXT), kinds, with_comma)


def _may_hold_comma(phrase: str) -> bool:
    """Whether a text with a comma may match it: something in it, beside bounds and what excludes commas, is a comma or any character."""
    return _MAYBE_COMMA.search(_NO_COMMA.sub("", phrase)) is not None


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
    kinds = [(patterns.with_comma if "," in one else patterns.kinds, one) for one in candidates]
    for place, (kind, _) in enumerate(patterns.kinds):
        if any(own[place][1].fullmatch(candidate) for own, candidate in kinds):
            return kind
    return "answer"
