"""Records of the world that more than one module reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from batchtrial.emulator.world.effects import Effects

Provider = str
"""Name of a wire, or of a host that speaks OpenAI's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One accepted batch as the world keeps it. Times are virtual unix seconds."""

    seq: int  # order of creation in this world, from 1
    provider: Provider
    id: str  # the wire's own id; for Fireworks the full resource name
    created_at: float
    n_rows: int
    blob: str  # file of its requests, under the world's folder
    wire: dict[str, Any]  # parameters of the create call as received
    effects: Effects
    problems: tuple[dict[str, Any], ...]  # why validation fails; empty for a good batch
    is_upstream: bool  # rows are answered by a real server, not by the clock
    n_answered: int  # rows answered by that server so far
    finished_at: float | None  # when that server had answered them all
    cancelled_at: float | None
    deleted_at: float | None
    account: str  # of whom; "" is everybody's
    usual_seconds: float  # length of an undisturbed life, as it was when the batch was created

    @property
    def window_seconds(self) -> float | None:
        """The window that was asked for, where the wire lets it be chosen."""
        return self.wire.get("window_seconds")
