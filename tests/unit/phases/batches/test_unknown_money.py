"""What nobody told the price of: counted by reason, kept in reserve, and never taken for nothing by a budget."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from tests.unit.rig import Rig

from batchtrial.config.expand import arms_of
from batchtrial.errors import PhaseFailed
from batchtrial.phases.batches.money import Purse, bill, price_named
from batchtrial.phases.batches.twice import bought_twice
from batchtrial.providers.base import BatchState, Intent
from batchtrial.reading.ledger_tail import LedgerTail
from batchtrial.run.options import Options
from batchtrial.state.entries import encode, read
from batchtrial.state.ledger import Money, fold, money

ROW = Decimal("0.00005")
"""Dollars of one answer that says what it used: 1000 tokens in at 0.035 and 100 out at 0.15 dollars per million."""


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def tailed(rig: Rig) -> Money:
    """The same as `status` reads it."""
    tail = LedgerTail(rig.layout.ledger)
    tail.update()
    return tail.money


def reserve_of_row(rig: Rig) -> Decimal:
    """Of one request of the first part."""
    return rig.parts()[rig.names()[0]].attempts[0].reserved_usd / 2


def test_answers_without_usage_keep_the_reserve_of_their_rows(rig: Rig) -> None:
    rig.memory.answer = lambda one, batch: "succeeded?" if batch == 1 else "succeeded"
    rig.run()
    cost = rig.money()
    assert cost.spent_usd == 6 * ROW
    assert (cost.answers_without_usage, cost.requests_without_line) == (2, 0)
    assert cost.unknown_usd == pytest.approx(2 * reserve_of_row(rig))
    assert cost == tailed(rig)


def test_a_request_without_a_line_may_have_been_billed(rig: Rig) -> None:
    rig.memory.answer = lambda one, batch: "" if batch == 1 else "succeeded"
    rig.run()
    cost = rig.money()
    assert (cost.answers_without_usage, cost.requests_without_line) == (0, 2)
    assert cost.unknown_usd > 0
    assert cost == tailed(rig)


@pytest.mark.parametrize("ends", [BatchState.EXPIRED, BatchState.CANCELLED])
def test_rows_that_a_batch_never_ran_cost_nothing_and_those_it_did_are_billed(rig: Rig, ends: BatchState) -> None:
    rig.memory.ends.append(ends)
    never_run: set[str] = set()

    def answer(one: str, batch: int) -> str:
        if batch == 1 and not never_run:
            never_run.add(one)
            return ""
        return "succeeded"

    rig.memory.answer = answer
    rig.run()
    cost = rig.money()
    assert cost.is_exact
    assert cost.spent_usd == 8 * ROW


def test_a_retry_of_failed_rows_adds_only_what_they_used(rig: Rig) -> None:
    rig.memory.answer = lambda one, batch: "errored" if batch == 1 else "succeeded"
    rig.run()
    assert rig.money() == tailed(rig) == Money(spent_usd=8 * ROW)


def test_a_batch_that_is_gone_is_the_same_figure_for_run_and_status(rig: Rig) -> None:
    rig.run(to_step="submit")
    list(rig.memory.batches.values())[-1].is_gone = True
    rig.run()
    cost = rig.money()
    assert (cost.spent_usd, cost.requests_gone) == (6 * ROW, 2)
    assert cost == tailed(rig)
    assert "the results of 2 requests are gone; up to $" in cost.sentence()


def test_a_budget_counts_the_reserve_of_answers_without_usage(rig: Rig) -> None:
    """Were they taken for free, nothing would ever stop the run."""
    rig.memory.answer = lambda one, batch: "succeeded?"
    rig.settings["max_concurrent_jobs"] = 1
    probe = Rig(rig.folder / "probe")
    probe.run(to_step="submit")
    reserves = [probe.parts()[name].attempts[0].reserved_usd for name in probe.names()]
    rig.settings["budget_usd"] = float(sum(reserves[:2]) + reserves[2] / 2)
    with pytest.raises(PhaseFailed, match="does not cover"):
        rig.run(options=Options(to_step="poll", is_partial=True))
    assert rig.memory.n_calls("submit") == 2
    assert rig.money().spent_usd == 0
    assert rig.money().committed_usd <= Decimal(str(rig.settings["budget_usd"]))


def send_again_elsewhere(rig: Rig) -> None:
    """What a copy of the run would have done that was at work at the same time: the first part's batch a second time, two minutes later."""
    part = rig.names()[0]
    first = rig.parts()[part].attempts[0]
    rig.clock.wait(120)
    sent = Intent(part=part, attempt=1, token=first.token, payload_sha256=first.payload_sha256, n_requests=2, created_at=rig.clock.now(), model="m")
    rig.memory.accept(sent, rig.layout.part_input(part))


def test_a_batch_that_a_copy_sent_too_is_one_figure_everywhere(rig: Rig) -> None:
    rig.run(to_step="submit")
    send_again_elsewhere(rig)
    rig.run(to_step="report")
    cost, part = rig.money(), rig.parts()[rig.names()[0]]
    assert [one.n_requests for one in part.duplicates] == [2]
    assert (cost.spent_usd, cost.unknown_usd, cost.requests_sent_twice) == (8 * ROW, part.duplicates[0].reserved_usd, 2)
    assert cost == tailed(rig)
    (costs,) = (json.loads(path.read_bytes()) for path in rig.layout.root.rglob("costs.json"))
    assert costs | cost.as_json() == costs
    assert costs["usd"] is None
    assert costs["cost"] == cost.sentence()
    assert sum(arm.get("requests_sent_twice", 0) for arm in costs["arms"].values()) == 2
    (report,) = (path.read_text() for path in rig.layout.root.glob("*/reports/report.md"))
    assert f"Together {cost.sentence()}, at batch rate" in report.replace("\\", "")
    assert "stands in the cost above as unknown" in report


def test_a_budget_counts_a_batch_that_a_copy_sent_too(rig: Rig) -> None:
    rig.run(to_step="submit")
    send_again_elsewhere(rig)
    rig.run()
    rig.settings["budget_usd"] = float(rig.money().spent_usd + reserve_of_row(rig))
    session = rig.open(accept_drift=True)
    purse = Purse(session.config, session.ledger)
    assert not purse.covers("the next part", Decimal("0.0000001"))
    session.close()


def test_a_second_batch_of_an_earlier_version_has_the_price_of_the_attempt_under_way(rig: Rig) -> None:
    rig.run(to_step="submit")
    send_again_elsewhere(rig)
    rig.run()
    bare = {"attempt": None, "n_requests": None, "reserved_usd": None}
    plain = [entry.but(**bare) if entry.event == "duplicate" else entry for entry in rig.entries()]
    rig.layout.ledger.write_bytes(b"".join(encode(entry) for entry in plain))
    assert rig.money() == tailed(rig)
    assert rig.money().requests_sent_twice == 2


def test_a_ledger_of_an_earlier_version_is_read_as_it_was(rig: Rig) -> None:
    """Its lines have no word on unknown sums; a missing row there stays what it was."""
    rig.memory.answer = lambda one, batch: "" if batch == 1 else "succeeded"
    rig.run()
    assert '"unknown_usd"' in rig.layout.ledger.read_text()
    plain = [entry.but(unknown_usd=None, n_without_usage=None) for entry in rig.entries()]
    assert money(fold(plain).values()).is_exact


def test_a_line_written_by_hand_may_name_tokens_that_nobody_knows(rig: Rig) -> None:
    rig.run()
    before, session = rig.money(), rig.open()
    view = session.look()
    session.close()
    arm = arms_of(view.trials)[0]
    told = bill(view, arm)
    lines = rig.layout.ledger.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines):
        entry = json.loads(line)
        if entry["event"] == "saved":
            del entry["check"]
            lines[number] = json.dumps(entry | {"usage": entry["usage"] | {"~": 7}}).encode() + b"\n"
    rig.layout.ledger.write_bytes(b"".join(lines))
    parts = fold(read(rig.layout.ledger).entries)
    assert (bill(replace(view, parts=parts), arm), rig.money()) == (told, before)


def test_a_host_that_quirks_name_is_priced_by_nobody(rig: Rig) -> None:
    """The same model elsewhere has another price, and the table knows no such host."""
    own = rig.config().model_copy(update={"backend": "openai"})
    other = own.model_copy(update={"provider": own.provider.model_copy(update={"base_url": "https://other.example/v1", "quirks": "compatible"})})
    assert price_named(own, "openai", "gpt-4.1-mini") is not None
    assert price_named(other, "openai", "gpt-4.1-mini") is None


def test_rows_that_were_asked_elsewhere_at_an_unknown_price_are_a_sum_that_nobody_knows(rig: Rig) -> None:
    session = rig.open()
    view = replace(session.look(), elsewhere=({"n_requests": 3, "usd": "0.5"}, {"n_requests": 2, "usd": "0.25"}))
    session.close()
    assert "At most 5 rows, up to $0.7500, may have been asked" in (bought_twice(view) or "")
    view = replace(view, elsewhere=({"n_requests": 3, "usd": "0.5"}, {"n_requests": 2, "usd": None}))
    assert "At most 5 rows, at an unknown price, may have been asked" in (bought_twice(view) or "")
