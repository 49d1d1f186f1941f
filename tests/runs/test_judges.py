"""A run with judges: what they say is bought once, is no claim without labels, and is corrected by labels when there are some."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from tests.crash.inprocess import InProcess
from tests.crash.lab import RUN_ID, Lab, World

from batchtrial.app.tables import tables_of
from batchtrial.cli.commands import repair
from batchtrial.config.judges import JudgeSpec, ready_rubric
from batchtrial.config.settings import Text
from batchtrial.phases.build.sent import fits_what_was_sent
from batchtrial.phases.prepare.items import load_prepared
from batchtrial.providers.base import Setup
from batchtrial.providers.registry import adapter_of
from batchtrial.reading import pages
from batchtrial.reading.config import config_of_run
from batchtrial.reading.drawn import drawn
from batchtrial.reading.view import view_of
from batchtrial.run.growth import purchases
from batchtrial.state.files import PreparedManifest, load
from batchtrial.state.labels import Label, append_label
from batchtrial.state.ledger import fold, money
from batchtrial.state.store import read_json

N = 60
RUBRIC = {"path": "factual", "text": ready_rubric("factual")}
JUDGES: list[dict[str, Any]] = [
    {"name": "better", "kind": "pairwise", "rubric": RUBRIC, "max_tokens": 64},
    {"name": "right", "kind": "yes_no", "rubric": RUBRIC, "max_tokens": 64},
]
SETTINGS: dict[str, Any] = {
    "judges": JUDGES,
    "submission": {"lines_per_part": 50},
    "stats": {"permutation_samples": 999, "primary": {"metric": "better", "kind": "all", "goal": "superiority"}},
    "simulation": {"judge": {"right": 1.0}, "treatment": {"right": 0.95, "unanswerable_abstain": 0.95}, "control": {"right": 0.2}},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lab = Lab(tmp_path_factory.mktemp("judged"), provider="openai", n_items=N, settings=SETTINGS, provider_of=InProcess, has_twin=False)
    found = lab.world("one")
    assert found.start() == 0
    yield found
    found.close()


def told(world: World) -> dict[str, Any]:
    (path,) = world.layout.root.glob("*/results/significance.json")
    return dict(read_json(path))


def primary(record: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in record["tests"] if one["family"] == "primary")


def test_without_labels_a_judge_prefers_and_claims_nothing(world: World) -> None:
    one = primary(told(world))
    assert one["metric"] == "better"
    assert one["estimate"]["ci_low"] > 0
    assert (one["verdict"], one["is_claim"]) == ("not decidable", False)
    assert "the judge better prefers" in one["sentence"]
    assert "no labels say how far it is right" in one["sentence"]
    (report,) = world.layout.root.glob("*/reports/report.md")
    assert "Can the judges be believed?" in report.read_text()


def test_what_the_judges_cost_stands_beside_the_arms_and_both_make_up_the_bill(world: World) -> None:
    (path,) = world.layout.root.glob("*/results/costs.json")
    costs = read_json(path)
    assert set(costs["judges"]["by_judge"]) == {one["name"] for one in JUDGES}
    whole = money(fold(world.ledger().entries).values()).as_json()["usd_at_least"]
    assert costs["judges"]["usd_at_least"] > 0
    assert costs["usd_at_least"] + costs["judges"]["usd_at_least"] == pytest.approx(whole, abs=2e-8)
    assert sum(one["usd_at_least"] for one in costs["judges"]["by_judge"].values()) == pytest.approx(costs["judges"]["usd_at_least"], abs=2e-8)
    report = (path.parents[1] / "reports/report.md").read_text()
    assert f"The judges besides, for all trials of the run: {costs['judges']['cost']}." in " ".join(report.split())
    assert "judge better" in report


def test_the_viewer_is_told_how_far_each_judge_may_be_believed(world: World) -> None:
    with tables_of(world.layout) as tables:
        (trial,) = pages.about(tables)["trials"]
    assert [one["title"].partition(":")[0] for one in trial["judges"]] == ["better", "right"]
    assert {"verdicts that flip with the order", "position bias"} <= {row[0] for row in trial["judges"][0]["rows"]}
    assert any("no labels" in text for text in trial["judges"][0]["remarks"])


def test_equal_answers_are_ties_that_nobody_is_asked_about(world: World) -> None:
    asked, said = pl.read_parquet(world.layout.asked), pl.read_parquet(world.layout.judgements)
    ties = asked.filter(pl.col("why") == "identical")
    assert ties.height > 0
    assert ties["item_hash"].null_count() == ties.height
    assert said.filter(pl.col("state") == "judged").height == said.height
    assert said.group_by("judge", "item_hash", "sample").len()["len"].max() == 1
    assert told(world)["judges"][0]["counts"]["identical"] == ties.height


def test_labels_of_items_that_somebody_chose_correct_nothing(world: World) -> None:
    """Only where the judge prefers the treatment was looked, so that people seem to prefer it too."""
    rows = pl.read_parquet(world.layout.items, columns=["item_key"])["item_key"].to_list()
    for place, key in enumerate(rows[5:45]):
        label = Label(id=f"chosen{place}", who="eve", item_key=key, trial=_slug(world), verdict="better", is_blind=True)
        append_label(world.layout.labels, label)
    assert world.resume() == 0
    record = told(world)
    one, judge = primary(record), record["judges"][0]
    assert (one["is_claim"], judge["is_corrected"], judge["n_labels"], judge["labels_aside"]["not_drawn"]) == (False, False, 0, 40)
    (report,) = world.layout.root.glob("*/reports/report.md")
    assert "40 labels do not correct it: in the seeded order an item before them has none" in report.read_text()
    world.layout.labels.unlink()
    assert world.resume() == 0


def test_labels_of_other_answers_correct_nothing(world: World) -> None:
    """Such as those of a run with another prompt, whose items and trial have the same names."""
    for place, item in enumerate(load_prepared(world.layout)[:40]):
        label = Label(id=f"other{place}", who="ada", item_key=item.key, trial=_slug(world), verdict="worse", is_blind=True, about="0123456789abcdef")
        append_label(world.layout.labels, label)
    assert world.resume() == 0
    one, judge = primary(told(world)), told(world)["judges"][0]
    assert (one["is_claim"], judge["is_corrected"], judge["n_labels"], judge["labels_aside"]["other_answers"]) == (False, False, 0, 40)
    (report,) = world.layout.root.glob("*/reports/report.md")
    assert "40 labels are about other answers than the run has now: they do not correct it." in report.read_text()
    world.layout.labels.unlink()
    assert world.resume() == 0


def test_labels_correct_it_and_let_it_claim_and_buy_nothing(world: World) -> None:
    """People who see what is right, as the simulated judge does."""
    before = world.bill()["answered_requests"]
    table = pl.read_parquet(next(world.layout.root.glob("prepared/items.parquet")), columns=["item_key"])
    scores = {c: _right(world, c) for c in ("control", "treatment")}
    slug = _slug(world)
    with tables_of(world.layout) as tables:
        marks = {one.key: one.mark for one in drawn(tables, tables.pairs(slug, 0.0))}
    for place, key in enumerate(table["item_key"].to_list()[:50]):
        d = scores["treatment"][key] - scores["control"][key]
        verdict: Literal["better", "worse", "same"] = "better" if d > 0 else "worse" if d < 0 else "same"
        label = Label(id=f"l{place}", who="ada", item_key=key, trial=slug, verdict=verdict, is_blind=True, about=marks.get(key, ""))
        append_label(world.layout.labels, label)
    assert world.resume() == 0
    record = told(world)
    one, judge = primary(record), record["judges"][0]
    assert one["estimate"]["method"].startswith("ppi")
    assert (one["verdict"], one["is_claim"]) == ("superior", True)
    assert (judge["is_corrected"], judge["n_labels"]) == (True, 50)
    assert f"| {one['label']}, corrected by labels |" in next(world.layout.root.glob("*/reports/report.md")).read_text()
    assert judge["numbers"]["agrees_with_people"]["value"] == pytest.approx(1.0)
    assert world.bill()["answered_requests"] == before


def test_labels_that_come_once_the_corrected_difference_is_known_make_no_claim_of_it(world: World) -> None:
    """Nor do those of people who knew whose answer it was count at all."""
    keys, slug = pl.read_parquet(world.layout.items, columns=["item_key"])["item_key"].to_list(), _slug(world)
    first = primary(told(world))["estimate"]
    append_label(world.layout.labels, Label(id="seen", who="ada", item_key=keys[55], trial=slug, verdict="worse"))
    append_label(world.layout.labels, Label(id="x", who="ada", item_key=keys[56], trial=slug, verdict="cannot", is_blind=True))
    assert world.resume() == 0
    one, judge = primary(told(world)), told(world)["judges"][0]
    assert (one["estimate"], one["is_claim"]) == (first, True)
    assert judge["labels_aside"] == {"not_blind": 1, "cannot": 1, "other_answers": 0, "not_drawn": 0}
    append_label(world.layout.labels, Label(id="late", who="ada", item_key=keys[50], trial=slug, verdict="worse", is_blind=True))
    assert world.resume() == 0
    one, judge = primary(told(world)), told(world)["judges"][0]
    assert (one["standing"], one["is_claim"], judge["n_labels"]) == ("exploratory", False, 51)
    assert one["sentence"].startswith("Exploratory, labels came or changed after its corrected difference had been shown: ")
    (report,) = world.layout.root.glob("*/reports/report.md")
    assert "with 50 labelled items, and is now one of 51. To go on labelling once it is known is optional stopping" in report.read_text()
    append_label(world.layout.labels, Label(id="undo", who="ada", undo="late"))
    assert world.resume() == 0
    assert primary(told(world))["is_claim"]


def _slug(world: World) -> str:
    (path,) = world.layout.root.glob("*/results/significance.json")
    return path.parent.parent.name


def _right(world: World, condition: str) -> dict[str, float]:
    (path,) = world.layout.root.glob("*/results/per_item_scores.csv")
    rows = pl.read_csv(path).filter(pl.col("condition") == condition)
    right = {row["item_key"]: row for row in rows.iter_rows(named=True)}
    texts = {row["item_id"]: row["response_text"] for row in _answers(world, condition)}
    return {key: float(_holds(texts[key.partition("|")[2]], row["reference"])) for key, row in right.items()}


def _answers(world: World, condition: str) -> list[dict[str, Any]]:
    (path,) = world.layout.root.glob("*/results/predictions.csv")
    return pl.read_csv(path).filter(pl.col("condition") == condition).to_dicts()


def _holds(text: str, reference: str | None) -> bool:
    from batchtrial.emulator.answers.judging import holds
    from batchtrial.emulator.answers.modelfile import ModelFile

    return holds(text, [] if reference is None else reference.split(" | "), ModelFile().abstentions)


def test_a_run_that_goes_on_buys_no_judgement_again(world: World) -> None:
    before = json.dumps(world.bill()["answered_requests"])
    assert world.resume() == 0
    assert json.dumps(world.bill()["answered_requests"]) == before


def test_a_lost_ledger_is_rebuilt_with_the_judges_parts_and_nothing_is_bought_again(world: World) -> None:
    before, parts = world.bill()["answered_requests"], set(fold(world.ledger().entries))
    world.layout.ledger.unlink()
    assert repair.main(["--run_id", RUN_ID, "--experiments_dir", str(world.experiments)]) == 0
    assert set(fold(world.ledger().entries)) == parts
    assert world.resume() == 0
    assert world.bill()["answered_requests"] == before


def test_the_items_are_still_those_that_were_sent_whatever_the_judges_were_asked(world: World) -> None:
    """Else a run with judges could not grow, and its items could not be prepared again."""
    config, items = config_of_run(world.layout), load_prepared(world.layout)
    prepared = load(PreparedManifest, world.layout.prepared_manifest)
    assert prepared is not None
    codec = adapter_of("openai", Setup())
    assert fits_what_was_sent(config, codec, items, prepared.sha256, fold(world.ledger().entries))
    assert not fits_what_was_sent(config, codec, items[1:], prepared.sha256, fold(world.ledger().entries))


def test_a_further_judge_is_priced_before_it_is_asked(world: World) -> None:
    codec = adapter_of("openai", Setup())
    view = view_of(world.experiments, RUN_ID, lambda *_: codec.limits)
    tone = JudgeSpec(name="tone", rubric=Text(path="tone", text=ready_rubric("tone")))
    bought = {one.arm: one for one in purchases(view, view.config.model_copy(update={"judges": (*view.config.judges, tone)}), codec)}
    asked = pl.read_parquet(world.layout.judgements).filter(pl.col("judge") == "right").height
    assert 0 < asked < 2 * N, "equal answers to a question are judged once"
    assert bought["judge tone"].requests == asked
    assert bought["judge tone"].usd
    assert bought["judge right"].requests < 2 * N
    assert all(one.requests == 0 for name, one in bought.items() if not name.startswith("judge "))


def test_a_comma_in_a_rubric_is_priced_before_it_is_asked(world: World) -> None:
    """Another judge under the same name: the parts of the one before are no parts about items."""
    codec = adapter_of("openai", Setup())
    view = view_of(world.experiments, RUN_ID, lambda *_: codec.limits)
    better, right = view.config.judges
    other = right.model_copy(update={"rubric": Text(path="factual", text=right.rubric.text.replace(" ", ", ", 1))})
    bought = {one.arm: one for one in purchases(view, view.config.model_copy(update={"judges": (better, other)}), codec)}
    asked = pl.read_parquet(world.layout.judgements).filter(pl.col("judge") == "right").height
    assert (bought["judge right"].requests, bought["judge better"].requests) == (asked, 0)
    assert bought["judge right"].usd


def test_where_the_second_wave_lies(world: World) -> None:
    files = {path.relative_to(world.layout.root).as_posix() for path in Path(world.layout.root).rglob("judgements*")}
    assert {"judgements", "judgements/judgements.parquet", "batch_inputs/judgements_index.csv"} <= files
