"""Several judges taken together: what most of them say, or their mean, about what each of them has judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from tests.unit.phases.world import config

from batchtrial.config.check import check
from batchtrial.config.expand import Trial, expand
from batchtrial.config.judge_arms import check_judges
from batchtrial.errors import ConfigError
from batchtrial.phases.base import View
from batchtrial.phases.judge.parse import COLUMNS
from batchtrial.phases.judge.questions import ASKED
from batchtrial.phases.judge.scores import Judged, judged
from batchtrial.providers.base import Limits
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import Stamps

ROWS = [{"name": "a", "source": "file", "path": "x"}]
NAMES = ("ada", "bea", "eve")


def judge(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "rubric": {"path": "", "text": f"Is it right, {name}?"}} | changes


def panel_of(root: Path, kind: str, said: dict[str, list[float | None]], by: str = "majority", n_lost: int = 0) -> tuple[Judged, Trial]:
    """The panel's word. said: by judge its verdicts; yes_no: one of the treatment's answer to each item, pairwise: in both orders. n_lost: items
    after these whose answers in the treatment were lost."""
    made = config(ROWS, judges=[judge(name, kind=kind) for name in said], panels=[{"name": "jury", "judges": list(said), "by": by}])
    trial, layout = expand(made, "")[0], RunLayout(root)
    control, treatment = (next(arm.name for arm in trial.arms if arm.condition == condition) for condition in ("control", "treatment"))
    asked, rows = [], []
    n = len(next(iter(said.values()))) // (2 if kind == "pairwise" else 1)
    for place in range(n):
        if kind == "pairwise":
            asked.append(("pairs-20000", "", control, treatment, place, 0, f"ab{place}", "", 1))
            asked.append(("pairs-20000", "", treatment, control, place, 0, f"ba{place}", "", 2))
        else:
            asked.append(("answers-20000", "", control, "", place, 0, f"c{place}", "", 1))
            asked.append(("answers-20000", "", treatment, "", place, 0, f"t{place}", "", 2))
    asked += [("answers-20000", "", treatment, "", n + place, 0, "", "lost", 3) for place in range(n_lost)]
    for name, verdicts in said.items():
        marks = [f"{order}{place}" for place in range(n) for order in ("ab", "ba")] if kind == "pairwise" else [f"t{place}" for place in range(n)]
        given = [*zip(marks, verdicts, strict=True), *([] if kind == "pairwise" else [(f"c{place}", 0.0) for place in range(n)])]
        rows += [(name, "", mark, 0, "unparseable" if verdict is None else "judged", verdict, 0.0, "") for mark, verdict in given]
    layout.asked.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(asked, schema=dict(ASKED), orient="row").write_parquet(layout.asked)
    pl.DataFrame(rows, schema=COLUMNS, orient="row").write_parquet(layout.judgements)
    view = View(
        layout=layout,
        config=made,
        trials=(trial,),
        prepared=None,
        build=None,
        parts={},
        stages={},
        stamps=Stamps(root, root / "s"),
        limits=Limits(max_requests=1, max_bytes=1),
    )
    *_, found = judged(view.layout, view.config, trial, trial.temps[0], n + n_lost)
    return found, trial


def test_most_of_them_decide_and_an_answer_that_one_has_not_judged_is_left_out(tmp_path: Path) -> None:
    said: dict[str, list[float | None]] = {"ada": [1, 1, 0, 1], "bea": [1, 0, 0, 1], "eve": [0, 1, 0, None]}
    found, _ = panel_of(tmp_path, "yes_no", said)
    assert found.treatment.tolist()[:3] == [1.0, 1.0, 0.0]
    assert np.isnan(found.treatment[3])
    assert (found.judge.name, [one.name for one in found.members]) == ("jury", list(said))
    assert found.counts["unparseable"] == 1


def test_two_against_each_other_are_undecided_and_their_mean_is_the_same(tmp_path: Path) -> None:
    said: dict[str, list[float | None]] = {"ada": [1, 0], "bea": [0, 0]}
    for by in ("majority", "mean"):
        found, _ = panel_of(tmp_path / by, "yes_no", said, by)
        assert found.treatment.tolist() == [0.5, 0.0]


def test_a_pair_is_a_vote_each_and_one_that_flips_with_the_order_abstains(tmp_path: Path) -> None:
    said: dict[str, list[float | None]] = {"ada": [0, 1], "bea": [1, 1], "eve": [0.5, 1]}
    found, _ = panel_of(tmp_path, "pairwise", said)
    assert found.treatment.tolist() == [1.0]  # ada: the treatment; bea flips; eve: the treatment by half
    found, _ = panel_of(tmp_path / "mean", "pairwise", said, "mean")
    assert found.treatment.tolist() == [pytest.approx((1 + 0.5 + 0.75) / 3)]


@pytest.mark.parametrize(
    ("panel", "judges", "told"),
    [
        ({"name": "jury", "judges": ["ada", "nobody"]}, [judge("ada")], "no judge is called 'nobody'"),
        ({"name": "ada", "judges": ["ada", "bea"]}, [judge("ada"), judge("bea")], "is taken"),
        ({"name": "jury", "judges": ["ada", "bea"]}, [judge("ada"), judge("bea", kind="score")], "of one kind"),
        ({"name": "jury", "judges": ["ada", "bea"]}, [judge("ada", kind="score"), judge("bea", kind="score")], "no majority"),
    ],
)
def test_what_a_panel_cannot_be(panel: dict[str, Any], judges: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check_judges(config(ROWS, judges=judges, panels=[panel]))


def test_a_panel_has_at_least_two_judges_each_once() -> None:
    for judges in (["ada"], ["ada", "ada"]):
        with pytest.raises(ValidationError):
            config(ROWS, judges=[judge("ada")], panels=[{"name": "jury", "judges": judges}])


@pytest.mark.parametrize("metric", ["ada", "jury"])
def test_planned_looks_cannot_hang_on_a_judge(metric: str) -> None:
    stats = {"primary": {"metric": metric, "kind": "all", "goal": "superiority"}, "sequential": {"looks": 3}}
    panels = [{"name": "jury", "judges": ["ada", "bea"]}]
    with pytest.raises(ConfigError, match=f"planned looks cannot see {metric}"):
        check(config(ROWS, judges=[judge("ada"), judge("bea")], panels=panels, stats=stats))


def test_answers_and_pairs_without_a_verdict_are_counted_item_by_item(tmp_path: Path) -> None:
    said: dict[str, list[float | None]] = {"ada": [1, None, 0], "bea": [1, 1, None]}
    found, _ = panel_of(tmp_path / "each", "yes_no", said)
    assert [one.tolist() for one in found.unjudged] == [[0.0, 0.0, 0.0], [0.0, 1.0, 1.0]]
    found, _ = panel_of(tmp_path / "pairs", "pairwise", {"ada": [1, 0, 1, None], "bea": [1, 0, 1, 1]})
    assert [one.tolist() for one in found.unjudged] == [[0.0, 1.0]] * 2


def test_answers_that_were_lost_are_counted_once_however_many_judges_a_panel_has(tmp_path: Path) -> None:
    found, _ = panel_of(tmp_path, "yes_no", {name: [1, 1, 0] for name in NAMES}, n_lost=2)
    assert found.counts["lost"] == 2
