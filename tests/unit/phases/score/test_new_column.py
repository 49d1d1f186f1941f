"""A further column of the scores is one row in one file: averages, tables, exports and reserved names follow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
EDITED = """
import importlib.abc, importlib.machinery, sys
from pathlib import Path
import batchtrial

PATH = Path(batchtrial.__file__).parent / "scoring" / "score_columns.py"
ROW = '    Number("open_rate", lambda one: one.is_open.astype(np.float64)),\\n'


class Edited(importlib.machinery.SourceFileLoader):
    def get_code(self, name):
        first, _, rest = PATH.read_text().partition("NUMBERS: Final = (\\n")
        numbers, end, rest = rest.partition("\\n)\\n")
        return compile(f"{first}NUMBERS: Final = (\\n{numbers}\\n{ROW})\\n{rest}", str(PATH), "exec")


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "batchtrial.scoring.score_columns":
            return importlib.machinery.ModuleSpec(name, Edited(name, str(PATH)), origin=str(PATH))


sys.meta_path.insert(0, Finder())

import polars as pl
from tests.unit.phases.world import closed_items, open_items, world

from batchtrial.phases.parse import phase as parse
from batchtrial.phases.prepare.metrics import _OURS
from batchtrial.phases.score import phase as score

assert {"open_rate", "open_rate_std"} <= _OURS
with world(Path(sys.argv[1]), opened=open_items(2), closed=closed_items(2), samples_per_item=2) as w:
    w.answer_all(lambda arm, dataset, item_id, sample: f"thing {item_id[1:]}")
    w.run(parse.phase)
    w.run(score.phase)
    (arm, _) = w.trial.arms
    table = pl.read_parquet(w.layout.arm(arm.name).scores)
    assert sorted(table["open_rate"].to_list()) == [0.0, 0.0, 1.0, 1.0], table
    assert table["open_rate_std"].to_list() == [0.0] * 4
    w.export()
    exported = pl.read_csv(w.layout.trial(w.trial.slug).scores)
    assert exported["open_rate"].sum() == 4.0
"""


def test_a_new_column_of_the_scores_is_one_edit(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", EDITED, str(tmp_path / "run")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
