"""Refusals and broken connections become errors of ours: what happened, whether trying again can help, and never the key."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from tests.contract.wires import KEY, WIRES, World, only

from batchtrial.errors import Ambiguous, AuthFailed, NotFound, ProviderError, RateLimited, TooLarge
from batchtrial.providers.sdk.edge import Timeouts


def submit_error(world: World) -> ProviderError:
    """The error that a submit ends in."""
    with pytest.raises(ProviderError) as caught:
        world.submit(2)
    return caught.value


def test_a_wrong_key_names_the_variable_to_set(world: World) -> None:
    wrong = world.wire.make(world.emu, "invalid-key-000111222", {})
    error = submit_error(replace(world, provider=wrong))
    wrong.close()
    assert isinstance(error, AuthFailed)
    assert not error.retryable
    assert world.wire.key_variable in error.hint
    assert "invalid-key-000111222" not in str(error)


@pytest.mark.parametrize("key", ["", "  ", "line\nend", "schlüssel"])
def test_a_key_that_cannot_be_one_is_told_before_anything_is_sent(world: World, key: str) -> None:
    before = world.emu.calls()
    broken = world.wire.make(world.emu, key, {})
    error = submit_error(replace(world, provider=broken))
    assert isinstance(error, AuthFailed)
    assert world.wire.key_variable in error.hint
    assert world.emu.calls() == before


def test_too_many_requests_waits_as_long_as_asked(world: World) -> None:
    world.fault("create", {"status": 429, "retry_after": 7})
    error = submit_error(world)
    assert isinstance(error, RateLimited)
    assert (error.retryable, error.retry_after) == (True, 7.0)


def test_an_hour_of_retry_after_is_cut_to_our_cap(world: World) -> None:
    world.fault("create", {"status": 429, "retry_after": 3600})
    assert submit_error(world).retry_after == 120.0


def test_milliseconds_of_retry_after_are_understood(world: World) -> None:
    world.fault("create", {"status": 429, "retry_after_ms": 1500})
    assert submit_error(world).retry_after == 1.5


def test_too_many_requests_without_a_time_says_none(world: World) -> None:
    world.fault("create", {"status": 429})
    error = submit_error(world)
    assert isinstance(error, RateLimited)
    assert (error.retryable, error.retry_after) == (True, None)


def test_a_spent_budget_is_not_worth_waiting_for(world: World) -> None:
    world.fault("create", {"spend_cap": True})
    error = submit_error(world)
    assert isinstance(error, RateLimited)
    assert not error.retryable
    assert "limit" in error.hint


def test_a_body_that_is_too_large_is_a_definite_no(world: World) -> None:
    world.fault("create", {"status": 413})
    assert isinstance(submit_error(world), TooLarge)


def test_an_unknown_batch_is_not_found(world: World) -> None:
    for verb in (world.provider.check, lambda batch_id: list(world.provider.fetch(batch_id))):
        with pytest.raises(NotFound):
            verb("bt-0000000000000000")


def test_results_that_are_gone_are_not_found(world: World) -> None:
    batch_id = world.submit(2)
    world.finish()
    world.fault_downloads({"file_gone": True})
    with pytest.raises(NotFound):
        list(world.provider.fetch(batch_id))


def test_a_failing_look_is_worth_another(world: World) -> None:
    batch_id = world.submit(2)
    world.fault("get", {"status": 503, "retry_after": 3}, on=[1])
    with pytest.raises(ProviderError) as caught:
        world.provider.check(batch_id)
    assert (caught.value.retryable, caught.value.retry_after) == (True, 3.0)
    assert not isinstance(caught.value, Ambiguous)
    assert world.provider.check(batch_id)


@pytest.mark.parametrize("do", [{"close_before_commit": True}, {"status": 500}, {"status": 429}, {"truncate_body": 300}])
def test_a_download_that_fails_can_be_repeated(world: World, do: dict[str, object]) -> None:
    batch_id = world.submit(6)
    world.finish()
    world.fault_downloads(do, on=[1])
    with pytest.raises(ProviderError) as caught:
        list(world.provider.fetch(batch_id))
    assert caught.value.retryable
    assert len(list(world.provider.fetch(batch_id))) == 6


def test_a_download_cut_in_the_middle_of_a_line_is_noticed_even_when_the_server_calls_it_whole(world: World) -> None:
    batch_id = world.submit(6)
    world.finish()
    world.fault_downloads({"truncate_body": {"bytes": 301, "clean": True}}, on=[1])
    with pytest.raises(ProviderError) as caught:
        list(world.provider.fetch(batch_id))
    assert caught.value.retryable


def test_a_download_that_stalls_ends(world: World) -> None:
    batch_id = world.submit(4)
    world.finish()
    impatient = world.wire.make(world.emu, KEY, {"timeouts": Timeouts(connect=2.0, read=0.4)})
    world.fault_downloads({"hang": 3.0})
    with pytest.raises(ProviderError) as caught:
        list(impatient.fetch(batch_id))
    impatient.close()
    assert caught.value.retryable


def test_a_download_that_trickles_ends(world: World) -> None:
    batch_id = world.submit(6)
    world.finish()
    impatient = world.wire.make(world.emu, KEY, {"timeouts": Timeouts(connect=2.0, read=5.0, slow=1.0)})
    world.fault_downloads({"slow_body": {"bytes_per_second": 60, "cap_seconds": 10}})
    with pytest.raises(ProviderError) as caught:
        list(impatient.fetch(batch_id))
    impatient.close()
    assert caught.value.retryable
    assert "slow" in caught.value.what


def test_a_host_where_nobody_listens_is_told_with_a_hint(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        lost = world.wire.make(world.emu, KEY, {"base_url": nobody})
        error = submit_error(replace(world, provider=lost))
        lost.close()
    assert not isinstance(error, Ambiguous)
    assert error.retryable
    assert "base_url" in error.hint


def test_a_host_that_does_not_exist_is_told_with_a_hint(world: World) -> None:
    lost = world.wire.make(world.emu, KEY, {"base_url": "http://no-such-host.invalid"})
    error = submit_error(replace(world, provider=lost))
    lost.close()
    assert (error.retryable, isinstance(error, Ambiguous)) == (True, False)
    assert "base_url" in error.hint


@only("fireworks", "openai")
def test_an_upload_that_fails_costs_nothing_and_is_simply_repeated(world: World) -> None:
    """Requests travel inside the create call."""
    world.fault("upload", {"close_after_commit": True}, on=[1])
    payload = world.payload(world.requests(3))
    intent = world.intent(payload)
    with pytest.raises(ProviderError) as caught:
        world.provider.submit(intent, payload, lambda file_id: None)
    assert caught.value.retryable
    assert not isinstance(caught.value, Ambiguous)
    assert world.provider.submit(intent, payload, lambda file_id: None)
    assert len(world.batches()) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 503])
def test_no_error_shows_the_key_even_when_the_server_echoes_it(world: World, status: int) -> None:
    world.fault("any", {"status": status, "message": f"your key {KEY} and Bearer {KEY} were seen"})
    error = submit_error(world)
    assert KEY not in str(error)
    assert KEY not in repr(error)
    assert KEY[6:] not in f"{error.__dict__}"
    assert error.__suppress_context__ or error.__context__ is None


def test_no_repr_shows_the_key(world: World) -> None:
    world.submit(1)
    assert KEY not in repr(world.provider)
    assert KEY not in repr(getattr(world.provider, "settings", None))


def test_every_wire_is_under_contract() -> None:
    assert {wire.speaks for wire in WIRES.values()} >= {"fireworks", "openai", "anthropic"}
