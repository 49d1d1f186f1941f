"""Settings that say what an arm asks."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer

from batchtrial.config.settings import Backend, Model, Temperature, Text
from batchtrial.config.tasks import TaskSettings


class Instructions(Model):
    """The task instruction at the head of the user turn, per kind of question."""

    open_book: Text = Field(description="Instruction for questions that come with a passage.")
    closed_book: Text = Field(description="Instruction for questions without a passage.")


NO_SYSTEM: Final = Text(path="", text="")


class Prompt(Model):
    """One condition: a system prompt, and instructions or a task of its own when the user turn is treated too."""

    system: Text = Field(NO_SYSTEM, description="The system prompt; unset: none, which only a task can do without.")
    instruction: Instructions | None = Field(None, description="Task instructions of this condition; unset: the run's.")
    task: TaskSettings | None = Field(None, description="Task of this condition; unset: the run's.")

    @model_serializer(mode="wrap")
    def _without_unset_task(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if name != "task" or value is not None}


class PromptSet(Model):
    """A control and a treatment to compare."""

    control: Prompt = Field(description="The condition compared against.")
    treatment: Prompt = Field(description="The condition whose effect is asked for.")


class MaxTokens(Model):
    """Longest answer, in tokens."""

    open_book: int = Field(1024, ge=1, description="For questions with a passage.")
    closed_book: int = Field(1024, ge=1, description="For questions without a passage.")


class ArmSpec(Model):
    """One arm written out; what is left out takes the run's own value."""

    backend: Backend | None = Field(None, description="Which provider runs its batches.")
    model: str | None = Field(None, min_length=1, description="Model id, in the provider's own spelling; unset: `model_id`.")
    system: Text | None = Field(None, description="Its system prompt, as a path; unset: `system` of the run.")
    instruction: Instructions | None = Field(None, description="Its task instructions; unset: the run's.")
    task: TaskSettings | None = Field(None, description="Its task; unset: the run's.")
    max_tokens: MaxTokens | None = Field(None, description="Longest answer; a number holds for both kinds of questions. Unset: `max_new_tokens`.")
    temperature: Temperature | None = Field(None, description="Its sampling temperature; unset: those of `temps`.")
    top_p: float | None = Field(None, gt=0, le=1, description="Nucleus sampling.")
    top_k: int | None = Field(None, ge=1, description="Top-k sampling.")
    stop: tuple[str, ...] | None = Field(None, description="Stop sequences.")
    body: dict[str, Any] | None = Field(
        None, description="Further body fields, laid over `provider.request_overrides`; a field that is null is left out."
    )
    pricing_key: str | None = Field(None, description="Name in the price table when it is not the model id.")

    @field_validator("max_tokens", mode="before")
    @classmethod
    def _one_number_for_both(cls, given: Any) -> Any:
        is_number = isinstance(given, int) and not isinstance(given, bool)
        return {"open_book": given, "closed_book": given} if is_number else given
