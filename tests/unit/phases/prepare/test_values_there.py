"""Items whose references do not fit a metric are told of before anything is sent; a metric that fits none of them is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchtrial.config.load import load
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.phases.analyse.declared import analysis_plan
from batchtrial.phases.prepare import phase as prepare
from batchtrial.phases.prepare.endpoints import check_endpoints

ROWS = [
    {"id": "t1", "body": "one", "category": "billing", "reply": "Sorry."},
    {"id": "t2", "body": "two", "category": "account", "reply": " "},
    {"id": "t3", "body": "three", "category": "shipping"},
]


def config_of(folder: Path, *metrics: Any, **settings: Any) -> Config:
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
        **settings,
    }
    (folder / "trial.yaml").write_text(json.dumps(tree))
    return load(folder / "trial.yaml").config


def notes(folder: Path, *metrics: Any) -> tuple[str, ...]:
    return tuple(prepare.notes(prepare.choose(config_of(folder, *metrics)).sources))


def test_items_that_a_metric_leaves_out_are_counted_and_one_is_shown(tmp_path: Path) -> None:
    said = notes(
        tmp_path, {"choice": {"labels": ["billing", "shipping"]}}, {"rouge_l": {"reference": "reply"}}, "words", {"contains": {"any": ["x"]}}
    )
    assert [one for one in said if "without a value" in one] == [
        "t: metrics without a value for some items, which they leave out: "
        "choice for 1 of 3 (t2 has the reference 'account'), rouge_l for 2 of 3 (t2 has no reference)"
    ]
    assert not any("without a value" in one for one in notes(tmp_path, {"choice": {"labels": ["billing", "shipping", "account"]}}, "exact"))


def test_a_label_that_is_spelt_another_way_in_the_items_is_proposed(tmp_path: Path) -> None:
    (said,) = (one for one in notes(tmp_path, {"choice": {"labels": ["Billing", "Shipping", "accounts"]}}) if "without a value" in one)
    assert said.endswith("choice for 1 of 3 (t2 has the reference 'account'; did you mean 'accounts'?)")


@pytest.mark.parametrize("metric", [{"choice": {"labels": ["Refunds", "Other"]}}, "numeric", "json_fields", {"choice": {"letters": "ABCD"}}])
def test_a_metric_that_no_reference_fits_is_refused(metric: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has a value for no item") as caught:
        notes(tmp_path, metric)
    assert "t1 has the reference 'billing'" in str(caught.value)


ORDERS = [
    {"name": "Ada", "city": {"zip": "69001"}, "total": 4},
    {"name": "Bo", "city": {"zip": "80-001"}},
    {"name": "Carla", "city": {"zip": "21119"}, "total": 7},
]


def about_fields(folder: Path, *fields: str) -> tuple[str, ...]:
    """What is said of a metric of these fields of the orders."""
    config = config_of(folder, {"json_fields": {"fields": list(fields), "reference": "order", "name": "right"}})
    rows = ({**row, "order": order} for row, order in zip(ROWS, ORDERS, strict=True))
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tuple(one for one in prepare.notes(prepare.choose(config).sources) if "without a value" in one)


def test_a_field_that_some_references_lack_is_counted_and_one_of_them_is_shown(tmp_path: Path) -> None:
    (said,) = about_fields(tmp_path, "name", "city.zip", "total")
    assert "leave out: right.total for 1 of 3 (t2 has the reference" in said
    assert not about_fields(tmp_path, "name", "city.zip")


@pytest.mark.parametrize(
    ("field", "hint"), [("nme", "did you mean 'name'?"), ("city.zpi", "did you mean 'city.zip'?"), ("iban", "the fields are name, city, city.zip")]
)
def test_a_field_that_no_reference_has_is_refused_and_the_nearest_is_named(field: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"the metric right.{field} has a value for no item: no reference has that field") as caught:
        about_fields(tmp_path, "total", "name", field)
    assert caught.value.where == "metrics.right.fields"
    assert hint in str(caught.value)


@pytest.mark.parametrize("goal", ["noninferiority", "equivalence"])
@pytest.mark.parametrize(("metric", "is_there"), [("words", True), ("grader", True), ("jury", True), ("exact", False), ("yes", False), ("em", False)])
def test_a_margin_is_in_the_unit_of_its_metric_and_a_share_has_none_above_one(metric: str, is_there: bool, goal: str, tmp_path: Path) -> None:
    (tmp_path / "rubric.txt").write_text("Is it polite?")
    judges = [{"name": "grader", "kind": "score", "rubric": "rubric.txt"}, {"name": "yes", "kind": "yes_no", "rubric": "rubric.txt"}]
    panels = [{"name": "jury", "judges": ["grader", "second"], "by": "mean"}]
    judges.append({**judges[0], "name": "second", "model": "gpt-4.1-mini"})
    stats = {"primary": {"metric": metric, "goal": goal, "margin": 5}}
    config = config_of(tmp_path, "words", "exact", stats=stats, judges=judges, panels=panels)
    chosen = prepare.choose(config)
    if is_there:
        check_endpoints(config, chosen.whole, chosen.sources)
        assert analysis_plan(config, 0.0).primary is not None
        return
    with pytest.raises(ConfigError, match="no two shares differ by more than the margin of 5") as caught:
        check_endpoints(config, chosen.whole, chosen.sources)
    assert caught.value.where == "stats.primary.margin"


@pytest.mark.parametrize("scale", ["count", "grade", "share", None])
def test_a_wide_margin_of_ones_own_metric_needs_its_scale(scale: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"wide_{scale}"
    (tmp_path / f"{name}.py").write_text("def marks(item, text): return 1\n" + (f"marks.scale = {scale!r}\n" if scale else ""))
    monkeypatch.syspath_prepend(tmp_path)
    config = config_of(tmp_path, f"{name}:marks", stats={"primary": {"metric": "marks", "margin": 2}})
    chosen = prepare.choose(config)
    if scale in ("count", "grade"):
        check_endpoints(config, chosen.whole, chosen.sources)
    else:
        with pytest.raises(ConfigError, match="no declared count or grade"):
            check_endpoints(config, chosen.whole, chosen.sources)
