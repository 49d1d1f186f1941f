"""Abstentions are recognised in whatever form models write them, and answers that look like them are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.scoring import phrases
from batchtrial.scoring.abstention import is_abstention

from .test_normalize import TEXT

ABSTENTIONS = [
    # what the task instructions order, in every dress
    "I don't know.",
    "I don't know",
    "I don’t know.",
    "I don‘t know.",
    "i dont know",
    "I DON'T KNOW!",
    "I do not know.",
    "I do not know",
    '"I don\'t know."',
    "“I don’t know.”",
    "**I don't know.**",
    "Answer: I don't know.",
    "A: I don't know.",
    "Final answer: I don't know.",
    "  \n I don't know. \n",
    "I don't know the answer.",
    "I don't know the answer to that question.",
    "I don't know who founded the company.",
    "I don't know for sure.",
    "I'm sorry, I don't know.",
    "I'm sorry, but I don't know.",
    "Sorry. I don't know.",
    "Unfortunately, I don't know the answer.",
    "Based on the passage, I don't know.",
    "I honestly don't know.",
    "I really do not know.",
    "I don't know, sorry.",
    "I don't know.\n\nThe passage does not say.",
    "I don't know, the passage does not say.",
    "I don't know. The passage talks about bridges but not about their cost.",
    "I don't know. Please provide more context.",
    "I don't know.\n\nExplanation: The passage does not mention the year.",
    "I don't know because the passage only covers the years before the war.",
    # single words and stubs
    "unanswerable",
    "Unanswerable.",
    "UNANSWERABLE",
    "Unknown",
    "unknown.",
    "N/A",
    "n/a.",
    "Not applicable",
    "No answer",
    "No answer.",
    "No idea.",
    "I have no idea.",
    "IDK",
    "Not sure.",
    "I'm not sure.",
    "I am not certain.",
    "I'm not sure about the exact date.",
    "Not stated.",
    "Not mentioned",
    "Not specified in the passage.",
    "Not given in the text",
    "Not enough information.",
    "Not enough information is given to answer.",
    "Insufficient information.",
    "Information not available.",
    "Cannot be determined.",
    "Can't be determined from the passage.",
    "Cannot answer.",
    "Unable to answer.",
    "Unclear.",
    "",
    "   \n",
    "...",
    "-",
    # about the passage
    "The passage does not say.",
    "The passage doesn't say.",
    "The passage doesn’t mention it.",
    "The passage does not say who wrote the letter.",
    "The passage does not mention the U.S. president.",
    "The passage does not mention when Dr. Smith was born.",
    "The text does not specify the year.",
    "The given context does not contain the answer.",
    "The provided passage does not include this information.",
    "The article never mentions his wife.",
    "This information is not in the passage.",
    "That information is not provided.",
    "The information is not given in the passage.",
    "The answer is not in the passage.",
    "The answer is not given.",
    "The answer cannot be found in the passage.",
    "The answer is unknown.",
    "The passage makes no mention of a second bridge.",
    "The passage gives no information about his age.",
    "Nothing in the passage says who paid.",
    "There is no information about this in the passage.",
    "There is no mention of a treaty in the text.",
    "No information is given about the cost.",
    "No information provided.",
    "It is not mentioned in the passage.",
    "It is not stated who built it.",
    "It's not possible to determine this from the passage.",
    "It is impossible to say from the passage.",
    "It does not say.",
    "According to the passage, it is not stated.",
    "Based on the information in the passage, it is not possible to determine when the mill closed.",
    "The year in which the mill closed is not mentioned in the passage.",
    "The name of the architect is not specified in the given text.",
    "The cost of the bridge is not mentioned.",
    "The passage does not provide that information. It only describes the opening ceremony.",
    "The passage does not mention the architect. However, it does not rule out a local one.",
    "The passage does not say when, but it mentions where.",
    # questions and refusals
    "This question is unanswerable.",
    "This question cannot be answered.",
    "The question cannot be answered from the passage.",
    "The question has no answer in the passage.",
    "I cannot answer this question.",
    "I can't answer that.",
    "I can not determine the answer from the given text.",
    "I am unable to answer this question based on the passage.",
    "I'm not able to find that in the passage.",
    "I couldn't find the answer in the passage.",
    "I do not have enough information to answer.",
    "I don't have that information.",
    "I have no information about that.",
    "I'm sorry, but I can't help with that.",
    # seen elsewhere
    "I'm unsure.",
    "Don't know",
    "I wouldn't know.",
    "Can't say",
    "The correct answer is: I don't know.",
    "I don't know of any such treaty.",
    "Neither the year nor the place is mentioned in the passage.",
    "No such person is mentioned in the passage.",
    "Based on the given text it's impossible to tell.",
    "I have insufficient information.",
    "The passage mentions the bridge, but does not say who designed it.",
    "The passage does not state who did. It says only that it was done.",
    "The passage does not provide the number of people, the cost, or the date.",
    "As the passage doesn't mention it, I don't know.",
    "[unanswerable]",
    "<unknown>",
    "I don't know — the passage doesn't mention it.",
]

ANSWERS = [
    "The Tomb of the Unknown Soldier",
    "Tomb of the Unknown Soldier.",
    "an unknown artist",
    "Unknown Pleasures",
    "The Unknown Citizen",
    "The author is unknown to most readers, but it was Mary Shelley.",
    "Paris",
    "1923",
    "Not until 1923",
    "Not Paris but Lyon",
    "No",
    "No, it did not.",
    "None",
    "no one",
    "Nobody",
    "Nothing",
    "zero",
    "The Who",
    "I Know What You Did Last Summer",
    "Noah",
    "Notre-Dame",
    "the Undertones",
    "Nothing Compares 2 U",
    "I don't know, but I think it's Paris.",
    "I don't know for sure, but my guess is Paris.",
    "I don't know. It might be Paris.",
    "I don't know, maybe Paris?",
    "I don't know... Paris?",
    "I'm not sure, but it is probably 1923.",
    "I am not certain. The answer is Lyon.",
    "I'm not entirely sure, but I believe the answer is Lyon.",
    "Unknown, possibly 1923.",
    "Unclear; 1923 is likely.",
    "The passage does not say. However, the answer is 1923.",
    "The passage does not explicitly say so, but 1923 is implied.",
    "The passage does not state it directly, but it was King John.",
    "The passage doesn't mention the year, though it is widely known to be 1066.",
    "The passage does not mention it. From general knowledge, it is Paris.",
    "It is not stated directly; King John.",
    "It is not a mammal.",
    "It is not known as Constantinople any more but as Istanbul.",
    "It does not melt.",
    "It's probably Paris, but I don't know.",
    "Paris? I don't know.",
    "He did not say a word.",
    "He said he did not know.",
    "He was not mentioned in the will.",
    "They could not find the wreck.",
    "There is no air on the Moon.",
    "There is no king of France.",
    "The text message was not delivered.",
    "The passage through the canal",
    "the Northwest Passage",
    "The article was rejected.",
    "Cannot",
    "Cannes",
    "The cannot-be-beaten team of 1954",
    "I can't get no satisfaction",
    "I Can't Help Myself",
    "I Don't Know What It Is but It's Love",
    "Because the text does not fade in sunlight.",
    "Sorry",
    "Sorry Seems to Be the Hardest Word",
    "the not-for-profit sector",
    "An unanswerable argument for reform",
    "The question was answered by Fermat.",
    "They were unable to answer the riddle.",
    "the information age",
    "Insufficient funds",
    "Napa",
    "Na",
    "A+",
    "🐸",
    "It was not known until 1846",
    "It was not found until 1985",
    "It was not available in Britain",
    "It is not found in Australia",
    "It is not present in humans",
    "it was not included in the treaty",
    "It is not known to fly",
    "It is not given to humans",
    "It is impossible to divide by zero",
    "This was not possible before 1800",
    "because it is not possible to freeze alcohol",
    "There is nothing on the plate",
    "Not available in stores",
    "The material does not contain iron",
    "The text does not contain vowels",
    "The passage does not mention Paris, so the answer must be Lyon.",
    "He does not know",
    "It is unknown to science",
    "Silent Spring",
    "The king, whose name is not mentioned, fled to Norway.",
]


@pytest.mark.parametrize("text", ABSTENTIONS)
def test_an_abstention_is_recognised(text: str) -> None:
    assert is_abstention(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_is_not_an_abstention(text: str) -> None:
    assert not is_abstention(text)


def test_a_long_answer_with_a_negation_is_an_answer() -> None:
    essay = "The bridge was built in 1883. It was not the first across the river, and the cost is not known. " * 8
    assert not is_abstention(essay)


def test_a_long_explanation_after_an_abstention_does_not_hide_it() -> None:
    assert is_abstention("I don't know. The passage describes the bridge. " * 12)


@pytest.mark.parametrize("name", ["open_book", "closed_book"])
def test_the_reply_ordered_by_the_task_instructions_is_an_abstention(name: str) -> None:
    instruction = (Path(__file__).parents[3] / "config" / "task_instructions" / f"{name}.txt").read_text("utf-8")
    _, found, ordered = instruction.partition("reply exactly: ")
    assert found
    assert is_abstention(ordered)


@given(TEXT)
def test_any_text_gets_a_verdict(text: str) -> None:
    assert is_abstention(text) in (True, False)


@given(st.sampled_from(ABSTENTIONS + ANSWERS))
def test_case_and_surrounding_signs_do_not_matter(text: str) -> None:
    verdict = is_abstention(text)
    assert is_abstention(text.upper()) == verdict
    assert is_abstention(f" **{text.strip()}** \n") == verdict
    assert is_abstention(text.replace("'", "’")) == verdict


PHRASES = (*phrases._ABSTAIN_TEXTS, *phrases._FILLER_TEXTS, *phrases._EXPLAIN_TEXTS)
SAID = st.sampled_from([one for one in PHRASES if one]).flatmap(lambda one: st.tuples(st.just(one), st.from_regex(one, fullmatch=True)))


@given(SAID)
def test_clauses_with_a_comma_are_held_against_every_phrase_that_may_have_one(said: tuple[str, str]) -> None:
    phrase, text = said
    assert "," not in text or phrases._may_hold_comma(phrase)


@given(st.lists(st.one_of(SAID.map(lambda one: one[1]), st.sampled_from(("based on the passage", "7", "the nile"))), min_size=1, max_size=3))
def test_what_a_clause_does_is_what_all_phrases_together_say(parts: list[str]) -> None:
    clause = ", ".join(parts)[: phrases.LONGEST_SENTENCE]
    patterns = phrases._patterns()
    lead = patterns.lead.match(clause)
    candidates = (clause, clause[lead.end() :]) if lead else (clause,)
    want = next((kind for kind, pattern in patterns.kinds if any(map(pattern.fullmatch, candidates))), "answer")
    assert phrases._known(clause) == want
