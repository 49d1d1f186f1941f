"""Exports of a run whose answers, questions and names are hostile: nothing is lost, nothing acts, and what cannot be had is named."""

from __future__ import annotations

import csv
import json
import resource
import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.phases.world import World
from tests.unit.reading.trials import SEVERAL, beginning_with, finished

from batchtrial.cli.commands.export import main
from batchtrial.errors import ManifestCorrupt
from batchtrial.exporting.figures import svg
from batchtrial.exporting.forms import Form
from batchtrial.exporting.latex import escaped, latex
from batchtrial.exporting.rows import TEXTS, stretches
from batchtrial.modes import Mode
from batchtrial.phases.score.record import read_record
from batchtrial.reading.frames import pairs_frame
from batchtrial.reading.results import comparisons_frame, costs_frame
from batchtrial.reading.run_tables import RunTables
from batchtrial.state.layout import RunLayout

HOSTILE = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1",
    '=cmd|" /C calc"!A0',
    "</script><script>",
    "\\input{/etc/passwd} $x$ 100% a_b #1 & ~^",
    "a\u2028b\u0007c",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    how: dict[str, Any] = {"samples_per_item": 2, "stats": {"permutation_samples": 999}, "metrics": ["output_tokens", {"words": {"name": "label"}}]}
    with finished(tmp_path_factory.mktemp("exports"), beginning_with(HOSTILE), **how, run_id="run_r1") as made:
        yield made


def export(world: World, *what: str) -> int:
    root = world.layout.root
    return main(["--run_id", world.layout.run_id, "--experiments_dir", str(root.parent), *what])


def test_a_form_of_another_package_that_fails_is_named(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def die(tables: RunTables, path: str, is_redacted: bool) -> str:
        raise RuntimeError("no such template")

    form = Form(name="dying", takes="FILE", about="dies", write=die)
    monkeypatch.setattr("batchtrial.exporting.forms.added", lambda group: [(None, form)])
    assert export(world, "--dying", "x.txt") == 1
    said = capsys.readouterr().err
    assert "the form of export 'dying' failed: RuntimeError: no such template" in said
    assert "defect" not in said


def cells(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_have_question_prompts_answer_and_scores_in_three_forms(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = {name: tmp_path / f"rows.{name}" for name in ("csv", "jsonl", "parquet")}
    assert export(world, *(part for name, path in paths.items() for part in (f"--{name}", str(path)))) == 0
    assert capsys.readouterr().out.count("240 rows") == 3
    table = pl.read_parquet(paths["parquet"])
    lines = [json.loads(line) for line in paths["jsonl"].read_text(encoding="utf-8").split("\n") if line]
    rows = cells(paths["csv"])
    assert table.height == len(lines) == len(rows) == 240
    assert list(lines[0]) == list(rows[0]) == table.columns
    assert table["answer"].to_list() == [line["answer"] for line in lines]
    assert set(HOSTILE) <= set(table["answer"].drop_nulls())
    assert table["simulated"].all()
    first = table.filter(pl.col("item_id") == "o12").row(0, named=True)
    assert first["system"] == "Answer."
    assert first["prompt"].startswith("Answer from the passage.\n\nCONTEXT:\nPassage 12 says")
    assert (first["reference"], first["question"]) == ("answer 12", "Which word belongs to number 12?")


def test_a_metric_that_is_called_as_a_column_of_the_rows_stands_beside_it(world: World, tmp_path: Path) -> None:
    assert export(world, "--parquet", str(tmp_path / "rows.parquet")) == 0
    rows = pl.read_parquet(tmp_path / "rows.parquet").filter(pl.col("answer").is_not_null())
    assert rows["label"].dtype == pl.String
    assert rows["score_label"].is_not_null().all()
    means = rows.group_by("arm", "item_key").agg(pl.col("output_tokens").mean(), pl.col("score_output_tokens").first(), pl.len())
    assert (means["output_tokens"] - means["score_output_tokens"]).abs().max() == 0.0
    assert means["len"].max() == 2


def test_no_cell_of_the_csv_is_a_formula(world: World, tmp_path: Path) -> None:
    assert export(world, "--csv", str(tmp_path / "rows.csv")) == 0
    rows = cells(tmp_path / "rows.csv")
    assert {row["answer"] for row in rows} >= {f"'{text}" for text in HOSTILE[:9]}
    texts = ("answer", "question", "context", "prompt", "system", "error", "label", "item_id")
    assert not [row[name] for row in rows for name in texts if row[name][:1] in tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")]


def test_a_score_stands_beside_each_answer_that_it_is_of(world: World, tmp_path: Path) -> None:
    assert export(world, "--parquet", str(tmp_path / "rows.parquet")) == 0
    rows = pl.read_parquet(tmp_path / "rows.parquet")
    with RunTables.of(world.layout) as tables:
        arms = world.trial.arms
        pairs = pairs_frame(tables, arms[0], arms[1])
    for side, arm in zip("ab", arms, strict=True):
        mine = rows.filter((pl.col("arm") == arm.name) & (pl.col("sample") == 0))
        assert mine["em"].to_list() == pairs[f"em_{side}"].to_list()


def test_redacted_rows_have_no_text_and_forms_made_of_texts_are_refused(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    assert export(world, "--jsonl", str(path), "--redact") == 0
    assert not set(json.loads(path.read_text().partition("\n")[0])) & set(TEXTS)
    assert export(world, "--dataset_card", str(tmp_path / "card"), "--redact") == 2
    assert "made of texts" in capsys.readouterr().err


def test_tex_acts_on_nothing_that_a_name_holds() -> None:
    assert escaped(r"\input{x} $a$ 100% a_b #1 & ~^ {}") == (
        r"\textbackslash{}input\{x\} \$a\$ 100\% a\_b \#1 \& \textasciitilde{}\textasciicircum{} \{\}"
    )
    assert escaped("na\u00efve \u0141\u00f3d\u017a \u4e2d\U0001f600\x00 a--b") == r"na\"{i}ve \L{}\'{o}d\'{z} [U+4E2D][U+1F600][U+0000] a-{}-b"
    assert "%" not in escaped("100 %").replace(r"\%", "")


@pytest.mark.parametrize("mode", ["dry_run", "live"])
def test_latex_has_the_numbers_of_the_report_and_says_when_nobody_was_asked(world: World, mode: Mode) -> None:
    with RunTables.of(world.layout) as tables:
        tests, costs = comparisons_frame(tables.layout, tables.trials), costs_frame(tables.layout, tables.trials)
    made = latex(tests, costs, mode=mode)
    report = world.layout.trial(world.trial.slug).report_md.read_text()
    row = next(line for line in made.splitlines() if line.startswith(r"\raggedright exact match (all questions)"))
    for cell in row.removesuffix(r" \\").split(" & ")[1:3]:
        assert cell.replace(r"\%", "%") in report
    assert ("SIMULATED" in made) == (mode == "dry_run")
    assert made.count(r"\begin{table}") == made.count(r"\end{table}") == made.count(r"\bottomrule") == 3


def test_in_tables_no_two_rows_of_several_temperatures_are_called_the_same(world: World) -> None:
    with RunTables.of(world.layout) as tables:
        tests, costs = comparisons_frame(tables.layout, tables.trials), costs_frame(tables.layout, tables.trials)
    warm = pl.lit(0.7).alias("temp")
    tests = pl.concat([tests, tests.with_columns(warm, pl.lit("temperatures").alias("family"), pl.lit(False).alias("is_declared"))])
    made = latex(tests, pl.concat([costs, costs.with_columns(warm)]), mode="live")
    rows = [line.partition(r" \\")[0] for line in made.splitlines() if line.startswith(r"\raggedright")]
    assert len({row.split(" & ")[0] for row in rows[:-4]}) == len(rows[:-4]) == tests.height
    arms = [row.split(" & ")[1].removeprefix(r"\raggedright ") for row in rows[-4:]]
    assert arms == ["control, t = 0", "treatment, t = 0", "control, t = 0.7", "treatment, t = 0.7"]


@pytest.mark.parametrize(
    ("changed", "mark"),
    [
        ({"standing": "exploratory", "is_claim": False}, "exploratory"),
        ({"verdict": "not decidable", "is_claim": False}, "not decidable"),  # such as what a judge says and no labels correct
        ({"verdict": "not decided", "is_claim": False}, "not decided"),
    ],
)
def test_tables_and_pictures_for_a_paper_say_what_is_no_claim_and_of_what_a_p_value_is(
    changed: dict[str, Any], mark: str, world: World, tmp_path: Path
) -> None:
    run = shutil.copytree(world.layout.root, tmp_path / "run_r1")
    for path in run.glob("*/results/significance.json"):
        tests = json.loads(path.read_bytes())
        changed = {**changed, "decided_by": "margin", "p_adjusted": 0.0251, "margin": {"low": -0.02, "high": None}}
        for one in tests["tests"]:
            if one["family"] == "primary":
                one |= {**changed, "estimate": {**one["estimate"], "ci_low": -0.01999}}
        path.write_text(json.dumps(tests))
    with RunTables.of(RunLayout(run)) as tables:
        rows = latex(comparisons_frame(tables.layout, tables.trials), costs_frame(tables.layout, tables.trials), mode="live").splitlines()
        (named,) = [text.text for text in ET.fromstring(svg(tables)).iter("{http://www.w3.org/2000/svg}text") if mark in (text.text or "")]
    (row,) = [line for line in rows if line.startswith(rf"\raggedright {mark}: exact match (all questions)")]
    assert r"0.0251\\(margin" in row
    assert "($-$1.999 to" in row
    assert named is not None
    assert named.startswith(f"{mark}: exact match")


def test_the_picture_is_one_and_its_labels_are_text(world: World, tmp_path: Path) -> None:
    assert export(world, "--svg", str(tmp_path / "forest.svg")) == 0
    root = ET.fromstring((tmp_path / "forest.svg").read_bytes())
    told = ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any(text.startswith("exact match") for text in told)
    assert "SIMULATED ANSWERS" in told


def test_a_run_that_compares_nothing_yet_gives_no_empty_tables(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(world.layout.root, tmp_path / "run_r1")
    for path in run.glob("*/results/significance.json"):
        path.unlink()
    for form in ("latex", "svg"):
        assert main(["--run_id", "r1", "--experiments_dir", str(tmp_path), f"--{form}", str(tmp_path / "made")]) == 3
        assert "has no comparison" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("flag", "module", "extra"), [("--pdf", "matplotlib", "figures"), ("--inspect", "inspect_ai.log", "inspect"), ("--mlflow", "mlflow", "mlflow")]
)
def test_a_missing_package_is_named_with_its_extra(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, flag: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert export(world, flag, str(tmp_path / "out")) == 2
    assert f"batchtrial[{extra}]" in capsys.readouterr().err


def test_the_card_tells_columns_results_and_that_nobody_was_asked(world: World, tmp_path: Path) -> None:
    assert export(world, "--dataset_card", str(tmp_path / "card")) == 0
    card = (tmp_path / "card" / "README.md").read_text()
    assert card.startswith("---\npretty_name:")
    assert "SIMULATED ANSWERS" in card
    assert "Primary endpoint" in card
    assert export(world, "--dataset_card", str(tmp_path / "card")) == 2


@pytest.mark.parametrize("form", ["parquet", "dataset_card", "csv", "jsonl"])
def test_a_disk_without_room_is_told_as_one_and_leaves_no_file(
    world: World, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "rows"
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # Python would keep what it could write of a module that is first read now
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        assert export(world, f"--{form}", str(target)) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capsys.readouterr().err
    assert "File too large" in said
    assert str(tmp_path) in said
    assert "defect" not in said
    assert list(tmp_path.iterdir()) == []
    target.mkdir() if form == "dataset_card" else None
    assert export(world, f"--{form}", str(target)) == 0


def test_nothing_asked_for_and_no_folder_are_refused(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(world) == 2
    assert "--dataset_card" in capsys.readouterr().err
    assert export(world, "--latex", str(tmp_path / "none" / "x.tex")) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_two_forms_at_one_place_are_refused_before_either_is_written(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for first, second in (("csv", "jsonl"), ("html", "svg")):
        assert export(world, f"--{first}", str(tmp_path / "x"), f"--{second}", str(tmp_path / "." / "x")) == 2
        assert f"--{first} and --{second} name the same place" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_system_turns_of_a_task_are_part_of_what_was_sent(tmp_path: Path) -> None:
    with finished(tmp_path, n_open=1, n_closed=1, run_id="run_task", **(SEVERAL | {"judges": []})) as made, RunTables.of(made.layout) as tables:
        rows = pl.concat(stretches(tables))
    assert rows.group_by("label").agg(pl.col("system").unique().str.join()).sort("label").rows() == [
        ("brief", "Answer in one word.\n\nBe kind."),
        ("control", "Answer.\n\nBe kind."),
        ("turn", "Answer."),
        ("warm", "Answer warmly.\n\nBe kind."),
    ]


@pytest.mark.parametrize("victim", ["prepared/items.parquet", "arms/*/answers.parquet", "arms/*/scores.parquet", "prepared/*_book.jsonl"])
def test_a_damaged_table_or_item_is_told_with_what_mends_it(world: World, tmp_path: Path, victim: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = shutil.copytree(world.layout.root, tmp_path / "run_r1")
    for path in run.glob(victim):
        data = path.read_bytes()
        path.write_bytes(data[:8] + bytes(byte ^ 0x5A for byte in data[8:]))
    assert main(["--run_id", "r1", "--experiments_dir", str(tmp_path), "--jsonl", str(tmp_path / "rows.jsonl")]) == 3
    said = capsys.readouterr().err
    told = ("cannot be read", "`batchtrial repair") if victim.endswith(".jsonl") else (Path(victim).name, "another checksum", "`batchtrial resume")
    assert [text for text in told if text not in said] == []
    assert "this is a defect" not in said


@pytest.mark.parametrize("content", ["{", "[1]", '{"metrics": null}'])
def test_a_damaged_record_of_the_scores_is_named(world: World, tmp_path: Path, content: str) -> None:
    run = shutil.copytree(world.layout.root, tmp_path / "run_r1")
    for path in run.glob("*/results/scoring.json"):
        path.write_text(content)
        with pytest.raises(ManifestCorrupt, match=r"scoring\.json is damaged"):
            read_record(RunLayout(run).trial(path.parent.parent.name))
