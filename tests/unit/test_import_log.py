"""Logs of other programs: items are paired by what was asked, numbers are the house's own, and a damaged log is named by its line."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from batchtrial.cli.commands.import_log import main
from batchtrial.errors import DataError
from batchtrial.importing.logs import read_log
from batchtrial.importing.paired_logs import paired_logs
from batchtrial.stats import tango


def sample(number: int, score: Any, **changes: Any) -> dict[str, Any]:
    """A line as lm-evaluation-harness writes it."""
    return {
        "doc_id": number,
        "doc": {"question": f"What is thing {number}?"},
        "target": f"thing {number}",
        "arguments": {"gen_args_0": {"arg_0": f"Question: What is thing {number}?"}},
        "resps": [["thing"]],
        "filtered_resps": ["thing"],
        "filter": "strict-match",
        "metrics": ["exact_match"],
        "doc_hash": f"{number:064x}",
        "prompt_hash": "0" * 64,
        "target_hash": "0" * 64,
        "exact_match": score,
        **changes,
    }


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def logs(tmp_path: Path) -> tuple[Path, Path]:
    draw = random.Random(5)
    scores = [(float(draw.random() < 0.5), float(draw.random() < 0.7)) for _ in range(80)]
    a = [sample(number, before) for number, (before, _) in enumerate(scores)]
    b = [sample(number, after) for number, (_, after) in enumerate(scores)]
    b[3]["doc_hash"] = "another"
    further = [sample(90, 1.0), *(sample(n, 1.0, filter="flexible") for n in range(70))]
    name = "samples_gsm8k_2026-11-20T10-00-00.123456.jsonl"
    return written(tmp_path / "model_a" / name, a), written(tmp_path / "model_b" / name, [*b[:70], *further])


def test_items_are_paired_by_what_was_asked(logs: tuple[Path, Path]) -> None:
    found = paired_logs(read_log(logs[0].parent), read_log(logs[1]))
    assert (len(found.keys), found.n_other, found.n_only) == (69, 1, (10, 1))
    assert list(found.found) == ["exact_match,strict-match"]
    before, after = found.scores["exact_match,strict-match"]
    wins, losses = int(np.sum(after > before)), int(np.sum(after < before))
    one, q = found.found["exact_match,strict-match"]
    want = tango(wins, losses, 69)
    assert (one.estimate.value, one.estimate.ci_low, one.estimate.ci_high) == pytest.approx((want.value, want.ci_low, want.ci_high))
    assert q == one.test.p_value
    assert found.control.name == "model_a"


def test_it_is_told_in_lines_as_json_and_as_pairs(logs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(logs[0]), str(logs[1]), "--parquet", str(tmp_path / "pairs.parquet")]) == 0
    told = capsys.readouterr().out
    assert "69 items in both; 1 item left out, whose questions differ; 10 only in the control's log, 1 only in the treatment's" in told
    assert "exact_match,strict-match" in told
    pairs = pl.read_parquet(tmp_path / "pairs.parquet")
    assert main([str(logs[0]), str(logs[1]), "--json"]) == 0
    one = json.loads(capsys.readouterr().out)["metrics"]["exact_match,strict-match"]
    assert one["pairs"] == pairs.height == 69
    difference = pairs.select(pl.col("exact_match,strict-match_b") - pl.col("exact_match,strict-match_a")).to_series().mean()
    assert one["difference"] == pytest.approx(difference)


def test_a_score_that_is_missing_is_a_lost_pair(tmp_path: Path) -> None:
    name = "samples_gsm8k_2026-11-20T10-00-00.1.jsonl"
    a = written(tmp_path / "a" / name, [sample(n, float(n % 2)) for n in range(40)])
    b = written(tmp_path / "b" / name, [sample(n, None if n < 4 else 1.0) for n in range(40)])
    one = paired_logs(read_log(a), read_log(b)).found["exact_match,strict-match"][0]
    assert (one.missing.n_pairs, one.missing.dropped, one.estimate.value) == (36, 4, 0.5)


def test_a_number_that_no_float_holds_is_no_score_and_a_mark_of_the_bytes_no_damage(tmp_path: Path) -> None:
    a = written(tmp_path / "a.jsonl", [sample(n, float(n % 2)) for n in range(20)])
    b = written(tmp_path / "b.jsonl", [sample(n, 10**400 if n < 3 else 1.0) for n in range(20)])
    b.write_bytes(b"\xef\xbb\xbf" + b.read_bytes())
    one = paired_logs(read_log(a), read_log(b)).found["exact_match,strict-match"][0]
    assert (one.missing.n_pairs, one.missing.dropped) == (17, 3)


def test_files_that_somebody_renamed_are_about_the_same_items(tmp_path: Path) -> None:
    before, after = (written(tmp_path / name, [sample(n, float(n % 2)) for n in range(10)]) for name in ("before.jsonl", "after.jsonl"))
    assert len(paired_logs(read_log(before), read_log(after)).keys) == 10


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("{", "the line is no JSON"),
        ('{"a": 1}', "it has no doc_id"),
        ("[" * 100_000, "no JSON"),
        ('{"doc_id": [1]}', "it has no doc_id"),
        ("\xff", "no JSON"),
        ('{"doc_id": 1, "metrics": 5}', "`metrics` is no list of names"),
        ('{"doc_id": 1, "metrics": [["acc"]]}', "`metrics` is no list of names"),
        (json.dumps(sample(0, 0.0)), "the sample 0 is there already"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, what: str) -> None:
    path = written(tmp_path / "x.jsonl", [sample(0, 1.0)])
    path.write_bytes(path.read_bytes() + f"{line}\n".encode("latin-1"))
    with pytest.raises(DataError, match=what) as caught:
        read_log(path)
    assert caught.value.where.endswith("x.jsonl, line 2")


def test_what_cannot_be_compared_is_refused(logs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = written(tmp_path / "samples_gsm8k_2026-11-20T11-00-00.1.jsonl", [sample(n, 1.0, doc_hash="x") for n in range(5)])
    again = written(tmp_path / "samples_gsm8k_2026-11-20T12-00-00.1.jsonl", [sample(n, 1.0) for n in range(5)])
    for given, what in (
        ([str(logs[0]), str(other)], "5 items have the same id and other questions"),
        ([str(logs[0]), str(tmp_path / "none.jsonl")], "there is no log"),
        ([str(logs[0]), str(logs[1]), "--metric", "bleu"], "no metric in common"),
        ([str(logs[0]), str(again.parent)], "several"),
        ([str(logs[0]), str(logs[1]), "--parquet", str(tmp_path / "no" / "x")], "there is no folder"),
    ):
        assert main(given) == 2
        assert what in capsys.readouterr().err


def test_inspect_s_logs_want_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    (tmp_path / "log.json").write_text("{}")
    assert main([str(tmp_path / "log.json"), str(tmp_path / "log.json")]) == 2
    assert "batchtrial[inspect]" in capsys.readouterr().err
