"""Assertions of a promptfoo config as metrics by name.

An assertion is about one test; a metric is about all items of some sets. What an assertion compares with becomes a column of the item, in which other
items have nothing; what is no reference (a pattern, a schema) is a metric for those sets alone whose items assert it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from batchtrial.config.tree import decode_tree
from batchtrial.errors import ConfigError
from batchtrial.importing.cases import Assertion, Case
from batchtrial.importing.documents import MAX_BYTES, Findings, Library
from batchtrial.importing.models import model_named
from batchtrial.scoring.metrics.patterns import pattern_fault
from batchtrial.tasks.template import Template, TemplateFault

_VARIABLE: Final = re.compile(r"\{\{-?\s*([A-Za-z_]\w*)\s*-?\}\}")
_JUDGED: Final = frozenset(
    (
        *("model-graded-closedqa", "model-graded-factuality", "factuality", "g-eval", "answer-relevance", "select-best", "max-score"),
        *("context-faithfulness", "context-recall", "context-relevance", "conversation-relevance", "moderation", "search-rubric", "agent-rubric"),
    )
)
JUDGE: Final = "judge"
"""What `Wanted.kind` says of a judge, which is no metric by name."""
_CODE: Final = frozenset({"javascript", "python", "ruby", "webhook"})
_GRADED: Final = {"levenshtein": ("similarity", {"method": "levenshtein"}), "rouge-n": ("rouge_l", {}), "bleu": ("bleu", {}), "gleu": ("bleu", {})}
_COUNTED: Final = {"cost": "cost_usd", "word-count": "words"}
_TEXTS: Final = {
    **{kind: ("contains", {}) for kind in ("contains", "contains-any")},
    **{kind: ("contains", {"case": False}) for kind in ("icontains", "icontains-any")},
    "starts-with": ("starts_with", {}),
    "equals": ("exact", {}),
}
_ALL: Final = {"contains-all": {}, "icontains-all": {"case": False}}
_UNUSED: Final = ("transform", "weight", "provider", "rubricPrompt", "config", "contextTransform")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A metric that an item wants. params: but for its reference. reference: the item's own value to compare with; None where it needs none.

    column: the item's own column that holds the reference, where it is one of its variables. where: file, line and key of a judge's rubric, and
    note: what is to be said of that judge.
    """

    kind: str
    params: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    reference: Any = None
    column: str = ""

    where: str = ""
    note: str = ""
    nth: int = 1  # of those that are alike and wanted by one item

    @property
    def key(self) -> str:
        """What makes two of them the same metric."""
        return json.dumps([self.kind, dict(self.params), self.label, self.reference is not None, self.nth], sort_keys=True, default=str)


@dataclass(frozen=True, slots=True)
class AssertionReader:
    """Reads what is asserted about an item."""

    library: Library
    findings: Findings

    def read(self, case: Case) -> list[Wanted]:
        """The metrics that the case wants; what has no counterpart is noted."""
        found: dict[str, Wanted] = {}
        for one in case.asserts:
            try:
                for wanted in self._metrics(one, case):
                    while wanted.key in found and wanted.reference is not None:
                        wanted = replace(wanted, nth=wanted.nth + 1)
                    found[wanted.key] = wanted
            except ConfigError as error:
                self.findings.left(one.where, error.what, error.hint)
        return list(found.values())

    def _metrics(self, one: Assertion, case: Case) -> Iterator[Wanted]:
        given = str(one.fields.get("type") or "")
        if not given:
            raise ConfigError("an assertion without a `type`")
        is_not, kind = given.startswith("not-"), given.removeprefix("not-")
        for name in _UNUSED:
            if name in one.fields and not (name == "weight" and one.fields[name] == 1) and kind not in _JUDGED | _CODE | {"llm-rubric"}:
                self.findings.left(one.where, f"`{name}` of the assertion `{given}`", "left out")
        make = self._maker(kind)
        label = str(one.fields.get("metric") or "")
        for wanted in make(one, case, is_not):
            yield replace(wanted, label=label or wanted.label)

    def _maker(self, kind: str) -> Callable[[Assertion, Case, bool], Iterator[Wanted]]:
        """Raises ConfigError for a kind that has no counterpart."""
        if kind in _TEXTS or kind in _ALL:
            return self._of_text
        makers = {"regex": self._of_regex, "is-json": self._of_json, "contains-json": self._of_json, "is-refusal": self._of_refusal}
        if kind in makers:
            return makers[kind]
        if kind == "llm-rubric":
            return self._of_rubric
        if kind in _GRADED:
            return self._of_grade
        if kind in _COUNTED:
            return self._of_count
        if kind in _JUDGED:
            raise ConfigError(f"`{kind}` asks a model to judge", hint="a judge has to be set up by itself; answers can be labelled by people")
        if kind in _CODE:
            raise ConfigError(f"`{kind}` is a program", hint="write it as a metric of your own, `module:function`, or as a `command`")
        raise ConfigError(f"the assertion `{kind}` has no counterpart", hint="docs/metrics.md lists the metrics")

    def _of_text(self, one: Assertion, case: Case, is_not: bool) -> Iterator[Wanted]:
        kind = str(one.fields["type"]).removeprefix("not-")
        told = {"not": True} if is_not else {}
        if kind in _ALL:
            values = self._value(one, case)
            if not isinstance(values, list) or not values:
                raise ConfigError(f"`{kind}` without a list of texts")
            yield Wanted(kind="contains", params={**_ALL[kind], "all": [str(value) for value in values], **told}, label="")
            return
        name, params = _TEXTS[kind]
        if kind == "equals" and isinstance(one.fields.get("value"), dict):
            self.findings.near(one.where, "`equals` with JSON", "`json_fields` gives the share of its fields that are right")
            yield Wanted(kind="json_fields", params={"case": True}, reference=json.dumps(one.fields["value"], ensure_ascii=False))
            return
        column = self._column(one, case)
        value = self._value(one, case)
        if value is None or value == [] or (isinstance(value, str) and not value.strip()):
            raise ConfigError(f"`{kind}` without a value")
        reference = [str(part) for part in value] if isinstance(value, list) else _written(value)
        yield Wanted(kind=name, params={**params, **told}, reference=reference, column=column)

    def _of_regex(self, one: Assertion, case: Case, is_not: bool) -> Iterator[Wanted]:
        pattern = self._value(one, case)
        if not isinstance(pattern, str) or not pattern:
            raise ConfigError("`regex` without a pattern")
        if fault := pattern_fault(pattern):
            raise ConfigError(f"the pattern {pattern[:60]!r}: {fault}", hint="or write it as a metric of your own")
        yield Wanted(kind="regex", params={"pattern": pattern, **({"not": True} if is_not else {})})

    def _of_json(self, one: Assertion, case: Case, is_not: bool) -> Iterator[Wanted]:
        is_inside = one.fields["type"].endswith("contains-json")
        if is_inside:
            self.findings.near(one.where, "`contains-json`", "JSON counts that is the whole answer, or stands in a code fence")
        schema = self._value(one, case)
        if isinstance(schema, str) and schema.strip():
            schema = decode_tree(schema, where=one.where, is_core=True, max_chars=MAX_BYTES)
        params: dict[str, Any] = {"fenced": is_inside, **({"not": True} if is_not else {})}
        if schema is None or schema == "":
            yield Wanted(kind="json_valid", params=params)
        elif isinstance(schema, dict):
            yield Wanted(kind="json_schema", params={"schema": schema, **params})
        else:
            raise ConfigError("the schema is no object")

    def _of_refusal(self, one: Assertion, case: Case, is_not: bool) -> Iterator[Wanted]:
        yield Wanted(kind="refusal", params={"better": "lower" if is_not else "higher"})

    def _of_rubric(self, one: Assertion, case: Case, is_not: bool) -> Iterator[Wanted]:
        rubric = self._value(one, case)
        if is_not or not isinstance(rubric, str) or not rubric.strip():
            raise ConfigError("a rubric that is negated or no text", hint="judges are described in docs/judges.md")
        params, who = self._grader(one.fields.get("provider") or case.grader, one.where)
        yield Wanted(kind=JUDGE, params=params, reference=rubric, where=one.where, note=f"a judge answers yes or no, without a threshold{who}")

    def _grader(self, given: Any, where: str) -> tuple[dict[str, Any], str]:
        """Settings of the judge that say which model it is, and what is to be said where they say nothing."""
        given = given.get("text", given) if isinstance(given, dict) else given
        given = given.get("id") if isinstance(given, dict) else given
        try:
            backend, model, _ = model_named(given) if isinstance(given, str) else ("", "", {})
        except ConfigError as error:
            self.findings.left(where, error.what, "the run's own model judges; name another under `judges`")
            return {}, ""
        return ({"backend": backend, "model": model}, "") if model else ({}, "; the run's own model judges; name its `model` under `judges`")

    def _of_grade(self, one: Assertion, case: Case, is_not: bool) -> Iterator[Wanted]:
        kind = str(one.fields["type"]).removeprefix("not-")
        if is_not:
            raise ConfigError(f"`not-{kind}` has no counterpart")
        name, params = _GRADED[kind]
        value = self._value(one, case)
        if value is None:
            raise ConfigError(f"`{kind}` without a value")
        self.findings.near(one.where, f"`{kind}`", f"`{name}` gives the number itself, without a threshold")
        yield Wanted(kind=name, params=params, reference=_written(value), column=self._column(one, case))

    def _of_count(self, one: Assertion, case: Case, is_not: bool) -> Iterator[Wanted]:
        kind = str(one.fields["type"]).removeprefix("not-")
        self.findings.near(one.where, f"`{kind}`", f"`{_COUNTED[kind]}` gives the number itself, without a threshold")
        yield Wanted(kind=_COUNTED[kind])

    def _column(self, one: Assertion, case: Case) -> str:
        """The variable that the value is, where it is nothing else."""
        value = one.fields.get("value")
        found = _VARIABLE.fullmatch(value.strip()) if isinstance(value, str) else None
        return found[1] if found is not None and found[1] in case.vars else ""

    def _value(self, one: Assertion, case: Case) -> Any:
        """The value, with the case's variables filled in. Raises ConfigError."""
        value = one.fields.get("value")
        if isinstance(value, str) and value.startswith("file://"):
            (path, *_) = self.library.paths(value, one.where)
            is_data = path.suffix.lower() in (".json", ".yaml", ".yml")
            return self.library.document(path, one.where).tree if is_data else self.library.text(path, one.where)
        return [_filled(part, case) for part in value] if isinstance(value, list) else _filled(value, case)


def _filled(value: Any, case: Case) -> Any:
    if not isinstance(value, str) or ("{{" not in value and "{%" not in value):
        return value
    try:
        return Template.of(value).render(case.vars)
    except TemplateFault as error:
        raise ConfigError(f"the value {value[:60]!r} cannot be filled in: {error.what}") from None


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
