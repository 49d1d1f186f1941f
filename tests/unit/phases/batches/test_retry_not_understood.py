"""Answers that nobody can read are bought again only when somebody says so: exactly those rows, once, within attempts and budget."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.unit.phases.world import Quiet
from tests.unit.rig import Rig, once

from batchtrial.errors import ConfigError
from batchtrial.phases.batches.retry_not_understood import AskingAgain, ask_again
from batchtrial.run.loop import Services, carry
from batchtrial.run.options import Options
from batchtrial.state.store import Hook, no_hook

N_UNREAD = 2
"""The first row of the first two batches."""


class Died(Exception):
    """The process died here."""


def die() -> None:
    raise Died


def a_rig(folder: Path, **settings: object) -> Rig:
    """A finished run of eight rows in four parts, with a first row that nobody can read in two of them; asked again it is answered."""
    rig = Rig(folder, settings={"max_concurrent_jobs": 10, **settings})
    seen: Counter[int] = Counter()

    def answer(custom_id: str, batch: int) -> str:
        seen[batch] += 1
        return "succeeded~" if batch <= N_UNREAD and seen[batch] == 1 else "succeeded"

    rig.memory.answer = answer
    rig.run()
    return rig


def asked_again(rig: Rig, hook: Hook = no_hook) -> AskingAgain:
    session = rig.open(hook=hook)
    services = Services(
        codec=rig.memory, provider=lambda: rig.memory, now=rig.clock.now, stop=rig.stop_token(), progress=Quiet(rig.notes), hook=hook
    )  # fmt: skip
    try:
        return carry(session, Options(), services, ask_again)
    finally:
        session.close()


def unread_rows(rig: Rig) -> list[str]:
    return [batch.rows[0] for batch in list(rig.memory.batches.values())[:N_UNREAD]]


def test_nothing_is_asked_again_by_any_number_of_resumes(tmp_path: Path) -> None:
    rig = a_rig(tmp_path)
    for _ in range(3):
        rig.run()
    assert rig.memory.n_calls("submit") == 4
    assert rig.is_paid_once()


def test_when_told_exactly_those_rows_are_asked_once(tmp_path: Path) -> None:
    rig = a_rig(tmp_path)
    again = asked_again(rig)
    assert [one.n_requests for one in again.parts] == [1, 1]
    assert again.usd is not None
    assert again.usd > 0
    assert any("2 answers that cannot be understood are asked again, in 2 parts, for up to $" in note for note in rig.notes), rig.notes
    assert rig.events().count("asked_again") == N_UNREAD
    for _ in range(2):
        rig.run()
    sent = [batch.rows for batch in list(rig.memory.batches.values())[4:]]
    assert sorted(sent) == sorted((one,) for one in unread_rows(rig))
    assert {one: n for one, n in rig.memory.paid().items() if n != 1} == dict.fromkeys(unread_rows(rig), 2)
    assert rig.counts() == Counter(succeeded=8)
    assert asked_again(rig).parts == (), "they are answered now"
    assert "nothing is asked again" in rig.notes[-1]


@pytest.mark.parametrize(
    ("point", "at"),
    [
        ("ledger:asked_again:after", 1),
        ("ledger:asked_again:after", 2),
        ("ledger:intent:before", 1),
        ("ledger:intent:after", 1),
        ("call:submit:before", 1),
        ("call:submit:after", 1),
        ("ledger:receipt:after", 2),
        ("ledger:saved:before", 1),
        ("ledger:settled:before", 1),
    ],
)
def test_killed_in_between_pays_once(tmp_path: Path, point: str, at: int) -> None:
    rig = a_rig(tmp_path)
    hook = once(point, die, at)
    with pytest.raises(Died):  # noqa: PT012  the kill may fall into either of two commands
        asked_again(rig, hook)
        rig.run(hook=hook)
    rig.run()  # goes on without being told anew
    asked_again(rig)
    rig.run()
    assert {one: n for one, n in rig.memory.paid().items() if n != 1} == dict.fromkeys(unread_rows(rig), 2)
    assert rig.counts() == Counter(succeeded=8)


def test_attempts_are_bounded(tmp_path: Path) -> None:
    rig = a_rig(tmp_path, max_attempts=2)
    rig.memory.answer = lambda custom_id, batch: "succeeded~"
    asked_again(rig)
    rig.run()
    again = asked_again(rig)
    assert again.parts == ()
    assert [one.n_requests for one in again.spent] == [1, 1]
    assert "2 attempts are all that submission.max_attempts allows" in rig.notes[-1]
    rig.run()
    assert rig.memory.n_calls("submit") == 4 + N_UNREAD


def test_a_budget_that_does_not_cover_it_opens_nothing(tmp_path: Path) -> None:
    rig = a_rig(tmp_path)
    rig.settings["budget_usd"] = float(rig.money().committed_usd) + 1e-9
    with pytest.raises(ConfigError, match="does not cover it") as caught:
        asked_again(rig)
    assert "2 answers that cannot be understood" in caught.value.what
    assert "asked_again" not in rig.events()


def test_a_row_that_fails_when_asked_again_stays_what_it_was_and_is_not_bought_a_third_time(tmp_path: Path) -> None:
    rig = a_rig(tmp_path)
    rig.memory.answer = lambda custom_id, batch: "errored"
    asked_again(rig)
    rig.run()
    assert rig.memory.n_calls("submit") == 4 + N_UNREAD
    assert rig.counts() == Counter(succeeded=8)
