"""stats: the declared comparison is made as declared, on pairs of items, and no sentence says more than the plan allows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.world import Answer, World, closed_items, open_items, text_of, world

from batchtrial.config.expand import TrialArm
from batchtrial.phases.analyse import stats
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.score import phase as score
from batchtrial.stats import benjamini_hochberg, holm, mcnemar_midp, tango

EM = {"metric": "em", "kind": "all"}


def no_constant(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def significance(w: World) -> dict[str, Any]:
    for phase in (parse.phase, score.phase, stats.phase):
        w.run(phase)
    return dict(json.loads(w.layout.trial(w.trial.slug).significance.read_bytes(), parse_constant=no_constant))


def by_share(control: float, treatment: float) -> Answer:
    """Every item whose number, reduced to two digits, is below the arm's share of a hundred is right."""

    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        number = int(item_id[1:])
        share = treatment if arm.condition == "treatment" else control
        is_right = number * 37 % 100 < 100 * share
        return (f"answer {number}" if dataset == "reading" else f"thing {number}") if is_right else "something else"

    return answer


def run(tmp_path: Path, answer: Answer, *, n: int = 200, opened: int = 0, **changes: Any) -> dict[str, Any]:
    with world(tmp_path, opened=open_items(opened, unanswerable_every=3) if opened else (), closed=closed_items(n), **changes) as w:
        w.answer_all(answer)
        return significance(w)


def primary(found: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in found["tests"] if one["standing"] == "primary")


def test_the_declared_share_of_lost_answers_is_the_one_that_has_to_be_survived(tmp_path: Path) -> None:
    """The treatment gains 20 of 200 items and loses the answers to 20 others."""

    def lossy(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        if arm.condition == "treatment" and int(item_id[1:]) % 10 == 3:
            return None
        return by_share(0.5, 0.6)(arm, dataset, item_id, sample)

    found = {}
    for name, missing in (("all", {}), ("a tenth", {"share": 0.1})):
        found[name] = primary(run(tmp_path / name, lossy, stats={"primary": EM, "missing": missing}))
    assert [one["lost_at_worst"]["share"] for one in found.values()] == [1.0, 0.1]
    assert [one["verdict"] for one in found.values()] == ["not decided", "superior"]


def test_items_that_both_arms_lost_are_lost_pairs_of_every_metric_that_they_may_have_had(tmp_path: Path) -> None:
    """Twenty of sixty questions have no right answer: `exact` is for the others, `false_answer` for them."""

    def lossy(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        return None if int(item_id[1:]) % 10 in (3, 6) else by_share(0.5, 0.7)(arm, dataset, item_id, sample)

    with world(tmp_path, opened=open_items(60, unanswerable_every=3), closed=closed_items(20), metrics=["exact", "words"]) as w:
        w.answer_all(lossy)
        tests = significance(w)["tests"]
    whole = {one["metric"]: one for one in tests if one["kind"] == ("open" if one["metric"] == "false_answer" else "all") and one["dataset"] is None}
    for metric, n_items, n_lost in (("em", 80, 16), ("words", 80, 16), ("exact", 60, 12), ("false_answer", 20, 4)):
        one = whole[metric]
        assert (one["pairs"]["n"], one["pairs"]["dropped"]) == (n_items - n_lost, n_lost), metric
        assert one["lost_at_worst"]["n_lost"] == n_lost, metric


def test_right_or_wrong_answers_get_tango_and_mid_p(tmp_path: Path) -> None:
    one = primary(run(tmp_path, by_share(0.5, 0.6), stats={"primary": EM}))
    counts = one["counts"]
    assert (counts["both_right"], counts["treatment_only"], counts["control_only"], counts["both_wrong"]) == (100, 20, 0, 80)
    want, p = tango(20, 0, 200), mcnemar_midp(20, 0)
    assert (one["estimate"]["method"], one["test"]["method"]) == ("tango", "mcnemar_midp")
    assert one["estimate"]["value"] == pytest.approx(0.1)
    assert (one["estimate"]["ci_low"], one["estimate"]["ci_high"]) == (want.ci_low, want.ci_high)
    assert one["p_raw"] == p.p_value
    assert one["arms"]["control"]["value"] == 0.5


@pytest.mark.parametrize(
    ("shares", "endpoint", "verdict", "words"),
    [
        ((0.5, 0.6), EM, "superior", "the treatment is superior to the control on exact match"),
        ((0.6, 0.5), EM, "inferior", "the treatment is inferior to the control on exact match"),
        ((0.50, 0.50), EM, "inconclusive", "the data do not settle whether the arms differ"),
        ((0.60, 0.60), EM | {"margin": 0.05, "goal": "noninferiority"}, "non-inferior", "is non-inferior to the control"),
        ((0.60, 0.50), EM | {"margin": 0.05, "goal": "noninferiority"}, "inferior", "points to the treatment being worse"),
        ((0.60, 0.60), EM | {"margin": 0.05, "goal": "equivalence"}, "equivalent", "are equivalent on exact match"),
        ((0.60, 0.57), EM | {"margin": 0.04, "goal": "noninferiority"}, "inferior", "did not reach its declared goal"),
    ],
)
def test_the_verdict_and_its_sentence(tmp_path: Path, shares: tuple[float, float], endpoint: dict[str, Any], verdict: str, words: str) -> None:
    found = run(tmp_path, by_share(*shares), n=600, stats={"primary": endpoint})
    assert primary(found)["verdict"] == verdict
    assert found["headline"]["verdict"] == verdict
    assert words in found["headline"]["sentence"]
    assert found["plan"]["followed"] is True


def test_the_blocks_speak_of_the_difference_also_when_a_margin_decides(tmp_path: Path) -> None:
    found = run(tmp_path, by_share(0.6, 0.57), n=600, stats={"primary": EM | {"margin": 0.2, "goal": "noninferiority"}})
    one = primary(found)
    assert (one["decided_by"], one["p_raw"]) == ("margin", one["margin"]["p_value"])
    assert one["test"]["p_value"] > one["margin"]["p_value"]
    block = next(block for block in found["results"]["0.0"].values() if "em" in block.get("metrics", {}))
    assert block["metrics"]["em"]["p_value"] == one["test"]["p_value"]
    assert block["metrics"]["em"]["q_value"] != one["p_adjusted"]


def test_swapping_the_arms_turns_the_sign_and_keeps_p(tmp_path: Path) -> None:
    there = run(tmp_path / "a", by_share(0.5, 0.63), opened=60)
    back = run(tmp_path / "b", by_share(0.63, 0.5), opened=60)
    assert [one["name"] for one in there["tests"]] == [one["name"] for one in back["tests"]]
    for one, other in zip(there["tests"], back["tests"], strict=True):
        assert one["estimate"]["value"] == pytest.approx(-other["estimate"]["value"], abs=1e-12), one["name"]
        assert one["test"]["p_value"] == pytest.approx(other["test"]["p_value"], rel=1e-9), one["name"]


def test_lost_pairs_are_dropped_and_told_by_arm(tmp_path: Path) -> None:
    def lossy(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        lost = {"control": ("c1", "c2"), "treatment": tuple(f"c{i}" for i in range(2, 40))}
        return None if item_id in lost[arm.condition] else by_share(0.5, 0.6)(arm, dataset, item_id, sample)

    one = primary(run(tmp_path, lossy, stats={"primary": EM}))
    assert (one["pairs"]["n"], one["pairs"]["dropped"]) == (161, 39)
    assert (one["pairs"]["only_control_missing"], one["pairs"]["only_treatment_missing"], one["pairs"]["both_missing"]) == (1, 37, 1)
    assert one["pairs"]["p_missing"] < 1e-6
    assert any("more pairs were lost to the treatment" in text for text in one["warnings"])
    assert sum(one["counts"].values()) == 161


def test_samples_are_averaged_and_items_are_the_unit(tmp_path: Path) -> None:
    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        number = int(item_id[1:])
        return f"thing {number}" if (number + sample) % 5 < (3 if arm.condition == "treatment" else 2) else "no"

    one = primary(run(tmp_path, answer, n=50, samples_per_item=5, stats={"primary": EM}))
    assert one["pairs"]["n"] == 50
    assert one["estimate"]["method"] == "effective_tango"
    assert one["estimate"]["value"] == pytest.approx(0.2)
    assert "counts" not in one
    # The same share in every item: all variance is answer noise, of which five samples leave a fifth.
    assert one["design_effect"] == pytest.approx(0.2 * 1.03**2)


@pytest.mark.parametrize(("clusters", "n_clusters", "method"), [("auto", 10, "effective_tango"), ("off", None, "tango")])
def test_items_of_one_passage_are_not_taken_as_independent(tmp_path: Path, clusters: str, n_clusters: int | None, method: str) -> None:
    def by_passage(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        number = int(item_id[1:])
        is_right = number // 6 % 2 == 0 or (arm.condition == "treatment" and number // 6 in (1, 3))
        return f"answer {number}" if is_right else "no"

    with world(tmp_path, opened=open_items(60, per_passage=6), stats={"primary": EM, "clusters": clusters}) as w:
        w.answer_all(by_passage)
        found = significance(w)
    one, block = primary(found), found["results"]["0.0"]["all"]
    assert one["n_clusters"] == n_clusters
    assert one["estimate"]["method"] == method
    assert one["estimate"]["value"] == pytest.approx(0.2)
    if n_clusters:
        # Two of ten passages changed: 60 independent items would give 12 changes all one way.
        assert one["design_effect"] > 5
        assert one["p_raw"] > 0.1
        assert (block["mcnemar"]["p_exact"], block["mcnemar"]["p_midp"], block["mcnemar"]["odds_ratio"]) == (None, None, None)
        assert "would ignore that" in block["mcnemar"]["reason"]
    else:
        assert one["p_raw"] < 0.001
        assert block["mcnemar"]["p_midp"] == one["p_raw"]
    # What stands beside the comparison takes items as independent, and says so where they are not.
    assert block["metrics"]["em"].get("secondary_ignores_clusters", False) is bool(n_clusters)
    assert all(block["metrics"]["em"][name].get("ignores_clusters", False) is bool(n_clusters) for name in ("wilcoxon", "cohens_dz"))


def test_families_are_corrected_as_declared(tmp_path: Path) -> None:
    declared = {"primary": EM, "confirmatory": [{"metric": "false_answer", "kind": "open"}, {"metric": "abstained", "kind": "all"}]}

    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        number = int(item_id[1:])
        if number % 7 == 0 and arm.condition == "treatment":
            return "I don't know."
        return by_share(0.4, 0.6)(arm, dataset, item_id, sample)

    found = run(tmp_path, answer, n=90, opened=90, stats=declared)
    tests = found["tests"]
    confirmatory = [one for one in tests if one["standing"] == "confirmatory"]
    assert [one["metric"] for one in confirmatory] == ["false_answer", "abstained"]
    assert [one["p_adjusted"] for one in confirmatory] == list(holm([one["p_raw"] for one in confirmatory]))
    for family in {one["family"] for one in tests} - {"primary", "confirmatory"}:
        members = [one for one in tests if one["family"] == family]
        assert [one["p_adjusted"] for one in members] == list(benjamini_hochberg([one["p_raw"] for one in members])), family
        assert {one["standing"] for one in members} <= {"exploratory", "undeclared"}
        assert not any(one["is_claim"] for one in members)
    names = [one["name"] for one in tests]
    assert len(set(names)) == len(names)


def test_nothing_is_claimed_behind_a_primary_endpoint_that_failed(tmp_path: Path) -> None:
    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        number = int(item_id[1:])
        return "I don't know." if arm.condition == "treatment" and number % 2 else "something else"

    found = run(tmp_path, answer, stats={"primary": EM, "confirmatory": [{"metric": "abstained", "kind": "all"}]})
    second = next(one for one in found["tests"] if one["standing"] == "confirmatory")
    assert found["headline"]["verdict"] == "inconclusive"
    assert second["p_adjusted"] < 1e-6
    assert second["is_claim"] is False
    assert "supports no claim by itself" in second["sentence"]


@pytest.mark.parametrize(("alpha", "verdict", "is_claim"), [(0.05, "non-inferior", True), (0.001, "inconclusive", False)])
def test_alpha_reaches_the_margin_and_its_interval(tmp_path: Path, alpha: float, verdict: str, is_claim: bool) -> None:
    one = primary(run(tmp_path, by_share(0.6, 0.61), n=300, stats={"primary": EM | {"margin": 0.02}, "alpha": alpha}))
    assert (one["verdict"], one["is_claim"], one["margin"]["alpha"]) == (verdict, is_claim, pytest.approx(alpha / 2))
    assert one["estimate"]["level"] == 1 - alpha
    assert (one["estimate"]["ci_low"] > -0.02) is is_claim


def test_trials_of_a_run_share_alpha_and_name_each_other(tmp_path: Path) -> None:
    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        number = int(item_id[1:])
        return f"thing {number}" if 8 < number < 100 or (arm.prompt.system.text == "first" and number <= 5) else "no"

    def system(text: str) -> dict[str, Any]:
        return {"system": {"path": "p.txt", "text": text}}

    sets = {name: {"control": system("Answer."), "treatment": system(name)} for name in ("first", "second")}
    with world(tmp_path, closed=closed_items(150), prompt_sets=sets, sweep={"prompt_sets": list(sets)}, stats={"primary": EM}) as w:
        w.answer_all(answer)
        significance(w)
        found = {trial.slug: json.loads(w.view.trial_layout(trial).significance.read_bytes()) for trial in w.view.trials}
    (slug, first), (other, second) = found.items()
    raw = primary(first)["p_raw"]
    assert 0.01 < raw < 0.025
    assert (first["run"]["share"], second["run"]["share"]) == (0.5, 1.0)
    assert (primary(first)["p_adjusted"], primary(first)["is_claim"]) == (2 * raw, True)
    assert [one["trial"] for one in first["run"]["others"]] == [other]
    assert second["run"]["others"] == [{"trial": slug, "verdict": "superior", "is_claim": True, "p_adjusted": 2 * raw}]


def test_a_declared_endpoint_that_cannot_be_analysed_breaks_the_plan(tmp_path: Path) -> None:
    """The question sets have it, the few items of this run do not."""
    plan = {"primary": EM, "confirmatory": [{"metric": "unsupported", "kind": "open"}]}
    with world(tmp_path, opened=open_items(1), closed=closed_items(200), limit_items=60, stats=plan) as w:
        w.answer_all(by_share(0.5, 0.6))
        found = significance(w)
    assert found["plan"]["missing"] == ["unsupported/open/t0"]
    assert found["plan"]["followed"] is False
    assert "did not follow" in found["plan"]["statement"]


def test_the_plan_is_hashed_from_the_declaration_alone(tmp_path: Path) -> None:
    hashes = {
        name: run(tmp_path / name, by_share(*shares), n=30, stats={"primary": endpoint})["plan"]["hash"]
        for name, shares, endpoint in (
            ("one", (0.5, 0.6), EM),
            ("other data", (0.2, 0.9), EM),
            ("other plan", (0.5, 0.6), EM | {"margin": 0.02}),
        )
    }
    assert hashes["one"] == hashes["other data"] != hashes["other plan"]


def everything_lost(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
    return None


def one_arm_lost(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
    return None if arm.condition == "control" else f"thing {item_id[1:]}"


def one_answer_left(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
    return f"thing {item_id[1:]}" if item_id == "c0" else None


def all_the_same(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
    return f"thing {item_id[1:]}"


@pytest.mark.parametrize("answer", [everything_lost, one_arm_lost, one_answer_left, all_the_same])
def test_degenerate_runs_give_reasons_and_not_errors(tmp_path: Path, answer: Callable[[TrialArm, str, str, int], str | None]) -> None:
    found = run(tmp_path, answer, n=40, opened=20)
    assert found["schema_version"] == 2
    for one in found["tests"]:
        for record in (one["estimate"], one["test"]):
            values = [record[name] for name in ("value", "ci_low", "ci_high", "p_value") if name in record]
            assert None not in values or record["reason"], one["name"]
    if found["headline"] is not None:
        assert found["headline"]["verdict"] in ("undefined", "inconclusive")


def test_a_single_arm_is_not_compared(tmp_path: Path) -> None:
    found = run(tmp_path, by_share(0.5, 0.5), conditions=["treatment"])
    assert found["tests"] == []
    assert "one arm only" in found["reason"]


def test_every_temperature_is_compared_and_the_first_one_is_the_declared(tmp_path: Path) -> None:
    found = run(tmp_path, by_share(0.5, 0.6), n=40, temps=[0.7, 0.0])
    assert primary(found)["temp"] == 0.7
    assert {one["temp"] for one in found["tests"]} == {0.7, 0.0}
    assert sorted(found["results"]) == ["0.0", "0.7"]


def test_the_same_scores_give_the_same_bytes(tmp_path: Path) -> None:
    seen = []
    for run_id in ("one", "two"):
        with world(tmp_path / run_id, opened=open_items(60, per_passage=4), closed=closed_items(40), run_id=run_id) as w:
            w.answer_all(by_share(0.5, 0.6))
            significance(w)
            seen.append(w.layout.trial(w.trial.slug).significance.read_bytes())
    assert seen[0] == seen[1]


def _same(item_id: str) -> str:
    return f"thing {item_id[1:]}"


@pytest.mark.parametrize("goal", [{}, {"margin": 0.05}, {"margin": 0.05, "goal": "equivalence"}])
@pytest.mark.parametrize("k", [1, 3])
def test_an_arm_compared_with_itself_shows_nothing(tmp_path: Path, goal: dict[str, Any], k: int) -> None:
    """Answers that were asked once differ in nothing: no interval, no test, and least of all non-inferior or equivalent."""
    one = {"system": text_of("c", "Be brief.")}
    changes: dict[str, Any] = {"prompt_sets": {"default": {"control": one, "treatment": one}}, "samples_per_item": k}
    confirmatory = [{"metric": "f1", "kind": "all", "margin": 0.05}]
    with world(tmp_path, closed=closed_items(300), stats={"primary": {**EM, **goal}, "confirmatory": confirmatory}, **changes) as w:
        assert len({arm.name for arm in w.trial.arms}) == 1
        w.answer_all(lambda arm, dataset, item_id, sample: _same(item_id))
        found = significance(w)
    assert {one["verdict"] for one in found["tests"]} <= {"not decidable", "undefined"}
    assert [one for one in found["tests"] if one["is_claim"] or one["p_raw"] is not None or one["estimate"]["ci_low"] is not None] == []
    assert "control and treatment are the same arm" in found["headline"]["sentence"]


def test_that_few_items_changed_is_said_once(tmp_path: Path) -> None:
    for name, share, said in (("few", 0.52, "only 4 items changed: read with care"), ("none", 0.5, "no item changed: the arms agree on every item")):
        found = run(tmp_path / name, by_share(0.5, share), n=200, stats={"primary": EM})
        assert [warning for warning in primary(found)["warnings"] if "changed" in warning] == [said]
