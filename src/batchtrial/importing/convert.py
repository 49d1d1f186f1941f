"""A promptfoo config as ours: files by name, and what has no counterpart."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from batchtrial.errors import ConfigError
from batchtrial.importing.affixes import with_affixes
from batchtrial.importing.assertions import JUDGE, AssertionReader, Wanted
from batchtrial.importing.cases import Case, CaseReader
from batchtrial.importing.documents import Document, Findings, Left, Library
from batchtrial.importing.missing import without_missing
from batchtrial.importing.models import RESPONSES, Provider, ProviderReader
from batchtrial.importing.prompts import Prompt, PromptReader
from batchtrial.sources.columns import ASKS_MORE
from batchtrial.tasks.template import Template, TemplateFault

CONFIG: Final = "trial.yaml"
_TAKEN: Final = frozenset(
    ("prompts", "providers", "targets", "tests", "defaultTest", "scenarios", "description", "evaluateOptions", "assertionTemplates")
)
_OF_THE_PROGRAM: Final = frozenset(("outputPath", "sharing", "writeLatestResults", "commandLineOptions", "tags", "$schema"))
"""About how that program runs, and nothing of the trial."""
_MOST_SETS: Final = 12
_TRIED: Final = 200
"""Tests for which every prompt is filled in."""
_ID: Final = "case_id"
_GRADES: Final = frozenset({"similarity", "rouge_l", "json_fields"})
_CORPUS: Final = frozenset({"bleu", "chrf"})
_COUNTS: Final = frozenset({"words", "cost_usd"})
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a config became. files: text by name, `trial.yaml` among them. left: what has no counterpart, or only something like it."""

    files: Mapping[str, str]
    left: tuple[Left, ...]
    arms: tuple[str, ...]
    n_items: int
    metrics: tuple[str, ...]


def convert(path: Path) -> Imported:
    """Raises ConfigError for a file that cannot be read, or in which there is nothing to compare."""
    library, findings = Library(path.parent), Findings()
    try:
        config = Document(path, path.name, library.text(path, str(path)))
    except FileNotFoundError:
        raise ConfigError(f"there is no config file {path}", hint="name a promptfooconfig.yaml") from None
    if not isinstance(config.tree, dict):
        raise ConfigError("a config is a mapping of settings, and this file is none", where=config.name)
    for name in (name for name in config.tree if name not in _TAKEN | _OF_THE_PROGRAM):
        findings.left(config.place((name,)), f"`{name}`", "left out")
    prompts = _some("prompts", PromptReader(config, library, findings).read, config, findings)
    providers = _some("providers", ProviderReader(config, library, findings).read, config, findings)
    cases = _some("tests", CaseReader(config, library, findings).read, config, findings)
    prompts, cases = with_affixes(prompts, cases, findings, config.place(("prompts",)))
    return _Conversion(config, findings, prompts, providers, cases, AssertionReader(library, findings)).made()


def _some(what: str, read: Callable[[], tuple[_T, ...]], config: Document, findings: Findings) -> tuple[_T, ...]:
    """What is read. Raises ConfigError with what was found on the way where that is nothing."""
    before = len(findings.found)
    if found := read():
        return found
    told = "; ".join(map(str, list(findings.found)[before:])) or f"the config has no {what}"
    raise ConfigError(f"none of its {what} can be taken over: {told}", where=config.name)


class _Conversion:
    def __init__(
        self,
        config: Document,
        findings: Findings,
        prompts: Sequence[Prompt],
        providers: Sequence[Provider],
        cases: Sequence[Case],
        reader: AssertionReader,
    ) -> None:
        self._config, self._findings, self._prompts, self._providers, self._cases = config, findings, prompts, providers, cases
        self._wanted = self._judged_alike([reader.read(case) for case in cases])
        self._vars = {name for case in cases for name in case.vars}
        self._read = frozenset[str]().union(*(prompt.reads for prompt in prompts))
        self._files: dict[str, str] = {}
        self._prompt_files: dict[tuple[str, int], str] = {}  # by label and turn
        self._names: dict[str, str] = {}  # key of a metric -> its column
        self._columns = _columns(self._wanted)

    def made(self) -> Imported:
        """The files."""
        lanes = self._lanes()
        arms = self._arms(lanes)
        judges = self._judges()
        sets, metrics = self._data(has_judges=bool(judges))
        self._try_prompts()
        own = self._providers[0]
        tree: dict[str, Any] = {"backend": own.backend, "model_id": own.model}
        if lanes[own.backend]:
            tree["provider"] = lanes[own.backend]
        tree["datasets"] = sets
        names = list(arms)
        tree |= {"arms": arms, "contrasts": [[names[0], name] for name in names[1:]]}
        if further := {name: lane for name, lane in lanes.items() if name != own.backend and lane}:
            tree["lanes"] = further
        options = self._config.tree.get("evaluateOptions")
        if isinstance(options, dict) and isinstance(options.get("repeat"), int):
            tree["samples_per_item"] = options["repeat"]
        if judges:
            tree["judges"] = judges
        tree |= {"metrics": metrics, "stats": {"primary": self._primary(metrics, judges)}}
        head = [f"# From {self._config.name}."]
        if description := self._config.tree.get("description"):
            head += [f"# {line}" for line in str(description).splitlines()]
        text = yaml.safe_dump(json.loads(json.dumps(tree)), sort_keys=False, allow_unicode=True, width=140)
        self._files[CONFIG] = "\n".join([*head, text])
        columns = tuple(self._names.values())
        return Imported(files=self._files, left=tuple(self._findings.found), arms=tuple(names), n_items=len(self._cases), metrics=columns)

    # Arms

    def _lanes(self) -> dict[str, dict[str, Any]]:
        """Settings of every backend: those of the first provider that has it."""
        lanes: dict[str, dict[str, Any]] = {}
        for one in self._providers:
            lane = lanes.setdefault(one.backend, dict(one.lane))
            lane |= {"sampling": "omit"} if "sampling" in one.lane else {}
            for name in one.lane:
                if one.lane[name] != lane.get(name):
                    told = f"a backend has one in a run, and here it is {lane.get(name)}"
                    self._findings.left(one.where, f"the `{name}` {one.lane[name]} of {one.label}", told)
        return lanes

    def _arms(self, lanes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Every prompt at every provider, the first of them the one that the others are compared with."""
        pairs = [(prompt, provider) for provider in self._providers for prompt in self._prompts if _takes(provider, prompt)]
        for provider in self._providers:
            if not any(_takes(provider, prompt) for prompt in self._prompts):
                unmatched = f"the `prompts` of {provider.label}: no prompt is called {', '.join(provider.prompts)}"
                self._findings.left(provider.where, unmatched, "no arm asks it" if pairs else "it is asked with all of them")
        pairs = pairs or [(prompt, provider) for provider in self._providers for prompt in self._prompts]
        found: dict[str, Any] = {}
        for prompt, provider in pairs:
            words = [prompt.label] if len(self._prompts) > 1 else []
            words += [provider.label] if len(self._providers) > 1 or not words else []
            name = _apart(_name("-".join(words)), found)
            told = self._sampled(provider, lanes[provider.backend])
            found[name] = {"backend": provider.backend, "model": provider.model, **told, "task": self._task(prompt, provider)}
        if len(found) == 1:
            (name, only) = next(iter(found.items()))
            found[_apart("candidate", found)] = json.loads(json.dumps(only))
            where = self._config.place(("prompts",))
            self._findings.near(where, "one prompt and one provider: nothing is compared", "`candidate` is a copy of it; change what you want to try")
        return found

    def _sampled(self, provider: Provider, lane: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of the provider's arms, without what its lane sends of no arm."""
        told = provider.settings(lane.get("endpoint"))
        for name in ("reasoning", "text") if provider.backend == "openai" and lane.get("endpoint") != RESPONSES else ():
            if (value := told.get("body", {}).pop(name, None)) is not None:
                self._findings.left(
                    provider.where, f"the `{name}` {json.dumps(value)[:60]} of {provider.label}", "chat completions have no such field"
                )
        for name in ("temperature", "top_p", "top_k") if lane.get("sampling") == "omit" else ():
            if (value := told.pop(name, None)) is not None:
                self._findings.left(provider.where, f"the `{name}` {value} of {provider.label}", "left out: another model there refuses it")
        return told

    def _task(self, prompt: Prompt, provider: Provider) -> dict[str, Any]:
        messages = []
        for place, (role, template, image) in enumerate(prompt.messages):
            if (prompt.label, place) not in self._prompt_files:
                own = f"{_name(prompt.label)}{f'-{place + 1}' if len(prompt.messages) > 1 else ''}"
                own = _apart(own, [Path(taken).stem for taken in self._prompt_files.values()])
                self._prompt_files[prompt.label, place] = f"prompts/{own}.txt"
            name = self._prompt_files[prompt.label, place]
            self._files[name] = self._with_defaults(template)
            messages.append({"role": role, "file": name, **({"image": image} if image else {})})
        return {"messages": messages, **provider.task}

    def _with_defaults(self, template: str) -> str:
        """The template with nothing in the place of variables that some test does not have, as the other program does."""
        there: list[set[str]] = [{name for name, value in case.vars.items() if value not in (None, "")} for case in self._cases]
        lacking = Template.of(template).names - there[0].intersection(*there[1:])
        unknown = lacking - there[0].union(*there[1:])
        for name in sorted(unknown):
            self._findings.near(self._config.place(("prompts",)), f"the variable `{name}`, which no test has", "nothing stands in its place")
        return without_missing(template, unknown, lacking - unknown)

    def _try_prompts(self) -> None:
        """Name what of the prompts cannot be filled in from the tests."""
        for (label, _), name in self._prompt_files.items():
            template = Template.of(self._files[name])
            for number in range(min(len(self._cases), _TRIED)):
                try:
                    template.render(self._row(number))
                except TemplateFault as error:
                    told = f"the prompt `{label}` cannot be filled in for the test t{number + 1}: {error.what}"
                    self._findings.left(self._config.place(("prompts",)), told, f"mend {name}" + (f", line {error.line}" if error.line else ""))
                    break

    # Items and metrics

    def _data(self, *, has_judges: bool) -> tuple[list[dict[str, Any]], list[Any]]:
        """(question sets, metrics): items that want the same metrics without references are one set."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, wanted in enumerate(self._wanted):
            groups.setdefault(tuple(sorted({one.key for one in wanted if one.reference is None})), []).append(number)
        if len(groups) > _MOST_SETS:
            where = self._config.place(("tests",))
            self._findings.left(where, "patterns or schemas of their own for more than a dozen kinds of tests", "each then holds for all tests")
            groups = {tuple(sorted({key for keys in groups for key in keys})): list(range(len(self._cases)))}
        sets: list[dict[str, Any]] = []
        of_key: dict[str, list[str]] = {}
        for place, (keys, numbers) in enumerate(groups.items(), 1):
            name = "tests" if len(groups) == 1 else f"tests-{place}"
            rows = [json.dumps(self._row(number), ensure_ascii=False, default=str) + "\n" for number in numbers]
            self._files[f"{name}.jsonl"] = "".join(rows)
            spec: dict[str, Any] = {
                "name": name,
                "source": "file",
                "path": f"{name}.jsonl",
                "format": "jsonl",
                "kind": "closed",
                "fields": {"id": self._own_column(_ID)},
            }
            if column := self._accepted(numbers):
                spec["fields"]["answers"] = column
            if unread := sorted({name for number in numbers for name in self._cases[number].vars} & ASKS_MORE.keys() - self._read):
                spec["ignore_columns"] = unread
            sets.append(spec)
            for key in keys:
                of_key.setdefault(key, []).append(name)
        metrics = [self._metric(one, of_key.get(one.key, []), len(sets)) for one in self._distinct() if one.kind != JUDGE]
        if not has_judges and all(next(iter(one)) in _CORPUS for one in metrics):
            told = "no assertion has a counterpart that can be an endpoint"
            self._findings.near(self._config.place(("tests",)), told, "`words` is counted, and is the first endpoint")
            metrics = [*metrics, "words"]
        return sets, metrics

    def _accepted(self, numbers: Sequence[int]) -> str:
        """The column of these items that says what a right answer is; "" where not all of them have one. A rehearsal answers by it."""
        for kind in ("exact", "contains"):
            for one in self._wanted[numbers[0]]:
                is_meant = one.kind == kind and one.reference is not None and not one.params.get("not")
                if is_meant and all(any(want.key == one.key for want in self._wanted[number]) for number in numbers):
                    return self._reference_of(one)
        return ""

    def _judges(self) -> list[dict[str, Any]]:
        """A judge for each rubric that every test has."""
        found = []
        for one in (one for one in self._distinct() if one.kind == JUDGE):
            name = self._name_of(one)
            self._files[f"rubrics/{name}.txt"] = f"Does the answer meet this?\n\n{{{{ {self._reference_of(one)} }}}}\n"
            found.append({"name": name, "kind": "yes_no", "rubric": f"rubrics/{name}.txt", **one.params})
        return found

    def _judged_alike(self, wanted: list[list[Wanted]]) -> list[list[Wanted]]:
        """What the tests want, without rubrics of some tests alone: a judge judges the answers to all. Of each rubric is said what became of it."""
        every = set.intersection(*({one.key for one in each} for each in wanted))
        for one in (one for each in wanted for one in each if one.kind == JUDGE):
            if one.key in every:
                self._findings.near(one.where, "`llm-rubric`", one.note)
            else:
                told = f"the rubric {str(one.reference)[:40]!r} of some tests alone"
                self._findings.left(one.where, told, "a judge judges the answers to all")
        return [[one for one in each if one.kind != JUDGE or one.key in every] for each in wanted]

    def _distinct(self) -> list[Wanted]:
        """Every metric once; each gets a name of its own."""
        found: dict[str, Wanted] = {}
        for wanted in self._wanted:
            for one in wanted:
                if one.key not in found:
                    found[one.key] = one
                    self._name_of(one)
        return list(found.values())

    def _name_of(self, one: Wanted) -> str:
        if one.key not in self._names:
            usual = f"not_{one.kind}" if one.params.get("not") else one.kind
            self._names[one.key] = _apart(_name(one.label, "_") if one.label else usual, self._names.values())
        return self._names[one.key]

    def _metric(self, one: Wanted, sets: Sequence[str], n_sets: int) -> Any:
        params = {**one.params, "name": self._name_of(one)}
        if one.reference is not None:
            params["reference"] = self._reference_of(one)
        elif len(sets) < n_sets:
            params["sets"] = list(sets)
        return {one.kind: params}

    def _row(self, number: int) -> dict[str, Any]:
        case = self._cases[number]
        row: dict[str, Any] = {self._own_column(_ID): f"t{number + 1}", **case.vars}
        if case.description:
            row[self._own_column("description")] = case.description
        row |= {self._own_column(f"metadata_{name}"): value for name, value in case.metadata.items()}
        for one in self._wanted[number]:
            if one.reference is not None and not self._columns[one.key]:
                row[self._reference_of(one)] = one.reference
        return row

    def _reference_of(self, one: Wanted) -> str:
        """The column that holds what a metric compares with."""
        return self._columns[one.key] or self._own_column(f"expected_{self._name_of(one)}")

    def _own_column(self, name: str) -> str:
        """A column of ours, under a name that no variable has."""
        while name in self._vars:
            name += "_"
        return name

    def _primary(self, metrics: Sequence[Any], judges: Sequence[Any]) -> dict[str, Any]:
        """A share that most tests want, where there is one; else what the first judge says, else a grade, else whatever there is."""
        wanted = Counter(self._name_of(one) for each in self._wanted for one in each if one.kind != JUDGE)

        def rank(one: Any) -> tuple[int, bool, int]:
            kind, params = next(iter(one.items()))
            place = 3 if kind in _CORPUS else 2 if kind in _COUNTS else 1 if kind in _GRADES else 0
            return place, bool(params.get("not")), -wanted[params["name"]]

        best = min((one for one in metrics if isinstance(one, dict)), key=rank, default=None)
        if judges and (best is None or rank(best)[0] or rank(best)[1]):
            return {"metric": judges[0]["name"], "goal": "superiority"}
        if best is None or next(iter(best)) in _CORPUS:
            return {"metric": "words", "goal": "superiority"}
        return {"metric": next(iter(best.values()))["name"], "goal": "superiority"}


def _columns(wanted: Sequence[Sequence[Wanted]]) -> dict[str, str]:
    """Key of a metric -> the variable that holds its reference in every item; "" where each item has a column of its own for it."""
    found: dict[str, str] = {}
    for one in (one for each in wanted for one in each if one.reference is not None):
        found[one.key] = one.column if found.get(one.key, one.column) == one.column else ""
    return found


def _takes(provider: Provider, prompt: Prompt) -> bool:
    heads = [one.removesuffix("*").removesuffix(":") for one in provider.prompts]
    names = (prompt.label, prompt.group)
    return not heads or any(name == head or name.startswith(f"{head}:") for head in heads for name in names)


def _name(text: str, between: str = "-") -> str:
    """The text as a name that arms, files and columns may have."""
    plain = re.sub(r"[^A-Za-z0-9]+", between, text).strip(between)[:40].strip(between)
    return plain if plain and plain[0].isalpha() else f"p{between}{plain}".strip(between)


def _apart(name: str, taken: Any) -> str:
    """The name, with a number behind it when it is taken."""
    names = {one.lower() for one in taken}
    number = 2
    found = name
    while found.lower() in names:
        found = f"{name}_{number}"
        number += 1
    return found
