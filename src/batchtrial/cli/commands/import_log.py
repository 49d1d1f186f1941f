"""`batchtrial import_log`: the paired analysis of two models for evaluations that ran elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, say, say_json, set_up_logging
from batchtrial.errors import ConfigError

if TYPE_CHECKING:
    from batchtrial.importing.paired_logs import PairedLogs

EXAMPLES = """examples:
  batchtrial import_log logs/before.eval logs/after.eval                     two logs of inspect_ai
  batchtrial import_log results/model_a results/model_b                      what lm_eval logged of two models, sample by sample
  batchtrial import_log a.jsonl b.jsonl --metric acc --parquet pairs.parquet

The first log is the control, the second the treatment. Items are paired by their ids, where both asked the same question. Nothing was declared
beforehand, so that every result is exploratory.
"""


def parser() -> flags.Parser:
    """Flags of `import_log`."""
    p = flags.Parser(prog="batchtrial import_log", description="Compare two models pair by pair, from logs of other programs.", epilog=EXAMPLES)
    p.add_argument("control", type=flags.local_path, metavar="CONTROL", help="log of inspect_ai, or samples of lm-evaluation-harness; file or folder")
    p.add_argument("treatment", type=flags.local_path, metavar="TREATMENT", help="the same of what it is compared with")
    p.add_argument("--metric", action="append", default=[], metavar="NAME", help="only this metric; may be given again")
    p.add_argument("--parquet", type=flags.written_file, metavar="FILE", help="write the pairs: item, METRIC_a, METRIC_b")
    p.add_argument("--json", action="store_true", help="the results as JSON")
    p.add_argument("-v", "--verbose", action="store_true", help="say every decision on standard error")
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Read, pair, compare, print."""
    given = parser().parse_args(argv)
    set_up_logging(is_verbose=given.verbose)
    if given.parquet is not None and not given.parquet.parent.is_dir():
        raise ConfigError(f"there is no folder {given.parquet.parent}", where="--parquet", hint="name a file in a folder that is there")
    from batchtrial.cli.screens.imported_logs import lines
    from batchtrial.importing.logs import read_log
    from batchtrial.importing.paired_logs import paired_logs

    found = paired_logs(read_log(given.control), read_log(given.treatment), metrics=given.metric)
    if given.parquet is not None:
        _write_pairs(found, given.parquet)
    if given.json:
        say_json(found.as_json())
        return 0
    for line in lines(found):
        say(line)
    return 0


def _write_pairs(found: PairedLogs, path: Path) -> None:
    import polars as pl

    from batchtrial.phases.tables.arm_table import for_tables
    from batchtrial.state.store import replacing

    sides = [(f"{name}_{side}", arm) for name, pair in found.scores.items() for side, arm in zip("ab", pair, strict=True)]
    frame = pl.DataFrame({"item": found.keys, **{name: pl.Series(arm).fill_nan(None) for name, arm in sides}})
    with replacing(path) as file, for_tables(file) as out:
        frame.write_parquet(out)


main = framed(_command)
