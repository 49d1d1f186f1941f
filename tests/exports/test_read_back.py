"""Each export is read back by the program that it is for. The nox session `exports` has them all; elsewhere what is not installed is skipped."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.phases.world import World
from tests.unit.reading.trials import beginning_with, finished

from batchtrial import open_run
from batchtrial.cli.commands.export import main
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
    hostile = r" & 1 & 2 & 3 & 4 & 5 & 6 & 7 \\" + "\n" + r"\bottomrule"
    from batchtrial.exporting.latex import escaped

    made = (tmp_path / "tables.tex").read_text()
    (tmp_path / "tables.tex").write_text(made.replace(r"\bottomrule", "".join(map(escaped, HOSTILE)) + hostile, 1))
    (tmp_path / "paper.tex").write_text(PACKAGE)
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 5_000
    assert "Missing character" not in (tmp_path / "paper.log").read_text(errors="replace")


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
