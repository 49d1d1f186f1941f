"""Forest plots: a picture for each unit, that with the primary first, and nothing cut at an edge."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from batchtrial.phases.report.forest import CHAR, Line, forest, forest_alone
from batchtrial.phases.report.lines import forests

TEXT = re.compile(r'<text x="([\d.-]+)" y="[\d.]+" text-anchor="middle" class="q">([^<]*)</text>')


def one(metric: str, low: float, high: float, *, is_share: bool, family: str = "metrics", **more: Any) -> dict[str, Any]:
    estimate = {"value": (low + high) / 2, "ci_low": low, "ci_high": high}
    plain = {"label": f"{metric} (all questions)", "metric": metric, "family": family, "is_share": is_share, "higher_is_better": True}
    return plain | {"standing": family, "estimate": estimate} | more


def test_a_grade_that_is_the_primary_has_its_picture_before_the_shares() -> None:
    tests = {
        "tests": [
            one("f1", -0.02, 0.06, is_share=True),
            one("depth", -0.2, 0.7, is_share=False, family="primary", margin={"low": -0.5, "high": None}),
            one("words", -1.5, -0.5, is_share=False, higher_is_better=False),
            one("empty", 0.0, 0.0, is_share=False) | {"estimate": {"value": 0.0, "ci_low": None, "ci_high": None}},
        ]
    }
    found = {where: [(line.label, line.low, line.margin) for line in lines] for where, lines in forests(tests)}
    assert list(found.values()) == [
        [("depth (all questions)", -0.2, -0.5)],
        [("f1 (all questions)", -2.0, None)],
        [("words (all questions)", -1.5, None)],
    ]
    assert list(found)[1] == "in percentage points"
    alone = ET.fromstring(forest_alone(list(forests(tests)), "SIMULATED <x>"))
    told = ["".join(one.itertext()) for one in alone.iter("{http://www.w3.org/2000/svg}text")]
    heads = ["In the unit of depth", "In percentage points", "In the unit of words"]
    assert [text for text in told if text in heads] == heads
    assert told[0] == "SIMULATED <x>"
    assert all(f"{name} (all questions)" in told for name in ("depth", "f1", "words"))
    assert [len(lines) for _, lines in forests(tests, is_declared_only=True)] == [1]
    (depth, *_) = (forest(lines) for _, lines in forests(tests))
    assert " pp<" not in depth
    assert 'class="m"' in depth


@pytest.mark.parametrize("reach", [0.3, 1.0, 9.3, 18.6, 27.9, 46.4, 92.8])
@pytest.mark.parametrize("unit", [" pp", ""])
def test_no_tick_is_cut_at_an_edge(reach: float, unit: str) -> None:
    drawn = forest([Line("exact match", 0.0, -reach, reach, unit=unit)])
    for picture in drawn.split("<svg")[1:]:
        width = float(picture.split('width="')[1].split('"')[0])
        ticks = TEXT.findall(picture)
        assert len(ticks) >= 3
        for x, name in ticks:
            assert CHAR * len(name) / 2 <= float(x) <= width - CHAR * len(name) / 2, name
