"""What tests put before and behind every prompt: a column of the item for each, since ours have one prompt for all items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from batchtrial.errors import ConfigError
from batchtrial.importing.cases import Case
from batchtrial.importing.documents import Findings
from batchtrial.importing.prompts import Prompt
from batchtrial.tasks.template import Template, TemplateFault


def with_affixes(prompts: Sequence[Prompt], cases: Sequence[Case], findings: Findings, where: str) -> tuple[tuple[Prompt, ...], tuple[Case, ...]]:
    """The prompts with their columns before and behind, and the cases with what stands in them. where: the prompts. Raises ConfigError."""
    if not any(case.prefix or case.suffix for case in cases):
        return tuple(prompts), tuple(cases)
    names = {name: _free(name, cases) for name in ("prefix", "suffix") if any(getattr(case, name) for case in cases)}
    found = []
    for prompt in prompts:
        if prompt.is_chat:
            findings.left(where, f"the {' and '.join(names)} of tests, at the chat `{prompt.label}`", "left out: a chat has no text to put them to")
            found.append(prompt)
            continue
        ((role, template, image),) = prompt.messages
        before, behind = (f"{{{{ {names[name]} }}}}" if name in names else "" for name in ("prefix", "suffix"))
        found.append(replace(prompt, messages=((role, f"{before}{template}{behind}", image),)))
    return tuple(found), tuple(replace(case, vars={**case.vars, **dict(_said(case, names))}) for case in cases)


def _free(name: str, cases: Sequence[Case]) -> str:
    while any(name in case.vars for case in cases):
        name += "_"
    return name


def _said(case: Case, names: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """The columns of a case, with its variables filled in."""
    for name, column in names.items():
        text = getattr(case, name)
        if text:
            try:
                yield column, Template.of(text).render(case.vars) + ("\n" if text.endswith("\n") else "")  # which no template keeps
            except TemplateFault as error:
                raise ConfigError(
                    f"the {name} {text[:60]!r} of a test cannot be filled in: {error.what}", where=case.description or "tests"
                ) from None
