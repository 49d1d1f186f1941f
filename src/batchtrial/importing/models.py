"""Providers of a promptfoo config: each becomes a backend, a model and the settings of an arm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from batchtrial.config.families import Sampling, refused
from batchtrial.errors import ConfigError
from batchtrial.importing.documents import Document, Findings, Library, Step
from batchtrial.providers.registry import names

_OTHER_NAMES: Final = {"togetherai": "together", "azureopenai": "azure", "dashscope": "alibaba", "qwen": "alibaba", "google": "gemini"}
_KINDS: Final = frozenset({"chat", "messages", "completion", "responses", "realtime", "assistant", "embedding", "image"})
_UNKNOWN_KINDS: Final = frozenset({"completion", "realtime", "assistant", "embedding", "image"})
_LOCAL: Final = {
    "ollama": "http://127.0.0.1:11434",
    "localai": "http://127.0.0.1:8080",
    "llama": "http://127.0.0.1:8080",
    "vllm": "http://127.0.0.1:8000",
}
_LENGTHS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxTokens", "num_predict")
_BODY: Final = frozenset(
    (
        *("frequency_penalty", "presence_penalty", "seed", "reasoning_effort", "reasoning", "verbosity", "logit_bias", "service_tier"),
        *("thinking", "generationConfig", "text"),
    )
)
RESPONSES: Final = "/v1/responses"
_AT_RESPONSES: Final = {"response_format": ("text", "format"), "reasoning_effort": ("reasoning", "effort"), "verbosity": ("text", "verbosity")}
"""Fields of chat completions, with their place at the responses endpoint."""
_GENERATION: Final = {"maxOutputTokens": "max_tokens", "topP": "top_p", "topK": "top_k", "stopSequences": "stop"}
"""Fields of Gemini, with what they are called elsewhere."""
_OWNERS: Final = {"generationConfig": "gemini", "text": "openai", "thinking": "anthropic"}
"""Fields that one backend alone has."""
_SECRETS: Final = frozenset({"apiKey", "apiKeyRequired", "headers", "organization"})
_OWN_WIRES: Final = frozenset({"anthropic", "gemini"})
"""Backends that do not speak OpenAI's chat completions."""
_FORM: Final = "any JSON"
"""Where a response format without a schema is kept until the wire is known."""
USUAL_TEMPERATURE: Final = 0.0
"""What a config of ours asks for where it names none."""
_KEY: Final = "keys are read from the environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider. arm: what an arm of ours says of it. task: response format and tools. lane: settings of its backend. prompts: labels it takes.

    is_any_json: the answer has to be JSON of whatever form. where: file, line and key.
    """

    label: str
    backend: str
    model: str
    arm: Mapping[str, Any] = field(default_factory=dict)
    task: Mapping[str, Any] = field(default_factory=dict)
    lane: Mapping[str, Any] = field(default_factory=dict)
    prompts: tuple[str, ...] = ()
    is_any_json: bool = False
    where: str = ""

    def settings(self, endpoint: object) -> dict[str, Any]:
        """What its arm says, where its backend is asked at this endpoint."""
        body = dict(self.arm.get("body", {}))
        if self.is_any_json:
            body |= {"response_format": {"type": "json_object"}}
        for name, (outer, inner) in _AT_RESPONSES.items() if self.backend == "openai" else ():
            if endpoint == RESPONSES and name in body:
                body[outer] = {**_mapping(body.get(outer)), inner: body.pop(name)}
            elif endpoint != RESPONSES and inner in _mapping(body.get(outer)):
                rest = {**body.pop(outer)}
                body[name] = rest.pop(inner)
                body |= {outer: rest} if rest else {}
        return {**self.arm, "body": body} if body else {key: value for key, value in self.arm.items() if key != "body"}


@dataclass(frozen=True, slots=True)
class ProviderReader:
    """Reads the providers of a config."""

    config: Document
    library: Library
    findings: Findings

    def read(self) -> tuple[Provider, ...]:
        """Every provider that has a counterpart, in order, each under a name of its own."""
        key = "providers" if "providers" in self.config.tree else "targets"
        given = self.config.tree.get(key, [])
        entries = given if isinstance(given, list) else [given]
        found: list[Provider] = []
        for place, entry in enumerate(entries):
            steps: tuple[Step, ...] = (key, place) if isinstance(given, list) else (key,)
            try:
                written = self._written(entry, self.config.place(steps))
            except ConfigError as error:
                self.findings.left(self.config.place(steps), error.what, error.hint)
                continue
            for one in written:
                try:
                    found.append(self._entry(one, steps))
                except ConfigError as error:
                    self.findings.left(self.config.place(steps), error.what, error.hint)
        return tuple(found)

    def _written(self, entry: Any, where: str) -> list[Any]:
        """The entry, or those of the file that it names."""
        if not (isinstance(entry, str) and entry.startswith("file://") and entry.endswith((".yaml", ".yml", ".json"))):
            return [entry]
        found: list[Any] = []
        for path in self.library.paths(entry, where):
            tree = self.library.document(path, where).tree
            found += tree if isinstance(tree, list) else [tree]
        return found

    def _entry(self, entry: Any, steps: tuple[Step, ...]) -> Provider:
        if isinstance(entry, dict) and "id" not in entry and len(entry) == 1:
            name, inner = next(iter(entry.items()))
            entry, steps = {"id": name, **(inner if isinstance(inner, dict) else {})}, (*steps, name)
        options = entry if isinstance(entry, dict) else {"id": entry}
        backend, model, lane = model_named(str(options.get("id") or ""))
        settings = _plain(options.get("config") or {})
        arm, task, further = self._settings(settings if isinstance(settings, dict) else {}, (*steps, "config"))
        for name in (name for name, owner in _OWNERS.items() if owner != backend and name in arm.get("body", {})):
            self.findings.left(self.config.place((*steps, "config", name)), f"`config.{name}`", f"left out: {backend} has no such field")
            arm["body"] = {key: value for key, value in arm["body"].items() if key != name}
        further |= self._refused(model, arm, (*steps, "config"))
        is_any_json = task.pop(_FORM, False)
        if is_any_json and backend in _OWN_WIRES:
            self.findings.left(self.config.place((*steps, "config", "response_format")), "`config.response_format`", f"{backend} has no such form")
        for name in (name for name in options if name not in ("id", "label", "config", "prompts", "delay")):
            self.findings.left(self.config.place((*steps, name)), f"the provider's `{name}`", "left out")
        taken = options.get("prompts") or ()
        label = str(options.get("label") or model.rpartition("/")[2])
        prompts = tuple(str(one) for one in taken) if isinstance(taken, list) else ()
        return Provider(
            label=label,
            backend=backend,
            model=model,
            arm=arm,
            task=task,
            lane={**lane, **further},
            prompts=prompts,
            is_any_json=is_any_json and backend not in _OWN_WIRES,
            where=self.config.place(steps),
        )

    def _refused(self, model: str, arm: dict[str, Any], steps: tuple[Step, ...]) -> dict[str, Any]:
        """Put the arm's sampling right where the model would refuse it; what of that is the lane's is returned."""
        lane: dict[str, Any] = {}
        given = dict(arm)
        temps, stop = (given.get("temperature", USUAL_TEMPERATURE),), tuple(given.get("stop") or ())
        asked = Sampling(temps=temps, top_p=given.get("top_p"), top_k=given.get("top_k"), stop=stop, extra=given.get("body") or {})
        for one in refused(model, asked):
            arm.pop(one.field, None)
            if one.field == "temperature" and one.family.takes_default:
                arm["temperature"] = 1
            elif one.field != "stop" and one.family.only_with != "temperature":
                lane["sampling"] = "omit"
            if one.field in given:
                self.findings.left(self.config.place((*steps, one.field)), f"`config.{one.field}` {one.value}, which {model} refuses", "left out")
        return lane

    def _settings(self, config: Mapping[str, Any], steps: tuple[Step, ...]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """(of the arm, of its task, of the lane)."""
        arm: dict[str, Any] = {}
        task: dict[str, Any] = {}
        lane: dict[str, Any] = {}
        body: dict[str, Any] = {}
        for name, value in config.items():
            where = self.config.place((*steps, name))
            if isinstance(value, str) and "{{" in value:
                self.findings.left(where, f"`config.{name}` is filled in from elsewhere ({value[:60]})", "left out; write its value")
            elif name in _LENGTHS and type(value) is int:
                arm["max_tokens"] = value
            elif name in ("temperature", "top_p", "top_k") and type(value) in (int, float):
                arm[name] = value
            elif name == "stop" and _texts(value):
                arm[name] = _texts(value)
            elif name in _BODY:
                body[name] = value
            elif name in ("apiBaseUrl", "base_url"):
                lane["base_url"] = value
            elif name in _SECRETS:
                self.findings.left(where, f"`config.{name}`", _KEY)
            elif name == "passthrough" and isinstance(value, dict):
                body |= value
            elif not self._of_task(name, value, task, where):
                self.findings.left(where, f"`config.{name}`", "left out")
        return arm | ({"body": body} if body else {}), task, lane

    def _of_task(self, name: str, value: Any, task: dict[str, Any], where: str) -> bool:
        """Take over a response format or tools; False for what is neither."""
        if isinstance(value, str) and value.startswith("file://") and value.endswith((".json", ".yaml", ".yml")):
            (path, *_) = self.library.paths(value, where)
            value = self.library.document(path, where).tree
        if name == "response_format" and isinstance(value, dict):
            if value.get("type") == "text":
                return True
            if value == {"type": "json_object"}:
                task[_FORM] = True
                return True
            inner = value.get("json_schema")
            form = inner if isinstance(inner, dict) else value
            schema = form.get("schema")
            if isinstance(schema, dict):
                task["response_format"] = {"name": form.get("name", "answer"), "json_schema": schema, "strict": bool(form.get("strict", False))}
                return True
        if name == "tools" and isinstance(value, list):
            functions = [one.get("function", one) for one in value if isinstance(one, dict)]
            if functions and all(isinstance(one, dict) and "name" in one for one in functions):
                keys = ("name", "description", "parameters")
                plain = [{"parameters": one.get("input_schema", {"type": "object", "properties": {}}), **one} for one in functions]
                task["tools"] = [{key: one[key] for key in keys if key in one} for one in plain]
                return True
        if name == "tool_choice" and (chosen := _chosen_tool(value)):
            task["tool_choice"] = chosen
            return True
        return False


def _plain(config: Any) -> Any:
    """The settings with those of Gemini under the names that others have; what it has of its own stays in its place."""
    if not isinstance(config, dict):
        return config
    own = _mapping(config.get("generationConfig"))
    known = {_GENERATION.get(name, name): value for name, value in own.items() if name in _GENERATION or name == "temperature"}
    rest = {name: value for name, value in own.items() if name not in _GENERATION and name != "temperature"}
    others = {_GENERATION.get(name, name): value for name, value in config.items() if name != "generationConfig" or not own}
    return {**others, **known, **({"generationConfig": rest} if rest else {})}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: Any) -> list[str]:
    """A text, or texts, as a list; an empty one for anything else."""
    values = value if isinstance(value, list) else [value]
    return values if all(isinstance(one, str) and one for one in values) else []


def _chosen_tool(value: Any) -> str:
    """`auto`, `required` or a tool's name, in whichever wire's words it is said; "" for what has no counterpart."""
    if isinstance(value, dict):
        kind, inner = value.get("type"), value.get("function")
        name = inner.get("name") if isinstance(inner, dict) else value.get("name")
        return str(name) if kind in ("function", "tool") and isinstance(name, str) else {"auto": "auto", "any": "required"}.get(str(kind), "")
    return value if value in ("auto", "required") else ""


def model_named(given: str) -> tuple[str, str, dict[str, Any]]:
    """(backend, model, settings of the lane). Raises ConfigError for a provider that is not known here."""
    if "{{" in given:
        raise ConfigError(f"the provider {given[:80]!r} is filled in from elsewhere", hint="write the model's name")
    head, *rest = given.split(":")
    backend = _OTHER_NAMES.get(head, head)
    kind = rest[0] if rest and rest[0] in _KINDS else ""
    model = ":".join(rest[1:] if kind else rest)
    if head in _LOCAL and model:
        return "local", model, {"base_url": _LOCAL[head]}
    if backend not in names() or backend == "local":
        known = ", ".join(name for name in names() if name != "local")
        raise ConfigError(f"the provider {given[:80]!r} has no counterpart", hint=f"backends are {known} and local")
    if kind in _UNKNOWN_KINDS or not model:
        raise ConfigError(f"the provider {given[:80]!r} names no chat model")
    if backend == "openai":
        return backend, model, {"endpoint": RESPONSES if kind == "responses" else "/v1/chat/completions"}
    return backend, model, {}
