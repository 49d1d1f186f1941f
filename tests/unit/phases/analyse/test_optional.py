"""optional: off costs nothing, on writes each analysis once; and what the files say follows from the scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.unit.phases.world import World, closed_items, open_items, world

from batchtrial.cli.commands import analyze
from batchtrial.config.expand import TrialArm
from batchtrial.config.model import Endpoint
from batchtrial.phases.analyse import costs, optional, stats
from batchtrial.phases.analyse.analyses import analysis, material
from batchtrial.phases.analyse.paired import Paired
from batchtrial.phases.analyse.planned_power import n_trials_of, power_of_pairs
from batchtrial.phases.analyse.significance import significance
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.report import phase as report
from batchtrial.phases.report.across_trials import correction_across_trials, joint_interval
from batchtrial.phases.score import phase as score
from batchtrial.run.options import Options
from batchtrial.run.plan import plan
from batchtrial.state.layout import RunLayout
from batchtrial.stats import max_t, tango

ALL = dict.fromkeys(("unsupported_sensitivity", "mixed_effects", "power_analysis", "cost_effectiveness", "subgroups"), True)
FILES = {"unsupported_sensitivity", "mixed_models", "power_analysis", "cost_effectiveness", "subgroups"}
BEFORE = (parse.phase, score.phase, stats.phase, costs.phase)


def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
    """Right for 50 of a hundred items under the control, for 70 under the treatment; wrong answers are words of the passage or strange ones."""
    number = int(item_id[1:])
    is_right = (number * 37 + 11 * sample) % 100 < (70 if arm.condition == "treatment" else 50)
    wrong = "quartz zebra" if number % 3 else "a while"
    return (f"answer {number}" if dataset == "reading" else f"thing {number}") if is_right else wrong


def finished(w: World) -> dict[str, Any]:
    """Every phase run; the files of the analyses by name."""
    w.answer_all(answer)
    for phase in (*BEFORE, optional.phase, report.phase):
        w.run(phase)
    layout = w.view.trial_layout(w.trial)
    return {name: json.loads(path.read_bytes(), parse_constant=refuse) for name in FILES if (path := layout.results / f"{name}.json").exists()}


def refuse(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


def test_switched_off_it_is_off_with_the_reason_and_the_run_is_complete_without_it(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(20)) as w:
        assert finished(w) == {}
        step = next(one for one in plan(Options(), w.view) if one.phase.name == "optional")
        assert (step.action, step.verdict.status) == ("off", "off")
        assert "switched on" in step.verdict.reason
        assert report.phase.verdict(w.view).is_done
        assert "Further analyses" not in w.view.trial_layout(w.trial).report_md.read_text()


def test_forcing_does_not_switch_it_on(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(20)) as w:
        finished(w)
        step = next(one for one in plan(Options(remake=True), w.view) if one.phase.name == "optional")
        assert step.action == "off"


def test_switched_on_every_analysis_has_its_file_and_its_place_in_the_report(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(60, unanswerable_every=3), closed=closed_items(60), optional=ALL) as w:
        assert set(finished(w)) == FILES
        record = w.view.stages[w.trial.slug, "optional"]
        assert set(record.artifacts) == {f"{name}.json" for name in FILES}
        assert optional.phase.verdict(w.view).is_done
        text = w.view.trial_layout(w.trial).report_md.read_text()
        for title in ("threshold of unsupported", "Mixed-effects", "can see", "Cost per point", "Subgroups"):
            assert title in text


def test_report_waits_for_it_and_a_lost_file_is_made_again_in_the_same_bytes(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(30), closed=closed_items(30), optional=ALL) as w:
        w.answer_all(answer)
        for phase in BEFORE:
            w.run(phase)
        assert report.phase.verdict(w.view).needs == "optional"
        w.run(optional.phase)
        path = w.view.trial_layout(w.trial).analysis("subgroups")
        before = path.read_bytes()
        path.unlink()
        assert optional.phase.verdict(w.view).status == "stale"
        w.run(optional.phase)
        assert path.read_bytes() == before


def dearer(heads: tuple[bytes, ...], lines: list[bytes]) -> list[bytes]:
    """The lines, those of the arms with these heads with twice the tokens of an answer."""
    made = []
    for line in lines:
        one = json.loads(line)
        usage = (one.get("response") or {}).get("usage")
        if usage is not None and one["custom_id"].encode().startswith(heads):
            usage["completion_tokens"] *= 2
        made.append(json.dumps(one).encode() + b"\n")
    return made


def lossy(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
    """The treatment loses the last tenth of the answers, and its others are as long as the control's."""
    return None if arm.condition == "treatment" and int(item_id[1:]) >= 90 else answer(arm, dataset, item_id, sample)


def test_answers_that_the_treatment_lost_make_it_no_cheaper_and_a_gain_that_they_could_explain_has_no_price(tmp_path: Path) -> None:
    """The arms' bills differ by what was never answered: set against the gain, it was told as a saving, or as dollars per point."""
    found = {}
    for name, said in (("whole", answer), ("lossy", lossy)):
        with world(tmp_path / name, closed=closed_items(100), optional={"cost_effectiveness": True}) as w:
            heads = tuple(arm.id_head.encode() for arm in w.trial.arms if arm.condition == "treatment")
            w.answer_all(said, order=partial(dearer, heads))
            for phase in (*BEFORE, optional.phase):
                w.run(phase)
            layout = w.view.trial_layout(w.trial)
            found[name] = json.loads((layout.results / "cost_effectiveness.json").read_bytes())["results"]["0.0"]
    whole, lost = found["whole"], found["lossy"]
    assert whole["usd_diff"] == pytest.approx(whole["usd_treatment"] - whole["usd_control"])
    assert whole["usd_per_1pp_gain_em"] == pytest.approx(whole["usd_diff"] / 20.0)
    assert lost["usd_treatment"] < whole["usd_treatment"]
    assert lost["usd_diff"] > 0.0
    assert lost["usd_diff"] == pytest.approx(whole["usd_diff"], rel=0.05)
    assert lost["usd_per_1pp_gain_em"] is None


def test_power_needs_four_times_the_items_for_half_the_effect(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(200), optional={"power_analysis": True}) as w:
        content = finished(w)["power_analysis"]
        text = w.view.trial_layout(w.trial).report_md.read_text()
    one = content["results"]["0.0"]
    needed = one["required_n_for_target"]
    assert (content["alpha_of_trial"], content["margin"]) == (0.05, 0.02)
    assert one["smallest_margin"] > 0.02  # 200 items cannot show so little, which the report says
    assert one["required_n_for_margin"] > 200
    assert "The goal has a margin of 2 pp" in text
    assert one["method"] == "mcnemar_midp"
    assert one["mean_delta"] == pytest.approx(0.2)
    assert needed["0.010"] == pytest.approx(4 * needed["0.020"], rel=0.01)


def test_power_is_that_of_a_trials_part_of_alpha() -> None:
    answers = np.tile([1.0, 0.0, 1.0, 1.0], 50)
    pairs = Paired(treatment=answers, control=np.roll(answers, 1))
    alone, shared = (power_of_pairs(pairs, 0.05 / n_trials_of(one), Endpoint(metric="em")) for one in ({"run": None}, {"run": {"n_trials": 3}}))
    assert alone["mde"] < shared["mde"]
    assert "smallest_margin" not in alone


def test_the_mixed_model_finds_the_direction_and_counts_rows_and_items(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(100), samples_per_item=3, optional={"mixed_effects": True}) as w:
        got = finished(w)["mixed_models"]
    model = got["models"]["logistic_binary_correct"]
    assert (got["n_rows"], got["n_items"]) == (200, 100)
    assert model["odds_ratio"]["treatment"] > 1
    assert model["or_ci"]["treatment"][0] < model["odds_ratio"]["treatment"] < model["or_ci"]["treatment"][1]


def test_an_arm_that_is_always_right_is_unavailable_with_the_reason(tmp_path: Path) -> None:
    def certain(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        return f"thing {item_id[1:]}"

    with world(tmp_path, closed=closed_items(20), optional=ALL) as w:
        w.answer_all(certain)
        for phase in (*BEFORE, optional.phase, report.phase):
            w.run(phase)
        got = json.loads(w.view.trial_layout(w.trial).analysis("mixed_effects").read_bytes(), parse_constant=refuse)
        assert got["status"] == "unavailable"
        assert got["reason"] == "every answer is right"


def test_unsupported_answers_never_get_fewer_as_the_threshold_rises(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(80), optional={"unsupported_sensitivity": True}) as w:
        got = finished(w)["unsupported_sensitivity"]
    lines = list(got["results"]["0.0"]["by_threshold"].values())
    for arm in ("control", "treatment"):
        shares = [line[arm] for line in lines]
        assert shares == sorted(shares)
        assert shares[-1] > 0


def test_the_line_at_the_declared_threshold_is_what_was_scored(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(80), optional={"unsupported_sensitivity": True}) as w:
        line = finished(w)["unsupported_sensitivity"]["results"]["0.0"]["by_threshold"]["0.50"]
        tests = json.loads(w.view.trial_layout(w.trial).significance.read_bytes())["tests"]
    one = next(test for test in tests if test["metric"] == "unsupported")
    assert line["delta_mean"] == pytest.approx(one["estimate"]["value"])
    assert line["n_items"] == one["pairs"]["n"]


def test_subgroups_add_up_to_the_whole(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(60, unanswerable_every=3), closed=closed_items(40), optional={"subgroups": True}) as w:
        found = finished(w)["subgroups"]
    assert {name: sum(row["n"] for row in one["rows"]) for name, one in found["tables"].items()} == {"kind": 100, "answerable": 60}
    assert found["same_as"] == {"dataset": "kind"}, "each set is of one kind: the same groups are not tested twice"


def test_analyze_shows_what_the_phase_writes_and_leaves_the_run_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with world(tmp_path, closed=closed_items(60), run_id="run_r1", optional={"subgroups": True, "power_analysis": True}) as w:
        files = finished(w)
    before = {path: path.read_bytes() for path in (tmp_path / "run_r1").rglob("*") if path.is_file()}
    assert analyze.main(["--run_id", "r1", "--experiments_dir", str(tmp_path), "--analysis", "power_analysis", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["power_analysis"] == files["power_analysis"]
    assert analyze.main(["--run_id", "r1", "--experiments_dir", str(tmp_path)]) == 0
    assert "SIMULATED" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in (tmp_path / "run_r1").rglob("*") if path.is_file()} == before
    assert analyze.main(["--run_id", "r1", "--experiments_dir", str(tmp_path), "--analysis", "nonsense"]) == 2


def test_analyze_of_an_unfinished_run_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with world(tmp_path, closed=closed_items(10), run_id="run_r1"):
        pass
    assert analyze.main(["--run_id", "r1", "--experiments_dir", str(tmp_path)]) == 3
    assert "costs.json" in capsys.readouterr().err


def prompt(content: str) -> dict[str, Any]:
    return {"system": {"path": "p.txt", "text": content}}


def several(tmp_path: Path, names: Sequence[str], run_id: str = "r1") -> tuple[str, list[Any], list[dict[str, Any]]]:
    """Treatments against one control: the aggregate report, the joint correction, and each trial's own first test."""
    sets = {name: {"control": prompt("Answer."), "treatment": prompt(name)} for name in names}
    changes: dict[str, Any] = {"prompt_sets": sets, "sweep": {"prompt_sets": list(names)}, "stats": {"primary": {"metric": "em"}}}

    def by_prompt(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        number = int(item_id[1:])
        share = {"Answer.": 40, "good": 60, "none": 42}.get(arm.prompt.system.text, 44)
        return f"thing {number}" if number * 37 % 100 < share else "other"

    with world(tmp_path, closed=closed_items(100), run_id=run_id, **changes) as w:
        w.answer_all(by_prompt)
        for phase in (*BEFORE, report.phase):
            w.run(phase)
        heads = [json.loads(w.view.trial_layout(trial).significance.read_bytes())["tests"][0] for trial in w.view.trials]
        return w.layout.aggregate_report.read_text(), correction_across_trials(w.view), heads


def test_trials_with_one_control_are_corrected_together(tmp_path: Path) -> None:
    text, across, own = several(tmp_path, ["good", "none", "third"])
    assert [one.n_trials for one in across] == [3, 3, 3]
    assert "p across trials" in text
    adjusted, alone = [one.p_adjusted for one in across], [head["p_raw"] for head in own]
    assert all(p is not None and p >= 0.9 * raw for p, raw in zip(adjusted, alone, strict=True))
    # Shared flips use the correlation: never worse than Bonferroni, up to the noise of 9,999 flips.
    assert all(p is not None and p <= min(1.0, 3 * raw) + 0.02 for p, raw in zip(adjusted, alone, strict=True))
    assert (adjusted[0] or 0.0) < 0.05
    # Of two changed items a standard error promises more than the trial's own interval does: what holds for all trials together is no narrower.
    assert all(one.ci_low <= head["estimate"]["ci_low"] and one.ci_high >= head["estimate"]["ci_high"] for one, head in zip(across, own, strict=True))


def test_one_trial_alone_is_not_corrected(tmp_path: Path) -> None:
    text, across, _ = several(tmp_path, ["good"])
    assert across == []
    assert "p across trials" not in text


def test_a_lost_or_stale_aggregate_is_noticed(tmp_path: Path) -> None:
    sets = {name: {"control": prompt("Answer."), "treatment": prompt(name)} for name in ("good", "none")}
    with world(tmp_path, closed=closed_items(30), prompt_sets=sets, sweep={"prompt_sets": ["good", "none"]}) as w:
        finished(w)
        assert report.phase.verdict(w.view).is_done
        before = w.layout.aggregate_json.read_bytes()
        spaced, told = before.replace(b": ", b":\t", 1), before.replace(b'"schema_version": 1', b'"schema_version": 3')
        assert len({before, spaced, told}) == 3
        for content in (b"{", b"{}", b"[" * 100_000, spaced, told, None):
            w.layout.aggregate_json.unlink()
            if content is not None:
                w.layout.aggregate_json.write_bytes(content)
            assert report.phase.verdict(w.view).status == "stale"
            w.run(report.phase)
            assert w.layout.aggregate_json.read_bytes() == before


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_rows_never_shows(tmp_path: Path, seed: int) -> None:
    with world(tmp_path, opened=open_items(40, per_passage=4), closed=closed_items(40), optional=ALL) as w:
        finished(w)
        view, trial = w.view, w.trial
        layout = view.trial_layout(trial)
        given = material(view, trial)
        before = [significance(view, trial), *(analysis(name, given) for name in ALL)]
        w.export()
        frame = pl.read_csv(layout.scores, infer_schema_length=None)
        frame[np.random.default_rng(seed).permutation(frame.height)].write_csv(layout.scores)
        given = material(view, trial)
        after = [significance(view, trial), *(analysis(name, given) for name in ALL)]
        assert json.dumps(after) == json.dumps(before)


def test_a_finished_layout_lists_the_analyses_as_artifacts(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(20), optional={"subgroups": True}) as w:
        finished(w)
    names = {path.name for path in RunLayout(tmp_path / "r1").artifacts()}
    assert {"subgroups.json", "aggregate.json"} <= names


def answer_words(item: object, text: str) -> float:
    """A metric that is no share."""
    return 10.0 * len(text.split())


def test_a_metric_that_is_no_share_is_not_shown_in_percentage_points(tmp_path: Path) -> None:
    def longer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str:
        return "one two three" if arm.condition == "treatment" and int(item_id[1:]) % 5 else "one"

    primary = {"metric": "answer_words", "higher_is_better": False}
    with world(tmp_path, closed=closed_items(60), metrics=[f"{__name__}:answer_words"], stats={"primary": primary}) as w:
        w.answer_all(longer)
        for phase in (*BEFORE, report.phase):
            w.run(phase)
        layout = w.view.trial_layout(w.trial)
        found = json.loads(layout.significance.read_bytes())
        one = next(test for test in found["tests"] if test["standing"] == "primary")
        assert one["estimate"]["value"] == pytest.approx(16.0)
        assert one["is_share"] is False
        assert "pp" not in found["headline"]["sentence"]
        assert "+1600" not in layout.report_md.read_text()


@pytest.mark.parametrize("exploratory", ["bh", "none"])
def test_exploratory_comparisons_are_corrected_as_the_config_says(tmp_path: Path, exploratory: str) -> None:
    with world(tmp_path, opened=open_items(60), closed=closed_items(60), stats={"primary": {"metric": "em"}, "exploratory": exploratory}) as w:
        finished(w)
        tests = json.loads(w.view.trial_layout(w.trial).significance.read_bytes())["tests"]
    others = [one for one in tests if one["standing"] == "exploratory"]
    assert {one["correction"] for one in others} == {exploratory}
    assert all((one["p_adjusted"] == one["p_raw"]) for one in others) is (exploratory == "none")
    assert not any(one["is_claim"] for one in others)


def test_a_joint_interval_is_no_narrower_than_what_the_trials_own_method_says() -> None:
    """Of twenty answers in three trials, mean +- critical se held all in .81 of .95; of a trial in which nothing changed there was none."""
    control = np.tile([1.0, 1.0, 0.0], 20)
    treatments = [control.copy() for _ in range(3)]
    treatments[0][:20], treatments[1][10:40] = 0.0, 1.0
    got = max_t(np.stack([one - control for one in treatments], axis=1), seed=1, flips=999)
    assert got.critical is not None
    for estimate, treatment in zip(got.estimates, treatments, strict=True):
        low, high = joint_interval(estimate, Paired(treatment=treatment, control=control), got.critical)
        own = tango(int((treatment > control).sum()), int((treatment < control).sum()), 60)
        assert low is not None
        assert high is not None
        assert low <= min(own.ci_low or 0.0, 0.0 if estimate.ci_low is None else estimate.ci_low)
        assert high >= max(own.ci_high or 0.0, 0.0 if estimate.ci_high is None else estimate.ci_high)
        assert high - low > (own.ci_high or 0.0) - (own.ci_low or 0.0)


def test_an_effect_over_two_tiny_sets_reaches_no_further_than_shares_can(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(2), closed=closed_items(2)) as w:
        words = {"reading": "answer", "recall": "thing"}
        w.answer_all(lambda arm, dataset, item, _: f"{words[dataset]} {item[1:]}" if arm.condition == "treatment" else "no")
        for phase in BEFORE:
            w.run(phase)
        found = analysis("meta_analysis", material(w.view, w.trial))["results"]["0.0"]["em"]
        assert (found["fixed"]["ci_high"], found["random"]["ci_low"], found["random"]["ci_high"]) == (1.0, -1.0, 1.0)
