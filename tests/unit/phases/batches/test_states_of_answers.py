"""From a result line to the verdict: what is no answer is lost, counted by arm and reason, and named where the verdict stands."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.world import World, closed_items, error_line, open_items, success_line, world

from batchtrial.config.expand import TrialArm
from batchtrial.phases.analyse import costs, stats
from batchtrial.phases.analyse.significance import significance
from batchtrial.phases.base import publishing
from batchtrial.phases.batches import tally as answers
from batchtrial.phases.batches.reasons import MOST_REASONS, OTHERS, counted_reasons
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.report.all_results import write_combined
from batchtrial.phases.report.lines import blocks
from batchtrial.phases.score import phase as score
from batchtrial.phases.score.told import read_lost
from batchtrial.records import AnswerState
from batchtrial.state.layout import result_file

N = 40


def body(message: dict[str, Any], finish: str | None = "stop") -> Callable[[str], bytes]:
    """A result line of this message for a custom_id."""

    def line(one: str) -> bytes:
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
        usage = {"prompt_tokens": 20, "completion_tokens": 64}
        return json.dumps({"custom_id": one, "response": {"id": f"r-{one}", "choices": [choice], "usage": usage}}).encode() + b"\n"

    return line


def unreadable(one: str) -> bytes:
    return json.dumps({"custom_id": one, "response": {"status_code": 200, "body": {"id": "x", "choices": []}}}).encode() + b"\n"


LINES: dict[str, Callable[[str], bytes]] = {
    "cut": body({"content": None, "reasoning_content": "hmm"}, "length"),
    "refused": body({"content": None, "refusal": "No."}),
    "filtered": body({"content": ""}, "content_filter"),
    "tool_call": body({"content": None, "tool_calls": [{"id": "t"}]}, "tool_calls"),
    "empty": body({"content": ""}),
    "unfinished_thinking": body({"content": "<think>It may be"}, "length"),
    "not_understood": unreadable,
}


def rows(w: World) -> list[dict[str, str]]:
    w.export()
    with w.layout.trial(w.trial.slug).predictions.open(newline="") as file:
        return list(csv.DictReader(file))


def scores(w: World) -> list[dict[str, str]]:
    w.export()
    with w.layout.trial(w.trial.slug).scores.open(newline="") as file:
        return list(csv.DictReader(file))


def account(w: World) -> dict[str, Any]:
    return dict(json.loads(w.layout.trial(w.trial.slug).account.read_bytes()))


def fill(w: World, treatment: Callable[[str], bytes], every: int = 1) -> None:
    """Right answers, but of every so many-th treatment row what `treatment` makes."""
    for arm, shard in w.parts():
        lines = []
        for place, (one, *_) in enumerate(w.requests(arm, shard)):
            is_changed = arm.condition == "treatment" and place % every == 0
            lines.append(treatment(one) if is_changed else success_line(one, "anything"))
        w.save(arm, shard, lines)
        w.settle(shard)


def scored(w: World) -> None:
    w.run(parse.phase)
    w.run(score.phase)


@pytest.mark.parametrize("every", [1, 5])
@pytest.mark.parametrize("state", LINES)
def test_what_is_no_answer_is_lost_counted_and_named(tmp_path: Path, state: str, every: int) -> None:
    with world(tmp_path, opened=open_items(N)) as w:
        fill(w, LINES[state], every)
        scored(w)
        n = N // every
        assert [row["answer_state"] for row in rows(w) if row["condition"] == "treatment"].count(state) == n
        assert {row["outcome"] for row in rows(w)} == {"succeeded"}
        told = account(w)["answers"]["arms"]
        none: dict[str, int] = dict.fromkeys(AnswerState, 0)
        assert told["t0_treatment"]["states"] == {**none, "complete": N - n, state: n}
        assert told["t0_control"]["states"]["complete"] == N
        lost = [row for row in scores(w) if row["lost_to"]]
        assert len(lost) == n
        assert {(row["condition"], row["lost_to"], row["em"], row["abstain_rate"], row["n_lost"]) for row in lost} == {
            ("treatment", f"{state}:1", "", "", "1")
        }
        found = significance(w.view, w.trial)
        primary = next(one for one in found["tests"] if one["standing"] == "primary")
        assert primary["pairs"]["lost_answers"] == {"control": {}, "treatment": {state: n}}
        assert primary["pairs"]["dropped"] == primary["pairs"]["only_treatment_missing"] == n
        assert primary["pairs"]["n"] == N - n
        assert f"Not scored: {n} treatment answers were " in found["headline"]["sentence"]
        assert found["headline"]["sentence"] == primary["sentence"]


def test_an_unreadable_success_is_named_with_the_words_that_came(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(3)) as w:
        fill(w, unreadable)
        w.run(parse.phase)
        why = account(w)["answers"]["arms"]["t0_treatment"]["reasons"]
    assert [one["requests"] for one in why] == [3]
    assert why[0]["reason"].startswith("not_understood: an answer without choices: ")


def test_thoughts_are_taken_out_and_a_warning_counts_them_when_no_rule_is_declared(tmp_path: Path) -> None:
    thinking = body({"content": "<think>I don't know, Milan?</think>\n\nanswer"})
    for rule, em, warned in ((None, "1.0", True), ("auto", "1.0", False), ("off", "0.0", True), ("<think>.*?</think>", "1.0", False)):
        with world(tmp_path / str(rule and rule[:2]), closed=closed_items(2), answers={"strip_thinking": rule}) as w:
            for arm, shard in w.parts():
                lines = []
                for one, _, item_id, _ in w.requests(arm, shard):
                    accepted = next(item["answers"][0] for item in closed_items(2) if item["id"] == item_id)
                    lines.append(thinking(one).replace(b"answer", accepted.encode()) if arm.condition == "treatment" else success_line(one, accepted))
                w.save(arm, shard, lines)
                w.settle(shard)
            scored(w)
            assert {row["em"] for row in scores(w) if row["condition"] == "treatment"} == {em}, rule
            assert {row["em"] for row in scores(w) if row["condition"] == "control"} == {"1.0"}
            assert account(w)["answers"]["arms"]["t0_treatment"]["thinking_marks"] == 2
            assert account(w)["answers"]["all"]["thinking_marks"] == 2
            text = json.dumps([str(one) for one in _report(w)])
            assert ("2 answers hold marks of thinking" in text) == warned, rule


def _report(w: World) -> list[Any]:
    from batchtrial.phases.report import account_words as accounts

    return accounts.account_blocks(account(w), w.config.answers.strip_thinking)


@pytest.mark.parametrize(
    ("stats", "state", "em", "abstained", "false_answer", "lost"),
    [
        ({"cut_answers": "wrong"}, "cut", "0.0", "0.0", "1.0", ""),
        ({"cut_answers": "as_is"}, "cut", "", "", "", "cut:1"),
        ({"cut_answers": "wrong"}, "unfinished_thinking", "0.0", "0.0", "1.0", ""),
        ({"cut_answers": "as_is"}, "unfinished_thinking", "", "", "", "unfinished_thinking:1"),
        ({"refused_answers": "wrong"}, "refused", "0.0", "0.0", "1.0", ""),
        ({"refused_answers": "abstained"}, "refused", "1.0", "1.0", "0.0", ""),
        ({"refused_answers": "abstained", "cut_answers": "wrong"}, "filtered", "", "", "", "filtered:1"),
    ],
)
def test_declared_rules_decide_what_counts(
    tmp_path: Path, stats: dict[str, str], state: str, em: str, abstained: str, false_answer: str, lost: str
) -> None:
    with world(tmp_path, opened=open_items(4, unanswerable_every=1), stats=stats) as w:
        fill(w, LINES[state])
        scored(w)
        got = {(r["em"], r["abstain_rate"], r["false_answer_rate"], r["lost_to"]) for r in scores(w) if r["condition"] == "treatment"}
    assert got == {(em, abstained, false_answer, lost)}


def test_half_an_answer_counts_as_it_is_when_the_plan_says_so(tmp_path: Path) -> None:
    for rule, em in (("as_is", "1.0"), ("lost", ""), ("wrong", "0.0")):
        with world(tmp_path / rule, closed=closed_items(1), stats={"cut_answers": rule}) as w:
            fill(w, body({"content": closed_items(1)[0]["answers"][0]}, "length"))
            scored(w)
            assert [row["em"] for row in scores(w) if row["condition"] == "treatment"] == [em]


def test_samples_of_one_item_are_lost_one_by_one(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(2), samples_per_item=3) as w:
        for arm, shard in w.parts():
            kinds = [LINES["cut"], lambda one: success_line(one, "x"), LINES["refused"]]
            w.save(arm, shard, [kinds[sample](one) for one, _, _, sample in w.requests(arm, shard)])
            w.settle(shard)
        scored(w)
        assert {(row["lost_to"], row["n_samples"], row["n_lost"]) for row in scores(w)} == {("cut:1 refused:1", "1", "2")}
    assert read_lost("cut:1 refused:12") == {"cut": 1, "refused": 12}


def test_finish_reasons_that_nobody_knows_are_counted_by_name(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(3)) as w:
        fill(w, body({"content": "x"}, "of_tomorrow"))
        w.run(parse.phase)
        told = account(w)["answers"]["arms"]["t0_treatment"]
        assert told["unknown_finish_reasons"] == {"of_tomorrow": 3}
        assert told["states"]["complete"] == 3
        assert any("of_tomorrow 3" in str(one) for one in _report(w))


def test_messages_that_differ_in_numbers_are_one_reason_and_the_rarest_are_added_up() -> None:
    told = counted_reasons([f"errored: 400: request ({n} tokens) exceeds 4096, req_{n:020d}" for n in range(50)] + ["missing"] * 3)
    assert list(told.values()) == [50, 3]
    many = counted_reasons(f"errored: {chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(100))
    assert len(many) == MOST_REASONS + 1
    assert many[OTHERS] == 100 - MOST_REASONS
    assert list(many)[-1] == OTHERS


def kinds(one: str) -> dict[str, bytes]:
    return {
        "answer": success_line(one, "x"),
        "unreadable": unreadable(one),
        "errored": error_line(one, "internal_error", "b"),
        "errored too": error_line(one, "bad", "a"),
        "expired": error_line(one, "batch_expired", "late"),
        "cancelled": error_line(one, "batch_cancelled", "stopped"),
    }


@pytest.mark.parametrize("chosen", list(itertools.combinations(["answer", "unreadable", "errored", "errored too", "expired", "cancelled"], 2)))
def test_ledger_account_and_export_choose_the_same_line_in_whatever_order_they_came(tmp_path: Path, chosen: Sequence[str]) -> None:
    seen = []
    for place, order in enumerate((chosen, tuple(reversed(chosen)))):
        with world(tmp_path / str(place), closed=closed_items(2)) as w:
            for arm, shard in w.parts():
                w.save(arm, shard, [kinds(one)[kind] for one, *_ in w.requests(arm, shard) for kind in order])
            counted = {}
            for arm, shard in w.parts():
                counted[arm.stem] = _fate(w, arm, shard).counts.model_dump()
                w.settle(shard)
            w.run(parse.phase)
            told = {stem: {k: n for k, n in one.items() if k != "requests"} for stem, one in account(w)["arms"].items()}
            assert told == counted
            with publishing(w.work(), w.folder / "combined.jsonl") as out:
                write_combined(w.work(), w.trial, out)
            exported = (w.folder / "combined.jsonl").read_bytes()
            decoded = [w.work().codec.decode(line) for line in exported.splitlines()]
            assert [one.outcome.value for one in decoded] == [row["outcome"] for row in rows(w)]
            assert [one.error or "" for one in decoded] == [row["error"] for row in rows(w)]
            seen.append((exported, rows(w), told))
    assert seen[0] == seen[1]


def _fate(w: World, arm: TrialArm, shard: Any) -> answers.Fate:
    record = w.work().ledger.part(shard.part)
    folder = w.layout.root / arm.part_folder(shard.part_index)
    whole = w.layout.part_input(shard.part)
    return answers.fate(whole, record.attempts, w.layout.root, lambda number: result_file(folder, number), w.work().codec.decode)


def test_a_row_that_is_not_understood_is_not_asked_again_and_an_answer_of_a_later_attempt_takes_its_place(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(1)) as w:
        for arm, shard in w.parts():
            ids = [one for one, *_ in w.requests(arm, shard)]
            w.save(arm, shard, [unreadable(one) for one in ids])
            fate = _fate(w, arm, shard)
            assert (fate.again, fate.not_understood) == ((), tuple(ids))
            assert list(fate.reasons.values()) == [1]
            w.retry(shard, 1)
            later = success_line if arm.condition == "control" else lambda one, _: error_line(one)
            w.save(arm, shard, [later(one, "x") for one in ids], attempt=2, asked=ids)
            w.settle(shard)
        w.run(parse.phase)
        assert [(row["outcome"], row["answer_state"]) for row in rows(w)] == [("succeeded", "complete"), ("succeeded", "not_understood")]


def test_the_report_has_the_states_and_the_reasons(tmp_path: Path) -> None:
    assert blocks is not None
    with world(tmp_path, closed=closed_items(4)) as w:
        fill(w, LINES["filtered"], 2)
        w.run(parse.phase)
        text = " ".join(str(one) for one in _report(w))
    assert "('t0_treatment', '2', '2')" in text
    assert "filtered" in text


def _without(path: Path, column: str) -> None:
    with path.open(newline="") as file:
        table = list(csv.reader(file))
    at = table[0].index(column)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([row[:at] + row[at + 1 :] for row in table])


def test_the_files_of_an_earlier_version_are_reported_and_parsed_anew_by_a_resume(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(N)) as w:
        fill(w, LINES["cut"], 5)
        for phase in (parse.phase, score.phase, stats.phase, costs.phase):
            w.run(phase)
        w.export()
        files = w.layout.trial(w.trial.slug)
        predictions = files.predictions.read_bytes()
        _without(files.predictions, "answer_state")
        _without(files.scores, "lost_to")
        told = account(w)
        told.pop("answers")
        files.account.write_text(json.dumps(told))
        assert blocks(w.view, w.trial)
        assert parse.phase.verdict(w.view).status == "stale"
        w.run(parse.phase)
        w.export()
        assert files.predictions.read_bytes() == predictions
