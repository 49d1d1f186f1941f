"""Numbers do not depend on how many processors a machine has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SUM = "import {first}, numpy as np; d = np.sin(np.arange(200_000.0)); print(float(d @ d).hex())"


@pytest.mark.parametrize(
    "command",
    ["batchtrial.cli.commands.run", "batchtrial.cli.commands.analyze", "batchtrial.cli.commands.compare", "batchtrial.cli.commands.plan_trial"],
)
def test_a_long_sum_is_the_same_with_any_number_of_threads(command: str) -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", SUM.format(first=command)],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "5")
    }
    assert len(found) == 1
