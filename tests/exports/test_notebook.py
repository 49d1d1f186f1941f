"""The notebook of the docs, executed in a kernel of its own, and a kernel's run beside the command line's: the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.small_run import config_tree, write_inputs

from batchtrial.state.layout import RunLayout

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "notebook.ipynb"
STOPPED = """
import json, threading
from pathlib import Path
import numpy as np
import batchtrial

np.seterr(all="raise")
ended = threading.Event()
def busy():
    some = np.random.default_rng(1).random((128, 128))
    while not ended.wait(0.005):
        some @ some
threads = [threading.Thread(target=busy) for _ in range(2)]
[one.start() for one in threads]
told = []
def stop_it(update):
    told.append(update)
    if update.label == "submit" and update.done == 2:
        threading.Thread(target=batchtrial.stop, args=("notebook",)).start()
try:
    batchtrial.start("trial.yaml", run_id="notebook", dry_run=True, on_update=stop_it)
except batchtrial.errors.Stopped:
    print("stopped")
run = batchtrial.resume("notebook")
ended.set()
print(run.status.standing, run.pairs().height, run.status.outcomes.succeeded)
"""


def executed(source: str | None, folder: Path) -> list[str]:
    """What the cells print, run in a kernel whose working directory is this folder."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    book = nbformat.read(NOTEBOOK, as_version=4) if source is None else nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [one for cell in book.cells if cell.cell_type == "code" for one in cell.outputs]
    return [one.get("text") or one.get("data", {}).get("text/html", "") + one.get("data", {}).get("text/plain", "") for one in outputs]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_notebook_of_the_docs_runs_to_its_end(tmp_path: Path) -> None:
    told = "\n".join(executed(None, tmp_path))
    assert "SIMULATED ANSWERS" in told
    assert "finished" in told


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_notebook_s_run_has_the_bytes_of_the_command_line(tmp_path: Path) -> None:
    write_inputs(tmp_path, 8)
    (tmp_path / "trial.yaml").write_text(json.dumps(config_tree("openai", poll_seconds=60) | {"report": {"answers_page": True}}))
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    command = [sys.executable, "-m", "batchtrial", "run", "--config", "trial.yaml", "--dry_run", "--run_id", "line"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "".join(executed(STOPPED, tmp_path)) == "stopped\nfinished 8 16\n"
    runs = [RunLayout(tmp_path / "experiments" / f"run_{name}") for name in ("line", "notebook")]
    files = [{path.relative_to(run.root).as_posix(): path.read_bytes() for path in run.artifacts()} for run in runs]
    assert files[0].keys() == files[1].keys()
    assert "answers.html" in files[0]
    assert [name for name in files[0] if files[0][name] != files[1][name]] == []
