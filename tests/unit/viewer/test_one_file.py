"""The page that is mailed: whole without a server, deterministic, never larger than it may be, and without texts when they are to stay here."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.world import World
from tests.unit.reading.trials import SEVERAL, finished
from tests.unit.reading.trials import text as prompt

from batchtrial.cli.commands.export import main
from batchtrial.errors import ConfigError
from batchtrial.reading import pages
from batchtrial.reading.drawn import drawn
from batchtrial.reading.in_one_file import REDACTED, Carrier, blocks_of, unpacked
from batchtrial.reading.long_texts import fold, image_told
from batchtrial.reading.long_texts import page_of as page_of_text
from batchtrial.reading.run_tables import RunTables
from batchtrial.viewer.modules import MODULES, STYLE, WORKER, csp_hash, one_script, text_of
from batchtrial.viewer.one_file import answers_page

PAGE = Path(__file__).resolve().parents[3] / "src" / "batchtrial" / "viewer" / "page"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    stats = {"primary": {"metric": "em", "kind": "all"}, "permutation_samples": 999}
    with finished(tmp_path_factory.mktemp("page"), stats=stats, run_id="run_r1") as made:
        yield made


def data_of(page: str) -> dict[str, Any]:
    return {name: unpacked(content) for name, content in blocks_of(page)}


def page_of(world: World, **how: Any) -> str:
    with RunTables.of(world.layout) as tables:
        return answers_page(tables, **how)


def test_the_page_has_every_pair_and_is_the_same_each_time(world: World) -> None:
    page = page_of(world)
    data = data_of(page)
    n = data["columns"]["n"]
    items = [item for name, block in data.items() if name.startswith("texts-") for item in block]
    assert n == len(items) == 60
    assert data["columns"]["part"] is None
    assert {len(arm["scores"]["em"]) for arm in data["columns"]["arms"]} == {n}
    assert [item["key"] for item in items] == data["columns"]["keys"]
    assert page == page_of(world)
    assert world.layout.run_id not in page.partition("</head>")[0]


def test_the_page_lets_nothing_in_and_asks_nobody(world: World) -> None:
    page = page_of(world)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    said = policy[1].replace("&#x27;", "'")
    assert said.startswith("default-src 'none'; script-src 'sha256-")
    assert "connect-src" not in said
    assert "unsafe" not in said
    assert csp_hash(one_script()) in said
    assert csp_hash(text_of(STYLE)) in said
    bare = re.sub(r'<script type="text/plain".*?</script>', "", page, flags=re.DOTALL).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//[a-z]+\.", bare)
    assert page.count("</script>") == page.count("<script")


def test_a_page_without_texts_has_none_of_them(world: World) -> None:
    whole, redacted = (data_of(page_of(world, is_redacted=is_redacted)) for is_redacted in (False, True))
    assert whole["columns"]["arms"] == redacted["columns"]["arms"]
    told = str(redacted)
    assert REDACTED in told
    assert "left out of this file" in redacted["columns"]["part"]
    assert whole["columns"]["about"]["trials"][0]["queue"]
    assert redacted["columns"]["about"]["trials"][0]["queue"] == []
    for text in ("Which word belongs", "something else", "answer 1", "Passage", "Answer with care", "thing 1"):
        assert text in str(whole)
        assert text not in told


def test_columns_to_filter_by_are_texts_too_but_for_declared_slices(tmp_path: Path) -> None:
    with finished(tmp_path, n_open=6, n_closed=6, slices=["is_unanswerable"], **SEVERAL) as made:
        whole, redacted = (data_of(page_of(made, is_redacted=is_redacted)) for is_redacted in (False, True))
    assert "x.context" in whole["columns"]["about"]["choices"]
    assert set(redacted["columns"]["about"]["choices"]) == set(redacted["columns"]["items"]) == {"dataset", "kind", "x.is_unanswerable"}
    assert "Passage" in str(whole)
    assert "Passage" not in str(redacted)


def test_a_run_that_does_not_fit_is_there_with_what_changed_and_the_numbers_of_all(world: World) -> None:
    with RunTables.of(world.layout) as tables:
        carrier = Carrier(tables, most_bytes=206_000, per_block=8)
        columns = unpacked(carrier.data()["columns"])
    assert 0 < columns["n"] < 60
    assert f"{columns['n']} of 60" in columns["part"]
    whole = columns["whole"][f"{world.trial.slug}/0"]["em"]
    assert whole["slice"]["n"] == 60
    assert sum(whole["slice"]["counts"].values()) == 60
    assert columns["n"] == len(columns["keys"]) == len(columns["arms"][0]["scores"]["em"])


LONG = "".join(f"{n:06d} \U0001f600\n" for n in range(55_000))
"""Half a million characters, and two of UTF-16 for some."""


def test_the_whole_of_a_long_text_is_there_page_by_page(tmp_path: Path) -> None:
    with finished(tmp_path, lambda arm, *_: LONG if arm.condition == "treatment" else "short", n_open=0, n_closed=2) as made:
        with RunTables.of(made.layout) as tables:
            page = answers_page(tables)
            at = pages.about(tables)["trials"][0]["treatment"]
            served = [page_of_text(tables, 1, f"answer/{at}/0", number) for number in range(4)]
            for odd in ("answer/9/0", "answer/x/0", "sent/0/9", "context/1", "answer/0/9", f"answer/0/{10**30}", "answer/\u00b2/0", ""):
                with pytest.raises(ConfigError, match="an item has no text"):
                    page_of_text(tables, 0, odd, 1)
            tight = unpacked(Carrier(tables, most_bytes=201_000 + len(dict(blocks_of(page))["texts-0"])).data()["columns"])
        data = data_of(page)
        item = data["texts-0"][1]
        first, n = data["columns"]["more"][f"1/answer/{at}/0"]
        assert item["long"] == {f"answer/{at}/0": len(LONG)}
        assert item["by_arm"][at][0]["text"] + "".join(data[f"more-{first + number}"] for number in range(n)) == LONG == "".join(served)
        assert served[0] == item["by_arm"][at][0]["text"] == LONG[:200_000]
        assert data["columns"]["part"] is None
        assert tight["n"] == 2
        assert tight["part"] == "Of 2 texts over 200,000 characters only the beginning fits into this file. `batchtrial view` shows everything."


def test_texts_that_are_long_leave_room_for_others(tmp_path: Path) -> None:
    rng = random.Random(3)
    giant, long = ("".join(rng.choices("abcdefghij", k=size)) for size in (190_000, 40_000))
    with finished(tmp_path, lambda arm, _, item, sample: giant if item == "c3" else f"{item} {long}", n_open=0, n_closed=40) as made:
        with RunTables.of(made.layout) as tables:
            carrier = Carrier(tables, most_bytes=500_000)
            columns = unpacked(carrier.data()["columns"])
        assert 3 <= columns["n"] < 40  # in blocks of 128 none of these fits
        assert len(carrier.blocks) == len(columns["starts"]) > 1
        assert columns["starts"] == sorted(set(columns["starts"]))
        items = [item for block in carrier.blocks for item in unpacked(block)]
        assert [item["key"] for item in items] == columns["keys"]


def test_long_columns_are_folded_and_images_are_told_by_their_address() -> None:
    found = fold({"question": "q", "columns": {"long": "x" * 200_001, "list": ["y" * 200_000], "short": [1]}, "sent": [], "by_arm": []})
    assert found["long"] == {"column/long": 200_001, "column/list": 200_004}
    assert [len(found["columns"][name]) for name in ("long", "list")] == [200_000, 200_000]
    assert found["columns"]["short"] == [1]
    address = f"https://example.org/{'p' * 300}.png"
    assert image_told(address) == f"[image] {address}"
    assert image_told(f"data:image/png;base64,{'A' * 5000}") == f"[image] data:image/png;base64,{'A' * 18}... (5,022 characters)"


def test_the_modules_can_be_one_script() -> None:
    assert {path.name for path in PAGE.iterdir() if path.suffix in (".js", ".css")} == {*MODULES, *WORKER, STYLE}
    known: set[str] = set()
    for name in MODULES:
        text = text_of(name)
        lines = [line for line in text.splitlines() if line.startswith("import ")]
        for line in lines:
            found = re.fullmatch(r'import \{ [\w, ]+ \} from "\./([a-z_]+\.js)";', line)
            assert found is not None, (name, line)
            assert found[1] in known, (name, line)
        assert not re.search(r"^export (default|\{|\*)", text, re.MULTILINE), name
        known.add(name)
    for script in (one_script(), one_script(WORKER)):
        assert "import {" not in script
        assert "\nexport " not in script


def test_texts_never_become_markup() -> None:
    script = "\n".join(text_of(name) for name in dict.fromkeys((*MODULES, *WORKER)))
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval(", "new Function", "srcdoc", "javascript:"):
        assert word not in script
    assert len(script) + len(text_of(STYLE)) < 150_000


def test_the_command_writes_the_page(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "answers.html"
    where = ["--run_id", "r1", "--experiments_dir", str(world.layout.root.parent)]
    assert main([*where, "--html", str(out)]) == 0
    assert out.read_text(encoding="utf-8") == page_of(world)
    assert main([*where, "--html", str(tmp_path / "no" / "such.html")]) == 2
    assert main(where) == 2
    assert main(["--run_id", "none", "--experiments_dir", str(tmp_path), "--html", str(out)]) == 3
    told = capsys.readouterr().err
    assert "there is no run none" in told
    assert "Traceback" not in told


def test_trials_are_listed_as_people_count_each_with_its_own_labels(tmp_path: Path) -> None:
    """The columns are told in the same order, or one trial would have another's items to label."""
    arms = {"control": {"system": prompt("Answer.")}} | {name: {"system": prompt(name)} for name in ("v10", "v2", "v1")}
    with finished(tmp_path, n_open=6, n_closed=0, prompt_sets={}, arms=arms) as world, RunTables.of(world.layout) as tables:
        columns = data_of(answers_page(tables))["columns"]
        told = columns["about"]["trials"]
        assert [one["slug"] for one in told[:3]] == ["v1-vs-control", "v2-vs-control", "v10-vs-control"]
        for one, (trial, temp) in zip(told[:3], sorted(tables.ready(), key=lambda one: int(one[0].prompt_set[1:])), strict=True):
            assert [place[0] for place in one["queue"]] == [place.key for place in drawn(tables, tables.pairs(trial.slug, temp))]
        assert len({str(one["queue"]) for one in told[:3]}) == 3
        found = re.findall("<h2[^>]*>(v[0-9]+)-vs-control", world.layout.index_page.read_text())
    assert found == ["v1", "v2", "v10"]
