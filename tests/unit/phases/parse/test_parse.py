"""parse: every request gets exactly one row, whatever the provider sent and in whatever order."""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.phases.world import Stop, World, closed_items, error_line, open_items, success_line, text_of, world

from batchtrial.config.expand import TrialArm
from batchtrial.errors import Stopped
from batchtrial.phases.base import publishing
from batchtrial.phases.build.index import load_index
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.report.all_results import write_combined
from batchtrial.phases.tables import columns
from batchtrial.phases.tables.columns import PREDICTIONS, TOKENS, Column
from batchtrial.providers.base import SpeaksFor
from batchtrial.records import Outcome, RawResult
from batchtrial.state.layout import TrialLayout

NASTY = (
    'He said "no", then "yes".',
    "back\\slash \\n not a newline, \\\\ two",
    "line one\nline two\r\nline three\rend",
    "=cmd|' /C calc'!A0",
    "+1-555 @SUM(A1)",
    "comma, semicolon; tab\t end ",
    "  spaces around  ",
    "naïve café 漢字 🐸 ﷽ \u202e right-to-left",
    "',\"';--",
    '"',
    '""',
    "nan",
    "null",
    "<script>alert(1)</script> `code` | table |",
)


def schema() -> dict[str, Any]:
    """Column types for polars."""
    numbers = {"sample", "total_tokens", *TOKENS}
    return {name: pl.Int64 if own in numbers else pl.Float64 if own == "temp" else pl.String for name, own in PREDICTIONS.items()}


def layout(w: World) -> TrialLayout:
    return w.layout.trial(w.trial.slug)


def table(w: World) -> pl.DataFrame:
    w.export()
    return pl.read_csv(layout(w).predictions, schema=schema())


def account(w: World) -> dict[str, Any]:
    return dict(json.loads(layout(w).account.read_bytes()))


def published(w: World) -> dict[str, bytes]:
    w.export()
    found = layout(w)
    return {path.name: path.read_bytes() for path in (found.predictions, found.account)}


def combined(w: World) -> bytes:
    with publishing(w.work(), w.folder / "combined.jsonl") as out:
        write_combined(w.work(), w.trial, out)
    return (w.folder / "combined.jsonl").read_bytes()


def plain(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str:
    return f"{item_id} by {arm.condition} #{sample}"


def shuffled(seed: int) -> Callable[[list[bytes]], list[bytes]]:
    def order(lines: list[bytes]) -> list[bytes]:
        mixed = list(lines)
        random.Random(seed).shuffle(mixed)
        return mixed

    return order


def test_the_order_of_lines_changes_no_byte(tmp_path: Path) -> None:
    seen = []
    for seed in range(3):
        with world(tmp_path / str(seed), opened=open_items(70), closed=closed_items(80), run_id=f"r{seed}") as w:
            w.answer_all(plain, order=shuffled(seed))
            w.run(parse.phase)
            seen.append(published(w))
    assert seen[0] == seen[1] == seen[2]


def test_rows_are_in_request_order_control_first_then_temperatures_then_samples(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(5), temps=[0.0, 0.7], samples_per_item={"0.0": 1, "0.7": 12}) as w:
        w.answer_all(plain, order=shuffled(1))
        w.run(parse.phase)
        got = table(w)
        want = []
        for condition in ("control", "treatment"):
            for temp in (0.0, 0.7):
                arm = w.trial.arm(condition, temp)
                assert arm is not None
                for shard in w.view.shards(arm):
                    want += [one for one, *_ in w.requests(arm, shard)]
        assert got["custom_id"].to_list() == want
        assert got["sample_index"].to_list()[:5] == [0] * 5
        assert got.filter(pl.col("temp") == 0.7)["sample_index"].to_list()[:12] == list(range(12))
        assert got["response_text"].to_list()[-1].endswith("by treatment #11")
        assert [json.loads(line)["custom_id"] for line in combined(w).splitlines()] == want


@pytest.mark.parametrize("reader", ["polars", "csv"])
def test_every_text_comes_back_to_the_letter(tmp_path: Path, reader: str) -> None:
    with world(tmp_path, closed=closed_items(len(NASTY))) as w:
        w.answer_all(lambda arm, dataset, item_id, sample: NASTY[int(item_id[1:])])
        w.run(parse.phase)
        if reader == "polars":
            got = {row["item_id"]: row["response_text"] for row in table(w).to_dicts()}
        else:
            w.export()
            with layout(w).predictions.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            assert list(rows[0]) == list(PREDICTIONS)
            got = {row["item_id"]: row["response_text"] for row in rows}
        assert got == {f"c{i}": text for i, text in enumerate(NASTY)}


def test_an_escaped_nul_and_a_lone_surrogate_become_replacement_characters(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(3)) as w:
        for arm, shard in w.parts():
            lines = w.lines(arm, shard, plain)
            lines[0] = lines[0].replace(b" by ", b" \\u0000 ")
            lines[1] = lines[1].replace(b" by ", b" \\ud800 ")
            w.save(arm, shard, lines)
            w.settle(shard)
        w.run(parse.phase)
        texts = table(w)["response_text"].to_list()
        assert [text.split()[1] for text in texts] == ["\ufffd", "\ufffd", "by"] * 2


def test_the_five_outcomes_are_counted_and_add_up(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(5)) as w:
        for arm, shard in w.parts():
            ids = [one for one, *_ in w.requests(arm, shard)]
            w.save(
                arm,
                shard,
                [
                    success_line(ids[0], "fine"),
                    error_line(ids[1], "internal_error", 'it "broke", twice\nhere'),
                    error_line(ids[2], "batch_expired", "too late"),
                    error_line(ids[3], "batch_cancelled", "stopped"),
                ],
            )
            w.settle(shard)
        w.run(parse.phase)
        got, counts = table(w), account(w)
    assert got["outcome"].to_list() == [outcome.value for outcome in Outcome] * 2
    assert counts["all"] == {"requests": 10, "succeeded": 2, "errored": 2, "expired": 2, "cancelled": 2, "missing": 2}
    assert counts["arms"]["t0_control"] == counts["arms"]["t0_treatment"]
    assert got["error"].to_list()[1] == 'internal_error: it "broke", twice\nhere'
    assert got["error"].to_list()[4].startswith("missing: ")
    assert got["response_text"].to_list()[1:5] == [None] * 4
    assert got["prompt_tokens"].to_list()[:2] == [40, None]


def test_an_empty_answer_is_an_answer(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(2)) as w:
        w.answer_all(lambda *_: "")
        w.run(parse.phase)
        assert table(w)["response_text"].to_list() == [""] * 4
        assert set(table(w)["outcome"].to_list()) == {"succeeded"}


def test_a_request_without_a_line_gets_one_that_says_so(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(3)) as w:
        for arm, shard in w.parts():
            w.save(arm, shard, w.lines(arm, shard, plain)[:-1])
            w.settle(shard)
        w.run(parse.phase)
        lines = [json.loads(line) for line in combined(w).splitlines()]
    assert len(lines) == 6
    assert lines[2]["response"] is None
    assert lines[2]["error"]["code"] == "missing"


def odd_lines(w: World, ids: list[str]) -> list[bytes]:
    return [
        b"{not json\n",
        b"\n",
        b'{"custom_id": 7}\n',
        b'{"custom_id":"' + ids[0].encode() + b'","response":{"choices":[{"message":{"content":"\xff"}}]}}\n',
        success_line("somebody-else", "hello"),
        success_line(ids[1], "a second answer"),
        b"[" * 5000 + b"\n",
    ]


def test_odd_lines_are_counted_with_samples_and_change_nothing_else(tmp_path: Path) -> None:
    with world(tmp_path / "clean", closed=closed_items(90)) as clean:
        clean.answer_all(plain)
        clean.run(parse.phase)
        want = published(clean) | {"combined": combined(clean)}
    with world(tmp_path / "odd", closed=closed_items(90)) as w:
        for arm, shard in w.parts():
            lines = w.lines(arm, shard, plain)
            ids = [one for one, *_ in w.requests(arm, shard)]
            lines[40:40] = [line for line in odd_lines(w, ids) if b"a second answer" not in line]
            w.save(arm, shard, lines)
            w.settle(shard)
        w.run(parse.phase)
        got, counts = published(w) | {"combined": combined(w)}, account(w)["odd_lines"]
    assert got["predictions.csv"] == want["predictions.csv"]
    assert got["combined"] == want["combined"]
    assert {kind: one["count"] for kind, one in counts.items()} == {"malformed": 8, "unknown": 2, "duplicate": 0}
    first = counts["malformed"]["samples"][0]
    assert first["line"] == 41
    assert first["file"].endswith("/p01/results.jsonl")
    assert first["excerpt"] == "{not json"
    assert len(counts["malformed"]["samples"]) == 5


@pytest.mark.parametrize("reverse", [False, True])
def test_of_two_lines_for_one_request_the_success_wins_in_any_order(tmp_path: Path, reverse: bool) -> None:
    with world(tmp_path, closed=closed_items(2)) as w:
        for arm, shard in w.parts():
            ids = [one for one, *_ in w.requests(arm, shard)]
            lines = [error_line(ids[0]), success_line(ids[0], "b"), success_line(ids[0], "a"), success_line(ids[1], "c")]
            w.save(arm, shard, lines[::-1] if reverse else lines)
            w.settle(shard)
        w.run(parse.phase)
        assert table(w)["response_text"].to_list() == ["a", "c"] * 2
        kept = [json.loads(line)["response"]["choices"][0]["message"]["content"] for line in combined(w).splitlines()]
        assert kept == ["a", "c"] * 2
        assert account(w)["odd_lines"]["duplicate"]["count"] == 4


def test_of_two_answers_that_differ_in_usage_alone_one_is_taken_in_any_order(tmp_path: Path) -> None:
    found = set()
    for reverse in (False, True):
        with world(tmp_path / str(reverse), closed=closed_items(2)) as w:
            for arm, shard in w.parts():
                ids = [one for one, *_ in w.requests(arm, shard)]
                lines = [success_line(ids[0], "a", n_out=9), success_line(ids[0], "a", n_out=7), success_line(ids[1], "c")]
                w.save(arm, shard, lines[::-1] if reverse else lines)
                w.settle(shard)
            w.run(parse.phase)
            found.add((published(w)["predictions.csv"], combined(w)))
    assert len(found) == 1


def test_a_later_attempt_counts_for_the_rows_that_it_asked(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(5)) as w:
        for arm, shard in w.parts():
            ids = [one for one, *_ in w.requests(arm, shard)]
            first = [success_line(ids[0], "kept"), *(error_line(one) for one in ids[1:4]), error_line(ids[4], "batch_expired")]
            w.save(arm, shard, first)
            w.retry(shard, 4)
            # The second attempt answers one row, fails one, and loses two; it also answers a row that it was not asked for.
            second = [success_line(ids[1], "mended"), error_line(ids[2], "still_broken", "again"), success_line(ids[0], "not asked for")]
            w.save(arm, shard, second, attempt=2, asked=ids[1:])
            w.settle(shard)
        w.run(parse.phase)
        got = table(w)
        counts = account(w)
        lines = [json.loads(line) for line in combined(w).splitlines()]
    assert [line["response"]["choices"][0]["message"]["content"] for line in lines[:2]] == ["kept", "mended"]
    assert [line["error"]["code"] for line in lines[2:5]] == ["still_broken", "missing", "missing"]
    assert got["response_text"].to_list()[:2] == ["kept", "mended"]
    assert got["outcome"].to_list()[:5] == ["succeeded", "succeeded", "errored", "missing", "missing"]
    assert got["error"].to_list()[2] == "still_broken: again"
    assert counts["odd_lines"]["unknown"]["count"] == 2


def test_a_refused_batch_leaves_errors_with_its_reason(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(2)) as w:
        for _, shard in w.parts():
            w.reject(shard, reason="INVALID_ARGUMENT: row 2 is not valid")
            w.settle(shard)
        w.run(parse.phase)
        assert table(w)["outcome"].to_list() == ["errored"] * 4
        assert table(w)["error"].to_list()[0] == "batch_rejected: INVALID_ARGUMENT: row 2 is not valid"


@pytest.mark.parametrize(("word", "outcome"), [("JOB_STATE_EXPIRED", "expired"), ("cancelled", "cancelled"), ("COMPLETED", "missing")])
def test_rows_that_a_batch_never_ran_end_as_the_batch_did(tmp_path: Path, word: str, outcome: str) -> None:
    with world(tmp_path, closed=closed_items(3)) as w:
        for arm, shard in w.parts():
            w.save(arm, shard, w.lines(arm, shard, plain)[:1], wire_state=word)
            w.settle(shard)
        w.run(parse.phase)
        assert table(w)["outcome"].to_list() == ["succeeded", outcome, outcome] * 2


def test_a_part_whose_results_are_empty_is_all_missing(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(2)) as w:
        for arm, shard in w.parts():
            w.save(arm, shard, [])
            w.settle(shard)
        w.run(parse.phase)
        assert account(w)["all"]["missing"] == 4


def test_a_repeated_key_cannot_pass_one_answer_off_as_another(tmp_path: Path) -> None:
    """A line that names two requests goes to the one that decoding says, and to it alone."""
    with world(tmp_path, closed=closed_items(3)) as w:
        for arm, shard in w.parts():
            lines = w.lines(arm, shard, plain)
            ids = [one for one, *_ in w.requests(arm, shard)]
            lines[1] = lines[1][:-2] + b',"custom_id":"' + ids[2].encode() + b'"}\n'
            w.save(arm, shard, lines[:2])
            w.settle(shard)
        w.run(parse.phase)
        assert table(w)["outcome"].to_list()[:3] == ["succeeded", "missing", "succeeded"]


def broken(line: bytes) -> bytes:
    return line[:-3] + b"\n"


def renamed(line: bytes) -> bytes:
    custom_id = json.loads(line)["custom_id"]
    return line[:-2] + f',"custom_id":"{custom_id[::-1]}"}}\n'.encode()


@pytest.mark.parametrize("spoil", [broken, renamed])
def test_an_odd_line_loses_the_request_that_it_was_for_and_no_other(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    with world(tmp_path, closed=closed_items(300), submission={"lines_per_part": 150}) as w:
        for arm, shard in w.parts():
            lines = w.lines(arm, shard, plain)
            lines[140] = spoil(lines[140])
            w.save(arm, shard, shuffled(5)(lines))
            w.settle(shard)
        w.run(parse.phase)
        assert table(w)["outcome"].to_list() == (["succeeded"] * 140 + ["missing"] + ["succeeded"] * 9) * 4
        manifest = (layout(w).results / "trial_manifest.json").read_text()
        assert hashlib.sha256(published(w)["account.json"]).hexdigest() in manifest


def answers(w: World, condition: str) -> pl.DataFrame:
    (arm,) = (arm for arm in w.trial.arms if arm.condition == condition)
    return pl.read_parquet(w.layout.arm(arm.name).answers)


def test_the_table_of_an_arm_says_what_the_csv_says_and_where_each_line_lies(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(40), submission={"lines_per_part": 15}) as w:
        w.answer_all(lambda arm, dataset, item_id, sample: None if item_id == "c7" else NASTY[int(item_id[1:]) % len(NASTY)], order=shuffled(2))
        w.run(parse.phase)
        for condition in ("control", "treatment"):
            got, told = answers(w, condition), table(w).filter(condition=condition)
            assert got.columns == [column.name for column in columns.ANSWERS]
            assert got["place"].to_list() == list(range(40))
            for name, own in PREDICTIONS.items():
                if own in got.columns:
                    assert got[own].to_list() == told[name].to_list(), name
            for file, byte, length, custom_id in got.select("file", "byte", "length", "custom_id").iter_rows():
                line = (w.layout.root / file).read_bytes()[byte : byte + length]
                assert json.loads(line)["custom_id"] == custom_id
            assert got.filter(outcome="errored")["error_code"].to_list() == ["internal_error"]


def test_what_a_request_cost_is_null_where_nobody_knows(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(4)) as w:
        for arm, shard in w.parts():
            lines = w.lines(arm, shard, plain)
            w.save(arm, shard, [lines[0], lines[1].replace(b'"usage"', b'"use"'), error_line(json.loads(lines[2])["custom_id"])])
            w.settle(shard)
        w.run(parse.phase)
        got = answers(w, "control")
    assert got["usd"].to_list() == [pytest.approx((40 * 0.035 + 7 * 0.15) / 1e6), None, 0.0, None]
    assert got["input_tokens"].to_list() == [40, None, None, None]


def test_a_new_column_of_the_answers_is_one_edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "ANSWERS", (Column("retryable", "Boolean", "result", "retryable"), *columns.ANSWERS))
    with world(tmp_path, closed=closed_items(3)) as w:
        w.answer_all(plain)
        w.run(parse.phase)
        assert answers(w, "control")["retryable"].to_list() == [True] * 3


@pytest.mark.parametrize("name", ['say "a", b', "tab\tand\nline\r\nends", "ret\rurn", " spaced ", 'comma,quote"', "ünïcode"])
def test_item_ids_of_any_form_come_back(tmp_path: Path, name: str) -> None:
    rows = [{"id": f"{name}{i}", "question": "q", "answers": ["a"]} for i in range(3)]
    with world(tmp_path, closed=rows) as w:
        for arm, shard in w.parts():
            ids = [json.loads(line)["custom_id"] for line in w.layout.part_input(shard.part).read_bytes().splitlines()]
            w.save(arm, shard, [success_line(one, "x") for one in ids])
            w.settle(shard)
        w.run(parse.phase)
        assert set(table(w)["item_id"].to_list()) == {row["id"] for row in rows}
        assert load_index(w.layout.index)["item_id"].to_list() == table(w)["item_id"].to_list()[:3]


def test_verdicts_before_after_and_when_something_changed(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(4)) as w:
        assert parse.phase.verdict(w.view).status == "blocked"
        assert parse.phase.verdict(w.view).needs == "poll"
        w.answer_all(plain)
        assert parse.phase.verdict(w.view).status == "missing"
        w.run(parse.phase)
        assert parse.phase.verdict(w.view).is_done
        whole = layout(w).account.read_bytes()
        layout(w).account.write_bytes(whole[:-5])
        assert "account.json" in parse.phase.verdict(w.view).reason
        layout(w).account.unlink()
        assert parse.phase.verdict(w.view).status == "stale"
        w.run(parse.phase)
        assert layout(w).account.read_bytes() == whole


def test_a_stop_leaves_nothing_half_done_and_the_next_run_ends_the_same(tmp_path: Path) -> None:
    with world(tmp_path / "whole", closed=closed_items(300)) as whole:
        whole.answer_all(plain)
        whole.run(parse.phase)
        want = published(whole)
    with world(tmp_path / "stopped", closed=closed_items(300)) as w:
        w.answer_all(plain)
        for after in range(3):
            with pytest.raises(Stopped):
                w.run(parse.phase, stop=Stop(after=after))
            assert sorted(path.name for path in layout(w).results.glob("*") if path.is_file()) in ([], ["trial_manifest.json"])
        w.run(parse.phase)
        assert published(w) == want


def test_trials_that_share_a_control_each_get_its_rows(tmp_path: Path) -> None:
    def text(content: str) -> dict[str, Any]:
        return {"system": {"path": "p.txt", "text": content}}

    sets = {name: {"control": text("Answer."), "treatment": text(name)} for name in ("one", "two")}
    with world(tmp_path, closed=closed_items(6), prompt_sets=sets, sweep={"prompt_sets": ["one", "two"]}) as w:
        w.answer_all(plain)
        w.run(parse.phase)
        w.export()
        first, second = (pl.read_csv(w.layout.trial(trial.slug).predictions, schema=schema()) for trial in w.view.trials)
    assert first.filter(condition="control").equals(second.filter(condition="control"))
    assert first.height == second.height == 12
    assert set(first["custom_id"]) & set(second["custom_id"]) == set(first.filter(condition="control")["custom_id"])


class Counting(SpeaksFor):
    """The wire's codec, that counts the lines which it reads."""

    n_read = 0

    @property
    def decode(self) -> Callable[[bytes], RawResult]:
        def read(line: bytes) -> RawResult:
            self.n_read += 1
            return self._codec.decode(line)

        return read


def test_ten_treatments_with_one_control_are_the_work_of_eleven_arms(tmp_path: Path) -> None:
    names = [f"p{n}" for n in range(10)]
    sets = {name: {"control": {"system": text_of("c", "Answer.")}, "treatment": {"system": text_of(name, name)}} for name in names}
    with world(tmp_path, closed=closed_items(6), prompt_sets=sets, sweep={"prompt_sets": names}) as w:
        w.answer_all(plain)
        work = w.work()
        counting = Counting(w.codec)
        work.codec = counting  # type: ignore[assignment]  # it is asked for nothing but decoding
        parse.phase.run(work)
        assert counting.n_read == 11 * 6
        assert len(list(w.layout.arms.glob("*/answers.parquet"))) == 11
        # One trial made again takes the tables that are there.
        w.layout.trial(w.view.trials[3].slug).account.unlink()
        work = w.work()
        work.codec = counting  # type: ignore[assignment]
        parse.phase.run(work)
        assert counting.n_read == 11 * 6
        assert parse.phase.verdict(w.view).is_done


def test_progress_counts_every_request(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(150)) as w:
        w.answer_all(plain)
        w.run(parse.phase)
        assert [w.progress.steps[f"parse {arm.name}"] for arm in w.trial.arms] == [150, 150]


@st.composite
def wire(draw: st.DrawFn) -> list[tuple[int, str]]:
    """Lines as (item, kind), in any order, with repeats and gaps."""
    kinds = st.sampled_from(["success", "error", "junk", "foreign"])
    return draw(st.lists(st.tuples(st.integers(0, 6), kinds), max_size=14))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=wire())
def test_any_mix_of_lines_gives_each_request_one_true_outcome(tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[int, str]]) -> None:
    with world(tmp_path_factory.mktemp("mix"), closed=closed_items(7)) as w:
        arm, shard = w.parts()[0]
        ids = [one for one, *_ in w.requests(arm, shard)]
        made = {
            "success": lambda i: success_line(ids[i], f"answer {i}"),
            "error": lambda i: error_line(ids[i]),
            "junk": lambda i: b"junk %d\n" % i,
            "foreign": lambda i: success_line(f"foreign-{i}", "x"),
        }
        w.save(arm, shard, [made[kind](item) for item, kind in lines])
        w.settle(shard)
        other_arm, other = w.parts()[1]
        w.save(other_arm, other, w.lines(other_arm, other, plain))
        w.settle(other)
        w.run(parse.phase)
        rows = table(w).filter(condition="control").to_dicts()
        counts = account(w)
    kinds = {item: {kind for one, kind in lines if one == item} for item in range(7)}
    want = ["succeeded" if "success" in kinds[i] else "errored" if "error" in kinds[i] else "missing" for i in range(7)]
    assert [row["outcome"] for row in rows] == want
    assert [row["response_text"] for row in rows] == [f"answer {i}" if want[i] == "succeeded" else None for i in range(7)]
    assert counts["arms"]["t0_control"] | {"requests": 7} == {"requests": 7, **{o.value: Counter(want)[o.value] for o in Outcome}}
    n_own = sum(kind in ("success", "error") for _, kind in lines)
    assert counts["odd_lines"]["duplicate"]["count"] == n_own - sum(bool(kinds[i] & {"success", "error"}) for i in range(7))
    assert counts["odd_lines"]["malformed"]["count"] == sum(kind == "junk" for _, kind in lines)


@pytest.mark.parametrize("how", ["built by an earlier version", "damaged", "gone"])
def test_the_table_of_items_is_restored_where_it_is_not_as_it_was_built(tmp_path: Path, how: str) -> None:
    with world(tmp_path, opened=open_items(4), closed=closed_items(5)) as w:
        w.answer_all(plain)
        built = w.layout.items.read_bytes()
        assert pl.read_parquet(w.layout.items)["references"].to_list()[0]
        work = w.work()
        if how == "built by an earlier version" and work.view.build is not None:
            build = work.view.build.model_copy(update={"items": None})
            work.view = replace(work.view, build=build)
        if how == "damaged":
            w.layout.items.write_bytes(built[:-1])
        else:
            w.layout.items.unlink()
        parse.phase.run(work)
        assert w.layout.items.read_bytes() == built
