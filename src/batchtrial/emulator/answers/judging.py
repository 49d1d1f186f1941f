"""The simulated model as a judge: told by what it is asked that it is to judge, it says what its planted accuracy and biases make of an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from batchtrial.emulator.answers.modelfile import JudgeRates
from batchtrial.emulator.answers.request import ChatRequest
from batchtrial.emulator.world.draws import digest, uniform

ASKS_A_JUDGE: Final = "You judge answers that other programs gave."
_BLOCK: Final = re.compile(r"<(question|reference|answer|first|second)-([0-9a-f]{8})>\n(.*?)\n</\1-\2>", re.DOTALL)
_FORM: Final = re.compile(r'"verdict": "([^"]+)"')
_NUMBERS: Final = re.compile(r'"verdict": a whole number from (-?\d+) to (-?\d+)')
_SIGNS: Final = re.compile(r"[^\w\s]")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a judge is shown. references: none where the passage holds no answer. answers: one, or two in their order."""

    question: str
    references: tuple[str, ...]
    answers: tuple[str, ...]


def seen(chat: ChatRequest) -> Seen | None:
    """What is to be judged; None when nothing is."""
    if not chat.system.startswith(ASKS_A_JUDGE):
        return None
    found = {name: text for name, _, text in _BLOCK.findall(chat.user)}
    answers = tuple(found[name] for name in ("answer", "first", "second") if name in found)
    if not answers:
        return None
    references = tuple(one for one in found.get("reference", "").split(" | ") if one)
    return Seen(found.get("question", ""), references, answers)


def verdict(rates: JudgeRates, chat: ChatRequest, what: Seen, abstentions: Sequence[str], seed: int, sample: str) -> str:
    """The judge's answer as JSON."""
    passed = [passes(rates, what, answer, abstentions, seed, sample) for answer in what.answers]
    options, numbers = _FORM.search(chat.system), _NUMBERS.search(chat.system)
    said: str | int
    if len(passed) == 2:
        said = "tie" if passed[0] == passed[1] else "first" if passed[0] else "second"
        if uniform(digest("position", seed, *what.answers, sample)) < rates.first:
            said = "first"
    elif numbers is not None:
        said = int(numbers[2] if passed[0] else numbers[1])
    else:
        words = options[1].split("|") if options is not None else ["yes", "no"]
        said = words[0] if passed[0] else words[-1]
    if not chat.form.schema and uniform(digest("garbled", seed, *what.answers, sample)) < rates.garbled:
        return f"My verdict is {said}."
    told = {"reason": "It was held against the rubric."} if '"reason"' in chat.system else {}
    return json.dumps({**told, "verdict": said})


def passes(rates: JudgeRates, what: Seen, answer: str, abstentions: Sequence[str], seed: int, sample: str) -> bool:
    """Whether the judge lets an answer pass: the same in whatever order it stands."""
    raw = digest("judge", seed, what.question, answer, sample)
    is_right = holds(answer, what.references, abstentions)
    judged = is_right if uniform(raw, 0) < rates.right else not is_right
    is_favoured = bool(rates.lenient_to) and re.search(rates.lenient_to, answer) is not None
    return judged or (is_favoured and uniform(raw, 1) < rates.lenient)


def holds(answer: str, references: Sequence[str], abstentions: Sequence[str]) -> bool:
    """Whether an answer holds an accepted one; where there is none, whether it abstains."""
    said = f" {_plain(answer)} "
    return any(f" {_plain(one)} " in said for one in (references or abstentions))


def _plain(text: str) -> str:
    return " ".join(_SIGNS.sub(" ", text.lower()).split())
