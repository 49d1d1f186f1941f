"""The gate says what the report may claim and nothing more: constructed runs, each with its code and its sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.unit.phases.batches.test_frozen_plan import reopened, with_setting
from tests.unit.phases.world import World, closed_items, error_line, success_line, world
from tests.unit.reading import trials

from batchtrial.cli.commands.gate import CODES, main, percent
from batchtrial.cli.screens.gate import as_json, junit, lines, markdown
from batchtrial.errors import ConfigError
from batchtrial.reading.gate import Asked, Judged, JudgedRun, JudgedTrial, is_refuted, judged, worst

MARGIN = {"primary": {"metric": "em", "kind": "all", "goal": "noninferiority", "margin": 0.02}, "permutation_samples": 999}
BETTER = {"primary": {"metric": "em", "kind": "all"}, "permutation_samples": 999}
PHASES = trials.PHASES[:4]
"""As far as the costs: what is judged."""
Said = Callable[[bool, int], str | None]
"""(is treatment, item) -> "right", "wrong" or None for an error."""


@contextmanager
def run(folder: Path, said: Said, n: int, *, tokens: tuple[int, int] = (20, 20), phases: tuple[Any, ...] = PHASES, **changes: Any) -> Iterator[World]:
    """A finished run of a live host. tokens: of each answer of the control and the treatment, besides those of its prompt; 0 is no usage."""
    with world(folder, closed=closed_items(n), **{"mode": "live", **changes}) as made:
        for arm, shard in made.parts():
            is_treatment = arm.condition == "treatment"
            rows = []
            for one, _, item_id, _ in made.requests(arm, shard):
                k = int(item_id[1:])
                text = said(is_treatment, k)
                line = error_line(one) if text is None else success_line(one, f"thing {k}" if text == "right" else "no", n_out=tokens[is_treatment])
                rows.append(line if tokens[is_treatment] or k else line.replace(b'"usage"', b'"other"'))
            made.save(arm, shard, rows)
            made.settle(shard)
        for phase in phases:
            made.run(phase)
        yield made


def better(is_treatment: bool, k: int) -> str:
    return "right" if k % 2 or is_treatment else "wrong"


def worse(is_treatment: bool, k: int) -> str:
    return better(not is_treatment, k)


def same(is_treatment: bool, k: int) -> str:
    return "right" if k % 3 else "wrong"


def of(made: World, **how: Any) -> tuple[JudgedRun, Judged]:
    found = judged(made.view, made.view.trials, Asked(**how))
    return found, found.trials[0].goals[0]


CASES: dict[str, tuple[Said, int, dict[str, Any], str, str]] = {
    "better": (better, 60, BETTER, "reached", "Primary endpoint: the treatment is superior to the control"),
    "worse": (worse, 60, BETTER, "refuted", "Primary endpoint: the treatment is inferior to the control"),
    "not worse": (same, 220, MARGIN, "reached", "non-inferior to the control on exact match (all questions) at the declared margin of 2 pp"),
    "worse by more than the margin": (worse, 60, MARGIN, "refuted", "the treatment is worse than the control by more than the margin of 2 pp"),
    "much better than a margin asks for": (better, 60, MARGIN, "reached", "superior to the control"),
    "too few pairs for the margin": (same, 60, MARGIN, "not settled", "pairs would show it with 80 % chance if nothing differs; there are 60."),
    "no difference to see": (same, 60, BETTER, "not settled", "the data do not settle whether the arms differ"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_what_the_report_may_claim(name: str, tmp_path: Path) -> None:
    said, n, declared, answer, words = CASES[name]
    with run(tmp_path, said, n, stats=declared) as made:
        found, goal = of(made)
    assert (found.answer, goal.answer) == (answer, answer)
    assert words in goal.sentence
    assert CODES[found.answer] == {"reached": 0, "refuted": 6}.get(answer, 7)


def test_too_few_pairs_says_how_many_would_be_enough_and_so_many_are(tmp_path: Path) -> None:
    with run(tmp_path / "few", same, 60, stats=MARGIN) as made:
        needed = of(made)[1].n_needed
    assert needed is not None
    assert needed > 60
    with run(tmp_path / "enough", same, round(1.1 * needed), stats=MARGIN) as made:
        assert of(made)[0].answer == "reached"


def test_a_difference_that_is_only_seen_says_how_many_pairs_would_show_it(tmp_path: Path) -> None:
    def a_little(is_treatment: bool, k: int) -> str:
        return "right" if k % 3 or (is_treatment and k % 15 == 0) else "wrong"

    with run(tmp_path, a_little, 60, stats=BETTER) as made:
        found, goal = of(made)
    assert found.answer == "not settled"
    assert goal.n_needed is not None
    assert goal.n_needed > 60
    assert "if the difference is what was seen here" in goal.sentence


def test_nothing_is_reached_when_lost_answers_could_explain_it(tmp_path: Path) -> None:
    def loses_the_wrong_ones(is_treatment: bool, k: int) -> str | None:
        return None if is_treatment and k % 4 == 0 else "right" if k % 2 or is_treatment or k % 4 == 0 else "wrong"

    with run(tmp_path, loses_the_wrong_ones, 80, stats=BETTER) as made:
        found, goal = of(made)
    assert (found.answer, goal.n_lost) == ("not settled", 20)
    assert "lost answers could explain it" in goal.sentence


def test_no_answer_at_all_is_not_settled(tmp_path: Path) -> None:
    with run(tmp_path, lambda is_treatment, k: None if is_treatment else "right", 20, stats=BETTER) as made:
        found, goal = of(made, max_cost_change=0.0)
    assert found.answer == "not settled"
    assert "could not be judged" in goal.sentence


def test_a_run_that_is_not_finished_is_not_judged_nor_numbers_of_other_answers(tmp_path: Path) -> None:
    with run(tmp_path, better, 30, phases=(), stats=BETTER) as made:
        for phase in PHASES:
            found = judged(made.view, made.view.trials, Asked())
            assert (found.answer, found.trials) == ("unfinished", ())
            made.run(phase)
        assert judged(made.view, made.view.trials, Asked()).answer == "reached"
        path = made.view.trial_layout(made.trial).significance
        path.write_bytes(path.read_bytes().replace(b"superior", b"superieur"))
        found = judged(made.view, made.view.trials, Asked())
        assert (found.answer, "stats" in found.why) == ("unfinished", True)


def test_a_plan_that_was_changed_after_the_first_result_reaches_nothing(tmp_path: Path) -> None:
    with run(tmp_path, better, 60, stats=MARGIN) as made:
        assert of(made)[0].answer == "reached"
        reopened(made, with_setting(made.config, "stats.primary.margin", 0.3))
        assert judged(made.view, made.view.trials, Asked()).answer == "unfinished"
        for phase in PHASES:
            made.run(phase)
        found, goal = of(made)
    assert found.answer == "not settled"
    assert goal.sentence.startswith("Exploratory, changed after the first result had arrived")
    assert "stats.primary.margin 0.02 -> 0.3" in found.trials[0].plan


def test_simulated_answers_settle_nothing_unless_it_is_a_rehearsal(tmp_path: Path) -> None:
    with run(tmp_path, better, 60, stats=BETTER, mode="dry_run") as made:
        assert of(made)[0].answer == "not settled"
        found, _ = of(made, is_simulated_allowed=True)
    assert (found.answer, found.is_simulated) == ("reached", True)
    assert "SIMULATED" in markdown(found)
    assert next(lines(found)).startswith("SIMULATED")


def test_quality_holds_within_2_pp_and_costs_fall(tmp_path: Path) -> None:
    with run(tmp_path, same, 220, tokens=(100, 60), stats=MARGIN) as made:
        found, _ = of(made, max_cost_change=-30.0)
        assert found.answer == "reached"
        assert found.trials[0].summary.startswith("Quality by exact match (all questions) holds within 2 pp and the answers cost 37 % less")
        cost = found.trials[0].goals[1]
        assert cost.what == "costs: at least 30 % less"
        assert of(made, max_cost_change=-40.0)[0].answer == "refuted"


def test_costs_that_are_not_settled_or_not_known_reach_nothing(tmp_path: Path) -> None:
    with run(tmp_path / "unknown", same, 220, tokens=(100, 0), stats=MARGIN) as made:
        found, _ = of(made, max_cost_change=-10.0)
        assert found.answer == "not settled"
        assert "1 item has answers of unknown cost" in found.trials[0].goals[1].sentence
    with run(tmp_path / "free", same, 220, stats=MARGIN, model_id="nobody/knows-of-nobody") as made:
        found, _ = of(made, max_cost_change=0.0)
        assert (found.answer, found.trials[0].goals[0].answer) == ("not settled", "reached")


@pytest.mark.parametrize(("n_lost", "answer"), [(2, "reached"), (60, "not settled")])
def test_requests_that_brought_no_answer_make_the_others_no_cheaper(n_lost: int, answer: str, tmp_path: Path) -> None:
    """An error costs nothing: counted as an answer it would be a saving."""

    def said(is_treatment: bool, k: int) -> str | None:
        return None if is_treatment and k < n_lost else "right"

    stats = {"primary": {"metric": "cost_usd", "kind": "all"}, "missing": {"share": 0.1}}
    with run(tmp_path, said, 220, tokens=(100, 100), stats=stats, metrics=["cost_usd"]) as made:
        found, goal = of(made, max_cost_change=0.0)
        assert goal.answer == "not settled", "the answers cost the same"
        cost = found.trials[0].goals[1]
        assert "the answers cost the same" in cost.sentence
        assert (cost.answer, cost.n_pairs, cost.n_lost) == (answer, 220 - n_lost, n_lost)
        assert f"on {220 - n_lost} of 220 items, since the others have no answer in an arm" in found.trials[0].summary
        assert of(made, max_cost_change=-1.0)[0].trials[0].goals[1].answer == ("refuted" if n_lost == 2 else "not settled")


def test_confirmatory_endpoints_count_when_asked_for_and_only_behind_the_primary(tmp_path: Path) -> None:
    declared = {**BETTER, "confirmatory": [{"metric": "f1", "kind": "all"}]}
    with run(tmp_path, worse, 30, stats=declared) as made:
        found, _ = of(made, is_with_confirmatory=True)
        assert [goal.answer for goal in found.trials[0].goals] == ["refuted", "not settled"]


def test_a_margin_is_refuted_only_by_a_declared_endpoint_that_lost_no_answers_and_shared_its_alpha() -> None:
    one = {
        "standing": "primary",
        "family": "primary",
        "decided_by": "margin",
        "verdict": "inconclusive",
        "is_claim": False,
        "higher_is_better": True,
        "m": 1,
        "lost_at_worst": None,
        "estimate": {"ci_low": -0.09, "ci_high": -0.03},
        "margin": {"low": -0.02, "high": None, "alpha": 0.025, "p_value": 0.99},
    }
    tests = {"tests": [one], "run": None}
    assert is_refuted(one, tests)
    assert is_refuted({**one, "higher_is_better": False, "estimate": {"ci_low": 0.03, "ci_high": 0.09}}, tests)
    assert not is_refuted({**one, "lost_at_worst": {"low": -0.2, "high": 0.2}}, tests)
    assert not is_refuted({**one, "standing": "exploratory"}, tests)
    assert not is_refuted({**one, "verdict": "not decided"}, tests)
    assert not is_refuted({**one, "estimate": {"ci_low": -0.09, "ci_high": -0.02}}, tests)
    assert not is_refuted(one, {**tests, "run": {"n_trials": 3}})


def test_of_several_the_worst_counts() -> None:
    assert worst(["reached", "not settled", "refuted"]) == "refuted"
    assert worst(["reached", "not settled"]) == "not settled"
    assert worst([]) == "not settled"


def test_the_files_say_the_same_and_keep_hostile_names_out(tmp_path: Path) -> None:
    goals = (
        Judged(what="primary endpoint: <b>\x01 | @all", answer="refuted", sentence="On `x` it is | worse.", n_pairs=1200, n_lost=3),
        Judged(what="costs", answer="not settled", sentence="Not known."),
        Judged(what="f1", answer="reached", sentence="Better."),
    )
    found = JudgedRun(run_id="r1", answer="refuted", trials=(JudgedTrial(slug="m-p", goals=goals, plan="Followed."),))
    suite = ElementTree.fromstring(junit(found)).find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors")} == {"tests": "3", "failures": "1", "errors": "1"}
    assert [[child.tag for child in case] for case in suite] == [["failure"], ["error"], ["system-out"]]
    text = markdown(found)
    assert text.startswith("<!-- batchtrial gate r1 -->\n### Gate: refuted")
    assert not any(mark in text.split("\n", 2)[2] for mark in ("<b>", "@all", "`"))
    assert all(row.count("|") == 5 for row in text.splitlines() if row.startswith("|"))
    assert as_json(found, 6)["trials"][0]["goals"][0]["pairs"] == 1200


def test_the_command_writes_its_files_and_gives_the_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiments = tmp_path / "experiments"
    with run(experiments / "x", better, 60, stats=BETTER, run_id="r1") as made:
        root = made.layout.root
    root.rename(experiments / "run_r1")
    flags = ["--run_id", "r1", "--experiments_dir", str(experiments), "--junit", str(tmp_path / "g.xml"), "--markdown", str(tmp_path / "g.md")]
    assert main([*flags, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == "reached"
    assert ElementTree.fromstring((tmp_path / "g.xml").read_bytes()).get("tests") == "1"
    assert "### Gate: reached" in (tmp_path / "g.md").read_text()
    assert main(["--run_id", "r2", "--experiments_dir", str(experiments)]) == 3
    assert main([*flags, "--trial", "nothing"]) == 2
    assert main([*flags, "--markdown", str(tmp_path / "x" / ".." / "g.xml")]) == 2  # one would replace the other


def test_a_change_in_per_cent() -> None:
    assert percent("-20") == -20.0
    for text in ("-101", "nan", "cheap"):
        with pytest.raises(ConfigError):
            percent(text)
