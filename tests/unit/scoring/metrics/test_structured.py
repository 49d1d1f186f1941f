"""JSON in answers: against the standard library's reader, the library's own verdicts on schemas, and known answers field by field."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scoring.metrics.answers import Question, judged, plain

from batchtrial.errors import ConfigError
from batchtrial.scoring.metrics.base import Rows
from batchtrial.scoring.metrics.everyday import check_of
from batchtrial.scoring.metrics.named import metric_of, sha256_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=6,
)
ORDER = {
    "type": "object",
    "properties": {"id": {"type": "integer", "minimum": 1}, "name": {"type": "string", "pattern": "^[a-b]+$"}, "tags": {"$ref": "#/$defs/tags"}},
    "required": ["id"],
    "additionalProperties": False,
    "patternProperties": {"^x": {"type": "number"}},
    "$defs": {"tags": {"type": "array", "uniqueItems": True, "items": {"enum": ["a", "b", 1, True]}}},
}


@given(VALUES)
def test_what_python_writes_is_json_and_what_is_cut_off_is_none(value: Any) -> None:
    text = json.dumps(value)
    assert judged("json_valid", [text, f"```json\n{text}\n```", f"Here you are:\n```\n{text}\n```\nBye", f"{text} {text}", f"[{text}"]) == [
        1,
        1,
        1,
        0,
        0,
    ]


@pytest.mark.parametrize(
    "text", ["", " ", "NaN", "[Infinity]", "{'a': 1}", "{a: 1}", "[1,]", "nul", "[" * 100_000, "text", '{"a": 1', "\ufeff", "```json\n```"]
)
def test_what_is_no_json(text: str) -> None:
    assert judged("json_valid", [text]) == [0]
    assert judged("json_fields", [text], ['{"a": 1}']) == [0]


def test_a_fence_counts_only_where_it_may() -> None:
    assert judged({"json_valid": {"fenced": False}}, ["```json\n1\n```", "1"]) == [0, 1]
    assert judged("json_valid", ['{"a": "```\\n1\\n```"}']) == [1]


SCHEMAS: list[Any] = [
    ORDER,
    {"type": "array", "uniqueItems": True},
    {"additionalProperties": {"type": "integer"}, "properties": {"a": {}}},
    {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": False, "properties": {"a": {"type": "null"}}}]},
    {"not": {"type": "object"}},
    True,
    False,
]


@pytest.mark.parametrize("place", range(len(SCHEMAS)))
@given(value=VALUES)
def test_the_verdict_on_a_schema_is_the_librarys_own(place: int, value: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = SCHEMAS[place]
    wanted = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert judged({"json_schema": {"schema": schema}}, [json.dumps(value)]) == [float(wanted)]


def _with_keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    size, bound = st.integers(0, 2), st.integers(-2, 2) | st.floats(-2, 2)
    kinds = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
    few = st.lists(inner, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": kinds | st.lists(kinds, min_size=1, max_size=2, unique=True),
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
            "additionalProperties": inner,
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "const": VALUES,
            "items": inner,
            "pattern": st.sampled_from(["^a", "b$"]),
            "anyOf": few,
            "oneOf": few,
            "allOf": few,
            "not": inner,
            "title": st.just("a note"),
            **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), size),
            **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), bound),
        },
    )


MADE = st.recursive(st.booleans() | st.just({"$ref": "#/$defs/a"}) | st.just({"type": "string"}), _with_keywords, max_leaves=5)


@pytest.mark.parametrize("draft", ["https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema#"])
@given(schema=_with_keywords(MADE), inner=_with_keywords(st.booleans()), values=st.lists(VALUES, min_size=3, max_size=9))
def test_everyday_keywords_as_functions_say_what_the_library_says(draft: str, schema: Any, inner: Any, values: Any) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    whole = {"$schema": draft, **schema, "$defs": {"a": inner}}
    library, quick = jsonschema.validators.validator_for(whole)(whole), check_of(whole, lambda pattern, text: re.search(pattern, text) is not None)
    if quick is not None:
        assert [quick(value) for value in values] == [library.is_valid(value) for value in values]


def test_which_schemas_are_left_to_the_library() -> None:
    def never(pattern: str, text: str) -> bool:
        raise AssertionError

    more: list[Any] = [{"multipleOf": 2}, {"prefixItems": [True]}, {"$id": "a"}, {"enum": [[]]}, {"$ref": "#"}, {"if": True}]
    tree = {"properties": {"next": {"$ref": "#/$defs/tree"}}}
    assert [check_of(one, never) for one in (*more, {"$ref": "#/$defs/tree", "$defs": {"tree": tree}})] == [None] * 7
    twice = {f"s{n}": {"allOf": [{"$ref": f"#/$defs/s{n + 1}"}] * 2} for n in range(64)}  # each is read once, not 2^64 times
    assert check_of({"$ref": "#/$defs/s0", "$defs": {**twice, "s64": False}}, never) is not None


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"id": 1}, 1),
        ({"id": 1, "name": "ab", "x1": 2.5}, 1),
        ({"id": 0}, 0),
        ({"name": "ab"}, 0),
        ({"id": 1, "name": "abc"}, 0),
        ({"id": 1, "y": 2}, 0),
        ({"id": 1, "x": "2"}, 0),
        ({"id": 1, "tags": ["a", "b"]}, 1),
        ({"id": 1, "tags": ["a", "a"]}, 0),
        ({"id": 1, "tags": [1, True]}, 1),
        ([], 0),
    ],
)
def test_known_verdicts(value: Any, fits: int) -> None:
    pytest.importorskip("jsonschema")
    assert judged({"json_schema": {"schema": ORDER}}, [json.dumps(value)]) == [fits]


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "objekt"}, "no JSON schema"),
        ({"$ref": "https://schemas.example/a.json"}, "nothing is ever fetched"),
        ({"properties": {"a": {"$ref": "other.json#/x"}}}, "nothing is ever fetched"),
        ({"$ref": "#/$defs/none"}, "which is not in it"),
        ({"$ref": "#"}, "refers to itself"),
        ({"pattern": "(?=a)b"}, "look-around"),
        ({"patternProperties": {"(a)\\1": {}}}, "backreferences"),
    ],
)
def test_a_schema_that_cannot_be_checked_is_refused_before_anything_is_sent(schema: Any, says: str) -> None:
    pytest.importorskip("jsonschema")
    with pytest.raises(ConfigError, match="json") as caught:
        metric_of({"json_schema": {"schema": schema, "name": "json"}}).check()
    assert says in str(caught.value)
    assert caught.value.where is not None
    assert caught.value.where.startswith("metrics.json")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"pattern": "(a+)+$"}, "a" * 50_000 + "!"),
        ({"uniqueItems": True}, [{"a": n} for n in range(20_000)]),
        ({"patternProperties": {"(a|a)*b": {}}, "additionalProperties": False}, {"a" * 5_000: 1}),
    ],
)
def test_no_schema_takes_for_ever(schema: Any, value: Any) -> None:
    pytest.importorskip("jsonschema")
    began = time.process_time()
    judged({"json_schema": {"schema": schema}}, [json.dumps(value)])
    assert time.process_time() - began < 10.0


def test_a_schema_may_stand_in_a_file_whose_content_is_hashed(tmp_path: Path) -> None:
    pytest.importorskip("jsonschema")
    file = tmp_path / "order.json"
    entry = {"json_schema": {"file": str(file)}}
    (tmp_path / "orders.json").write_text("{}")
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        metric_of(entry).check()
    assert caught.value.hint == f"did you mean {(tmp_path / 'orders.json').as_posix()}?"
    file.write_text(json.dumps({"type": "object"}))
    before = sha256_of(metric_of(entry))
    assert judged(entry, ["{}", "[]"]) == [1, 0]
    file.write_text(json.dumps({"type": "array"}))
    assert sha256_of(metric_of(entry)) != before
    file.write_text("[1]")
    with pytest.raises(ConfigError, match="no JSON schema"):
        metric_of(entry).check()


def test_the_share_of_fields_and_each_by_itself() -> None:
    metric = metric_of({"json_fields": {"fields": ["name", "total", "address.city"], "tolerance": 0.01, "name": "f"}})
    right = '{"name": "Ann Lee", "total": 5, "address": {"city": "Rome"}, "note": "x"}'
    answers = [right, '{"name": "ann  lee", "total": 5.01, "address": {}}', "no", None, '{"name": null, "total": true}']
    found = metric.of(Rows(texts=answers, items=[Question(answers=(right,))] * 5))
    assert metric.columns == ("f", "f.name", "f.total", "f.address.city")
    assert plain(found["f"].tolist()) == [1, pytest.approx(2 / 3), 0, None, 0]
    assert plain(found["f.name"].tolist()) == [1, 1, 0, None, 0]
    assert plain(found["f.address.city"].tolist()) == [1, 0, 0, None, 0]


def test_without_names_the_fields_are_those_of_the_reference() -> None:
    assert judged("json_fields", ['{"a": 1, "b": [1, {"c": "X"}], "d": 9}'], ['{"a": 1, "b": [1, {"c": "x"}]}']) == [1]
    assert judged("json_fields", ['{"a": 1}'], ['{"a": 1, "b": 2}']) == [0.5]
    beyond = f'{{"a": 1{"0" * 400}}}'  # a whole number beyond every float
    assert [judged("json_fields", [beyond], [wanted]) for wanted in ('{"a": 1}', '{"a": 1.5}', beyond)] == [[0], [0], [1]]
    assert judged("json_fields", ['{"a": 1}'], ["no json"]) == [None]
    assert judged("json_fields", ['{"a": 1}'], ["{}"]) == [None]
    assert judged({"json_fields": {"case": True}}, ['{"a": "X"}'], ['{"a": "x"}']) == [0]


@pytest.mark.parametrize(
    "text",
    [
        '```json {"a": 1} ```',
        '```Json\n{"a": 1}\n```',
        '```jsonc\n{"a": 1}\n```',
        '```json\n{"a": "``` inside"}\n```',
        '```python\nx = {}\n```\nand\n```json\n{"a": 1}\n```',
        '```{"a": 1}```',
    ],
)
def test_the_fence_that_holds_json_is_found(text: str) -> None:
    assert judged("json_valid", [text]) == [1]
    assert judged({"json_valid": {"fenced": False}}, [text]) == [0]


@pytest.mark.parametrize("text", ['```python\n{"a": 1}\n```', "```json\n{}", "```json\n```", "``` {" * 100_000, "```\n" * 100_001])
def test_a_fence_that_holds_none_or_never_closes_is_no_json(text: str) -> None:
    assert judged("json_valid", [text]) == [0]


def test_fields_in_lists_and_fields_with_dots_in_their_names() -> None:
    reference = '{"items": [{"name": "pen"}, {"name": "ink"}], "a.b": 2}'
    entry = {"json_fields": {"fields": ["items.1.name", "a.b"], "name": "f"}}
    assert judged(entry, [reference, '{"items": [{"name": "pen"}], "a.b": 2}', '{"a": {"b": 2}}', "[]"], [reference]) == [1, 0.5, 0, 0]


def test_multiples_are_of_the_decimals_that_were_written() -> None:
    entry = {"json_schema": {"schema": {"multipleOf": 0.01}}}
    assert judged(entry, ["19.99", "0.3", "7", "1e300", "0.005", "true", '"x"']) == [1, 1, 1, 1, 0, 1, 1]
    assert judged({"json_schema": {"schema": {"multipleOf": 3}}}, ["9.0", "10", "9" * 40]) == [1, 0, 1]
