"""Whether items are those that were asked about is told by the requests that were sent, and by nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.rig import Rig

from batchtrial.phases.build.sent import fits_what_was_sent
from batchtrial.phases.prepare.items import load_prepared
from batchtrial.phases.prepare.phase import Prepared
from batchtrial.records import Item
from batchtrial.state.ledger import PartRecord


def fits(rig: Rig, items: tuple[Item, ...], parts: dict[str, PartRecord] | None = None) -> bool:
    sha256 = Prepared(items=items, sources={}).sha256
    return fits_what_was_sent(rig.config(), rig.memory, items, sha256, rig.parts() if parts is None else parts)


@pytest.mark.parametrize("form", [1, 2])
def test_the_items_that_were_asked_about_fit_and_others_do_not(form: int, tmp_path: Path) -> None:
    rig = Rig(tmp_path, n_items=5, changes={"arm_form": form})
    rig.run()
    items = load_prepared(rig.layout)
    assert fits(rig, items)
    assert not fits(rig, items[:-1])
    for place in range(5):
        changed = replace(items[place], question=items[place].question + "?")
        assert not fits(rig, (*items[:place], changed, *items[place + 1 :])), "each item is in some part that was sent"


def test_a_part_that_never_arrived_proves_nothing_and_one_without_its_fingerprint_refuses(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.run()
    items, parts = load_prepared(rig.layout), dict(rig.parts())
    other = (replace(items[0], question="Another?"), *items[1:])

    def with_attempts(**changes: Any) -> dict[str, PartRecord]:
        return {name: replace(part, attempts=tuple(msgspec.structs.replace(a, **changes) for a in part.attempts)) for name, part in parts.items()}

    assert fits(rig, other, with_attempts(is_lost=True)), "nothing was sent"
    assert not fits(rig, items, with_attempts(payload_sha256=""))
    assert not fits(rig, items, {"gone-t0-0123456789ab_p01": parts[rig.names()[0]]}), "a part of another arm"
