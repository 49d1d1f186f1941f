"""Config, prompt and instruction files: a byte order mark is no part of the text, and whatever is no UTF-8 text is told, with the fix."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from tests.unit.config.configs import TEXT, loaded, refused, write

from batchtrial.config.load import MAX_CONFIG_BYTES, load
from batchtrial.config.texts import MAX_TEXT_BYTES, template_mark
from batchtrial.errors import ConfigError

MARK = b"\xef\xbb\xbf"


def test_a_byte_order_mark_is_no_part_of_a_config(tmp_path: Path) -> None:
    assert loaded(tmp_path, MARK + TEXT.encode()).config == loaded(tmp_path, TEXT).config


@pytest.mark.parametrize("name", ["control.txt", "treatment.txt", "open.txt", "closed.txt"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_a_byte_order_mark_is_no_part_of_a_prompt_or_instruction(tmp_path: Path, name: str, ending: bytes) -> None:
    plain = loaded(tmp_path).config
    (tmp_path / name).write_bytes(MARK + (tmp_path / name).read_bytes().replace(b"\n", ending))
    assert loaded(tmp_path).config == plain


def test_a_mark_inside_a_text_stays() -> None:
    """Only at the start is it a mark; elsewhere it is a character that somebody wrote."""
    assert "a\ufeffb" in "a\ufeffb".removeprefix("\ufeff")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
@pytest.mark.parametrize("name", ["config.yaml", "treatment.txt", "open.txt"])
def test_another_encoding_is_named_with_the_fix(tmp_path: Path, encoding: str, name: str) -> None:
    path = write(tmp_path)
    (tmp_path / name).write_bytes(((tmp_path / name).read_text() + "# Köln\n").encode(encoding))
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert name in str(caught.value)
    assert "UTF-8" in str(caught.value)


def test_a_latin_1_byte_is_told_with_its_line(tmp_path: Path) -> None:
    error = refused(tmp_path, TEXT.encode() + b"# K\xf6ln\n")
    assert "line 8" in error.what
    assert "0xf6" in error.what
    assert "'ö'" in error.what


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "too large", "gzip", "NUL", "missing", "dangling", "loop"])
@pytest.mark.parametrize("name", ["config.yaml", "treatment.txt", "closed.txt"])
def test_what_is_no_text_file_is_refused_at_once(tmp_path: Path, name: str, kind: str) -> None:
    path = write(tmp_path)
    target = tmp_path / name
    target.unlink()
    if kind == "folder":
        target.mkdir()
    elif kind == "pipe":
        os.mkfifo(target)
    elif kind == "device":
        target.symlink_to("/dev/zero")
    elif kind == "too large":
        with target.open("wb") as file:
            file.truncate(2 * 2**30)  # a hole: takes no room
    elif kind in ("gzip", "NUL"):
        target.write_bytes(b"\x1f\x8b\x08\x00" if kind == "gzip" else b"a: b\nc\x00\n")
    elif kind in ("dangling", "loop"):
        target.symlink_to("nowhere" if kind == "dangling" else name)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert name in str(caught.value)


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    """In a child without root's rights: root may read everything."""
    path = write(tmp_path)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    path.chmod(0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            load(path)
        except ConfigError as error:
            code = 0 if "may not be read" in error.what and "config.yaml" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_bounds_leave_room_for_what_people_write() -> None:
    assert MAX_CONFIG_BYTES >= 2**20
    assert MAX_TEXT_BYTES >= 2**20


# Variables


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("some/model", "${MODEL}", "model_id"),
        ("some/model", "org/${MODEL:-small}", "model_id"),
        ("some/model", "$MODEL", "model_id"),
        ("open.txt", "'${PROMPTS}/open.txt'", "task_instructions.open_book"),
        ("open.txt", "$HOME/open.txt", "task_instructions.open_book"),
        ("temps: [0.0]", "provider: {request_overrides: {user: ['${USER}']}}", "provider.request_overrides.user.0"),
    ],
)
def test_a_variable_in_a_value_is_refused_with_its_key(tmp_path: Path, old: str, new: str, key: str) -> None:
    error = refused(tmp_path, TEXT.replace(old, new, 1))
    assert key in error.what
    assert "variables are not filled in" in error.what
    assert "config.yaml, line" in error.where


def test_a_variable_in_a_flag_is_refused(tmp_path: Path) -> None:
    assert "flag" in refused(tmp_path, TEXT, flags={"model_id": "${MODEL}"}).where


@pytest.mark.parametrize(
    ("written", "meant"), [("$${END}", "${END}"), ("$$END", "$END"), ("cost: $5", "cost: $5"), ("a$b{c}", "a$b{c}"), ("$ {x}", "$ {x}")]
)
def test_a_dollar_can_be_meant(tmp_path: Path, written: str, meant: str) -> None:
    assert loaded(tmp_path, f"{TEXT}stop: ['{written}']\n").config.stop == (meant,)


def test_a_run_s_record_is_not_read_for_variables_again(tmp_path: Path) -> None:
    from batchtrial.config.load import decode, encode

    config = loaded(tmp_path, f"{TEXT}stop: ['$${{END}}']\n").config
    assert decode(encode(config).decode(), where="x", folder=tmp_path, flags={}, env={}).config == config


# Templates


@pytest.mark.parametrize("text", ["Q: {{question}}", "{{ question }}", "a\n{{item.question | upper}}", "{{- context -}}", "Answer:{{q1}}."])
def test_a_template_mark_is_found(text: str) -> None:
    assert template_mark(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        'Answer as {"a": {"b": 1}}.',
        '{"a":{"b":{}}}',
        "{{}}",
        "{{ }}",
        "{context}",
        "f-string: {{{name}}}",
        r"\frac{{a}}{{b}}",
        r"\text{{Answer}}",
        r"\section*{{Intro}}",
        "x^{{n}} and y_{{i}}",
        "{{1, 2}, {3, 4}}",
        "{{ {",
        "${{ secrets.X }}",
        '{{"a": 1}}',
        r"\{{name}}",
    ],
)
def test_braces_that_are_no_template_are_left_alone(text: str) -> None:
    assert template_mark(text) is None


@pytest.mark.parametrize("name", ["control.txt", "treatment.txt", "open.txt", "closed.txt"])
def test_a_template_mark_in_a_prompt_is_refused_with_file_and_line(tmp_path: Path, name: str) -> None:
    path = write(tmp_path)
    (tmp_path / name).write_text("Answer.\nThe question is {{question}}.\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert f"{name}, line 2: {{{{question}}}}" in caught.value.what
    assert "template_marks: text" in caught.value.hint
    path.write_text(TEXT + "template_marks: text\n")
    assert load(path).config.template_marks == "text"


def test_addresses_are_no_files(tmp_path: Path) -> None:
    for old, new in (
        ("open.txt", "https://x.example/open.txt"),
        ("name: bundled_open, source: bundled", "name: x, source: file, path: 's3://b/q.csv'"),
    ):
        assert "is an address, not a file" in refused(tmp_path, TEXT.replace(old, new, 1)).what
    with pytest.raises(ConfigError, match="is an address"):
        load(Path("s3://bucket/config.yaml"))
