"""The file that describes the simulated model: its answer key, its arms and the effect planted in each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from batchtrial.emulator.answers.request import ChatRequest
from batchtrial.emulator.world.draws import digest
from batchtrial.emulator.world.effects import Strict, valid_pattern
from batchtrial.emulator.world.jsontext import BadJson, decode
from batchtrial.emulator.world.queues import QueueRules

QuestionClass = Literal["open_answerable", "open_unanswerable", "closed"]
QUESTION_CLASSES: Final[tuple[QuestionClass, ...]] = ("open_answerable", "open_unanswerable", "closed")

ABSTENTIONS: Final = (
    "I don't know.",
    "I do not know.",
    "The passage does not say.",
    "Unanswerable.",
    "I cannot answer this question.",
    "The answer is not in the passage.",
    "There is not enough information to answer.",
    "No answer.",
)
CLOSED_ABSTENTIONS: Final = (
    "I don't know.",
    "I do not know.",
    "I'm not sure.",
    "I cannot answer this question.",
    "Unknown.",
)
WRAPPERS: Final = (
    "The answer is {answer}.",
    "It was {answer}, as far as I can tell.",
    "Based on the question, the correct answer should be {answer}.",
    "{answer} is the answer to this question.",
    "I believe that the answer you are looking for is {answer}.",
)


class ModelFileError(ValueError):
    """A model file or answer key that cannot be used; the text says where."""


class Rates(Strict):
    """How an arm answers one class of questions, for an item of medium difficulty (u = 0).

    The chance of a right answer to an item is sigmoid(logit(right) + u) with u ~ Normal(0, sigma) drawn per item and shared by all
    arms. `verbose` splits the right answers, `abstain` the others. For unanswerable questions abstaining is right and `verbose`,
    `abstain` have no meaning.
    """

    right: float = Field(gt=0.0, lt=1.0, description="Chance of a right answer at u = 0.")
    verbose: float = Field(0.0, ge=0.0, le=1.0, description="Share of right answers wrapped in a sentence.")
    abstain: float = Field(0.0, ge=0.0, le=1.0, description="Share of not-right answers that abstain instead of being wrong.")


class ArmRates(Strict):
    """Rates by class of question."""

    open_answerable: Rates = Rates.model_construct(right=0.7, verbose=0.1, abstain=0.2)
    open_unanswerable: Rates = Rates.model_construct(right=0.5)
    closed: Rates = Rates.model_construct(right=0.5, verbose=0.1, abstain=0.2)

    def of(self, question: QuestionClass) -> Rates:
        found: Rates = getattr(self, question)
        return found


class ArmMatch(Strict):
    """How an arm is recognised in a request; every condition given must hold."""

    system_sha256: str | None = Field(None, description="sha256 of the system prompt, hexadecimal.")
    system_contains: str | None = Field(None, description="Text inside the system prompt.")
    user_contains: str | None = Field(None, description="Text inside the last user turn.")
    id_begins: str | None = Field(None, description="What the custom_id begins with.")
    model: str | None = Field(None, description="The model that is asked, beside another condition.")
    temperature: float | None = Field(None, description="The sampling temperature, beside another condition.")
    max_tokens: int | None = Field(None, description="The longest answer, beside another condition.")

    @model_validator(mode="after")
    def _says_something(self) -> ArmMatch:
        if self.system_sha256 is None and self.system_contains is None and self.user_contains is None and self.id_begins is None:
            raise ValueError("give at least one of system_sha256, system_contains, user_contains, id_begins")
        return self

    def fits(self, chat: ChatRequest) -> bool:
        if self.system_sha256 is not None and sha256_text(chat.system) != self.system_sha256.lower():
            return False
        if self.id_begins is not None and not chat.custom_id.startswith(self.id_begins):
            return False
        if self.system_contains is not None and self.system_contains not in chat.system:
            return False
        given = ((self.model, chat.model), (self.temperature, chat.temperature), (self.max_tokens, chat.max_tokens))
        if any(wanted is not None and wanted != found for wanted, found in given):
            return False
        return self.user_contains is None or self.user_contains in chat.user


class Arm(Strict):
    """A condition of the trial, as seen from the provider."""

    name: str = Field(min_length=1)
    match: ArmMatch
    rates: ArmRates = ArmRates.model_construct()


class JudgeRates(Strict):
    """How the model judges answers, when it is asked to."""

    right: float = Field(0.85, ge=0, le=1, description="Chance that it sees rightly whether an answer holds the truth.")
    first: float = Field(0.0, ge=0, le=1, description="How often it says `first`, whatever stands there.")
    lenient_to: str = Field("", description="Regular expression of answers that it favours.")
    lenient: float = Field(0.0, ge=0, le=1, description="How often it lets such an answer pass.")
    garbled: float = Field(0.0, ge=0, le=1, description="How often it says its verdict in no form, where none is enforced.")

    @field_validator("lenient_to")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return valid_pattern(pattern) or ""


class ModelFile(Strict):
    """The simulated model."""

    identity_pattern: str | None = Field(None, description="Regex with groups `item` and `sample`, searched in custom_id.")
    items_file: str | None = Field(None, description="Answer key, JSONL; relative to this file.")
    sigma: float = Field(1.5, ge=0.0, le=10.0, description="Standard deviation of item difficulty on the logit scale.")
    arms: tuple[Arm, ...] = ()
    default_rates: ArmRates = Field(ArmRates.model_construct(), description="Rates when no arm fits.")
    abstentions: tuple[str, ...] = Field(ABSTENTIONS, min_length=1, description="Abstentions with a passage at hand.")
    closed_abstentions: tuple[str, ...] = Field(CLOSED_ABSTENTIONS, min_length=1, description="Abstentions without one.")
    wrappers: tuple[str, ...] = Field(WRAPPERS, min_length=1, description="Sentences for verbose answers, with {answer}.")
    answer: Literal["echo", "json"] | None = Field(
        None, description='`echo`: every answer is the last user turn. `json`: every answer is a JSON object, `{"answer": TEXT}`.'
    )
    template: str | None = Field(None, description="Every answer is this text, with {user}, {system}, {model}, {custom_id}, {item} and {sample}.")
    unknown_models: tuple[str, ...] = Field(("no-such",), description="A model whose name contains one of these is refused.")
    batch_seconds: float = Field(30.0, gt=0.0, description="Usual life of a batch, virtual seconds.")
    queue: QueueRules | None = Field(None, description="OpenAI's API: limits and speed of the account's queue; unset: it takes everything.")

    @field_validator("identity_pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        return valid_pattern(pattern)

    judge: JudgeRates = Field(JudgeRates(), description="How it judges answers.")

    @model_validator(mode="after")
    def _one_rule(self) -> ModelFile:
        if self.answer is not None and self.template is not None:
            raise ValueError("give answer or template, not both")
        return self

    @field_validator("wrappers")
    @classmethod
    def _hold_the_answer(cls, wrappers: tuple[str, ...]) -> tuple[str, ...]:
        if any(each.count("{answer}") != 1 for each in wrappers):
            raise ValueError("each wrapper must contain {answer} once")
        return wrappers

    def knows(self, model: str) -> bool:
        """Whether a model of that name is served."""
        return not any(part in model for part in self.unknown_models)


class Item(Strict):
    """One line of the answer key."""

    item: str = Field(description="What the `item` group of the identity pattern gives.")
    answers: tuple[str, ...] = ()
    is_unanswerable: bool = False
    distractors: tuple[str, ...] = ()
    labels: tuple[str, ...] = Field((), description="What the answer is one of, whether it is right or not.")
    kind: Literal["open", "closed"] = "open"
    dataset: str = ""
    question: str | None = Field(None, description="Finds the item by its question where no custom_id is sent.")

    @property
    def question_class(self) -> QuestionClass:
        if self.kind == "closed":
            return "closed"
        return "open_unanswerable" if self.is_unanswerable else "open_answerable"


def sha256_text(text: str) -> str:
    """sha256 of a text, hexadecimal."""
    return digest(text).hex()


def load_model(path: Path | None) -> ModelFile:
    """The model file, or the defaults without one; `items_file` comes back absolute. Raises ModelFileError."""
    if path is None:
        return ModelFile()
    try:
        data: Any = decode(path.read_bytes())
        model = ModelFile.model_validate(data)
    except OSError as err:
        raise ModelFileError(f"cannot read the model file {path}: {err.strerror}") from None
    except BadJson as err:
        raise ModelFileError(f"{path} is not JSON: {err}") from None
    except ValidationError as err:
        first = err.errors()[0]
        raise ModelFileError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if model.items_file is None:
        return model
    items = path.parent / model.items_file
    if not items.is_file():
        raise ModelFileError(f"{path}: items_file: {items} does not exist")
    return model.model_copy(update={"items_file": str(items.resolve())})


def load_items(path: Path) -> dict[str, Item]:
    """The answer key by item. Raises ModelFileError with the line number."""
    found: dict[str, Item] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                item = Item.model_validate_json(line)
            except ValidationError as err:
                first = err.errors()[0]
                raise ModelFileError(f"{path}:{number}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
            found[item.item] = item
    return found
