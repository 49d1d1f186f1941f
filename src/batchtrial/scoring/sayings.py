"""Sayings and further ways to say that something is not known or not told, in the form of `phrases`."""

from __future__ import annotations

from batchtrial.scoring.phrase_parts import ADVERBS, DOES_NOT, FACTS, INFO, IT, IT_IS, NEVER, NONE_IS, OF_THIS, SOURCES, THE_INFO, WH

# Sayings for "I do not know", which share no word.
SAYINGS = (
    rf"(?:nobody|no one|noone) (?:(?:can|could) {ADVERBS}(?:be (?:sure|certain)|tell|say|know|answer)|has (?:ever )?been able to (?:say|tell)"
    rf"|(?:seems|appears|claims) to know){OF_THIS}",
    r"who (?:can|could) (?:tell|say|know)(?: (?:for sure|really|wh\w+|how)\b[^,]*)?",
    r"(?:i|we|you|one|anyone)(?: would| could| can| will|d) (?:only |just |merely )?(?:be )?(?:speculat(?:e|ing)|guessing)(?: [^,]*)?",
    r"(?:it|that|this|anything|anything else|any answer|an answer|my answer) would (?:only |just |merely )?be (?:(?:an?|pure|mere|sheer|just|only"
    r"|wild|complete) )*"
    r"(?:guess|guesswork|speculation|conjecture|stab in the dark)(?: [^,]*)?",
    r"(?:i|we|you|the reader|readers|one) (?:is|are|am) (?:simply |just )?left (?:guessing|wondering|in the dark|to (?:wonder|guess|speculate"
    r"|imagine))(?: [^,]*)?",
    rf"{IT_IS}?(?:left )?(?:up )?to (?:the|our|your|my|ones) (?:readers? )?imagination(?: [^,]*)?",
    rf"(?:there is|theres) no telling(?: (?:{WH}|how|from)\b[^,]*)?",
    r"(?:this|that|it|the question)(?: one)? (?:has|had) (?:me|us) (?:completely )?(?:stumped|baffled|beat|beaten)",
    rf"(?:we|you|i) (?:are|were|am|was) (?:never|not) {ADVERBS}told (?:his|her|its|their|the) (?:[^,]{{1,40}} )?{INFO}",
    rf"(?:nobody|no one|noone|no man|not a soul|god|god only|only god|heaven|heaven only|goodness|goodness only|lord"
    rf"|lord only) {ADVERBS}knows?{OF_THIS}",
    rf"{IT_IS}?(?:still )?(?:anyones|anybodys|anyone elses) guess(?: (?:{WH}|how|at|really)\b[^,]*)?",
    "(?:your|any|anyones) guess is as good as (?:mine|any|anyones|ours)",
    rf"{IT_IS}?(?:well |far |way )?(?:beyond|outside|above)(?: of)? (?:my|our) (?:\w+ )?(?:knowledge|ken|understanding|expertise|pay grade|scope"
    rf"|reach"
    r"|abilit(?:y|ies)|training(?: data)?|competence|grasp)",
    rf"{IT_IS}?(?:well |far |way )?(?:beyond|outside)(?: of)? (?:what|the (?:scope|limits?|bounds|extent) of (?:what )?(?:my )?)\b ?"
    r"(?:(?:i|we) (?:know|was told|were told|can (?:say|tell|answer)|have)|knowledge|understanding)(?: [^,]*)?",
    rf"{IT_IS}(?:still )?an? (?:complete |total |real |bit of a )?(?:mystery|puzzle|riddle|enigma|blank)(?: to (?:me|us|everyone|everybody|all))?",
    rf"{IT} remains an? (?:complete |total )?(?:mystery|puzzle|riddle|enigma)(?: to \w+)?",
    rf"(?:{THE_INFO}|{WH} [^,]{{1,80}}|how [^,]{{1,80}}) (?:is|remains|was) (?:still )?an? (?:complete |total )?mystery(?: to \w+)?",
    r"(?:you have |youve |you |thats |that has )?got me(?: (?:there|stumped|beat))?",
    r"i (?:draw|drew|am drawing) a (?:complete |total )?blank(?: (?:here|on)\b[^,]*)?|im drawing a (?:complete |total )?blank(?: (?:here"
    r"|on)\b[^,]*)?",
    r"(?:i am|im) (?:completely |totally |quite )?(?:stumped|baffled|clueless|lost|at a (?:complete |total )?loss)(?: (?:here|by|on|as to|about"
    r"|with)\b[^,]*)?",
    r"i (?:only |really |honestly |truly |just )?wish i (?:knew|could (?:say|tell|answer|help))(?: [^,]*)?",
    r"(?:i would|id) (?:really )?(?:like|love) to know (?:it |this |that )?(?:too|as well|myself)",
    rf"(?:{IT}|{THE_INFO}) (?:currently )?(?:escapes|eludes) me(?: (?:now|right now|at the moment|just now))?",
    rf"(?:{IT}|{THE_INFO}) (?:slips|has slipped|slipped) my (?:mind|memory)(?: [^,]*)?",
    rf"(?:i have |ive |i have absolutely |absolutely )?(?:no|not an?|not the) (?:{ADVERBS})?(?:faintest |slightest |foggiest |least |remotest "
    rf"|earthly )?"
    r"(?:idea|clue|inkling|notion)(?: (?:whatsoever|at all|really|here|there|im afraid|sorry))?",
    "(?:i have )?not the (?:faintest|slightest|foggiest|remotest)",
    "(?:i am|im) none the wiser(?: [^,]*)?",
    r"(?:i am|im) (?:\w+ )?(?:in the dark|out of my depth)(?: (?:here|on|about|as to)\b[^,]*)?",
    rf"(?:{IT}|{THE_INFO}) (?:does not|doesnt) ring (?:a|any) bells?(?: [^,]*)?",
    r"(?:i was|i have|ive|we were|we have) (?:never|not) (?:been )?(?:told|taught|informed)(?: (?:this|that|it|wh\w+|how|the (?:answer|name|date"
    r"|year|reason|number))\b[^,]*)?",
    r"(?:not|never|hardly|too little|far too little|nothing|there is nothing|theres nothing|there is too little|theres too little"
    r"|not much)(?: enough)? to go on(?: here| in [^,]*)?",
    rf"(?:im |i am )?not (?:at all |{ADVERBS})(?:sure|certain|clear)(?: (?:at all|here|really|myself|sorry|im afraid|{WH}[^,]*|how [^,]*"
    rf"|about [^,]*))?",
    rf"{SOURCES} (?:{DOES_NOT}|nowhere|is silent|are silent)(?: {ADVERBS}(?:say|tell|know|record|mention|reveal|state|specify|name|preserve)s?)?"
    rf"(?: (?:us|me|it|this|that|the|him|her|them|any|an?|his|its|their|{WH}|how|on|about)\b[^,]*)?",
    rf"(?:{IT}|{THE_INFO}) {NEVER} {ADVERBS}(?:recorded|documented|written down|set down|noted down|reported|revealed|disclosed|made public"
    rf"|made known"
    r"|published|preserved|passed down|handed down|established)(?: (?:here|anywhere|for us|to us))?",
    rf"(?:{IT} (?:is|was|has been) |{THE_INFO} (?:is|was|has been) )?(?:now )?lost to (?:history|time|memory|us)",
    r"(?:could not|couldnt|cant|cannot|did not|didnt) (?:find|see|locate) (?:it|this|that|anything|any|an answer|the answer)\b[^,]*",
    r"(?:there is |theres )?no (?:\w+ ){0,2}(?:records?|evidence|sources?|documents?|documentation)(?: (?:of|for|on|about) [^,]{1,40}?)?"
    r" (?:exists?|survives?|remains?|is known)(?: (?:of|for|on|about) [^,]{1,40})?",
    "(?:there is|theres|there are) no (?:known |surviving |public |written )?(?:records?|evidence) of (?:it|this|that)",
    rf"{IT_IS}(?:not (?:entirely |completely )?certain|uncertain|unknowable|undecided|disputed|debated)",
    rf"(?:{IT}) (?:isnt|wasnt) certain",
    rf"{SOURCES} (?:is|are|remain|remains) (?:unsure|uncertain|divided|undecided|silent)(?: (?:on|about|as to) [^,]*)?",
    r"(?:i )?(?:cannot|cant|could not|couldnt) be (?:sure|certain)(?: (?:of|about|wh\w+|how) [^,]*)?",
    r"my (?:training |own )?(?:data|knowledge)(?: base)? (?:does not|doesnt|do not|dont) (?:go|reach)(?: [^,]*)?",
    "null",
    # there is no record of it: of what was asked, for "no record of a king after 1592" may be what is known
    rf"{NONE_IS} (?:known |surviving |clear |direct |explicit )*(?:records?|evidence|mention|statement|indication|reference|trace|word|account)"
    rf" (?:of|about|to|as to|on|for|regarding) (?:it|(?:this|that)(?: \w+)?|(?:{WH}|how|why) [^,]+)",
    rf"{NONE_IS} (?:explicit |direct |clear )?(?:mention|statement) (?:of|about|on|regarding) [^,]+",
    rf"{NONE_IS} (?:exact |specific |such |definite |particular |further |clear )?{INFO} (?:for (?:this|that|it) )?(?:given|provided|mentioned|stated"
    rf"|specified|indicated|listed|named)(?: (?:here|anywhere|in (?:it|{SOURCES})))?",
    rf"{NONE_IS} {FACTS}(?: (?:about|of|on|for|to|that|given|provided|available|regarding|as to|{WH})\b[^,]*)?",
    rf"i (?:see|saw|find|found) no (?:records?|evidence|trace|account) of (?:it|(?:this|that)(?: \w+)?|(?:{WH}|how|why) [^,]+)",
    rf"{NONE_IS} (?:documented|recorded|definite|definitive|clear|direct) answer(?: to (?:this|that|it|the question))?",
    r"there (?:is|was) nothing (?:(?:here|there) (?:about|on) [^,]+|(?:about|on) [^,]+ here)",
    rf"(?:(?:{IT}|{THE_INFO}) (?:is|was) )?(?:not|nowhere) on record(?: (?:{WH}|how) [^,]+)?",
    rf"{IT} (?:is|was) not recorded (?:{WH}|how|why) [^,]+",
    rf"(?:{IT}|{THE_INFO}) (?:is|was|are|were) nowhere to be (?:found|seen)",
    rf"nothing in {SOURCES} (?:says?|tells?|states?|mentions?|shows?|records?|names?|indicates?)(?: (?:us|me))?"
    rf"(?: (?:it|this|that|so|{WH}|how|why)(?: [^,]+)?)?",
    r"(?:no one|nobody) is (?:named|identified)(?: here)?|no source is (?:cited|given|named)(?: (?:for|here)\b[^,]*)?",
    r"none (?:of (?:this|that|these|those) )?(?:is|are|was|were) (?:stated|given|mentioned|provided|specified|indicated|named|listed)(?: here)?",
)
