"""What a crash or a lost answer leaves behind is found again, and nothing is bought twice: the promise every adapter owes the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.contract.wires import KEY, World, only

from batchtrial.errors import Ambiguous, ProviderError, Unsure
from batchtrial.providers.base import Intent
from batchtrial.providers.sdk.edge import Timeouts

LOSSES: Mapping[str, Mapping[str, Any]] = {
    "closed before commit": {"close_before_commit": True},
    "closed after commit": {"close_after_commit": True},
    "503 before commit": {"status": 503},
    "503 after commit": {"status": 503, "after_commit": True},
}


class Sender:
    """What the queue above does with an adapter, in ten lines: the ledger's part of the promise."""

    def __init__(self, world: World, intent: Intent, payload: Path) -> None:
        self.world, self.intent, self.payload = world, intent, payload

    def note_upload(self, file_id: str) -> None:
        self.intent = replace(self.intent, file_id=file_id)

    def submit(self) -> str:
        return self.world.provider.submit(self.intent, self.payload, self.note_upload)

    def until_accepted(self) -> str:
        """Send until there is a batch: a definite refusal is tried again, a doubt is settled first."""
        for _ in range(10):
            try:
                return self.submit()
            except Ambiguous:
                found = self.world.settle(self.intent)
                if found:
                    assert len(found) == 1
                    return found[0]
            except ProviderError as error:
                if not error.retryable:
                    raise
        raise AssertionError("never accepted")


def new_sender(world: World, n: int = 5) -> Sender:
    payload = world.payload(world.requests(n))
    return Sender(world, world.intent(payload), payload)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_whichever_call_is_lost_there_is_one_batch(world: World, loss: str) -> None:
    """The n-th call of a submit is lost, for every n until a submit meets no loss."""
    for nth in range(1, 30):
        before = len(world.batches())
        ids = world.emu.add_faults([{"match": {"provider": world.wire.provider, "op": "any"}, "on": [nth], "do": dict(LOSSES[loss])}])
        sender = new_sender(world)
        n_calls = world.n_calls()
        batch_id = sender.until_accepted()
        accepted = world.batches()[before:]
        assert [batch["id"].rsplit("/", 1)[-1] for batch in accepted] == [batch_id], f"call #{nth}"
        n_asked = world.n_calls() - n_calls
        world.emu.remove_faults()
        world.finish()
        assert ids
        if n_asked < nth:
            return
    raise AssertionError("a submit of more than 30 calls")


def test_an_accepted_batch_whose_receipt_was_lost_is_found(world: World) -> None:
    sender = new_sender(world)
    batch_id = sender.submit()
    assert world.settle(sender.intent) == (batch_id,)


def test_nothing_is_found_before_anything_was_sent(world: World) -> None:
    assert world.provider.find(new_sender(world).intent, frozenset()) == ()


def test_the_create_call_is_made_once_however_it_fails(world: World) -> None:
    world.fault("create", {"status": 503})
    with pytest.raises(Ambiguous):
        new_sender(world).submit()
    before = world.n_calls("create")
    with pytest.raises(Ambiguous):
        new_sender(world).submit()
    assert world.n_calls("create") == before + 1
    assert world.batches() == []


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 529])
def test_an_answer_that_leaves_it_open_is_ambiguous(world: World, status: int) -> None:
    world.fault("create", {"status": status})
    with pytest.raises(Ambiguous):
        new_sender(world).submit()


def test_no_answer_in_time_is_ambiguous(world: World) -> None:
    impatient = world.wire.make(world.emu, KEY, {"timeouts": Timeouts(connect=2.0, read=0.5, answer=0.5)})
    sender = new_sender(replace(world, provider=impatient))
    world.fault("create", {"hang": 2.0})
    with pytest.raises(Ambiguous):
        sender.submit()
    impatient.close()


def test_a_refused_create_is_not_ambiguous(world: World) -> None:
    world.fault("create", {"status": 400, "message": "no such model"})
    with pytest.raises(ProviderError) as caught:
        new_sender(world).submit()
    assert not isinstance(caught.value, Ambiguous)
    assert not caught.value.retryable
    assert "no such model" in caught.value.what


def test_other_parts_and_other_attempts_are_not_taken_for_it(world: World) -> None:
    first, second = new_sender(world), new_sender(world)
    batch_id = first.submit()
    assert world.settle(second.intent) == ()
    assert world.settle(first.intent) == (batch_id,)


@only("openai", "anthropic", "mistral", "gemini", "xai")
def test_submitting_one_attempt_twice_shows_as_two_batches_oldest_first(world: World) -> None:
    """The second create of one attempt is answered 409 and adopted."""
    sender = new_sender(world)
    first = sender.submit()
    world.emu.advance(2.0)
    second = sender.submit()
    world.finish()
    assert world.settle(sender.intent) == (first, second)


@only("fireworks")
def test_submitting_one_attempt_twice_adopts_where_ids_are_ours(world: World) -> None:
    """The server names the batches."""
    sender = new_sender(world)
    assert sender.submit() == sender.submit()
    assert len(world.batches()) == 1


@only("openai", "anthropic", "mistral", "gemini", "xai")
def test_a_batch_that_the_ledger_owns_is_not_found_again(world: World) -> None:
    """The id says whose it is."""
    sender = new_sender(world)
    batch_id = sender.submit()
    world.finish()
    assert world.provider.find(sender.intent, frozenset({batch_id})) == ()


@only("openai", "anthropic", "mistral", "gemini", "xai")
def test_a_lagging_list_hides_a_batch_only_for_a_while(world: World) -> None:
    """Found by its id, not in a list."""
    world.fault("create", {"list_lag": {"calls": world.provider.limits.find_rounds - 1}})
    sender = new_sender(world)
    batch_id = sender.submit()
    world.finish()
    looks = [world.provider.find(sender.intent, frozenset()) for _ in range(world.provider.limits.find_rounds)]
    assert looks == [()] * (len(looks) - 1) + [(batch_id,)]


@only("openai", "anthropic", "mistral", "gemini", "xai")
def test_a_batch_is_found_behind_pages_of_others(world: World) -> None:
    """Found by its id, not in a list."""
    reader = world.wire.make(world.emu, KEY, world.wire.small_pages)
    sender = new_sender(world, n=3)
    batch_id = sender.submit()
    for _ in range(12):
        new_sender(world, n=1).submit()
    world.finish()
    before = world.n_calls("list")
    assert reader.find(sender.intent, frozenset()) == (batch_id,)
    assert world.n_calls("list") >= before + (1 if world.wire.is_listed_at_once else 3)
    reader.close()


def test_find_does_not_hide_that_the_provider_is_down(world: World) -> None:
    sender = new_sender(world)
    sender.submit()
    world.fault("any", {"status": 503})
    with pytest.raises(ProviderError) as caught:
        world.provider.find(sender.intent, frozenset())
    assert caught.value.retryable
    assert not isinstance(caught.value, Unsure)


def test_a_machine_whose_clock_is_wrong_finds_its_batch_all_the_same(world: World) -> None:
    sender = new_sender(world)
    batch_id = sender.submit()
    world.finish()
    for days in (-400, 400):
        wrong = replace(sender.intent, created_at=sender.intent.created_at.replace(year=sender.intent.created_at.year + days // 400))
        assert world.settle(wrong) == (batch_id,)


@only("anthropic")
class TestAnthropicTwins:
    """A foreign batch of the same size in the same window: the one case where nothing on the batch tells them apart."""

    def test_a_running_twin_leaves_it_unsure(self, world: World) -> None:
        new_sender(world).submit()  # foreign: some other token
        with pytest.raises(Unsure):
            world.provider.find(new_sender(world).intent, frozenset())

    def test_an_ended_twin_is_never_adopted(self, world: World) -> None:
        new_sender(world).submit()
        world.finish()
        assert world.provider.find(new_sender(world).intent, frozenset()) == ()

    def test_ours_is_told_from_the_twin_once_both_have_ended(self, world: World) -> None:
        new_sender(world).submit()
        ours = new_sender(world)
        batch_id = ours.submit()
        new_sender(world).submit()
        with pytest.raises(Unsure):
            world.provider.find(ours.intent, frozenset())
        world.finish()
        assert world.provider.find(ours.intent, frozenset()) == (batch_id,)

    def test_a_running_batch_of_another_size_does_not_matter(self, world: World) -> None:
        new_sender(world, n=6).submit()
        assert world.provider.find(new_sender(world, n=5).intent, frozenset()) == ()

    def test_a_running_batch_that_the_ledger_owns_does_not_matter(self, world: World) -> None:
        owned = new_sender(world).submit()
        assert world.provider.find(new_sender(world).intent, frozenset({owned})) == ()


@only("anthropic")
class TestAnthropicWithoutIds:
    """A batch that has ended and shows no custom_id: the one wire where nothing else says whose it is."""

    def lose(self, world: World, **rows: Any) -> Sender:
        world.fault("create", {"close_after_commit": True, "rows": rows}, [1])
        sender = new_sender(world)
        with pytest.raises(Ambiguous):
            sender.submit()
        world.finish()
        return sender

    def looks(self, world: World, sender: Sender, owned: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """What is found at the third look; the ones before it are in doubt, since what they read may have been cut short."""
        for _ in range(2):
            with pytest.raises(Unsure):
                world.provider.find(sender.intent, owned)
        return world.provider.find(sender.intent, owned)

    def test_it_is_taken_in_the_end_and_not_bought_again(self, world: World) -> None:
        sender = self.lose(world, missing={"count": 5, "billed": True})
        (batch,) = world.batches()
        assert self.looks(world, sender) == (batch["id"],)
        assert world.provider.find(sender.intent, frozenset({batch["id"]})) == (), "it is one part's and no other's"

    def test_so_it_is_when_its_results_are_denied(self, world: World) -> None:
        sender = self.lose(world)
        world.fault_downloads({"status": 404})
        (batch,) = world.batches()
        assert self.looks(world, sender) == (batch["id"],)

    def test_one_that_names_our_token_goes_before_it(self, world: World) -> None:
        self.lose(world, missing={"count": 5, "billed": True})
        sender = new_sender(world)
        batch_id = sender.submit()
        world.finish()
        assert [world.provider.find(sender.intent, frozenset()) for _ in range(4)] == [(batch_id,)] * 4

    def test_a_copy_of_the_run_is_told_of_it_and_waits_no_longer(self, world: World) -> None:
        sender = self.lose(world, missing={"count": 5, "billed": True})
        (batch,) = world.batches()
        wanted = {sender.intent.token: 5}
        seen = [world.provider.sightings(wanted, {}, sender.intent.created_at) for _ in range(3)]
        assert [batch["id"] in one.unread.get(5, frozenset()) for one in seen] == [True, True, False]
        assert [batch["id"] in one.nameless.get(5, frozenset()) for one in seen] == [False, False, True]
