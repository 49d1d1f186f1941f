"""costs: what was paid, by the ledger; what a right answer costs; and nothing invented where nothing is known."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.world import World, closed_items, error_line, success_line, world

from batchtrial.config.expand import TrialArm
from batchtrial.phases.analyse import costs
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.score import phase as score

N_IN, N_OUT = 40, 7
PER_ROW = Decimal(N_IN * 35 + N_OUT * 150).scaleb(-9)
"""Dollars of one row of the test world: 0.035 and 0.15 dollars per million tokens at batch rate."""


def run(w: World) -> dict[str, Any]:
    for phase in (parse.phase, score.phase, costs.phase):
        w.run(phase)
    return dict(json.loads(w.layout.trial(w.trial.slug).costs.read_bytes()))


def right_more_often(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
    number = int(item_id[1:])
    return f"thing {number}" if number % 10 < (6 if arm.condition == "treatment" else 4) else "something else"


def test_tokens_and_dollars_are_the_ledgers(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(10)) as w:
        w.answer_all(right_more_often)
        got = run(w)
    assert got["prompt_tokens"] == 20 * N_IN
    assert got["completion_tokens"] == 20 * N_OUT
    assert got["total_tokens"] == 20 * (N_IN + N_OUT)
    assert got["usd"] == pytest.approx(float(20 * PER_ROW))
    assert got["simulated"] is True
    assert {name: arm["requests"] for name, arm in got["arms"].items()} == {"t0_control": 10, "t0_treatment": 10}
    assert got["arms"]["t0_control"]["usd"] == pytest.approx(float(10 * PER_ROW))
    assert got["arms"]["t0_control"]["estimate_usd"] == 0.001


def test_every_attempt_that_brought_answers_is_paid(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(3)) as w:
        for arm, shard in w.parts():
            ids = [one for one, *_ in w.requests(arm, shard)]
            w.save(arm, shard, [success_line(ids[0], "thing 0"), error_line(ids[1]), error_line(ids[2])])
            w.retry(shard, 2)
            w.save(arm, shard, [success_line(ids[1], "a"), success_line(ids[2], "b")], attempt=2, asked=ids[1:])
            w.settle(shard)
        got = run(w)
    assert got["arms"]["t0_control"]["attempts"] == 2
    assert got["prompt_tokens"] == 6 * N_IN
    assert got["arms"]["t0_treatment"]["estimate_usd"] == 0.002


def test_the_cost_of_answers_is_of_those_that_came(tmp_path: Path) -> None:
    """Of two samples one errors under the treatment for some items, and both for others: each answer costs what it does under the control."""

    def said(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        number = int(item_id[1:])
        return None if arm.condition == "treatment" and (number < 2 or (number < 6 and sample)) else "thing"

    with world(tmp_path, closed=closed_items(12), samples_per_item=2) as w:
        w.answer_all(said)
        got = run(w)["effectiveness"]["0.0"]
    assert (got["cost_ratio"]["value"], got["cost_ratio"]["n"]) == (pytest.approx(1.0), 10)
    assert (got["items_without_cost"], got["items_without_answer"], got["is_loss_doubtful"]) == (0, 2, True)


def test_the_price_of_a_right_answer_and_of_one_more(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(200)) as w:
        for arm, shard in w.parts():
            n_out = 30 if arm.condition == "treatment" else 10
            lines = [
                success_line(one, str(right_more_often(arm, dataset, item_id, sample)), n_out=n_out)
                for one, dataset, item_id, sample in w.requests(arm, shard)
            ]
            w.save(arm, shard, lines)
            w.settle(shard)
        got = run(w)["effectiveness"]["0.0"]
    control, treatment = (40 * 35 + n * 150 for n in (10, 30))
    assert got["usd_per_correct"]["control"]["usd"] == pytest.approx(control / 0.4 * 1e-9, abs=1e-8)
    assert got["usd_per_correct"]["treatment"]["usd"] == pytest.approx(treatment / 0.6 * 1e-9, abs=1e-8)
    assert got["usd_per_additional_correct"]["usd"] == pytest.approx((treatment - control) / 0.2 * 1e-9, abs=1e-8)
    low, high = got["usd_per_additional_correct"]["ci"]
    assert low <= got["usd_per_additional_correct"]["usd"] <= high
    assert got["trade"] == "pays_for_gain"


def test_a_gain_that_lost_answers_could_explain_has_no_price(tmp_path: Path) -> None:
    """The treatment loses its wrong answers: on the pairs that are left it is right more often."""

    def said(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        is_lost = arm.condition == "treatment" and int(item_id[1:]) % 10 in (7, 8)
        return None if is_lost else right_more_often(arm, dataset, item_id, sample)

    with world(tmp_path, closed=closed_items(200)) as w:
        w.answer_all(said)
        price = run(w)["effectiveness"]["0.0"]["usd_per_additional_correct"]
    assert (price["usd"], price["reason"]) == (None, "lost answers could explain the gain")


@pytest.mark.parametrize("both", [False, True], ids=["lost in one arm", "also in the other"])
def test_answers_that_were_cut_off_are_among_what_right_answers_cost(tmp_path: Path, both: bool) -> None:
    """Half of the treatment's answers are billed at 400 tokens and reach nothing: whoever wants right answers pays for them too."""
    with world(tmp_path, closed=closed_items(40)) as w:
        for arm, shard in w.parts():
            lines, is_treatment = [], arm.condition == "treatment"
            for one, _, item_id, _ in w.requests(arm, shard):
                number = int(item_id[1:])
                is_cut = number % 2 == 1 and (is_treatment or (both and number == 1))
                said = f"thing {number}" if number % 4 < 2 else "something else"
                lines.append(success_line(one, said, n_out=400 if is_cut else 10, finish="length" if is_cut else "stop"))
            w.save(arm, shard, lines)
            w.settle(shard)
        got = run(w)["effectiveness"]["0.0"]
    short, long = (40 * 35 + n * 150 for n in (10, 400))
    assert got["usd_per_correct"]["treatment"]["usd"] == pytest.approx((20 * short + 20 * long) / 10 * 1e-9, abs=1e-8)
    n_right = 19 if both else 20
    assert got["usd_per_correct"]["control"]["usd"] == pytest.approx(((39 * short + long) if both else 40 * short) / n_right * 1e-9, abs=1e-8)
    assert got["extra_usd_per_item"]["usd"] == pytest.approx((19 if both else 20) * (long - short) / 40 * 1e-9, abs=1e-8)


def test_an_unknown_price_is_unknown_and_not_zero(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(4), model_id="accounts/fireworks/models/of-nobody") as w:
        w.answer_all(right_more_often)
        got = run(w)
    assert got["usd"] is None
    assert "price" in got["reason"]
    assert got["effectiveness"] is None
    assert got["pricing"]["table_found"] is False
    assert got["prompt_tokens"] == 8 * N_IN


def test_an_override_beats_the_table_and_says_so(tmp_path: Path) -> None:
    override = {"overrides": {"accounts/fireworks/models/gpt-oss-20b": {"input_per_mtok": 1.0, "output_per_mtok": 2.0}}}
    with world(tmp_path, closed=closed_items(4), pricing=override) as w:
        w.answer_all(right_more_often)
        got = run(w)
    assert got["pricing"]["input_rate_per_mtok"] == 1.0
    assert "config pricing.overrides" in got["pricing"]["provenance"]
    assert got["effectiveness"]["0.0"]["usd_per_correct"]["control"]["usd"] == pytest.approx((N_IN + 2 * N_OUT) * 1e-6)


def test_a_lost_answer_costs_nothing_and_drops_its_pair(tmp_path: Path) -> None:
    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        return None if item_id == "c0" and arm.condition == "control" else right_more_often(arm, dataset, item_id, sample)

    with world(tmp_path, closed=closed_items(20)) as w:
        w.answer_all(answer)
        got = run(w)
    assert got["arms"]["t0_control"]["usd"] == pytest.approx(float(19 * PER_ROW))
    # Of the 19 complete pairs the control got 7 right.
    assert got["effectiveness"]["0.0"]["usd_per_correct"]["control"]["usd"] == pytest.approx(float(19 * PER_ROW) / 7, abs=1e-8)


def test_two_runs_with_other_names_and_tokens_cost_the_same_bytes(tmp_path: Path) -> None:
    seen = []
    for run_id in ("first", "second"):
        with world(tmp_path / run_id, closed=closed_items(12), run_id=run_id) as w:
            w.answer_all(right_more_often)
            run(w)
            seen.append(w.layout.trial(w.trial.slug).costs.read_bytes())
    assert seen[0] == seen[1]


def test_a_single_arm_has_costs_and_no_comparison(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(4), conditions=["control"]) as w:
        w.answer_all(right_more_often)
        got = run(w)
    assert list(got["arms"]) == ["t0_control"]
    assert got["effectiveness"] == {}
    assert got["usd"] == pytest.approx(float(4 * PER_ROW))


def test_verdicts_wait_for_scores_and_notice_damage(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(4)) as w:
        w.answer_all(right_more_often)
        w.run(parse.phase)
        assert costs.phase.verdict(w.view).status == "blocked"
        run(w)
        assert costs.phase.verdict(w.view).is_done
        w.layout.trial(w.trial.slug).costs.write_bytes(b"{}")
        assert costs.phase.verdict(w.view).status == "stale"
