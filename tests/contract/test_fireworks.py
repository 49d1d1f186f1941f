"""What only Fireworks has: datasets that must be ready, two ways to upload, and ids that somebody else may have taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.wires import KEY, WIRES, World
from tests.emulator_process import Emulator

from batchtrial.errors import ConfigError, NotFound, ProviderError
from batchtrial.providers.base import BatchState
from batchtrial.providers.fireworks.adapter import FireworksProvider, FireworksSettings
from batchtrial.providers.fireworks.names import checked_url, is_result_file

BY_URL = {"upload_bytes": 10}


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    wire = WIRES["fireworks"]
    provider = wire.make(emulator, KEY, {})
    emulator.remove_faults()
    yield World(wire, emulator, provider, tmp_path)
    emulator.remove_faults()
    provider.close()


def sdk(world: World) -> Any:
    """The official client alone, to lay things in the adapter's way."""
    fireworks = pytest.importorskip("fireworks")
    return fireworks.Fireworks(api_key=KEY, account_id="acct", base_url=world.emu.fireworks_base_url, max_retries=0)


def test_a_large_file_goes_to_its_signed_url(world: World) -> None:
    world.provider = world.wire.make(world.emu, KEY, BY_URL)
    before = world.n_calls("put_signed")
    batch_id = world.submit(6)
    world.finish()
    assert world.n_calls("put_signed") == before + 1
    assert world.provider.check(batch_id).state is BatchState.COMPLETED
    assert len(list(world.provider.fetch(batch_id))) == 6
    world.provider.close()


@pytest.mark.parametrize("op", ["dataset_create", "get_upload_endpoint", "put_signed", "validate_upload", "dataset_get"])
@pytest.mark.parametrize("do", [{"close_after_commit": True}, {"close_before_commit": True}, {"status": 500}])
def test_a_large_upload_interrupted_anywhere_is_taken_up_again(world: World, op: str, do: dict[str, Any]) -> None:
    world.provider = world.wire.make(world.emu, KEY, BY_URL)
    payload = world.payload(world.requests(4))
    intent = world.intent(payload)
    world.fault(op, do, on=[1])
    with pytest.raises(ProviderError) as caught:
        world.provider.submit(intent, payload, lambda file_id: None)
    assert caught.value.retryable
    batch_id = world.provider.submit(intent, payload, lambda file_id: None)
    world.finish()
    assert len(list(world.provider.fetch(batch_id))) == 4
    world.provider.close()


def test_a_dataset_that_was_uploaded_before_the_crash_is_not_uploaded_again(world: World) -> None:
    payload = world.payload(world.requests(4))
    intent = world.intent(payload)
    world.fault("create", {"status": 400}, on=[1])
    with pytest.raises(ProviderError):
        world.provider.submit(intent, payload, lambda file_id: None)
    before = world.n_calls("upload")
    world.provider.submit(intent, payload, lambda file_id: None)
    assert world.n_calls("upload") == before


def test_a_dataset_of_this_name_with_other_contents_is_refused(world: World) -> None:
    payload = world.payload(world.requests(4))
    intent = world.intent(payload)
    with sdk(world) as client:
        client.datasets.create(dataset_id=f"bt-{intent.token}-in", dataset={"user_uploaded": {}, "example_count": "9"})
    with pytest.raises(ProviderError) as caught:
        world.provider.submit(intent, payload, lambda file_id: None)
    assert not caught.value.retryable
    assert "other contents" in caught.value.what


def test_a_job_of_this_name_that_reads_another_dataset_is_not_adopted(world: World) -> None:
    payload = world.payload(world.requests(4))
    intent = world.intent(payload)
    with sdk(world) as client:
        client.datasets.create(dataset_id=f"other-{intent.token}", dataset={"user_uploaded": {}, "example_count": "4"})
        client.datasets.upload(f"other-{intent.token}", file=("x.jsonl", payload.read_bytes()))
        client.batch_inference_jobs.create(
            batch_inference_job_id=f"bt-{intent.token}",
            model=world.wire.model,
            input_dataset_id=f"accounts/acct/datasets/other-{intent.token}",
        )
    for verb in (lambda: world.provider.submit(intent, payload, lambda file_id: None), lambda: world.provider.find(intent, frozenset())):
        with pytest.raises(ProviderError) as caught:
            verb()
        assert not caught.value.retryable


def test_a_job_of_ours_that_was_deleted_is_not_waited_for_under_its_name(world: World) -> None:
    payload = world.payload(world.requests(4))
    intent = world.intent(payload)
    batch_id = world.provider.submit(intent, payload, lambda file_id: None)
    world.finish()
    with sdk(world) as client:
        client.batch_inference_jobs.delete(batch_id)
    world.finish()
    assert world.provider.find(intent, frozenset()) == ()
    # The folder may be a backup from before it was sent: the name is taken, so the part was sent, and what it asked is gone.
    assert world.provider.submit(intent, payload, lambda file_id: None) == batch_id
    with pytest.raises(NotFound):
        world.provider.check(batch_id)


def test_an_answer_that_names_another_job_is_no_receipt(world: World) -> None:
    with pytest.raises(NotFound):
        world.provider.check("bt-nobody")


def test_completed_without_its_dataset_is_a_loss_not_an_empty_result(world: World) -> None:
    batch_id = world.submit(2)
    world.finish()
    world.fault("get_download_endpoint", {"status": 404})
    with pytest.raises(NotFound):
        list(world.provider.fetch(batch_id))


def test_no_account_id_is_a_config_error() -> None:
    provider = FireworksProvider(FireworksSettings(account_id=""), KEY)
    with pytest.raises(ConfigError) as caught:
        provider.check("bt-x")
    assert "FIREWORKS_ACCOUNT_ID" in caught.value.hint


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "//127.0.0.1/x"])
def test_a_signed_url_that_leads_elsewhere_in_the_open_is_refused(url: str) -> None:
    with pytest.raises(ProviderError):
        checked_url(url)


@pytest.mark.parametrize("url", ["https://storage.example.com/x?sig=1", "http://127.0.0.1:9/x", "http://localhost/x"])
def test_a_signed_url_over_https_or_on_this_machine_is_followed(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("dataset/x/BIJOutputSet.jsonl", True), ("dataset/x/error-data", True), ("dataset/x/part-2.jsonl", True), ("dataset/x/README", False)],
)
def test_result_and_error_files_are_told_from_others(name: str, is_one: bool) -> None:
    assert is_result_file(name) is is_one
