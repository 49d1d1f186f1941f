"""The simulated model: a request in, an answer that looks like an answer out.

An answer depends on (seed, item, condition, sample) and the request's own limits only: not on the batch, the attempt, the order or
the time. So answers are never stored, and asking again gives the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from math import exp, log
from pathlib import Path
from statistics import NormalDist
from typing import Final, Literal

from batchtrial.emulator.answers.by_rule import told_by_rule
from batchtrial.emulator.answers.judging import seen, verdict
from batchtrial.emulator.answers.modelfile import Item, ModelFile, QuestionClass, Rates, load_items, sha256_text
from batchtrial.emulator.answers.output_form import TEXT
from batchtrial.emulator.answers.request import ChatRequest
from batchtrial.emulator.answers.shaped import json_of, label, object_of
from batchtrial.emulator.world.draws import digest, number, pick, uniform

AnswerKind = Literal["exact", "verbose", "wrong", "abstain"]
CHARS_A_TOKEN: Final = 4
TOKENS_A_REQUEST: Final = 7  # of a chat template
_NORMAL: Final = NormalDist()
_SPAN: Final = re.compile(r"(?:[A-Z][\w'-]+(?: (?:of|the|and|de) (?=[A-Z]))?[ ]?){1,4}|\b\d[\d,.]*\d\b|\b\d+\b")
_NOT_WORDS: Final = re.compile(r"\b(?:a|an|the)\b|[^\w\s]")
_STOCK_ANSWERS: Final = (
    "Vienna", "the eastern bank", "1887", "Maria Keller", "about forty", "copper", "the second council", "in early spring",
    "Lake Orsa", "a wooden bridge", "the night watch", "three years later", "Jonas Reed", "the northern valley", "seven", "salt",
)  # fmt: skip
# Capitals that only begin a sentence.
_NO_SPANS: Final = frozenset("The This That These Those There Its His Her Their They And But For From".split())  # noqa: SIM905
_QUESTION_WORDS: Final = frozenset("What When Where Which Who Whom Whose Why How".split())  # noqa: SIM905
TRIES: Final = 20
_PASSAGE_MARKS: Final = ("context:", "passage:", "context\n", "passage\n", "paragraph:", "document:", "<context>", "<passage>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What makes two requests the same to the simulated model."""

    item: str
    sample: str
    arm: str  # name of the arm that fits, or "default"
    condition: str  # the arm, or for the default arm also its system prompt: other prompts, other answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One completion. Token counts are those of the whole request when it has several choices."""

    text: str
    kind: AnswerKind
    is_truncated: bool
    input_tokens: int
    output_tokens: int
    form: str | None = None  # how it comes when a fault spoils it: a word of `forms`
    tool: str = ""  # whose arguments the text is, where the request leaves the model no choice


def n_tokens(n_chars: int) -> int:
    """Tokens of a text by its length; at least one."""
    return max(1, -(-n_chars // CHARS_A_TOKEN))


def chance_right(rates: Rates, u: float) -> float:
    """Chance of a right answer to an item of difficulty u."""
    return 1.0 / (1.0 + exp(-(log(rates.right / (1.0 - rates.right)) + u)))


class SimulatedModel:
    """Answers by the model file and the seed."""

    def __init__(self, file: ModelFile, seed: int) -> None:
        self.file, self.seed = file, seed
        self._pattern = re.compile(file.identity_pattern) if file.identity_pattern else None
        self._items: dict[str, Item] = load_items(Path(file.items_file)) if file.items_file else {}
        self._item_by_question = {item.question: item.item for item in self._items.values() if item.question}
        self._others: dict[str, list[str]] = {}
        for item in self._items.values():
            if item.answers:
                self._others.setdefault(item.dataset, []).append(item.answers[0])
        self.arm_name = lru_cache(maxsize=512)(self._arm_name)
        self.system_sha256 = lru_cache(maxsize=512)(sha256_text)

    def identity(self, chat: ChatRequest) -> Identity:
        """Item, sample and arm of a request, from its custom_id and its prompts."""
        found = self._pattern.search(chat.custom_id) if self._pattern else None
        groups = found.groupdict() if found else {}
        item = groups.get("item") or self._item_by_text(chat.user)
        sample = groups.get("sample")
        if sample is None:
            sample = "" if found else chat.custom_id
        arm = self._arm(chat)
        condition = arm if arm != "default" else f"default:{self.system_sha256(chat.system)[:12]}"
        return Identity(item=item, sample=sample, arm=arm, condition=condition)

    def _item_by_text(self, user: str) -> str:
        for line in (*user.splitlines()[::-1], user) if self._item_by_question else ():
            known = self._item_by_question.get(line.strip()) or self._item_by_question.get(line.partition(":")[2].strip())
            if known is not None:
                return known
        return sha256_text(user)

    def _arm(self, chat: ChatRequest) -> str:
        if any(arm.match.user_contains is not None or arm.match.id_begins is not None for arm in self.file.arms):
            return self._arm_name(chat)
        # Model, system prompt and decoding decide, and there are few of them.
        return self.arm_name(replace(chat, custom_id="", user="", n_chars=0, seed=None, form=TEXT, vectors=None))

    def _arm_name(self, chat: ChatRequest) -> str:
        return next((arm.name for arm in self.file.arms if arm.match.fits(chat)), "default")

    def rates(self, arm: str, question: QuestionClass) -> Rates:
        """Planted rates of an arm."""
        rates = next((each.rates for each in self.file.arms if each.name == arm), self.file.default_rates)
        return rates.of(question)

    def billing_identity(self, provider: str, chat: ChatRequest, who: Identity) -> int:
        """A number that is equal for two requests asking for the very same thing, whatever their custom_ids."""
        return number(
            provider, who.item, who.sample, who.condition, chat.model, chat.temperature, chat.top_p, chat.top_k,
            chat.max_tokens, chat.n, chat.seed, chat.system, chat.user,
        )  # fmt: skip

    def answers(self, chat: ChatRequest, who: Identity) -> tuple[Answer, ...]:
        """One answer for each choice asked for."""
        if chat.vectors is not None:
            return (Answer(text="", kind="exact", is_truncated=False, input_tokens=chat.vectors.n_tokens, output_tokens=0),)
        return tuple(self._answer(chat, who, choice) for choice in range(chat.n))

    def _answer(self, chat: ChatRequest, who: Identity, choice: int) -> Answer:
        told = told_by_rule(self.file, chat, who.item, who.sample)
        if told is not None:
            return _cut("exact", told, chat)
        what = seen(chat)
        if what is not None:
            text = verdict(self.file.judge, chat, what, (*self.file.abstentions, *self.file.closed_abstentions), self.seed, f"{who.sample}#{choice}")
            return _cut("exact", text, chat)
        item = self._items.get(who.item)
        question = item.question_class if item else _guess_class(chat.user)
        sample = f"{who.sample}#{choice}" if choice else who.sample
        raw = digest("answer", self.seed, who.item, who.condition, sample)
        kind = self._kind(who, question, raw)
        text = self._text(kind, item, question, chat, raw)
        return _cut(kind, text, chat)

    def difficulty(self, item: str) -> float:
        """u of an item: Normal(0, sigma), the same in every arm."""
        return self.file.sigma * _NORMAL.inv_cdf(uniform(digest("item", self.seed, item)))

    def _kind(self, who: Identity, question: QuestionClass, raw: bytes) -> AnswerKind:
        rates = self.rates(who.arm, question)
        is_right = uniform(raw, 0) < chance_right(rates, self.difficulty(who.item))
        if question == "open_unanswerable":
            return "abstain" if is_right else "wrong"
        if is_right:
            return "verbose" if uniform(raw, 1) < rates.verbose else "exact"
        return "abstain" if uniform(raw, 1) < rates.abstain else "wrong"

    def _text(self, kind: AnswerKind, item: Item | None, question: QuestionClass, chat: ChatRequest, raw: bytes) -> str:
        """What is said, in the form that the request wants."""
        is_right = kind in ("exact", "verbose") or (kind == "abstain" and question == "open_unanswerable")
        if chat.form.schema:
            return json_of(json.loads(chat.form.schema), item.answers[0] if item and item.answers else None, is_right, raw)
        words = self._words(kind, item, question, chat.user, raw, is_right=is_right)
        return object_of(words) if chat.form.is_json or self.file.answer == "json" else words

    def _words(self, kind: AnswerKind, item: Item | None, question: QuestionClass, user: str, raw: bytes, *, is_right: bool) -> str:
        if item and any(one not in item.answers for one in item.labels):  # else no label would be wrong
            return label(item.labels, item.answers, is_right, raw)
        if kind == "abstain":
            phrases = self.file.closed_abstentions if question == "closed" else self.file.abstentions
            return phrases[pick(raw, 2, len(phrases))]
        if kind == "wrong":
            return self._wrong(item, user, raw)
        golds = item.answers if item and item.answers else (next(_spans(user), _STOCK_ANSWERS[0]),)
        # The first alias is what people mostly say; now and then it is another one.
        gold = golds[0] if uniform(raw, 2) < 0.75 else golds[pick(raw, 3, len(golds))]
        if kind == "exact":
            return gold
        wrapper = self.file.wrappers[pick(raw, 3, len(self.file.wrappers))]
        return wrapper.replace("{answer}", gold)

    def _wrong(self, item: Item | None, user: str, raw: bytes) -> str:
        golds = {plain(gold) for gold in item.answers} if item else set()
        start = pick(raw, 2, 1 << 30)
        for guess in self._guesses(item, user, start):
            words = plain(guess)
            if words and words not in golds:
                return guess
        return "something else entirely"

    def _guesses(self, item: Item | None, user: str, start: int) -> Iterator[str]:
        """Wrong answers to try, plausible ones first; `start` says where in each list to begin."""
        if item and item.distractors:
            yield from _around(item.distractors, start)
        if item is None or item.kind == "open":
            yield from islice(_spans(user, start % max(1, len(user))), TRIES)
        if item:
            yield from _around(self._others.get(item.dataset, ()), start)
        yield from _around(_STOCK_ANSWERS, start)


def _cut(kind: AnswerKind, text: str, chat: ChatRequest) -> Answer:
    """The answer as far as the request lets it go."""
    for stop in chat.stop:
        text = text.partition(stop)[0]
    limit = chat.max_tokens * CHARS_A_TOKEN if chat.max_tokens is not None else len(text)
    return Answer(
        text=text[:limit],
        kind=kind,
        is_truncated=len(text) > limit,
        input_tokens=n_tokens(chat.n_chars) + TOKENS_A_REQUEST,
        output_tokens=n_tokens(len(text[:limit])),
        tool=chat.form.tool,
    )


def _around(pool: Sequence[str], start: int) -> Iterator[str]:
    for step in range(min(len(pool), TRIES)):
        yield pool[(start + step) % len(pool)]


def plain(text: str) -> str:
    """Lower case without articles and punctuation: a wrong answer must not be right by its spelling."""
    return " ".join(_NOT_WORDS.sub(" ", text.lower()).split())


def _guess_class(user: str) -> QuestionClass:
    lowered = user[:2_000].lower()
    return "open_answerable" if any(mark in lowered for mark in _PASSAGE_MARKS) else "closed"


def _spans(user: str, start: int = 0) -> Iterator[str]:
    """Names and numbers in a text from a position on, then from its beginning: what an answer from a passage looks like."""
    for begin, end in ((start, len(user)), (0, start)):
        # A start inside a word would cut a name in two.
        space = user.find(" ", begin, end) if begin else begin
        for match in _SPAN.finditer(user, max(space, begin), end):
            span = match.group().strip()
            if len(span) > 2 and span not in _NO_SPANS and span not in _QUESTION_WORDS and not span.isupper():
                yield span
