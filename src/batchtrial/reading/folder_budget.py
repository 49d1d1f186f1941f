"""A cap over all runs of a folder: a file `budget` beside them, honoured by every process that sends.

No sum is kept anywhere: each run's own ledger says what it has spent and what it may still have to pay, and a part's reserve is in it, on the disk,
before the part is sent. Who sends takes the folder's lock, adds up every ledger, and writes its own intent before it lets go; the lock falls with
its process. So no kill can leave a reserve that nobody has, nor send what nobody has reserved. Runs that are called live and rehearsals count apart.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from batchtrial.errors import BudgetReached, ConfigError
from batchtrial.modes import MODES
from batchtrial.reading.ledger_tail import LedgerTail
from batchtrial.reading.run_tables import Mark, mark_of
from batchtrial.state.access import denied
from batchtrial.state.layout import PREFIX, RunLayout
from batchtrial.state.money import ZERO, Money, dollars

NAME: Final = "budget"
EMPTY_LOOKS, EMPTY_SECONDS = 5, 0.02
GUARD: Final = ".budget.lock"
LOCK_SECONDS: Final = 10.0
"""How long one tries for the lock, which is held for milliseconds; who does not get it looks for other work, and tries again."""


def cap_of(experiments: Path) -> Decimal | None:
    """Dollars that all runs of the folder may cost together; None when no file says. Raises ConfigError for a file that says something else.

    One number, such as `200`; what stands behind a `#` is a comment.
    """
    path = experiments / NAME
    try:
        lines = _lines(path)
    except FileNotFoundError:
        if path.is_symlink():  # a disk that is not mounted lifts no cap
            raise ConfigError("the budget of the folder is a link to nothing", where=str(path), hint=_HOW) from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the budget of the folder cannot be read: {error}", where=str(path), hint=_HOW) from None
    numbers = [text for line in lines if (text := line.partition("#")[0].strip())]
    try:
        (number,) = numbers
        found = Decimal(number.removeprefix("$").removesuffix("USD").strip())
    except (ValueError, InvalidOperation):
        found = Decimal("NaN")
    if not (found.is_finite() and found >= 0):
        raise ConfigError("the budget of the folder is no sum of dollars", where=str(path), hint=_HOW)
    return found


def _lines(path: Path) -> list[str]:
    """Its lines. A file without a byte is looked at again for a moment: whoever writes another sum (`echo 300 > budget`) empties it first."""
    for _ in range(EMPTY_LOOKS):
        if text := path.read_text(encoding="utf-8-sig"):
            return text.splitlines()
        time.sleep(EMPTY_SECONDS)
    return []


_HOW: Final = "the file holds one number of dollars, such as 200; take it away when there is no cap"


def committed_usd(experiments: Path) -> Decimal:
    """What all live runs of the folder have spent, may have spent, or have in flight. Raises BudgetReached when that is not known."""
    return FolderBudget(RunLayout(experiments / PREFIX), "live").others_usd()


@dataclass(slots=True)
class Counted:
    """Another run's ledger as it was last read."""

    tail: LedgerTail
    mark: Mark | None = None
    money: Money = field(default_factory=Money)


@dataclass(slots=True)
class FolderBudget:
    """The cap as one run meets it. mode: the run's."""

    layout: RunLayout
    mode: str
    lock_seconds: float = LOCK_SECONDS
    _known: dict[Path, Counted] = field(default_factory=dict)

    @property
    def experiments(self) -> Path:
        """The folder of all runs: where this run is named, or where it lies if a link leads there and only that folder has a cap."""
        named, real = self.layout.root.parent, self.layout.root.resolve().parent
        return real if os.path.lexists(real / NAME) and not os.path.lexists(named / NAME) else named

    @property
    def where(self) -> str:
        """The file."""
        return str(self.experiments / NAME)

    def cap(self) -> Decimal | None:
        """See `cap_of`; read anew each time, since a person may raise it while a run goes on."""
        return cap_of(self.experiments)

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Nobody else reserves anything meanwhile. False when the lock cannot be had for now; True at once where there is no cap."""
        if self.cap() is None:
            yield True
            return
        try:
            # Whoever may begin runs here has to be able to take it, whoever made it.
            lock = FileLock(self.experiments / GUARD, mode=0o644 | self.experiments.stat().st_mode & 0o022)
            lock.acquire(timeout=self.lock_seconds)
        except Timeout:
            yield False
            return
        except OSError as error:
            hint = "whoever sends under a folder's budget has to be able to write to the folder"
            raise BudgetReached(f"the lock of the folder's budget cannot be taken: {error.strerror}", where=self.where, hint=hint) from None
        try:
            yield True
        finally:
            lock.release()

    def left(self) -> Decimal | None:
        """What the cap leaves to this run, all that it has committed included; None when there is no cap. Raises BudgetReached."""
        cap = self.cap()
        return None if cap is None else cap - self.others_usd()

    def others_usd(self) -> Decimal:
        """What the folder's other runs have spent, may have spent, or have in flight. Raises BudgetReached when a ledger does not tell."""
        is_called, total = MODES[self.mode].is_called, ZERO
        for ledger in self._ledgers():
            counted = self._known.setdefault(ledger, Counted(LedgerTail(ledger)))
            self._bring_up_to_date(ledger, counted)
            opened = counted.tail.opened
            mode = MODES.get(opened.mode if opened is not None else "", MODES["live"])
            if mode.is_called == is_called and not mode.is_replay:
                if counted.money.unpriced or counted.money.in_flight_unpriced:
                    raise self._untold(ledger, "has attempts without a known price")
                total += counted.money.committed_usd
        return total

    def _ledgers(self) -> Iterator[Path]:
        """Of the folder's other runs, whether or not they may be read."""
        try:
            found = [one for one in os.scandir(self.experiments) if one.name.startswith(PREFIX)]
        except OSError as error:
            raise BudgetReached(f"the runs under the folder's budget cannot be listed: {error.strerror}", where=self.where) from None
        own = self.layout.root
        for one in found:
            is_own = one.name == own.name if own.parent == self.experiments and not one.is_symlink() else os.path.realpath(one) == str(own.resolve())
            if not is_own:
                yield self.experiments / one.name / "ledger.jsonl"

    def _bring_up_to_date(self, ledger: Path, counted: Counted) -> None:
        mark = mark_of(ledger)
        if mark is not None and mark == counted.mark:
            return
        is_there = counted.tail.update()
        if not is_there and (mark is not None or denied([ledger]) or (ledger.parent.is_symlink() and not ledger.parent.exists())):
            raise self._untold(ledger, "cannot be read")
        if counted.tail.n_damaged:
            raise self._untold(ledger, "is damaged")
        counted.mark, counted.money = mark, counted.tail.money

    def _untold(self, ledger: Path, what: str) -> BudgetReached:
        run_id = ledger.parent.name.removeprefix(PREFIX)
        return BudgetReached(
            f"the ledger of run {run_id} {what}, so that nobody knows what of the folder's budget is left",
            where=self.where,
            hint=f"`batchtrial repair --run_id {run_id}` says what is wrong; a folder that is moved elsewhere no longer counts",
        )

    def refusal(self, part: str, committed: Decimal, reserve: Decimal, besides: Decimal) -> str | None:
        """Why the cap does not cover the reserve, and what must be bought with it, beside what this run has committed; None when it does."""
        cap = self.cap()
        if cap is None:
            return None
        others = self.others_usd()
        if others + committed + reserve + besides <= cap:
            return None
        return (
            f"the folder's budget of {dollars(cap)} does not cover {part}: its runs have spent or hold {dollars(others + committed)}, "
            f"and it may cost {dollars(reserve + besides)} more"
        )
