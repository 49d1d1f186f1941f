"""`batchtrial label`: blind labels on the terminal, with the keys of the viewer; and labels in and out as files."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

from batchtrial.app.invocation import experiments_dir
from batchtrial.app.tables import tables_of
from batchtrial.cli import args as flags
from batchtrial.cli.frame import complain, framed, say
from batchtrial.clock import real_now
from batchtrial.errors import ConfigError
from batchtrial.exporting.rows import FORMULA
from batchtrial.keys import check_run_id
from batchtrial.reading.drawn import DRAWN, Drawn, check_theirs, drawn, of_this_run, places_of
from batchtrial.reading.labels import Labels, labels_json, preference_pairs
from batchtrial.reading.long_texts import sent
from batchtrial.reading.run_tables import Pairs, RunTables
from batchtrial.state.labels import Label, append_label, checked, read_labels
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import write_bytes
from batchtrial.visible import visible

EXAMPLES = """examples:
  batchtrial label --run_id r1 --who ana                     go on with the items that are drawn
  batchtrial label --run_id r1 --agreement                   how well people agree
  batchtrial label --run_id r1 --export labels.csv           or .jsonl, or pairs.preferences.jsonl with {prompt, chosen, rejected}
  batchtrial label --run_id r1 --import labels.jsonl         what was labelled in a page that was mailed

Keys, each followed by Enter: 1 the first answer is better, 2 the second, 3 the same, 4 both bad, x cannot compare, u undo, q quit. The order of the
two answers is shuffled and their arms are not named. Labels are kept in the run's labels.jsonl; several people may label at once.
"""
KEYS = {"1": "first", "2": "second", "3": "same", "4": "both_bad", "x": "cannot"}
PREFERENCES = ".preferences.jsonl"


def parser() -> flags.Parser:
    """Flags of `label`."""
    p = flags.Parser(prog="batchtrial label", description="Label answers blind, on the terminal.", epilog=EXAMPLES)
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run")
    p.add_argument("--trial", metavar="SLUG", help="which trial (default: the first)")
    p.add_argument("--who", metavar="NAME", help="who labels")
    p.add_argument("--n", type=flags.positive, default=DRAWN, metavar="N", help=f"items to draw (default: {DRAWN}); a fifth of them comes twice")
    p.add_argument("--export", type=flags.written_file, metavar="FILE", help=f"write the labels: .csv, .jsonl, or {PREFERENCES}")
    p.add_argument("--import", dest="import_", type=flags.local_path, metavar="FILE", help="take in labels of a JSON-lines file; none is kept twice")
    p.add_argument("--agreement", action="store_true", help="show how well people agree")
    flags.add_folder(p)
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Label answers, or show, export and import labels."""
    given = parser().parse_args(argv)
    layout = RunLayout.of(experiments_dir(given.experiments_dir, os.environ), check_run_id(given.run_id))
    with tables_of(layout) as tables:
        pairs = _pairs(tables, given.trial)
        if given.import_ is not None:
            return take_in(tables, given.import_)
        if given.export is not None:
            return hand_out(tables, given.export)
        if given.agreement:
            return show_agreement(tables, pairs)
        if not (given.who or "").strip():
            raise ConfigError("labels carry a name", where="--who", hint="say who labels, as in --who ana")
        return Session(tables, pairs, given.who.strip(), drawn(tables, pairs, given.n)).run(sys.stdin.readline)


def _pairs(tables: RunTables, slug: str | None) -> Pairs:
    ready = tables.ready()
    found = next(((trial, temp) for trial, temp in ready if slug in (None, trial.slug)), None)
    if found is None:
        slugs = ", ".join(dict.fromkeys(trial.slug for trial, _ in ready)) or "none is scored yet"
        raise ConfigError(f"there is no trial {slug!r}" if slug else "there is nothing to label", where="--trial", hint=f"trials are: {slugs}")
    return tables.pairs(found[0].slug, found[1])


@dataclass(slots=True)
class Session:
    """One person at work. queue: what is drawn."""

    tables: RunTables
    pairs: Pairs
    who: str
    queue: list[Drawn]
    message: str = ""

    def run(self, read: Callable[[], str]) -> int:
        """Until everything is labelled, or `q`, or the end of what is typed."""
        given: list[str] = []
        while True:
            one = next((one for one in self.queue if not self._is_done(one)), None)
            if one is None:
                say(f"all {len(self.queue)} are labelled, thank you")
                return 0
            self._show(one)
            line = read()
            key = line.strip().lower()
            if key == "q" or not line:
                return 0
            if key == "u" and given:
                last = given.pop()
                append_label(self.tables.layout.labels, Label(id=f"undo-{self.who}-{last}", who=self.who, undo=last, at=real_now()))
            elif key in KEYS:
                given.append(self._keep(one, KEYS[key]))
            else:
                complain("1, 2, 3, 4, x, u or q")

    def _is_done(self, one: Drawn) -> bool:
        slot = (self.who, one.key, self.pairs.trial.slug, self.pairs.temp, one.is_repeat)
        held = Labels.of(self.tables.layout.labels).held
        return any((label.who, label.item_key, label.trial, label.temp, label.is_repeat) == slot and label.is_about(one.mark) for label in held)

    def _show(self, one: Drawn) -> None:
        item = self.tables.items.read([one.place])[0]
        arms = (self.pairs.treatment, self.pairs.control) if one.is_flipped else (self.pairs.control, self.pairs.treatment)
        n = sum(self._is_done(other) for other in self.queue)
        say(f"\n--- {n} of {len(self.queue)} labelled ---\n{visible(item.question)}")
        if item.context:
            say(f"\npassage: {visible(item.context)}")
        for number, arm in enumerate(arms, 1):
            text = self.tables.texts(arm).of([one.place * self.pairs.samples])[one.place * self.pairs.samples]
            say(f"\n[{number}] {visible(text) or '(no answer)'}")
        say("\n1 first better  2 second better  3 same  4 both bad  x cannot compare  u undo  q quit")

    def _keep(self, one: Drawn, choice: str) -> str:
        """The id under which it is kept."""
        verdict = choice if choice not in ("first", "second") else "better" if (choice == "first") == one.is_flipped else "worse"
        label = msgspec.convert(
            {
                "id": secrets.token_hex(8),
                "who": self.who,
                "item_key": one.key,
                "trial": self.pairs.trial.slug,
                "temp": self.pairs.temp,
                "verdict": verdict,
                "is_blind": True,
                "is_repeat": one.is_repeat,
                "order": "treatment_first" if one.is_flipped else "control_first",
                "about": one.mark,
            },
            Label,
        )
        append_label(self.tables.layout.labels, msgspec.structs.replace(label, at=real_now()))
        return label.id


def show_agreement(tables: RunTables, pairs: Pairs) -> int:
    """Print how often people agree, and kappa with its interval."""
    labels = Labels.of(tables.layout.labels)
    found = labels.agreement(pairs.trial.slug, tables.config.stats.random_seed)
    for who in labels.people():
        mine = [label.verdict for label in labels.held if label.who == who]
        say(f"{who}: {len(mine)} labels (" + ", ".join(f"{mine.count(one)} {one}" for one in dict.fromkeys(mine)) + ")")
    for name, one in found.items():
        value, low, high = one.kappa.value, one.kappa.ci_low, one.kappa.ci_high
        told = (
            f"kappa {value:.2f} ({low:.2f} to {high:.2f})"
            if value is not None and low is not None and high is not None
            else f"no kappa: {one.kappa.reason}"
        )
        say(f"{name}: {100 * (one.observed or 0.0):.0f} % of {one.n} alike ({100 * (one.by_chance or 0.0):.0f} % by chance), {told}")
    if not found:
        say("no item was labelled twice, so that agreement cannot be seen")
    return 0


def take_in(tables: RunTables, source: Path) -> int:
    """Keep the labels of a file that are not there yet. Raises ConfigError, before any is kept, for a line that is no label, or none of this run."""
    path = tables.layout.labels
    known = {label.id for label in read_labels(path)}
    found = []
    for number, line in enumerate(_lines(source), 1):
        try:
            found.append(checked(msgspec.json.decode(line, type=Label)))
        except msgspec.MsgspecError as error:
            raise ConfigError(f"line {number} is no label: {error}", where=str(source)) from None
    check_theirs(tables, found, str(source))
    fresh = list({label.id: label for label in reversed(found) if label.id not in known}.values())[::-1]
    for label in fresh:
        append_label(path, label)
    say(f"{len(fresh)} labels taken in, {len(found) - len(fresh)} were there")
    return 0


def _lines(source: Path) -> list[bytes]:
    try:
        return [line for line in source.read_bytes().splitlines() if line.strip()]
    except FileNotFoundError:
        raise ConfigError(f"there is no file {source}", where="--import") from None


def hand_out(tables: RunTables, target: Path) -> int:
    """Write the labels that hold: as a table, as JSON lines, or as preferences."""
    held = Labels.of(tables.layout.labels).held
    rows: Iterable[dict[str, Any]] = labels_json(held)
    if target.name.endswith(PREFERENCES):
        held = tuple(of_this_run(tables, held))  # the texts are those of now
        rows = list(preference_pairs(held, _texts(tables, held)))
    file = io.StringIO(newline="")
    n = _write(file, list(rows), is_table=target.suffix == ".csv")
    write_bytes(target, file.getvalue().encode())
    say(f"{target}: {n} rows")
    return 0


def _write(file: IO[str], rows: list[dict[str, Any]], *, is_table: bool) -> int:
    if not is_table:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        return len(rows)
    names = [name for name in Label.__struct_fields__ if name != "undo"]
    out = csv.writer(file)
    out.writerow(names)
    for row in rows:
        cells = [", ".join(value) if isinstance(value := row.get(name, ""), list) else value for name in names]
        out.writerow([f"'{cell}" if isinstance(cell, str) and re.match(FORMULA, cell) else cell for cell in cells])
    return len(rows)


def _texts(tables: RunTables, held: Sequence[Label]) -> dict[tuple[str, str], tuple[str, str, str]]:
    """(trial, item key) -> prompt, the control's first answer, the treatment's."""
    found = {}
    places = dict(zip((key := sorted({label.item_key for label in held})), places_of(tables, key), strict=True))
    for label in held:
        pairs = _pairs(tables, label.trial)
        place = places[label.item_key]
        if place is None:
            continue
        row = place * pairs.samples
        said = [tables.texts(arm).of([row])[row] for arm in (pairs.control, pairs.treatment)]
        turns = sent(pairs.control, tables.items.read([place])[0])
        found[label.trial, label.item_key] = ("\n\n".join(text for _, text in turns), said[0], said[1])
    return found


main = framed(_command)
