"""The life of a batch as data, worked out from its record and a time. Pure: no clock, no file, no wire.

A batch that nobody asks about costs nothing: its state is a function of (record, now).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final, Literal, get_args

from batchtrial.emulator.world.records import Batch

Outcome = Literal["completed", "failed", "expired", "cancelled"]
OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)
CANCEL_SHARE: Final = 0.1  # of the usual life: how long a batch stays in its cancelling state


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """States of one provider: name and start, as a share of the usual life; which span of it answers rows; and what its ends are called."""

    steps: tuple[tuple[str, float], ...]
    validated: float
    run: tuple[float, float]
    ends: Mapping[Outcome, str]
    cancelling: str
    window_seconds: float = 86_400.0
    is_lost_when_expired: bool = False  # nothing of a batch that ran out of time is kept, or billed


CYCLES: Final = {
    "fireworks": Cycle(
        steps=(
            ("JOB_STATE_VALIDATING", 0.0),
            ("JOB_STATE_PENDING", 0.08),
            ("JOB_STATE_CREATING", 0.14),
            ("JOB_STATE_RUNNING", 0.2),
            ("JOB_STATE_WRITING_RESULTS", 0.9),
        ),
        validated=0.08,
        run=(0.2, 0.9),
        ends={outcome: f"JOB_STATE_{outcome.upper()}" for outcome in OUTCOMES},
        cancelling="JOB_STATE_CANCELLING",
    ),
    "openai": Cycle(
        steps=(("validating", 0.0), ("in_progress", 0.1), ("finalizing", 0.9)),
        validated=0.1,
        run=(0.1, 0.9),
        ends={outcome: outcome for outcome in OUTCOMES},
        cancelling="cancelling",
    ),
    "gemini": Cycle(
        steps=(("BATCH_STATE_PENDING", 0.0), ("BATCH_STATE_RUNNING", 0.1)),
        validated=0.1,
        run=(0.1, 1.0),
        ends={outcome: f"BATCH_STATE_{'SUCCEEDED' if outcome == 'completed' else outcome.upper()}" for outcome in OUTCOMES},
        cancelling="BATCH_STATE_CANCELLING",
        is_lost_when_expired=True,
    ),
    "mistral": Cycle(
        steps=(("QUEUED", 0.0), ("RUNNING", 0.1)),
        validated=0.1,
        run=(0.1, 1.0),
        ends={"completed": "SUCCESS", "failed": "FAILED", "expired": "TIMEOUT_EXCEEDED", "cancelled": "CANCELLED"},
        cancelling="CANCELLATION_REQUESTED",
    ),
    "anthropic": Cycle(
        steps=(("in_progress", 0.0),),
        validated=0.0,
        run=(0.0, 1.0),
        ends=dict.fromkeys(OUTCOMES, "ended"),
        cancelling="canceling",
    ),
}


def cycle_of(batch: Batch) -> Cycle:
    """The life that batches of this provider have; hosts that speak OpenAI's API have that."""
    return CYCLES.get(batch.provider, CYCLES["openai"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where a batch stands: its state in the wire's words, when each state began, and how many rows are finished."""

    state: str
    outcome: Outcome | None  # None while it lives
    since: dict[str, float]  # state -> unix seconds, in order, only what has begun
    n_finished: int
    ended_at: float | None
    expires_at: float


def expires_at(batch: Batch) -> float:
    """When the window of a batch closes, unix seconds."""
    effect = batch.effects.expire_after
    if effect is not None:
        return batch.created_at + (effect.seconds if effect.seconds is not None else batch.usual_seconds)
    return batch.created_at + (batch.window_seconds or cycle_of(batch).window_seconds)


def status(batch: Batch, now: float) -> Status:
    """State of a batch at a time."""
    cycle = cycle_of(batch)
    start, usual = batch.created_at, batch.usual_seconds
    timeline = [(state, start + share * usual) for state, share in cycle.steps]
    end, outcome = _natural_end(batch, usual)
    cancel_at = _cancel_at(batch, usual)
    closed = end
    if cancel_at is not None and cancel_at < end:
        closed = cancel_at
        end, outcome = cancel_at + CANCEL_SHARE * usual, "cancelled"
        timeline = [(state, at) for state, at in timeline if at <= cancel_at] + [(cycle.cancelling, cancel_at)]
    timeline = [(state, at) for state, at in timeline if at < end or at == start]
    if end < inf:
        timeline.append((cycle.ends[outcome], end))
    is_over = now >= end
    since = {state: at for state, at in timeline if at <= now}
    state = _stuck_state(batch, cycle, since, is_over=is_over)
    return Status(
        state=state,
        outcome=outcome if is_over else None,
        since=since,
        n_finished=_n_finished(batch, min(now, closed), usual, outcome if is_over else None),
        ended_at=end if is_over else None,
        expires_at=expires_at(batch),
    )


def _natural_end(batch: Batch, usual: float) -> tuple[float, Outcome]:
    """When and how a batch ends if nobody cancels it; infinity for never."""
    cycle, effects, start = cycle_of(batch), batch.effects, batch.created_at
    if batch.problems:
        return start + cycle.validated * usual, "failed"
    window_end = expires_at(batch)
    if batch.is_upstream:
        end = batch.finished_at if batch.finished_at is not None else inf
        return (end, "completed") if end <= window_end else (window_end, "expired")
    if effects.stuck:
        return inf, "completed"
    if effects.expire_after is not None:
        return window_end, "expired"
    return start + usual, "completed"


def _cancel_at(batch: Batch, usual: float) -> float | None:
    """The first of: the client cancels, somebody else cancels."""
    return min((at for at in (batch.cancelled_at, _their_cancel_at(batch, usual)) if at is not None), default=None)


def _their_cancel_at(batch: Batch, usual: float) -> float | None:
    run_from, run_to = cycle_of(batch).run
    share = batch.effects.cancelled_fraction
    return None if share is None else batch.created_at + (run_from + (run_to - run_from) * share) * usual


def _n_finished(batch: Batch, at: float, usual: float, outcome: Outcome | None) -> int:
    """Rows finished at a time, rounded down; all of them once a batch has completed."""
    if outcome == "failed" or (outcome == "expired" and cycle_of(batch).is_lost_when_expired):
        return 0
    if outcome == "completed":
        return batch.n_rows
    if batch.is_upstream:
        return batch.n_answered
    expiry = batch.effects.expire_after
    run_from, run_to = cycle_of(batch).run
    share = ((at - batch.created_at) / usual - run_from) / (run_to - run_from)
    if expiry is not None:
        window = expires_at(batch) - batch.created_at
        share = expiry.fraction * (at - batch.created_at) / window
    elif batch.effects.stuck:
        share = 0.0
    theirs, their_at = batch.effects.cancelled_fraction, _their_cancel_at(batch, usual)
    if theirs is not None and their_at is not None:
        share = theirs if at >= their_at else min(share, theirs)  # exact, whatever floating point makes of the times
    return max(0, min(batch.n_rows, int(share * batch.n_rows + 1e-9)))


def _stuck_state(batch: Batch, cycle: Cycle, since: dict[str, float], *, is_over: bool) -> str:
    shown = list(since)[-1]
    if batch.effects.stuck and not is_over and cycle.cancelling not in since:
        return batch.effects.stuck if isinstance(batch.effects.stuck, str) else cycle.steps[min(1, len(cycle.steps) - 1)][0]
    return shown
