"""A create that is refused for want of room leaves its input at the provider: it is not sent up again for every try, which would fill the account."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.memory import Trouble
from tests.unit.rig import Rig


@pytest.mark.parametrize(
    ("troubles", "n_more"),
    [
        (["full"] * 5, 0),
        (["full"] * 4 + ["file gone"], 1),
        (["full"] * 4 + ["lost before"], 1),
        (["full"] * 4 + ["lost after"], 0),
        (["down"] * 3, 0),
    ],
)
def test_the_input_of_a_create_that_was_refused_for_now_is_used_again(tmp_path: Path, troubles: list[Trouble | None], n_more: int) -> None:
    rig = Rig(tmp_path, settings={"max_concurrent_jobs": 1})
    rig.memory.on_submit.extend(troubles)
    rig.run()
    assert rig.memory.n_uploads == len(rig.memory.batches) + n_more == len(rig.parts()) + n_more
    assert {len(batch.rows) for batch in rig.memory.batches.values()} == {2}
