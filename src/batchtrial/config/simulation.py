"""Settings of the simulated model that answers a dry run."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from batchtrial.config.queue_limits import QueueLimits
from batchtrial.config.settings import Model, Probability


class SimulatedArm(Model):
    """Planted behaviour of the simulated model under one condition, as probabilities for a question of middling difficulty."""

    right: Probability = Field(description="An answer that contains the truth.")
    verbose: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="Of the right answers, the share wrapped in a sentence.")
    abstain: Annotated[float, Field(ge=0, lt=1)] = Field(0.3, description="Of the other answers, the share that abstains.")
    unanswerable_abstain: Probability = Field(0.5, description="Abstention when the passage holds no answer.")


class SimulatedJudge(Model):
    """Planted behaviour of the simulated model when it judges."""

    right: Annotated[float, Field(ge=0, le=1)] = Field(0.85, description="Chance that it sees rightly whether an answer holds the truth.")
    first: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="Position bias: how often it says `first`, whatever stands there.")
    lenient_to: str = Field("", description="Regular expression of answers that it favours; with the style of one arm, a self-preference.")
    lenient: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="How often it lets such an answer pass, whatever it says.")
    garbled: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="How often its verdict is in no form, where the provider enforces none.")

    @model_serializer(mode="wrap")
    def _without_unset_later_keys(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if name != "garbled" or value}


class Simulation(Model):
    """What the emulator's model does in a dry run."""

    seed: int = Field(7, ge=0, description="Seed of every simulated answer.")
    difficulty_sd: float = Field(1.0, ge=0, description="Spread of the items' difficulty on the logit scale.")
    control: SimulatedArm = Field(
        SimulatedArm(right=0.62, verbose=0.12, abstain=0.25, unanswerable_abstain=0.45),
        description="Under the control.",
    )
    treatment: SimulatedArm = Field(
        SimulatedArm(right=0.68, verbose=0.08, abstain=0.45, unanswerable_abstain=0.62),
        description="Under a treatment.",
    )
    queue: QueueLimits | None = Field(None, description="Limits and speed of the simulated account's queue (OpenAI's API); unset: none.")
    judge: SimulatedJudge | None = Field(None, description="How it judges; unset: right in 85 of 100, without a bias.")
    by_prompt_set: dict[str, SimulatedArm] = Field(
        default_factory=dict, description="Treatments that behave in a way of their own, by prompt set or by the name of their arm."
    )

    @model_serializer(mode="wrap")
    def _without_unset_later_keys(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if name not in ("judge", "queue") or value is not None}
