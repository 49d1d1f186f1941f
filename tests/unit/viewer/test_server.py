"""The viewer's server: who may ask, what it answers, and that nothing of the run changes but labels and the stop request."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from tests.runs.rundir import tree
from tests.unit.phases.world import World
from tests.unit.reading.trials import finished
from tests.unit.viewer.served import TOKEN, Served, question, served

from batchtrial.api.run import open_run
from batchtrial.cli.commands.export import main as export
from batchtrial.cli.commands.view import listening
from batchtrial.clock import real_now
from batchtrial.errors import StateError
from batchtrial.reading.frames import arms_with, scores_frame
from batchtrial.reading.in_one_file import Carrier, unpacked
from batchtrial.reading.run_tables import RunTables
from batchtrial.state.labels import Label, append_label
from batchtrial.state.lock import LockInfo
from batchtrial.state.store import encode_json, fingerprint, read_json, write_bytes


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    stats = {"primary": {"metric": "em", "kind": "all"}, "permutation_samples": 999}
    with finished(tmp_path_factory.mktemp("view"), stats=stats, run_id="run_r1", n_open=10, n_closed=20) as made:
        yield made


@pytest.fixture(scope="module")
def at(world: World) -> Iterator[Served]:
    with served(world.layout.root.parent) as found:
        yield found


def asked(world: World, **how: Any) -> str:
    return question(trial=world.trial.slug, temp=0.0, **how)


def test_the_printed_address_becomes_a_cookie(at: Served) -> None:
    first = at.ask(f"/?token={TOKEN}", without=("Cookie",))
    assert (first.status, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    page = at.ask("/")
    assert page.status == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in page.headers
    assert at.ask("/page/main.js").status == 200


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/api/runs", "/api/about", "/api/runs/r1/about", "/api/events", "/nowhere"])
def test_nobody_gets_in_without_the_token(at: Served, path: str) -> None:
    assert at.ask(path, without=("Cookie",)).status == 403
    assert at.ask(path, Cookie=f"batchtrial_{at.port}=wrong").status == 403
    assert at.ask(f"{path}?token=wrong", without=("Cookie",)).status == 403


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1", "127.0.0.1.example.com:80", "", "localhost:1"])
def test_a_foreign_host_header_is_refused(at: Served, host: str) -> None:
    assert at.ask("/api/runs", Host=host).status == 421


@pytest.mark.parametrize("origin", ["http://example.com", "null", "http://127.0.0.1:1", "https://127.0.0.1"])
def test_another_origin_is_refused(at: Served, origin: str) -> None:
    assert at.ask("/api/runs", Origin=origin).status == 403
    assert at.post("/api/runs/r1/stop", {}, Origin=origin).status == 403
    assert at.ask("/api/runs", Sec_Fetch_Site="cross-site").status == 403


def test_a_change_needs_the_origin_json_and_a_bounded_length(at: Served, world: World) -> None:
    path = f"/api/runs/r1/labels?ask={asked(world)}"
    assert at.post(path, {}, without=("Origin",)).status == 403
    assert at.post(path, {}, Content_Type="text/plain").status == 415
    assert at.post(path, {"label": {"note": "x" * 10_000_000}}).status == 413
    assert at.post(path, {}, without=("Content-Length",)).status == 413
    assert at.post(path, {"label": {"note": "x" * 40_000, "id": "1", "who": "a", "item_key": "k", "trial": "t", "verdict": "same"}}).status == 400
    assert at.ask("/api/runs", method="DELETE").status == 405
    assert not world.layout.labels.exists()
    assert not world.layout.stop_requested.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/page/../door.py",
        "/page/..%2Fdoor.py",
        "/page/%2e%2e/server.py",
        "/page//etc/passwd",
        "/api/runs/..%2F..%2Fetc/about",
        "/api/runs/../about",
        "/api/runs/%00/about",
        "/api/runs/r1%2F..%2F..%2Fx/about",
        "/api/runs/none/about",
        "/api/runs/r1/items/999999?ask=" + question(trial="x", temp=0.0),
        "/api/runs/r1/pairs?ask={",
        "/api/runs/r1/pairs?ask=[]",
        "/api/runs/r1/rows?first=-1&n=2&ask=" + question(trial="x", temp=0.0),
    ],
)
def test_odd_paths_and_questions_are_refused_in_words(at: Served, path: str) -> None:
    told = at.ask(path)
    assert told.status in (400, 404), told.body
    assert b"Traceback" not in told.body
    assert b"import " not in told.body


def test_a_hundred_at_once_are_answered_or_turned_away(at: Served, world: World) -> None:
    with ThreadPoolExecutor(100) as pool:
        found = list(pool.map(lambda k: at.ask(f"/api/runs/r1/pairs?ask={asked(world, metric='em', search={'text': str(k)})}").status, range(100)))
    assert set(found) <= {200, 503}
    assert found.count(200) >= 30
    assert at.ask("/api/about").status == 200


def test_runs_pairs_rows_and_items_are_told(at: Served, world: World) -> None:
    (run,) = at.ask("/api/runs").json["runs"]
    assert (run["id"], run["note"]) == ("r1", " (simulated)")
    about = at.ask("/api/runs/r1/about").json
    assert about["trials"][0]["slug"] == world.trial.slug
    pairs = at.ask(f"/api/runs/r1/pairs?ask={asked(world, metric='em')}").json
    assert (pairs["n"], pairs["slice"]["n"]) == (30, 30)
    assert pairs["slice"]["low"] < pairs["slice"]["value"] < pairs["slice"]["high"]
    lost = at.ask(f"/api/runs/r1/pairs?ask={asked(world, metric='em', chips=['lost'])}").json
    assert lost["n"] == pairs["chips"]["lost"]
    assert "low" not in lost["slice"]
    rows = at.ask(f"/api/runs/r1/rows?first=28&n=50&ask={asked(world, metric='em')}").json
    assert len(rows) == 2
    assert rows[0]["place"] != rows[1]["place"]
    item = at.ask(f"/api/runs/r1/items/{rows[0]['place']}?ask={asked(world)}").json
    assert item["key"] == rows[0]["key"]
    assert set(at.ask(f"/api/runs/r1/pictures?ask={asked(world, metric='f1')}").json) == {"length_change", "score_change", "scatter"}


def test_the_list_of_runs_comes_by_itself(at: Served) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{at.port}/api/events", headers={"Cookie": at.cookie})
    with urllib.request.urlopen(request, timeout=10) as stream:
        assert json.loads(stream.readline().removeprefix(b"data: "))["runs"][0]["id"] == "r1"


def label(key: str, who: str = "ana", **how: Any) -> dict[str, Any]:
    return {"id": f"{who}-{key}", "who": who, "item_key": key, "trial": "model", "temp": 0.0, "verdict": "better", "is_blind": True} | how


def test_labels_are_kept_taken_back_and_filtered_by(world: World, tmp_path: Path) -> None:
    with served(world.layout.root.parent) as at:
        path = f"/api/runs/r1/labels?ask={asked(world)}"
        queue = at.ask(path).json["queue"]
        assert [len(one) for one in queue[:1]] == [5]
        key = queue[0][0]
        slug = world.trial.slug
        kept = at.post(path, {"label": label(key, trial=slug)})
        assert kept.status == 200
        assert [one["verdict"] for one in kept.json["labels"]] == ["better"]
        at.post(path, {"label": label(key, trial=slug)})  # the same once more: an answer that was lost on its way
        assert len(at.ask(path).json["labels"]) == 1
        append_label(world.layout.labels, msgspec.convert(label(queue[1][0], who="ben", trial="another"), Label))  # which says nothing of this trial
        assert len(at.ask(path).json["labels"]) == 2
        assert at.ask(f"/api/runs/r1/pairs?ask={asked(world, labelled='yes')}").json["n"] == 1
        assert [at.ask(f"/api/runs/r1/pairs?ask={asked(world, labelled=one)}").json["n"] for one in ("better", "worse", "no")] == [1, 0, 29]
        assert at.ask(f"/api/runs/r1/rows?first=0&n=1&ask={asked(world, labelled='yes')}").json[0]["label"] == "better"
        for about, n in (("0123456789abcdef", 1), (queue[2][4], 2)):  # those of other answers stand beside none
            at.post(path, {"label": label(queue[2][0], trial=slug, about=about, id=f"of-{about}")})
            assert at.ask(f"/api/runs/r1/pairs?ask={asked(world, labelled='yes')}").json["n"] == n
        append_label(world.layout.labels, msgspec.convert(label(queue[3][0], trial="another", about="0123456789abcdef"), Label))
        assert at.ask(f"/api/runs/r1/pairs?ask={asked(world, labelled='yes')}").json["n"] == 2
        for one in (f"of-{queue[2][4]}", "of-0123456789abcdef", f"ana-{queue[3][0]}"):
            at.post(path, {"undo": one, "who": "ana"})
        wrong: tuple[Any, ...] = (
            {"label": label(key, verdict="best")},
            {"label": label("", trial=slug)},
            {"labels": []},
            [],
            {"label": label(key, who=" ")},
        )
        assert [at.post(path, one).status for one in wrong] == [400] * 5
        assert at.post(path, {"undo": f"ana-{key}", "who": "ben"}).json["labels"] != []
        assert [one["who"] for one in at.post(path, {"undo": f"ana-{key}", "who": "ana"}).json["labels"]] == ["ben"]
        assert at.ask(f"/api/runs/r1/pairs?ask={asked(world, labelled='yes')}").json["n"] == 0
    world.layout.labels.unlink()


def test_a_viewer_writes_labels_and_the_stop_request_and_nothing_else(world: World) -> None:
    root = world.layout.root
    before = tree(root)
    with served(root.parent) as at:
        for path in ("about", f"pairs?ask={asked(world)}", f"rows?first=0&n=9&ask={asked(world)}", f"labels?ask={asked(world)}"):
            assert at.ask(f"/api/runs/r1/{path}").status == 200
        assert at.post("/api/runs/r1/stop", {}).status == 409  # nobody works on it: the next start would obey
        assert tree(root) == before
        lock = world.layout.lock_info.read_bytes() if world.layout.lock_info.exists() else None
        world.layout.lock_info.write_text(LockInfo(pid=os.getpid(), host=socket.gethostname(), started_at=real_now()).model_dump_json())
        assert at.post("/api/runs/r1/stop", {}).json == {"asked": True}
        if lock is None:
            world.layout.lock_info.unlink()
        else:
            world.layout.lock_info.write_bytes(lock)
    assert set(tree(root)) - set(before) == {"STOP_REQUESTED"}
    world.layout.stop_requested.unlink()
    with served(root.parent, is_read_only=True) as at:
        assert at.post("/api/runs/r1/stop", {}).status == 403
        assert at.post("/api/runs/r1/labels", {"label": label("k")}).status == 403
        assert at.ask("/api/about").json == {"read_only": True}
    assert tree(root) == before


def test_a_folder_that_is_no_run_gets_no_file(world: World, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run_out").symlink_to(tmp_path / "elsewhere")
    with served(tmp_path) as at:
        assert at.post("/api/runs/out/stop", {}).status in (400, 404, 409)
        refused = at.post(f"/api/runs/out/labels?ask={asked(world)}", {"label": label("recall|c1", trial=world.trial.slug)})
        assert refused.status in (400, 404)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_label_that_is_refused_is_not_kept_and_labels_that_cannot_be_read_are_named(world: World) -> None:
    labels = world.layout.labels
    with served(world.layout.root.parent) as at:
        one = label(at.ask(f"/api/runs/r1/labels?ask={asked(world)}").json["queue"][0][0], trial=world.trial.slug)
        assert at.post(f"/api/runs/r1/labels?ask={question(trial='nope', temp=0.0)}", {"label": one}).status == 400
        for wrong in ({"item_key": "recall|nowhere"}, {"trial": "another"}):
            refused = at.post(f"/api/runs/r1/labels?ask={asked(world)}", {"label": one | wrong})
            assert (refused.status, "the run has no" in refused.json["error"]) == (400, True)
        assert not labels.exists()
        labels.mkdir()
        try:
            for path in ("labels", "rows"):
                told = at.ask(f"/api/runs/r1/{path}?n=1&ask={asked(world)}")
                assert told.status == 500
                assert told.json["error"].startswith("labels.jsonl cannot be read: ")
            assert "not kept" in at.post(f"/api/runs/r1/labels?ask={asked(world)}", {"label": one}).json["error"]
        finally:
            labels.rmdir()


def test_tables_that_are_replaced_meanwhile_are_read_anew(world: World) -> None:
    scores = world.layout.arm(world.trial.arms[0].name).scores
    data = scores.read_bytes()
    with served(world.layout.root.parent) as at:
        assert at.ask(f"/api/runs/r1/pairs?ask={asked(world)}").status == 200
        scores.unlink()
        assert at.ask(f"/api/runs/r1/pairs?ask={asked(world)}").status == 404
        scores.write_bytes(data)
        assert at.ask(f"/api/runs/r1/pairs?ask={asked(world)}").status == 200


def test_a_table_that_is_written_meanwhile_is_read_whole(world: World) -> None:
    arms = [world.layout.arm(arm.name) for arm in world.trial.arms]
    before = [arm.scores.read_bytes() for arm in arms]
    versions = []
    for value in (0.0, 1.0):
        tables = [io.BytesIO() for _ in arms]
        for data, found in zip(before, tables, strict=True):
            pl.read_parquet(data).with_columns(pl.lit(value).alias("em")).write_parquet(found)
        versions.append([one.getvalue() for one in tables])
    seen: Counter[tuple[float, ...]] = Counter()
    with served(world.layout.root.parent) as at, ThreadPoolExecutor(1) as writer:
        for turn in range(16):
            written = [writer.submit(write_bytes, arm.scores, data) for arm, data in zip(arms, versions[turn % 2], strict=True)]
            told = at.ask(f"/api/runs/r1/rows?first=0&n=30&ask={asked(world, metric='em')}")
            assert told.status == 200, told.body
            (scores,) = {tuple(row["scores"]) for row in told.json}  # no arm half old and half new
            seen[scores] += len(told.json) == 30
            for one in written:
                one.result()
    for arm, data in zip(arms, before, strict=True):
        arm.scores.write_bytes(data)
    assert seen.total() == 16


def test_an_answer_on_a_kept_connection_waits_for_no_acknowledgement() -> None:
    """Of a socket that does not say TCP, asyncio leaves Nagle's algorithm on: each answer then came some 40 ms later."""

    async def is_at_once() -> bool:
        held: list[bool] = []
        came = asyncio.Event()

        def seen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held.append(bool(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
            writer.close()
            came.set()

        with listening(None) as found:
            async with await asyncio.start_server(seen, sock=found):
                _, writer = await asyncio.open_connection(*found.getsockname())
                await came.wait()
                writer.close()
        return held == [True]

    with ThreadPoolExecutor(1) as apart:  # a browser's driver may have left a loop in this thread
        assert apart.submit(asyncio.run, is_at_once()).result(30)


def test_the_command_prints_its_address_and_ends_with_ctrl_c(world: World) -> None:
    before = tree(world.layout.root.parent)
    command = [sys.executable, "-m", "batchtrial", "view", "--experiments_dir", str(world.layout.root.parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(address, timeout=20) as page:
            assert b"page/main.js" in page.read()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(address.partition("?")[0], timeout=20)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert tree(world.layout.root.parent) == before


def test_new_answers_are_never_shown_beside_scores_of_those_before(world: World) -> None:
    arm = world.layout.arm(world.trial.arms[0].name)
    kept = {path: path.read_bytes() for path in (arm.answers, arm.answers_record)}
    with served(world.layout.root.parent) as at:
        ask = asked(world)
        assert len(at.ask(f"/api/runs/r1/rows?first=0&n=9&ask={ask}").json) == 9
        for text in ("another answer", "yet another"):  # parsed anew, not yet scored
            pl.read_parquet(kept[arm.answers]).with_columns(pl.lit(text).alias("text")).write_parquet(arm.answers)
            write_bytes(arm.answers_record, encode_json(read_json(arm.answers_record) | {"table": fingerprint(arm.answers).model_dump()}))
            assert at.ask(f"/api/runs/r1/rows?first=0&n=9&ask={ask}").status == 404
            assert at.ask("/api/runs/r1/about").json["trials"] == []
            with RunTables.of(world.layout) as tables:
                assert unpacked(Carrier(tables).data()["columns"])["about"]["trials"] == []
                assert not scores_frame(tables, arms_with(tables, "scores")).height > 30
        for path, data in kept.items():
            path.write_bytes(data)
        assert len(at.ask(f"/api/runs/r1/rows?first=0&n=9&ask={ask}").json) == 9
    world.layout.stamps.unlink(missing_ok=True)


def test_results_that_come_later_are_shown(world: World) -> None:
    path = world.layout.trial(world.trial.slug).significance
    data = path.read_bytes()
    with served(world.layout.root.parent) as at:
        path.unlink()
        assert at.ask("/api/runs/r1/about").json["trials"][0]["tests"] == []
        path.write_bytes(data)
        assert len(at.ask("/api/runs/r1/about").json["trials"][0]["tests"]) > 3


def test_a_damaged_table_is_named_with_what_mends_it(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = world.layout.arm(world.trial.arms[0].name).scores
    whole = scores.read_bytes()
    flags = ["--run_id", "r1", "--experiments_dir", str(world.layout.root.parent)]
    with served(world.layout.root.parent) as at:
        scores.write_bytes(whole[:-40])
        told = at.ask(f"/api/runs/r1/rows?first=0&n=9&ask={asked(world)}")
        assert told.status == 500
        with pytest.raises(StateError, match=r"scores\.parquet .*another checksum"):
            open_run(world.layout.root).scores()
        at_byte = whole.index(b"thing") if b"thing" in whole else 2000
        flipped = bytearray(whole)
        flipped[at_byte] ^= 1  # which the table's reader takes
        scores.write_bytes(flipped)
        assert export(["--html", str(tmp_path / "a.html"), *flags]) == export(["--csv", str(tmp_path / "a.csv"), *flags]) == 3
        errors = capsys.readouterr().err
    scores.write_bytes(whole)
    for text in (told.json["error"], errors):
        assert "scores.parquet" in text
        assert "batchtrial resume --run_id" in text
    assert list(tmp_path.iterdir()) == []
