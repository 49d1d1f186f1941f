"""Test cases of a promptfoo config, from the config and from the files that it names: each becomes an item with what is asserted about it."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from batchtrial.errors import ConfigError
from batchtrial.importing.documents import Document, Findings, Library, Step, csv_rows, json_lines

_EXPECTED: Final = re.compile(r"__expected([0-9]*)")
_OF_CSV: Final = re.compile(r"(?P<kind>(?:not-)?[a-z][a-z-]*[a-z])(?:\((?P<threshold>[0-9.]+)\))?:\s?(?P<value>.*)", re.DOTALL)
_OLD_NAMES: Final = {"grade": "llm-rubric", "fn": "javascript", "eval": "javascript", "file": "javascript"}
_KINDS_OF_CSV: Final = frozenset(
    (
        *_OLD_NAMES,
        *("equals", "contains", "icontains", "contains-any", "contains-all", "icontains-any", "icontains-all", "starts-with", "regex"),
        *("is-json", "contains-json", "is-xml", "contains-xml", "is-sql", "contains-sql", "is-html", "contains-html", "is-refusal", "guardrails"),
        *("javascript", "python", "ruby", "webhook", "latency", "cost", "perplexity", "perplexity-score", "word-count", "finish-reason"),
        *("similar", "levenshtein", "rouge-n", "bleu", "gleu", "meteor", "f-score", "classifier", "moderation", "pi", "trajectory"),
        *("llm-rubric", "model-graded-closedqa", "model-graded-factuality", "factuality", "g-eval", "answer-relevance", "search-rubric"),
        *("context-faithfulness", "context-recall", "context-relevance", "conversation-relevance", "select-best", "max-score", "tool-call-f1"),
        *("is-valid-openai-tools-call", "is-valid-openai-function-call", "is-valid-function-call", "agent-rubric", "skill-used", "not-skill-used"),
    )
)
"""What a cell may begin with to be more than a text that has to be equal."""
_BARE: Final = frozenset({"is-json", "contains-json", "is-refusal", "not-is-refusal", "is-xml", "is-sql", "is-html"})
_IMAGES: Final = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}
_TEXTS: Final = (".txt", ".md", ".csv", ".json", "")
_MOST_COMBINATIONS: Final = 10_000
_MOST_LEVELS: Final = 5
_KNOWN: Final = frozenset({"vars", "assert", "description", "metadata", "assertScoringFunction", "options"})
_INNER: Final = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")
_MOST_CHARS: Final = 2**20
_PROGRAMS: Final = (".py", ".js", ".ts", ".mjs", ".cjs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What is asserted of an answer. fields: as the config has it. where: file, line and key."""

    fields: Mapping[str, Any]
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test case."""

    vars: Mapping[str, Any]
    asserts: tuple[Assertion, ...] = ()
    description: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    grader: Any = None  # the provider that judges its rubrics, where the config names one
    prefix: str = ""  # of every prompt, a template as they are
    suffix: str = ""
    is_one: bool = False  # its lists are values; else each entry of them is a case


@dataclass(frozen=True, slots=True)
class CaseReader:
    """Reads the test cases of a config."""

    config: Document
    library: Library
    findings: Findings

    def read(self) -> tuple[Case, ...]:
        """Every case, with what holds for all of them. Raises ConfigError for a file that cannot be read."""
        default = self._default()
        found = [self._merged(default, case) for case in self._listed(self.config, ("tests",), self.config.tree.get("tests", []))]
        found += [self._merged(default, case) for case in self._scenarios()]
        return tuple(_filled_in(one) for case in found for one in self._spread(case))

    def _default(self) -> Case:
        given = self.config.tree.get("defaultTest") or {}
        document = self.config
        steps: tuple[Step, ...] = ("defaultTest",)
        if isinstance(given, str):
            where = self.config.place(steps)
            (path, *_) = self.library.paths(given, where)
            document, steps = self.library.document(path, where), ()
            given = document.tree
        return self._case(document, steps, given)

    def _scenarios(self) -> Iterator[Case]:
        """Each setting of a scenario with each of its tests."""
        scenarios = self.config.tree.get("scenarios") or []
        for place, one in enumerate(scenarios if isinstance(scenarios, list) else ()):
            head: tuple[Step, ...] = ("scenarios", place)
            if not isinstance(one, dict):
                self.findings.left(self.config.place(head), "a scenario that is kept elsewhere", "write it into the config")
                continue
            settings = list(self._listed(self.config, (*head, "config"), one.get("config", [])))
            tests = list(self._listed(self.config, (*head, "tests"), one.get("tests", [{}])))
            yield from (self._merged(setting, test) for setting in settings for test in tests)

    def _listed(self, document: Document, steps: tuple[Step, ...], given: Any) -> Iterator[Case]:
        for place, one in enumerate(given if isinstance(given, list) else [given]):
            here = (*steps, place) if isinstance(given, list) else steps
            where = document.place(here)
            if isinstance(one, dict) and "path" in one:
                one = one["path"]
            if isinstance(one, str):
                try:
                    yield from self._of_files(one, where)
                except ConfigError as error:
                    self.findings.left(where, error.what, error.hint)
            elif isinstance(one, dict):
                try:
                    yield self._case(document, here, one)
                except ConfigError as error:
                    self.findings.left(where, error.what, "the test is left out" + (f"; {error.hint}" if error.hint else ""))
            else:
                self.findings.left(where, "it is no test case")

    def _of_files(self, given: str, where: str) -> Iterator[Case]:
        name = given.removeprefix("file://")
        if Path(name.partition(":")[0]).suffix.lower() in _PROGRAMS:
            raise ConfigError(f"the tests are made by a program ({name})", hint="write what it gives into a CSV or JSON file")
        if "://" in name:
            raise ConfigError(f"the tests lie elsewhere ({name[:80]})", hint="fetch them into a file; Hugging Face sets are `source: hub`")
        for path in self.library.paths(given, where):
            try:
                yield from self._of_file(path, where)
            except ConfigError as error:  # the others of a pattern are read all the same
                self.findings.left(error.where or where, f"{path.name}: {error.what}", error.hint or "the rest of the file is left out")

    def _of_file(self, path: Path, where: str) -> Iterator[Case]:
        suffix = path.suffix.lower()
        if suffix == ".csv":
            for line, row in csv_rows(self.library.text(path, where), path.name):
                yield self._of_row(row, f"{path.name}, line {line}")
        elif suffix == ".jsonl":
            for line, value in json_lines(self.library.text(path, where), path.name):
                yield self._case(Document(path, f"{path.name}, line {line}", "{}"), (), value)
        elif suffix in (".yaml", ".yml", ".json"):
            document = self.library.document(path, where)
            yield from self._listed(document, (), document.tree)
        else:
            raise ConfigError(f"a file of tests of the kind {suffix!r} is not known", hint="save it as CSV")

    def _of_row(self, row: Mapping[str, str], where: str) -> Case:
        """A row of a CSV file, whose columns with two underscores mean something of their own."""
        asserts, columns, metadata = [], {}, {}
        for name, value in row.items():
            if _EXPECTED.fullmatch(name):
                asserts += [Assertion(fields=expected(value), where=where)] if value.strip() else []
            elif name.startswith("__metadata:"):
                metadata[name.removeprefix("__metadata:").removesuffix("[]")] = value
            elif name == "__metric":
                asserts = [replace(one, fields={**one.fields, "metric": value}) if value else one for one in asserts]
            elif name.startswith("__") and name not in ("__description", "__prefix", "__suffix"):
                if value.strip():
                    self.findings.left(where, f"the column `{name}`", "left out")
            elif not name.startswith("__"):
                columns[name] = self._value(value, where)
        return Case(
            vars=columns,
            asserts=tuple(asserts),
            description=row.get("__description", ""),
            metadata=metadata,
            prefix=row.get("__prefix", ""),
            suffix=row.get("__suffix", ""),
        )

    def _case(self, document: Document, steps: tuple[Step, ...], given: Any) -> Case:
        if not isinstance(given, dict):
            raise ConfigError("it is no test case", where=document.place(steps))
        for name in sorted(given.keys() - _KNOWN):
            self.findings.left(document.place((*steps, name)), f"`{name}` of a test", "left out")
        options = given.get("options") or {}
        for name in sorted(options.keys() - {"provider", "disableVarExpansion", "prefix", "suffix"} if isinstance(options, dict) else ()):
            self.findings.left(document.place((*steps, "options", name)), f"the option `{name}` of a test", "left out")
        asserts = list(self._asserts(document, (*steps, "assert"), given.get("assert") or []))
        variables = given.get("vars") or {}
        if isinstance(variables, str):
            (path, *_) = self.library.paths(variables, document.place(steps))
            variables = self.library.document(path, document.place(steps)).tree
        where = document.place((*steps, "vars"))
        if not isinstance(variables, dict):
            self.findings.left(where, "`vars` of a test that are no mapping", "left out")
        values = {str(name): self._value(value, where) for name, value in variables.items()} if isinstance(variables, dict) else {}
        metadata = given.get("metadata")
        return Case(
            vars=values,
            asserts=tuple(asserts),
            description=str(given.get("description") or ""),
            metadata=metadata if isinstance(metadata, dict) else {},
            grader=options.get("provider") if isinstance(options, dict) else None,
            prefix=_affix(options, "prefix"),
            suffix=_affix(options, "suffix"),
            is_one=isinstance(options, dict) and options.get("disableVarExpansion") is True,
        )

    def _asserts(self, document: Document, steps: tuple[Step, ...], given: Any) -> Iterator[Assertion]:
        """Every assertion, those of sets among the others."""
        for place, one in enumerate(given if isinstance(given, list) else [given]):
            here = (*steps, place)
            if isinstance(one, dict) and isinstance(one.get("$ref"), str):
                one = self._referred(one["$ref"]) or one
            if isinstance(one, str) and one.startswith("file://"):
                (path, *_) = self.library.paths(one, document.place(here))
                inner = self.library.document(path, document.place(here))
                yield from self._asserts(inner, (), inner.tree)
            elif isinstance(one, dict) and one.get("type") == "assert-set":
                if "threshold" in one:
                    self.findings.near(document.place(here), "the threshold of an `assert-set`", "each of its assertions is a metric by itself")
                for name in (name for name in one if name not in ("type", "assert", "threshold")):
                    self.findings.left(document.place((*here, name)), f"`{name}` of an `assert-set`", "left out")
                yield from self._asserts(document, (*here, "assert"), one.get("assert") or [])
            elif isinstance(one, dict):
                yield Assertion(fields=one, where=document.place(here))
            else:
                self.findings.left(document.place(here), "it is no assertion")

    def _referred(self, target: str) -> Any:
        """What `#/assertionTemplates/kind` stands for in the config; None where nothing does."""
        found: Any = self.config.tree if target.startswith("#/") else None
        for step in target.removeprefix("#/").split("/"):
            found = found.get(step) if isinstance(found, dict) else None
        return found

    def _value(self, value: Any, where: str) -> Any:
        """A variable; what it names as a file is read, and as several files is a list."""
        if isinstance(value, list):
            return [self._value(one, where) for one in value]
        if isinstance(value, float) and value.is_integer():
            return int(value)  # as JavaScript has and writes it
        if not isinstance(value, str) or not value.startswith("file://"):
            return value
        if Path(value.partition("://")[2]).suffix.lower() in _PROGRAMS:
            raise ConfigError(f"a variable is made by a program ({value})", hint="write what it gives into the test")
        found = [self._content(path, where) for path in self.library.paths(value, where)]
        return found if len(found) > 1 else found[0]

    def _content(self, path: Path, where: str) -> Any:
        suffix = path.suffix.lower()
        if suffix in _IMAGES:
            return f"data:{_IMAGES[suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
        if suffix in (".yaml", ".yml"):  # their prompts see the JSON of it
            return json.dumps(self.library.document(path, where).tree, ensure_ascii=False, separators=(",", ":"))
        if suffix in _TEXTS:
            return self.library.text(path, where).strip()
        raise ConfigError(f"a variable in a file of the kind {suffix!r}", where=where, hint="write its text into the test")

    def _merged(self, default: Case, case: Case) -> Case:
        return Case(
            vars={**default.vars, **case.vars},
            asserts=(*default.asserts, *case.asserts),
            description=case.description or default.description,
            metadata={**default.metadata, **case.metadata},
            grader=case.grader or default.grader,
            prefix=case.prefix or default.prefix,
            suffix=case.suffix or default.suffix,
            is_one=case.is_one or default.is_one,
        )

    def _spread(self, case: Case) -> Iterator[Case]:
        """A case whose variables are lists stands for every combination of them."""
        lists = {name: value for name, value in case.vars.items() if isinstance(value, list) and value}
        lists = {name: value for name, value in lists.items() if not any(isinstance(one, dict) for one in value)}
        if not lists or case.is_one:
            yield case
            return
        for number, chosen in enumerate(itertools.product(*lists.values())):
            if number >= _MOST_COMBINATIONS:
                raise ConfigError(f"the variables of a test have more than {_MOST_COMBINATIONS:,} combinations", where=case.description or "tests")
            yield replace(case, vars={**case.vars, **dict(zip(lists, chosen, strict=True))})


def _affix(options: Any, name: str) -> str:
    value = options.get(name) if isinstance(options, dict) else None
    return value if isinstance(value, str) else ""


def _filled_in(case: Case) -> Case:
    """The case as its prompts see it: texts without a last line end, with other variables that they name filled in. Raises ConfigError."""
    found = {name: value.removesuffix("\n") if isinstance(value, str) else value for name, value in case.vars.items()}
    for _ in range(_MOST_LEVELS):
        before = dict(found)
        for name, value in before.items():
            if isinstance(value, str) and "{{" in value:
                found[name] = _with_others(value, {other: one for other, one in before.items() if other != name}, case)
        if found == before:
            break
    return replace(case, vars=found)


def _with_others(text: str, others: Mapping[str, Any], case: Case) -> str:
    known = {name: str(value) for name, value in others.items() if isinstance(value, str | int | float) and not isinstance(value, bool)}
    if len(text) + sum(len(known.get(one[1], "")) for one in _INNER.finditer(text)) > _MOST_CHARS:
        raise ConfigError(f"variables that name each other grow beyond {_MOST_CHARS:,} characters", where=case.description or "tests")
    return _INNER.sub(lambda one: known.get(one[1], one[0]), text)


def expected(text: str) -> dict[str, Any]:
    """An assertion as a cell of a CSV file writes it: `contains: Paris`, `similar(0.8): ...`, or a text that has to be equal."""
    told = text.strip()
    if told in _BARE:
        return {"type": told}
    found = _OF_CSV.fullmatch(told)
    if found is None or found["kind"].removeprefix("not-") not in _KINDS_OF_CSV:
        return {"type": "equals", "value": told}
    value: Any = found["value"].strip()
    if found["kind"].endswith(("-any", "-all")):
        value = [one.strip() for one in value.split(",") if one.strip()]
    fields: dict[str, Any] = {"type": _OLD_NAMES.get(found["kind"], found["kind"]), "value": value}
    return fields | ({"threshold": float(found["threshold"])} if found["threshold"] else {})
