"""The plan stands in the ledger before anything is sent; whatever is changed after the first result is named and makes no claim."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from pydantic import BaseModel
from tests.unit.phases.world import World, clock, config, open_items, text_of, world

from batchtrial.config.analysis_plan import CARRIED_OUT, NOT_THERE, SENT, differences, plan_hash, plan_of
from batchtrial.config.direct_settings import DirectSettings
from batchtrial.config.expand import TrialArm
from batchtrial.config.model import Config, Endpoint, ProviderConfig, StatsConfig, Unsupported
from batchtrial.errors import ConfigDrift, ConfigError
from batchtrial.phases.analyse import costs, stats
from batchtrial.phases.analyse.plan_words import statement
from batchtrial.phases.base import digest_of
from batchtrial.phases.batches.frozen_plan import Change, FrozenPlan, frozen_plan, plan_made_anew
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.report import phase as report
from batchtrial.phases.score import phase as score
from batchtrial.run.session import Opening, open_run
from batchtrial.sources import SourceSpec
from batchtrial.state import entries
from batchtrial.state.rebuild import Rebuilt, Remnants, Source, rebuild

WRITTEN: dict[str, Any] = {
    "primary": {"metric": "em", "kind": "all", "margin": 0.05},
    "confirmatory": [{"metric": "f1", "kind": "all", "goal": "superiority"}],
}
OTHER: dict[str, Any] = {
    "stats.alpha": 0.2,
    "stats.primary.metric": "abstained",
    "stats.primary.kind": "open",
    "stats.primary.goal": "equivalence",
    "stats.primary.margin": 0.1,
    "stats.primary.higher_is_better": False,
    "stats.confirmatory": [{"metric": "abstained", "kind": "all"}],
    "stats.exploratory": "none",
    "stats.clusters": "off",
    "stats.missing.bound": "worst",
    "stats.missing.share": 0.5,
    "stats.permutation_samples": 5_000,
    "stats.random_seed": 7,
    "stats.sequential.looks": 7,
    "stats.sequential.futility": 0.1,
    "stats.sequential.min_changed": 3,
    "stats.sequential.n_max": 500,
    "unsupported.threshold": 0.3,
    "unsupported.min_token_overlap": 0.4,
    "answers.strip_thinking": "off",
    "metrics": ["rule_for_frozen_plans:words"],
    "model_id": "accounts/fireworks/models/gpt-oss-120b",
    "temps": [0.0, 0.7],
    "samples_per_item": 3,
    "max_new_tokens": {"open_book": 7, "closed_book": 8},
    "top_p": 0.9,
    "contrasts": "all_pairs",
    "system": {"path": "s.txt", "text": "Another."},
    "judges": [{"name": "fair", "rubric": {"path": "", "text": "Is it right?"}}],
    "panels": [{"name": "jury", "judges": ["fair", "other"]}],
    "task": {"messages": [{"role": "user", "template": {"path": "", "text": "Q: {{ question }}"}}]},
    "top_k": 5,
    "stop": ["END"],
    "conditions": ["control"],
    "task_instructions.open_book.text": "Answer from memory.",
    "task_instructions.closed_book.text": "Answer from the passage.",
    "prompt_sets.default.treatment.system.text": "Answer with no care.",
    "prompt_sets.default.control.system.text": "Answer at once.",
    "default_prompt_set": "default",
    "sweep": {"prompt_sets": ["default"]},
    "trials": [{"model_id": "accounts/fireworks/models/gpt-oss-20b", "prompt_set": "default"}],
    "control_from": "r0",
    "trial_filter": "*",
    "provider.endpoint": "/v1/chat/completions",
    "provider.api_version": "2023-06-01",
    "provider.sampling": "omit",
    "provider.accepts": ["temperature"],
    "provider.quirks": "together",
    "provider.request_overrides": {"reasoning_effort": "high"},
}
"""Another value for each field of the plan that has no obvious one."""
OTHER_REQUESTS = ("seed", "samples_per_item", "task", "stats.sequential")
"""Settings with which parts that were sent would hold other requests, or none: a run that has sent some cannot go on with another value."""
QUESTIONS = ("datasets", "limit_items", "only_items", "skip_bad_rows")
ANALYSIS = [name for name in ("unsupported", "metrics", "metric_errors", "answers", "stats") if name not in CARRIED_OUT]


def fields(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every leaf of a model, dotted; a list of models is one leaf."""
    for name, info in model.model_fields.items():
        inner = [one for one in (info.annotation, *get_args(info.annotation)) if isinstance(one, type) and issubclass(one, BaseModel)]
        is_list = "tuple" in str(info.annotation)
        if inner and not is_list:
            yield from fields(inner[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def leaves() -> list[str]:
    found = []
    for name in ANALYSIS:
        annotation = Config.model_fields[name].annotation
        is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
        found += list(fields(annotation, f"{name}.")) if is_model else [name]  # type: ignore[arg-type]
    return found


def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str:
    number = int(item_id[1:])
    return f"answer {number}" if number % 4 or arm.condition == "treatment" else "no idea at all"


def with_setting(config: Config, key: str, value: Any) -> Config:
    tree = config.model_dump(mode="json")
    *steps, last = key.split(".")
    inner = tree
    for step in steps:
        inner = inner.setdefault(step, {})
    inner[last] = value
    if key == "stats.primary.goal":
        tree["stats"]["primary"]["margin"] = 0.05
    return Config.model_validate(tree)


def reopened(made: World, config: Config) -> World:
    """The same run with another config, accepted as drift."""
    made.session.close()
    return opened_again(made, config)


def opened_again(made: World, config: Config) -> World:
    """A run that is closed."""
    opening = Opening(run_id="r1", config=config, is_resume=True, accept_drift=True, overrides={}, nonce="1")
    session = open_run(made.layout, opening, made.codec, clock=clock, ledger_clock=clock)
    made.session, made.config = session, config
    return made


def refused(made: World, config: Config) -> None:
    """The run cannot go on with this config: nothing is written down, and it goes on as it was."""
    made.session.close()
    before = made.layout.ledger.read_bytes()
    with pytest.raises((ConfigDrift, ConfigError)):
        opened_again(made, config)
    assert made.layout.ledger.read_bytes() == before
    opened_again(made, made.config)


def analysed(made: World) -> dict[str, Any]:
    for phase in (parse.phase, score.phase, stats.phase, costs.phase, report.phase):
        made.run(phase)
    return dict(json.loads(made.view.trial_layout(made.trial).significance.read_bytes()))


def pages(made: World) -> tuple[str, str]:
    layout = made.view.trial_layout(made.trial)
    return layout.report_md.read_text(), layout.report_html.read_text()


def events(made: World) -> list[str]:
    return [one.event for one in entries.read(made.layout.ledger).entries]


def test_the_plan_and_its_hash_stand_in_the_ledger_before_the_first_intent(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(8), stats=WRITTEN) as made:
        made.answer_all(answer)
        assert events(made).index("plan") < events(made).index("intent")
        line = next(one for one in entries.read(made.layout.ledger).entries if one.event == "plan")
        assert line.detail is not None
        assert line.detail["plan"] == plan_of(made.config)
        assert line.detail["plan"]["stats"] == made.config.stats.model_dump(mode="json")
        assert line.detail["hash"] == plan_hash(line.detail["plan"])
        assert (line.detail["written"], line.detail["results_before"]) == (["confirmatory", "primary"], 0)


def test_an_unchanged_plan_reads_as_before(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(40), stats=WRITTEN) as made:
        made.answer_all(answer)
        found = analysed(made)
        assert found["plan"]["statement"] == "The analysis followed the plan declared before the run."
        assert (found["plan"]["hash"], found["plan"]["followed"], found["plan"]["changes"]) == (plan_hash(plan_of(made.config)), True, [])
        assert found["headline"]["sentence"].startswith(
            "Primary endpoint: the treatment is superior to the control on exact match (all questions): more"
        )


def test_a_plan_that_nobody_wrote_is_called_the_default_plan(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(400)) as made:
        made.answer_all(lambda arm, dataset, item, sample: f"answer {item[1:]}")
        found = analysed(made)
        assert "at the default margin of 2 pp" in found["headline"]["sentence"]
        assert found["plan"]["statement"].startswith("The analysis followed the default plan: nobody wrote one")
        assert "declared" not in found["headline"]["sentence"] + found["plan"]["statement"]


def test_a_written_plan_without_a_primary_endpoint_says_that_this_one_is_the_default(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(40), stats={"alpha": 0.1}) as made:
        made.answer_all(answer)
        assert "its primary endpoint is the default" in analysed(made)["plan"]["statement"]


def another(key: str, value: Any) -> Any:
    """Another value for a setting: from OTHER, else one of its kind."""
    if key in OTHER:
        return OTHER[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value / 2 if isinstance(value, float) else value + 1
    if (others := [one for one in choices(key) if one != value]) and isinstance(value, str):
        return others[0]
    assert isinstance(value, list), f"{key} is {value!r}: a new field of the plan needs a line in OTHER"
    return [*value, "something else"]


def choices(key: str) -> list[Any]:
    """What a setting with a list of words may be."""
    model: Any = Config
    for step in key.split("."):
        annotation = model.model_fields[step].annotation
        model = next((one for one in (annotation, *get_args(annotation)) if isinstance(one, type) and issubclass(one, BaseModel)), None)
    return [one for part in (annotation, *get_args(annotation)) for one in get_args(part) if isinstance(one, str)]


def test_every_field_of_the_plan_is_changed_here() -> None:
    own = {f"stats.{name}" for name in StatsConfig.model_fields if name != "primary"} | {f"unsupported.{name}" for name in Unsupported.model_fields}
    assert own <= {*leaves(), *(leaf.rpartition(".")[0] for leaf in leaves())}
    assert {name.split(".")[0] for name in leaves()} == set(ANALYSIS)


@pytest.mark.parametrize("key", leaves())
def test_a_field_changed_after_the_first_result_is_named_and_makes_no_claim(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "rule_for_frozen_plans.py").write_text("def words(item, text):\n    return {'n_words': float(len(text.split()))}\n")
    with world(tmp_path, opened=open_items(40, per_passage=2), stats=WRITTEN) as made:
        made.answer_all(answer)
        before = analysed(made)
        assert all(one["is_claim"] for one in before["tests"] if one["family"] == "primary")
        declared = dict(_flat(plan_of(made.config)))
        changed = with_setting(made.config, key, another(key, declared.get(key)))
        if key.startswith(OTHER_REQUESTS):
            refused(made, changed)
            assert analysed(made)["plan"] == before["plan"]
            return
        reopened(made, changed)
        found = analysed(made)
        (change,) = [one for one in found["plan"]["changes"] if one["key"] == key]
        assert change == {
            "key": key,
            "declared": declared.get(key, NOT_THERE),
            "done": dict(_flat(plan_of(made.config)))[key],
            "at": clock().isoformat(),
            "after_first_result": True,
        }
        assert found["plan"]["hash"] == before["plan"]["hash"]
        assert found["plan"]["followed"] is False
        for text in (found["plan"]["statement"], *pages(made)):
            for words in (key, "did not follow the plan that was frozen", "2026-11-22 12:00:00 UTC"):
                assert words in text
            assert "followed the plan declared before the run" not in text
        concerned = concerned_by(key)
        claims = {one["family"] for one in found["tests"] if one["is_claim"]}
        assert claims.isdisjoint(concerned), f"{key} still makes a claim"
        standing = {one["standing"] for one in found["tests"] if one["family"] in concerned}
        assert standing <= {"exploratory"}
        if "primary" in concerned:
            assert found["headline"]["sentence"].startswith("Exploratory, changed after the first result had arrived: ")
            assert "declared margin" not in found["headline"]["sentence"]
        else:
            assert "primary" in claims, "the primary endpoint is as declared"


ASKED = [
    key
    for name, info in Config.model_fields.items()
    if name not in (*CARRIED_OUT, *ANALYSIS, *QUESTIONS, "arms")
    for key in ([one for one in OTHER if one.startswith(f"{name}.")] or [name])
] + [f"provider.{name}" for name in SENT]
"""Settings that decide what is asked. Arms take the place of prompt sets, which no single setting can do: they have a test of their own."""


def test_every_setting_is_of_the_plan_or_named_as_carrying_out() -> None:
    """A new section is part of the plan; a new setting of `provider` is said to shape requests or not."""
    known = {"base_url", "account_id", "pricing_key", "prompt_cache", "connect_seconds", "read_seconds", "max_concurrent_requests", "queue"}
    known |= set(DirectSettings.model_fields)  # a tier says when a request is answered and what it costs, not what is asked
    assert set(ProviderConfig.model_fields) == known | set(SENT)
    how = {"arm_form", "grown", "mode", "backend", "model_aliases", "lanes", "submission", "pricing", "simulation", "optional", "report", "exports"}
    assert how | {"provider", "metric_seconds", "slices"} == CARRIED_OUT, "no section leaves the plan unseen: what is tested follows this list"
    assert {"temps", "conditions", "seed", "prompt_sets", "trials", "samples_per_item"} <= {key.split(".")[0] for key in ASKED}


@pytest.mark.parametrize("key", ASKED)
def test_what_is_asked_is_part_of_the_plan(key: str, tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(8), stats=WRITTEN) as made:
        made.answer_all(answer)
        value = OTHER.get(key) or another(key, plan_of(made.config).get(key))
        changed = with_setting(made.config, key, value)
        if key in OTHER_REQUESTS:
            refused(made, changed)
        else:
            reopened(made, changed)
        found = frozen_plan(made.layout.ledger, changed)
        assert found.late
        assert all(one.key.startswith(key.removesuffix(".text")) for one in found.late)
        assert all(one.at == (clock() if key not in OTHER_REQUESTS else None) for one in found.late)
        # Judges are asked about the answers: what is scored without them stays as it was declared.
        assert found.keeps(made.config.stats.primary, "primary") == (key in ("judges", "panels"))


@pytest.mark.parametrize("primary", ["cost_usd", "em"])
def test_a_price_changed_after_the_first_result_concerns_what_is_in_dollars(primary: str, tmp_path: Path) -> None:
    dear, cheap = ({"overrides": {"accounts/fireworks/models/gpt-oss-20b": {"input_per_mtok": usd, "output_per_mtok": 2.0}}} for usd in (5.0, 0.01))
    other = {"cost_usd": "em", "em": "cost_usd"}[primary]
    plan = {"primary": {"metric": primary, "kind": "all"}, "confirmatory": [{"metric": other, "kind": "all"}]}
    with world(tmp_path, opened=open_items(40), stats=plan, metrics=["cost_usd"], pricing=dear) as made:
        made.answer_all(answer)
        assert analysed(made)["plan"]["followed"]
        reopened(made, with_setting(made.config, "pricing", cheap))
        found = analysed(made)
        assert [one["key"].rpartition(".")[2] for one in found["plan"]["changes"]] == ["input_per_mtok"]
        assert "did not follow the plan that was frozen" in found["plan"]["statement"]
        standing = {one["metric"]: one["standing"] for one in found["tests"] if one["family"] in ("primary", "confirmatory")}
        assert standing == {"cost_usd": "exploratory", "em": "exploratory" if primary == "cost_usd" else "primary"}, "a changed primary is no gate"
        assert not any(one["is_claim"] for one in found["tests"] if one["metric"] == "cost_usd")


def test_prices_are_of_no_plan_without_a_metric_in_dollars(tmp_path: Path) -> None:
    before = config([{"name": "bundled_open", "source": "bundled"}])
    after = with_setting(before, "pricing", {"overrides": {"m": {"input_per_mtok": 1.0, "output_per_mtok": 2.0}}})
    assert plan_of(before) == plan_of(after)
    assert [one.key for one in differences(plan_of(before), plan_of(with_setting(after, "metrics", ["cost_usd"])))] == ["metrics"]


def test_arms_that_are_written_out_are_part_of_the_plan() -> None:
    given = {"prompt_sets": {}, "system": text_of("s", "Answer.")}
    datasets = [{"name": "bundled_open", "source": "bundled"}]
    before, after = (config(datasets, **given, arms={"control": {}, "b": {"model": name}}) for name in ("m/one", "m/two"))
    assert [one.key for one in differences(plan_of(before), plan_of(after))] == ["arms.b.model"]


@pytest.mark.parametrize("name", [name for name in SourceSpec.model_fields if name not in ("path", "source")])
def test_the_questions_and_how_each_set_is_scored_stay_once_requests_were_sent(name: str, tmp_path: Path) -> None:
    values = {"name": "other", "format": "json", "kind": "closed", "metric": "nq_open", "max_items": 3, "fields": {"id": "qid"}}
    values |= {"split": "test", "subset": "rc", "ignore_columns": ["n"], "rows_in": "data"}
    with world(tmp_path, opened=open_items(8), stats=WRITTEN) as made:
        made.answer_all(answer)
        tree = made.config.model_dump(mode="json")
        tree["datasets"][0][name] = values.get(name, "|")
        tree["datasets"][0] |= {"format": None} if name == "rows_in" else {}
        tree["datasets"][0] |= {"source": "hub", "format": None} if name in ("split", "subset") else {}
        config = Config.model_validate(tree)
        assert any(one.key.startswith("datasets.") for one in differences(plan_of(made.config), plan_of(config)))
        with pytest.raises(ConfigDrift, match="other questions"):
            reopened(made, config)
        opened_again(made, made.config)


@pytest.mark.parametrize(("key", "value"), [("limit_items", 3), ("skip_bad_rows", True)])
def test_how_many_questions_stays_once_requests_were_sent(key: str, value: Any, tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(8), stats=WRITTEN) as made:
        made.answer_all(answer)
        with pytest.raises(ConfigDrift, match="other questions"):
            reopened(made, with_setting(made.config, key, value))
        opened_again(made, made.config)


RIGHT = "def f(item, text): return {'em': float(text in item.answers)}\n"
KIND = "def f(item, text): return {'em': float(text in item.answers or 'no' in text)}\n"
WORDS = "def n_words(item, text): return float(len(text.split()))\n"


@pytest.mark.parametrize("role", ["sets", "further"])
def test_a_metric_edited_after_the_first_result_makes_no_claim(role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"rule_frozen_{role}"
    file, (before, after) = Path(f"{name}.py"), (RIGHT, KIND) if role == "sets" else (WORDS, WORDS + "# edited\n")
    file.write_text(before)
    path = f"{name}:f" if role == "sets" else f"{name}:n_words"
    how: dict[str, Any] = {"metric": path} if role == "sets" else {"metrics": [path, "exact"]}
    further = ["abstained"] if role == "sets" else ["n_words", "exact"]
    plan = {"primary": {"metric": "em"}, "confirmatory": [{"metric": name, "goal": "superiority"} for name in further]}
    with world(tmp_path / "w", opened=open_items(60), stats=plan, **how) as made:
        made.answer_all(answer)
        assert analysed(made)["plan"]["changes"] == []
        file.write_text(after)
        edited = analysed(made)
        (change,) = edited["plan"]["changes"]
        assert change["key"] == f"metric_code.{role}.{path}"
        assert {len(change["declared"]), len(change["done"])} == {64}
        claims = {one["metric"]: one["is_claim"] for one in edited["tests"] if one["family"] in ("primary", "confirmatory")}
        assert claims == ({"em": False, "abstained": False} if role == "sets" else {"em": True, "n_words": False, "exact": True})
        assert change["key"] in pages(made)[0]
        reopened(made, made.config)
        (late,) = frozen_plan(made.layout.ledger, made.config).late
        assert late.at == clock()
        file.unlink()
        assert frozen_plan(made.layout.ledger, made.config).late == (late,), "a file that is gone makes no change unknown"
        file.write_text(before)
        assert analysed(made)["plan"]["changes"] == [], "what is as it was declared makes its claims again"


def test_an_edited_function_leaves_the_endpoints_of_others_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rule_edited.py").write_text(WORDS)
    Path("rule_left.py").write_text("def f(item, text): return {'n_letters': float(len(text)), 'n_lines': float(text.count('\\n'))}\n")
    further = ("n_words", "n_letters")
    plan = {"primary": {"metric": "em"}, "confirmatory": [{"metric": name, "goal": "superiority"} for name in further]}
    with world(tmp_path / "w", opened=open_items(60), stats=plan, metrics=["rule_edited:n_words", "rule_left:f"]) as made:
        made.answer_all(answer)
        assert {one["is_claim"] for one in analysed(made)["tests"] if one["metric"] in further} == {True}
        Path("rule_edited.py").write_text(WORDS + "# edited\n")
        edited = analysed(made)
        assert {one["metric"]: one["is_claim"] for one in edited["tests"] if one["metric"] in further} == {"n_words": False, "n_letters": True}
        made.layout.trial(made.trial.slug).scoring.unlink()
        assert not frozen_plan(made.layout.ledger, made.config).keeps(made.config.stats.confirmatory[1], "confirmatory"), "nobody knows whose it is"


def test_a_metric_mended_before_it_had_scored_anything_is_a_change_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rule_mended.py").write_text(RIGHT)
    with world(tmp_path / "w", opened=open_items(4), stats={"primary": {"metric": "em"}}, metric="rule_mended:f") as made:
        made.answer_all(answer)
        Path("rule_mended.py").write_text(KIND)
        (late,) = frozen_plan(made.layout.ledger, made.config).late
        assert late.key == "metric_code.sets.rule_mended:f"


def test_a_lost_plan_line_does_not_lose_the_code_of_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rule_frozen_lost.py").write_text(RIGHT)
    with world(tmp_path / "w", opened=open_items(8), stats=WRITTEN | {"confirmatory": []}, metric="rule_frozen_lost:f") as made:
        made.answer_all(answer)
        declared = frozen_plan(made.layout.ledger, made.config)
        without(made, lost=["plan"])
        assert frozen_plan(made.layout.ledger, made.config) == declared
        Path("rule_frozen_lost.py").write_text(KIND)
        assert [one.key for one in frozen_plan(made.layout.ledger, made.config).late] == ["metric_code.sets.rule_frozen_lost:f"]


def concerned_by(key: str) -> set[str]:
    if key == "stats.exploratory" or key.startswith(("unsupported.", "metrics")):
        return set()
    return {"confirmatory"} if key == "stats.confirmatory" else {"primary", "confirmatory"}


def _flat(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_an_endpoint_whose_own_rule_was_changed_is_exploratory(tmp_path: Path) -> None:
    plan = {"primary": {"metric": "unsupported", "kind": "open"}, "confirmatory": [{"metric": "em"}]}
    with world(tmp_path, opened=open_items(40), stats=plan) as made:
        made.answer_all(answer)
        reopened(made, with_setting(made.config, "unsupported.threshold", 0.9))
        found = analysed(made)
        assert [one["is_claim"] for one in found["tests"] if one["family"] in ("primary", "confirmatory")] == [False, False]
        assert found["headline"]["sentence"].startswith("Exploratory, changed")


def test_a_change_before_the_first_result_is_recorded_and_said(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(40), stats=WRITTEN) as made:
        for _, shard in made.parts():
            made._intend(shard, 1, ())
            break
        reopened(made, with_setting(made.config, "stats.alpha", 0.1))
        plan = frozen_plan(made.layout.ledger, made.config)
        assert ([one.key for one in plan.early], plan.late, plan.hash) == (["stats.alpha"], (), plan_hash(plan_of(made.config)))
        assert events(made).count("plan") == 2


def test_early_changes_are_said_in_the_report_and_the_claim_stays(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(40), stats=WRITTEN) as made:
        reopened(made, with_setting(made.config, "stats.alpha", 0.1))
        made.answer_all(answer)
        found = analysed(made)
        assert "before the first result had arrived: stats.alpha 0.05 -> 0.1" in found["plan"]["statement"]
        assert "The analysis followed the plan declared before the run." in found["plan"]["statement"]
        assert found["tests"][0]["is_claim"]


def test_a_plan_changed_and_changed_back_is_the_declared_one(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(40), stats=WRITTEN) as made:
        made.answer_all(answer)
        first = made.config
        reopened(made, with_setting(first, "stats.alpha", 0.1))
        reopened(made, first)
        assert frozen_plan(made.layout.ledger, made.config).late == ()


def without(made: World, *, lost: Sequence[str], mark: bool = True) -> None:
    """Take lines out of the ledger and number the rest anew; mark: keep what the first line says of the plan."""
    kept = [one for one in entries.read(made.layout.ledger).entries if one.event not in lost]
    if not mark:
        kept = [one.but(detail={k: v for k, v in one.detail.items() if k != "plan"}) if one.event == "opened" and one.detail else one for one in kept]
    made.layout.ledger.write_bytes(b"".join(entries.encode(one.but(seq=n, check=None)) for n, one in enumerate(kept, 1)))


def test_a_lost_plan_line_is_made_up_for_by_the_first_line(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(8), stats=WRITTEN) as made:
        made.answer_all(answer)
        declared = frozen_plan(made.layout.ledger, made.config)
        without(made, lost=["plan"])
        assert frozen_plan(made.layout.ledger, made.config) == declared


@pytest.mark.parametrize("lost", [["plan"], ["drift"], ["plan", "drift"]])
def test_a_lost_plan_line_turns_no_changed_plan_into_a_declared_one(tmp_path: Path, lost: list[str]) -> None:
    with world(tmp_path, opened=open_items(8), stats=WRITTEN) as made:
        made.answer_all(answer)
        reopened(made, with_setting(made.config, "stats.alpha", 0.2))
        without(made, lost=lost)
        plan = frozen_plan(made.layout.ledger, made.config)
        assert [(one.key, one.declared, one.done) for one in plan.late] == [("stats.alpha", 0.05, 0.2)]


def test_without_first_line_and_plan_line_nothing_is_declared(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(8), stats=WRITTEN) as made:
        made.answer_all(answer)
        reopened(made, with_setting(made.config, "stats.alpha", 0.2))
        lines = [one for one in entries.read(made.layout.ledger).entries if one.event not in ("opened", "plan")]
        made.layout.ledger.write_bytes(b"".join(entries.encode(one) for one in lines))
        assert frozen_plan(made.layout.ledger, made.config).late == ()
        assert frozen_plan(made.layout.ledger, made.config).origin == "none"


def test_a_run_of_an_earlier_version_says_that_no_plan_was_frozen(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(40), stats=WRITTEN) as made:
        made.answer_all(answer)
        without(made, lost=["plan"], mark=False)
        found = analysed(made)
        assert found["plan"]["statement"].startswith("No plan was frozen for this run; the analysis followed the settings that it was opened with")
        assert found["tests"][0]["is_claim"]


def test_a_plan_line_that_was_tampered_with_is_not_believed(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(8), stats=WRITTEN) as made:
        made.answer_all(answer)
        lines = list(entries.read(made.layout.ledger).entries)
        plan = next(one for one in lines if one.event == "plan")
        assert plan.detail is not None
        forged = {**plan.detail, "plan": {**plan.detail["plan"], "stats": {**plan.detail["plan"]["stats"], "alpha": 0.2}}}
        made.layout.ledger.write_bytes(b"".join(entries.encode(one.but(detail=forged, check=None) if one is plan else one) for one in lines))
        after = frozen_plan(made.layout.ledger, with_setting(made.config, "stats.alpha", 0.2))
        assert [one.key for one in after.late] == ["stats.alpha"]


def test_a_setting_that_an_older_plan_does_not_have_had_its_default(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(4)) as made:
        new = plan_of(made.config)
        old = {name: value for name, value in new.items() if name != "unsupported"}
        assert differences(old, new) == ()
        changed = {**new, "unsupported": {**new["unsupported"], "threshold": 0.1}}
        assert [(one.key, one.before, one.after) for one in differences(old, changed)] == [("unsupported.threshold", 0.5, 0.1)]


@pytest.mark.parametrize("is_changed", [False, True])
def test_a_repair_puts_a_lost_plan_line_back(tmp_path: Path, is_changed: bool) -> None:
    with world(tmp_path, opened=open_items(8), stats=WRITTEN) as made:
        made.answer_all(answer)
        if is_changed:
            reopened(made, with_setting(made.config, "stats.alpha", 0.2))
        want, parts = frozen_plan(made.layout.ledger, made.config), tuple(shard.part for _, shard in made.parts())
        lines = made.layout.ledger.read_bytes().splitlines(keepends=True)
        made.layout.ledger.write_bytes(b"".join((lines[0], *lines[2:])))
        repaired = rebuilt_from(made.layout.ledger, parts)
        assert (repaired.filled, repaired.in_doubt) == (1, ())
        made.layout.ledger.write_bytes(b"".join(entries.encode(one) for one in repaired.entries))
        assert events(made)[:2] == ["opened", "plan"]
        assert frozen_plan(made.layout.ledger, made.config) == want


def test_a_repair_that_lost_the_first_line_too_makes_no_plan_up(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(8), stats=WRITTEN) as made:
        made.answer_all(answer)
        reopened(made, with_setting(made.config, "stats.alpha", 0.2))
        parts = tuple(shard.part for _, shard in made.parts())
        lines = made.layout.ledger.read_bytes().splitlines(keepends=True)
        made.layout.ledger.write_bytes(b"".join(lines[2:]))
        opened = {"run_nonce": "1", "config_hash": "0", "detail": {"config": made.config.model_dump(mode="json"), "overrides": {}}}
        repaired = rebuilt_from(made.layout.ledger, parts, opened)
        made.layout.ledger.write_bytes(b"".join(entries.encode(one) for one in repaired.entries))
        assert frozen_plan(made.layout.ledger, made.config).origin == "none"
        found = analysed(made)
        assert found["plan"]["statement"].startswith("No plan was frozen before the first request of this run")
        assert not any(one["is_claim"] for one in found["tests"])


def rebuilt_from(path: Path, parts: Sequence[str], opened: dict[str, Any] | None = None) -> Rebuilt:
    """The ledger as `repair` makes it from what is left."""
    source = Source(nonce="1", intent=lambda part, attempt: {}, saved=lambda part, attempt, state: {}, now=clock())
    return rebuild(entries.read(path), opened or {}, Remnants(parts=tuple(parts)), source, is_cut=False, plan_anew=plan_made_anew)


CHOICE: Final = {"choice": {"labels": ["a", "b"]}}
JURY: Final = [{"name": "tone", "kind": "yes_no"}, {"name": "right", "kind": "yes_no"}]


@pytest.mark.parametrize(
    ("key", "metric", "declared", "done", "is_another"),
    [
        ("metrics", "choice", [CHOICE], [CHOICE, "words"], False),
        ("metrics", "choice", ["words", CHOICE], [CHOICE], False),
        ("metrics", "choice", [CHOICE], [{"choice": {"labels": ["a", "b", "c"]}}], True),
        ("metrics", "words", [CHOICE], [CHOICE, "words"], True),
        ("metrics", "depth", ["mine:f"], ["mine:f", "words"], False),
        ("metrics", "depth", ["mine:f"], ["mine:f", "mine:g"], False),  # it cannot give a number of that name: two metrics may not
        ("metrics", "depth", ["mine:f", "mine:g"], ["mine:g"], True),
        ("metrics", "depth", ["mine:f"], ["mine:g"], True),
        ("metrics", "tone", [CHOICE], [CHOICE, "words"], False),
        ("judges", "choice", [], JURY[:1], False),
        ("judges", "tone", JURY[:1], JURY, False),
        ("judges", "tone", JURY, [JURY[0] | {"kind": "score"}, JURY[1]], True),
        ("judges", "right", JURY[:1], JURY, True),
        ("judges", "jury", JURY, [JURY[0], JURY[1] | {"kind": "score"}], True),
        ("panels", "jury", [], [{"name": "jury", "by": "mean"}], True),
        ("panels", "tone", [], [{"name": "jury", "by": "mean"}], False),
    ],
)
def test_what_is_only_added_beside_a_metric_leaves_its_endpoint_as_declared(
    key: str, metric: str, declared: list[Any], done: list[Any], is_another: bool
) -> None:
    change = Change(key=key, declared=declared, done=done, at=None, is_late=True)
    assert change.concerns(Endpoint(metric=metric, kind="all"), "primary") == is_another


def told(tmp_path: Path, key: str, before: Any, after: Any) -> str:
    """The report's words on a plan that was changed after the first result."""
    further = before if key == "stats.confirmatory" else [{"metric": "words", "goal": "superiority"}]
    settings = {"judges": before} if key == "judges" else {}
    plan = {"primary": {"metric": "em"}, "confirmatory": further}
    with world(tmp_path, opened=open_items(8), stats=plan, metrics=["words"], **settings) as made:
        made.answer_all(answer)
        reopened(made, with_setting(made.config, key, after))
        plan_now = frozen_plan(made.layout.ledger, made.config)
        return statement(plan_now, made.config.stats)


FAIR: Final = {"name": "fair", "rubric": {"path": "", "text": "Is it right?"}}


def test_a_judge_added_to_others_is_what_the_report_names(tmp_path: Path) -> None:
    said = told(tmp_path, "judges", [FAIR], [FAIR, FAIR | {"name": "tone"}])
    assert 'judges.tone (not there) -> {"name": "tone"' in said
    assert "fair" not in said
    assert said.endswith("It concerns none of the declared endpoints.")


def test_of_a_judge_with_another_rubric_the_rubric_is_named(tmp_path: Path) -> None:
    said = told(tmp_path, "judges", [FAIR], [FAIR | {"rubric": {"path": "", "text": "Is it kind?"}}])
    assert "changed (declared -> done): judges.fair.rubric.sha256 " in said
    assert said.endswith("It concerns none of the declared endpoints.")


def test_of_many_confirmatory_endpoints_the_one_that_was_changed_is_named(tmp_path: Path) -> None:
    many = [{"metric": name, "kind": "all"} for name in ("f1", "abstained", "unsupported")]
    said = told(tmp_path, "stats.confirmatory", many, [*many[:-1], many[-1] | {"margin": 0.03}])
    assert said.count("stats.confirmatory") == 2
    assert said.count('"margin": 0.03') == 1
    assert said.endswith("Endpoints that this concerns are exploratory, and no claim.")


def test_a_sweep_or_a_price_that_was_added_is_named_by_what_it_sets() -> None:
    no_price = {"overrides": {"m": {"input_per_mtok": 1.0, "cached_per_mtok": None}}}
    found = differences({"prices": {"usd": {"overrides": None}}}, {"prices": {"usd": no_price}})
    assert [one.key for one in found] == ["prices.usd.overrides.m.input_per_mtok"]
    found = differences({"sweep": None}, {"sweep": {"models": None, "temps": [0.0, 1.0], "top_p": None}})
    assert [(one.key, one.after) for one in found] == [("sweep.temps", [0.0, 1.0])]


def test_the_plan_is_hashed_the_same_in_every_process() -> None:
    """What statistics were made from: with an order that each process has anew they would never be done."""
    change = Change(key="metrics", declared=[], done=["words"], at=None, is_late=True, spared=("exact", "words"))
    plan = FrozenPlan(origin="frozen", hash="0", is_default=False, is_default_primary=False, changes=(change,))
    assert len(digest_of(asdict(plan))) == 64
    with pytest.raises(TypeError, match="no order"):
        digest_of({"spared": frozenset({"exact"})})
