"""The bench of the statistics says what it compared with what."""

from __future__ import annotations

import pytest

from batchtrial.selftest.bench import speed


def test_the_bench_of_the_statistics_prints_its_three_ratios(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(speed, "N", 2_000)
    assert speed.main() == 0
    printed = capsys.readouterr().out
    assert "interval + p + 10,000-replicate bootstrap" in printed
    assert "extrapolated from 20 replicates" in printed or "SciPy is not installed" in printed
    assert "scores: interval + p + bootstrap" in printed
