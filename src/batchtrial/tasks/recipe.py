"""The turns of a task: what is the same for every item, and what an item's columns put into it. A recipe is plain data, and part of an arm's key."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import msgspec

from batchtrial.errors import ConfigError
from batchtrial.records import Item, Piece, Request, Turn
from batchtrial.tasks.template import COLUMNS, Template, TemplateFault

Role = Literal["system", "user", "assistant"]
ROLES: Final[tuple[Role, ...]] = ("system", "user", "assistant")
_ROLE: Final[Mapping[str, Role]] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_OF_CALLS: Final = frozenset({"tool_calls", "tool_call_id", "function_call"})
"""Keys of messages that call a tool, or bring what came back."""
_IMAGE: Final = re.compile(r"https?://[^\s]+|data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/=]+", re.IGNORECASE)


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn of a task, or the turns that a column holds. Exactly one of text, template, column is set, or image with any of them.

    where: the file or config key that it came from, for messages; no part of what is asked.
    """

    role: Role | None = None
    text: str | None = None
    template: str | None = None
    column: str | None = None
    image: str | None = None
    where: str = ""


class Recipe(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a task asks of every item."""

    parts: tuple[Part, ...]
    response_format: dict[str, Any] | None = None
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str = ""

    def encode(self) -> str:
        """As text that `compiled` takes."""
        return msgspec.json.encode(self, order="sorted").decode()


class Rendered(NamedTuple):
    """What an item becomes. system: "" where there is none."""

    system: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A recipe whose templates are compiled. templates: by place."""

    recipe: Recipe
    templates: Mapping[int, Template]

    @property
    def reads(self) -> frozenset[str]:
        """Columns that it needs; with `columns` in a template, others may be read too."""
        named = {name for part in self.recipe.parts for name in (part.column, part.image) if name is not None}
        return frozenset(named).union(*(template.names for template in self.templates.values()))

    @property
    def may_read_all(self) -> bool:
        """Whether a template reaches for columns by `columns[...]`."""
        return any(part.template is not None and COLUMNS in part.template for part in self.recipe.parts)

    @property
    def asked(self) -> str:
        """What an arm's key is over: the recipe without the places that it came from."""
        parts = tuple(msgspec.structs.replace(part, where="") for part in self.recipe.parts)
        return msgspec.structs.replace(self.recipe, parts=parts).encode()

    @property
    def sha256(self) -> str:
        """Hex sha256 of what is asked."""
        return hashlib.sha256(self.asked.encode()).hexdigest()

    @property
    def texts(self) -> Iterator[tuple[str, str]]:
        """What it asks, piece by piece, each with its name, for showing."""
        for place, part in enumerate(self.recipe.parts):
            shown = part.template or part.text or (f"column {part.column}" if part.column else "")
            yield f"task.{part.role or 'messages'}.{place}", shown + (f" image {part.image}" if part.image else "")
        for name in ("response_format", "tools", "tool_choice"):
            value = getattr(self.recipe, name)
            if value:
                yield f"task.{name}", msgspec.json.encode(value).decode()

    def filled(self, request: Request, item: Item) -> Request:
        """The request with the turns about the item. Raises as `of`."""
        system, turns = self.of(item, request.system)
        recipe = self.recipe
        return replace(
            request,
            system=system,
            user=turns[-1].text,
            turns=turns,
            response_format=recipe.response_format,
            tools=recipe.tools,
            tool_choice=recipe.tool_choice,
        )

    def of(self, item: Item, system: str = "") -> Rendered:
        """The turns about an item; its system turns follow the arm's own system prompt. Raises ConfigError naming file, line, item and fix."""
        systems, turns = [system] if system else [], list[Turn]()
        for place, part in enumerate(self.recipe.parts):
            for role, turn in self._said(place, part, item):
                if role != "system":
                    turns.append(turn)
                elif turns or turn.images:
                    raise _fault(part, item, "a system turn stands first, and has no image", "move it before the other turns")
                elif turn.text:
                    systems.append(turn.text)
        if not turns or turns[-1].role != "user":
            what = "there is no turn to answer" if not turns else "the last turn is the assistant's own, so that there is nothing to answer"
            raise _fault(self.recipe.parts[-1], item, what, "end with a user turn")
        return Rendered("\n\n".join(systems), tuple(turns))

    def _said(self, place: int, part: Part, item: Item) -> Iterator[tuple[Role, Turn]]:
        if part.role is None:
            yield from _conversation(part, item)
            return
        text = part.text if part.text is not None else ""
        if place in self.templates:
            try:
                text = self.templates[place].render(item.columns)
            except TemplateFault as fault:
                raise _fault(part, item, fault.what, fault.hint, fault.line) from None
        elif part.column is not None:
            text = _text_in(part, item)
        images = () if part.image is None else _images(part, item)
        if not text.strip() and not images and part.role != "system":
            raise _fault(part, item, f"the {part.role} turn is empty", "give the item a value, or leave the item out")
        yield part.role, Turn(role="assistant" if part.role == "assistant" else "user", text=text, images=images)


def _fault(part: Part, item: Item, what: str, hint: str, line: int | None = None) -> ConfigError:
    place = f"{part.where}, line {line}" if line is not None else part.where
    return ConfigError(f"item {item.item_id!r} of {item.dataset}: {what}", where=place, hint=hint)


def _text_in(part: Part, item: Item) -> str:
    value = item.columns.get(part.column or "")
    if value is None and part.role == "system":
        return ""
    if not isinstance(value, str):
        what = f"has no column {part.column!r}" if value is None else f"its column {part.column!r} is no text: {value!r:.60}"
        raise _fault(part, item, what, "name a column of texts, or write it with a template, such as `{{ name | tojson }}`")
    return value


def _images(part: Part, item: Item) -> tuple[str, ...]:
    value = item.columns.get(part.image or "")
    found = [] if value is None or value == "" else [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(one, str) and _IMAGE.fullmatch(one) for one in found):
        hint = "give an address (https://...) or a data URL (data:image/png;base64,...), or a list of them; files are not read"
        raise _fault(part, item, f"its column {part.image!r} is no image: {value!r:.60}", hint)
    return tuple(found)


def _conversation(part: Part, item: Item) -> Iterator[tuple[Role, Turn]]:
    """The turns that the item's own column holds."""
    value = item.columns.get(part.column or "")
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = msgspec.json.decode(value)  # a cell of a CSV file
        except msgspec.DecodeError:
            value = None
    hint = 'a list such as [{"role": "user", "content": "..."}]'
    if not isinstance(value, list) or not value:
        raise _fault(part, item, f"its column {part.column!r} is no list of messages", hint)
    for number, one in enumerate(value, 1):
        said, content = (one.get("role"), one.get("content")) if isinstance(one, dict) else (None, None)
        role = _ROLE.get(said) if isinstance(said, str) else None
        calls = sorted(name for name in _OF_CALLS if isinstance(one, dict) and one.get(name))
        if calls or said in ("tool", "function"):
            by = calls[0] if calls else f"role {said}"
            what = f"message {number} of its column {part.column!r} is of a call of a tool ({by}), which no turn here is"
            raise _fault(part, item, what, "write what was called and what came back as text, or leave these messages out")
        if role is None or content is None:
            what = f"message {number} of its column {part.column!r} needs a role of {', '.join(ROLES)}, and a content"
            raise _fault(part, item, what, hint)
        yield role, _message("assistant" if role == "assistant" else "user", _content(part, item, number, content))


def _message(role: Literal["user", "assistant"], content: Sequence[Piece]) -> Turn:
    """Texts without images are one text; with images they stay in their order, since a text may speak of the picture above it."""
    texts, images = [what for kind, what in content if kind == "text"], tuple(what for kind, what in content if kind == "image")
    return Turn(role=role, text="\n".join(texts), images=images, parts=tuple(one for one in content if one[1]) if images else ())


def _content(part: Part, item: Item, number: int, content: Any) -> list[Piece]:
    """Texts and images of a message, whose content is a text or a list of parts as chat APIs have them."""
    if isinstance(content, str):
        return [("text", content)]
    found: list[Piece] = []
    for one in content if isinstance(content, list) else [content]:
        given = one if isinstance(one, dict) else {}
        kind = given.get("type")
        link = given.get("image_url") if kind in ("image_url", "input_image") else None
        size = link.get("detail") if isinstance(link, dict) else given.get("detail")
        link = link.get("url") if isinstance(link, dict) else link
        if link is not None and size not in (None, "auto"):
            what = f"message {number} of its column {part.column!r} asks for an image in detail {size!r:.20}, which no arm can send"
            raise _fault(part, item, what, "leave `detail` out, or scale the image")
        if kind in ("text", "input_text") and isinstance(given.get("text"), str):
            found.append(("text", given["text"]))
        elif isinstance(link, str) and _IMAGE.fullmatch(link):
            found.append(("image", link))
        else:
            what = f"message {number} of its column {part.column!r} holds what is neither text nor image: {one!r:.60}"
            raise _fault(part, item, what, 'parts are {"type": "text", "text": ...} and {"type": "image_url", "image_url": {"url": ...}}')
    return found


@lru_cache(maxsize=64)
def compiled(recipe: str) -> Task:
    """The task of an encoded recipe. Raises ConfigError for a template that cannot be."""
    decoded = msgspec.json.decode(recipe, type=Recipe)
    templates = {}
    for place, part in enumerate(decoded.parts):
        if part.template is not None:
            try:
                templates[place] = Template.of(part.template)
            except TemplateFault as fault:
                where = part.where if fault.line is None else f"{part.where}, line {fault.line}"
                hint = "braces that are meant as text: declare the turn as `text` or `text_file`"
                raise ConfigError(f"the template cannot be used: {fault.what}", where=where, hint=hint) from None
    return Task(decoded, templates)


def check_columns(recipes: Sequence[str], items: Sequence[Item], ignored: Collection[str] = ()) -> None:
    """Raises ConfigError for a name that no item has, or that is empty in all of them, also where a template would do without.

    ignored: columns that the config leaves out on purpose.
    """
    known = {name for item in items for name in item.columns}
    for task in map(compiled, recipes):
        for place, part in enumerate(task.recipe.parts):
            names = task.templates[place].names if place in task.templates else {part.column} - {None}
            missing = sorted(str(name) for name in {*names, part.image} - known - {None})
            if missing:
                near = difflib.get_close_matches(missing[0], known, 1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"the columns are {', '.join(sorted(known)) or 'none'}"
                hint = "`ignore_columns` leaves it out" if missing[0] in ignored else hint
                raise ConfigError(f"no item has a column {missing[0]!r} with anything in it", where=part.where, hint=hint)
