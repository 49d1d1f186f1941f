"""What can go wrong, as data: the events of a history, and how a seed draws them.

An event stands for itself: any of them can be taken out and the rest is a history still, which is what makes a failing history shrink.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_TURNS = 4
N_POINTS = 150
"""A run from its built requests to its downloaded results comes to about so many points."""

SWITCHES = ("provider", "kills", "disk", "clock", "stops", "second", "copies", "backups", "keys", "drift", "gone", "tools")
"""Kinds of event that can be switched off by themselves."""


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """Something that goes wrong in turn `turn` (from 0), at the n-th point of its process or, with n 0, before it begins. how: see KINDS."""

    turn: int
    n: int
    kind: str
    how: str = ""

    def __str__(self) -> str:
        when = f"at point {self.n} of turn {self.turn}" if self.n else f"turn {self.turn}"
        return f"{when}: {self.kind}{f' ({self.how})' if self.how else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One seed's world and misfortune. climate: which of CLIMATES the provider lives in; is_fresh: the first turn starts from nothing, else from
    built requests; is_whole: every turn goes on to the report, else to the last download."""

    provider: str
    seed: int
    climate: int
    settings: tuple[tuple[str, float], ...]
    is_fresh: bool
    is_whole: bool
    is_crowded: bool
    events: tuple[Event, ...]

    def __str__(self) -> str:
        flags = [f"climate {self.climate}", *(f"{key} {value:g}" for key, value in self.settings)]
        flags += ["fresh"] * self.is_fresh + ["whole"] * self.is_whole + ["crowded"] * self.is_crowded
        lines = [f"{self.provider} seed {self.seed}: {', '.join(flags)}", *(f"  {event}" for event in self.events)]
        return "\n".join(lines)


Rule = Mapping[str, Any]

CREATE, GET, LIST = "create", "get", "list"
FETCH: Mapping[str, tuple[str, ...]] = {
    "fireworks": ("get_download_endpoint", "download"),
    "openai": ("download",),
    "anthropic": ("results",),
}
UPLOAD: Mapping[str, tuple[str, ...]] = {"fireworks": ("dataset_create", "upload", "dataset_get"), "openai": ("upload", "file_get"), "anthropic": ()}
ANSWERS: Mapping[str, Rule] = {
    "lost": {"close_after_commit": True},
    "late": {"status": 504, "after_commit": True},
    "500 after": {"status": 500, "after_commit": True},
    "never arrived": {"close_before_commit": True},
    "429": {"status": 429, "retry_after": 7},
    "429 bare": {"status": 429},
    "503": {"status": 503},
    "529": {"status": 529},
    "408": {"status": 408},
    "cut": {"truncate_body": {"bytes": 40}},
    "cut clean": {"truncate_body": {"bytes": 40, "clean": True}},
}
ONCE_404: Rule = {"status": 404}
EFFECTS: Mapping[str, Rule] = {
    "lags in lists": {"list_lag": {"calls": 1}},
    "lags for seconds": {"list_lag": {"seconds": 9.0}},
    "unknown state": {"unknown_state": "JOB_STATE_REBALANCING"},
    "lost and lags": {"close_after_commit": True, "list_lag": {"calls": 1}},
    "late and lags": {"status": 503, "after_commit": True, "list_lag": {"seconds": 5.0}},
}
DRIFTS: Mapping[str, tuple[str, Any, bool]] = {
    "seed refused": ("stats.random_seed", 4711, False),
    "tokens refused": ("max_new_tokens.open_book", 48, False),
    "permutations accepted": ("stats.permutation_samples", 499, True),
}
"""Name -> (key, value, whether the change is accepted)."""
KEYS = ("other", "other account", "rotated", "workspace")
RESTORES = ("anew", "over")
"""A backup takes the folder's place, or is written over the files that are there."""
TOOLS = ("repair", "repair", "check", "status", "clean", "archive", "import", "import", "export", "take back")
ARCHIVED = ("anew", "copy", "over")
"""A run comes back from its archive in the folder's place, beside it, or is refused since the folder is there."""


def fault_of(how: str) -> Rule:
    """The rule that a provider event stands for: `OP n NAME`, at the n-th call of that kind from now on, for `n+` at it and the next."""
    op, nth, name = how.split(" ", 2)
    first = int(nth.rstrip("+"))
    do = ONCE_404 if name == "404 once" else ANSWERS.get(name) or EFFECTS[name]
    return {"match": {"op": op}, "on": [first, first + 1] if nth.endswith("+") else [first], "do": dict(do)}


class _Draw:
    """Draws one seed's history."""

    def __init__(self, provider: str, seed: int, off: frozenset[str]) -> None:
        self.provider, self.off = provider, off
        self.chance = random.Random(f"{provider} {seed}")
        self.n_turns = self.chance.randint(1, MOST_TURNS)

    def turn(self) -> int:
        return self.chance.randrange(self.n_turns)

    def point(self) -> int:
        return 1 + int(N_POINTS * self.chance.random() ** 1.5)

    def kills(self) -> list[Event]:
        return [Event(self.turn(), self.point(), "kill", self.chance.choice(("", "", "power")))]

    def provider_faults(self) -> list[Event]:
        chance = self.chance
        op = chance.choice((CREATE, CREATE, CREATE, GET, LIST, *FETCH[self.provider], *UPLOAD[self.provider]))
        nth = f"{chance.randint(1, 6)}{'+' * (chance.random() < 0.3)}"
        names = list(ANSWERS) + list(EFFECTS) * 2 * (op == CREATE)
        if op == GET and chance.random() < 0.2:
            return [Event(self.turn(), 0, "provider", f"{op} {chance.randint(1, 12)} 404 once")]
        return [Event(self.turn(), 0, "provider", f"{op} {nth} {chance.choice(names)}")]

    def disk(self) -> list[Event]:
        return [Event(self.turn(), self.point(), "disk full", str(self.chance.choice((1, 3, 10, 1000))))]

    def clock(self) -> list[Event]:
        return [Event(self.turn(), self.point(), "clock jumps", str(self.chance.choice((-86_400, -3_600, -30, 30, 3_600, 86_400, 2_592_000))))]

    def stops(self) -> list[Event]:
        return [Event(self.turn(), self.point(), "stop", self.chance.choice(("requested", "now")))]

    def second(self) -> list[Event]:
        return [Event(self.turn(), self.point(), "second process")]

    def copies(self) -> list[Event]:
        """A copy of the folder, taken before a turn or in the middle of one; then the copy goes on, or both at once."""
        turn = self.turn()
        where = 0 if self.chance.random() < 0.3 else self.point()
        events = [Event(turn, where, "copy")]
        later = range(turn + 1, self.n_turns + 1)
        if self.chance.random() < 0.5:
            events.append(Event(self.chance.choice(later), 0, "together", str(self.chance.randrange(1000))))
        else:
            events.append(Event(self.chance.choice(later), 0, "in the copy"))
        return events

    def backups(self) -> list[Event]:
        turn = self.turn()
        return [
            Event(turn, self.chance.choice((0, self.point())), "backup"),
            Event(self.chance.randint(turn + 1, self.n_turns), 0, "restore", self.chance.choice(RESTORES)),
        ]

    def keys(self) -> list[Event]:
        return [Event(self.chance.randint(0, self.n_turns), 0, "key", self.chance.choice(KEYS))]

    def drift(self) -> list[Event]:
        return [Event(self.chance.randint(1, self.n_turns), 0, "config", self.chance.choice(tuple(DRIFTS)))]

    def gone(self) -> list[Event]:
        return [Event(self.chance.randint(1, self.n_turns), self.chance.randint(1, 4), self.chance.choice(("gone", "cancelled", "stuck")))]

    def tools(self) -> list[Event]:
        """A command between two turns, now and then killed; or the folder's archive, from which the run comes back later."""
        turn = self.chance.randint(1, self.n_turns)
        if self.chance.random() < 0.25:
            later = Event(self.chance.randint(turn, self.n_turns), 0, "unarchive", self.chance.choice(ARCHIVED))
            return [Event(turn, 0, "tool", "archive"), later]
        killed_at = self.chance.randint(1, 12) if self.chance.random() < 0.4 else 0
        return [Event(turn, killed_at, "tool", self.chance.choice(TOOLS))]

    def of_kind(self, kind: str) -> list[Event]:
        if kind in self.off:
            return []
        draw: Mapping[str, Callable[[], list[Event]]] = {"provider": self.provider_faults}
        return draw.get(kind, getattr(self, kind, self.provider_faults))()


RESERVES: Mapping[str, float] = {"fireworks": 0.0000131, "openai": 0.000356, "anthropic": 0.00021}
"""What a part may cost at most; budgets are drawn in such units."""
WEIGHTS: Mapping[str, int] = {"provider": 10, "kills": 9, "copies": 3, "backups": 2, "tools": 3, "keys": 2}


def draw(provider: str, seed: int, off: frozenset[str] = frozenset(), *, whole_every: int = 20) -> History:
    """The history of a seed. off: switches that stay off. whole_every: every so many seeds go on to the report."""
    drawn = _Draw(provider, seed, off)
    chance = drawn.chance
    kinds = [kind for kind in SWITCHES for _ in range(WEIGHTS.get(kind, 1))]
    events: list[Event] = []
    for _ in range(chance.choice((1, 2, 3, 3, 4, 5, 6, 8))):
        events += drawn.of_kind(chance.choice(kinds))
    settings: list[tuple[str, float]] = []
    if chance.random() < 0.15:
        settings.append(("submission.budget_usd", round(chance.choice((1.0, 2.5, 3.2, 100.0)) * RESERVES[provider], 9)))
    if chance.random() < 0.2:
        settings.append(("submission.max_attempts", chance.choice((1, 2))))
    if chance.random() < 0.5:
        settings.append(("submission.max_concurrent_jobs", chance.choice((1, 3, 8))))
    if any(event.kind == "stuck" for event in events):
        settings.append(("submission.give_up_hours", 0.2))
    return History(
        provider=provider,
        seed=seed,
        climate=chance.choice((0, 0, 0, *range(1, N_CLIMATES))),
        settings=tuple(settings),
        is_fresh=chance.random() < 0.1,
        is_whole=seed % whole_every == 0,
        is_crowded=provider == "anthropic" and chance.random() < 0.3,
        events=tuple(sorted(set(events))),
    )


Mark = Callable[[int, int], str]


def climates(mark: Mark, *, refuses_later: bool) -> tuple[Sequence[Rule], ...]:
    """What the provider does wrong whenever it meets an attempt at a part, whoever asks and however often. mark: (part, attempt) -> pattern.
    refuses_later: a batch that cannot be run is accepted first, and fails; where it is refused at once there is no attempt at all.
    """

    def at(part: int, do: Rule, attempt: int = 1) -> Rule:
        return {"match": {"op": CREATE, "part": mark(part, attempt)}, "on": "every", "do": do}

    one_wrong = {"rows": {"errored": {"count": 1, "status": 500}}}
    too_long: Rule = {"validation_failure": "a row is too long"} if refuses_later else {"all_failed": True}
    too_many: Rule = {"token_limit_exceeded": True} if refuses_later else {"expire_after": 0.0}
    odd = {"rows": {"duplicated": 1, "unknown_id": 1, "reordered": True}}
    unread = {"rows": {"malformed": 1, "unknown_id": 1}}
    silent = {"rows": {"missing": {"count": 1, "billed": True}}}
    return (
        (),
        (at(0, {"expire_after": 0.5}), at(3, {"expire_after": 0.0})),
        (at(1, one_wrong), at(1, one_wrong, 2), at(2, one_wrong)),
        (at(2, {"rows": {"missing": 1, "unknown_id": 1}}), at(0, odd)),
        tuple(at(part, odd) for part in range(4)),
        (at(0, {"cancelled_half_way": True}), at(1, {"unknown_state": "JOB_STATE_REBALANCING"})),
        (at(3, too_long), at(1, too_many)),
        (at(1, {"all_failed": True}), at(2, too_many), at(2, too_many, 2)),
        (at(0, {"expire_after": 0.5}), at(1, one_wrong), at(2, {"all_failed": True}), at(3, odd)),
        (at(0, unread), at(2, silent), at(3, {"rows": {"malformed": 1, "reordered": True}})),
        (
            at(1, silent),
            at(3, {"rows": {"missing": {"count": 1, "billed": True}, "duplicated": 1, "reordered": True}}),
            at(0, {"expire_after": 0.5}),
        ),
    )


N_CLIMATES = 11
