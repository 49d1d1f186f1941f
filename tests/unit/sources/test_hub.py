"""The hub source: asked for the right set, and clear about what is missing. A stand-in plays the third party's package."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchtrial.errors import DataError, MissingExtra
from batchtrial.sources import SourceSpec, load_items

STAND_IN = """
class exceptions:
    class DatasetsError(Exception):
        pass


SETS = {
    ("rajpurkar/squad_v2", None, "validation"): [
        {"id": "a", "title": "T", "context": "C one.", "question": "q?", "answers": {"text": ["one"], "answer_start": [2]}},
        {"id": "b", "title": "T", "context": "C one.", "question": "r?", "answers": {"text": [], "answer_start": []}},
    ],
    ("mandarjoshi/trivia_qa", "unfiltered.nocontext", "validation"): [
        {"question_id": "tc_1", "question": "q?", "answer": {"value": "v", "aliases": ["w"], "normalized_aliases": ["w"]}},
    ],
    ("owner/own", "small", "test"): [{"question": "q?", "answer": ["a"]}],
}


def load_dataset(path, name=None, *, split=None):
    if path == "owner/damaged":
        raise exceptions.DatasetsError("an error occurred while generating the dataset")
    if (path, name, split) not in SETS:
        raise FileNotFoundError(f"no dataset {path}")
    return SETS[path, name, split]
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "datasets.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "datasets", raising=False)
    yield
    sys.modules.pop("datasets", None)


@pytest.mark.usefixtures("package")
def test_well_known_sets_need_only_their_name() -> None:
    squad = load_items(SourceSpec(name="squad_v2", source="hub"), skip_bad_rows=False)
    assert [(item.item_id, item.answers, item.is_unanswerable) for item in squad.items] == [("a", ("one",), False), ("b", (), True)]
    assert (squad.kind, squad.metric, squad.format) == ("open", "squad_v2", None)
    trivia = load_items(SourceSpec(name="triviaqa", source="hub"), skip_bad_rows=False)
    assert [(item.item_id, item.answers) for item in trivia.items] == [("tc_1", ("v", "w"))]
    assert (trivia.kind, trivia.metric) == ("closed", "triviaqa")


@pytest.mark.usefixtures("package")
def test_any_set_can_be_named() -> None:
    spec = SourceSpec(name="own", source="hub", path="owner/own", subset="small", split="test")
    assert [item.item_id for item in load_items(spec, skip_bad_rows=False).items] == ["own-0"]


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(("path", "reason"), [("owner/none", "no dataset owner/none"), ("owner/damaged", "while generating")])
def test_a_set_that_cannot_be_had_says_so(path: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        load_items(SourceSpec(name="x", source="hub", path=path), skip_bad_rows=False)


def test_a_set_without_a_repository_is_refused() -> None:
    with pytest.raises(DataError, match="does not say which repository"):
        load_items(SourceSpec(name="x", source="hub"), skip_bad_rows=False)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra) as caught:
        load_items(SourceSpec(name="squad_v2", source="hub"), skip_bad_rows=False)
    assert "batchtrial[hub]" in caught.value.hint
