"""What a gate says: lines for a terminal, a Markdown comment, a JUnit file, JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from xml.etree import ElementTree

from batchtrial.cli.screens.summary import wrapped
from batchtrial.reading.gate import Judged, JudgedRun

SHOWN: Final = {"reached": "REACHED", "refuted": "REFUTED", "not settled": "NOT SETTLED", "unfinished": "UNFINISHED"}
NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def lines(run: JudgedRun) -> Iterator[str]:
    """For standard output."""
    if run.is_simulated:
        yield "SIMULATED ANSWERS: no model was asked"
    for trial in run.trials:
        yield f"{trial.slug}"
        for goal in trial.goals:
            yield f"{SHOWN[goal.answer]:<12} {goal.what}"
            yield from wrapped(goal.sentence)
        for text in (trial.summary, trial.plan):
            if text:
                yield from wrapped(text)
    yield f"gate      {SHOWN[run.answer]}" + (f": {run.why}" if run.why else "")


def as_json(run: JudgedRun, exit_code: int) -> dict[str, Any]:
    """For programs."""
    return {
        "schema_version": 1,
        "run_id": run.run_id,
        "answer": run.answer,
        "exit_code": exit_code,
        "why": run.why,
        "simulated": run.is_simulated,
        "trials": [
            {
                "trial": trial.slug,
                "answer": trial.answer,
                "summary": trial.summary,
                "plan": trial.plan,
                "goals": [
                    {
                        "goal": goal.what,
                        "answer": goal.answer,
                        "sentence": goal.sentence,
                        "pairs": goal.n_pairs,
                        "lost": goal.n_lost,
                        "pairs_needed": goal.n_needed,
                    }
                    for goal in trial.goals
                ],
            }
            for trial in run.trials
        ],
    }


def markdown(run: JudgedRun) -> str:
    """A comment for a pull request. It begins with a marker by which a later one finds it and takes its place."""
    told = [f"<!-- batchtrial gate {_plain(run.run_id)} -->", f"### Gate: {SHOWN[run.answer].lower()}", ""]
    told += ["**SIMULATED ANSWERS: no model was asked.**", ""] if run.is_simulated else []
    told += [f"Run `{_plain(run.run_id)}`: {_plain(run.why)}.", ""] if run.why else []
    for trial in run.trials:
        told += [f"**{_plain(trial.slug)}**", "", "| goal | answer | pairs | lost |", "| --- | --- | --- | --- |"]
        told += [f"| {_plain(goal.what)} | {goal.answer} | {_count(goal.n_pairs)} | {_count(goal.n_lost)} |" for goal in trial.goals]
        told += ["", *(f"- {_plain(goal.sentence)}" for goal in trial.goals)]
        told += [f"- {_plain(text)}" for text in (trial.summary, trial.plan) if text]
        told.append("")
    return "\n".join(told)


def _count(n: int | None) -> str:
    return "-" if n is None else f"{n:,}"


def _plain(text: str) -> str:
    """Text of a config as Markdown that is neither markup, a mention nor a cell's end."""
    flat = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]<>|#@~])", lambda found: f"&#{ord(found[0])};", flat)


def junit(run: JudgedRun) -> bytes:
    """A JUnit file: a case for each goal; a refuted one has failed, one that is not settled is an error, so that neither looks passed."""
    cases = [(trial.slug, goal) for trial in run.trials for goal in trial.goals]
    if run.why:
        cases.append(("run", Judged(what="the run can be judged", answer=run.answer, sentence=run.why)))
    n_failed = sum(goal.answer == "refuted" for _, goal in cases)
    n_errors = sum(goal.answer in ("not settled", "unfinished") for _, goal in cases)
    counts = {"tests": str(len(cases)), "failures": str(n_failed), "errors": str(n_errors)}
    root = ElementTree.Element("testsuites", {"name": "batchtrial gate", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _xml(run.run_id), **counts})
    for slug, goal in cases:
        case = ElementTree.SubElement(suite, "testcase", {"classname": _xml(slug), "name": _xml(goal.what)})
        if goal.answer == "reached":
            ElementTree.SubElement(case, "system-out").text = _xml(goal.sentence)
            continue
        tag = "failure" if goal.answer == "refuted" else "error"
        ElementTree.SubElement(case, tag, {"type": goal.answer, "message": _xml(goal.sentence)}).text = _xml(goal.sentence)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _xml(text: str) -> str:
    return NOT_XML.sub("?", text)
