"""Ids and names: valid for every provider, told apart, taken apart again, and never a way out of the folder."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import ConfigError
from batchtrial.keys import (
    IDENTITY_PATTERN,
    check_run_id,
    custom_id,
    digest,
    id_head,
    item_hash,
    new_run_id,
    number_label,
    part_name,
    short_model,
    split_custom_id,
    temp_label,
    token,
)
from batchtrial.records import CONDITIONS, Condition

EVERY_PROVIDER = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
NONCE_CHARS = 17  # 16 hex digits and a hyphen, which one adapter puts before the id


def test_a_run_id_is_the_time() -> None:
    assert new_run_id(datetime(2026, 11, 22, 10, 30, 5, tzinfo=UTC)) == "r20261122103005"
    assert check_run_id("r20261122103005") == "r20261122103005"


@pytest.mark.parametrize("text", ["a", "demo-1", "A.b_c-9", "x" * 64])
def test_plain_names_are_run_ids(text: str) -> None:
    assert check_run_id(text) == text


@pytest.mark.parametrize(
    "text", ["", ".", "..", "../x", "a/../b", "a/b", "a\\b", "/tmp/x", "-x", ".x", "a..b", "x" * 65, "a b", "a\n", "é", "a\x00", "~"]
)
def test_what_could_leave_the_folder_is_no_run_id(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_run_id(text)
    assert (caught.value.where, caught.value.exit_code) == ("--run_id", 2)


@pytest.mark.parametrize(("temp", "label"), [(0.0, "0"), (0.7, "07"), (1.0, "10"), (0.25, "025"), (2.0, "20"), (0.3, "03"), (1.5, "15")])
def test_temperatures_without_their_dot(temp: float, label: str) -> None:
    assert temp_label(temp) == label


@given(st.sets(st.integers(0, 200), min_size=2, max_size=2))
def test_two_temperatures_have_two_labels(hundredths: set[int]) -> None:
    a, b = (temp_label(one / 100) for one in sorted(hundredths))
    assert a != b


@pytest.mark.parametrize(("value", "label"), [(1.0, "1"), (0.95, "095"), (0.0, "0"), (10.0, "10"), (0.5, "05")])
def test_decoding_values_in_a_slug(value: float, label: str) -> None:
    assert number_label(value) == label


@pytest.mark.parametrize(
    ("model", "short"),
    [("accounts/fireworks/models/gpt-oss-20b", "gpt-oss-20b"), ("gpt-5.4-mini", "gpt-5-4-mini"), ("a/b:c", "b-c"), ("x/", "model")],
)
def test_the_last_segment_of_a_model_is_its_short_name(model: str, short: str) -> None:
    assert short_model(model) == short
    assert short_model(model, {model: "alias"}) == "alias"


texts = st.text(min_size=0, max_size=20)
temps = st.sampled_from([0.0, 0.25, 0.7, 1.0, 1.25, 2.0])
arms = st.text("0123456789abcdef", min_size=16, max_size=16)


@given(st.sampled_from((None, *CONDITIONS)), temps, arms, texts, texts, st.integers(0, 10**6))
def test_a_custom_id_is_valid_everywhere_and_comes_apart_again(
    condition: Condition | None, temp: float, arm: str, dataset: str, item: str, sample: int
) -> None:
    made = custom_id(id_head(arm, condition, temp), item_hash(dataset, item), sample)
    assert EVERY_PROVIDER.fullmatch(made)
    assert len(made) + NONCE_CHARS <= 64
    found = split_custom_id(made)
    assert found is not None
    assert found.arm == (f"a{arm[:12]}" if condition is None else f"{condition[0]}-t{temp_label(temp)}-{arm[:8]}")
    assert (found.item, found.sample_index) == (item_hash(dataset, item), sample)
    seen = re.search(IDENTITY_PATTERN, f"{'a' * 16}-{made}")
    assert seen is not None
    assert (seen["item"], seen["sample"]) == (found.item, str(sample))


@pytest.mark.parametrize(
    "text", ["", "request-1", "c-t0-0123", "x-t0-01234567-0123456789abcdef-s0", "c-t0-01234567-0123456789abcdef-s", "c|t0|x|y|z"]
)
def test_foreign_ids_are_not_ours(text: str) -> None:
    assert split_custom_id(text) is None


@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4))
def test_a_digest_tells_its_parts_apart(a: list[str], b: list[str]) -> None:
    separated = not any("\x1f" in part for part in (*a, *b))
    if separated:
        assert (digest(a, 32) == digest(b, 32)) == (a == b)


def test_items_of_two_datasets_are_two_items() -> None:
    assert len({item_hash("a", "bc"), item_hash("ab", "c"), item_hash("abc", ""), item_hash("", "abc")}) == 4


def test_an_id_that_is_no_valid_unicode_has_a_hash_too() -> None:
    assert len(item_hash("set", "\ud800")) == 16


def test_parts_are_numbered_from_one_and_sort() -> None:
    assert [part_name("arm", index) for index in (1, 9, 10, 4000)] == ["arm_p01", "arm_p09", "arm_p10", "arm_p4000"]


@given(texts, texts, st.integers(1, 9), st.integers(1, 9))
def test_a_token_belongs_to_one_attempt_of_one_run(part: str, other: str, attempt: int, again: int) -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", token("00ff", part, attempt))
    assert token("00ff", part, attempt) != token("00fe", part, attempt)
    if (part, attempt) != (other, again) and "\x1f" not in part + other:
        assert token("00ff", part, attempt) != token("00ff", other, again)
