"""Which parts may be sent: all of them, or, under a sequential plan, those before the next planned look of a trial that goes on.

Asked by the view, so that no step waits for what may not be bought yet, and once more by the queue before it sends a part. It reads the looks from
the ledger and decides nothing itself: a stop is written there before it takes effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from batchtrial.config.expand import Trial
from batchtrial.records import CONDITIONS
from batchtrial.state.entries import Entry
from batchtrial.state.files import BuildManifest, Shard
from batchtrial.state.looks import looks_in
from batchtrial.stats.looks import STOPS, Look

Answer = Literal["go", "wait", "never"]


def looks_taken(notes: Iterable[Entry]) -> dict[str, tuple[Look, ...]]:
    """By trial its looks, in order."""
    return {slug: tuple(look_of(one) for one in seen) for slug, seen in looks_in(notes).items()}


def look_of(seen: Mapping[str, Any]) -> Look:
    """A look as the ledger has it."""
    return Look(
        n_items=seen["n_items"],
        z=seen["z"],
        changed=seen["changed"],
        bound=seen.get("bound"),
        decision=seen["decision"],
        power=seen.get("power"),
        endpoint=seen.get("endpoint", ""),
    )


def has_stopped(looks: Iterable[Look]) -> bool:
    """Whether the trial's last word is spoken."""
    return any(look.decision in STOPS for look in looks)


def compares(trial: Trial) -> bool:
    """Whether the trial compares two arms, so that there is something to look at."""
    names = {arm.name for condition in CONDITIONS if (arm := trial.arm(condition, trial.temps[0])) is not None}
    return len(names) == len(CONDITIONS)


def end_of(trial: Trial, looks: tuple[Look, ...], ends: tuple[int, ...]) -> int:
    """Items that the trial may buy by now: up to its stop, else up to the next look."""
    if not compares(trial):
        return ends[-1]
    if has_stopped(looks):
        return looks[-1].n_items
    seen = looks[-1].n_items if looks else 0
    return next((end for end in ends if end > seen), ends[-1])


def open_items(trials: Iterable[Trial], build: BuildManifest | None, taken: Mapping[str, tuple[Look, ...]]) -> dict[str, int] | None:
    """By arm the items of the prefix about which it may ask: as far as any trial that compares it; None where no looks are planned."""
    if build is None or build.looks is None:
        return None
    found: dict[str, int] = {}
    for trial in trials:
        end = end_of(trial, taken.get(trial.slug, ()), build.looks)
        for arm in trial.arms:
            found[arm.name] = max(found.get(arm.name, 0), end)
    return found


def answer(shard: Shard, trials: Iterable[Trial], build: BuildManifest | None, notes: Iterable[Entry]) -> Answer:
    """Whether the part may be sent by what the ledger says now: go, wait for the next look, never since every trial that needs it has stopped."""
    if build is None or build.looks is None:
        return "go"
    of_arm = [trial for trial in trials if any(arm.name == shard.arm for arm in trial.arms)]
    taken = looks_taken(notes)
    open_now = open_items(of_arm, build, taken) or {}
    if shard.first_item + shard.n_items <= open_now.get(shard.arm, 0):
        return "go"
    return "never" if all(has_stopped(taken.get(trial.slug, ())) for trial in of_arm) else "wait"
