"""What would go wrong later, or go wrong silently, is refused when a config starts a run: temperatures, sample counts, slugs, refused fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.config.configs import loaded, refused, tree, write

from batchtrial.config.families import DATED, TABLE, Sampling, family_of, line_of
from batchtrial.config.families import refused as refused_fields
from batchtrial.config.load import decode, encode, load
from batchtrial.errors import ConfigError


def changed(**changes: Any) -> str:
    return yaml.safe_dump(tree() | changes)


# Temperatures


@pytest.mark.parametrize(
    ("temps", "told"),
    [
        ([0.5, 0.5], "stands twice"),
        ([0.0, -0.0], "stands twice"),
        ([0, 0.0], "stands twice"),
        ([0.25, 0.2500001], "more digits"),
        ([0.2500001], "more digits"),
        ([0.1 + 0.2], "more digits"),
        ([1e-7], "more digits"),
        ([0.7, 0.1, 0.7], "stands twice"),
    ],
)
@pytest.mark.parametrize("place", ["temps", "sweep.temps", "trials.0.temps", "flag"])
def test_temperatures_that_cannot_be_told_apart_are_refused(tmp_path: Path, temps: list[float], told: str, place: str) -> None:
    by_place: dict[str, dict[str, Any]] = {
        "temps": {"temps": temps},
        "sweep.temps": {"sweep": {"temps": temps}},
        "trials.0.temps": {"trials": [{"temps": temps}]},
        "flag": {},
    }
    error = refused(tmp_path, changed(**by_place[place]), flags={"temps": temps} if place == "flag" else {})
    assert told in error.what
    assert (place if place != "flag" else "temps (given by flag)") in error.where


@pytest.mark.parametrize("temps", [[0.0], [-0.0], [0, 0.7, 1, 2], [0.25, 0.2501], [0.0001], [1.99999]])
def test_temperatures_that_their_labels_tell_are_taken(tmp_path: Path, temps: list[float]) -> None:
    config = loaded(tmp_path, changed(temps=temps)).config
    assert config.temps == tuple(temps)
    assert str(config.temps[0]) != "-0.0"


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"0.5": 3}, "no arm has the temperature '0.5'"),
        ({"0.7": 3, "0.70": 5}, "the same temperature"),
        ({"warm": 3}, "no arm has the temperature 'warm'"),
        ({"nan": 3}, "no arm has"),
        ({"0.7": 0}, "0 completions"),
        (0, "0 completions"),
    ],
)
def test_sample_counts_that_no_arm_has_are_refused(tmp_path: Path, counts: Any, told: str) -> None:
    error = refused(tmp_path, changed(temps=[0.0, 0.7], samples_per_item=counts))
    assert told in error.what
    assert "samples_per_item" in error.where


def test_sample_counts_may_be_of_temperatures_anywhere(tmp_path: Path) -> None:
    counts = {"0.0": 1, "0.3": 2, "0.9": 4}
    config = loaded(tmp_path, changed(samples_per_item=counts, sweep={"temps": [0.3]}, trials=[{"temps": [0.9]}])).config
    assert [config.samples_for(temp) for temp in (0.0, 0.3, 0.9, 1.0)] == [1, 2, 4, 1]


def test_a_flag_that_picks_temperatures_drops_the_counts_of_the_others(tmp_path: Path) -> None:
    text = changed(temps=[0.0, 0.7], samples_per_item={"0.0": 1, "0.7": 5})
    config = loaded(tmp_path, text, flags={"temps": [0.7], "sweep.temps": [0.7]}).config
    assert config.samples_per_item == {"0.7": 5}


# Names


@pytest.mark.parametrize("key", ["prompt_sets", "datasets"])
def test_names_that_differ_by_case_alone_are_refused(tmp_path: Path, key: str) -> None:
    pair = tree()["prompt_sets"]["default"]
    sets = {"prompt_sets": {"Mine": pair, "mine": pair}}
    one = {"source": "file", "path": "q.jsonl"}
    error = refused(tmp_path, changed(**(sets if key == "prompt_sets" else {"datasets": [{"name": "A", **one}, {"name": "a", **one}]})))
    assert "upper and lower case alone" in error.what
    assert key in error.where


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trials": [{"id": "prepared"}]}, "one of the run's own"),
        ({"trials": [{"id": "Ledger.jsonl"}]}, "one of the run's own"),
        ({"trials": [{"id": "shared-x"}]}, "one of the run's own"),
        ({"model_aliases": {"some/model": "shared"}}, "one of the run's own"),
        ({"model_id": "org/" + "m" * 240}, "characters"),
        ({"model_id": "org/-m"}, "not usable"),
        ({"trials": [{"id": "A"}, {"id": "a"}]}, "upper and lower case alone"),
        ({"sweep": {"models": ["a/m", "b/m"]}}, "two trials have the slug 'm-default'"),
    ],
)
def test_slugs_that_clash_are_refused_before_anything_is_made(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    assert told in refused(tmp_path, changed(**changes)).what


def test_a_simulated_arm_of_no_prompt_set_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, changed(simulation={"by_prompt_set": {"defualt": {"right": 0.5}}}))
    assert "'defualt' is not defined" in error.what


# Model families

REFUSING = [
    "o1", "o1-mini", "o3", "o3-mini", "o3-mini-2025-01-31", "o4-mini", "gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5-2025-08-07", "gpt-5.2-pro",
    "gpt-5-mini-2025-08-07", "gpt-5.1-codex", "gpt-5.5", "gpt-5.6", "gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna", "gpt-5.10", "gpt-6",
    "gpt-6.2-mini", "openai/gpt-5-mini", "claude-opus-4-7", "claude-opus-4-8", "claude-opus-5", "claude-sonnet-5", "claude-sonnet-5-5",
    "claude-haiku-5-5", "claude-fable-5", "claude-opus-4-7-20260416", "anthropic/claude-opus-5", "ft:o4-mini-2025-04-16:org::abc", "ft:gpt-5-mini",
]  # fmt: skip
TAKING = [
    "gpt-4o", "gpt-4.1-mini", "gpt-5-chat-latest", "gpt-5.1", "gpt-5.2", "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.6-chat", "gpt-oss-20b", "o200k",
    "m1", "model-o3", "claude-opus-4-1", "claude-opus-4-6", "claude-sonnet-4-6", "claude-sonnet-4-5", "claude-haiku-4-5", "qwen3-8b",
    "claude-3-5-sonnet-20241022", "claude-opus-4-20250514", "claude-sonnet-4-20250514", "ft:gpt-4.1-mini-2025-04-14:org::o3",
]  # fmt: skip


@pytest.mark.parametrize("model", REFUSING)
@pytest.mark.parametrize("backend", ["openai", "anthropic", "local"])
def test_a_temperature_that_a_model_refuses_is_refused_before_the_batch(tmp_path: Path, model: str, backend: str) -> None:
    error = refused(tmp_path, changed(backend=backend, model_id=model))
    assert f"{model} refuses temperature" in error.what
    assert "provider.sampling: omit" in error.hint
    assert "provider.accepts: [temperature]" in error.hint
    assert DATED in error.hint
    assert ("request_overrides" in error.hint) == (backend != "anthropic")


@pytest.mark.parametrize("model", TAKING)
def test_other_models_take_a_temperature(tmp_path: Path, model: str) -> None:
    assert loaded(tmp_path, changed(backend="openai", model_id=model)).config.model_id == model


@pytest.mark.parametrize("where", ["sweep", "trials", "flag"])
def test_every_model_of_a_run_is_looked_at(tmp_path: Path, where: str) -> None:
    more: dict[str, Any] = {"sweep": {"models": ["gpt-4o", "o3-mini"]}, "trials": [{"model_id": "o3-mini"}]}
    flags = {"model_id": "o3-mini"} if where == "flag" else {}
    text = changed(backend="openai", **{key: value for key, value in more.items() if key == where})
    assert "o3-mini refuses temperature" in refused(tmp_path, text, flags=flags).what


@pytest.mark.parametrize("model", ["gpt-5-mini", "gpt-5.6-sol", "claude-opus-5"])
def test_the_fix_that_the_error_names_works(tmp_path: Path, model: str) -> None:
    backend = "anthropic" if model.startswith("claude") else "openai"
    provider: dict[str, Any] = {"sampling": "omit"} | ({} if backend == "anthropic" else {"request_overrides": {"reasoning": {"effort": "low"}}})
    assert loaded(tmp_path, changed(backend=backend, model_id=model, provider=provider))
    assert loaded(tmp_path, changed(backend=backend, model_id=model, provider={"accepts": ["temperature"]}))


@pytest.mark.parametrize(("body", "is_refused"), [({}, False), ({"effort": "none"}, False), ({"effort": "low"}, True)])
@pytest.mark.parametrize("endpoint", ["/v1/responses", "/v1/chat/completions"])
def test_some_take_a_temperature_unless_they_are_asked_to_reason(tmp_path: Path, body: dict[str, str], is_refused: bool, endpoint: str) -> None:
    extra = {"reasoning": body} if endpoint == "/v1/responses" else {f"reasoning_{key}": value for key, value in body.items()}
    text = changed(backend="openai", model_id="gpt-5.4-mini", provider={"endpoint": endpoint, "request_overrides": extra})
    if is_refused:
        assert "with reasoning effort 'low'" in refused(tmp_path, text).what
    else:
        assert loaded(tmp_path, text)


def test_the_default_temperature_is_taken_by_openai_and_none_by_claude(tmp_path: Path) -> None:
    assert loaded(tmp_path, changed(backend="openai", model_id="gpt-5-mini", temps=[1.0]))
    assert "temperature" in refused(tmp_path, changed(backend="anthropic", model_id="claude-opus-5", temps=[1.0])).what


def test_other_fields_are_looked_at_as_well(tmp_path: Path) -> None:
    base: dict[str, Any] = {"backend": "openai", "model_id": "gpt-5-mini", "temps": [1.0]}
    assert "refuses top_p" in refused(tmp_path, changed(**base, top_p=0.9)).what
    assert loaded(tmp_path, changed(**base, top_p=1.0))
    error = refused(tmp_path, changed(**base, stop=["END"], provider={"sampling": "omit", "endpoint": "/v1/chat/completions"}))
    assert "refuses stop" in error.what
    assert "leave `stop` out" in error.hint


def test_fireworks_has_models_of_its_own(tmp_path: Path) -> None:
    assert loaded(tmp_path, changed(model_id="accounts/fireworks/models/gpt-5-mini"))


def test_a_run_that_exists_is_read_whatever_the_table_says(tmp_path: Path) -> None:
    config = loaded(tmp_path, changed(backend="openai", model_id="gpt-4o")).config
    old = config.model_copy(update={"model_id": "gpt-5-mini", "temps": (0.5, 0.5)})
    assert decode(encode(old).decode(), where="x", folder=tmp_path, flags={}, env={}).config == old
    again = load(write(tmp_path, encode(old)), is_begun=True)
    assert again.config == old


def test_the_table_says_what_it_rests_on() -> None:
    assert all(family.source and family.refuses for family in TABLE)
    assert family_of("gpt-4o") is None
    found = refused_fields("o3", Sampling(temps=(0.0, 1.0), top_p=0.5, stop=("a",)))
    assert [(one.field, one.value) for one in found] == [("temperature", 0.0), ("top_p", 0.5), ("stop", ["a"])]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("gpt-4.1", "gpt-5-mini", True),
        ("gpt-4o", "o3-mini", True),
        ("chatgpt-4o-latest", "ft:gpt-4.1-mini-2025-04-14:org::x", True),
        ("claude-sonnet-4-5", "claude-opus-5", True),
        ("anthropic/claude-opus-5", "anthropic.claude-haiku-4-5", True),
        ("qwen2.5-72b-instruct", "accounts/fireworks/models/qwen3-8b", True),
        ("gpt-4.1", "claude-opus-5", False),
        ("olmo-2", "o3", False),
        ("mistral-small-latest", "gemini-2.5-flash", False),
    ],
)
def test_a_judge_and_a_model_of_one_line_are_known_by_their_names(one: str, other: str, *, is_same: bool) -> None:
    assert (line_of(one) == line_of(other)) is is_same


THINKS = {"thinking": {"type": "enabled", "budget_tokens": 1024}}


@pytest.mark.parametrize(
    ("backend", "model", "changes", "told"),
    [
        ("anthropic", "claude-sonnet-4-5", {"top_p": 0.9}, "refuses top_p beside a temperature"),
        ("anthropic", "claude-opus-4-1-20250805", {"top_p": 0.9}, "refuses top_p beside a temperature"),
        ("anthropic", "claude-opus-4-6", {"top_p": 1.0}, "refuses top_p beside a temperature"),
        ("anthropic", "claude-sonnet-4-20250514", {"top_p": 0.9}, ""),
        ("anthropic", "claude-sonnet-4-5", {"top_p": 0.9, "provider": {"accepts": ["top_p"]}}, ""),
        ("anthropic", "claude-sonnet-4-5", {"provider": {"request_overrides": THINKS}}, "refuses temperature when it is asked to think"),
        ("anthropic", "claude-sonnet-4-5", {"provider": {"request_overrides": THINKS}, "temps": [1.0]}, "is to think for up to 1,024 tokens"),
        ("anthropic", "claude-sonnet-4-5", {"provider": {"request_overrides": THINKS}, "temps": [1.0], "max_new_tokens": {"open_book": 4096}}, ""),
        ("anthropic", "claude-sonnet-4-5", {"provider": {"request_overrides": {"thinking": {"type": "disabled"}}}}, ""),
        ("xai", "grok-4", {"stop": ["END"]}, "grok-4 refuses stop"),
        ("xai", "grok-4.20-0309-reasoning", {"stop": ["END"]}, "refuses stop"),
        ("xai", "grok-4-1-fast-non-reasoning", {"stop": ["END"]}, ""),
        ("xai", "grok-3", {"stop": ["END"]}, ""),
        ("xai", "grok-4", {}, ""),
    ],
)
def test_fields_that_are_refused_beside_others_are_looked_at(tmp_path: Path, backend: str, model: str, changes: dict[str, Any], told: str) -> None:
    text = changed(backend=backend, model_id=model, **changes)
    if told:
        assert told in refused(tmp_path, text).what
    else:
        assert loaded(tmp_path, text)


def test_an_arm_or_a_judge_that_refuses_a_temperature_is_named_with_a_fix_of_its_own_that_works(tmp_path: Path) -> None:
    """`sampling: omit` would leave out the temperature of every other arm of the lane too."""
    judge = {"name": "j", "rubric": "factual", "model": "gpt-5-mini"}
    base: dict[str, Any] = {"backend": "openai", "model_id": "gpt-4.1"}
    error = refused(tmp_path, changed(**base, judges=[judge]))
    assert (error.where.rpartition(" ")[2], error.hint.partition(",")[0]) == ("judges.j", "set `judges.j.temperature: 1`")
    assert loaded(tmp_path, changed(**base, judges=[judge | {"temperature": 1}]))
    arms: dict[str, Any] = {"control": {"system": "control.txt"}, "new": {"system": "treatment.txt", "model": "gpt-5-mini"}}
    error = refused(tmp_path, changed(**base, prompt_sets={}, arms=arms))
    assert (error.where.rpartition(" ")[2], error.hint.partition(",")[0]) == ("arms.new", "set `arms.new.temperature: 1`")
    arms["new"]["temperature"] = 1
    assert loaded(tmp_path, changed(**base, prompt_sets={}, arms=arms))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://me:SECRET@host.example/v1", "holds a name or a password"),
        ("https://SECRET@host.example/v1", "holds a name or a password"),
        ("https://host.example/v1?key=SECRET", "goes on behind its path"),
        ("https://host.example/v1#SECRET", "goes on behind its path"),
        ("ftp://host.example/v1", "no address of a host"),
        ("host.example:80", "no address of a host"),
        ("https:///v1", "no address of a host"),
        ("http://host.example:99999/v1", "no address of a host"),
        ("http://[::1/v1", "no address of a host"),
        ("https://host.example/a b", "a space or a line end"),
    ],
)
def test_an_address_that_nobody_can_call_or_that_holds_a_secret_is_refused_wherever_it_comes_from(tmp_path: Path, url: str, told: str) -> None:
    text = yaml.safe_dump(tree() | {"provider": {"base_url": url}})
    error = refused(tmp_path, text)
    assert told in error.what
    assert "provider.base_url" in error.where
    assert "SECRET" not in f"{error}", "what may be a key is not told on"
    path = write(tmp_path)
    begun = encode(load(path).config).decode()
    given: list[tuple[dict[str, str], dict[str, str], str]] = [
        ({"provider.base_url": url}, {}, "given by flag"),
        ({}, {"BATCHTRIAL_BASE_URL": url}, "BATCHTRIAL_BASE_URL"),
    ]
    for flags, env, place in given:
        with pytest.raises(ConfigError, match=told) as new:
            load(path, flags=flags, env=env)
        with pytest.raises(ConfigError, match=told) as resumed:
            decode(begun, where="run", folder=tmp_path, flags=flags, env=env)
        for found in (new.value, resumed.value):
            assert place in found.where
            assert "SECRET" not in f"{found}"


def test_a_run_that_was_started_with_an_odd_address_is_read(tmp_path: Path) -> None:
    config = load(write(tmp_path)).config
    odd = config.model_copy(update={"provider": config.provider.model_copy(update={"base_url": "https://me@host.example/v1"})})
    assert decode(encode(odd).decode(), where="run", folder=tmp_path, flags={}, env={}).config == odd


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "https://host.example/openai/v1/", "http://[::1]:9/v1", "http://h_1:80"])
def test_addresses_of_hosts_are_taken(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, yaml.safe_dump(tree() | {"provider": {"base_url": url}})).config.provider.base_url == url


# Levels


@pytest.mark.parametrize(("alpha", "hint"), [(0.9, "write 0.1 if 0.9 is the confidence"), (0.95, "write 0.05 if"), (0.3, "an alpha is at most 0.2")])
def test_a_confidence_in_the_place_of_alpha_is_refused_with_the_level_that_was_meant(tmp_path: Path, alpha: float, hint: str) -> None:
    error = refused(tmp_path, changed(stats={"alpha": alpha}))
    assert "alpha is the chance of a false claim" in error.what
    assert "stats.alpha" in error.where
    assert hint in error.hint


def test_an_alpha_of_a_fifth_is_somebodys_choice_and_a_run_that_exists_is_read_with_any(tmp_path: Path) -> None:
    config = loaded(tmp_path, changed(stats={"alpha": 0.2})).config
    assert config.stats.alpha == 0.2
    old = config.model_copy(update={"stats": config.stats.model_copy(update={"alpha": 0.9})})
    assert load(write(tmp_path, encode(old)), is_begun=True).config == old


# What every row would come back with, or what is taken for something else


@pytest.mark.parametrize(
    ("changes", "key", "told"),
    [
        ({"stop": [""]}, "stop", "is empty"),
        ({"stop": ["END", ""]}, "stop", "is empty"),
        ({"stop": ["\n\n"], "backend": "anthropic", "model_id": "claude-haiku-4-5"}, "stop", "no space"),
        ({"stop": list("abcde"), "backend": "openai", "model_id": "gpt-4.1"}, "stop", "takes 4 stop sequences"),
        ({"model_id": "gpt-4.1\n"}, "model_id", "begins or ends with a space"),
        ({"model_id": "gpt-4.1\nx"}, "model_id", "does not show"),
        ({"sweep": {"models": ["gpt-4.1", " gpt-4.1"]}}, "model_id", "begins or ends with a space"),
        ({"trials": [{"model_id": "a\u200bb"}]}, "model_id", "does not show"),
        ({"stats": {"permutation_samples": 10**9}}, "stats.permutation_samples", "take hours"),
        ({"temps": [True]}, "temps", "not true or false"),
        ({"temps": [0.0, False]}, "temps", "not true or false"),
        ({"sweep": {"temps": [True]}}, "sweep.temps", "not true or false"),
        ({"samples_per_item": True}, "samples_per_item", "not true or false"),
        ({"samples_per_item": {"0.0": True}}, "samples_per_item", "not true or false"),
        ({"limit_items": True}, "limit_items", "not true or false"),
        ({"seed": False}, "seed", "not true or false"),
        ({"max_new_tokens": {"open_book": True, "closed_book": 8}}, "max_new_tokens.open_book", "not true or false"),
        ({"submission": {"lines_per_part": True}}, "submission.lines_per_part", "not true or false"),
        ({"submission": {"budget_usd": True}}, "submission.budget_usd", "not true or false"),
        ({"provider": {"queue": {"enqueued_tokens": True}}}, "provider.queue.enqueued_tokens", "not true or false"),
        ({"stats": {"alpha": True}}, "stats.alpha", "not true or false"),
    ],
)
def test_what_no_service_takes_and_flags_in_the_place_of_numbers_are_refused(tmp_path: Path, changes: dict[str, Any], key: str, told: str) -> None:
    error = refused(tmp_path, changed(**changes))
    assert told in error.what
    assert key in f"{error.where} {error.what}"


@pytest.mark.parametrize("changes", [{"stop": ["\n\n"]}, {"stop": [" END"]}, {"model_id": "my model of today"}, {"stop": list("abcde")}])
def test_what_a_service_may_take_is_taken(tmp_path: Path, changes: dict[str, Any]) -> None:
    loaded(tmp_path, changed(**changes))
