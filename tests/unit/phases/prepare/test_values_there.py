"""Items whose references do not fit a metric are told of before anything is sent; a metric that fits none of them is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchtrial.config.load import load
from batchtrial.errors import ConfigError
from batchtrial.phases.prepare import phase as prepare

ROWS = [
    {"id": "t1", "body": "one", "category": "billing", "reply": "Sorry."},
    {"id": "t2", "body": "two", "category": "account", "reply": " "},
    {"id": "t3", "body": "three", "category": "shipping"},
]


def notes(folder: Path, *metrics: Any) -> tuple[str, ...]:
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "a.txt").write_text("A")
    (folder / "b.txt").write_text("B")
    tree = {
        "backend": "openai",
        "model_id": "gpt-4.1",
        "datasets": [{"name": "t", "source": "file", "path": str(folder / "t.jsonl"), "fields": {"answers": "category"}}],
        "task": {"user": "{{ body }}"},
        "prompt_sets": {"p": {"control": "a.txt", "treatment": "b.txt"}},
        "metrics": list(metrics),
    }
    (folder / "trial.yaml").write_text(json.dumps(tree))
    return tuple(prepare.notes(prepare.choose(load(folder / "trial.yaml").config).sources))


def test_items_that_a_metric_leaves_out_are_counted_and_one_is_shown(tmp_path: Path) -> None:
    said = notes(
        tmp_path, {"choice": {"labels": ["billing", "shipping"]}}, {"rouge_l": {"reference": "reply"}}, "words", {"contains": {"any": ["x"]}}
    )
    assert [one for one in said if "without a value" in one] == [
        "t: metrics without a value for some items, which they leave out: "
        "choice for 1 of 3 (t2 has the reference 'account'), rouge_l for 2 of 3 (t2 has no reference)"
    ]
    assert not any("without a value" in one for one in notes(tmp_path, {"choice": {"labels": ["billing", "shipping", "account"]}}, "exact"))


@pytest.mark.parametrize("metric", [{"choice": {"labels": ["Refunds", "Other"]}}, "numeric", "json_fields", {"choice": {"letters": "ABCD"}}])
def test_a_metric_that_no_reference_fits_is_refused(metric: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has a value for no item") as caught:
        notes(tmp_path, metric)
    assert "t1 has the reference 'billing'" in str(caught.value)
