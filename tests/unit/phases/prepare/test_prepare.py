"""prepare: the same items from the same sources, checked, published whole, and made again only when something changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.world import config, open_items
from tests.unit.rig import Rig

from batchtrial.errors import ConfigError, DataError
from batchtrial.phases.base import digest_of
from batchtrial.phases.prepare import phase as prepare
from batchtrial.run.options import Options
from batchtrial.sources import SourceSpec
from batchtrial.state.files import PreparedManifest, load
from batchtrial.state.store import Stamps


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, n_items=6)


def only(rig: Rig, *, remake: bool = False) -> tuple[str, ...]:
    return rig.run(options=Options(to_step="prepare", remake=remake)).ran


def manifest(rig: Rig) -> PreparedManifest:
    found = load(PreparedManifest, rig.layout.prepared_manifest)
    assert found is not None
    return found


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_items_are_written_with_what_was_read(rig: Rig) -> None:
    only(rig)
    assert [row["id"] for row in rows(rig.layout.open_book)] == [f"o{i}" for i in range(6)]
    assert rows(rig.layout.closed_book) == []
    found = manifest(rig)
    assert (found.datasets["open_book"].items, found.datasets["closed_book"].items) == (6, 0)
    assert found.sources["reading"]["rows_read"] == 6
    assert set(rows(rig.layout.open_book)[0]) >= {"dataset", "id", "question", "context", "answers", "is_unanswerable"}


def test_what_is_done_is_not_done_again(rig: Rig) -> None:
    assert only(rig) == ("prepare",)
    before = rig.layout.open_book.stat().st_mtime_ns
    assert only(rig) == ()
    assert rig.layout.open_book.stat().st_mtime_ns == before


def test_remade_it_gives_the_same_bytes(rig: Rig) -> None:
    only(rig)
    before = rig.layout.open_book.read_bytes(), rig.layout.prepared_manifest.read_bytes()
    assert only(rig, remake=True) == ("prepare",)
    assert (rig.layout.open_book.read_bytes(), rig.layout.prepared_manifest.read_bytes()) == before


@pytest.mark.parametrize("how", ["gone", "cut", "empty"])
def test_a_half_written_file_is_not_taken_for_a_whole_one(rig: Rig, how: str) -> None:
    only(rig)
    path, whole = rig.layout.open_book, rig.layout.open_book.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2] if how == "cut" else b"")
    assert only(rig) == ("prepare",)
    assert path.read_bytes() == whole


def test_a_changed_source_is_noticed(rig: Rig) -> None:
    only(rig)
    rig.questions.write_text("".join(json.dumps(row) + "\n" for row in open_items(7)))
    assert only(rig) == ("prepare",)
    assert manifest(rig).datasets["open_book"].items == 7


def test_a_source_that_is_gone_is_not_needed_any_more(rig: Rig) -> None:
    rig.run(to_step="build")
    rig.questions.unlink()
    assert rig.run(to_step="build").ran == ()


@pytest.mark.parametrize("n", [1, 3, 5])
def test_a_limit_keeps_a_seeded_sample_that_grows_with_the_limit(tmp_path: Path, n: int) -> None:
    def kept(limit: int) -> set[object]:
        rig = Rig(tmp_path / str(limit), n_items=20, changes={"limit_items": limit})
        only(rig)
        return {row["id"] for row in rows(rig.layout.open_book)}

    assert len(kept(n)) == n
    assert kept(n) < kept(n + 4)


def test_the_sample_hangs_on_the_seed(tmp_path: Path) -> None:
    ids = []
    for seed in (1, 2):
        rig = Rig(tmp_path / str(seed), n_items=30, changes={"limit_items": 5, "seed": seed})
        only(rig)
        ids.append({row["id"] for row in rows(rig.layout.open_book)})
    assert ids[0] != ids[1]


def test_a_bad_row_fails_or_is_counted(rig: Rig) -> None:
    with rig.questions.open("a") as file:
        file.write('{"id": "bad", "question": "", "context": "x", "answers": ["y"]}\n')
    with pytest.raises(DataError) as caught:
        only(rig)
    assert "7" in str(caught.value)
    assert not rig.layout.prepared_manifest.exists()
    fresh = Rig(rig.folder / "skipping", changes={"skip_bad_rows": True})
    fresh.questions.write_bytes(rig.questions.read_bytes())
    only(fresh)
    source = manifest(fresh).sources["reading"]
    assert (source["items"], source["bad_rows"]) == (6, 1)


def test_two_datasets_may_share_ids_but_not_names(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    spec = {"source": "file", "path": str(rig.questions)}
    two = rig.config().model_validate(rig.config().model_dump() | {"datasets": [{"name": "a", **spec}, {"name": "b", **spec}]})
    assert len(prepare.choose(two).items) == 8
    same = rig.config().model_validate(rig.config().model_dump() | {"datasets": [{"name": "a", **spec}, {"name": "a", **spec}]})
    with pytest.raises(DataError, match="occurs twice"):
        prepare.choose(same)


def test_what_was_guessed_and_left_unread_is_said_and_kept(tmp_path: Path) -> None:
    rig = Rig(tmp_path, n_items=2)
    with rig.questions.open("w") as out:
        for row in open_items(2):
            out.write(json.dumps({**row, "topic": "words"}) + "\n")
    only(rig)
    kept = manifest(rig).sources["reading"]["notes"]
    assert "columns that nobody reads: topic" in kept
    assert [f"note: reading: {note}" for note in kept] == [note for note in rig.notes if note.startswith("note: reading")]


@pytest.mark.parametrize(
    ("metric", "answers", "named"),
    [
        ("squad_v2", ["A"], True),
        ("squad_v2", ["?", "the"], True),
        ("squad_v2", ["A", "Nile"], False),  # dropped, as in the official script
        ("triviaqa", ["A", "Nile"], True),
        ("nq_open", ["Nile", "-"], True),
        ("triviaqa", ["A1", "an 8"], False),
        ("triviaqa", ["Theatre", "Ann"], False),
    ],
)
def test_items_that_an_empty_answer_gets_right_are_named(tmp_path: Path, metric: str, answers: list[str], named: bool) -> None:
    (row,) = open_items(1)
    (tmp_path / "q.jsonl").write_text(json.dumps({**row, "answers": answers}) + "\n")
    rig = Rig(tmp_path, n_items=1)
    config = rig.config().model_copy(update={"datasets": (SourceSpec(name="x", source="file", path=str(tmp_path / "q.jsonl"), metric=metric),)})
    assert any("saying nothing is right there: x|o0" in note for note in prepare.notes(prepare.choose(config).sources)) == named


def test_settings_of_later_versions_do_not_make_older_prepared_items_stale(tmp_path: Path) -> None:
    """The digest of a run of an earlier version, whose sets knew no such settings."""
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(open_items(1)[0]) + "\n")
    rig = Rig(tmp_path)
    spec = SourceSpec(name="x", source="file", path=str(path))
    config = rig.config().model_copy(update={"datasets": (spec,)})
    stamps = Stamps(tmp_path, tmp_path / "stamps.json")
    got = stamps.of(path)
    assert got is not None
    known = spec.model_dump(mode="json", exclude={"path", "context_separator", "rows_in", "ignore_columns"})
    assert prepare.inputs(config, stamps) == digest_of([prepare.FORM, [known], {"x": got.sha256}, None, False, None])
    told = config.model_copy(update={"datasets": (spec.model_copy(update={"ignore_columns": ("topic",)}),)})
    assert prepare.inputs(told, stamps) != prepare.inputs(config, stamps)


@pytest.mark.parametrize(
    ("changes", "where", "hint"),
    [
        ({"slices": ["contxt"]}, "slices", "did you mean 'context'?"),
        ({"metrics": [{"similarity": {"reference": "anwers"}}]}, "metrics.similarity.reference", "did you mean 'answers'?"),
        ({"slices": ["zzz"]}, "slices", "the columns are answers, context"),
    ],
)
def test_a_column_that_no_row_has_is_refused_with_file_field_and_the_nearest_column(
    tmp_path: Path, changes: dict[str, Any], where: str, hint: str
) -> None:
    rig = Rig(tmp_path, n_items=6, changes=changes)
    with pytest.raises(ConfigError) as caught:
        only(rig)
    assert caught.value.where == where
    assert str(rig.questions) in caught.value.what
    assert hint in caught.value.hint
    assert not rig.layout.open_book.exists()


def test_a_column_that_is_empty_in_every_row_is_refused_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path, n_items=2, changes={"slices": ["topic"]})
    said = [json.loads(line) | {"topic": None} for line in rig.questions.read_text().splitlines()]
    rig.questions.write_text("".join(json.dumps(row) + "\n" for row in said))
    with pytest.raises(ConfigError, match="column 'topic' with a value"):
        only(rig)


def test_items_that_ask_what_one_of_another_set_asks_are_one_cluster(tmp_path: Path) -> None:
    """A file listed twice has no more questions than once, and its interval is no narrower."""
    asked = [{"id": f"i{i}", "question": f"Question {i}?", "answers": ["a"]} for i in range(12)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    (tmp_path / "b.jsonl").write_text("".join(json.dumps({**row, "id": f"x{row['id']}"}) + "\n" for row in asked[4:]))
    sets = [{"name": name, "source": "file", "path": str(tmp_path / f"{name}.jsonl"), "kind": "closed"} for name in ("a", "b")]
    found = prepare.choose(config(sets))
    by_cluster: dict[str | None, set[str]] = {}
    for item in found.items:
        by_cluster.setdefault(item.cluster, set()).add(item.question)
    assert {len(asked) for name, asked in by_cluster.items() if name is not None} == {1}
    assert sum(item.cluster is None for item in found.items) == 4
    assert len(found.items) - 4 == 2 * (len(by_cluster) - 1) == 16
    (note,) = [note for note in found.sources["b"]["notes"] if "ask what another item asks" in note]
    assert note.startswith(
        "8 items ask what another item asks in another set and are taken together, as questions on one passage are: xi4 repeats a|i4"
    )
