"""How a process left a run, for those who were not watching: one outcome, numbers, and nothing that anybody wrote or a model said."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from batchtrial.app.invocation import INCOMPLETE
from batchtrial.errors import BudgetReached, BudgetTooSmall, RunLocked, RunnerError, Stopped
from batchtrial.state.ledger import Counts
from batchtrial.state.money import Money, rounded_or_none

Outcome = Literal["done", "incomplete", "steps_done", "stopped", "budget", "needs_person", "locked"]
SCHEMA: Final = 1
MEANS: Final[Mapping[Outcome, str]] = {
    "done": "every step is done",
    "incomplete": "every step is done, and some requests never succeeded",
    "steps_done": "the steps that were asked for are done",
    "stopped": "stopped as asked; it can be resumed",
    "budget": "the budget is used up; raise it and resume",
    "needs_person": "it cannot go on by itself; the log says why",
    "locked": "another process has the run",
}
NONE_YET: Final = Counts()
NOTHING: Final = Money()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How it ended. error: the class of the error, never its words, which may quote a provider that quotes a prompt.

    verdicts: trial -> the verdict on its primary endpoint, of a run that is finished.
    """

    run_id: str
    outcome: Outcome
    exit_code: int
    at: datetime
    error: str = ""
    is_simulated: bool = False
    is_paid: bool = False
    counts: Counts = NONE_YET
    money: Money = NOTHING
    verdicts: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """One line for a chat."""
        said = [f"batchtrial run {self.run_id}: {MEANS[self.outcome]}" + (f" ({self.error})" if self.error else "")]
        said += ["simulated answers"] if self.is_simulated else []
        c = self.counts
        others = {name: getattr(c, name) for name in ("errored", "expired", "cancelled", "missing")}
        if c.total:
            said.append(", ".join([f"{c.succeeded:,} requests succeeded", *(f"{n:,} {name}" for name, n in others.items() if n)]))
            said.append(self.money.sentence("spent" if self.is_paid else "by the price table, nothing was paid"))
        said += [f"{slug}: {verdict}" for slug, verdict in self.verdicts.items()]
        return "; ".join(said)

    def as_json(self) -> dict[str, Any]:
        """The payload of hooks, and the last event. Lists no setting, text, path or message: only what is named here."""
        return {
            "schema_version": SCHEMA,
            "event": "ended",
            "at": f"{self.at:%Y-%m-%dT%H:%M:%SZ}",
            "run_id": self.run_id,
            "host": socket.gethostname(),
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "error": self.error or None,
            "simulated": self.is_simulated,
            "requests": self.counts.model_dump(),
            "cost": self.money.as_json(),
            "in_flight_usd": rounded_or_none(self.money.known()["in_flight"]),
            "verdicts": dict(self.verdicts),
            "text": self.text(),
        }


def outcome_of_error(error: BaseException) -> Outcome:
    """What an error means for whoever is not there."""
    if isinstance(error, RunLocked):
        return "locked"
    if isinstance(error, Stopped | KeyboardInterrupt):
        return "stopped"
    if isinstance(error, BudgetReached | BudgetTooSmall):
        return "budget"
    return "needs_person"


def code_of_error(error: BaseException) -> int:
    """The exit code that the command will have."""
    if isinstance(error, RunnerError):
        return error.exit_code
    return Stopped.exit_code if isinstance(error, KeyboardInterrupt) else 1


def outcome_of_code(code: int, *, is_complete: bool) -> Outcome:
    """What the exit code of a run without an error means."""
    if code == Stopped.exit_code:
        return "stopped"
    if code == INCOMPLETE:
        return "incomplete"
    return "done" if is_complete else "steps_done"


def body(ending: Ending, *, is_slack: bool) -> bytes:
    """What is posted: everything, of which Slack takes the text alone."""
    told = ending.as_json()
    return json.dumps({"text": told["text"]} if is_slack else told, ensure_ascii=False).encode()
