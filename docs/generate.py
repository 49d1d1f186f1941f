"""Writes the pages that are made from the code: `nox -t gen` runs it, and a test compares what it would write with what is there.

Each page has one function that returns its whole text; nothing in them depends on the time, the machine or the width of a terminal.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from batchtrial.archive import zip as archive
from batchtrial.config import families, load, texts, tree
from batchtrial.config import model as config_model
from batchtrial.config.load import ENVIRONMENT
from batchtrial.phases.analyse.analyses import ANALYSES
from batchtrial.state import files, ledger, lock, machine
from batchtrial.state.layout import TrialLayout

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # this file is run by its path, and loaded by a test

import api_page  # noqa: E402
import commands_page  # noqa: E402
import metrics_page  # noqa: E402
from model_tables import Documented, reachable, sections, table  # noqa: E402

NOTICE = "<!-- Made from the code by docs/generate.py; change the code and run `nox -t gen`. -->\n"


def config_page() -> str:
    """docs/config.md."""
    lines = [
        "# Config",
        "",
        NOTICE,
        "One YAML file describes a run. A key that is not listed here is an error that names the nearest valid one.",
        "A value given by flag wins over the environment, the environment over the file, the file over the default;",
        "`--plan_only` shows which values came from where. `batchtrial init` writes a commented file to start from.",
        "",
        "Prompts and instructions are given as paths, relative to the config file or to the working directory. A condition may",
        "be a path (the system prompt), or `{system: path, instruction: {open_book: path, closed_book: path}}` to treat the user turn as well.",
        "They are texts, not templates: `{{name}}` in one is an error unless `template_marks: text` says that it is meant.",
        "",
        "## What is read how",
        "",
        "- Files are UTF-8; a byte order mark is no part of the text. A name that ends with `.json` is read as JSON, any other as YAML.",
        "- Names (prompt sets, aliases, datasets, trials, runs) are letters, digits, `_`, `-` and `.`, begin with a letter or digit, have at most",
        "  64 characters, and differ by more than upper and lower case.",
        "- Keys are texts. Dates, `010` (octal) and `12:30` (base 60) are refused; in quotes they are texts.",
        "- `<<: *name` takes over the settings of an anchor; a key beside it overrides one of them.",
        "- `${NAME}` is refused, since variables are not filled in: what a file refers to would not be in the run's record. `$${NAME}` is that text.",
        f"- A config has at most {tree.MAX_NODES:,} values with every alias written out, {tree.MAX_DEPTH} levels, and",
        f"  {load.MAX_CONFIG_BYTES >> 20} MiB; a prompt {texts.MAX_TEXT_BYTES >> 20} MiB.",
        "- Folders and files are of this machine: an address such as `s3://bucket/x` is refused.",
        "",
        "## Environment",
        "",
        "| variable | key |",
        "| --- | --- |",
        *(f"| `{variable}` | `{key}` |" for variable, key in ENVIRONMENT.items()),
        "",
        "A run that goes on has the values that it was started with; a lower `BATCHTRIAL_BUDGET_USD` holds for it too.",
        "Keys are read from each [provider's variable](providers.md), such as `OPENAI_API_KEY`, and written nowhere.",
        "",
        *sections(config_model.Config),
        "## Model families",
        "",
        f"Fields that a model refuses come back as an error on every row, after the batch's whole wait. By this table of {families.DATED} they",
        "are refused before anything is sent. Where it is wrong, `provider.accepts` names the fields that the model does take.",
        "`provider.sampling: omit` leaves temperature, top_p and top_k out; how much a model thinks is set in `provider.request_overrides`, as",
        "`reasoning: {effort: low}` (chat completions: `reasoning_effort: low`).",
        "",
        "| models | refuse | except | by |",
        "| --- | --- | --- | --- |",
        *(family_row(one) for one in (*families.TABLE, *families.FURTHER)),
    ]
    return finish(lines)


def family_row(family: families.Family) -> str:
    """The family's row of the table."""
    fields = ", ".join(sorted(f"`{name}`" for name in family.refuses))
    only = {"effort": "without reasoning effort, or with `none`", "temperature": "without a temperature"}
    excepted = only.get(family.only_with or "", "the value 1" if family.takes_default and "temperature" in family.refuses else "")
    return f"| {family.name} | {fields} | {excepted} | {family.source} |"


def state_page() -> str:
    """docs/state.md."""
    lines = [
        "# The life of a part",
        "",
        NOTICE,
        "A part is the unit of submit and resume. Its state changes by the events of this table and by nothing else; each event is",
        "one line of `ledger.jsonl`, on the disk before anything that depends on it.",
        "",
        "```mermaid",
        machine.diagram().rstrip(),
        "```",
        "",
        "| state | event | next state |",
        "| --- | --- | --- |",
        *(f"| {before} | {event} | {after} |" for (before, event), after in machine.NEXT.items()),
        "",
        "`submitting` is the only state that may owe money without a batch id. A run that finds a part in it asks the provider",
        "(`find`) before it sends anything for that part again.",
        "",
    ]
    return finish(lines)


FILES: tuple[tuple[str, str, Documented], ...] = (
    ("run_state.json", "every phase", files.RunState),
    ("ledger.jsonl", "submit, poll (one Entry a line)", ledger.Entry),
    ("run.lock", "the process that owns the run", lock.LockInfo),
    ("control_registry.json", "submit, poll", files.ControlRegistry),
    ("prepared/prepared_manifest.json", "prepare", files.PreparedManifest),
    ("batch_inputs/build_manifest.json", "build", files.BuildManifest),
    ("TRIAL/results/trial_manifest.json", "every phase from submit on", files.TrialManifest),
    ("multi_trial_manifest.json", "build", files.MultiTrialManifest),
    ("archive_manifest.json", "`batchtrial archive`", archive.ArchiveManifest),
)

OTHERS: tuple[tuple[str, str, str], ...] = (
    (".guard", "the process that owns the run", "empty; the kernel's lock is on it"),
    (".ledger_lines", "the process that owns the run", "how many lines of the ledger are on the disk; a ledger with fewer has lost some"),
    (".stamps.json", "every phase", "cache of size, time and sha256 per file; may be deleted at any time"),
    ("arms/ARM/answers.json", "parse", "what `answers.parquet` was made from, and what was counted; without it the table is made again"),
    ("arms/ARM/scores.json", "score", "the same of `scores.parquet`"),
    ("run.log", "every phase", "one line per decision, for people"),
    (
        "labels.jsonl",
        "`batchtrial label`, `batchtrial view`",
        "people's judgements, a line each, only ever appended: who, item, trial, a mark of the two answers, verdict, whether blind, tags, note; or "
        "what is taken back",
    ),
    (".labels.jsonl.lock", "whoever writes a label", "empty; held while one is written"),
    ("STOP_REQUESTED", "`batchtrial stop`, `batchtrial view`, or anybody", "its presence asks the run to stop"),
    ("STOP_NOW", "`batchtrial stop --now`, or anybody", "its presence asks the run to leave after the durable write in hand"),
    (
        "emulator/",
        "a dry run",
        "the emulator's world, so that a stopped run can go on: `world.sqlite`, `blobs/`, `items.jsonl`, `model.json`, "
        "`ready.json`, `emulator.log`, `lock`",
    ),
    (
        "direct/",
        "submit, poll in the direct lane",
        "a journal an attempt: rows that were asked, and every answer; its results are fetched from it",
    ),
    ("server.json", "a run of the backend `local`", "what the server says about itself: its models, and llama.cpp's build and context length"),
    ("provenance.json", "a run with recorded answers", "which model gave them, and when, as the recording says it"),
    ("arrivals/", "`batchtrial import_batch`", "result lines that were brought by hand, as they came; what such a batch is fetched from"),
    ("NAME.corrupt.TIME", "resume, repair", "a damaged file, set aside as it was"),
    ("NAME.backup.TIME.json", "resume", "a manifest of the earlier form, as it was before the upgrade"),
)
"""Files of a machine, not of a run: neither artifacts nor needed to go on, the emulator's world apart."""


def files_page() -> str:
    """docs/files.md."""
    lines = [
        "# Files of a run",
        "",
        NOTICE,
        "Everything lies in `experiments/run_<RUN_ID>/`. Two kinds are kept apart: artifacts, whose bytes depend on the config, the questions",
        "and the answers alone, and state files, which hold times, process ids and the provider's ids. An interrupted run and one that was",
        "never stopped have the same artifacts.",
        "",
        "Files are 0600 and folders 0700, archives too, since answers may be private; `--shared` leaves that to the umask.",
        "",
        "| state file | written by |",
        "| --- | --- |",
        *(f"| `{name}` | {owner} |" for name, owner, _ in FILES),
        "",
        "| artifact | written by | holds |",
        "| --- | --- | --- |",
        *(f"| `{name}` | {owner} | {what} |" for name, owner, what in ARTIFACTS),
        "",
    ]
    lines += ["| other file | written by | is |", "| --- | --- | --- |", *(f"| `{name}` | {owner} | {what} |" for name, owner, what in OTHERS), ""]
    told: set[str] = set()
    for name, owner, model in FILES:
        lines += [f"## {name}", "", f"Written by: {owner}.", ""]
        seen: dict[str, Documented] = {}
        reachable(model, seen)
        for one_name, one in seen.items():
            if one_name not in told:
                told.add(one_name)
                lines += [f"### {one_name}", "", " ".join((one.__doc__ or "").split()), "", *table(one), ""]
    lines += ["## Examples", "", "From a dry run of ten items; long texts, lists and mappings are cut, and a row of CSV is shown by its columns.", ""]
    for name, text in json.loads((HERE / "file_examples.json").read_text(encoding="utf-8")).items():
        lines += [f"### Example of {name}", "", "```json", text, "```", ""]
    return finish(lines)


ARTIFACTS: tuple[tuple[str, str, str], ...] = (
    ("effective_config.yaml", "run", "canonical YAML of the merged config, prompts included; its sha256 is `config_hash`"),
    ("prepared/open_book.jsonl", "prepare", "`{dataset, id, question, context, answers, is_unanswerable, cluster?, distractors?}`"),
    ("prepared/closed_book.jsonl", "prepare", "`{dataset, id, question, answers, cluster?, distractors?}`"),
    ("batch_inputs/index.csv", "build", "`item_hash, dataset, item_id, kind, cluster` in the order of the requests"),
    ("batch_inputs/PART.jsonl", "build", "requests in the provider's own form"),
    ("batch_inputs/retries/PART_aN.jsonl", "submit, poll", "the rows that attempt N sends again"),
    ("arms/ARM/pNN/results.jsonl", "poll", "result lines of a part as received; `results_a2.jsonl` for a second attempt"),
    (
        "judgements/closed_book.jsonl",
        "judge_build",
        "what judges are asked, a line a judgement; `open_book.jsonl` beside it is empty",
    ),
    ("judgements/asked.parquet", "judge_build", "which judgement is about which answers, and which pairs are ties or have none"),
    ("judgements/judgements.parquet", "judge_parse", "a row a judgement: judge, what the verdict is worth, reason, cost, state"),
    ("batch_inputs/judgements_build_manifest.json", "judge_build", "as `build_manifest.json`, of the judges' parts"),
    ("batch_inputs/judgements_index.csv", "judge_build", "as `index.csv`, of the judges' items"),
    ("prepared/items.parquet", "build", "the items in the order of the requests: question, references, cluster, and where the prepared line lies"),
    (
        "arms/ARM/answers.parquet",
        "parse",
        "one row per request of an arm, whatever became of it: outcome, state, tokens, dollars, text, and where the raw line lies",
    ),
    ("arms/ARM/scores.parquet", "score", "one row per item of an arm: every measure over its samples, how many there were, and why others were lost"),
    ("TRIAL/results/predictions.csv", "report", "the answers of the trial's arms with question and reference, for people (`exports`)"),
    ("TRIAL/results/results_combined.jsonl", "report", "one line per request, in request order; only where `exports` asks for it"),
    ("TRIAL/results/account.json", "parse", "the five outcome counts, states of answers, reasons of failures, and samples of odd lines"),
    ("TRIAL/results/per_item_scores.csv", "report", "the scores of the trial's arms with question and reference, for people (`exports`)"),
    (
        "TRIAL/results/scoring.json",
        "score",
        "metrics of your own with the sha256 of their code, what they failed on, answers that are not mainly English",
    ),
    ("TRIAL/results/significance.json", "stats", "every test with family, raw and adjusted p, interval, method, warnings"),
    ("TRIAL/results/costs.json", "costs", "tokens and dollars per arm and per judge, with source and date of the prices"),
    *(
        (f"TRIAL/results/{TrialLayout(HERE).analysis(name).name}", "optional", f"an analysis beyond the plan, when `optional.{name}` is switched on")
        for name in ANALYSES
    ),
    ("TRIAL/reports/report.md", "report", "the report; `report.html` is the same as one self-contained page"),
    (
        "earlier_scores/ID/",
        "`batchtrial rescore`",
        "scores that were there before, with what was concluded from them; `kept.json` has the hash of each metric's code and library versions",
    ),
    ("TRIAL/reports/forest.svg", "report", "the report's pictures by themselves"),
    ("index.html", "report", "all trials of the run as a page, with the ways to their reports"),
    ("answers.html", "run, `batchtrial export`", "every answer, pair by pair, in one page of at most 10 MB (`report.answers_page`)"),
    ("aggregate.json", "report", "the same for programs"),
    ("aggregate_report.md", "report", "all trials of the run side by side"),
)


def cli_page() -> str:
    """docs/cli.md."""
    return finish(commands_page.page(NOTICE))


def finish(lines: list[str]) -> str:
    """Lines to a page with single blank lines and one newline at its end."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def metrics_by_name() -> str:
    """docs/metrics.md."""
    return finish(metrics_page.page(NOTICE))


def api_reference() -> str:
    """docs/api_reference.md."""
    return finish(api_page.page(NOTICE))


PAGES: Mapping[str, Callable[[], str]] = {
    "metrics.md": metrics_by_name,
    "api_reference.md": api_reference,
    "config.md": config_page,
    "state.md": state_page,
    "files.md": files_page,
    "cli.md": cli_page,
}


def stale() -> list[str]:
    """Pages whose text is not what the code gives."""
    return [name for name, page in PAGES.items() if not (HERE / name).exists() or (HERE / name).read_text(encoding="utf-8") != page()]


def main(argv: list[str] | None = None) -> int:
    """Rewrite the pages, or with --check only say which are stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is stale")
    given = parser.parse_args(argv)
    old = stale()
    for name in old if not given.check else ():
        (HERE / name).write_text(PAGES[name](), encoding="utf-8")
    sys.stdout.write(f"{'stale' if given.check else 'rewritten'}: {', '.join(old) or 'nothing'}\n")
    return 1 if given.check and old else 0


if __name__ == "__main__":
    sys.exit(main())
