"""Archives in a real S3 server: the same bytes, broken connections, and a refusal in words."""

from __future__ import annotations

import http.cookiejar
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.small_run import config_tree, write_inputs
from tests.store.lab import BUCKET, CALLS_FOR_A_USER, KEY_ID, SECRET, Server, Wire, environment, user_of

from batchtrial.archive.store import stored
from batchtrial.errors import StoreFailed

N_ITEMS = 12
SENDING = {"lines_per_part": 4, "max_concurrent_jobs": 6, "poll_seconds": 60}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    with Server(tmp_path_factory.mktemp("moto") / "log") as found:
        yield found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished dry run."""
    folder = tmp_path_factory.mktemp("finished")
    write_inputs(folder, N_ITEMS)
    (folder / "trial.yaml").write_text(json.dumps(config_tree("openai", poll_seconds=60, submission=SENDING)))
    done = command(folder, os.environ, "run", "--config", "trial.yaml", "--run_id", "r1", "--dry_run")
    assert done.returncode == 0, done.stderr
    return folder


def command(folder: Path, env: Mapping[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    env = {**env, "BATCHTRIAL_EXPERIMENTS_DIR": "experiments"}
    return subprocess.run([sys.executable, "-m", "batchtrial", *args], cwd=folder, capture_output=True, text=True, timeout=900, check=False, env=env)


def tree(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_run_goes_to_the_store_is_found_verified_looked_at_and_restored(server: Server, finished: Path, tmp_path: Path) -> None:
    env, address = environment(server.port), f"s3://{BUCKET}/whole/run_r1.zip"
    sent = command(finished, env, "archive", "--run_id", "r1", "--to", f"s3://{BUCKET}/whole/")
    assert sent.returncode == 0, sent.stderr
    assert address in sent.stdout
    listed = command(finished, env, "archive", "--list", f"s3://{BUCKET}/whole/", "--json")
    (row,) = json.loads(listed.stdout)
    assert (row["run_id"], row["is_complete"]) == ("r1", True)
    assert command(finished, env, "archive", "--verify", address).returncode == 0
    local = command(finished, env, "archive", "--run_id", "r1", "--output", str(tmp_path / "run_r1.zip"))
    assert local.returncode == 0, local.stderr
    assert row["bytes"] == (tmp_path / "run_r1.zip").stat().st_size
    for source, folder in ((address, "from_store"), (str(tmp_path / "run_r1.zip"), "from_file")):
        back = command(finished, env, "restore", "--from", source, "--experiments_dir", str(tmp_path / folder))
        assert back.returncode == 0, back.stderr
    assert tree(tmp_path / "from_store") == tree(tmp_path / "from_file")
    again = command(finished, env, "archive", "--run_id", "r1", "--to", address)
    assert "the store has this archive already" in again.stderr
    for path in [*finished.rglob("*"), *tmp_path.rglob("*")]:
        assert not path.is_file() or (SECRET.encode() not in path.read_bytes() and KEY_ID.encode() not in path.read_bytes())


@pytest.mark.parametrize("drop_at", [1, 2, 3, 5])
def test_a_connection_that_drops_every_nth_request_is_got_over_or_told(server: Server, finished: Path, tmp_path: Path, drop_at: int) -> None:
    """A try may fail with clear words; then nothing is taken for an archive, and the next one goes on."""
    address = f"s3://{BUCKET}/dropped-{drop_at}/run_r1.zip"
    with Wire(server.port, drop_at=drop_at) as wire:
        for _ in range(2):
            sent = command(finished, environment(wire.port), "archive", "--run_id", "r1", "--to", address)
            assert "Traceback" not in sent.stderr
            if sent.returncode:
                assert (sent.returncode, "broke off" in sent.stderr) == (1, True), sent.stderr
        assert wire.n_dropped
    listed = command(finished, environment(server.port), "archive", "--list", f"s3://{BUCKET}/dropped-{drop_at}/", "--json")
    assert [one["run_id"] for one in json.loads(listed.stdout)] == ([] if sent.returncode else ["r1"])
    assert command(finished, environment(server.port), "archive", "--run_id", "r1", "--to", address).returncode == 0
    with Wire(server.port, drop_at=drop_at) as wire:
        back = command(finished, environment(wire.port), "restore", "--from", address, "--experiments_dir", str(tmp_path))
        assert "Traceback" not in back.stderr
        assert back.returncode in (0, 1), back.stderr
        assert (tmp_path / "run_r1").exists() is (back.returncode == 0)
    if back.returncode:
        assert command(finished, environment(server.port), "restore", "--from", address, "--experiments_dir", str(tmp_path)).returncode == 0
    assert (tmp_path / "run_r1" / "ledger.jsonl").exists()


def test_wrong_credentials_no_bucket_and_no_extra_are_clear(server: Server, finished: Path, tmp_path: Path) -> None:
    env = environment(server.port)
    send = ("archive", "--run_id", "r1", "--to")
    for told, words, code in (
        (command(finished, env, *send, "s3://nowhere/x/"), "no such bucket", 3),
        (command(finished, env, *send, "s3://nowhere/x/"), "a bucket is made with the store's own tools", 3),
        (command(finished, env, "archive", "--list", "s3://nowhere/x/"), "no such bucket", 3),
        (command(finished, env, "archive", "--list", "s3://nowhere"), "no such bucket", 3),
        (command(finished, env, "archive", "--list", "s3://"), "the address names no bucket", 2),
        (command(finished, env, "restore", "--from", f"s3://{BUCKET}/none.zip"), "no such bucket or object", 3),
        (command(finished, env, "restore", "--from", f"s3://{BUCKET}/none.zip"), f"`batchtrial archive --list s3://{BUCKET}/` shows", 3),
        (command(finished, env, "view", "--from", f"s3://{BUCKET}/empty/"), f"`batchtrial archive --list s3://{BUCKET}/` shows", 3),
        (command(finished, env, *send, f"s3://{KEY_ID}:{SECRET}@{BUCKET}/x/"), "credentials do not belong into an address", 2),
        (command(finished, env, *send, "nosuchstore://x/y/"), "there is no store for this address", 2),
        (command(finished, env, *send, f"http://127.0.0.1:{server.port}/{BUCKET}/x/"), "a store of this kind cannot do that", 1),
        (command(finished, {**env, "AWS_ENDPOINT_URL": "nonsense"}, *send, f"s3://{BUCKET}/x/"), "settings are not right", 1),
        (command(finished, env, "archive", "--list", "s3://a bucket/x/"), "settings are not right", 1),
        (command(finished, env, "archive", "--verify", f"s3://{BUCKET}/"), "this is a folder and no archive", 3),
        (command(finished, env, "run", "--experiments_dir", f"s3://{BUCKET}/runs"), "is an address", 2),
    ):
        assert (told.returncode, words in told.stderr) == (code, True), told.stderr
        assert "Traceback" not in told.stderr
        assert SECRET not in told.stderr
    empty = command(finished, env, "archive", "--list", f"s3://{BUCKET}/empty/")
    assert (empty.returncode, "0 archives" in empty.stdout) == (0, True), empty.stderr
    bare = {name: value for name, value in env.items() if not name.startswith("AWS_") or "ENDPOINT" in name or "METADATA" in name}
    told = command(finished, {**bare, "HOME": str(tmp_path)}, *send, f"s3://{BUCKET}/x/")
    assert (told.returncode, "no credentials" in told.stderr) == (1, True), told.stderr


def test_what_is_in_the_way_is_no_archive_of_this_run_and_stays(
    server: Server, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, address = environment(server.port), f"s3://{BUCKET}/way/run.zip"
    shutil.copytree(finished, tmp_path / "own")
    shutil.copytree(finished / "experiments" / "run_r1", tmp_path / "own" / "experiments" / "run_r2")
    (tmp_path / "own" / "experiments" / "run_r2" / "archive_manifest.json").unlink(missing_ok=True)
    server.put(f"/{BUCKET}/way/notes.zip", b"notes")
    assert command(finished, env, "archive", "--run_id", "r1", "--to", address).returncode == 0
    for place, words in ((address, "an archive of run r1"), (f"s3://{BUCKET}/way/notes.zip", "something else than an archive")):
        done = command(tmp_path / "own", env, "archive", "--run_id", "r2", "--to", place)
        assert (done.returncode, words in done.stderr) == (3, True), done.stderr
    with Wire(server.port, drop_at=1, is_cut=True) as wire:
        for name, value in environment(wire.port).items():
            monkeypatch.setenv(name, value)
        there = stored(address)
        with pytest.raises(StoreFailed):
            _ = there.is_there
    listed = json.loads(command(finished, env, "archive", "--list", f"s3://{BUCKET}/way/", "--json").stdout)
    assert [row["archive"].rpartition("/")[2] for row in listed if "problem" in row] == ["notes.zip"]
    assert [row["run_id"] for row in listed if "problem" not in row] == ["r1"]


def test_keys_that_are_wrong_do_nothing_and_who_may_only_read_reads(finished: Path, tmp_path: Path) -> None:
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    shutil.copytree(finished, tmp_path / "own")
    manifest, address = tmp_path / "own" / "experiments" / "run_r1" / "archive_manifest.json", f"s3://{BUCKET}/x/run_r1.zip"
    manifest.unlink(missing_ok=True)
    with Server(tmp_path / "log", n_unchecked=1 + 2 * CALLS_FOR_A_USER) as strict:
        writer, reader = user_of(strict, "writer", "s3:*"), user_of(strict, "reader", "s3:GetObject", "s3:ListBucket")

        def told(keys: Mapping[str, str], *args: str) -> subprocess.CompletedProcess[str]:
            return command(tmp_path / "own", environment(strict.port, **keys), *args)

        def check_refused(done: subprocess.CompletedProcess[str]) -> None:
            assert (done.returncode, "the store refuses" in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr

        send = ("archive", "--run_id", "r1", "--to", address)
        wrong = {**writer, "AWS_SECRET_ACCESS_KEY": SECRET}
        for keys in ({}, wrong, reader):
            check_refused(told(keys, *send))
            assert not manifest.exists()
        assert told(writer, *send).returncode == 0
        for args in (("archive", "--list", address), ("archive", "--verify", address), ("restore", "--from", address, "--experiments_dir", "back")):
            check_refused(told(wrong, *args))
            assert not (tmp_path / "own" / "back" / "run_r1").exists()
            assert told(reader, *args).returncode == 0
    assert (tmp_path / "own" / "back" / "run_r1" / "ledger.jsonl").exists()


def send(file: Path, env: Mapping[str, str], address: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.store.sender", str(file), address, "3000"]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=env)


def test_a_line_cut_at_any_request_leaves_nothing_half_and_the_next_try_sends_the_rest(server: Server, finished: Path, tmp_path: Path) -> None:
    file, env = tmp_path / "run_r1.zip", environment(server.port)
    assert command(finished, env, "archive", "--run_id", "r1", "--output", str(file)).returncode == 0
    kept = []
    for cut_at in (1, 3, 5, 6, 8):
        address = f"s3://{BUCKET}/cut-{cut_at}/run_r1.zip"
        with Wire(server.port, drop_at=cut_at, is_cut=True) as wire:
            cut = send(file, environment(wire.port), address)
        assert (cut.returncode, "broke off" in cut.stderr, "Traceback" in cut.stderr) == (1, True, False), cut.stderr
        assert command(finished, env, "archive", "--verify", address).returncode == 3
        again = send(file, env, address)
        assert again.returncode == 0, again.stderr
        kept.append("from an earlier try" in again.stdout)
        assert command(finished, env, "archive", "--verify", address).returncode == 0
    assert kept[-1] and not kept[0]  # noqa: PT018


def test_an_archived_run_is_read_in_python_without_its_requests_and_result_lines(server: Server, finished: Path, tmp_path: Path) -> None:
    env, address = environment(server.port), f"s3://{BUCKET}/read/run_r1.zip"
    assert command(finished, env, "archive", "--run_id", "r1", "--to", address).returncode == 0
    script = """
import sys
import batchtrial

run = batchtrial.open_run(sys.argv[1])
print(run.run_id, run.status.standing, len(run.items()), len(run.answers()), len(run.scores()))
print(sorted(run.path.rglob('results.jsonl')), sorted(run.path.rglob('*_p01.jsonl')))
"""
    told = []
    for place in (address, "experiments/run_r1"):
        done = subprocess.run([sys.executable, "-c", script, place], cwd=finished, capture_output=True, text=True, timeout=900, check=False, env=env)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout.splitlines())
    assert told[0][0] == told[1][0]
    assert told[0][1].startswith("[] []")
    assert not told[1][1].startswith("[] []")


def test_a_browser_sees_archived_runs_and_nothing_stays_behind(server: Server, finished: Path, tmp_path: Path) -> None:
    env = {**environment(server.port), "TMPDIR": str(tmp_path)}
    for name in ("", "same_run.zip"):
        assert command(finished, env, "archive", "--run_id", "r1", "--to", f"s3://{BUCKET}/seen/{name}").returncode == 0
    server.put(f"/{BUCKET}/seen/notes.zip", b"notes")
    view = subprocess.Popen(
        [sys.executable, "-m", "batchtrial", "view", "--from", f"s3://{BUCKET}/seen/"], stdout=subprocess.PIPE, text=True, env=env
    )
    assert view.stdout is not None
    address = next(line for line in view.stdout if "http://" in line).rpartition(": ")[2].strip()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    browser.open(address, timeout=60).close()
    with browser.open(f"{address.partition('/?')[0]}/api/runs", timeout=60) as told:
        (run,) = json.loads(told.read())["runs"]
    assert (run["id"], run["state"], run["problems"]) == ("r1", "finished", [])
    view.send_signal(signal.SIGINT)
    assert view.wait(timeout=60) == 0
    view.stdout.close()
    assert not list(tmp_path.glob("batchtrial-*"))
