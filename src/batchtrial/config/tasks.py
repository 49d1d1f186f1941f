"""Settings of a task that is no question answering: turns made from an item's columns, the form of the answer, tools.

What is text and what is template is marked: `text` and `text_file` are sent byte for byte, `template` and `file` are filled in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from batchtrial.config.settings import Model, Text
from batchtrial.errors import ConfigError
from batchtrial.records import CONDITIONS
from batchtrial.tasks.recipe import Part, Recipe, compiled

NO_TEXT: Final = {"path": "", "text": ""}
_TOOL: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
PROMPTS: Final = re.compile(r"(?:^|\.)task\.(?:messages\.\d+\.(?:text|template)|examples\.\d+\.(?:user|assistant)|user)$")
"""Keys under which a prompt is written in the config itself."""
SOURCES: Final = ("template", "text", "column")


def _tool_name(name: str) -> str:
    if not _TOOL.fullmatch(name):
        raise ValueError("a name has 1 to 64 letters, digits, '_' and '-'")
    return name


ToolName = Annotated[str, AfterValidator(_tool_name)]


class Message(Model):
    """One turn, or with `column` alone the list of turns that an item's own column holds."""

    short_forms: ClassVar[tuple[str, ...]] = ("file", "text_file")

    role: Literal["system", "user", "assistant"] | None = Field(None, description="Who speaks; unset: `column` holds a list of messages.")
    template: Text | None = Field(None, description="Jinja template over the item's columns; `file: PATH` reads it from a file.")
    text: Text | None = Field(None, description="Text that is sent byte for byte; `text_file: PATH` reads it from a file.")
    column: str | None = Field(None, min_length=1, description="Column whose text is the turn, or without a role its list of messages.")
    image: str | None = Field(None, min_length=1, description="Column with an image, or a list of them, as address or data URL; user turns only.")

    @model_validator(mode="after")
    def _says_one_thing(self) -> Message:
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) > 1 or (not given and self.image is None):
            raise ValueError(f"a turn has exactly one of template, file, text, text_file, column; this one has {' and '.join(given) or 'none'}")
        if self.role is None and (given != ["column"] or self.image is not None):
            raise ValueError("a turn needs a role: system, user or assistant")
        if self.image is not None and self.role != "user":
            raise ValueError("only a user turn has an image")
        return self

    def part(self, key: str) -> Part:
        """The turn as a recipe has it. key: where it stands in the config."""
        source = self.template or self.text
        return Part(
            role=self.role,
            text=self.text.text if self.text is not None else None,
            template=self.template.text if self.template is not None else None,
            column=self.column,
            image=self.image,
            where=source.path if source is not None and source.path else key,
        )


class Example(Model):
    """An exchange that is shown before the item: both texts are sent byte for byte."""

    user: str = Field(min_length=1, description="What is asked in it.")
    assistant: str = Field(min_length=1, description="The answer that is wanted.")

    def parts(self, key: str) -> tuple[Part, Part]:
        """The two turns as a recipe has them."""
        return Part(role="user", text=self.user, where=key), Part(role="assistant", text=self.assistant, where=key)


class ResponseFormat(Model):
    """JSON that the answer must be."""

    name: ToolName = Field("answer", description="Name of the form, for the wires that want one.")
    json_schema: dict[str, Any] = Field(description="JSON schema, written here or named as a file.")
    strict: bool = Field(True, description="The provider enforces the schema; then every object has `additionalProperties: false`, all required.")

    @field_validator("json_schema")
    @classmethod
    def _is_of_an_object(cls, schema: dict[str, Any]) -> dict[str, Any]:
        if schema.get("type") != "object":
            raise ValueError("a response format's schema has `type: object` at its top")
        return schema

    @model_validator(mode="after")
    def _may_be_strict(self) -> ResponseFormat:
        fault = next(_loose(self.json_schema, "json_schema"), None) if self.strict else None
        if fault is not None:
            raise ValueError(f"{fault}; a strict schema needs it, or set `strict: false`")
        return self


def _loose(schema: Any, path: str) -> Iterator[str]:
    """What a provider that enforces schemas would refuse."""
    if isinstance(schema, list):
        for place, one in enumerate(schema):
            yield from _loose(one, f"{path}.{place}")
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        names = set(schema.get("properties", {}))
        if schema.get("additionalProperties") is not False:
            yield f"{path} has no `additionalProperties: false`"
        if names - set(schema.get("required", ())):
            yield f"{path} does not have {', '.join(sorted(names - set(schema.get('required', ()))))} under `required`"
    for key, value in schema.items():
        if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            for name, one in value.items():
                yield from _loose(one, f"{path}.{key}.{name}")
        elif key in ("items", "anyOf", "allOf", "oneOf", "prefixItems"):
            yield from _loose(value, f"{path}.{key}")


class Tool(Model):
    """A function that the model may call."""

    name: ToolName = Field(description="Its name.")
    description: str = Field("", description="What it does.")
    parameters: dict[str, Any] = Field(description="JSON schema of its arguments.")


class TaskSettings(Model):
    """What is asked about an item, where it is no question with a passage."""

    short_forms: ClassVar[tuple[str, ...]] = ("user",)
    """Keys beside the fields, from which these are made."""

    messages: tuple[Message, ...] = Field(
        min_length=1, description="The turns, in order. `user: FILE` is short for one user turn, a template in that file or written there."
    )
    examples: tuple[Example, ...] = Field((), description="Exchanges shown after the system turns, before the others.")
    response_format: ResponseFormat | None = Field(None, description="JSON that the answer must be, in each wire's own words.")
    tools: tuple[Tool, ...] = Field((), description="Functions that the model may call; a call of one is an answer then.")
    tool_choice: str | None = Field(None, description="auto, required, or the name of a tool.")

    @model_validator(mode="after")
    def _knows_its_tools(self) -> TaskSettings:
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise ValueError("two tools have one name")
        if self.tool_choice is not None and (not names or self.tool_choice not in ("auto", "required", *names)):
            raise ValueError(f"there is no tool {self.tool_choice!r}; say auto, required or one of {', '.join(names) or 'none'}")
        return self

    def recipe(self, key: str = "task") -> str:
        """The encoded recipe. key: where the task stands in the config. Raises ConfigError for a template that cannot be compiled."""
        own = [message.part(f"{key}.messages.{place}") for place, message in enumerate(self.messages)]
        n_system = next((place for place, part in enumerate(own) if part.role != "system"), len(own))
        shown = [part for place, one in enumerate(self.examples) for part in one.parts(f"{key}.examples.{place}")]
        form = self.response_format
        recipe = Recipe(
            parts=(*own[:n_system], *shown, *own[n_system:]),
            response_format=None if form is None else {"name": form.name, "schema": form.json_schema, "strict": form.strict},
            tools=tuple(tool.model_dump(exclude_defaults=True) for tool in self.tools),
            tool_choice=self.tool_choice or "",
        )
        encoded = recipe.encode()
        compiled(encoded)
        return encoded


def is_template_text(given: str) -> bool:
    """Whether what stands under `user` is the template itself, and no file's name."""
    return "\n" in given or "{{" in given or "{%" in given


def spelled_out(task: dict[str, Any], key: str, read: Callable[[str, str], str]) -> None:
    """Put the texts of files in the place of their names, and short forms into their long ones. read: (name, key) -> the file's text."""
    if isinstance(task.get("user"), str) and "messages" not in task:
        given = task.pop("user")
        form = "template" if is_template_text(given) else "file"
        task["messages"] = [{"role": "user", form: given}]
    for place, one in enumerate(task["messages"] if isinstance(task.get("messages"), list) else ()):
        if isinstance(one, dict):
            _spell_out(one, f"{key}.messages.{place}", read)
    form_ = task.get("response_format")
    if isinstance(form_, dict) and isinstance(form_.get("json_schema"), str):
        form_["json_schema"] = read_schema(form_["json_schema"], f"{key}.response_format.json_schema", read)


def _spell_out(message: dict[str, Any], key: str, read: Callable[[str, str], str]) -> None:
    for given, kept in (("file", "template"), ("text_file", "text")):
        if isinstance(message.get(given), str) and kept not in message:
            name = message.pop(given)
            message[kept] = {"path": portable(name), "text": read(name, f"{key}.{given}")}
    for kept in ("template", "text"):
        if isinstance(message.get(kept), str):
            message[kept] = {"path": "", "text": message[kept]}


def read_schema(name: str, key: str, read: Callable[[str, str], str]) -> Any:
    """The schema in a file. Raises ConfigError."""
    try:
        return json.loads(read(name, key))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name} is no JSON: {error}", where=key, hint="write the schema as one JSON object") from None


def portable(given: str) -> str:
    """An absolute path says more about a machine than a run should carry."""
    path = Path(given)
    return path.name if path.is_absolute() else path.as_posix()


def without_unused_keys(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings with `task: qa` left out, and with empty instructions where every arm has a task."""
    tree = {name: value for name, value in config.items() if name != "task" or value != "qa"}
    sets, arms = tree.get("prompt_sets"), tree.get("arms")
    prompts = [one.get(c) for one in sets.values() if isinstance(one, Mapping) for c in CONDITIONS] if isinstance(sets, Mapping) else []
    prompts += list(arms.values()) if isinstance(arms, Mapping) else []
    has_tasks = tree.get("task") is not None or (bool(prompts) and all(isinstance(one, Mapping) and one.get("task") for one in prompts))
    if has_tasks and "task_instructions" not in tree:
        tree["task_instructions"] = {"open_book": NO_TEXT, "closed_book": NO_TEXT}
    return tree
