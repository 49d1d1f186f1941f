"""What the attempts at a part brought: outcomes per request, the rows worth sending again, the bill of one attempt.

Pure but for reading result files; `queue.py` decides what to do with it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from batchtrial.phases.batches.reasons import counted_reasons
from batchtrial.phases.batches.which_line import Rank, Said, rank, said, takes_over
from batchtrial.records import BadLine, Outcome, RawResult, Usage
from batchtrial.state.ledger import Attempt, Counts

Decode = Callable[[bytes], RawResult]
BILLED_AGAIN = "billed_again"
"""Kind of odd lines that may have been billed beside the chosen one; only there where some are."""


@dataclass(slots=True)
class Tally:
    """One attempt's results: counted by request, odd lines counted apart, usage of what was answered added up once per row.

    expected: custom_ids that the attempt asked for. absent: what became of those without a line. said: what the chosen line of each request says.
    repeated: requests with several lines, of which `settle` chooses one.
    """

    expected: frozenset[str]
    absent: Outcome = Outcome.MISSING
    said: dict[str, Said] = field(default_factory=dict)
    odd: dict[str, int] = field(default_factory=lambda: {"malformed": 0, "unknown": 0, "duplicate": 0})
    used: dict[str, Usage | None] = field(default_factory=dict)  # by row: None when the answer did not say
    tiers: dict[str, str] = field(default_factory=dict)  # by row, where the answer says at which it was served
    repeated: set[str] = field(default_factory=set)

    def add(self, line: bytes, decode: Decode) -> None:
        """Count one line; never raises for what a line holds."""
        if not line.strip():
            return
        try:
            result = decode(line)
        except BadLine:
            self.odd["malformed"] += 1
            return
        one = result.custom_id
        if one not in self.expected:
            self.odd["unknown"] += 1
            return
        if one in self.said:
            self.odd["duplicate"] += 1
            self.repeated.add(one)
            return
        self._take(result)

    def _take(self, result: RawResult) -> None:
        self.said[result.custom_id] = said(result)
        self.used.pop(result.custom_id, None)
        if is_billed(result):
            self.used[result.custom_id] = result.usage
            if result.service_tier is not None:
                self.tiers[result.custom_id] = result.service_tier

    def settle(self, lines: Iterable[bytes], decode: Decode) -> None:
        """Choose among the lines of requests that have several, by the rule of `which_line`. lines: all that were added, again.

        The bill counts the chosen one. Others that say what they used, or are answers, may have been billed as well: `odd` counts them, and the same
        line twice as one.
        """
        if not self.repeated:
            return
        chosen: dict[str, RawResult] = {}
        billed: set[tuple[str, Rank]] = set()
        for line in lines:
            with suppress(BadLine):
                result = decode(line)
                one = result.custom_id
                if one in self.repeated:
                    billed |= {(one, rank(result))} if is_billed(result) else set()
                    chosen[one] = min(chosen.get(one, result), result, key=rank)
        for result in chosen.values():
            self._take(result)
        if again := len(billed) - sum(map(is_billed, chosen.values())):
            self.odd[BILLED_AGAIN] = again
        self.repeated.clear()

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Outcome of every request that has a line."""
        return {one: word.outcome for one, word in self.said.items()}

    @property
    def dead(self) -> set[str]:
        """Requests that errored in a way that sending again cannot mend."""
        return {one for one, word in self.said.items() if word.outcome is Outcome.ERRORED and not word.retryable}

    @property
    def counts(self) -> Counts:
        """The five counts of this attempt."""
        return count(self.said[one].outcome if one in self.said else self.absent for one in self.expected)

    @property
    def usage(self) -> list[Usage]:
        """Of every row that said what it used."""
        return [one for one in self.used.values() if one is not None]

    @property
    def served(self) -> list[tuple[Usage, str | None]]:
        """The same, each with the tier that it was served at."""
        return [(usage, self.tiers.get(one)) for one, usage in self.used.items() if usage is not None]

    @property
    def n_without_usage(self) -> int:
        """Answers that did not say what they used: they may have been billed any sum."""
        return sum(one is None for one in self.used.values())

    @property
    def n_unbilled(self) -> int:
        """Rows whose bill is unknown: answers without usage, and requests without a line."""
        return self.n_without_usage + self.counts.missing

    @property
    def total_usage(self) -> Usage:
        """All tokens together."""
        total = Usage()
        for one in self.usage:
            total = total + one
        return total


def is_billed(result: RawResult) -> bool:
    """Whether a line stands for tokens that were paid: an answer, or a failure that says what it used."""
    return result.usage is not None or result.outcome is Outcome.SUCCEEDED


def count(outcomes: Iterable[Outcome]) -> Counts:
    """The five counts."""
    found = dict.fromkeys(Outcome, 0)
    for outcome in outcomes:
        found[outcome] += 1
    return Counts(**{outcome.value: n for outcome, n in found.items()})


def absent_outcome(wire_state: str | None) -> Outcome:
    """What became of rows without a line, by the word in which their batch ended: some providers give no line to a row that they never ran."""
    word = (wire_state or "").lower()
    return Outcome.EXPIRED if "expired" in word else Outcome.CANCELLED if "cancel" in word else Outcome.MISSING


def custom_ids(payload: Iterable[bytes]) -> Iterator[str]:
    """The id of every request line, in order."""
    for line in payload:
        yield json.loads(line)["custom_id"]


def new_tally(payload: Path, wire_state: str | None) -> Tally:
    """Of an attempt that sent `payload` and ended in `wire_state`; nothing counted yet."""
    with payload.open("rb") as sent:
        return Tally(frozenset(custom_ids(sent)), absent_outcome(wire_state))


def tally(payload: Path, results: Path, wire_state: str | None, decode: Decode) -> Tally:
    """Read one attempt's payload and results."""
    counted = new_tally(payload, wire_state)
    with results.open("rb") as lines:
        for line in lines:
            counted.add(line, decode)
        lines.seek(0)
        counted.settle(lines, decode)
    return counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """Where every request of a part stands after its attempts so far. again: ids worth a new attempt, in request order.

    not_understood: ids that were answered with something that nobody can read; they are asked again only when somebody says so.
    reasons: why requests have no answer, with how many; again_reasons: the same of those in `again`.
    """

    outcomes: dict[str, Outcome]
    again: tuple[str, ...]
    counts: Counts
    not_understood: tuple[str, ...] = ()
    reasons: dict[str, int] = field(default_factory=dict)
    again_reasons: dict[str, int] = field(default_factory=dict)


RETRIED = frozenset({Outcome.ERRORED, Outcome.EXPIRED, Outcome.CANCELLED})
"""Outcomes that a deliberate new attempt exists for. A missing row may have been billed: it is reported, not bought again."""


def fate(
    part_input: Path, attempts: Sequence[Attempt], root: Path, folder_file: Callable[[int], Path], decode: Decode, *, once_more: bool = False
) -> Fate:
    """Join all attempts by the rule of `which_line`: the first answer wins, else the last thing known about the row.

    part_input: the part's full payload. root: what attempts' payload paths are relative to. folder_file: attempt number -> result file.
    once_more: rows that one attempt has answered with something that nobody can read are worth a second.
    """
    with part_input.open("rb") as sent:
        order = tuple(custom_ids(sent))
    known: dict[str, Said] = {}
    dead: set[str] = set()
    n_unread = Counter[str]()
    for attempt in attempts:
        if attempt.is_lost or attempt.is_left:
            continue
        if attempt.is_saved:
            got = tally(root / attempt.payload, folder_file(attempt.number), attempt.wire_state, decode)
            absent = Said(outcome=got.absent)
            found, hopeless = {one: got.said.get(one, absent) for one in got.expected}, got.dead
        else:
            with (root / attempt.payload).open("rb") as sent:
                asked = tuple(custom_ids(sent))
            whole = Said(outcome=Outcome.ERRORED if attempt.is_rejected else Outcome.MISSING, message=attempt.reason or "")
            found, hopeless = dict.fromkeys(asked, whole), set(asked) if attempt.is_hopeless else set()
        n_unread.update(one for one, now in found.items() if once_more and now.is_success and not now.is_answer)
        for one, now in found.items():
            if takes_over(known.get(one), now):
                known[one] = now
        dead |= hopeless
    outcomes = {one: word.outcome for one, word in known.items()}
    not_understood = tuple(one for one in order if one in known and known[one].is_success and not known[one].is_answer)
    unread_once = {one for one in not_understood if n_unread[one] == 1}
    again = tuple(one for one in order if one in unread_once or (outcomes.get(one) in RETRIED and one not in dead))
    return Fate(
        outcomes=outcomes,
        again=again,
        again_reasons=counted_reasons(known[one].reason for one in again),
        counts=count(outcomes.get(one, Outcome.MISSING) for one in order),
        not_understood=not_understood,
        reasons=counted_reasons(known[one].reason for one in order if one in known and not known[one].is_answer),
    )


def rows(part_input: Path, wanted: Iterable[str]) -> Iterator[bytes]:
    """The request lines of the wanted ids, as first sent, in their order."""
    chosen = set(wanted)
    with part_input.open("rb") as lines:
        for line in lines:
            if json.loads(line)["custom_id"] in chosen:
                yield line
