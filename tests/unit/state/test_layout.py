"""Where files lie: an arm's folder is inside the run whatever the arm is called."""

from pathlib import Path

import pytest

from batchtrial.errors import StateError
from batchtrial.state.layout import RunLayout


def test_the_tables_of_an_arm_lie_in_a_folder_of_its_name(tmp_path: Path) -> None:
    layout = RunLayout(tmp_path)
    arm = layout.arm("mini-strength_2_t0_treatment")
    assert arm.root == layout.arms / "mini-strength_2_t0_treatment"
    assert (arm.answers.name, arm.scores.name) == ("answers.parquet", "scores.parquet")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", "x" * 300])
def test_no_arm_has_its_folder_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(StateError):
        RunLayout(tmp_path).arm(name)
