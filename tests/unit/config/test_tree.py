"""YAML and JSON become plain values within bounds; what is no config is told with its line, in moments, whatever it would blow up to."""

from __future__ import annotations

import functools
import importlib.util
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.fuzz.mutations import raw
from tests.unit.config.configs import TEXT, loaded, refused, write

from batchtrial.config import tree
from batchtrial.config.load import decode, encode
from batchtrial.config.tree import MAX_DEPTH, MAX_NODES, decode_tree
from batchtrial.errors import ConfigError


def values(text: str, **how: Any) -> Any:
    return decode_tree(text, where="f.yaml", **how)


def bomb(levels: int = 8, width: int = 9) -> str:
    """`levels` lists, each of `width` aliases of the one before."""
    lines = [f"l0: &l0 [{', '.join('x' * width)}]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * width)}]" for n in range(1, levels + 1)]
    return "\n".join(lines)


# Merge keys


def test_a_merge_key_takes_over_what_is_not_overridden() -> None:
    text = "one: &o {control: c, treatment: t}\ntwo: {<<: *o, treatment: u}\nthree: {treatment: v, <<: *o}"
    assert values(text)["two"] == {"control": "c", "treatment": "u"}
    assert values(text)["three"] == {"control": "c", "treatment": "v"}


def test_of_several_merged_mappings_the_first_wins() -> None:
    assert values("a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {<<: [*a, *b]}")["c"] == {"x": 1, "y": 1, "z": 2}


def test_a_merge_of_a_merge_reaches_through() -> None:
    assert values("a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, z: 3}")["c"] == {"x": 1, "y": 2, "z": 3}


def test_prompt_sets_may_be_merged(tmp_path: Path) -> None:
    text = TEXT.replace("default: {control", "default: &d {control") + "  other: {<<: *d, treatment: open.txt}\n"
    sets = loaded(tmp_path, text).config.prompt_sets
    assert sets["other"].control == sets["default"].control
    assert sets["other"].treatment.system.text == "The open text.\n"


def test_values_that_an_alias_repeats_are_not_shared() -> None:
    found = values("a: &a {x: [1]}\nb: *a")
    found["a"]["x"].append(2)
    assert found["b"] == {"x": [1]}


# What is no config


@pytest.mark.parametrize(
    ("text", "told", "line"),
    [
        ("a: 1\nb: 2\na: 3", "'a' stands twice", 3),
        ("a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a", "'<<' stands twice", 4),
        ("a:\n  <<: [1]", "mapping", 2),
        ("a: 1\n1: x", "key 1 is a number", 2),
        ("yes: x", "key yes is true or false", 1),
        ("~: x", "key ~ is empty", 1),
        ("? [a, b]\n: x", "list or mapping", 1),
        ("a: 2026-01-01", "a date", 1),
        ("a: 2026-13-45", "a date", 1),
        ("a:\n- b: 010", "octal", 2),
        ("a: 12:30:45", "base 60", 1),
        ("a: 12:30.5", "base 60", 1),
        ("a: .inf", "no finite number", 1),
        ("a: -.INF", "no finite number", 1),
        ("a: .nan", "no finite number", 1),
        ("a: " + "9" * 5000, "digits", 1),
        ("a:\n\tb: 1", "tab", 2),
        ("a: 1\n--- \nb: 2", "second document", 2),
        ("a: \x01", "U+0001", 1),
        ("a: !!python/object/apply:os.system ['true']", "tag", 1),
        ("a: !mine x", "tag", 1),
        ("a: !!binary aGVsbG8=", "tag", 1),
        ("a: !!set {b, c}", "tag", 1),
        ("a: !!int twelve", "no usable int", 1),
        ("a: *nobody", "nobody", 1),
        ("a: &a [*a]", "inside what it refers to", 1),
        ("a: [1, 2", "expected", 1),
        ('a: 1\nb: "x\\ud800"', "\\ud800 is half of a character", 2),
        ('"\\udfff": 1', "\\udfff is half of a character", 1),
    ],
)
def test_what_nobody_means_is_told_with_its_line(text: str, told: str, line: int) -> None:
    with pytest.raises(ConfigError) as caught:
        values(text)
    assert told in f"{caught.value.what} {caught.value.hint}"
    assert caught.value.where == f"f.yaml, line {line}"


def test_what_is_refused_is_told_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"provider\.request_overrides\.until: 2026-01-01 would be read as a date"):
        values("provider:\n  request_overrides: {until: 2026-01-01}")


def test_plain_values_are_the_ones_of_json() -> None:
    text = "a: yes\nb: off\nc: 1_000\nd: 0x1f\ne: 1.5e+3\nf: ~\ng: '010'\nh: !!str 12\ni: =\nj: -3"
    assert values(text) == {"a": True, "b": False, "c": 1000, "d": 31, "e": 1500.0, "f": None, "g": "010", "h": "12", "i": "=", "j": -3}


def test_temperatures_as_keys_of_sample_counts_need_no_quotes() -> None:
    assert values("samples_per_item: {0.7: 5, 0: 1}") == {"samples_per_item": {"0.7": 5, "0": 1}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"a": NaN}', "NaN is no finite number"),
        ('{"a": -Infinity}', "no finite number"),
        ('{"a": 1e999}', "no finite number"),
        ('{"a": ' + "9" * 5000 + "}", "put very long numbers in quotes"),
        ('{"a": ' + "[" * 3000 + "]" * 3000 + "}", "nested more than"),
        ('{"a": "' + "[" * 30 + '", "b": ' + "[" * 3000 + "]" * 3000 + "}", "nested more than"),
        ('{"a": [' + "0," * (MAX_NODES + 1) + "0]}", "more than 50,000 values"),
        ('{"a": "' + "x" * 100_000, "not valid JSON"),
        ('{"a" 1}', "not valid JSON"),
    ],
)
def test_json_has_the_same_bounds(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        values(text, is_json=True)
    assert told in str(caught.value)


def test_a_json_config_may_be_indented_with_tabs(tmp_path: Path) -> None:
    body = '{\n\t"backend": "local", "model_id": "m", "datasets": [{"name": "bundled_open", "source": "bundled"}],\n\t'
    body += '"task_instructions": {"open_book": "open.txt", "closed_book": "closed.txt"},\n\t'
    body += '"prompt_sets": {"a": {"control": "control.txt", "treatment": "treatment.txt"}}\n}'
    assert loaded(tmp_path, body, "config.json").config.model_id == "m"


# Bounds


@pytest.mark.parametrize("levels", [8, 50])
def test_what_aliases_blow_up_to_is_known_before_it_is_built(levels: int) -> None:
    with pytest.raises(ConfigError, match="more than 50,000 values"):
        values(bomb(levels))


def test_merges_of_merges_blow_up_no_more_than_aliases() -> None:
    lines = ["m0: &m0 {a: 1}", *(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}], k{n}: 1}}" for n in range(1, 9))]
    with pytest.raises(ConfigError, match="more than 50,000 values"):
        values("\n".join(lines))


def test_a_long_text_that_aliases_repeat_is_counted_as_often() -> None:
    text = f"a: &a '{'x' * 10_000}'\nb: [{', '.join(['*a'] * 200)}]"
    assert len(values(text, max_chars=2_020_000)["b"]) == 200
    with pytest.raises(ConfigError, match="too much text"):
        values(text, max_chars=1_000_000)


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 3000 + "]" * 3000,
        "a: " + "{b: " * 3000 + "}" * 3000,
        "\n".join("  " * n + f"k{n}:" for n in range(3000)),
        "\n".join(["l0: &l0 [x]", *(f"l{n}: &l{n} [*l{n - 1}]" for n in range(1, MAX_DEPTH + 2))]),
    ],
)
def test_deep_nesting_is_refused_and_no_recursion_error(text: str) -> None:
    with pytest.raises(ConfigError, match="levels deep"):
        values(text)


def test_nesting_and_size_within_the_bounds_are_read() -> None:
    assert values("a: " + "[" * (MAX_DEPTH - 2) + "x" + "]" * (MAX_DEPTH - 2))
    assert len(values("a: &a [" + "1, " * 100 + "1]\nb: [" + "*a, " * 100 + "*a]")["b"]) == 101


REFUSED = """
import sys, time
from pathlib import Path
from batchtrial.cli.main import main
code = main()
# Not ru_maxrss: that keeps what the process was before exec, a fork of whatever started it.
status = Path("/proc/self/status").read_text()
print(time.process_time(), status.partition("VmHWM:")[2].split()[0])
sys.exit(code)
"""


@pytest.mark.parametrize("place", ["provider: {{request_overrides: {{x: {0}}}}}", "simulation: {0}", "metrics: {0}"])
def test_a_bomb_anywhere_in_a_config_is_refused_in_a_second_and_little_memory(tmp_path: Path, place: str) -> None:
    path = write(tmp_path, f"{bomb()}\n{TEXT}{place.format('*l8')}\n")
    command = [sys.executable, "-c", REFUSED, "run", "--config", str(path), "--plan_only"]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (child.returncode, "more than 50,000 values" in child.stderr) == (2, True), child.stderr
    seconds, kibibytes = map(float, child.stdout.split()[-2:])
    assert seconds < 5
    assert kibibytes < 600_000


def test_what_a_run_recorded_is_read_within_the_same_bounds(tmp_path: Path) -> None:
    whole = encode(loaded(tmp_path).config).decode()
    damaged = whole.replace("request_overrides: {}", f"request_overrides: {'[' * 3000}")
    assert damaged != whole
    with pytest.raises(ConfigError, match="levels deep"):
        decode(damaged, where="effective_config.yaml", folder=tmp_path, flags={}, env={})


@pytest.mark.parametrize("variable", ["BATCHTRIAL_SEED", "BATCHTRIAL_BUDGET_USD"])
def test_a_bomb_in_a_variable_is_refused_by_its_name(tmp_path: Path, variable: str) -> None:
    assert variable in refused(tmp_path, TEXT, env={variable: bomb().replace("\n", "\n")}).where


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_heard_while_a_config_is_read(tmp_path: Path, number: signal.Signals) -> None:
    path = write(tmp_path, TEXT + "stop: ['" + "x y " * 900_000 + "']\n")
    command = [sys.executable, "-m", "batchtrial", "run", "--config", str(path), "--plan_only"]
    assert any(_stopped(command, number) for _ in range(9)), "it was through before it could be stopped, each time"


def _stopped(command: list[str], number: signal.Signals) -> int:
    """Exit code of the command, sent the signal as soon as it has begun to read; 0 when it was faster."""
    # Where the tests themselves run in a shell's background, an interrupt is ignored, and children inherit that.
    hears = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=hears) as child:
        while "config.yaml" not in _open_files(child.pid) and child.poll() is None and _cpu_seconds(child.pid) < 1.0:
            os.sched_yield()
        child.send_signal(number)
        try:
            return child.wait(timeout=120)
        finally:
            child.kill()


def _open_files(pid: int) -> str:
    try:
        return " ".join(str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return ""


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 9.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("text", ['{"a": [{"b": "x\\ud800"}]}', '{"a": {"\\udc00": 1}}'])
def test_half_of_a_character_in_json_is_refused_with_its_key(text: str) -> None:
    with pytest.raises(ConfigError, match="is half of a character") as caught:
        values(text, is_json=True)
    assert caught.value.what.startswith("a")


def test_bytes_that_are_no_text_are_refused_wherever_they_are_given(tmp_path: Path) -> None:
    odd = os.fsdecode(b"model\xff")
    given: list[dict[str, Any]] = [{"flags": {"model_id": odd}}, {"env": {"BATCHTRIAL_MODEL_ID": odd}}]
    for how in given:
        error = refused(tmp_path, TEXT, **how)
        assert "\\udcff is half of a character" in error.what
        assert "model_id" in error.where.lower()


# Two parsers, one reading

TEXTS = (
    TEXT,
    "a: &x {b: 1, c: [1, 2]}\nd:\n  <<: *x\n  e: >-\n    folded\n    text\n  f: |\n    block\n    text\n"
    "? g\n: 'single '' quote'\nh: \"a\\u00e9 \\\n  b\"\n# c\n",
    '{"datasets": [{"name": "harbours", "source": "file"}], "temps": [0.0, 1e-3, .5], "none": null, "n": 0x1F, "yes": on}',
)


ONLY_FOR_LIBYAML = ("a: 1\n\ufeff# b\n", "a: em\t\nb: 1", "{a: b, c?d: e}", "{a: !!1, b: 1}", "a: |+###\n  b\n")
"""It would read them, where the plain parser sees an error."""


def nodes(loader: Any) -> Any:
    """What a loader makes of its text, with the line of everything; the kind of its refusal."""

    def told(node: Any) -> Any:
        inside = (
            node.value
            if isinstance(node, yaml.ScalarNode)
            else [told(one) for pair in node.value for one in (pair if isinstance(pair, tuple) else [pair])]
        )
        return node.tag, node.start_mark.line, inside

    try:
        node = loader.get_single_node()
    except yaml.YAMLError:
        return "no YAML"
    except tree._Refused as error:
        return error.what, error.line
    return None if node is None else told(node)


def test_what_libyaml_reads_the_plain_parser_reads_too_and_to_the_same() -> None:
    read = 0
    for seed in range(240):
        rng = random.Random(seed)
        text = raw(rng, rng.choice(TEXTS).encode()).decode("utf-8", "replace")
        fast = nodes(tree._FastLoader(text, 10**6)) if tree.ONLY_PLAIN.search(text) is None else "no YAML"
        if fast != "no YAML":
            read += 1
            assert fast == nodes(tree._PlainLoader(text, 10**6)), text
    assert read > 60


def test_without_libyaml_the_same_is_read_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    spec = importlib.util.spec_from_file_location("batchtrial_tree_without_libyaml", tree.__file__)
    assert spec is not None
    assert spec.loader is not None
    plain = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, plain)
    spec.loader.exec_module(plain)
    assert plain._FastLoader is plain._PlainLoader
    for text in TEXTS:
        assert plain.decode_tree(text, where="f.yaml") == values(text)
    for text in ("a: [1, 2", "a:\n\tb: 1", "[" * 2000, *ONLY_FOR_LIBYAML):
        with pytest.raises(ConfigError) as here:
            values(text)
        with pytest.raises(ConfigError) as there:
            plain.decode_tree(text, where="f.yaml")
        assert str(here.value) == str(there.value)
