"""Data that is not what was meant: read as it was meant where that is sure, else refused with what it looks like and the setting that reads it."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchtrial.errors import DataError
from batchtrial.sources import FieldMap, LoadReport, SourceSpec, load_items
from batchtrial.sources.spec import TaskReads

ROW = {"id": "1", "question": "Largest river?", "answers": ["Nile"]}


def load(path: Path, *, skip_bad_rows: bool = False, **settings: Any) -> LoadReport:
    return load_items(SourceSpec(name="mine", source="file", path=str(path), **settings), skip_bad_rows=skip_bad_rows)


def cells(folder: Path, *answers: str, delimiter: str = ",", ending: str = "csv") -> Path:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["id", "question", "answers"])
    for number, answer in enumerate(answers):
        writer.writerow([number, f"Largest river {number}?", answer])
    path = folder / f"q.{ending}"
    path.write_text(out.getvalue())
    return path


def rows(folder: Path, *made: dict[str, Any]) -> Path:
    path = folder / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


def refusal(path: Path, **settings: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        load(path, **settings)
    return caught.value


READ = [
    ("['Nile', 'River Nile']", ("Nile", "River Nile")),
    ("['Rome']", ("Rome",)),
    ("""["l'Aquila", 'Aquila']""", ("l'Aquila", "Aquila")),
    ('["Nile", "River Nile"]', ("Nile", "River Nile")),
    ("{'text': ['Nile'], 'answer_start': [3]}", ("Nile",)),
    ('{"text": ["Nile"], "answer_start": [3]}', ("Nile",)),
    ("{'value': 'Nile', 'aliases': ['River Nile']}", ("Nile", "River Nile")),
    ("[{'text': 'Nile', 'answer_start': 3}]", ("Nile",)),
    ("('Nile', 'River Nile')", ("Nile", "River Nile")),
    ("  ['Nile'] ", ("Nile",)),
]


@pytest.mark.parametrize(("cell", "answers"), READ)
@pytest.mark.parametrize(("delimiter", "ending"), [(",", "csv"), ("\t", "tsv"), (";", "csv")])
def test_a_list_that_a_cell_spells_is_read_as_the_list_that_it_is(
    tmp_path: Path, cell: str, answers: tuple[str, ...], delimiter: str, ending: str
) -> None:
    assert load(cells(tmp_path, cell, delimiter=delimiter, ending=ending)).items[0].answers == answers


@pytest.mark.parametrize(("cell", "answers"), READ)
def test_a_list_that_a_text_spells_is_read_in_the_other_formats_too(tmp_path: Path, cell: str, answers: tuple[str, ...]) -> None:
    jsonl = rows(tmp_path, {**ROW, "answers": cell})
    array, parquet = tmp_path / "q.json", tmp_path / "q.parquet"
    array.write_text(json.dumps([{**ROW, "answers": cell}]))
    pl.DataFrame([{**ROW, "answers": cell}]).write_parquet(parquet)
    for path in (jsonl, array, parquet):
        assert load(path).items[0].answers == answers


NOT_READ = [
    "['Nile' 'River Nile']",  # as NumPy prints an array: Python would join the two
    "['Nile'\n 'River Nile']",
    "array(['Nile'], dtype=object)".join(("{'text': ", "}")),
    "['Nile', nan]",
    "['Nile', None]",
    "['Nile', 'River Nile'",
    "['Nile', open('x')]",
    "{'Nile', 'River Nile'}",
    "{'best': 'Nile'}",
    "['" + "x" * 200_000 + "']",
    "[" * 5_000 + "'a'" + "]" * 5_000,
    "[['Nile'], ['River Nile']]",
]


@pytest.mark.parametrize("cell", NOT_READ, ids=range(len(NOT_READ)))
def test_a_list_that_cannot_be_read_safely_is_refused_with_line_column_and_setting(tmp_path: Path, cell: str) -> None:
    got = refusal(cells(tmp_path, "fine", cell))
    assert got.where.endswith("line 3, field answers")
    assert "answer_separator" in got.hint
    got = refusal(rows(tmp_path, ROW, {**ROW, "id": "2", "answers": cell}))
    assert got.where.endswith("line 2, field answers")
    assert "answer_separator" in got.hint


@pytest.mark.parametrize("cell", ["[sic]", "[1, 2)", "[1969]", "{x}", "[[1, 2], [3, 4]]", "[Nile, River Nile]"])
def test_a_cell_that_only_begins_like_a_list_is_refused_and_a_text_of_json_stands(tmp_path: Path, cell: str) -> None:
    """A CSV cell cannot hold a list, so that one which begins so is one; where lists are to be had, such a text is an answer."""
    got = refusal(cells(tmp_path, cell))
    assert got.where.endswith("line 2, field answers")
    assert "answer_separator" in got.hint
    assert load(cells(tmp_path, cell), answer_separator="|").items[0].answers == (cell,)
    assert load(cells(tmp_path, json.dumps([cell]))).items[0].answers == (cell,)
    assert load(rows(tmp_path, {**ROW, "answers": cell})).items[0].answers == (cell,)


def test_an_unanswerable_question_of_a_spelled_object_stays_unanswerable(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("id,question,context,answers\n1,Who?,A passage.,\"{'text': [], 'answer_start': []}\"\n")
    assert load(path).items[0].is_unanswerable
    assert "no accepted answer" in refusal(rows(tmp_path, {**ROW, "context": "A passage.", "answers": {"text": None}})).what


@pytest.mark.parametrize(
    ("answer", "texts"),
    [
        (42, ("42",)),
        (-3, ("-3",)),
        (3.5, ("3.5",)),
        (42.0, ("42",)),
        (1e300, ("1e+300",)),
        ([1969, "nineteen sixty-nine"], ("1969", "nineteen sixty-nine")),
        ({"text": [7]}, ("7",)),
        ({"value": 7, "aliases": "seven"}, ("7", "seven")),
        (0, ("0",)),
    ],
)
def test_a_number_is_read_as_the_text_that_writes_it_and_said(tmp_path: Path, answer: Any, texts: tuple[str, ...]) -> None:
    got = load(rows(tmp_path, {**ROW, "answers": answer}))
    assert got.items[0].answers == texts
    assert any("numbers are read as text: 1 time" in note and "line 1" in note for note in got.notes)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (True, "is true or false"),
        ([False], "is true or false"),
        ([None], "is nothing"),
        ([["a"]], "is a list"),
        (float("nan"), "is a number"),
        (float("inf"), "is a number"),
        ([{"best": 1}], "is nothing"),
    ],
)
def test_an_answer_that_is_neither_text_nor_number_is_refused(tmp_path: Path, answer: Any, problem: str) -> None:
    assert problem in refusal(rows(tmp_path, {**ROW, "answers": answer})).what


@pytest.mark.parametrize(
    ("values", "texts"),
    [([42, 43], [("42",), ("43",)]), ([42, None], None), ([1.5, 2.0], [("1.5",), ("2",)]), ([Decimal("1.50"), Decimal(2)], [("1.50",), ("2.00",)])],
)
def test_numbers_of_a_parquet_file_are_read_and_gaps_are_named(tmp_path: Path, values: list[Any], texts: list[tuple[str, ...]] | None) -> None:
    path = tmp_path / "q.parquet"
    pl.DataFrame({"id": ["a", "b"], "question": ["q?", "r?"], "answers": values}).write_parquet(path)
    if texts is None:
        assert refusal(path).where.endswith("row 2, field answers")
        assert load(path, skip_bad_rows=True).items[0].answers == ("42",)
    else:
        assert [item.answers for item in load(path).items] == texts


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (date(1969, 7, 20), "is a date,"),
        (datetime(1969, 7, 20, 20, 17), "is a date with a time"),
        (time(20, 17), "is a time of day"),
        (b"Nile", "is bytes"),
        ({"best": "Nile"}, "is an object without text"),
    ],
)
def test_a_date_or_bytes_in_a_parquet_file_is_no_answer(tmp_path: Path, value: Any, problem: str) -> None:
    path = tmp_path / "q.parquet"
    pl.DataFrame({"question": ["q?"], "answers": [value]}).write_parquet(path)
    assert problem in refusal(path).what


def test_an_endless_number_costs_only_its_line(tmp_path: Path) -> None:
    path = rows(tmp_path, ROW)
    path.write_text(path.read_text() + '{"id": "2", "question": "q?", "answers": ' + "9" * 5_000 + "}\n")
    assert "too many digits" in refusal(path).what
    assert len(load(path, skip_bad_rows=True).items) == 1


# Passages


@pytest.mark.parametrize("context", [["p one", "p two"], ["p one"], {"title": ["a"], "sentences": [["p"]]}, 7, [["p one"]]])
def test_a_passage_that_is_no_text_is_refused_and_never_dropped(tmp_path: Path, context: Any) -> None:
    got = refusal(rows(tmp_path, {**ROW, "context": context}))
    assert got.where.endswith("line 1, field context")
    assert load(rows(tmp_path, {**ROW, "context": context}), kind="closed").items[0].context is None


def test_a_list_of_passages_is_joined_when_told(tmp_path: Path) -> None:
    path = rows(tmp_path, {**ROW, "context": ["p one", "p two"]})
    assert "context_separator" in refusal(path).hint
    got = load(path, context_separator="\n\n")
    assert (got.kind, got.items[0].context) == ("open", "p one\n\np two")
    parquet = tmp_path / "q.parquet"
    pl.DataFrame([{**ROW, "context": ["p one", "p two"]}]).write_parquet(parquet)
    assert load(parquet, context_separator=" ").items[0].context == "p one p two"


def test_passages_of_later_rows_are_not_dropped_because_the_first_row_has_none(tmp_path: Path) -> None:
    path = rows(tmp_path, ROW, {**ROW, "id": "2", "context": "The Nile."})
    got = refusal(path)
    assert got.where.endswith("line 2, field context")
    assert "kind: closed" in got.hint
    assert [item.context for item in load(path, kind="closed").items] == [None, None]
    blank = rows(tmp_path, ROW, {**ROW, "id": "2", "context": " "}, {**ROW, "id": "3", "context": None})
    assert load(blank).kind == "closed"


def test_a_passage_column_that_the_settings_name_and_the_first_row_lacks_is_no_crash(tmp_path: Path) -> None:
    assert load(rows(tmp_path, ROW), fields=FieldMap(context="story")).kind == "closed"


# Columns


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("choices", ["iron", "neon"]),
        ("options", {"A": "iron"}),
        ("messages", [{"role": "user", "content": "q?"}]),
        ("conversations", [{"from": "human"}]),
        ("image", "cat.png"),
        ("images", ["cat.png"]),
        ("audio", {"path": "a.wav"}),
        ("system", "You are a chemist."),
        ("Choices", ["iron"]),
        ("tools", [{"name": "search"}]),
    ],
)
def test_a_column_that_makes_the_question_another_one_is_refused_until_told(tmp_path: Path, column: str, value: Any) -> None:
    path = rows(tmp_path, ROW, {**ROW, "id": "2", column: value})
    for skip in (False, True):
        got = refusal(path, skip_bad_rows=skip)
        assert repr(column) in got.what
        assert got.where.endswith("line 2")
        assert f"ignore_columns: [{column}]" in got.hint
    told = load(path, ignore_columns=(column,))
    assert len(told.items) == 2
    assert not any(column in note for note in told.notes)
    empty: list[Any] = [None, "", []]
    assert len(load(rows(tmp_path, *({**ROW, "id": str(n), column: one} for n, one in enumerate(empty)))).items) == 3


def test_such_columns_are_refused_in_tables_too(tmp_path: Path) -> None:
    sheet, parquet = tmp_path / "q.csv", tmp_path / "q.parquet"
    sheet.write_text("id,question,answers,choices\n1,q?,a,a|b\n")
    pl.DataFrame([{**ROW, "choices": ["a", "b"]}]).write_parquet(parquet)
    for path in (sheet, parquet):
        assert "ignore_columns: [choices]" in refusal(path).hint


def test_such_a_column_may_be_what_the_settings_name(tmp_path: Path) -> None:
    path = rows(tmp_path, {"id": "1", "system": "Which?", "answers": "a"})
    assert load(path, fields=FieldMap(question="system")).items[0].question == "Which?"


def test_columns_that_nobody_reads_are_named_once(tmp_path: Path) -> None:
    path = rows(tmp_path, {**ROW, "topic": "rivers", "answer": "other"}, {**ROW, "id": "2", "level": 3})
    (note,) = [note for note in load(path).notes if "nobody reads" in note]
    assert note == "columns that nobody reads: topic, answer, level"
    assert not any("nobody reads" in note for note in load(path, ignore_columns=("topic", "answer", "level")).notes)
    assert not any("cluster" in note for note in load(path).notes)


def test_a_column_whose_name_is_no_utf_8_is_told_as_an_escape(tmp_path: Path) -> None:
    (note,) = [note for note in load(rows(tmp_path, ROW | {"x\ud800": "y"})).notes if "nobody reads" in note]
    assert note.encode() == b"columns that nobody reads: x\\ud800"


def test_a_column_that_may_hold_the_passage_is_pointed_at(tmp_path: Path) -> None:
    notes = load(rows(tmp_path, {**ROW, "passages": ["The Nile."]})).notes
    assert any("fields.context: passages" in note for note in notes)


def test_columns_read_under_another_name_are_said(tmp_path: Path) -> None:
    got = load(rows(tmp_path, {"qid": "1", "prompt": "q?", "gold": "a"}))
    assert "columns guessed: question from prompt, answers from gold, id from qid" in got.notes
    assert any("no ids" in note for note in load(rows(tmp_path, {"question": "q?", "answers": "a"})).notes)
    named = load(rows(tmp_path, {"qid": "1", "prompt": "q?", "gold": "a"}), fields=FieldMap(id="qid", question="prompt", answers="gold"))
    assert not any("columns" in note for note in named.notes)


def test_items_that_ask_the_same_are_counted_and_one_cluster(tmp_path: Path) -> None:
    got = load(rows(tmp_path, ROW, {**ROW, "id": "2"}, {**ROW, "id": "3", "question": "Other?"}))
    assert any(note.startswith("1 of 3 items ask what another item asks") and "2 repeats 1" in note for note in got.notes)
    first, second, third = (item.cluster for item in got.items)
    assert first == second is not None
    assert third is None
    own = load(rows(tmp_path, {**ROW, "topic": "a"}, {**ROW, "id": "2", "topic": "b"}), fields=FieldMap(cluster="topic"))
    assert [item.cluster for item in own.items] == ["a", "b"], "clusters that are declared stay"


@pytest.mark.parametrize(
    ("header", "proposed"),
    [
        ("id, question, answers", "{question: ' question', answers: ' answers'}"),
        ("Frage,Antwort", "{question: COLUMN, answers: Antwort}"),
        ("ID,QUESTION,ANSWERS", "{question: QUESTION, answers: ANSWERS}"),
        ("Question Text,Answer Key,Topic", "{question: Question Text, answers: Answer Key}"),
        ("question,Best Answer,Category", "{answers: Best Answer}"),
    ],
)
def test_headers_that_nobody_knows_are_listed_with_the_setting(tmp_path: Path, header: str, proposed: str) -> None:
    path = tmp_path / "q.csv"
    path.write_text(f"{header}\n{','.join('x' for _ in header.split(','))}\n")
    for skip in (False, True):
        got = refusal(path, skip_bad_rows=skip)
        assert "no column is known as the" in got.what
        assert all(name.strip() in got.what for name in header.split(","))
        assert f"fields: {proposed}" in got.hint
        assert "cluster" not in got.hint


def test_one_column_is_taken_for_a_wrong_separator(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("id|question|answers\n1|q?|a\n")
    assert "commas, tabs or semicolons" in refusal(path).hint


# Whole files

WRAPPED = {"data": [ROW, {**ROW, "id": "2"}], "version": 1}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("layout", [None, "json"])
def test_rows_inside_an_object_are_pointed_at_and_read_when_told(tmp_path: Path, indent: int | None, layout: Any) -> None:
    path = tmp_path / "q.json"
    path.write_text(json.dumps(WRAPPED, indent=indent))
    got = refusal(path, format=layout)
    assert "'data' is a list of 2 objects with the columns id, question, answers" in got.what
    assert "rows_in: data" in got.hint
    assert [item.item_id for item in load(path, rows_in="data").items] == ["1", "2"]


def test_rows_deeper_inside_are_found(tmp_path: Path) -> None:
    path = tmp_path / "q.json"
    path.write_text(json.dumps({"split": {"test": {"rows": [ROW]}}}, indent=1))
    assert "rows_in: split.test.rows" in refusal(path).hint
    assert len(load(path, rows_in="split.test.rows").items) == 1
    assert "has no 'rowz'" in refusal(path, rows_in="split.test.rowz").what


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85"])
def test_signs_that_part_lines_elsewhere_part_none_in_json(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "q.jsonl"
    made = [{"id": str(number), "question": f"Largest{sign}river {number}?", "answers": ["Nile"]} for number in range(2)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made))
    assert [item.question for item in load(path).items] == [row["question"] for row in made]


def test_what_git_lfs_leaves_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12\n")
    assert "Git LFS" in str(refusal(path))
    assert "git lfs pull" in refusal(path).hint


@pytest.mark.parametrize("name", ["image_url", "imageUrl", "Image URL", "systemPrompt", "system_message", "System Prompt", "dialogue", "CHOICES"])
def test_columns_that_make_another_question_are_known_however_they_are_spelled(tmp_path: Path, name: str) -> None:
    assert f"has a column {name!r}" in str(refusal(rows(tmp_path, {**ROW, name: "x"})))
    assert len(load(tmp_path / "q.jsonl", ignore_columns=[name]).items) == 1


@pytest.mark.parametrize("indent", [1, "\t"])
def test_objects_over_several_lines_are_named_and_read_when_told(tmp_path: Path, indent: Any) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text("\n".join(json.dumps(row, indent=indent) for row in (ROW, {**ROW, "id": "2"})))
    got = refusal(path)
    assert "2 JSON objects over several lines each" in got.what
    assert "id, question, answers" in got.what
    assert "format: json" in got.hint
    assert [item.item_id for item in load(path, format="json").items] == ["1", "2"]


@pytest.mark.parametrize(
    ("tree", "hint"),
    [
        ({"q1": {"question": "q?"}, "q2": {"question": "r?"}}, "write them as a list"),
        ({"question": ["q?", "r?"], "answers": ["a", "b"]}, "one object a row"),
        ({"name": "x"}, "a list of objects"),
    ],
)
def test_an_object_that_holds_no_rows_says_what_it_holds(tmp_path: Path, tree: Any, hint: str) -> None:
    path = tmp_path / "q.json"
    path.write_text(json.dumps(tree, indent=1))
    assert hint in refusal(path).hint
    assert next(iter(tree)) in refusal(path).what


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04rest", "workbook"),
        ("id,question\n1,q?\n".encode("utf-16"), "UTF-16"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"<?xml version='1.0'?><rows/>", "XML"),
        (b"SQLite format 3\x00", "SQLite"),
        (b"ARROW1\x00\x00", "Arrow"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "q.data"
    path.write_bytes(data)
    assert what in refusal(path).what


TWICE = '{"id": "1", "question": "Longest river?", "answers": ["Nile"], "question": "Largest river?"}'


def test_a_thing_that_a_row_says_twice_is_refused(tmp_path: Path) -> None:
    path, plain = tmp_path / "q.jsonl", json.dumps(ROW | {"id": "2"})
    path.write_text(f"{TWICE}\n{plain}\n")
    error = refusal(path)
    assert "line 1: says a thing twice: the key 'question' occurs twice in an object" in str(error)
    assert load(path, skip_bad_rows=True).items[0].item_id == "2"


@pytest.mark.parametrize(
    "text", [f"[{TWICE}]", TWICE.replace(", ", ",\n"), f'{{"data": [{TWICE}], "version": 2}}', f'[{{"id": 1, "meta": {TWICE}}}]']
)
def test_so_it_is_anywhere_in_a_document(tmp_path: Path, text: str) -> None:
    path = tmp_path / "q.json"
    path.write_text(text)
    error = refusal(path, **({"format": "json", "rows_in": "data"} if "data" in text else {}))
    assert error.what == "the key 'question' occurs twice in an object"
    assert error.hint == "write each key once"


def test_a_first_line_that_is_broken_still_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"id": "0", "question": \n' + json.dumps(ROW) + "\n")
    assert len(load(path, skip_bad_rows=True).items) == 1


TICKET = {"id": "1", "body": "It is broken.", "reply": "We are sorry to hear that it is broken, and send another one.", "seen": "2026-01-01"}


def asked(path: Path, **what: Any) -> LoadReport:
    return load_items(SourceSpec(name="mine", source="file", path=str(path)), skip_bad_rows=False, task=TaskReads(**what))


def test_an_item_of_a_task_is_known_by_what_is_asked_and_not_by_a_longer_reference(tmp_path: Path) -> None:
    path = rows(tmp_path, TICKET)
    reads = frozenset({"body", "reply"})
    assert [item.question for item in asked(path, names=reads, asked=frozenset({"body"})).items] == [TICKET["body"]]
    assert [item.question for item in asked(path, names=frozenset(), is_all=True).items] == [TICKET["reply"]], "any column may be asked about"
    numbers = rows(tmp_path, {"id": "1", "a": 2, "b": 3, "answer": 5})
    assert [item.question for item in asked(numbers, names=frozenset({"a", "b"}), asked=frozenset({"a", "b"})).items] == ['{"a": 2, "b": 3}']


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("['Nile', 'River Nile']", "are one text each, as they stand; `answer_separator` parts them: 1 time, first \"['Nile', 'River Nile']\""),
        ('["Nile", "River Nile"]', "are one text each, as they stand"),
        ("{'text': ['Nile']}", "are one text each, as they stand"),
        (42, "answers that are numbers are read as text: 1 time, first 42 as '42'"),
        ('{"river": "Nile"}', None),
        ({"river": "Nile"}, None),
        (["Nile", "River Nile"], None),
        ("[a river]", None),
    ],
)
def test_a_reference_of_a_task_that_may_be_meant_otherwise_is_said(answer: Any, what: str | None, tmp_path: Path) -> None:
    found = asked(rows(tmp_path, {"id": "1", "body": "b", "answer": answer}), names=frozenset({"body"}), asked=frozenset({"body"})).notes
    told = [note for note in found if "text" in note]
    assert len(told) == (what is not None), found
    assert what is None or what in told[0]


def test_rows_inside_the_only_object_of_a_file_are_named_to_a_task_too(tmp_path: Path) -> None:
    path = tmp_path / "q.json"
    path.write_text(json.dumps({"data": [TICKET]}))
    with pytest.raises(DataError, match=r"no row has a column 'body'. The file looks like one object: 'data' is a list of 1 objects") as caught:
        asked(path, names=frozenset({"body"}), asked=frozenset({"body"}))
    assert "`rows_in: data`" in str(caught.value)
    assert len(asked(rows(tmp_path, TICKET), names=frozenset({"body"}), asked=frozenset({"body"})).items) == 1


def test_items_ask_the_same_when_their_requests_do_whatever_stands_beside(tmp_path: Path) -> None:
    path = rows(tmp_path, TICKET, TICKET | {"id": "2", "seen": "2026-01-02"}, TICKET | {"id": "3", "body": "It is late."})
    one, two, three = asked(path, names=frozenset({"body", "seen"}), asked=frozenset({"body"})).items
    assert one.cluster is not None
    assert one.cluster == two.cluster
    assert three.cluster is None
    assert {item.cluster for item in asked(path, names=frozenset({"body", "seen"}), asked=frozenset({"body", "seen"})).items} == {None}
    questions = rows(tmp_path, ROW | {"level": "low"}, ROW | {"id": "2", "level": "high"})
    low, high = asked(questions, names=frozenset({"level"}), has_questions=True).items
    assert low.cluster == high.cluster is not None, "a slice makes no other question of it"


@pytest.mark.parametrize("cell", ["nan", "NaN", "NULL", "n/a", "#N/A"])
def test_what_tables_write_where_nothing_stands_is_a_text_and_said(tmp_path: Path, cell: str) -> None:
    got = load(cells(tmp_path, "Nile", cell))
    assert got.items[1].answers == (cell,)
    assert any("where nothing stands" in note and cell in note for note in got.notes)
    assert not any("where nothing stands" in note for note in load(cells(tmp_path, "Nile", "None", "NA")).notes)


@pytest.mark.parametrize("text", ["42\n", '"hello"\n', "null", "true\n"])
def test_a_file_of_one_json_value_is_named_as_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "q.json"
    path.write_text(text)
    assert refusal(path).what == "the file holds one JSON value and no rows"
