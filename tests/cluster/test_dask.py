"""Parts on a real Dask cluster: the same bytes, whoever is lost meanwhile, and clear words where the cluster cannot be used."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.cluster.lab import DaskCluster, answered, begun, files, tables, take
from tests.small_run import config_tree, write_inputs

import batchtrial
from batchtrial.phases.analyse import trial_by_trial
from batchtrial.phases.tables import workers
from batchtrial.selftest.bench import rig
from batchtrial.selftest.bench.step import phase_of

N_ROWS = 24_000
SENDING = {"lines_per_part": 4, "max_concurrent_jobs": 6, "poll_seconds": 60}
STEPS = ("parse", "score")
WAITING = """
import sys
import time
from pathlib import Path

def tone(item, text):
    if "tables.child" in str(sys.modules["__main__"].__spec__):
        Path("scoring").touch()
        while not Path("go").exists():
            time.sleep(0.05)
    return {"tone": float(len(text))}
"""
READING = """
import subprocess

def tone(item, text):
    subprocess.run(["cat"], stdout=subprocess.DEVNULL)
    return {"tone": float(len(text))}
"""
METRIC = "def tone(item, text):\n    return {'tone': float(len(text))}\n"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    pytest.importorskip("distributed")
    with DaskCluster(tmp_path_factory.mktemp("dask") / "own") as found:
        found.add_worker()
        found.add_worker()
        yield found


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A run, and its tables as one process makes them."""
    folder = tmp_path_factory.mktemp("bench") / "run"
    answered(folder, N_ROWS)
    for step in STEPS:
        take(folder, step, executor="serial")
    return folder, tables(folder)


def test_the_cluster_makes_the_same_bytes(cluster: DaskCluster, serial: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(serial[0], folder)
    for step in STEPS:
        take(folder, step, executor=cluster.address)
    assert tables(folder) == serial[1]
    assert not list((folder / "bench").glob(".batchtrial-*"))


def test_the_parts_of_killed_workers_are_made_by_others(serial: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    folder, draw = tmp_path / "run", random.Random(5)
    shutil.copytree(serial[0], folder)
    with DaskCluster(tmp_path / "own") as cluster:
        alive = [cluster.add_worker(), cluster.add_worker()]
        for step in STEPS:
            at_work, before = begun(folder, step, executor=cluster.address), files(folder)
            while at_work.poll() is None:
                try:
                    at_work.wait(timeout=draw.uniform(0.5, 4))
                except subprocess.TimeoutExpired:
                    # By progress and not by the clock: where workers begin slowly, none would live until it has made a part.
                    if (now := files(folder)) == before:
                        continue
                    before = now
                    victim = alive.pop(draw.randrange(len(alive)))
                    victim.kill()
                    alive.append(cluster.add_worker())
            _, complaint = at_work.communicate()
            assert at_work.returncode == 0, complaint.decode()
        assert len(cluster.workers) > 2
    assert tables(folder) == serial[1]


def test_every_step_leaves_the_same_bytes_whoever_works(cluster: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables, statistics of several trials, with a bootstrap of whole corpora, and what is written for people."""
    monkeypatch.chdir(tmp_path)
    for module in (workers, trial_by_trial):
        monkeypatch.setattr(module, "FEW_ROWS", 1)
    (tmp_path / "metrics.json").write_text('["bleu", "chrf"]')
    rig.make_questions(tmp_path, 2_000)
    found = {}
    with rig.opened(tmp_path, 3) as run:
        for name in ("prepare", "build"):
            run.run(phase_of(name))
        rig.make_answers(run)
        for n, executor in ((1, "serial"), (1, "process"), (2, "process"), (3, "process"), (1, cluster.address)):
            for name in (*STEPS, "stats", "costs", "report"):
                run.run(phase_of(name), n, executor)
            paths = [path for pattern in ("*.parquet", "results/*", "reports/*") for path in sorted((tmp_path / "bench").rglob(pattern))]
            found[n, executor] = {path: path.read_bytes() for path in paths if path.name != "trial_manifest.json"}
    assert all(one == found[1, "serial"] for one in found.values())
    assert {path.name for path in found[1, "serial"]} >= {"scores.parquet", "significance.json", "costs.json", "predictions.csv", "report.md"}


def polled(folder: Path) -> Path:
    """A folder with a dry run whose answers are there."""
    write_inputs(folder, 12)
    (folder / "mine.py").write_text(METRIC)
    tree = config_tree("openai", poll_seconds=60, metrics=["mine:tone"], submission=SENDING)
    (folder / "trial.yaml").write_text(json.dumps(tree))
    done = command(folder, "run", "--config", "trial.yaml", "--run_id", "r1", "--dry_run", "--to_step", "poll")
    assert done.returncode == 0, done.stderr
    return folder


def command(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "BATCHTRIAL_EXPERIMENTS_DIR": "experiments"}
    return subprocess.run([sys.executable, "-m", "batchtrial", *args], cwd=folder, capture_output=True, text=True, timeout=900, check=False, env=env)


@pytest.fixture(scope="module")
def begun_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return polled(tmp_path_factory.mktemp("polled") / "here")


def copy_of(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def test_a_whole_run_ends_on_the_cluster_with_a_metric_of_the_folder(cluster: DaskCluster, begun_run: Path, tmp_path: Path) -> None:
    found = {}
    for executor in ("serial", cluster.address):
        folder = copy_of(begun_run, tmp_path / executor.partition(":")[0])
        done = command(folder, "resume", "--run_id", "r1", "--executor", executor)
        assert done.returncode == 0, done.stderr
        found[executor] = [path.read_bytes() for path in sorted(folder.rglob("*.parquet")) + sorted(folder.rglob("*.csv"))]
    assert found["serial"] == found[cluster.address]
    edited = copy_of(tmp_path / "dask", tmp_path / "edited")
    (edited / "mine.py").write_text(METRIC.replace("len(text)", "1"))
    done = command(edited, "resume", "--run_id", "r1", "--executor", cluster.address)
    assert done.returncode == 0, done.stderr
    assert "has changed" in done.stderr  # and the workers, which live on, scored with the new code
    scores = next(edited.rglob("per_item_scores.csv")).read_text()
    assert scores != next((tmp_path / "dask").rglob("per_item_scores.csv")).read_text()


def test_a_metric_that_raises_ends_as_it_does_here(cluster: DaskCluster, begun_run: Path, tmp_path: Path) -> None:
    found = []
    for executor in ("serial", cluster.address):
        folder = copy_of(begun_run, tmp_path / executor.partition(":")[0])
        (folder / "mine.py").write_text("def tone(item, text):\n    return {'tone': 1.0 if 'counted' not in text or len(text) < 9 else 1 / 0}\n")
        done = command(folder, "resume", "--run_id", "r1", "--executor", executor)
        found.append((done.returncode, [line for line in done.stderr.splitlines() if line.startswith(("error", "  hint", "  at"))]))
    assert found[0] == found[1]


def test_a_worker_with_other_code_is_named_before_work_starts(begun_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    source = Path(batchtrial.__file__).parent
    shutil.copytree(source, tmp_path / "other" / "batchtrial", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "other" / "batchtrial" / "more.py").write_text("")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.py").write_text(METRIC.replace("float", "1 + float"))
    for place, words in (("other", "the code of batchtrial is sha256"), ("elsewhere", "the metric mine:tone is sha256")):
        with DaskCluster(tmp_path / f"own-{place}") as cluster:
            cluster.add_worker(python_path=str(tmp_path / place))
            folder = copy_of(begun_run, tmp_path / f"run-{place}")
            done = command(folder, "resume", "--run_id", "r1", "--executor", cluster.address)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(folder.rglob("scores.parquet"))


@pytest.mark.parametrize("place", ["the worker", "the scheduler"])
def test_who_has_no_such_package_is_named_and_lives_on(begun_run: Path, tmp_path: Path, place: str) -> None:
    """A record of ours ends a worker that cannot read it, whoever else it works for."""
    pytest.importorskip("distributed")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "batchtrial.py").write_text("")
    bare = str(tmp_path / "bare")
    with DaskCluster(tmp_path / "own", python_path=bare if place == "the scheduler" else "") as cluster:
        worker = cluster.add_worker(python_path=bare if place == "the worker" else "")
        folder = copy_of(begun_run, tmp_path / "run")
        done = command(folder, "resume", "--run_id", "r1", "--executor", cluster.address)
        assert (done.returncode, f"{place} tcp://" in done.stderr, "'batchtrial' is not a package" in done.stderr) == (1, True, True), done.stderr
        assert worker.poll() is None


def test_a_worker_that_others_keep_busy_is_not_waited_for(begun_run: Path, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with DaskCluster(tmp_path / "own") as cluster, ExitStack() as other:
        cluster.add_worker()
        client = other.enter_context(distributed.Client(cluster.address.replace("dask:", "tcp:"), set_as_default=False))
        client.wait_for_workers(1)
        busy = client.submit(time.sleep, 10_000)
        cluster.add_worker()
        client.wait_for_workers(2)
        done = command(copy_of(begun_run, tmp_path / "run"), "resume", "--run_id", "r1", "--executor", cluster.address)
        assert (done.returncode, "1 of 2 workers of the cluster did not answer yet" in done.stderr) == (0, True), done.stderr
        assert not busy.done()


def test_an_address_where_something_else_listens_is_told(begun_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"dask://127.0.0.1:{silent.getsockname()[1]}"
        done = command(copy_of(begun_run, tmp_path / "run"), "resume", "--run_id", "r1", "--executor", address)
        assert (done.returncode, "no Dask scheduler answers" in done.stderr) == (1, True), done.stderr
        assert "says nothing that a scheduler would" in done.stderr


def test_no_scheduler_and_no_workers_are_told_apart(begun_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    folder = copy_of(begun_run, tmp_path / "run")
    with DaskCluster(tmp_path / "own") as cluster:
        done = command(folder, "resume", "--run_id", "r1", "--executor", cluster.address)
        assert (done.returncode, "has no workers" in done.stderr) == (1, True)
        gone = cluster.address
    done = command(folder, "resume", "--run_id", "r1", "--executor", gone)
    assert (done.returncode, "no Dask scheduler answers" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr
    done = command(folder, "resume", "--run_id", "r1")
    assert done.returncode == 0, done.stderr


def test_a_stop_leaves_at_once_and_the_run_goes_on_to_the_same_bytes(cluster: DaskCluster, begun_run: Path, tmp_path: Path) -> None:
    folder = copy_of(begun_run, tmp_path / "run")
    at_work = at_work_in_a_metric(folder, cluster.address)
    at_work.send_signal(signal.SIGINT)
    _, complaint = at_work.communicate(timeout=120)
    assert at_work.returncode == 130, complaint.decode()
    (folder / "go").touch()
    done = command(folder, "resume", "--run_id", "r1", "--executor", cluster.address)
    assert done.returncode == 0, done.stderr


def at_work_in_a_metric(folder: Path, address: str) -> subprocess.Popen[bytes]:
    """A run that scores on the cluster, and waits there for `go`."""
    (folder / "mine.py").write_text(WAITING)
    env = {**os.environ, "BATCHTRIAL_EXPERIMENTS_DIR": "experiments"}
    flags = ["resume", "--run_id", "r1", "--executor", address]
    at_work = subprocess.Popen([sys.executable, "-m", "batchtrial", *flags], cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
    while not (folder / "scoring").exists():
        assert at_work.poll() is None, at_work.communicate()[1].decode()
    return at_work


def test_a_killed_run_whose_metric_hangs_does_not_keep_the_workers(begun_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with DaskCluster(tmp_path / "own") as cluster:
        cluster.add_worker()
        hung = at_work_in_a_metric(copy_of(begun_run, tmp_path / "hung"), cluster.address)
        hung.kill()
        hung.communicate()
        other = copy_of(begun_run, tmp_path / "other")
        (other / "mine.py").write_text(READING)  # and a program that reads gets nothing there
        done = command(other, "resume", "--run_id", "r1", "--executor", cluster.address)
        assert done.returncode == 0, done.stderr
    cleaned = command(tmp_path / "hung", "clean", "--yes")
    assert cleaned.returncode == 0, cleaned.stderr
    assert not list((tmp_path / "hung" / "experiments" / "run_r1").glob(".batchtrial-*"))


def test_a_scheduler_that_goes_is_told_in_one_message(begun_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    with DaskCluster(tmp_path / "own") as cluster:
        cluster.add_worker()
        at_work = at_work_in_a_metric(copy_of(begun_run, tmp_path / "run"), cluster.address)
        cluster.scheduler.kill()
        _, complaint = at_work.communicate(timeout=200)
    assert (at_work.returncode, b"is gone" in complaint, b"Traceback" in complaint) == (1, True, False), complaint.decode()
