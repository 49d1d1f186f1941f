"""Every layout loads to the same items, and everything wrong with a file is said with its place and its fix."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from batchtrial.errors import DataError
from batchtrial.records import Item
from batchtrial.sources import FieldMap, LoadReport, SourceSpec, load_items
from batchtrial.sources.readers import HAS_LINES

PASSAGE = "The mill at Styal was built in 1784 by Samuel Greg."
OPEN_ROWS: list[dict[str, Any]] = [
    {"id": "a", "question": "Who built the mill?", "context": PASSAGE, "answers": ["Samuel Greg", "Greg"], "is_unanswerable": False},
    {"id": "b", "question": "Who sold the mill?", "context": PASSAGE, "answers": [], "is_unanswerable": True},
]
CLOSED_ROWS: list[dict[str, Any]] = [
    {"id": "1", "question": "Capital of France?", "answers": ["Paris", "City of Paris"]},
    {"id": "2", "question": 'Was ist größer, "α" oder 3,5?', "answers": ["α"]},
]


def load(path: Path, *, skip_bad_rows: bool = False, name: str = "mine", **settings: Any) -> LoadReport:
    return load_items(SourceSpec(name=name, source="file", path=str(path), **settings), skip_bad_rows=skip_bad_rows)


def jsonl(rows: list[Any]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def as_csv(rows: list[dict[str, Any]], delimiter: str = ",") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    for row in rows:
        writer.writerow({key: json.dumps(value) if isinstance(value, list | bool) else value for key, value in row.items()})
    return out.getvalue().encode()


def as_parquet(rows: list[dict[str, Any]]) -> bytes:
    out = io.BytesIO()
    pl.DataFrame(rows, schema_overrides={"answers": pl.List(pl.String)}).write_parquet(out)
    return out.getvalue()


LAYOUTS = {
    "jsonl": jsonl,
    "jsonl with byte order mark": lambda rows: b"\xef\xbb\xbf" + jsonl(rows),
    "jsonl with blank lines and no last newline": lambda rows: jsonl(rows).replace(b"\n", b"\r\n\n").rstrip(),
    "json": lambda rows: json.dumps(rows, indent=1).encode(),
    "csv": as_csv,
    "csv with byte order mark": lambda rows: b"\xef\xbb\xbf" + as_csv(rows),
    "csv with tabs": lambda rows: as_csv(rows, "\t"),
    "csv with semicolons": lambda rows: as_csv(rows, ";"),
    "parquet": as_parquet,
}


PACKABLE = [(layout, False) for layout in LAYOUTS] + [(layout, True) for layout in LAYOUTS if layout != "parquet"]


@pytest.mark.parametrize(("layout", "packed"), PACKABLE)
def test_every_layout_gives_the_same_items(tmp_path: Path, layout: str, packed: bool) -> None:
    for rows, kind in ((OPEN_ROWS, "open"), (CLOSED_ROWS, "closed")):
        path = tmp_path / f"{kind}.data"
        data = LAYOUTS[layout](rows)
        path.write_bytes(gzip.compress(data) if packed else data)
        plain = tmp_path / f"{kind}.jsonl"
        plain.write_bytes(jsonl(rows))
        got = load(path)
        assert got.items == load(plain).items
        assert [item.item_id for item in got.items] == [row["id"] for row in rows]
        assert [list(item.answers) for item in got.items] == [row["answers"] for row in rows]
        assert (got.kind, got.n_read, got.bad_rows) == (kind, 2, ())
        assert got.format == layout.split()[0]
        assert any("format guessed" in note for note in got.notes)


def test_an_open_book_item_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(jsonl([{**OPEN_ROWS[0], "title": "Mills", "distractors": ["Telford"]}]))
    (item,) = load(path).items
    assert item == Item(
        dataset="mine",
        item_id="a",
        kind="open",
        question="Who built the mill?",
        context=PASSAGE,
        answers=("Samuel Greg", "Greg"),
        cluster=item.cluster,
        distractors=("Telford",),
    )
    assert item.cluster is not None
    assert item.cluster.startswith("Mills-")


def test_squad_layout_clusters_by_passage(tmp_path: Path) -> None:
    qas = [
        {
            "id": "a",
            "question": "Who?",
            "answers": [{"text": "Greg", "answer_start": 1}, {"text": "Greg", "answer_start": 1}],
            "is_impossible": False,
        },
        {"id": "b", "question": "Who not?", "answers": [], "plausible_answers": [{"text": "Greg"}], "is_impossible": True},
    ]
    paragraphs = [{"context": PASSAGE, "qas": qas}, {"context": "Another.", "qas": [{**qas[0], "id": "c"}]}]
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"version": "v2.0", "data": [{"title": "Mills", "paragraphs": paragraphs}]}))
    report = load(path)
    first, second, third = report.items
    assert (report.format, report.kind, report.metric) == ("squad_v2", "open", "squad_v2")
    assert first.answers == ("Greg",)
    assert second.is_unanswerable
    assert second.answers == ()
    assert first.cluster == second.cluster != third.cluster


def test_squad_without_flags_is_answerable(tmp_path: Path) -> None:
    paragraphs = [{"context": PASSAGE, "qas": [{"id": "a", "question": "Who?", "answers": []}]}]
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    with pytest.raises(DataError, match="there is no accepted answer"):
        load(path)


def test_triviaqa_layout(tmp_path: Path) -> None:
    answer = {"Value": "Sunset Boulevard", "Aliases": ["Sunset Blvd", "Sunset Boulevard"], "NormalizedAliases": ["sunset blvd"]}
    path = tmp_path / "web-dev.json"
    path.write_text(json.dumps({"Data": [{"QuestionId": "tc_33", "Question": "Which musical?", "Answer": answer}], "Version": 1.0}))
    report = load(path)
    assert (report.format, report.kind, report.metric) == ("triviaqa", "closed", "triviaqa")
    assert report.items[0].answers == ("Sunset Boulevard", "Sunset Blvd")
    assert report.items[0].item_id == "tc_33"


def test_nq_open_layout_gets_stable_ids(tmp_path: Path) -> None:
    path = tmp_path / "dev.jsonl"
    path.write_bytes(jsonl([{"question": "when?", "answer": ["1969"]}, {"question": "who?", "answer": ["Bobby Scott"]}]))
    report = load(path, name="nq")
    assert (report.format, report.kind, report.metric) == ("nq_open", "closed", "nq_open")
    assert [item.item_id for item in report.items] == ["nq-0", "nq-1"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"qid": 7, "query": "q", "answer": "a"}, ("7", "q", ("a",))),
        ({"example_id": "x", "prompt": "q", "aliases": ["a", "a", " "]}, ("x", "q", ("a",))),
        ({"uuid": "u", "question": "q", "gold": '["a", "b"]'}, ("u", "q", ("a", "b"))),
        ({"index": 0, "question": "q", "answers": {"value": "v", "aliases": ["w", "v"]}}, ("0", "q", ("v", "w"))),
        ({"id": "", "question": "q", "answers": "a"}, ("mine-0", "q", ("a",))),
        ({"question": "q", "answers": "[sic]"}, ("mine-0", "q", ("[sic]",))),
    ],
)
def test_usual_names_are_found(tmp_path: Path, row: dict[str, Any], expected: tuple[str, str, tuple[str, ...]]) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(jsonl([row]))
    (item,) = load(path, format="jsonl").items
    assert (item.item_id, item.question, item.answers) == expected


def test_fields_map_odd_names(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("Key,Ask,Best,Other,Family\nk1,What?,yes; no,maybe,f1\n")
    names = FieldMap(id="Key", question="Ask", answers="Best", cluster="Family")
    (item,) = load(path, fields=names, answer_separator="; ").items
    assert (item.item_id, item.question, item.answers, item.cluster) == ("k1", "What?", ("yes", "no"), "f1")


def test_fields_reach_into_objects_and_name_the_set(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(jsonl([{"id": "1", "meta": {"q": "What?"}, "answers": "a", "collection": "part-1"}]))
    assert load(path, fields=FieldMap(question="meta.q", dataset="auto")).items[0].key == "part-1|1"
    assert load(path, fields=FieldMap(question="meta.q")).items[0].key == "mine|1"


BAD_ROWS: list[tuple[str, Any, str, str]] = [
    ("empty question", {"id": "z", "question": " ", "answers": ["a"]}, "question", "is empty: ' '"),
    ("no question", {"id": "z", "answers": ["a"]}, "question", "is missing"),
    ("question of another type", {"id": "z", "question": 5, "answers": ["a"]}, "question", "is a number, not text: 5"),
    ("no answers", {"id": "z", "question": "q", "answers": []}, "answers", "there is no accepted answer"),
    ("answers left out", {"id": "z", "question": "q"}, "answers", "there is no accepted answer"),
    ("answer of another type", {"id": "z", "question": "q", "answers": ["a", False]}, "answers[1]", "is true or false, not text: False"),
    ("answers of another type", {"id": "z", "question": "q", "answers": True}, "answers", "is true or false, not text or a list"),
    ("odd answers", {"id": "z", "question": "q", "answers": {"best": "a"}}, "answers", "is an object without text"),
    ("repeated id", {"id": "1", "question": "q", "answers": ["a"]}, "id", "is the id of line 1 too: '1'"),
    ("id of another type", {"id": True, "question": "q", "answers": ["a"]}, "id", "is true or false, not text: True"),
    ("endless id", {"id": "x" * 600, "question": "q", "answers": ["a"]}, "id", "is longer than 512"),
    ("flag of another type", {"id": "z", "question": "q", "answers": [], "is_unanswerable": "perhaps"}, "is_unanswerable", "not true or false"),
    ("flag against answers", {"id": "z", "question": "q", "answers": ["a"], "is_unanswerable": True}, "is_unanswerable", "yet there are answers"),
    ("unanswerable without passage", {"id": "z", "question": "q", "is_unanswerable": True}, "is_unanswerable", "closed-book"),
    ("lone surrogate", {"id": "z", "question": "q", "answers": ["\ud800"]}, "answers", "is not valid UTF-8 at character 1"),
    ("no object", ["q", "a"], "", "is JSON, but no object"),
]


@pytest.mark.parametrize(("row", "field", "problem"), [bad[1:] for bad in BAD_ROWS], ids=[bad[0] for bad in BAD_ROWS])
def test_a_bad_row_is_named_or_counted(tmp_path: Path, row: Any, field: str, problem: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(CLOSED_ROWS[0]) + "\n\n" + json.dumps(row) + "\n" + json.dumps(CLOSED_ROWS[1]) + "\n")
    with pytest.raises(DataError) as caught:
        load(path)
    assert problem in caught.value.what
    assert caught.value.where.startswith(f"{path} line 3")
    assert caught.value.where.endswith(f"field {field}" if field else "line 3")
    assert "--skip_bad_rows" in caught.value.hint
    report = load(path, skip_bad_rows=True)
    assert [item.item_id for item in report.items] == ["1", "2"]
    assert [(bad.line, bad.field) for bad in report.bad_rows] == [(3, field)]
    assert report.n_read == 3


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"id": "z", "question": "q\xff", "answers": ["a"]}', "is not valid UTF-8 at byte 27"),
        (b'{"id": "z", "question": ', "is not JSON at column"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_a_line_that_is_no_row_costs_only_itself(tmp_path: Path, line: bytes, problem: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(jsonl(CLOSED_ROWS[:1]) + line + b"\n" + jsonl(CLOSED_ROWS[1:]))
    with pytest.raises(DataError, match=problem):
        load(path)
    report = load(path, skip_bad_rows=True)
    assert (len(report.items), [bad.line for bad in report.bad_rows]) == (2, [2])


def test_csv_rows_are_named_by_the_line_they_begin_on(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    rows = [b"id,question,answers", b'1,"two', b'lines?",a', b"2,too,many,cells", b"3,,b", b"4,bad\xffbyte,c", b'5,"ok, too",d', b'6,"open,e']
    path.write_bytes(b"\n".join(rows) + b"\n")
    report = load(path, skip_bad_rows=True)
    assert [(item.item_id, item.question) for item in report.items] == [("1", "two\nlines?"), ("5", "ok, too")]
    assert [(bad.line, bad.field) for bad in report.bad_rows] == [(4, ""), (5, "question"), (6, "question"), (8, "")]
    assert "4 columns, and the header has 3" in report.bad_rows[0].problem
    assert "not valid UTF-8" in report.bad_rows[2].problem


def test_rows_without_lines_are_named_by_row(tmp_path: Path) -> None:
    path = tmp_path / "q.parquet"
    path.write_bytes(as_parquet([CLOSED_ROWS[0], {**CLOSED_ROWS[1], "question": ""}]))
    with pytest.raises(DataError) as caught:
        load(path)
    assert caught.value.where == f"{path} row 2, field question"
    assert "row 2, field 'question': is empty" in caught.value.what


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
        (gzip.compress(jsonl(CLOSED_ROWS))[:-9], "the gzip file is damaged"),
        (b"PAR1 and nothing else", "no readable Parquet file"),
        (b"\x00\x01\x02", "no text and no Parquet file"),
        (b"id,question,id\n1,q,2\n", "the column 'id' occurs twice"),
        (b"id,question,answers\n", "the question set is empty"),
        (b"[]", "the question set is empty"),
        (b"[1, 2", "not JSON at column"),
        (b'[{"question": "\xff"}]', "not valid UTF-8 at byte 16"),
        (b'{"data": [{"paragraphs": 3}]}', r"data\[0\]\.paragraphs is no list"),
        (b'{"Data": {"QuestionId": "x"}}', "Data is no list"),
        (b'{"question": "", "answers": ["a"]}\n', "1 of 1 rows of mine cannot be used"),
    ],
)
def test_a_file_that_is_no_question_set_is_refused_even_when_skipping(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "q.data"
    path.write_bytes(data)
    for skip_bad_rows in (False, True):
        with pytest.raises(DataError, match=message) as caught:
            load(path, skip_bad_rows=skip_bad_rows)
        assert str(path) in caught.value.where


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: there is no such file") as caught:
        load(tmp_path / "nowhere.jsonl")
    assert caught.value.hint == "paths are taken from the working directory"
    (tmp_path / "mails.jsonl").write_text("")
    with pytest.raises(DataError, match="there is no such file") as caught:
        load(tmp_path / "mail.jsonl")
    assert caught.value.hint == f"did you mean {(tmp_path / 'mails.jsonl').as_posix()}?"
    with pytest.raises(DataError, match="cannot be read") as caught:
        load(tmp_path)
    assert caught.value.hint == "name one file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.parametrize("layout", [None, "jsonl", "parquet"])
def test_a_pipe_is_refused_at_once_where_it_was_waited_for_without_end(tmp_path: Path, layout: Any) -> None:
    os.mkfifo(tmp_path / "q.jsonl")
    with pytest.raises(DataError, match="cannot be read") as caught:
        load(tmp_path / "q.jsonl", format=layout)
    assert "write what it gives into one first" in caught.value.hint


def test_a_mapped_field_that_is_not_there_lists_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(jsonl(CLOSED_ROWS))
    with pytest.raises(DataError, match="there is no such field") as caught:
        load(path, fields=FieldMap(question="Ask"))
    assert "id, question, answers" in caught.value.hint


def test_max_items_takes_the_same_items_whatever_the_order(tmp_path: Path) -> None:
    rows = [{"id": str(n), "question": f"q{n}", "answers": ["a"]} for n in range(50)]
    forward, backward = tmp_path / "f.jsonl", tmp_path / "b.jsonl"
    forward.write_bytes(jsonl(rows))
    backward.write_bytes(jsonl(rows[::-1]))
    few = [item.item_id for item in load(forward, max_items=10).items]
    assert few == sorted(few, key=int)
    assert few == [item.item_id for item in load(backward, max_items=10).items][::-1]
    assert set(few) < {item.item_id for item in load(forward, max_items=20).items}
    assert few != [str(n) for n in range(10)]


@given(data=st.one_of(st.binary(max_size=200), st.lists(st.one_of(st.just(jsonl(CLOSED_ROWS)), st.binary(max_size=30))).map(b"".join)))
def test_any_bytes_give_items_or_a_data_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "q"
    path.write_bytes(data)
    refusal, report = "", None
    try:
        report = load(path, skip_bad_rows=True)
    except DataError as error:
        refusal = error.where
    if report is None:
        assert str(path) in refusal
    else:
        assert report.items
        assert report.n_read == len(report.items) + len(report.bad_rows)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "x", "source": "file"}, "needs a `path`"),
        ({"name": "x", "source": "bundled"}, "no bundled question set 'x'"),
        ({"name": "bundled_open", "source": "bundled", "path": "q"}, "`path` has no meaning"),
        ({"name": "x", "source": "file", "path": "q", "split": "test"}, "`split` has no meaning"),
        ({"name": "a/b", "source": "hub"}, "not usable as a folder name"),
        ({"name": "x", "source": "file", "path": "q", "kindd": "open"}, "Extra inputs"),
        ({"name": "x", "source": "file", "path": "q", "format": "xml"}, "Input should be"),
        ({"name": "x", "source": "file", "path": "q", "fields": {"ident": "a"}}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SourceSpec.model_validate(settings)


def test_every_setting_is_described() -> None:
    for model in (SourceSpec, FieldMap):
        assert all(field.description for field in model.model_fields.values())


def test_layouts_with_lines_are_layouts() -> None:
    assert set(SourceSpec.model_json_schema()["properties"]["format"]["anyOf"][0]["enum"]) > HAS_LINES
