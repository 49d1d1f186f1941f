"""Each export is read back by the program that it is for. The nox session `exports` has them all; elsewhere what is not installed is skipped."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.phases.world import World
from tests.unit.reading.trials import SEVERAL, beginning_with, finished

from batchtrial import open_run
from batchtrial.cli.commands.export import main
from batchtrial.errors import DataError
from batchtrial.importing.logs import read_log
from batchtrial.importing.paired_logs import paired_logs

HOSTILE = ("=1+1", "\\input{/etc/passwd} $x$ 100% a_b #1 & ~^", "</script><script>", "na\u00efve \u4e2d\u6587 \U0001f600")
PACKAGE = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
\input{tables}
\end{document}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with finished(
        tmp_path_factory.mktemp("back"), beginning_with(HOSTILE), samples_per_item=2, stats={"permutation_samples": 999}, run_id="run_r1"
    ) as made:
        yield made


def export(world: World, *what: str) -> None:
    assert main(["--run_id", world.layout.run_id, "--experiments_dir", str(world.layout.root.parent), *what]) == 0


def test_tex_sets_the_tables(world: World, tmp_path: Path) -> None:
    engine = shutil.which("pdflatex")
    if engine is None:
        pytest.skip("there is no TeX on this machine")
    export(world, "--latex", str(tmp_path / "tables.tex"))
    assert "Overfull" not in typeset(engine, tmp_path)  # an article's column takes the tables as they are
    hostile = r" & 1 & 2 & 3 & 4 & 5 & 6 \\" + "\n" + r"\bottomrule"
    from batchtrial.exporting.latex import escaped

    made = (tmp_path / "tables.tex").read_text()
    (tmp_path / "tables.tex").write_text(made.replace(r"\bottomrule", "".join(map(escaped, HOSTILE)) + hostile, 1))
    assert "Missing character" not in typeset(engine, tmp_path)


def typeset(engine: str, folder: Path) -> str:
    """The log of a paper that takes the tables in."""
    (folder / "paper.tex").write_text(PACKAGE)
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "paper.pdf").stat().st_size > 5_000
    return (folder / "paper.log").read_text(errors="replace")


def test_a_pdf_reader_finds_the_labels_and_the_bytes_are_the_same_each_time(world: World, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pypdf = pytest.importorskip("pypdf")
    export(world, "--pdf", str(tmp_path / "one.pdf"), "--svg", str(tmp_path / "one.svg"))
    export(world, "--pdf", str(tmp_path / "two.pdf"))
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()
    told = pypdf.PdfReader(tmp_path / "one.pdf").pages[0].extract_text()
    assert "exact match" in told
    assert "SIMULATED" in told


def test_inspect_opens_the_logs(world: World, tmp_path: Path) -> None:
    log = pytest.importorskip("inspect_ai.log")
    export(world, "--inspect", str(tmp_path / "logs"))
    run = open_run(world.layout.root)
    listed = log.list_eval_logs(str(tmp_path / "logs"))
    assert len(listed) == 2
    for info in listed:
        read: Any = log.read_eval_log(info)
        answers = run.answers(read.eval.task_id)
        assert (read.status, len(read.samples), read.eval.config.epochs) == ("success", answers.height, 2)
        by_place = {(sample.id, sample.epoch): sample for sample in read.samples}
        for row in answers.iter_rows(named=True):
            sample = by_place.pop((row["item_key"], row["sample"] + 1))
            assert sample.output.completion == (row["text"] or "")
            assert (sample.error is None) == (row["answer_state"] == "complete")
        assert not by_place
        scores = run.scores(read.eval.task_id)
        means = {one.name: one.metrics["mean"].value for one in read.results.scores}
        assert means["em"] == pytest.approx(scores["em"].mean())


def test_mlflow_finds_the_run_with_its_numbers_and_reports(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    uri = (tmp_path / "mlruns").as_uri()
    export(world, "--mlflow", uri)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    (found,) = client.search_runs([client.get_experiment_by_name("batchtrial").experiment_id])
    tests = open_run(world.layout.root).tests
    slug, first = tests["trial"][0], tests.row(0, named=True)
    assert found.data.metrics[f"{slug}/{first['name']}/difference"] == pytest.approx(first["difference"])
    assert found.data.tags["batchtrial.mode"] == "dry_run"
    assert "SIMULATED" in found.data.tags["batchtrial.banner"]
    assert found.data.params["mode"] == "dry_run"
    assert not [name for name in found.data.params if "text" in name]
    assert "report.html" in {Path(one.path).name for one in client.list_artifacts(found.info.run_id, slug)}


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """A disk that takes no more than so many bytes of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writes_none, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # Python would keep what it could write of a module
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_none
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_logged_in_part_has_failed_in_the_store(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    uri = (tmp_path / "mlruns").as_uri()
    with no_file_beyond(3000):
        assert main(["--run_id", world.layout.run_id, "--experiments_dir", str(world.layout.root.parent), "--mlflow", uri]) == 1
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    (found,) = client.search_runs([client.get_experiment_by_name("batchtrial").experiment_id])
    assert found.info.status == "FAILED"


def test_logs_come_all_together_or_not_at_all(world: World, tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai.log")
    folder = tmp_path / "logs"
    with no_file_beyond(3000):
        assert main(["--run_id", world.layout.run_id, "--experiments_dir", str(world.layout.root.parent), "--inspect", str(folder)]) == 1
    assert list(tmp_path.iterdir()) == []
    export(world, "--inspect", str(folder))
    logs = sorted(path.name for path in folder.iterdir())
    (folder / "mine.txt").write_text("of mine")
    export(world, "--inspect", str(folder))
    assert sorted(path.name for path in folder.iterdir()) == [*logs, "mine.txt"]


def test_datasets_loads_the_folder_of_the_card(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    export(world, "--dataset_card", str(tmp_path / "card"))
    hub = pytest.importorskip("huggingface_hub")
    card = hub.DatasetCard.load(tmp_path / "card" / "README.md")
    assert [one["config_name"] for one in card.data["configs"]] == ["requests", f"pairs-{world.trial.slug}"]
    run = open_run(world.layout.root)
    rows = datasets.load_dataset(str(tmp_path / "card"), split="test", cache_dir=str(tmp_path / "cache"))
    assert rows["answer"][:] == run.answers()["text"].to_list()
    pairs = datasets.load_dataset(str(tmp_path / "card"), f"pairs-{world.trial.slug}", split="test", cache_dir=str(tmp_path / "cache"))
    assert pairs["em_b"][:] == run.pairs()["em_b"].to_list()


def test_pandas_takes_the_frames(world: World, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    run = open_run(world.layout.root)
    pairs = run.pairs().to_pandas()
    assert isinstance(pairs, pandas.DataFrame)
    assert pairs["em_a"].mean() == pytest.approx(run.pairs()["em_a"].mean())
    export(world, "--csv", str(tmp_path / "rows.csv"), "--parquet", str(tmp_path / "rows.parquet"))
    read = pandas.read_csv(tmp_path / "rows.csv", lineterminator=None)
    assert len(read) == pl.read_parquet(tmp_path / "rows.parquet").height == len(pandas.read_parquet(tmp_path / "rows.parquet"))


def test_the_logs_of_both_arms_come_back_with_the_differences_of_the_report(world: World, tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai.log")
    export(world, "--inspect", str(tmp_path / "logs"))
    run = open_run(world.layout.root)
    paths = [next(path for path in (tmp_path / "logs").iterdir() if arm in path.name) for arm in run.arms["arm"]]
    found = paired_logs(read_log(paths[0]), read_log(paths[1]))
    assert len(found.keys) == 60
    for one in run.tests.filter((pl.col("kind") == "all") & pl.col("metric").is_in(["em", "f1"])).iter_rows(named=True):
        got, _ = found.found[one["metric"]]
        assert got.missing.n_pairs == one["pairs"]
        assert got.estimate.value == pytest.approx(one["difference"])


def logged(path: Path, values: list[list[Any]], **changes: Any) -> Path:
    """A log of inspect_ai: for each item a score an epoch, None where it failed."""
    log = pytest.importorskip("inspect_ai.log")
    from inspect_ai.scorer import Score

    samples = [
        log.EvalSample(
            **{
                "id": number,
                "epoch": epoch,
                "input": f"What is {number}?",
                "target": "it",
                "scores": None if value is None else {"acc": Score(value=value)},
                "error": log.EvalError(message="died", traceback="", traceback_ansi="") if value is None else None,
            }
            | changes
        )
        for number, epochs in enumerate(values)
        for epoch, value in enumerate(epochs, 1)
    ]
    spec = log.EvalSpec(created="2026-11-20T10:00:00+00:00", task=path.stem, model="a/b", dataset=log.EvalDataset(name="d"), config=log.EvalConfig())
    log.write_eval_log(log.EvalLog(status="success", eval=spec, samples=samples), str(path))
    return path


def test_logs_of_inspect_are_paired_however_they_write_questions_and_scores(tmp_path: Path) -> None:
    before = logged(tmp_path / "before.eval", [["C"] if n % 2 else ["I"] for n in range(20)])
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser

    words: dict[str, list[Any]] = {"yes": ["yes"], "number": ["1.0"], "true": [True], "graded": [1]}
    for name, value in words.items():
        other = logged(tmp_path / f"{name}.eval", [value] * 20, target=["it"])
        one, _ = paired_logs(read_log(before), read_log(other)).found["acc"]
        assert (one.missing.n_pairs, one.estimate.value) == (20, 0.5), name
    turns = [ChatMessageSystem(content="Be brief."), ChatMessageUser(content="What is it?")]
    a, b = logged(tmp_path / "a.eval", [["C"]], input="What is it?"), logged(tmp_path / "b.eval", [["C"]], input=turns)
    assert paired_logs(read_log(a), read_log(b)).keys == ("0",)


def test_epochs_without_a_score_are_counted_and_an_answer_is_taken_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from batchtrial.cli.commands.import_log import main as import_log

    before = logged(tmp_path / "before.eval", [["C", "I"] for n in range(20)])
    after = logged(tmp_path / "after.eval", [["C", None if n < 8 else 10**400 if n < 9 else "I"] for n in range(20)])
    assert import_log([str(before), str(after)]) == 0
    assert "care       acc: 9 epochs of the treatment without a score" in capsys.readouterr().out
    twice = logged(tmp_path / "twice.json", [["C"], ["I"]], id=7)
    with pytest.raises(DataError, match="the sample '7' is there twice"):
        read_log(twice)


def test_a_treatment_in_the_turn_of_the_user_comes_back_as_the_same_items(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai.log")
    with finished(tmp_path, run_id="run_turn", n_open=6, n_closed=6, **(SEVERAL | {"judges": []})) as made:
        export(made, "--inspect", str(tmp_path / "logs"))
        arms = open_run(made.layout.root).arms
    control, turn = (arms.filter(pl.col("label") == label)["arm"][0] for label in ("control", "turn"))
    paths = [next(path for path in (tmp_path / "logs").iterdir() if f"_{arm}_" in path.name) for arm in (control, turn)]
    assert len(paired_logs(read_log(paths[0]), read_log(paths[1])).keys) == 12
