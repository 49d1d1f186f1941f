"""A damaged snapshot is never read as what it does not say."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batchtrial.errors import ManifestCorrupt
from batchtrial.state.files import Checkpoint, PhaseRecord, RunState, load, save

STATE = RunState(
    run_id="r1",
    config_hash="ab12",
    run_nonce="00ff00ff00ff00ff",
    ledger_lines=7,
    overrides={"temps": [0.7], "mode": "dry_run"},
    phases={"build": PhaseRecord(status="completed", updated_at=datetime(2026, 1, 1, tzinfo=UTC))},
    last_checkpoint=Checkpoint(phase="build", timestamp=datetime(2026, 1, 1, tzinfo=UTC)),
)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    save(tmp_path / "s.json", STATE)
    assert load(RunState, tmp_path / "s.json") == STATE


def test_a_flipped_bit_in_any_byte_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    save(path, STATE)
    whole = path.read_bytes()
    n_harmless = 0
    random_bit = random.Random(3)
    for place in range(len(whole)):
        bit = random_bit.randrange(8)
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        with suppress(ManifestCorrupt):
            assert load(RunState, path) == STATE, f"bit {bit} of byte {place} reads as something else"
            n_harmless += 1
    assert n_harmless < len(whole) / 2  # spaces that became other white space


def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    save(path, STATE)
    whole = path.read_bytes().rstrip()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(ManifestCorrupt):
            load(RunState, path)


def test_a_reformatted_file_is_the_same_and_an_edited_one_must_drop_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    save(path, STATE)
    tree = json.loads(path.read_bytes())
    path.write_text(json.dumps(tree, sort_keys=True))
    assert load(RunState, path) == STATE
    tree["ledger_lines"] = 8
    path.write_text(json.dumps(tree))
    with pytest.raises(ManifestCorrupt, match="checksum"):
        load(RunState, path)
    del tree["check"]
    path.write_text(json.dumps(tree))
    assert load(RunState, path) == STATE.model_copy(update={"ledger_lines": 8})
