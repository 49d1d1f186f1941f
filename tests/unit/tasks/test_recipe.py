"""An item to its turns: text as it is, templates filled in, conversations and images of its own; what cannot be names file, line, item and fix."""

from __future__ import annotations

from typing import Any

import pytest

from batchtrial.errors import ConfigError
from batchtrial.records import Item, Turn
from batchtrial.tasks.recipe import Part, Recipe, check_columns, compiled

BRACES = "{ {{ name }} {% if %} $HOME ${X} {# #}\n\n"
PNG = "data:image/png;base64,iVBORw0KGgo="


def item(**columns: Any) -> Item:
    return Item(dataset="d", item_id="7", kind="closed", question="q", answers=(), columns=columns)


def turns(*parts: Part, system: str = "", **columns: Any) -> tuple[str, tuple[Turn, ...]]:
    return compiled(Recipe(parts).encode()).of(item(**columns), system)


def refused(*parts: Part, **columns: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        turns(*parts, **columns)
    return str(caught.value)


def test_declared_text_is_sent_byte_for_byte_and_templates_are_filled_in() -> None:
    system, said = turns(Part(role="system", text=BRACES), Part(role="user", template="Hi {{ name }}"), name="Ada")
    assert system == BRACES
    assert said == (Turn(role="user", text="Hi Ada"),)


def test_system_turns_follow_the_arms_own_system_prompt() -> None:
    parts = (Part(role="system", column="tone"), Part(role="user", column="ask"))
    assert turns(*parts, system="Be brief.", tone="Be kind.", ask="Why?")[0] == "Be brief.\n\nBe kind."
    assert turns(*parts, system="Be brief.", ask="Why?")[0] == "Be brief."


def test_a_conversation_of_the_items_own() -> None:
    talk = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": PNG}}]},
    ]
    found = turns(Part(column="talk"), talk=talk)
    assert found == (
        "Be kind.",
        (
            Turn(role="user", text="Hello"),
            Turn(role="assistant", text="Hi"),
            Turn(role="user", text="See", images=(PNG,), parts=(("text", "See"), ("image", PNG))),
        ),
    )
    assert turns(Part(column="talk"), talk='[{"role": "user", "content": "from a cell"}]')[1] == (Turn(role="user", text="from a cell"),)


def test_texts_and_images_of_a_message_stay_in_their_order() -> None:
    """Each text speaks of the picture above it."""
    other = "https://a.example/b.png"
    said = [{"type": "text", "text": "A:"}, {"type": "image_url", "image_url": {"url": PNG, "detail": "auto"}}, {"type": "text", "text": "B:"}]
    one = turns(Part(column="talk"), talk=[{"role": "user", "content": [*said, {"type": "image_url", "image_url": other}]}])[1][0]
    assert (one.text, one.images) == ("A:\nB:", (PNG, other))
    assert one.in_order(images_first=True) == (("text", "A:"), ("image", PNG), ("text", "B:"), ("image", other))


def test_images_by_address_and_as_data() -> None:
    part = Part(role="user", text="What is this?", image="pic")
    assert turns(part, pic="https://a.example/x.png")[1][0].images == ("https://a.example/x.png",)
    assert turns(part, pic=[PNG, PNG])[1][0].images == (PNG, PNG)
    assert turns(part)[1][0].images == ()


@pytest.mark.parametrize(
    ("parts", "columns", "words"),
    [
        (
            (Part(role="user", template="a\n{{ nmae }}", where="user.txt"),),
            {"name": "x"},
            ("item '7' of d", "user.txt, line 2", "did you mean 'name'?", "default"),
        ),
        ((Part(role="user", template="{{ name }}"),), {"name": " "}, ("the user turn is empty",)),
        ((Part(role="user", column="name"),), {"name": 3}, ("is no text: 3", "tojson")),
        ((Part(role="user", column="name"),), {}, ("has no column 'name'",)),
        ((Part(role="user", text="x", image="pic"),), {"pic": "photo.png"}, ("is no image: 'photo.png'", "files are not read")),
        ((Part(role="user", text="x", image="pic"),), {"pic": "javascript:alert(1)"}, ("is no image",)),
        ((Part(column="talk"),), {"talk": "hello"}, ("no list of messages",)),
        (
            (Part(column="talk"),),
            {"talk": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}]}]},
            ("message 1", "in detail 'low'", "scale the image"),
        ),
        ((Part(column="talk"),), {"talk": [{"role": "human", "content": "x"}]}, ("message 1", "needs a role of system, user, assistant")),
        ((Part(column="talk"),), {"talk": [{"role": "tool", "content": "x"}]}, ("message 1", "call of a tool (role tool)")),
        (
            (Part(column="talk"),),
            {"talk": [{"role": "assistant", "content": "I look", "tool_calls": [{"id": "1"}]}, {"role": "user", "content": "b"}]},
            ("message 1", "call of a tool (tool_calls)"),
        ),
        ((Part(column="talk"),), {"talk": [{"role": "user", "content": [{"type": "audio"}]}]}, ("neither text nor image",)),
        ((Part(column="talk"),), {"talk": [{"role": "assistant", "content": "x"}]}, ("the last turn is the assistant's own",)),
        ((Part(role="user", text="x"), Part(role="system", text="y")), {}, ("a system turn stands first",)),
        ((Part(role="system", text="y"),), {}, ("there is no turn to answer",)),
    ],
)
def test_what_cannot_be_asked_about_an_item_is_told(parts: tuple[Part, ...], columns: dict[str, Any], words: tuple[str, ...]) -> None:
    said = refused(*parts, **columns)
    assert all(word in said for word in words), said


def test_a_name_that_no_item_has_is_refused_even_where_a_default_stands_for_it() -> None:
    recipe = Recipe((Part(role="user", template='{{ body }} {{ categroy | default("") }}', where="user.txt"),)).encode()
    check_columns([recipe], [item(body="x"), item(body="y", categroy="z")])
    with pytest.raises(ConfigError, match="no item has a column 'categroy'") as caught:
        check_columns([recipe], [item(body="x", category="z")])
    assert "did you mean 'category'?" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        check_columns([recipe], [item(body="x", category="z")], {"categroy"})
    assert caught.value.hint == "`ignore_columns` leaves it out"


def test_where_a_recipe_came_from_is_no_part_of_what_it_asks() -> None:
    one, other = (compiled(Recipe((Part(role="user", text="x", where=where),)).encode()) for where in ("a.txt", "b.txt"))
    assert one.sha256 == other.sha256
    assert one.sha256 != compiled(Recipe((Part(role="user", template="x"),)).encode()).sha256


@pytest.mark.parametrize(
    ("template", "what", "hint"),
    [
        ("{{ nam }}", "no column 'nam'; did you mean 'name'?", "default("),
        ("{{ nam | join }}", "no column 'nam'; did you mean 'name'?", "default("),
        ("{% for i in range(1000000000) %}x{% endfor %}", "a range of more than 10,000 numbers", "loop over less"),
        ("{{ name.__class__ }}", "only objects have keys", "docs/tasks.md"),
        ("{{ self }}", "only values of the item can be written", "docs/tasks.md"),
        ("{{ range }}", "only values of the item can be written", "docs/tasks.md"),
        ("{% for i in range(2) %}{{ loop }}{% endfor %}", "only values of the item can be written", "docs/tasks.md"),
        ("{{ 1 / 0 }}", "division by zero", "docs/tasks.md"),
    ],
)
def test_what_is_advised_is_about_what_is_wrong(template: str, what: str, hint: str) -> None:
    said = refused(Part(role="user", template=template), name="Ada")
    assert what in said
    assert hint in said
    assert ("default(" in said) == (hint == "default(")
