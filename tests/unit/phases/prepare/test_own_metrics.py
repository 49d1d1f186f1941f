"""Metrics of a user's own: tried before anything is bought, contained when they misbehave, scored again when they are edited."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.phases.world import Quiet, Stop, World, closed_items, open_items, world

from batchtrial.cli.commands.run import main
from batchtrial.cli.screens.summary import lines as summary_lines
from batchtrial.config.expand import TrialArm
from batchtrial.errors import ConfigError, Stopped
from batchtrial.phases.analyse import costs, optional, stats
from batchtrial.phases.analyse.significance import significance
from batchtrial.phases.analyse.tables import load_tables
from batchtrial.phases.batches import submit
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.prepare.items import load_prepared
from batchtrial.phases.prepare.metrics import try_metrics
from batchtrial.phases.prepare.slow_metrics import SlowCalls
from batchtrial.phases.report import phase as report
from batchtrial.phases.score import phase as score
from batchtrial.reading.compare import both_names
from batchtrial.records import Item
from batchtrial.run.loop import Finished
from batchtrial.scoring.user_metrics import contained, load_metric
from batchtrial.state.ledger import Counts, money


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a working directory of its own, and with a handler of interrupts in place, as in a run."""
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    yield
    signal.signal(signal.SIGINT, before)


COUNTER = iter(range(1_000_000))


def module(text: str, name: str | None = None) -> str:
    """A module of the user's in the working directory; its name is new."""
    name = name or f"rules{os.getpid()}_{next(COUNTER)}"
    Path(f"{name}.py").write_text(text)
    return name


def right(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str:
    return f"answer {item_id[1:]}" if dataset == "reading" else f"thing {item_id[1:]}"


def scored(w: World) -> pl.DataFrame:
    w.run(parse.phase)
    w.run(score.phase)
    return table(w)


def table(w: World) -> pl.DataFrame:
    w.export()
    return pl.read_csv(w.layout.trial(w.trial.slug).scores, infer_schema_length=None)


def record(w: World) -> dict[str, Any]:
    return dict(json.loads(w.layout.trial(w.trial.slug).scoring.read_bytes()))


# Before anything is bought

BROKEN = {
    "no such function": ("def bono(item, text): return 1.0", "bomo", "has no function 'bomo'", "bono"),
    "fails on import": ("import nowhere_at_all", "f", "ModuleNotFoundError", ""),
    "raises on import": ("x = 1\nraise RuntimeError('not today')", "f", "RuntimeError: not today", ""),
    "leaves on import": ("import sys\nsys.exit(3)", "f", "SystemExit: 3", ""),
    "no Python": ("def f(item, text) return 1", "f", "SyntaxError", ""),
    "too few arguments": ("def f(item): return 1.0", "f", "cannot be called with an item and an answer", "def f(item, text)"),
    "too many arguments": ("def f(item, text, more): return 1.0", "f", "cannot be called", "def f(item, text)"),
    "keyword only": ("def f(*, item, text): return 1.0", "f", "cannot be called", "def f(item, text)"),
    "raises": ("def f(item, text): return 1 / 0", "f", "raised ZeroDivisionError", "metric_errors"),
    "no function at all": ("f = 3", "f", "has no function 'f'", ""),
    "our own name": ("def f(item, text): return {'em': 1.0}", "f", "'em', which is a name of batchtrial's own", ""),
    "only a long answer shows it": (
        "def f(item, text): return float(len(text.split()))\nf.scale = 'share'",
        "f",
        "which it declares to be a share",
        "between 0 and 1",
    ),
    "other names for an abstention": ("def f(item, text): return {'a' if 'know' in text else 'b': 1.0}", "f", "for some answers only", "same names"),
    "limits that are none": ("def f(item, text): return 1.0\nf.limits = (5, 1)", "f", "the limits (5, 1)", "as in (1, 5)"),
    "beyond its limits": ("def f(item, text): return 6.0\nf.limits = (1, 5)", "f", "lie between 1 and 5", ""),
    "unknown scale": ("def f(item, text): return 1.0\nf.scale = 'stars'", "f", "scale 'stars'", "share, count, grade"),
}


@pytest.mark.parametrize(("text", "function", "what", "hint"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_with_a_metric_is_found_before_anything_is_bought(tmp_path: Path, text: str, function: str, what: str, hint: str) -> None:
    name = module(text)
    with pytest.raises(ConfigError) as caught, world(tmp_path / "w", closed=closed_items(2), metrics=[f"{name}:{function}"]):
        pytest.fail("prepared")
    assert what in caught.value.what
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2
    assert name in str(caught.value)


@pytest.mark.parametrize("path", ["rules:", ":f", "rules:f.g", "../rules:f", "ru les:f"])
def test_what_is_no_import_path_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError, match="no import path"), world(tmp_path / "w", closed=closed_items(1), metrics=[path]):
        pytest.fail("prepared")


CONFIG = """
backend: fireworks
model_id: accounts/fireworks/models/gpt-oss-20b
datasets: [{name: recall, source: file, path: q.jsonl}]
task_instructions: {open_book: p.txt, closed_book: p.txt}
prompt_sets: {default: {control: p.txt, treatment: t.txt}}
"""


@pytest.mark.parametrize("where", ["metrics: ['MODULE:bomo']", "metrics: ['MODULE:f']"])
def test_the_plan_ends_with_two_and_names_item_file_and_line(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = module("def bono(item, text):\n    return 1.0\n\n\ndef f(item, text):\n    return {}['x']\n")
    Path("q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in closed_items(2)))
    Path("p.txt").write_text("Answer.")
    Path("t.txt").write_text("Answer with care.")
    Path("c.yaml").write_text(CONFIG + where.replace("MODULE", name))
    assert main(["--config", "c.yaml", "--plan_only"]) == 2
    told = capsys.readouterr().err
    assert "has no function 'bomo'" in told or f"item recall|c0, {name}.py:6" in told
    assert not Path("experiments").exists()


def test_a_metric_that_was_edited_since_is_tried_again_before_the_first_part_is_sent(tmp_path: Path) -> None:
    name = module("def f(item, text): return 1.0")
    with world(tmp_path / "w", closed=closed_items(2), metrics=[f"{name}:f"]) as w:
        module("def f(item, text): return None", name)
        with pytest.raises(ConfigError, match="returned None"):
            submit.run(w.work())
        assert w.session.ledger.parts == {}


def test_a_metric_that_was_edited_is_loaded_again_and_what_it_imports_from_elsewhere_is_not(tmp_path: Path) -> None:
    """Two copies of a standard module in one process no longer know each other's objects: a path cannot be sent to a worker any more."""
    name = module("import pathlib, json\ndef f(item, text): return 1.0")
    loaded = load_metric(f"{name}:f", [str(tmp_path)])
    module("import pathlib, json\ndef f(item, text): return 2.0", name)
    again = load_metric(f"{name}:f", [str(tmp_path)])
    assert loaded.source.modules == again.source.modules == {name}
    assert again.source.sha256 != loaded.source.sha256
    assert again.function is not loaded.function
    assert (sys.modules["pathlib"].Path, sys.modules["json"]) == (Path, json)


def test_two_metrics_that_return_one_name_are_refused(tmp_path: Path) -> None:
    name = module("def f(item, text): return {'x': 1.0}\ndef g(item, text): return {'x': 2.0}")
    with pytest.raises(ConfigError, match="both return 'x'"), world(tmp_path / "w", closed=closed_items(1), metrics=[f"{name}:f", f"{name}:g"]):
        pytest.fail("prepared")


# While scoring

FINE = "    if item.item_id != 'c3': return {'x': 1.0}\n"
MISBEHAVES = {
    "raises": "raise KeyError('year')",
    "a kind of exception of its own": "class Stop(BaseException): pass\n    raise Stop('no')",
    "leaves": "import sys; sys.exit(1)",
    "leaves like a user": "raise KeyboardInterrupt",
    "recursion": "f(item, text) if item.item_id == 'c3' else None",
    "nothing": "return None",
    "not a number": "return {'x': float('nan')}",
    "infinite": "return {'x': float('inf')}",
    "huge": "return {'x': 1e300}",
    "huger": "return {'x': 10 ** 400}",
    "text": "return {'x': 'good'}",
    "a list": "return [1.0]",
    "complex": "return {'x': 1j}",
    "another name": "return {'y': 1.0}",
    "a further name": "return {'x': 1.0, 'y': 1.0}",
    "no name": "return {None: 1.0}",
    "an empty mapping": "return {}",
    "a name like a spread": "return {'x_std': 1.0}",
    "an item that cannot be changed": "item.answers.append('z')",
    "a repr that fails": "class Odd:\n        def __repr__(self): raise ValueError('no')\n    return {'x': Odd()}",
}


@pytest.mark.parametrize("body", MISBEHAVES.values(), ids=MISBEHAVES)
def test_a_metric_that_misbehaves_is_named_with_item_file_and_line_or_loses_that_item(tmp_path: Path, body: str) -> None:
    name = module(f"def f(item, text):\n{FINE}    {body}\n")
    path = f"{name}:f"
    with world(tmp_path / "w", closed=closed_items(6), metrics=[path]) as w:
        w.answer_all(right)
        w.run(parse.phase)
        with pytest.raises(ConfigError) as caught:
            w.run(score.phase)
    assert path in caught.value.what
    assert "item recall|c3" in caught.value.where
    assert f"{name}.py:" in caught.value.where
    with world(tmp_path / "v", closed=closed_items(6), metrics=[path], metric_errors="lost") as w:
        w.answer_all(right)
        got = scored(w)
        assert got.filter(pl.col("x").is_null())["item_key"].unique().to_list() == ["recall|c3"]
        assert got["em"].to_list() == [1.0] * 12
        assert record(w)["metrics"][path]["n_failed"] == 2
        assert any(f"{path} failed on 2 answers" in note for note in w.progress.notes)


def test_an_answer_that_the_sets_metric_fails_on_is_lost_and_not_wrong(tmp_path: Path) -> None:
    name = module("def f(item, text):\n    if item.item_id == 'c3': raise ValueError('odd')\n    return {'em': 1.0}\n")
    with world(tmp_path / "w", closed=closed_items(6), metric=f"{name}:f", metric_errors="lost") as w:
        w.answer_all(right)
        got = scored(w).filter(condition="control")
    lost = got.filter(item_key="recall|c3").to_dicts()[0]
    assert (lost["em"], lost["f1"], lost["abstain_rate"], lost["n_samples"], lost["n_lost"]) == (None, None, None, 0, 1)
    assert got["n_lost"].sum() == 1
    assert got.filter(pl.col("lost_to").is_not_null()).select("item_key", "lost_to").rows() == [("recall|c3", "metric:1")]


def test_a_metric_of_a_set_that_neither_says_right_nor_wrong_has_failed_on_that_answer(tmp_path: Path) -> None:
    name = module("def f(item, text): return {'em': 0.5 if item.item_id == 'c3' else 1.0, 'depth': 2.0}\n")
    with world(tmp_path / "v", closed=closed_items(6), metric=f"{name}:f") as w:
        w.answer_all(right)
        w.run(parse.phase)
        with pytest.raises(ConfigError, match=r"returned em = 0\.5"):
            w.run(score.phase)
    with world(tmp_path / "w", closed=closed_items(6), metric=f"{name}:f", metric_errors="lost") as w:
        w.answer_all(right)
        got = scored(w).filter(condition="control")
        assert record(w)["metrics"][f"{name}:f"]["n_failed"] == 2
    assert got.filter(pl.col("lost_to").is_not_null()).select("item_key", "em", "depth", "lost_to").rows() == [("recall|c3", None, None, "metric:1")]
    assert got["em"].sum() == 5.0


@pytest.mark.parametrize("k", [1, 3])
def test_answers_that_a_further_metric_fails_on_are_named_in_its_own_comparison_alone(tmp_path: Path, k: int) -> None:
    name = module("def g(item, text):\n    if 'odd' in text: raise ValueError('odd')\n    return {'depth': float(len(text) % 3)}\n")

    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        if item_id == "c5" and arm.condition == "control":
            return None
        return "odd" if item_id in ("c3", "c4") and arm.condition == "treatment" else right(arm, dataset, item_id, sample)

    with world(tmp_path / "w", closed=closed_items(40), metrics=[f"{name}:g"], metric_errors="lost", samples_per_item=k) as w:
        w.answer_all(answer)
        for phase in (parse.phase, score.phase, stats.phase):
            w.run(phase)
        tests = json.loads(w.layout.trial(w.trial.slug).significance.read_bytes())["tests"]
    by_metric = {one["metric"]: one for one in tests}
    assert by_metric["depth"]["pairs"]["lost_answers"] == {"control": {"errored": k}, "treatment": {"further_metric": 2 * k}}
    assert (
        f"{2 * k} treatment answers were left without a number of this metric, which failed on their items or is undefined there"
        in by_metric["depth"]["sentence"]
    )
    assert by_metric["em"]["pairs"]["lost_answers"] == {"control": {"errored": k}, "treatment": {}}


def test_an_item_has_no_number_of_a_further_metric_that_failed_on_one_of_its_samples(tmp_path: Path) -> None:
    """A mean over the samples that it liked would move the arm in which it fails; so it is a lost pair, like one whose answers never came."""
    name = module("def g(item, text):\n    if 'odd' in text: raise ValueError('odd')\n    return {'depth': 1.0}\n")

    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        if sample == 1 and item_id == "c4":
            return None
        return "odd" if item_id == "c3" and sample == 1 and arm.condition == "treatment" else right(arm, dataset, item_id, sample)

    with world(tmp_path / "w", closed=closed_items(40), metrics=[f"{name}:g"], metric_errors="lost", samples_per_item=3) as w:
        w.answer_all(answer)
        got = scored(w)
        w.run(stats.phase)
        tests = json.loads(w.layout.trial(w.trial.slug).significance.read_bytes())["tests"]
    assert got.filter(pl.col("depth").is_null()).select("item_key", "condition").rows() == [("recall|c3", "treatment")]
    depth = next(one for one in tests if one["metric"] == "depth")
    assert (depth["pairs"]["n"], depth["pairs"]["dropped"]) == (39, 1)
    assert depth["pairs"]["lost_answers"]["treatment"] == {"errored": 1, "further_metric": 3}


@pytest.mark.parametrize("k", [1, 3])
def test_answers_lost_to_the_sets_metric_are_named_like_those_that_were_cut(tmp_path: Path, k: int) -> None:
    """The metric fails on two of the treatment's items; of one of these the first sample never came, of another one none did."""
    name = module("def f(item, text):\n    if 'odd' in text: raise ValueError('odd')\n    return {'em': float(text in item.answers)}\n")

    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        if arm.condition == "treatment" and (item_id == "c5" or (item_id == "c4" and sample == 0 and k > 1)):
            return None
        return "odd" if arm.condition == "treatment" and item_id in ("c3", "c4") else right(arm, dataset, item_id, sample)

    with world(tmp_path / "w", closed=closed_items(40), metric=f"{name}:f", metric_errors="lost", samples_per_item=k) as w:
        w.answer_all(answer)
        for phase in (parse.phase, score.phase, stats.phase, costs.phase, report.phase):
            w.run(phase)
        got = table(w).filter(pl.col("lost_to").is_not_null()).sort("item_key")
        tests = json.loads(w.layout.trial(w.trial.slug).significance.read_bytes())
        page = w.layout.trial(w.trial.slug).report_md.read_text()
    assert got.select("item_key", "condition", "lost_to").rows() == [
        ("recall|c3", "treatment", f"metric:{k}"),
        ("recall|c4", "treatment", "metric:1" if k == 1 else f"errored:1 metric:{k - 1}"),
        ("recall|c5", "treatment", f"errored:{k}"),
    ]
    n = 2 if k == 1 else 2 * k - 1
    head = next(one for one in tests["tests"] if one["family"] == "primary")
    assert head["pairs"]["lost_answers"] == {"control": {}, "treatment": {"errored": k + (k > 1), "metric": n}}
    said = f"{n} treatment answers were lost to the set's metric, which failed on them"
    assert said in tests["headline"]["sentence"]
    assert said in page


def test_a_sample_that_the_metric_fails_on_is_in_an_example_without_a_score(tmp_path: Path) -> None:
    name = module("def f(item, text):\n    if 'odd' in text: raise ValueError('odd')\n    return {'em': float(text in item.answers)}\n")

    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str:
        good = arm.condition == "treatment" or item_id != "c3"
        return "odd" if sample == 0 and item_id == "c3" else right(arm, dataset, item_id, sample) if good else "something else"

    with world(tmp_path / "w", closed=closed_items(5), metric=f"{name}:f", metric_errors="lost", samples_per_item=3) as w:
        w.answer_all(answer)
        for phase in (parse.phase, score.phase, stats.phase, costs.phase, report.phase):
            w.run(phase)
        page = w.layout.trial(w.trial.slug).report_md.read_text()
    assert "[was right in 2 of 2]" in page
    assert "[was right in 0 of 2]" in page


def test_printing_and_moving_about_harm_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = module("import os\nprint('loaded')\ndef f(item, text):\n    print('scored', item.item_id)\n    os.chdir('/')\n    return 1.0\n")
    with world(tmp_path / "w", closed=closed_items(3), metrics=[f"{name}:f"]) as w:
        w.answer_all(right)
        assert scored(w)["f"].to_list() == [1.0] * 6
    assert Path.cwd() == tmp_path
    assert capsys.readouterr().out == ""


def test_an_item_that_a_metric_changes_by_force_is_its_own_copy(tmp_path: Path) -> None:
    text = (
        "def f(item, text):\n    object.__setattr__(item, 'answers', ())\n    return 1.0\ndef g(item, text):\n    return float(len(item.answers))\n"
    )
    name = module(text)
    with world(tmp_path / "w", closed=closed_items(3), metrics=[f"{name}:f", f"{name}:g"]) as w:
        w.answer_all(right)
        assert scored(w)["g"].to_list() == [2.0] * 6


@pytest.mark.parametrize("by_force", ["clear()", "update(tags=[])", "get('tags').append('x')", "get('who').update(city='x')"])
def test_columns_that_a_metric_changes_are_its_own(by_force: str) -> None:
    columns = {"tags": ["a"], "who": {"city": "Bern"}}
    name = module(f"def f(item, text):\n    item.columns.{by_force}\n    return 1\n")
    load_metric(f"{name}:f", (".",))(Item(dataset="q", item_id="1", kind="closed", question="?", answers=("a",), columns=columns), "an answer")
    assert columns == {"tags": ["a"], "who": {"city": "Bern"}}


def test_a_metric_that_ends_the_process_is_named() -> None:
    child = "    if os.fork() == 0:\n        os._exit(0)\n    os.wait()\n"
    metric, before = load_metric(module("import os\ndef f(item, text):\n" + child + "    os._exit(3)\n") + ":f", (".",)), os._exit
    with contained(), pytest.raises(ConfigError, match="raised SystemExit: 3"):
        metric(Item(dataset="q", item_id="1", kind="closed", question="?", answers=("a",)), "an answer")
    assert os._exit is before


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    name = module("import numpy as np\ndef f(item, text): return {'a': np.int64(3), 'b': np.float32(0.5), 'c': np.bool_(True), 'd': True}\n")
    with world(tmp_path / "w", closed=closed_items(2), metrics=[f"{name}:f"]) as w:
        w.answer_all(right)
        got = scored(w)
    assert [got[name].to_list()[0] for name in "abcd"] == [3.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("limits", ["(1, 5)", "{'stars': (1, 5)}"])
def test_lost_answers_are_bounded_by_the_limits_of_a_metric_of_ones_own(tmp_path: Path, limits: str) -> None:
    """The control has 1 star for each of 40 answers, the treatment 3 for those that it did not lose: 8 of them could have been 1 or 5."""
    name = module(f"def f(item, text): return {{'stars': float(min(5, len(text.split())))}}\nf.scale, f.limits = 'grade', {limits}\n")
    plan = {"primary": {"metric": "stars", "kind": "all"}}
    with world(tmp_path, closed=closed_items(40), metrics=[f"{name}:f"], stats=plan) as w:
        said = {"control": "one", "treatment": "one two three"}
        w.answer_all(lambda arm, dataset, item_id, k: None if arm.condition == "treatment" and int(item_id[1:]) < 8 else said[arm.condition])
        scored(w)
        w.run(stats.phase)
        w.run(costs.phase)
        found = significance(w.view, w.trial)["tests"]
    (lost,) = (one["lost_at_worst"] for one in found if one["family"] == "primary")
    assert (lost["low"], lost["high"]) == pytest.approx((1.6, 2.4))


def test_a_stop_is_heard_between_two_calls_and_progress_is_told(tmp_path: Path) -> None:
    name = module("def f(item, text): return 1.0")
    with world(tmp_path / "w", closed=closed_items(8), metrics=[f"{name}:f"]) as w:
        w.answer_all(right)
        w.run(parse.phase)
        with pytest.raises(Stopped):
            w.run(score.phase, stop=Stop(after=6))
        w.run(score.phase)
    steps = {label: n for label, n in w.progress.steps.items() if f"{name}:f" in label}
    assert sum(steps.values()) >= 16


class Told(Quiet):
    """Puts a file there when something is noted."""

    def note(self, text: str) -> None:
        Path("told").write_text(text)
        self.notes.append(text)


class StopWhenTold(Stop):
    """A stop that is asked for while a metric hangs."""

    def check(self) -> None:
        if Path("told").exists():
            raise Stopped("stop asked for by the test")


HANGS = "from pathlib import Path\ndef f(item, text):\n    while item.item_id == 'c3' and text and not Path('OVER').exists(): pass\n    return 1.0\n"


def test_a_metric_that_takes_too_long_is_named_with_its_item_while_it_is_at_it(tmp_path: Path) -> None:
    Path("over").touch()
    name = module(HANGS.replace("OVER", "over"))
    with world(tmp_path / "w", closed=closed_items(5), metrics=[f"{name}:f"], metric_seconds=0.05) as w:
        w.answer_all(right)
        module(HANGS.replace("OVER", "told"), name)
        w.progress = Told()
        assert scored(w)["f"].to_list() == [1.0] * 10
    first = next(note for note in w.progress.notes if "the metric" in note and "has not returned" in note)
    assert first == f"note: the metric {name}:f on item recall|c3 has not returned after 0.05 s (metric_seconds); it goes on, and Ctrl-C ends it"
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_stop_ends_a_metric_that_hangs(tmp_path: Path) -> None:
    name = module("def f(item, text): return 1.0")
    before = signal.getsignal(signal.SIGALRM)
    with world(tmp_path / "w", closed=closed_items(5), metrics=[f"{name}:f"], metric_seconds=0.05) as w:
        w.answer_all(right)
        w.run(parse.phase)
        module(HANGS.replace("OVER", "never"), name)
        w.progress = Told()
        with pytest.raises(Stopped):
            w.run(score.phase, stop=StopWhenTold())
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_metric_that_hangs_is_named_before_anything_is_bought(tmp_path: Path) -> None:
    name = module("def f(item, text): return 1.0")
    with world(tmp_path / "w", closed=closed_items(2), metrics=[f"{name}:f"], metric_seconds=0.05) as w:
        module("from pathlib import Path\ndef f(item, text):\n    while not Path('told').exists(): pass\n    return 1.0\n", name)
        w.progress = Told()
        try_metrics(w.config, w.view.prepared, load_prepared(w.layout), w.progress.note)
    assert f"the metric {name}:f on item recall|c" in w.progress.notes[0]


def test_where_no_signal_reaches_a_slow_metric_it_is_named_afterwards() -> None:
    told: list[str] = []
    times = iter([0.0, 61.0, 100.0, 101.0])

    def calls() -> None:
        with SlowCalls(60.0, told.append, clock=lambda: next(times)) as slow:
            for item in ("a|1", "a|2"):
                with slow.watched("m:f", item):
                    pass

    thread = threading.Thread(target=calls)
    thread.start()
    thread.join()
    assert told == ["note: the metric m:f on item a|1 took 61 s"]


# Grades, counts and shares


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("scale", ["", "f.scale = 'grade'", "f.scale = {'stars': 'grade'}"])
def test_whole_numbers_are_compared_as_numbers_whatever_the_samples(tmp_path: Path, k: int, scale: str) -> None:
    name = module(f"def f(item, text):\n    return {{'stars': 1 + (len(text) + int(item.item_id[1:])) % 5}}\n{scale}\n")
    primary = {"metric": "stars", "goal": "superiority"}
    with world(tmp_path / "w", closed=closed_items(40), metrics=[f"{name}:f"], samples_per_item=k, stats={"primary": primary}) as w:
        w.answer_all(lambda arm, dataset, item_id, sample: right(arm, dataset, item_id, sample) + "!" * (sample + (arm.condition == "treatment")))
        scored(w)
        for phase in (stats.phase, costs.phase, report.phase):
            w.run(phase)
        found = significance(w.view, w.trial)
    one = next(test for test in found["tests"] if test["metric"] == "stars")
    assert not one["is_share"]
    assert "counts" not in one


@pytest.mark.parametrize("values", ["float(len(text.split()))", "float(len(text) > 3)", "float(int(item.item_id[1:]) % 2)"])
def test_a_count_is_no_share_even_where_it_is_0_or_1(tmp_path: Path, values: str) -> None:
    name = module(f"def f(item, text):\n    return {{'n': {values}}}\nf.scale = 'count'\n")
    with world(tmp_path / "w", closed=closed_items(6), metrics=[f"{name}:f"], samples_per_item=3) as w:
        w.answer_all(right)
        scored(w)
        table_of_scores = load_tables(w.view, w.trial)[0.0]
        assert not table_of_scores.is_share("n")
        assert record(w)["metrics"][f"{name}:f"]["scales"] == {"n": "count"}
        assert next(test for test in significance(w.view, w.trial)["tests"] if test["metric"] == "n")["is_share"] is False


@pytest.mark.parametrize(("scale", "value"), [("share", "1.5"), ("share", "-0.1"), ("count", "2.5"), ("count", "-1")])
def test_a_number_that_is_not_what_it_is_declared_to_be_is_refused(tmp_path: Path, scale: str, value: str) -> None:
    name = module(f"def f(item, text): return {value}\nf.scale = '{scale}'")
    with pytest.raises(ConfigError, match=f"declares to be a {scale}"), world(tmp_path / "w", closed=closed_items(2), metrics=[f"{name}:f"]):
        pytest.fail("prepared")


NUMERIC = "def numeric(item, text): return {'em': float(text in item.answers)}\n"
GRADED = "def graded(item, text): return {'em': float(text in item.answers), 'f1': 0.5 if text else 0.0}\n"


def better(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str:
    """The treatment is right where the control is not, on every second item."""
    return right(arm, dataset, item_id, sample) if arm.condition == "treatment" or int(item_id[1:]) % 2 else "something else"


def reported(w: World) -> tuple[dict[str, Any], dict[str, str]]:
    """(significance.json, every place where people read it)."""
    w.answer_all(better)
    scored(w)
    for phase in (stats.phase, costs.phase, optional.phase, report.phase):
        w.run(phase)
    layout = w.layout.trial(w.trial.slug)
    finished = Finished(is_complete=True, ran=(), counts=Counts())
    terminal = "\n".join(summary_lines(w.view, finished, money(w.view.parts.values())))
    tests = json.loads(layout.significance.read_bytes())
    shown = {"terminal": terminal, "report.md": layout.report_md.read_text(), "report.html": layout.report_html.read_text()}
    return tests, shown | {"aggregate": w.layout.aggregate_report.read_text(), "headline": tests["headline"]["sentence"]}


def test_a_set_metric_that_returns_only_em_is_shown_once_under_its_own_name(tmp_path: Path) -> None:
    name = module(NUMERIC)
    own = f"{name}:numeric"
    with world(tmp_path / "w", closed=closed_items(60), metric=own, optional={"cost_effectiveness": True, "subgroups": True}) as w:
        tests, shown = reported(w)
    assert [(one["metric"], one["label"]) for one in tests["tests"] if one["metric"] in ("em", "f1")] == [("em", f"{own} (all questions)")]
    assert tests["plan"]["primary"] == f"{own} (all questions)"
    assert "rules" not in tests
    assert f"superior to the control on {own} (all questions): more right answers" in shown["headline"]
    for place, text in shown.items():
        assert own in text, place
        for wrong in ("exact match", "token F1", "per pp of F1"):
            assert wrong not in text, place
    assert f"By the primary endpoint ({own}, all questions)" in shown["report.md"]
    assert f"per pp of {own}" in shown["report.md"]


def test_an_f1_of_ones_own_is_not_called_token_f1(tmp_path: Path) -> None:
    name = module(GRADED)
    own = f"{name}:graded"
    plan = {"primary": {"metric": "f1", "goal": "superiority"}}
    with world(tmp_path / "w", closed=closed_items(30), metric=own, stats=plan) as w:
        tests, shown = reported(w)
    assert {one["label"] for one in tests["tests"] if one["metric"] in ("em", "f1")} == {f"{own} (all questions)", f"f1 of {own} (all questions)"}
    for place, text in shown.items():
        assert "token F1" not in text, place


def test_sets_with_rules_of_their_own_are_said_to_have_them(tmp_path: Path) -> None:
    name = module(NUMERIC)
    own = f"{name}:numeric"
    with world(tmp_path / "w", opened=open_items(20), closed=closed_items(20), metric={"recall": own, "reading": "squad_v2"}) as w:
        tests, shown = reported(w)
    labels = {(one["metric"], one["kind"]): one["label"] for one in tests["tests"] if one["dataset"] is None}
    assert labels["em", "all"] == "right by each set's own rule (all questions)"
    assert labels["em", "open"] == "exact match (open book)"
    assert labels["em", "closed"] == f"{own} (closed book)"
    assert labels["f1", "all"] == "F1 by each set's own rule (all questions)"
    assert labels["f1", "open"] == "token F1 (open book)"
    assert ("f1", "closed") not in labels, "it is as em there"
    told = f"ight by each set's own rule: exact match in reading; {own} in recall"
    assert tests["rules"] == [f"r{told}", f"F1 by each set's own rule: {own} in recall; token F1 in reading"]
    for place in ("report.md", "terminal", "aggregate"):
        assert told in shown[place], place


def test_built_in_rules_are_called_as_ever(tmp_path: Path) -> None:
    with world(tmp_path / "w", opened=open_items(10), closed=closed_items(10), metric={"recall": "triviaqa", "reading": "squad_v2"}) as w:
        tests, shown = reported(w)
    assert {one["label"] for one in tests["tests"] if one["metric"] == "em" and one["dataset"] is None} == {
        f"exact match ({where})" for where in ("all questions", "open book", "closed book")
    }
    assert "rules" not in tests
    assert "own rule" not in "".join(shown.values())


def test_an_endpoint_that_is_not_there_names_what_is_by_its_own_name(tmp_path: Path) -> None:
    name = module(NUMERIC)
    plan = {"primary": {"metric": "f1"}}
    with pytest.raises(ConfigError) as caught, world(tmp_path / "w", closed=closed_items(4), metric=f"{name}:numeric", stats=plan):
        pytest.fail("prepared")
    assert f"em ({name}:numeric)" in caught.value.hint
    assert "exact match" not in caught.value.hint


def test_two_runs_with_other_rules_are_compared_under_both_names() -> None:
    one = {"name": "em/all/t0", "label": "exact match (all questions)", "family": "primary", "standing": "primary"}
    other = one | {"label": "rules:numeric (all questions)"}
    assert both_names(one, other) == "exact match (all questions) in A, rules:numeric (all questions) in B"
    assert both_names(one, None) == both_names(one, one) == "exact match (all questions)"


# Edited metrics


def rescored(w: World) -> list[float]:
    w.run(score.phase)
    return [float(value) for value in table(w)["f"].to_list()]


@pytest.mark.parametrize("edit", ["file", "package", "beside", "lazily beside"])
def test_an_edited_metric_scores_again_and_both_codes_are_named(tmp_path: Path, edit: str) -> None:
    name = f"rules{os.getpid()}_{next(COUNTER)}"
    body = "def f(item, text): return {}\n"
    target, caller = Path(f"{name}.py"), Path(f"{name}.py")
    path = f"{name}:f"
    if edit == "package":
        Path(name).mkdir()
        (Path(name) / "__init__.py").write_text("")
        (Path(name) / "top.py").write_text(f"from {name}.inner import value\ndef f(item, text): return value()\n")
        target, path = Path(name) / "inner.py", f"{name}.top:f"
        body = "def value(): return {}\n"
    elif edit != "file":
        caller.write_text(
            f"from {name}_b import value\ndef f(item, text): return value()\n"
            if edit == "beside"
            else f"def f(item, text):\n    from {name}_b import value\n    return value()\n"
        )
        target, body = Path(f"{name}_b.py"), "def value(): return {}\n"
    target.write_text(body.format("1.0"))
    with world(tmp_path / "w", closed=closed_items(2), metrics=[path]) as w:
        w.answer_all(right)
        w.run(parse.phase)
        assert rescored(w) == [1.0] * 4
        assert score.phase.verdict(w.view).is_done
        first = record(w)["metrics"][path]["sha256"]
        target.write_text(body.format("2.0"))  # as long as before, and within one tick of most clocks
        verdict = score.phase.verdict(w.view)
        assert verdict.status == "stale"
        assert f"{path} has changed since it scored (sha256 {first[:12]} -> " in verdict.reason
        assert rescored(w) == [2.0] * 4
        second = record(w)["metrics"][path]
        assert second["changed_from"] == [first]
        assert any(first[:12] in note and second["sha256"][:12] in note for note in w.progress.notes)
        for phase in (stats.phase, costs.phase, report.phase):
            w.run(phase)
        said = w.layout.trial(w.trial.slug).report_md.read_text()
        assert first in said
        assert second["sha256"] in said
        assert score.phase.verdict(w.view).is_done


def test_a_metric_whose_file_is_gone_leaves_a_finished_run_finished(tmp_path: Path) -> None:
    name = module("def f(item, text): return 1.0")
    with world(tmp_path / "w", closed=closed_items(2), metrics=[f"{name}:f"]) as w:
        w.answer_all(right)
        scored(w)
        Path(f"{name}.py").unlink()
        assert score.phase.verdict(w.view).is_done


def test_without_metrics_of_ones_own_nothing_of_this_is_in_the_inputs(tmp_path: Path) -> None:
    with world(tmp_path / "w", closed=closed_items(2)) as w:
        w.answer_all(right)
        scored(w)
        before = score.phase.inputs(w.view, w.trial)
        Path("rules.py").write_text("x = 1")
        assert score.phase.inputs(w.view, w.trial) == before
        assert record(w)["metrics"] == {}


# Languages


def test_answers_in_other_languages_are_counted_by_arm_and_said(tmp_path: Path) -> None:
    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str:
        return "Das steht nicht im Text." if arm.condition == "treatment" and item_id in ("o0", "o1") else right(arm, dataset, item_id, sample)

    with world(tmp_path / "w", opened=open_items(4)) as w:
        w.answer_all(answer)
        got = scored(w)
        assert record(w)["languages"] == {"t0_control": {"answers": 4, "not_english": 0}, "t0_treatment": {"answers": 4, "not_english": 2}}
        for phase in (stats.phase, costs.phase, report.phase):
            w.run(phase)
        assert "2 of 8 answers are not mainly English" in w.layout.trial(w.trial.slug).report_md.read_text()
    assert got["abstain_rate"].sum() == 0
    with world(tmp_path / "v", opened=open_items(4), answers={"abstention_phrases": ["das steht nicht im *"]}) as w:
        w.answer_all(answer)
        assert scored(w)["abstain_rate"].sum() == 2
