"""One batch from submit to results, on every wire."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from tests.contract.wires import World, only

from batchtrial.errors import NotFound, ProviderError
from batchtrial.providers.base import BatchState
from batchtrial.records import BadLine, Outcome, RawResult

PARAMETERS: Mapping[str, Any] = {"temperature": 0.3, "max_tokens": 77}


def decoded(world: World, batch_id: str) -> dict[str, RawResult]:
    """Every result of a batch by custom_id; no id twice."""
    found = [world.provider.decode(line) for line in world.provider.fetch(batch_id)]
    by_id = {result.custom_id: result for result in found}
    assert len(by_id) == len(found)
    return by_id


def test_a_batch_from_submit_to_results(world: World) -> None:
    requests = world.requests(7)
    payload = world.payload(requests)
    files: list[str] = []
    batch_id = world.provider.submit(world.intent(payload), payload, files.append)
    assert len(files) == (0 if world.wire.provider == "anthropic" else 1)

    status = world.provider.check(batch_id)
    assert (status.state, status.state.is_terminal) == (BatchState.RUNNING, False)
    world.finish()
    status = world.provider.check(batch_id)
    counts = (7, 7, 0) if world.wire.has_counts else (None, None, None)
    assert (status.state, status.n_total, status.n_done, status.n_failed) == (BatchState.COMPLETED, *counts)
    assert status.ids

    results = decoded(world, batch_id)
    assert set(results) == {request.custom_id for request in requests}
    for result in results.values():
        assert result.outcome is Outcome.SUCCEEDED
        assert result.text
        assert result.finish_reason in ("stop", "length")
        assert result.usage is not None
        assert result.usage.input_tokens > 0
        assert result.usage.output_tokens > 0


def test_the_reader_of_lines_can_be_sent_to_another_process(world: World) -> None:
    batch_id = world.submit(12)
    world.finish()
    lines = list(world.provider.fetch(batch_id))
    sent = pickle.loads(pickle.dumps(world.provider.decode))
    assert [sent(line) for line in lines] == [world.provider.decode(line) for line in lines]


def test_what_was_asked_is_what_arrived(world: World) -> None:
    world.submit(2, **PARAMETERS)
    seq = world.batches()[-1]["seq"]
    received = world.emu.call("GET", f"/_emulator/requests?batch={seq}")["requests"]
    assert len(received) == 2
    for each in received:
        assert each["model"] == world.wire.model
        assert {name: each["parameters"][name] for name in PARAMETERS} == PARAMETERS
        assert "Answer in one word." in str(each["line"])


def test_results_do_not_depend_on_the_token(world: World) -> None:
    first, second = world.submit(4), world.submit(4)
    world.finish()
    ids = {request.custom_id for request in world.requests(4)}
    for batch_id in (first, second):
        assert set(decoded(world, batch_id)) == ids
        assert all(any(f'"{each}"'.encode() in line for each in ids) for line in world.provider.fetch(batch_id))


def test_results_can_be_fetched_again(world: World) -> None:
    batch_id = world.submit(3)
    world.finish()
    assert sorted(world.provider.fetch(batch_id)) == sorted(world.provider.fetch(batch_id))


def test_every_line_ends_in_one_newline(world: World) -> None:
    batch_id = world.submit(3)
    world.finish()
    for line in world.provider.fetch(batch_id):
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1


def test_rows_that_errored_come_back_as_errored(world: World) -> None:
    world.fault("create", {"rows": {"errored": {"count": 2, "status": 400}}})
    batch_id = world.submit(6)
    world.finish()
    outcomes = [result.outcome for result in decoded(world, batch_id).values()]
    assert (outcomes.count(Outcome.ERRORED), outcomes.count(Outcome.SUCCEEDED)) == (2, 4)
    errored = [result for result in decoded(world, batch_id).values() if result.outcome is Outcome.ERRORED]
    assert all(result.text is None and result.error and not result.retryable for result in errored)


def test_rows_that_failed_on_the_server_may_be_sent_again(world: World) -> None:
    world.fault("create", {"rows": {"errored": {"count": 2, "status": 500}}})
    batch_id = world.submit(3)
    world.finish()
    errored = [result for result in decoded(world, batch_id).values() if result.outcome is Outcome.ERRORED]
    assert [result.retryable for result in errored] == [True, True]


def test_a_batch_whose_rows_all_failed_still_has_results(world: World) -> None:
    world.fault("create", {"all_failed": True})
    batch_id = world.submit(4)
    world.finish()
    assert world.provider.check(batch_id).state is BatchState.COMPLETED
    assert [result.outcome for result in decoded(world, batch_id).values()] == [Outcome.ERRORED] * 4


def test_an_expired_batch_keeps_the_rows_it_finished(world: World) -> None:
    world.fault("create", {"expire_after": 0.5})
    batch_id = world.submit(6)
    world.finish()
    assert world.provider.check(batch_id).state is BatchState.EXPIRED
    outcomes = [result.outcome for result in decoded(world, batch_id).values()]
    assert outcomes.count(Outcome.SUCCEEDED) == (3 if world.wire.keeps_expired else 0)
    assert outcomes.count(Outcome.EXPIRED) == (3 if world.wire.expired_is_told else 0)


def test_a_batch_that_somebody_else_cancelled_keeps_the_rows_it_finished(world: World) -> None:
    world.fault("create", {"cancelled_half_way": 0.5})
    batch_id = world.submit(6)
    world.finish()
    assert world.provider.check(batch_id).state is BatchState.CANCELLED
    outcomes = [result.outcome for result in decoded(world, batch_id).values()]
    assert outcomes.count(Outcome.SUCCEEDED) == 3
    assert outcomes.count(Outcome.CANCELLED) == (3 if world.wire.expired_is_told else 0)


@only("fireworks", "openai")
def test_a_batch_that_fails_validation_says_why(world: World) -> None:
    """Anthropic validates row by row: no batch fails as a whole."""
    world.fault("create", {"validation_failure": "row 2 is not what it should be"})
    batch_id = world.submit(4)
    world.finish()
    status = world.provider.check(batch_id)
    assert (status.state, status.retryable) == (BatchState.FAILED, False)
    assert "row 2 is not what it should be" in (status.reason or "")
    assert list(world.provider.fetch(batch_id)) == []


@only("fireworks", "openai")
def test_a_state_that_nobody_documented_is_a_running_batch(world: World) -> None:
    """The emulator shows unknown states where the wire has many."""
    world.fault("create", {"unknown_state": {"state": "JOB_STATE_PONDERING", "polls": 1}})
    batch_id = world.submit(2)
    status = world.provider.check(batch_id)
    assert (status.state, status.wire_state) == (BatchState.RUNNING, "JOB_STATE_PONDERING")
    world.finish()
    assert world.provider.check(batch_id).state is BatchState.COMPLETED


def test_cancelling_ends_a_batch_and_does_no_harm_twice(world: World) -> None:
    batch_id = world.submit(4)
    world.provider.cancel(batch_id)
    world.provider.cancel(batch_id)
    world.finish()
    world.provider.cancel(batch_id)
    try:
        assert world.provider.check(batch_id).state is BatchState.CANCELLED
    except NotFound:
        assert world.wire.provider == "fireworks"  # cancelling is deleting there


@only("openai", "anthropic")
def test_results_of_a_running_batch_are_refused_for_now(world: World) -> None:
    """An output dataset may be looked at while its job runs; the queue asks only after the end."""
    batch_id = world.submit(2)
    with pytest.raises(ProviderError) as caught:
        list(world.provider.fetch(batch_id))
    assert caught.value.retryable


def test_rows_that_break_the_format_are_kept_apart(world: World) -> None:
    world.fault("create", {"rows": {"invalid_utf8": [0], "malformed": [1], "unknown_id": 1, "duplicated": [2]}})
    batch_id = world.submit(8)
    world.finish()
    good, bad = [], 0
    for line in world.provider.fetch(batch_id):
        try:
            good.append(world.provider.decode(line).custom_id)
        except BadLine:
            bad += 1
    known = {request.custom_id for request in world.requests(8)}
    assert bad == 2
    assert len([each for each in good if each not in known]) == 1
    assert len(good) - len(set(good)) == 1


def test_a_huge_answer_is_kept(world: World) -> None:
    world.fault("create", {"rows": {"huge": {"count": 1, "bytes": 12_000_000}}})
    batch_id = world.submit(2)
    world.finish()
    lengths = sorted(len(result.text or "") for result in decoded(world, batch_id).values())
    assert lengths[-1] >= 12_000_000
