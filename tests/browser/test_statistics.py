"""Whatever is filtered, the page's numbers are those of batchtrial.stats on the same rows, to the last digit that is printed."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.browser.conftest import Run, Tab
from tests.unit.viewer.served import served
from tests.unit.viewer.test_stopped_early import two_treatments

from batchtrial.app.tables import tables_of
from batchtrial.phases.analyse.numbers import p_text, percent, points, score, signed_score
from batchtrial.reading.ask import Ask
from batchtrial.reading.in_one_file import blocks_of, unpacked
from batchtrial.reading.slices import Slicer
from batchtrial.state.layout import RunLayout
from batchtrial.viewer.one_file import answers_page

ASKED = """async ([slug, temp, name, slices]) => slices.map((places) => {
  const one = window.batchtrial.source.comparison(slug, temp, name, places);
  const { difference, level, pText } = window.batchtrial.numbers;
  const metric = window.batchtrial.source.about.trials.find((trial) => trial.slug === slug).metrics.find((metric) => metric.name === name);
  return one && [one.pairs, difference(one.value, metric.is_share), difference(one.low, metric.is_share), difference(one.high, metric.is_share),
    level(one.control, metric.is_share), level(one.treatment, metric.is_share), one.p === null ? null : pText(one.p), one.clusters,
    one.warnings, one.not_decidable, one.reason || null];
})"""


def printed(slicer: Slicer, metric: str, places: list[int]) -> list[Any] | None:
    """The same in Python."""
    mask = np.zeros(slicer.n, dtype=np.bool_)
    mask[places] = True
    ask = Ask(trial=slicer.pairs.trial.slug, temp=slicer.pairs.temp, metric=metric)
    one = slicer.comparison(ask, mask)
    if one is None:
        return None
    is_share = slicer.pairs.metric(metric).is_share
    change, plain = (points, percent) if is_share else (signed_score, score)
    estimate, arms = one.estimate, one.arms
    is_sampled = one.test.method == "sign_flip_monte_carlo"
    return [
        *(one.missing.n_pairs, change(estimate.value), change(estimate.ci_low), change(estimate.ci_high)),
        *(plain(arms["control"].value), plain(arms["treatment"].value)),
        *(None if is_sampled or one.test.p_value is None else p_text(one.test.p_value), one.n_clusters),
        *(list(one.warnings), one.not_decidable, one.estimate.reason or None),
    ]


@pytest.mark.parametrize("name", ["single", "samples", "clusters", "several"])
def test_a_hundred_random_slices_have_the_numbers_of_python(runs: dict[str, Run], tab: Tab, name: str) -> None:
    run = runs[name]
    tab.open(run.page)
    columns = unpacked(dict(blocks_of(Path(run.page.removeprefix("file://")).read_text(encoding="utf-8")))["columns"])
    rng = random.Random(5)
    n, many = columns["n"], 100 if name in ("single", "several") else 34
    slices = [sorted(rng.sample(range(n), rng.choice((1, 2, 5, 20, 40, n)))) for _ in range(many)]
    with tables_of(RunLayout(run.root)) as tables:
        pairs = tables.pairs(run.slug, 0.0)
        slicer = Slicer(tables, pairs, lambda _: np.zeros(tables.items.n, dtype=np.bool_))
        for metric in pairs.metrics:
            got = tab.page.evaluate(ASKED, [run.slug, 0, metric.name, slices])
            for places, found in zip(slices, got, strict=True):
                want = printed(slicer, metric.name, places)
                if found is not None and want is not None and want[6] is None:
                    found[6] = None  # Python sampled signs; the page enumerated them or leaves p out
                assert found == want, (metric.name, places)


@pytest.mark.parametrize("chip", ["lost", "won", "both_right", "incomplete"])
def test_a_slice_chosen_by_the_outcome_shows_counts_and_no_interval(runs: dict[str, Run], tab: Tab, chip: str) -> None:
    tab.open(runs["single"].page)
    assert "interval" in tab.text(".slice")
    tab.settle(lambda: tab.page.click(f"button.chip.{chip}"))
    told = tab.text(".slice")
    assert "chosen by the outcome: an interval would mean nothing" in told
    for word in ("difference", "95", "p =", "p <"):
        assert word not in told
    for address in ("#in.length_change=1..", "#text=something&where=control", "#labelled=no", "#in.d.f1=..-0.1"):
        tab.page.goto("about:blank")
        tab.open(f"{runs['single'].page}{address}")
        assert "chosen by the outcome" in tab.text(".slice"), address


def test_pairs_of_which_none_is_complete_have_no_number_and_both_doors_say_why(runs: dict[str, Run], tab: Tab) -> None:
    """The declared metric stays declared, and no p is promised where there can be none."""
    run, told = runs["lost"], []
    with served(run.folder) as at:
        tab.page.goto(at.address)
        for page in (run.page, f"http://127.0.0.1:{at.port}/#run=lost"):
            tab.page.goto("about:blank")
            tab.open(page)
            said = [tab.text(".slice")]
            for metric in ("f1", "abstained"):
                tab.settle(lambda metric=metric: tab.page.select_option("#metric", metric))  # type: ignore[misc]
                said.append(tab.text(".slice"))
            told.append(said)
        tab.page.goto("about:blank")
    assert told[0] == told[1]
    assert "what was declared of this metric" in told[0][0]
    for text in told[0]:
        assert "(no interval: there are no complete pairs)" in text
        assert not re.search("difference|multiply p|batchtrial view|0 complete", text), text


def test_numbers_of_a_run_that_was_looked_at_are_said_to_be_uncorrected(tab: Tab, tmp_path: Path) -> None:
    """The declared endpoint was called exploratory, beside an interval and a p that know nothing of the stop."""
    rig = two_treatments(tmp_path)
    rig.run("report")
    with tables_of(rig.layout) as tables:
        (tmp_path / "answers.html").write_text(answers_page(tables), encoding="utf-8")
    tab.open((tmp_path / "answers.html").as_uri())
    for trial in tab.page.eval_on_selector_all("#trial option", "all => all.map((one) => one.value)"):
        if tab.page.input_value("#trial") != trial:
            tab.settle(lambda trial=trial: tab.page.select_option("#trial", trial))  # type: ignore[misc]
        told = tab.text(".slice")
        assert "not corrected for planned looks" in told, trial
        assert ("what was declared of this metric" in told) == ("gpt-oss" in trial), trial
    tab.settle(lambda: tab.page.click("button.chip.lost"))
    assert "not corrected" not in tab.text(".slice")


def test_slices_are_counted_and_called_exploratory(runs: dict[str, Run], tab: Tab) -> None:
    tab.open(runs["single"].page)
    assert "what was declared" in tab.text(".slice")
    tab.settle(lambda: tab.page.select_option("[data-column=kind]", "open"))
    assert "exploratory: not in the declared plan" in tab.text(".slice")
    for kind in ("", "open"):
        tab.settle(lambda kind=kind: tab.page.select_option("[data-column=kind]", kind))  # type: ignore[misc]
        told = tab.text(".slice").replace("\u00a0", " ")
        found = re.search(r"interval (\S+) to (\S+) pp, p = (\S+) ", told)
        assert found is not None
        holds_nothing = float(found[1]) <= 0 <= float(found[2]) and float(found[3]) >= 0.05
        assert ("not settled" in told) == (holds_nothing and kind == "open")
    assert tab.page.locator(".slicebar .point").count() == 1
    tab.settle(lambda: tab.page.select_option("[data-column=kind]", "closed"))
    assert "this is the 2nd slice looked at: multiply p by 2" in tab.text(".slice")
    tab.settle(lambda: tab.page.select_option("[data-column=kind]", "open"))
    assert "2nd slice" in tab.text(".slice")
    tab.settle(lambda: tab.page.evaluate("location.hash = '#text=1&where=question&is.kind=open'"))
    assert "fewer than 10 items changed" in tab.text(".slice")
