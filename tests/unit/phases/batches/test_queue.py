"""The queue: intent before call, doubt settled before anything is sent again, rows bought once, loops that end."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest
from tests.unit.rig import Rig, once

from batchtrial.errors import ConfigError, PhaseFailed, ProviderError, StateError, Stopped
from batchtrial.keys import split_custom_id
from batchtrial.providers.base import BatchState, Intent, Limits
from batchtrial.run.options import Options
from batchtrial.state.entries import decode
from batchtrial.state.machine import PartState

LIFE = ["intent", "uploaded", "receipt", "done", "saved", "settled"]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_every_part_lives_its_life_and_every_request_is_paid_once(rig: Rig) -> None:
    finished = rig.run()
    assert finished.counts.succeeded == rig.n_requests
    assert all(rig.events(part) == LIFE for part in rig.names())
    assert rig.is_paid_once()
    assert rig.memory.n_calls("submit") == len(rig.names()) == 4


def test_the_intent_is_on_disk_before_the_call(rig: Rig) -> None:
    seen: list[str] = []

    def at_create(intent: Intent) -> None:
        last = decode(rig.layout.ledger.read_bytes().splitlines()[-1])
        assert last is not None
        assert (last.event, last.part, last.token, last.payload_sha256) == ("intent", intent.part, intent.token, intent.payload_sha256)
        seen.append(intent.part)

    rig.memory.at_create = at_create
    rig.run()
    assert tuple(seen) == rig.names()


def test_the_same_slice_of_both_conditions_is_sent_side_by_side(rig: Rig) -> None:
    rig.run()
    sent = [batch.rows for batch in rig.memory.batches.values()]
    for control, treatment in zip(sent[::2], sent[1::2], strict=True):
        ours, theirs = [one for one in map(split_custom_id, control) if one], [one for one in map(split_custom_id, treatment) if one]
        assert [one.item for one in ours] == [one.item for one in theirs]
        assert len(ours) == len(control)
        assert len({one.arm for one in (*ours, *theirs)}) == 2


def test_no_more_batches_run_than_asked_for(tmp_path: Path) -> None:
    rig = Rig(tmp_path, n_items=12, settings={"max_concurrent_jobs": 3})
    rig.run()
    assert rig.memory.most_open == 3
    assert rig.is_paid_once()


# Doubt


def test_an_answer_lost_after_the_batch_was_made_is_found_and_not_made_again(rig: Rig) -> None:
    rig.memory.on_submit = deque(["lost after", None, "lost after"])
    rig.run()
    assert rig.is_paid_once()
    assert rig.memory.n_calls("submit") == 4
    assert rig.events(rig.names()[0]) == LIFE
    adopted = [entry.adopted for entry in rig.entries() if entry.event == "receipt"]
    assert sorted(map(bool, adopted)) == [False, False, True, True]


def test_a_call_that_never_arrived_is_sent_again_under_the_same_token(rig: Rig) -> None:
    rig.memory.on_submit = deque(["lost before"])
    rig.run()
    assert rig.is_paid_once()
    first = rig.names()[0]
    assert rig.events(first) == ["intent", "uploaded", "lost", *LIFE]
    tokens = {entry.token for entry in rig.entries() if entry.event == "intent" and entry.part == first}
    assert len(tokens) == 1
    assert rig.memory.calls.count(f"find {first} 1") == rig.memory.limits.find_rounds


def test_absence_is_believed_only_after_listings_with_waits_between(rig: Rig) -> None:
    """The list lags: a batch that does not show at first must not be made twice."""
    rig.memory.limits = Limits(max_requests=1000, max_bytes=10**6, find_rounds=3, find_wait_seconds=5.0)
    rig.memory.hide_new_for = 2
    rig.memory.on_submit = deque(["lost after"])
    times: list[float] = []
    rig.run(hook=lambda point: times.append(rig.clock.now().timestamp()) if point == "call:find:before" else None)
    assert rig.is_paid_once()
    assert len(times) == 3
    assert times[2] > times[1] > times[0]


def test_an_unsure_part_waits_and_the_others_go_on(rig: Rig) -> None:
    rig.memory.on_submit = deque(["lost after"])
    rig.memory.on_find = deque(["unsure"] * 5)
    rig.run()
    assert rig.is_paid_once()
    events = [(entry.part or "", entry.event) for entry in rig.entries() if entry.part]
    received = events.index((rig.names()[0], "receipt"))
    before = [event for _, event in events[:received]]
    assert before.count("settled") >= 1, "other parts were not held up"
    assert "lost" not in before


def test_an_unsure_part_is_never_sent_again_however_often_the_run_is_resumed(rig: Rig) -> None:
    rig.memory.on_submit = deque(["lost after"])
    for _ in range(3):
        rig.memory.on_find = deque(["unsure"] * 50)
        rig.clock.waited.clear()
        with pytest.raises(Stopped):
            rig.run(hook=once("call:find:before", lambda: rig.layout.stop_requested.touch(), at=4))
        rig.layout.stop_requested.unlink()
    rig.memory.on_find.clear()
    rig.run()
    assert rig.is_paid_once()
    assert rig.memory.n_calls("submit") == 4


def test_a_doubt_that_nobody_can_settle_ends_the_run_after_the_time_that_a_batch_may_take(rig: Rig) -> None:
    rig.settings["give_up_hours"] = 2.0
    rig.memory.on_submit = deque(["lost after"])
    rig.memory.on_find = deque(["unsure"] * 100_000)
    with pytest.raises(PhaseFailed, match=r"2 hours whether \S+_p01 was sent: a batch of the right size still runs") as caught:
        rig.run()
    assert caught.value.where == "submission.give_up_hours"
    assert sum(rig.clock.waited) < 3 * 3600
    assert rig.parts()[rig.names()[0]].state is PartState.SUBMITTING
    rig.memory.on_find = deque(["unsure"] * 3)  # a day later: who resumes is not refused at once
    rig.run()
    assert rig.is_paid_once()


def test_find_is_told_which_batches_have_an_owner(rig: Rig) -> None:
    rig.memory.on_submit = deque([None, "lost after"])
    rig.run()
    assert rig.memory.owned_seen[0] == {"batch-1"}


def test_of_two_batches_with_one_token_the_older_is_kept_the_younger_cancelled_and_said(rig: Rig) -> None:
    def twice(intent: Intent) -> None:
        if not rig.memory.batches:
            rig.memory.accept(intent, rig.layout.part_input(intent.part))

    rig.memory.at_create = twice
    rig.memory.on_submit = deque(["lost after"])
    rig.run()
    assert rig.memory.batches["batch-2"].is_cancelled
    assert rig.is_paid_once()
    assert [entry.batch_id for entry in rig.entries() if entry.event == "duplicate"] == ["batch-2"]
    assert any("sent twice" in note and "batch-2 is cancelled" in note for note in rig.notes)
    assert rig.parts()[rig.names()[0]].attempts[0].batch_id == "batch-1"


def test_a_provider_that_never_says_yes_or_no_ends_the_run_with_a_reason(rig: Rig) -> None:
    rig.memory.on_submit = deque(["lost before"] * 1000)
    with pytest.raises(PhaseFailed, match="cannot submit"):
        rig.run()
    assert rig.memory.n_calls("submit") < 60
    rig.memory.on_submit.clear()
    rig.run()
    assert rig.is_paid_once()


def test_a_provider_that_cannot_be_reached_ends_the_run_with_a_reason(rig: Rig) -> None:
    rig.memory.on_submit = deque(["down"] * 1000)
    with pytest.raises(PhaseFailed, match="cannot be reached"):
        rig.run()
    assert max(rig.clock.waited) <= 600
    rig.memory.on_submit.clear()
    rig.run()
    assert rig.is_paid_once()


def test_a_doubt_that_cannot_be_looked_into_ends_the_run_and_stays_a_doubt(rig: Rig) -> None:
    rig.memory.on_submit = deque(["lost after"])
    rig.memory.on_find = deque(["down"] * 1000)
    with pytest.raises(PhaseFailed, match="cannot find out"):
        rig.run()
    assert rig.parts()[rig.names()[0]].state is PartState.SUBMITTING
    rig.memory.on_find.clear()
    rig.run()
    assert rig.is_paid_once()


# Refusals


def test_a_refusal_ends_the_run_owes_nothing_and_can_be_resumed(rig: Rig) -> None:
    rig.memory.on_submit = deque([None, "refused"])
    with pytest.raises(ProviderError, match="no such model"):
        rig.run()
    second = rig.parts()[rig.names()[1]]
    assert (second.state, second.attempts[0].is_lost) == (PartState.PENDING, True)
    assert len(rig.memory.batches) == 1
    rig.run()
    assert rig.is_paid_once()
    assert rig.parts()[rig.names()[1]].attempts[0].number == 1


def test_a_provider_that_asks_to_slow_down_is_given_its_time(rig: Rig) -> None:
    rig.memory.on_submit = deque(["busy"])
    times: list[float] = []
    rig.memory.at_create = lambda intent: times.append(rig.clock.now().timestamp()) if intent.part == rig.names()[0] else None
    rig.run()
    assert times[1] - times[0] >= 7.0
    assert rig.is_paid_once()


def test_a_batch_refused_as_a_whole_is_a_new_attempt_after_a_wait(rig: Rig) -> None:
    rig.memory.ends = deque([BatchState.FAILED])
    rig.run()
    first = rig.parts()[rig.names()[0]]
    assert [a.is_rejected for a in first.attempts] == [True, False]
    assert rig.is_paid_once()
    refused = next(e for e in rig.entries() if e.event == "rejected")
    again = next(e for e in rig.entries() if e.event == "intent" and e.attempt == 2)
    assert (again.at - refused.at).total_seconds() >= 20.0
    assert refused.reason == "the queue is full"


def test_a_hopeless_batch_is_settled_as_errored_and_the_rest_goes_on(rig: Rig) -> None:
    rig.memory.is_hopeless = True
    rig.memory.ends = deque([BatchState.FAILED])
    finished = rig.run()
    assert (finished.counts.errored, finished.counts.succeeded) == (2, 6)
    assert rig.memory.n_calls("submit") == 4


# Rows


def test_only_rows_that_came_back_errored_are_bought_again(rig: Rig) -> None:
    rows: list[str] = []

    def answer(one: str, batch: int) -> str:
        rows.append(one)
        return "errored" if len(rows) == 1 else "succeeded"

    rig.memory.answer = answer
    rig.run()
    record = rig.parts()[rig.names()[0]]
    assert [a.n_requests for a in record.attempts] == [2, 1]
    assert rig.is_paid_once()
    assert rig.counts() == {"succeeded": rig.n_requests}


def test_attempts_at_a_row_are_bounded(rig: Rig) -> None:
    rig.settings["max_attempts"] = 3
    rig.memory.answer = lambda one, batch: "errored" if one.startswith(rig.arms("control")) else "succeeded"
    finished = rig.run()
    assert (finished.counts.errored, finished.counts.succeeded) == (4, 4)
    assert all(len(record.attempts) == (3 if name in rig.names()[::2] else 1) for name, record in rig.parts().items())


def test_an_expired_batch_keeps_its_paid_answers_and_buys_the_rest(rig: Rig) -> None:
    rig.memory.ends = deque([BatchState.EXPIRED])
    rows: list[str] = []

    def answer(one: str, batch: int) -> str:
        rows.append(one)
        return "" if batch == 1 and len(rows) == 2 else "succeeded"

    rig.memory.answer = answer
    rig.run()
    record = rig.parts()[rig.names()[0]]
    assert [(a.n_requests, a.counts and a.counts.succeeded) for a in record.attempts] == [(2, 1), (1, 1)]
    assert record.attempts[0].counts is not None
    assert record.attempts[0].counts.expired == 1
    assert rig.is_paid_once()


def test_a_row_without_a_line_is_counted_missing_and_not_bought_again(rig: Rig) -> None:
    seen: list[str] = []

    def answer(one: str, batch: int) -> str:
        seen.append(one)
        return "" if len(seen) == 1 else "succeeded"

    rig.memory.answer = answer
    finished = rig.run()
    assert (finished.counts.missing, finished.counts.succeeded) == (1, 7)
    assert rig.memory.n_calls("submit") == 4


# Watching and fetching


@pytest.mark.parametrize("verb", ["check", "fetch"])
def test_a_batch_is_gone_only_when_three_looks_say_so(rig: Rig, verb: str) -> None:
    (rig.memory.on_check if verb == "check" else rig.memory.on_fetch).extend(["not found"] * 2)
    rig.settings["max_concurrent_jobs"] = 1
    rig.run()
    assert rig.counts() == {"succeeded": rig.n_requests}
    assert "gone" not in rig.events()


def test_rows_of_a_batch_that_is_gone_are_missing_and_their_reserve_stays_unknown(rig: Rig) -> None:
    rig.run(to_step="submit")
    last = list(rig.memory.batches.values())[-1]
    last.is_gone = True
    finished = rig.run()
    assert (finished.counts.missing, finished.counts.succeeded) == (2, 6)
    gone = next(record.attempts[0] for record in rig.parts().values() if record.attempts[0].is_gone)
    assert rig.money().unknown_usd == gone.reserved_usd > 0
    assert rig.money().requests_gone == 2


def test_paid_batches_are_not_given_up_because_another_accounts_key_does_not_see_them(rig: Rig) -> None:
    rig.run(to_step="submit")
    mine, rig.memory.batches = rig.memory.batches, {}
    with pytest.raises(StateError, match="knows no batch of this run"):
        rig.run()
    assert "gone" not in rig.events()
    rig.memory.batches = mine | rig.memory.batches
    assert rig.run().counts.succeeded == rig.n_requests


@pytest.mark.parametrize("options", [Options(remake=True), Options(accept_drift=True), Options(give_up_unknown=True)])
def test_no_flag_makes_the_queue_itself_give_up_what_may_be_paid(rig: Rig, options: Options) -> None:
    """Batches are given up before the queue runs, by a person who was told what is lost, or not at all."""
    rig.settings["max_concurrent_jobs"] = 10
    rig.run(to_step="submit")
    rig.memory.batches = {}
    with pytest.raises(StateError, match="knows no batch of this run"):
        rig.run(options=options)
    assert "gone" not in rig.events()


def test_results_that_are_gone_are_missing_after_three_looks(rig: Rig) -> None:
    rig.settings["max_concurrent_jobs"] = 1
    rig.memory.on_fetch = deque(["not found"] * 3)
    finished = rig.run()
    assert (finished.counts.missing, finished.counts.succeeded) == (2, 6)


def test_a_fetch_cut_short_leaves_nothing_and_is_made_again(rig: Rig) -> None:
    rig.memory.on_fetch = deque(["cut", "down"])
    left: list[int] = []
    rig.run(hook=lambda point: left.append(len(list(rig.layout.root.rglob("*.part~")))) if point == "call:fetch:before" else None)
    assert rig.counts() == {"succeeded": rig.n_requests}
    assert set(left) == {0}
    assert rig.memory.n_calls("fetch") == 6


@pytest.mark.parametrize("verb", ["check", "fetch"])
def test_a_provider_that_stays_away_ends_the_run_with_a_reason(rig: Rig, verb: str) -> None:
    (rig.memory.on_check if verb == "check" else rig.memory.on_fetch).extend(["down"] * 1000)
    with pytest.raises(PhaseFailed, match="cannot be reached"):
        rig.run()
    rig.memory.on_check.clear()
    rig.memory.on_fetch.clear()
    rig.run()
    assert rig.is_paid_once()


def test_a_batch_that_never_ends_is_given_up_with_its_name(rig: Rig) -> None:
    rig.settings["give_up_hours"] = 2.0
    rig.memory.life_seconds = 1e9
    with pytest.raises(PhaseFailed, match=r"batch batch-1 of gpt-oss-20b-t0-\w+ has not ended after 2 hours"):
        rig.run()
    assert sum(rig.clock.waited) < 3 * 3600
    rig.memory.life_seconds = 60.0
    rig.run()
    assert rig.is_paid_once()


# Money


PARTIAL = Options(to_step="poll", is_partial=True)
PRICED = {"pricing": {"overrides": {"accounts/fireworks/models/gpt-oss-20b": {"input_per_mtok": 1.0, "output_per_mtok": 1.0}}}}


def test_the_budget_counts_what_is_in_flight(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings={"max_concurrent_jobs": 4, "budget_usd": 0.00001}, changes=PRICED)
    with pytest.raises(ConfigError, match="whole plan may cost up to") as caught:
        rig.run()
    assert "--budget_usd" in caught.value.hint
    assert "it buys 0 of 4 pairs" in caught.value.what
    assert rig.memory.batches == {}
    with pytest.raises(PhaseFailed, match="does not cover gpt-oss-20b-t0-"):
        rig.run(options=PARTIAL)
    assert rig.memory.batches == {}
    one_part = 2 * (1024 + 60) / 1e6  # two rows: longest answer and prompt
    rig.settings["budget_usd"] = 2.5 * one_part
    with pytest.raises(PhaseFailed):
        rig.run(options=PARTIAL)
    assert 2 <= len(rig.memory.batches) < 4
    assert rig.memory.most_open == 2, "two reserves fit, although four batches were allowed"


def test_a_raised_budget_goes_on_where_it_stopped(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings={"budget_usd": 0.00001}, changes=PRICED)
    with pytest.raises(PhaseFailed):
        rig.run(options=PARTIAL)
    rig.settings["budget_usd"] = 5.0
    rig.run()
    assert rig.is_paid_once()
    assert rig.money().in_flight_usd == 0
    assert float(rig.money().spent_usd) == pytest.approx(rig.n_requests * 1100 / 1e6)


def test_a_budget_without_a_price_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings={"budget_usd": 5.0}, changes={"model_id": "nobody/knows-me"})
    with pytest.raises(ConfigError, match="no known price"):
        rig.run()
    assert rig.memory.batches == {}


# Stopping


def test_a_stop_sends_nothing_more_and_leaves_what_runs(rig: Rig) -> None:
    with pytest.raises(Stopped):
        rig.run(hook=once("call:submit:after", lambda: rig.layout.stop_requested.touch()))
    assert len(rig.memory.batches) == 1
    assert rig.events() == ["intent", "uploaded", "receipt"], "the call in hand was finished, receipt and all"
    rig.layout.stop_requested.unlink()
    rig.run()
    assert rig.is_paid_once()


def test_draining_waits_for_what_runs_and_fetches_it(rig: Rig) -> None:
    rig.settings["stop_policy"] = "drain"
    with pytest.raises(Stopped):
        rig.run(hook=once("ledger:receipt:after", lambda: rig.layout.stop_requested.touch(), at=2))
    assert rig.events().count("saved") == 2
    assert len(rig.memory.batches) == 2
    rig.layout.stop_requested.unlink()
    rig.run()
    assert rig.is_paid_once()


def test_stop_now_ends_a_drain(rig: Rig) -> None:
    rig.settings["stop_policy"] = "drain"

    def stop() -> None:
        rig.layout.stop_requested.touch()
        rig.layout.stop_now.touch()

    with pytest.raises(Stopped):
        rig.run(hook=once("ledger:receipt:after", stop, at=2))
    assert rig.events().count("saved") == 0


def test_stop_now_while_fetching_keeps_no_half_file(rig: Rig) -> None:
    rig.memory.at_line = lambda: rig.layout.stop_now.touch()
    with pytest.raises(Stopped, match="while fetching"):
        rig.run()
    assert [path for path in rig.layout.root.rglob("*") if "results" in path.name and path.is_file()] == []
    rig.memory.at_line = lambda: None
    rig.layout.stop_now.unlink()
    rig.run()
    assert rig.is_paid_once()
    assert rig.counts() == {"succeeded": rig.n_requests}


def test_the_bar_reaches_its_end(rig: Rig) -> None:
    rig.run(to_step="submit")
    submitted = sum(1 for event in rig.events() if event == "receipt")
    assert submitted == 4
    rig.run()
    assert rig.events().count("settled") == 4
