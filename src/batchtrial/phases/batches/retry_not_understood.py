"""Rows that were answered with something that nobody can read, asked again because somebody says so. Nothing asks for them by itself: they may have
been billed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from batchtrial.config.expand import arms_of
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError, StateError
from batchtrial.phases.base import View, Work
from batchtrial.phases.batches import account
from batchtrial.phases.batches import tally as answers
from batchtrial.phases.batches.coverage import unpriced
from batchtrial.phases.batches.money import price_for, reserve_usd
from batchtrial.phases.batches.poll import damaged_files
from batchtrial.providers.base import Provider, codec_of
from batchtrial.state.layout import result_file
from batchtrial.state.ledger import money
from batchtrial.state.machine import Event, PartState
from batchtrial.state.money import dollars

log = logging.getLogger(__name__)

FLAG = "--retry_not_understood"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A settled part with answers that nobody can read. usd: the most that asking them again may cost; None without a known price."""

    part: str
    model: str
    n_requests: int
    n_attempts: int
    usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskingAgain:
    """What would be asked again, and what has had all its attempts."""

    parts: tuple[Unread, ...]
    spent: tuple[Unread, ...]
    max_attempts: int

    @property
    def usd(self) -> Decimal | None:
        return None if any(one.usd is None for one in self.parts) else sum((one.usd or Decimal(0) for one in self.parts), Decimal(0))

    @property
    def sentences(self) -> tuple[str, ...]:
        """In requests and dollars."""
        found = []
        if self.parts:
            most = "an unknown sum" if self.usd is None else f"up to {dollars(self.usd)} more"
            found.append(f"{_answers(self.parts)} asked again, in {len(self.parts)} part{'s' * (len(self.parts) != 1)}, for {most}")
        if self.spent:
            found.append(f"{_answers(self.spent)} not asked again: {self.max_attempts} attempts are all that submission.max_attempts allows")
        return tuple(found) or ("no settled answer of this run is one that cannot be understood: nothing is asked again",)


def asking_again(view: View, codec: Provider) -> AskingAgain:
    """By the files. Raises StateError when result files are not as they were fetched."""
    damaged = damaged_files(view)
    if damaged:
        raise StateError(
            f"{len(damaged)} result files are gone or not as fetched ({damaged[0]})",
            where=FLAG,
            hint="resume without it first: they are fetched again",
        )
    most = view.config.submission.max_attempts
    found = tuple(_unread(view, codec)) if view.build is not None else ()
    return AskingAgain(
        parts=tuple(one for one in found if one.n_attempts < most), spent=tuple(one for one in found if one.n_attempts >= most), max_attempts=most
    )


def check_affordable(config: Config, committed_usd: Decimal, again: AskingAgain) -> None:
    """Raises ConfigError when a budget does not cover all of it: a settled part that is opened and cannot be sent would end the run."""
    budget = config.submission.budget_usd
    if budget is None or not again.parts:
        return
    if again.usd is None:
        raise unpriced(next(one.model for one in again.parts if one.usd is None))
    if committed_usd + again.usd > Decimal(str(budget)):
        raise ConfigError(
            f"the budget of ${budget:g} does not cover it: {dollars(committed_usd)} is spent or in flight, {again.sentences[0]}",
            where="submission.budget_usd",
            hint=f"raise --budget_usd, or resume without {FLAG}",
        )


def ask_again(work: Work) -> AskingAgain:
    """Open every part that has such answers: they go into a new attempt, and nothing else of the part does. Raises StateError, ConfigError."""
    again = asking_again(work.view, work.codec)
    check_affordable(work.config, money(work.ledger.parts.values()).committed_usd, again)
    for lane in work.lanes if again.parts else ():
        if any(one.part in lane.records() for one in again.parts):
            account.prove(lane)
    for one in again.parts:
        log.info("asked again part=%s rows=%s", one.part, one.n_requests)
        work.ledger.append(Event.ASKED_AGAIN, one.part, n_requests=one.n_requests, reason=FLAG)
    work.ledger.sync()
    for line in again.sentences:
        work.progress.note(line)
    return again


def _unread(view: View, codec: Provider) -> Iterator[Unread]:
    for arm in arms_of(view.trials):
        price = price_for(view.config, arm)
        for shard in view.shards(arm):
            record = view.parts.get(shard.part)
            if record is None or record.state is not PartState.SETTLED:
                continue
            results = partial(result_file, view.layout.root / arm.part_folder(shard.part_index))
            fate = answers.fate(view.layout.part_input(shard.part), record.attempts, view.layout.root, results, codec_of(codec, arm.backend).decode)
            n = len(fate.not_understood)
            if n:
                usd = None if price is None else reserve_usd(price, shard, n)
                yield Unread(part=shard.part, model=arm.model, n_requests=n, n_attempts=record.next_attempt - 1, usd=usd)


def _answers(parts: tuple[Unread, ...]) -> str:
    n = sum(one.n_requests for one in parts)
    return f"{n:,} answer{'s' * (n != 1)} that cannot be understood {'are' if n != 1 else 'is'}"
