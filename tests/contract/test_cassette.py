"""What was recorded from a provider plays back as that provider, on every wire."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.test_states import STATES, state_of
from tests.contract.wires import KEY, World, only

from batchtrial.errors import Ambiguous, ConfigDrift, ConfigError, ManifestCorrupt, StateError
from batchtrial.providers.base import BatchState, BatchStatus, Intent
from batchtrial.providers.recordings.cassette import Recorder, Replay
from batchtrial.records import AnswerState


def record(world: World, folder: Path, n: int = 5) -> tuple[Intent, Path, str]:
    """One batch through a recorder, to its end; the intent, the payload and the batch's id."""
    recorder = Recorder(world.provider, folder)
    payload = world.payload(world.requests(n))
    intent = world.intent(payload)
    batch_id = recorder.submit(intent, payload, lambda file_id: None)
    assert recorder.check(batch_id).state is BatchState.RUNNING
    world.finish()
    assert recorder.check(batch_id).state.is_terminal
    list(recorder.fetch(batch_id))
    recorder.close()
    return intent, payload, batch_id


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def play(replay: Replay, intent: Intent, payload: Path) -> tuple[BatchStatus, list[bytes]]:
    batch_id = replay.submit(replace(intent, token="f" * 16, file_id=None), payload, lambda file_id: None)
    return replay.check(batch_id), list(replay.fetch(batch_id))


def test_a_replay_answers_what_the_provider_answered(world: World, tmp_path: Path) -> None:
    intent, payload, batch_id = record(world, tmp_path / "tape")
    want = world.provider.check(batch_id), list(world.provider.fetch(batch_id))
    calls = world.emu.calls()
    replay = Replay(tmp_path / "tape")
    assert (replay.name, replay.limits) == (world.provider.name, world.provider.limits)
    assert play(replay, intent, payload) == want
    assert world.emu.calls() == calls
    assert b"".join(map(replay.encode, world.requests(5))) == payload.read_bytes()
    assert [replay.decode(line).outcome for line in want[1]] == ["succeeded"] * 5


@pytest.mark.parametrize(
    ("do", "mode"),
    [
        ({}, "none"),
        ({"expire_after": 0.5}, "expired"),
        ({"rows": {"missing": 1}}, "partial"),
        ({"cancelled_half_way": 0.5}, "partial"),
    ],
)
def test_how_a_batch_ended_is_part_of_the_recording(world: World, tmp_path: Path, do: dict[str, object], mode: str) -> None:
    if do:
        world.fault("create", do)
    intent, payload, batch_id = record(world, tmp_path / "tape")
    assert f'"failure_mode": "{mode}"' in (tmp_path / "tape" / "metadata.json").read_text()
    assert play(Replay(tmp_path / "tape"), intent, payload) == (world.provider.check(batch_id), list(world.provider.fetch(batch_id)))


@pytest.mark.parametrize("form", STATES)
def test_an_answer_that_is_none_is_none_in_the_replay(world: World, tmp_path: Path, form: str) -> None:
    """Cut off, refused, withheld, a tool's call: the recording tells the same state, text and use of tokens, and is no failure of the batch."""
    world.fault("create", {"rows": {"answers": {"count": 2, "form": form}}})
    intent, payload, batch_id = record(world, tmp_path / "tape")
    status, lines = play(Replay(tmp_path / "tape"), intent, payload)
    assert '"failure_mode": "none"' in (tmp_path / "tape" / "metadata.json").read_text()
    assert (status, lines) == (world.provider.check(batch_id), list(world.provider.fetch(batch_id)))
    live = [world.provider.decode(line) for line in lines]
    assert [Replay(tmp_path / "tape").decode(line) for line in lines] == live
    assert {one.state for one in live} == {AnswerState.COMPLETE, state_of(world, form)}


@only("fireworks", "openai")
def test_a_refusal_of_the_whole_batch_is_part_of_the_recording(world: World, tmp_path: Path) -> None:
    """Anthropic validates row by row: no batch fails as a whole."""
    world.fault("create", {"validation_failure": "line 1 is wrong"})
    intent, payload, batch_id = record(world, tmp_path / "tape")
    assert '"failure_mode": "validation"' in (tmp_path / "tape" / "metadata.json").read_text()
    assert play(Replay(tmp_path / "tape"), intent, payload) == (world.provider.check(batch_id), [])


def test_a_recording_from_a_zip_is_the_same(world: World, tmp_path: Path) -> None:
    intent, payload, _ = record(world, tmp_path / "tape")
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "tape"))
    nested = Path(shutil.make_archive(str(tmp_path / "nested"), "zip", tmp_path, "tape"))
    before = files(tmp_path)
    want = play(Replay(tmp_path / "tape"), intent, payload)
    assert play(Replay(packed), intent, payload) == want
    assert play(Replay(nested), intent, payload) == want
    assert files(tmp_path) == before


def test_the_same_traffic_gives_the_same_bytes(world: World, tmp_path: Path) -> None:
    intent, payload, batch_id = record(world, tmp_path / "one")
    again = Recorder(world.provider, tmp_path / "two")
    assert again.find(replace(intent, file_id=None), frozenset()) == (batch_id,)
    shutil.copytree(tmp_path / "one" / "requests", tmp_path / "two" / "requests", dirs_exist_ok=True)
    again.check(batch_id)
    list(again.fetch(batch_id))
    again.close()
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert payload.exists()


def test_neither_key_nor_token_is_on_the_recording(world: World, tmp_path: Path) -> None:
    intent, _, _ = record(world, tmp_path / "tape")
    for name, content in files(tmp_path / "tape").items():
        assert KEY.encode() not in content, name
        if world.wire.provider != "fireworks":  # whose job ids are made of the token
            assert intent.token.encode() not in content, name


def test_a_recording_goes_on_after_a_crash_between_accept_and_receipt(world: World, tmp_path: Path) -> None:
    payload = world.payload(world.requests(5))
    intent = world.intent(payload)
    names: list[str] = []
    world.fault("create", {"close_after_commit": True}, on=[1])
    with pytest.raises(Ambiguous):
        Recorder(world.provider, tmp_path / "tape").submit(intent, payload, names.append)
    world.finish()
    resumed = Recorder(world.provider, tmp_path / "tape")
    (batch_id,) = resumed.find(replace(intent, file_id=names[0] if names else None), frozenset())
    resumed.check(batch_id)
    lines = list(resumed.fetch(batch_id))
    resumed.close()
    assert play(Replay(tmp_path / "tape"), intent, payload)[1] == lines


def test_a_changed_prompt_is_refused_with_its_first_difference(world: World, tmp_path: Path) -> None:
    intent, _, _ = record(world, tmp_path / "tape")
    changed = world.payload(world.requests(5, system="Answer in two words."), "changed.jsonl")
    with pytest.raises(ConfigDrift) as caught:
        play(Replay(tmp_path / "tape"), intent, changed)
    assert "request 1" in caught.value.what
    assert world.requests(1)[0].custom_id in caught.value.where
    assert "Answer in one word." in caught.value.where
    assert "Answer in two words." in caught.value.where


def test_the_first_request_that_differs_is_the_one_that_is_named(world: World, tmp_path: Path) -> None:
    intent, payload, _ = record(world, tmp_path / "tape")
    requests = world.requests(5)
    changed = world.payload([*requests[:3], replace(requests[3], max_tokens=65), replace(requests[4], max_tokens=66)], "changed.jsonl")
    with pytest.raises(ConfigDrift) as caught:
        play(Replay(tmp_path / "tape"), intent, changed)
    assert "request 4" in caught.value.what
    assert requests[3].custom_id in caught.value.where
    assert "64 -> 65" in caught.value.where
    assert payload.exists()


def test_another_item_is_told_as_one_that_was_never_recorded(world: World, tmp_path: Path) -> None:
    intent, _, _ = record(world, tmp_path / "tape")
    more = world.payload(world.requests(6), "more.jsonl")
    with pytest.raises(ConfigDrift) as caught:
        play(Replay(tmp_path / "tape"), intent, more)
    assert "request 6" in caught.value.what
    assert "no request for this item" in caught.value.where


def test_the_same_requests_in_other_parts_are_refused_as_such(world: World, tmp_path: Path) -> None:
    intent, payload, _ = record(world, tmp_path / "tape")
    fewer = world.payload(world.requests(4), "fewer.jsonl")
    for given, attempt in ((fewer, 1), (payload, 2)):
        with pytest.raises(StateError) as caught:
            play(Replay(tmp_path / "tape"), replace(intent, attempt=attempt), given)
        assert not isinstance(caught.value, ConfigDrift)


def test_changed_or_cut_results_are_noticed(world: World, tmp_path: Path) -> None:
    intent, payload, _ = record(world, tmp_path / "tape")
    (results,) = (tmp_path / "tape" / "results").iterdir()
    results.write_bytes(b"".join(results.read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(ManifestCorrupt):
        play(Replay(tmp_path / "tape"), intent, payload)


def test_lost_results_are_not_an_empty_success(world: World, tmp_path: Path) -> None:
    intent, payload, _ = record(world, tmp_path / "tape")
    shutil.rmtree(tmp_path / "tape" / "results")
    with pytest.raises(ManifestCorrupt, match="no results of this batch"):
        play(Replay(tmp_path / "tape"), intent, payload)


def test_a_folder_with_another_providers_recording_is_refused(world: World, tmp_path: Path) -> None:
    record(world, tmp_path / "tape")
    other = next(wire for wire in ("fireworks", "openai") if wire != world.wire.speaks)
    text = (tmp_path / "tape" / "metadata.json").read_text().replace(f'"{world.wire.speaks}"', f'"{other}"')
    (tmp_path / "tape" / "metadata.json").write_text(text)
    with pytest.raises(ConfigError):
        Recorder(world.provider, tmp_path / "tape")
    with pytest.raises(ConfigError):
        Replay(tmp_path / "tape", codec=world.provider)


def test_a_zip_with_a_line_that_breaks_the_format_is_refused_as_a_whole(world: World, tmp_path: Path) -> None:
    record(world, tmp_path / "tape")
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "tape"))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("results/other.jsonl", b'{"custom_id":"a\xff"}\n')
    with pytest.raises(ConfigError) as caught:
        Replay(packed)
    assert "UTF-8" in caught.value.what
