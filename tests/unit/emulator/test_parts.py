"""Small parts: draws, JSON text, faults, clock, paging, and what the emulator may import."""

from __future__ import annotations

import ast
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

import batchtrial.emulator
from batchtrial.emulator.serve.exchange import WireError
from batchtrial.emulator.serve.server import listen
from batchtrial.emulator.wires.fireworks.paging import page
from batchtrial.emulator.world.clock import EPOCH, continued, first_state, rfc3339
from batchtrial.emulator.world.draws import Shuffle, digest, uniform
from batchtrial.emulator.world.effects import Effects, merged
from batchtrial.emulator.world.faults import FaultFileError, decode_rules, load_rules
from batchtrial.emulator.world.jsontext import BadJson, decode, encode_line
from batchtrial.emulator.world.world import World, WorldError


def test_the_emulator_imports_nothing_else_of_the_package_but_the_room_that_asks_behind_upstream() -> None:
    folder = Path(batchtrial.emulator.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            ours = [name for name in names if name.split(".")[0] == "batchtrial" and not name.startswith("batchtrial.emulator")]
            assert {name.split(".")[1] for name in ours} <= {"direct"}, path.name


@given(n=st.integers(1, 500), key=st.text())
def test_shuffle_visits_every_row_once(n: int, key: str) -> None:
    shuffle = Shuffle(n, key)
    assert sorted(shuffle(position) for position in range(n)) == list(range(n))


@given(st.text(), st.integers(0, 3))
def test_uniform_is_inside_the_open_interval(key: str, index: int) -> None:
    assert 0.0 < uniform(digest(key), index) < 1.0
    assert uniform(b"\xff" * 32, index) <= 1.0
    assert uniform(b"\x00" * 32, index) > 0.0


def test_keys_do_not_run_together() -> None:
    assert digest("ab", "c") != digest("a", "bc")


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"NaN", b"[Infinity]", b'"\\ud800"', b"[" * 100_000, b"9" * 5000])
def test_what_is_not_json_is_one_kind_of_error(raw: bytes) -> None:
    with pytest.raises(BadJson):
        decode(raw)


@given(st.recursive(st.none() | st.text(st.characters(codec="utf-8")) | st.integers(), lambda inner: st.lists(inner, max_size=3)))
def test_a_line_is_one_line(value: Any) -> None:
    line = encode_line(value)
    assert line.count(b"\n") == 1
    assert decode(line) == value


def test_clock_goes_on_without_a_jump() -> None:
    manual = first_state("manual", 1.0, 5.0).moved(10.0, 6.0)
    assert manual.now(999.0) == EPOCH + 10.0
    real = continued(manual, "real", 100.0, 50.0)
    assert real.now(50.0) == EPOCH + 10.0
    assert real.now(51.0) == EPOCH + 110.0
    slower = continued(real, "real", 1.0, 51.0)
    assert slower.now(52.0) == EPOCH + 111.0
    assert rfc3339(EPOCH) == "2026-01-01T00:00:00.000000Z"


def test_faults_from_yaml_and_shorthand(tmp_path: Path) -> None:
    (tmp_path / "faults.yaml").write_text(
        "- match: {op: create}\n  on: {first: 2}\n  do:\n    rows: {missing: 1, errored: 0.5}\n    expire_after: 0.25\n"
    )
    (rule,) = load_rules(tmp_path / "faults.yaml")
    assert [rule.fires(n) for n in (1, 2, 3)] == [True, True, False]
    effects = rule.do.effects()
    assert effects.rows is not None
    assert effects.rows.missing is not None
    assert effects.expire_after is not None
    assert (effects.rows.missing.count, effects.rows.errored and effects.rows.errored.fraction, effects.expire_after.fraction) == (1, 0.5, 0.25)
    assert Effects.model_validate_json(effects.model_dump_json(exclude_unset=True)) == effects


@pytest.mark.parametrize(
    ("do", "op", "matches"),
    [
        ({"rows": {"missing": 1}}, "create", True),
        ({"rows": {"missing": 1}}, "get", False),
        ({"truncate_body": 1}, "download", True),
        ({"truncate_body": 1}, "create", False),
        ({"status": 500}, "get", True),
    ],
)
def test_an_op_left_out_is_the_one_that_makes_sense(do: dict[str, Any], op: str, matches: bool) -> None:
    (rule,) = decode_rules({"do": do})
    assert rule.matches("openai", op, "/v1/x", "") is matches


def test_effects_of_several_rules_are_joined() -> None:
    one, two = (Effects.model_validate(each) for each in ({"rows": {"missing": 1}, "stuck": True}, {"rows": {"duplicated": 2}}))
    both = merged([one, two])
    assert both.rows is not None
    assert (both.rows.missing is not None, both.rows.duplicated is not None, both.stuck) == (True, True, True)


def test_a_fault_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "faults.yaml").write_text("a: [")
    with pytest.raises(FaultFileError, match=r"faults\.yaml"):
        load_rules(tmp_path / "faults.yaml")
    with pytest.raises(FaultFileError, match=r"none\.yaml"):
        load_rules(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([{"on": "create", "do": {"status": 500}}], r'fault rule 0: `on` is \[1\] or any list of numbers from 1, \{"first": n\}, or "every"'),
        ([{"on": [0], "do": {"status": 500}}], "fault rule 0: `on` is .*counted from 1"),
        ([{"on": {"frist": 2}, "do": {"status": 500}}], "fault rule 0: `on` is "),
        ([{"do": {"status": 500}}, {"effect": {"status": 500}}], "fault rule 1.do: Field required|fault rule 1: there is no key 'effect'"),
        ([{"do": {"expire_afterr": {}}}], "fault rule 0: there is no key 'expire_afterr'; did you mean expire_after"),
        ([{"match": {"operation": "create"}, "do": {"status": 500}}], "there is no key 'operation'; there are provider, op, path, part"),
        ([{"match": {"op": "creates"}, "do": {"status": 500}}], "unknown op 'creates'"),
        ([{"do": {"hang": "long"}}], "fault rule 0: `hang` is true, seconds"),
        ([{"do": {"truncate_body": {"byte": 1}}}], "fault rule 0: `truncate_body` is a number of bytes"),
        ([{"do": {"status": 200}}], "fault rule 0.do.status: Input should be greater"),
        ("status", "fault rules are a list"),
    ],
)
def test_what_is_wrong_with_a_fault_file_is_told_in_words(rules: Any, said: str) -> None:
    with pytest.raises(FaultFileError, match=said) as refused:
        decode_rules(rules)
    assert "tuple" not in str(refused.value)


def listed(query: str) -> dict[str, Any]:
    scope = {"type": "http", "query_string": query.encode(), "headers": [], "method": "GET", "path": "/"}
    jobs = [{"name": f"j{i}", "state": "A" if i % 2 else "B", "createTime": f"2026-01-0{1 + i // 2}"} for i in range(6)]
    return page(Request(scope), "jobs", jobs, dict)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["j0", "j1", "j2", "j3", "j4", "j5"]),
        ("orderBy=create_time+desc", ["j5", "j4", "j3", "j2", "j1", "j0"]),
        ("filter=state%3D%22A%22", ["j1", "j3", "j5"]),
        ("filter=state%3DA+AND+createTime%3E%3D2026-01-02", ["j3", "j5"]),
        ("filter=state!%3DA&pageSize=2", ["j0", "j2"]),
        ("orderBy=state+desc,name", ["j0", "j2", "j4", "j1", "j3", "j5"]),
        ("filter=name:5&orderBy=create_time+desc", ["j5"]),
    ],
)
def test_fireworks_lists(query: str, names: list[str]) -> None:
    assert [job["name"] for job in listed(query)["jobs"]] == names


def test_fireworks_pages_meet() -> None:
    first = listed("pageSize=4&readMask=name")
    rest = listed(f"pageSize=4&pageToken={first['nextPageToken']}")
    assert [*(job["name"] for job in first["jobs"]), *(job["name"] for job in rest["jobs"])] == [f"j{i}" for i in range(6)]
    assert (rest["nextPageToken"], first["totalSize"], first["jobs"][0]) == ("", 6, {"name": "j0"})


@pytest.mark.parametrize("query", ["filter=state+like+A", "orderBy=a+sideways", "pageSize=x", "pageToken=%21"])
def test_fireworks_refuses_what_it_does_not_understand(query: str) -> None:
    with pytest.raises(WireError):
        listed(query)


def test_answers_are_not_held_back_by_the_network() -> None:
    """asyncio only switches Nagle's algorithm off for a socket that says TCP; with it on, each exchange on a kept connection takes 40 ms."""
    with listen("127.0.0.1", 0) as found:
        assert found.proto == socket.IPPROTO_TCP


def open_world(root: Path, seed: int | None) -> World:
    return World(root, seed=seed, mode="manual", speed=1.0, wall=lambda: 0.0)


def test_a_world_keeps_its_seed_and_one_owner(tmp_path: Path) -> None:
    world = open_world(tmp_path, 4)
    first = world.new_id("x-")
    with pytest.raises(WorldError, match="in use"):
        open_world(tmp_path, 4)
    world.close()
    with pytest.raises(WorldError, match="--seed 4"):
        open_world(tmp_path, 5)
    again = open_world(tmp_path, None)
    assert (again.seed, again.new_id("x-") != first) == (4, True)
    again.close()


def test_a_world_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "world.sqlite").write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(WorldError, match="not a usable world"):
        open_world(tmp_path, 1)


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    world = open_world(tmp_path, 1)

    def half() -> None:
        with world.commit():
            world.set_meta("half", "done")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    with world.rehearsal() as db:
        db.execute("INSERT INTO meta VALUES('tried', 'x')")
        assert world.meta("tried") == "x"
    assert (world.meta("half"), world.meta("tried")) == (None, None)
    assert json.loads(world.meta("clock") or "{}")["mode"] == "manual"
    world.close()
