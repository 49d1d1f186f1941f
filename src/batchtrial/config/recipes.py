"""Settings that say what an arm asks."""

from __future__ import annotations

from pydantic import Field

from batchtrial.config.settings import Model, Text


class Instructions(Model):
    """The task instruction at the head of the user turn, per kind of question."""

    open_book: Text = Field(description="Instruction for questions that come with a passage.")
    closed_book: Text = Field(description="Instruction for questions without a passage.")


class Prompt(Model):
    """One condition: a system prompt, and instructions of its own when the user turn is treated too."""

    system: Text = Field(description="The system prompt.")
    instruction: Instructions | None = Field(None, description="Task instructions of this condition; unset: the run's.")


class PromptSet(Model):
    """A control and a treatment to compare."""

    control: Prompt = Field(description="The condition compared against.")
    treatment: Prompt = Field(description="The condition whose effect is asked for.")


class MaxTokens(Model):
    """Longest answer, in tokens."""

    open_book: int = Field(1024, ge=1, description="For questions with a passage.")
    closed_book: int = Field(1024, ge=1, description="For questions without a passage.")
