"""The emulator's account can have a queue with limits and a speed: what is over them is refused as the service refuses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.emulator_process import Emulator, running
from tests.wire.test_openai_sdk import create, lines, make_client

openai = pytest.importorskip("openai")
TOKENS = 8
"""Prompt tokens of one of these requests: `Question of r0: what is it?` has 27 characters, and there is no system prompt."""


def state(client: Any, batch: Any) -> tuple[str, str | None]:
    found = client.batches.retrieve(batch.id)
    return found.status, found.errors.data[0].code if found.errors is not None else None


def served(folder: Path, **queue: Any) -> Any:
    return running(folder, model={"queue": queue})


def advance(emu: Emulator, hours: float) -> None:
    emu.advance(hours * 3600)


def test_a_batch_over_the_models_tokens_fails_once_it_was_accepted_and_another_models_does_not(tmp_path: Path) -> None:
    with served(tmp_path, enqueued_tokens={"gpt-test": 5 * TOKENS}, batch_seconds=600) as emu, make_client(emu) as client:
        first, second = create(client, lines(3)), create(client, lines(3))
        other = create(client, lines(3).replace(b"gpt-test", b"gpt-other"))
        emu.advance(120)
        assert [state(client, one)[0] for one in (first, second, other)] == ["in_progress", "failed", "in_progress"]
        assert state(client, second) == ("failed", "token_limit_exceeded")
        emu.advance(600)
        again = create(client, lines(3))  # the first has ended
        emu.advance(120)
        assert state(client, again)[0] == "in_progress"


def test_batches_of_a_model_are_worked_off_one_behind_the_other(tmp_path: Path) -> None:
    with served(tmp_path, tokens_per_hour=3 * TOKENS, batch_seconds=60) as emu, make_client(emu) as client:
        batches = [create(client, lines(3)) for _ in range(3)]
        for n_ended in range(4):
            assert [state(client, one)[0] for one in batches].count("completed") == n_ended
            advance(emu, 1.001)


def test_the_hours_batches_are_counted(tmp_path: Path) -> None:
    with served(tmp_path, creates_per_hour=2) as emu, make_client(emu) as client:
        create(client, lines(1))
        advance(emu, 0.5)
        create(client, lines(1))
        with pytest.raises(openai.RateLimitError, match="last hour"):
            create(client, lines(1))
        advance(emu, 0.51)
        create(client, lines(1))
