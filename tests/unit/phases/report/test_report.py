"""report: the verdict in plain words first, every figure beside it, and nothing in it that a model could have put there to act."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.world import Answer, World, closed_items, open_items, success_line, world

from batchtrial.config.expand import TrialArm
from batchtrial.phases.analyse import costs, stats
from batchtrial.phases.analyse.numbers import NOT_ANALYSED
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.report import phase as report
from batchtrial.phases.report.lines import _verdict
from batchtrial.phases.report.render import Changes, Grid, Paragraph, markdown, page
from batchtrial.phases.score import phase as score

PHASES = (parse.phase, score.phase, stats.phase, costs.phase, report.phase)
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "```\n# A heading of my own\n| a | b |\n|---|---|\n```",
    "~~~~\n</pre></body><h1>broken out</h1>",
    "\x1b[31mred\x1b[0m \u202e backwards",
    "[a link](javascript:alert(1)) ![](http://example.com/x.png)",
    '"><style>*{display:none}</style>',
)


class Page(HTMLParser):
    """What a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.unbalanced: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)


def finish(w: World) -> dict[str, str]:
    for phase in PHASES:
        w.run(phase)
    layout = w.layout.trial(w.trial.slug)
    return {
        "md": layout.report_md.read_text(encoding="utf-8"),
        "html": layout.report_html.read_text(encoding="utf-8"),
        "all": w.layout.aggregate_report.read_text(encoding="utf-8"),
    }


def better(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
    number = int(item_id[1:])
    is_right = number % 10 < (8 if arm.condition == "treatment" else 4)
    return (f"answer {number}" if dataset == "reading" else f"thing {number}") if is_right else "something else"


def run(tmp_path: Path, answer: Answer, **changes: Any) -> dict[str, str]:
    with world(tmp_path, opened=open_items(40), closed=closed_items(40), **changes) as w:
        w.answer_all(answer)
        return finish(w)


def test_the_verdict_comes_first_and_in_words(tmp_path: Path) -> None:
    text = run(tmp_path, better)["md"]
    headings = re.findall(r"^## (.+)$", text, re.M)
    assert headings[0] == "Verdict"
    assert "the treatment is superior to the control on exact match" in text.split("## Results")[0]
    assert "+40.0 pp" in text.split("## Results")[0]


def test_a_plan_whose_endpoint_no_item_has_says_so_and_what_became_of_it() -> None:
    found = _verdict({"headline": None, "tests": [], "plan": {"statement": "The analysis did not follow the declared plan."}}, {})
    assert [one.text for one in found if isinstance(one, Paragraph)] == [NOT_ANALYSED, "The analysis did not follow the declared plan."]
    (only,) = (one.text for one in _verdict({"reason": "there is nothing to compare", "tests": []}, {}) if isinstance(one, Paragraph))
    assert only == "there is nothing to compare"


def test_the_table_has_difference_interval_p_changes_pairs_and_losses(tmp_path: Path) -> None:
    def lossy(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        return None if item_id in ("c0", "o39") and arm.condition == "treatment" else better(arm, dataset, item_id, sample)

    text = run(tmp_path, lossy)["md"]
    header, _, row = re.findall(r"^\|.*$", text.split("## Results")[1], re.M)[:3]
    cells = dict(zip((c.strip() for c in header.split("|")), (c.strip() for c in row.split("|")), strict=True))
    assert cells["pairs"] == "78"
    assert cells["lost"] == "2"
    assert cells["b / c"] == "32 / 0"
    assert re.fullmatch(r"\+\d+\.\d to \+\d+\.\d", cells["interval (pp)"])


def test_a_margin_tests_p_is_called_that_and_p_is_of_the_difference(tmp_path: Path) -> None:
    """5 of 80 items changed, all for the worse: the difference has p = 0.031, the generous margin p < 0.001."""

    def slightly_worse(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        is_worse = arm.condition == "treatment" and item_id in ("c0", "c1", "c2", "c3", "c4")
        return "wrong" if is_worse else f"answer {item_id[1:]}" if dataset == "reading" else f"thing {item_id[1:]}"

    stats_keys = {"primary": {"metric": "em", "kind": "all", "goal": "noninferiority", "margin": 0.4}}
    text = run(tmp_path, slightly_worse, stats=stats_keys)["md"]
    header, _, row = re.findall(r"^\|.*$", text.split("## Results")[1], re.M)[:3]
    cells = dict(zip((c.strip() for c in header.split("|")), (c.strip() for c in row.split("|")), strict=True))
    assert cells["b / c"] == "0 / 5"
    assert cells["p"] == "0.031"
    assert cells["adjusted p"] == "< 0.001 (margin)"
    assert "(margin) where it is of the margin test" in text


@pytest.mark.parametrize(("mode", "banner"), [("dry_run", "SIMULATED ANSWERS"), ("replay", "RECORDED ANSWERS")])
def test_a_run_without_a_model_says_so_on_every_page(tmp_path: Path, mode: str, banner: str) -> None:
    found = run(tmp_path, better, mode=mode)
    sections = re.split(r"^## ", found["md"], flags=re.M)
    assert len(sections) > 5
    assert all(banner in section for section in sections[:-1])
    assert found["html"].index(banner) < found["html"].index("<h1>")
    assert "position:sticky" in found["html"]
    assert banner in found["all"]


def test_a_live_run_has_no_banner(tmp_path: Path) -> None:
    found = run(tmp_path, better, mode="live")
    assert "SIMULATED" not in found["md"] + found["html"]
    assert "RECORDED" not in found["md"] + found["html"]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Reports of a run in which every wrong answer, item and question is an attack."""

    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        number = int(item_id.split(" ")[0][1:])
        right = number % 2 == (arm.condition == "treatment")
        return f"thing {number}" if right else HOSTILE[number % len(HOSTILE)]

    rows = closed_items(30)
    for number, row in enumerate(rows):
        row["id"] += f" {HOSTILE[0]}|`x`"
        row["question"] += HOSTILE[number % len(HOSTILE)]
    with world(tmp_path_factory.mktemp("hostile"), closed=rows) as w:
        for arm, shard in w.parts():
            ids = [line.split(b'"')[3].decode() for line in w.layout.part_input(shard.part).read_bytes().splitlines()]
            numbers = [int(re.findall(rb"What is thing (\d+)", line)[0]) for line in w.layout.part_input(shard.part).read_bytes().splitlines()]
            lines = [success_line(one, str(answer(arm, "recall", f"c{n}", 0))) for one, n in zip(ids, numbers, strict=True)]
            w.save(arm, shard, [*lines, b"<script>alert(2)</script> ``` junk\n"])
            w.settle(shard)
        return finish(w)


def test_answers_cannot_act_in_the_page(hostile: dict[str, str]) -> None:
    page = Page(hostile["html"])
    assert not {"script", "img", "iframe", "link", "object", "base", "form"} & set(page.tags)
    assert page.tags.count("h1") == 1
    assert page.tags.count("style") == 1
    assert page.unbalanced == []
    assert page.open == []
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]
    assert [value for name, value in page.attributes if name == "href"] == ["../../index.html", "../../answers.html"]
    policy = next(value for name, value in page.attributes if name == "content" and value and "default-src" in value)
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "&lt;script&gt;alert(1)" in hostile["html"]
    assert "\x1b" not in hostile["html"] + hostile["md"]
    assert "\u202e" not in hostile["html"] + hostile["md"]


def test_answers_cannot_act_in_the_markdown(hostile: dict[str, str]) -> None:
    outside, fence = [], None
    for line in hostile["md"].splitlines():
        mark = re.match(r"^(`{3,}|~{3,})", line)
        if fence is None and mark:
            fence = mark[1]
        elif fence is not None and line == fence:
            fence = None
        elif fence is None:
            outside.append(line)
    assert fence is None
    text = "\n".join(outside)
    assert not re.search(r"(?<!\\)<\w", text)
    assert "A heading of my own" not in text
    assert "javascript:" not in text
    assert "alert(2)" not in text


def test_odd_lines_are_shown(hostile: dict[str, str]) -> None:
    assert "2 malformed" in hostile["md"]
    assert "alert(2)" in hostile["md"]


def test_items_that_changed_are_shown_both_ways(tmp_path: Path) -> None:
    def crossed(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        number = int(item_id[1:])
        return f"thing {number}" if (number % 2 == 0) == (arm.condition == "treatment") else "no idea"

    with world(tmp_path, closed=closed_items(20)) as w:
        w.answer_all(crossed)
        text = finish(w)["md"]
    changed = text.split("## Items that changed")[1].split("\n## ")[0]
    gained, lost = changed.split("### Only the control was right")
    assert "Only the treatment was right (10 items)" in gained
    assert {int(n) % 2 for n in re.findall(r"item +recall\\?\|c(\d+)", gained)} == {0}
    assert {int(n) % 2 for n in re.findall(r"item +recall\\?\|c(\d+)", lost)} == {1}


def test_a_changed_prompt_is_captioned_by_what_is_seen() -> None:
    block = Changes("system", ("short", "long"), (("same", "Answer "), ("removed", "shortly."), ("added", "at <b>length</b>.")))
    html = page([block], "t", None)
    assert "<p>system: <del>words that only short has</del>, <ins>words that only long has</ins></p>" in html
    assert "Answer <del>shortly.</del><ins>at &lt;b&gt;length&lt;/b&gt;.</ins>" in html
    assert "[-" not in html
    told = markdown([block], None)
    assert "only short has as" in told
    assert "Answer [-shortly.-]{+at <b>length</b>.+}" in told


def test_a_number_stays_beside_its_sign_and_its_unit() -> None:
    html = page([Grid(("p", "b / c"), (("< 0.001", "0 / 25"),)), Paragraph("p = 0.03, 95 % CI -1 to 2 pp")], "t", None)
    for text in ("&lt;\u00a00.001", "0\u00a0/\u00a025", "p =\u00a00.03", "95\u00a0%\u00a0CI", "2\u00a0pp"):
        assert text in html


def test_two_runs_of_one_config_give_the_same_report(tmp_path: Path) -> None:
    first, second = (run(tmp_path / run_id, better, run_id=run_id) for run_id in ("alpha", "beta"))
    # The question sets lie in two folders, and a path is part of a config: only the hash over it may differ.
    assert re.sub(r"[0-9a-f]{64}", "", first["md"]) == re.sub(r"[0-9a-f]{64}", "", second["md"])
    assert first["all"] == second["all"]
    assert "alpha" not in first["md"] + first["html"]


def test_where_it_comes_from_is_told(tmp_path: Path) -> None:
    text = run(tmp_path, better)["md"]
    for what in ("config hash", "analysis plan", "t0\\_control prompt", "statistics seed", "simulation seed", "prices", "open\\_book items"):
        assert what in text.replace("t0_control", "t0\\_control").replace("open_book", "open\\_book"), what
    assert "taken over" not in text
    there = run(tmp_path / "again", better, control_from="r0")["md"]
    assert "| control | answers taken over from run r0; none was bought for this run |" in there


def test_every_outcome_is_in_the_account(tmp_path: Path) -> None:
    def half(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        return None if item_id == "c3" else better(arm, dataset, item_id, sample)

    text = run(tmp_path, half)["md"]
    assert re.search(r"^\| all \| 160 \| 158 \| 2 \| 0 \| 0 \| 0 \|$", text, re.M)


def test_a_single_arm_is_reported_without_a_comparison(tmp_path: Path) -> None:
    found = run(tmp_path, better, conditions=["control"])
    assert "nothing to compare" in found["md"]
    assert "superior" not in found["md"]


def test_an_unknown_price_is_no_zero(tmp_path: Path) -> None:
    text = run(tmp_path, better, model_id="accounts/fireworks/models/of-nobody")["md"]
    assert "Together unknown" in text
    assert "$0" not in text.split("## Cost")[1].split("\n## ")[0].replace("$0.001", "")


def test_all_trials_stand_side_by_side(tmp_path: Path) -> None:
    def prompt(content: str) -> dict[str, Any]:
        return {"system": {"path": "p.txt", "text": content}}

    sets = {name: {"control": prompt("Answer."), "treatment": prompt(name)} for name in ("one", "two")}
    text = run(tmp_path, better, prompt_sets=sets, sweep={"prompt_sets": ["one", "two"]})["all"]
    assert len(re.findall(r"^\| gpt", text, re.M)) == 2
    assert "share its answers" in text


def test_verdicts_wait_for_costs_and_notice_damage(tmp_path: Path) -> None:
    with world(tmp_path, closed=closed_items(12)) as w:
        w.answer_all(better)
        for phase in PHASES[:-1]:
            w.run(phase)
        assert report.phase.verdict(w.view).status == "missing"
        w.run(report.phase)
        assert report.phase.verdict(w.view).is_done
        layout = w.layout.trial(w.trial.slug)
        before = {path: path.read_bytes() for path in (layout.report_md, layout.report_html, w.layout.aggregate_report)}
        for path, content in before.items():
            path.write_bytes(content[:-3])
            assert not report.phase.verdict(w.view).is_done, path.name
            w.run(report.phase)
            assert path.read_bytes() == content
        assert json.loads(layout.account.read_bytes())["all"]["requests"] == 24


def test_questions_that_stand_twice_are_named_in_the_report(tmp_path: Path) -> None:
    """Their pairs are one cluster, so whoever reads the interval has to know."""
    rows = closed_items(20)
    with world(tmp_path, closed=[*rows, {**rows[3], "id": "c20"}]) as w:
        w.answer_all(better)
        assert "1 of 21 items ask what another item asks and are taken together, as questions on one passage are: c20 repeats c3" in finish(w)["md"]
