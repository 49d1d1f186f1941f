"""plan_trial: what it says follows from the variance and the prices it was given, and contradictions are refused."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from batchtrial.cli.commands import plan_trial
from batchtrial.cli.commands.plan_trial import assumed_shares
from batchtrial.errors import ConfigError

GUESS = ["--rate_control", "0.6", "--effect", "0.05", "--discordance", "0.3"]


def plan(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert plan_trial.main([*argv, "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_one_sample_has_the_variance_of_the_discordance() -> None:
    shares = assumed_shares(0.6, 0.05, 0.3, 0.7)
    assert shares.of_difference(1, 1) == pytest.approx(0.3 - 0.05**2)
    assert shares.treatment == pytest.approx(0.3 * 0.65 * 0.35)
    assert shares.of_difference(5, 5) < shares.of_difference(1, 1)


def test_without_an_icc_more_samples_change_nothing_and_a_note_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, *GUESS, "--samples", "1,5")
    one, five = found["items_needed"]
    assert one["items"] == pytest.approx(five["items"], rel=0.01)  # counts of changed items for one sample, a t-test for five
    assert any("--icc" in note for note in found["warnings"])


def test_items_needed_are_close_to_the_textbook_number_and_double_alpha_needs_fewer(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, *GUESS, "--samples", "1")
    want = (1.959963985 + 0.841621234) ** 2 * (0.3 - 0.05**2) / 0.05**2
    assert found["items_needed"][0]["items"] == pytest.approx(want, rel=0.01)
    assert plan(capsys, *GUESS, "--samples", "1", "--alpha", "0.1")["items_needed"][0]["items"] < want


def test_cost_is_requests_times_the_price_and_a_reused_control_halves_it(capsys: pytest.CaptureFixture[str]) -> None:
    both = plan(capsys, *GUESS, "--usd_per_answer", "0.001", "--items", "400", "--samples", "3")["designs"][0]
    assert (both["n_requests"], both["cost_usd"]) == (2400, pytest.approx(2.4))
    reused = plan(capsys, *GUESS, "--usd_per_answer", "0.001", "--items", "400", "--samples", "3", "--reuse_control")["designs"][0]
    assert (reused["n_requests"], reused["cost_usd"]) == (1200, pytest.approx(1.2))


def test_no_price_is_no_cost_and_not_zero(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, *GUESS)
    assert {one["cost_usd"] for one in [*found["designs"], *found["items_needed"]]} == {None}


def test_clusters_need_more_items(capsys: pytest.CaptureFixture[str]) -> None:
    alone, clustered = (plan(capsys, *GUESS, "--design_effect", x)["items_needed"][0]["items"] for x in ("1", "2"))
    assert clustered == pytest.approx(2 * alone, rel=0.03)  # and sign flips in the place of McNemar


def test_what_five_clusters_cannot_decide_has_no_power(capsys: pytest.CaptureFixture[str]) -> None:
    designs = plan(capsys, *GUESS, "--cluster_size", "10", "--items", "50", "500", "--samples", "1")["designs"]
    assert (designs[0]["power"], designs[0]["mde"]) == (0.0, None)
    assert designs[1]["power"] > 0.3


def test_three_trials_need_the_items_of_a_third_of_alpha(capsys: pytest.CaptureFixture[str]) -> None:
    few = [*GUESS, "--samples", "1", "--items", "100"]
    three = plan(capsys, *few, "--trials", "3")
    assert three["alpha_of_trial"] == pytest.approx(0.05 / 3)
    assert three["items_needed"][0]["items"] == plan(capsys, *few, "--alpha", str(0.05 / 3))["items_needed"][0]["items"]
    assert three["items_needed"][0]["items"] > 1.3 * plan(capsys, *few)["items_needed"][0]["items"]
    assert plan_trial.main([*few, "--trials", "3"]) == 0
    assert "of which each of 3 trials has 0.0167" in capsys.readouterr().out


def test_a_margin_needs_no_effect_and_several_samples_pay_for_their_wider_interval(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--rate_control", "0.6", "--discordance", "0.2", "--icc", "0.8", "--margin", "0.05", "--samples", "1,5")
    assert (found["goal"], found["margin"], found["target"]) == ("noninferiority", 0.05, 0.0)
    one, five = found["items_needed"]
    variance = found["variance"]["between_items"] + (found["variance"]["noise_treatment"] + found["variance"]["noise_control"]) / 5
    by_t = (1.959963985 + 0.841621234) ** 2 * variance / 0.05**2
    assert 1.06 * by_t < five["items"] < one["items"]
    same = plan(
        capsys, "--rate_control", "0.6", "--discordance", "0.2", "--icc", "0.8", "--margin", "0.05", "--goal", "equivalence", "--samples", "1"
    )
    assert same["items_needed"][0]["items"] > one["items"]
    assert plan_trial.main(["--rate_control", "0.6", "--margin", "0.05"]) == 0
    assert "no loss beyond 5.0 pp when the true difference is 0.0 pp" in capsys.readouterr().out


def test_a_difference_beyond_the_margin_is_never_shown_to_keep_it(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, "--rate_control", "0.6", "--discordance", "0.2", "--margin", "0.05", "--effect", "-0.05", "--samples", "1")
    assert found["items_needed"][0]["items"] is None
    assert max(one["power"] for one in found["designs"]) < 0.03


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--rate_control", "0.9", "--effect", "0.2"],
        ["--rate_control", "0.6", "--effect", "0.05", "--discordance", "0.01"],
        ["--rate_control", "0.6", "--effect", "0.05", "--discordance", "0.1", "--icc", "0.1"],
        ["--rate_control", "nan", "--effect", "0.05"],
        [*GUESS, "--items", "many"],
        [*GUESS, "--items", "0"],
        [*GUESS, "--model", "no-such-model"],
    ],
)
def test_what_cannot_be_planned_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert plan_trial.main(argv) == 2
    assert "error:" in capsys.readouterr().err


def test_shares_that_contradict_each_other_name_the_flag() -> None:
    with pytest.raises(ConfigError, match="noise alone"):
        assumed_shares(0.6, 0.05, 0.1, 0.1)


def test_the_picture_is_svg_with_a_line_for_each_number_of_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plan.svg"
    assert plan_trial.main([*GUESS, "--icc", "0.8", "--samples", "1,3", "--plot", str(path)]) == 0
    assert "detectable" in capsys.readouterr().out
    root = ET.fromstring(path.read_text())
    assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == 2
    first = path.read_bytes()
    plan_trial.main([*GUESS, "--icc", "0.8", "--samples", "1,3", "--plot", str(path)])
    assert path.read_bytes() == first


def test_a_run_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan_trial.main(["--run_id", "nowhere", "--experiments_dir", str(tmp_path)]) == 3
    assert "nowhere" in capsys.readouterr().err


def test_planned_looks_need_fewer_items_where_there_is_much_or_nothing_to_find(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan(capsys, *GUESS, "--sequential", "5", "--usd_per_answer", "0.001")["sequential"]
    none, half, planned, twice = found["rows"]
    assert [one["effect"] for one in found["rows"]] == [0.0, 0.025, 0.05, 0.1]
    assert none["power"] == pytest.approx(0.05, abs=0.006)
    assert planned["power"] > planned["fixed_power"] - 0.03
    assert planned["fixed_power"] == pytest.approx(0.8, abs=0.01)
    assert twice["items"] < planned["items"] < found["n_max"]
    assert none["items"] < half["items"]
    assert planned["cost_usd"] == pytest.approx(planned["items"] * 0.002, rel=0.01)
    assert plan_trial.main([*GUESS, "--sequential", "5"]) == 0
    assert "not bought" in capsys.readouterr().out
    assert plan_trial.main([*GUESS, "--margin", "0.02", "--sequential", "5"]) == 2
    assert "leave --margin out" in capsys.readouterr().err


def test_the_bounds_of_planned_looks_are_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "looks.svg"
    found = plan(capsys, *GUESS, "--sequential", "3", "--plot", str(path))["sequential"]
    first, _, last = found["bounds"]
    assert first["z"] > last["z"] > 1.96
    assert last["items"] == found["n_max"]
    lines = ET.fromstring(path.read_text()).findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [3, sum(one["futile_below"] > 0 for one in found["bounds"])]
