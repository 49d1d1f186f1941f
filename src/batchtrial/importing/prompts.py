"""Prompts of a promptfoo config: texts, files, chats. Each becomes the turns of a task."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from batchtrial.config.tree import decode_tree
from batchtrial.errors import ConfigError
from batchtrial.importing.documents import MAX_BYTES, Document, Findings, Library, csv_rows
from batchtrial.tasks.template import Template, TemplateFault

_TEXTS: Final = (".txt", ".md", ".j2", ".jinja", ".jinja2", ".prompt", "")
_CODE: Final = (".py", ".js", ".ts", ".mjs", ".cjs", ".sh", ".bash", ".rb", ".pl")
_ELSEWHERE: Final = ("langfuse://", "portkey://", "helicone://", "exec:", "http://", "https://", "package:")
_BETWEEN: Final = re.compile(r"^[ \t]*---[ \t]*$", re.MULTILINE)
_DUMP: Final = re.compile(r"\|\s*dump\b")
_TAG: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_SAFE: Final = re.compile(r"\|\s*safe\b")
"""Says that a text needs no escapes, which none gets."""
_TEXT_OR_TAG: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\{\{([^{}"]*)\}\}', re.DOTALL)
_STRICT: Final = re.compile(r"([=!])==")
"""Compares as `==` and `!=` do here."""
_ELSEIF: Final = re.compile(r"^(\{%[-+]?\s*)elseif\b")
_OTHERWISE_BY: Final = {"truncate": "it cuts at another place", "round": "it writes 2 as 2.0", "float": "it writes 2 as 2.0"}
_OTHERWISE: Final = re.compile(rf"\|\s*({'|'.join(_OTHERWISE_BY)})\b")
"""Filters that are not quite the same there and here."""
_LENGTH: Final = re.compile(r"\b([A-Za-z_]\w*)\.length\b")
_IMAGE: Final = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One prompt. messages: (role, template, column of an image or "") in order. label: its name, of no other.

    group: the label of the entry that it came from, which may be that of several.
    """

    label: str
    messages: tuple[tuple[str, str, str], ...]
    group: str = ""
    is_chat: bool = False

    @property
    def reads(self) -> frozenset[str]:
        """Variables that it needs."""
        names = (Template.of(template).names for _, template, _ in self.messages)
        return frozenset[str]().union(*names, *({image} for _, _, image in self.messages if image))


@dataclass(frozen=True, slots=True)
class PromptReader:
    """Reads the prompts of a config."""

    config: Document
    library: Library
    findings: Findings

    def read(self) -> tuple[Prompt, ...]:
        """Every prompt that has a counterpart, in order."""
        given = self.config.tree.get("prompts", "{{prompt}}")
        if isinstance(given, dict) and not given.keys() & {"id", "raw"}:
            given = [{"id": path, "label": label} for path, label in given.items()]  # the older form: a file and its label
        entries = given if isinstance(given, list) else [given]
        found: list[Prompt] = []
        for place, entry in enumerate(entries):
            where = self.config.place(("prompts", place) if isinstance(given, list) else ("prompts",))
            try:
                found += self._entry(entry, where)
            except ConfigError as error:
                self.findings.left(where, error.what, error.hint)
        return _apart(found)

    def _entry(self, entry: Any, where: str) -> list[Prompt]:
        label = ""
        if isinstance(entry, dict):
            label = str(entry.get("label") or (entry.get("id") if entry.get("raw") else None) or "")
            for name in (name for name in entry if name not in ("id", "label", "raw", "display")):
                self.findings.left(where, f"the prompt's `{name}`", "left out")
            entry = entry.get("raw") or entry.get("id") or ""
        return [replace(one, group=label or one.group) for one in self._made(entry, label, where)]

    def _made(self, entry: Any, label: str, where: str) -> list[Prompt]:
        if isinstance(entry, list):
            return [self._chat(entry, label or "chat", where)]
        if not isinstance(entry, str):
            raise ConfigError("it is no prompt", where=where)
        if entry.startswith(_ELSEWHERE):
            raise ConfigError(f"the prompt {entry[:60]!r} is made by a program or kept elsewhere", hint="write its text into a file")
        named = entry.removeprefix("file://")
        if entry.startswith("file://") or (_is_path(named) and not _is_text(named)):
            return list(self._of_files(entry, label, where))
        return [self._text(entry, label or ("chat" if _turns(entry) else ""), where)]

    def _text(self, text: str, label: str, where: str) -> Prompt:
        """A text, or the chat that it writes down as JSON or YAML."""
        turns = _turns(text)
        return self._plain(text, label, where) if turns is None else self._chat(turns, label, where)

    def _of_files(self, entry: str, label: str, where: str) -> Iterator[Prompt]:
        name = entry.removeprefix("file://")
        if Path(name.partition(":")[0]).suffix.lower() in _CODE:
            raise ConfigError(f"the prompt is a program ({name})", hint="a template over the columns can take its place")
        for path in self.library.paths(entry, where):
            try:
                yield from list(self._of_file(path, label or path.stem, where))
            except ConfigError as error:  # the others of a pattern are read all the same
                self.findings.left(where, f"{path.name}: {error.what}", error.hint)

    def _of_file(self, path: Path, own: str, where: str) -> Iterator[Prompt]:
        text, suffix = self.library.text(path, where), path.suffix.lower()
        if suffix in (".json", ".yaml", ".yml"):
            document = self.library.document(path, where)
            tree = (replace(document, text=_quoted(document.text)) if suffix == ".json" else document).tree
            if isinstance(tree, list) and tree and not any(isinstance(one, dict) and "role" in one for one in tree):
                for one in tree:  # a list of prompts
                    yield from self._entry(one, where)
                return
            yield self._chat(tree, own, where) if isinstance(tree, list) else self._plain(text, own, where)
        elif suffix == ".csv":
            for number, (_, row) in enumerate(csv_rows(text, path.name), 1):
                yield self._plain(row.get("prompt") or next(iter(row.values()), ""), row.get("label") or f"{own}-{number}", where)
        elif suffix in _TEXTS:
            parts = [part.strip() for part in _BETWEEN.split(text)] if suffix in (".txt", "") else [text]
            parts = [part for part in parts if part.strip()]
            for number, part in enumerate(parts, 1):
                yield self._text(part, own if len(parts) == 1 else f"{own}-{number}", where)
        else:
            raise ConfigError(f"a prompt file of the kind {suffix!r} is not known")

    def _plain(self, text: str, label: str, where: str) -> Prompt:
        if not text.strip():
            raise ConfigError("the prompt is empty")
        return Prompt(label=label, messages=(("user", self._template(text, where), ""),))

    def _chat(self, turns: Any, label: str, where: str) -> Prompt:
        messages = []
        for turn in turns if isinstance(turns, list) else ():
            role = {"developer": "system"}.get(str(turn.get("role")), str(turn.get("role"))) if isinstance(turn, dict) else ""
            if role not in ("system", "user", "assistant"):
                raise ConfigError(f"a turn of the role {role!r}", hint="a task has system, user and assistant turns")
            messages.append((role, *self._content(turn.get("content"), where)))
        if not messages:
            raise ConfigError("the chat has no turns")
        return Prompt(label=label, messages=tuple(messages), is_chat=True)

    def _content(self, content: Any, where: str) -> tuple[str, str]:
        """(template, column of an image) of a turn, which asks with all of its text above one image."""
        if isinstance(content, str):
            return self._template(content, where), ""
        texts, image = list[str](), ""
        for part in content if isinstance(content, list) else ():
            if image:
                raise ConfigError("a turn goes on below an image", hint="write it into a column of messages, where texts and images keep their order")
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                texts.append(self._template(part["text"], where))
            elif isinstance(part, dict) and "image_url" in part:
                url = part["image_url"]
                given = url if isinstance(url, dict) else part
                if given.get("detail") not in (None, "auto"):
                    raise ConfigError(f"an image in detail {given['detail']!r:.20}", hint="no arm can ask for it: leave it out, or scale the image")
                image = self._image(url.get("url") if isinstance(url, dict) else url)
            else:
                raise ConfigError("a turn has a part that is neither text nor an image")
        return "\n".join(texts), image

    def _image(self, url: Any) -> str:
        found = _IMAGE.search(url) if isinstance(url, str) else None
        if found is None or not (url == found[0] or url.startswith("data:")):
            raise ConfigError("an image whose address is no variable", hint="put the address into a column")
        return found[1]

    def _template(self, text: str, where: str) -> str:
        """The template in our words. Raises ConfigError where it cannot be compiled."""
        told = _TAG.sub(lambda tag: _ELSEIF.sub(r"\1elif", _STRICT.sub(r"\1=", _LENGTH.sub(r"(\1 | length)", _SAFE.sub("", tag[0])))), text)
        try:
            names = Template.of(told).names
        except TemplateFault as error:
            raise ConfigError(f"the template cannot be read here: {error.what}", hint="docs/tasks.md lists what templates may do") from None
        if "env" in names:
            raise ConfigError("the template reads the environment (`env`)", hint="write the value, or put it into a column")
        if found := _OTHERWISE.search(told):
            self.findings.near(where, f"the filter `{found[1]}`", _OTHERWISE_BY[found[1]])
        return told


def _is_path(text: str) -> bool:
    return "\n" not in text and "{{" not in text and (Path(text).suffix.lower() in (*_TEXTS[:-1], *_CODE, ".json", ".yaml", ".yml", ".csv"))


def _is_text(text: str) -> bool:
    """Whether it is a sentence that ends as a file name does."""
    return " " in text.strip() and "/" not in text


def _turns(text: str) -> list[Any] | None:
    """The turns of a chat that is written as JSON or YAML; None for any other text."""
    try:
        if text.lstrip().startswith("["):
            value = json.loads(_quoted(text))
        elif text.lstrip().startswith("- role:"):
            value = decode_tree(text, where="the prompt", is_core=True, max_chars=MAX_BYTES)
        else:
            return None
    except (ValueError, RecursionError, ConfigError):
        return None
    return value if isinstance(value, list) and all(isinstance(one, dict) for one in value) else None


def _quoted(text: str) -> str:
    """JSON in which what templates write in the place of a whole value, often by `dump`, stands in quotes."""
    return _TEXT_OR_TAG.sub(lambda found: found[0] if found[1] is None else f'"{{{{ {_DUMP.sub("", found[1]).strip()} }}}}"', text)


def _apart(prompts: list[Prompt]) -> tuple[Prompt, ...]:
    """The prompts with names of their own."""
    seen: dict[str, int] = {}
    found = []
    for number, prompt in enumerate(prompts, 1):
        label = prompt.label or f"prompt-{number}"
        seen[label] = seen.get(label, 0) + 1
        found.append(replace(prompt, label=label if seen[label] == 1 else f"{label}-{seen[label]}"))
    return tuple(found)
