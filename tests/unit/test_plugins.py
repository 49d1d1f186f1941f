"""The package that docs/plugins shows, as an installer would leave it: all that it brings in a run, and what breaks beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from tests.small_run import config_tree, write_inputs

from batchtrial.cli.commands.plugins import main as listed
from batchtrial.plugins import GROUPS, OURS, OWN, plugins

TEMPLATE = Path(__file__).resolve().parents[2] / "docs" / "plugins"


def installed(site: Path) -> None:
    """The package and what its metadata say, in a folder that Python looks into. `nox -s plugins` builds and installs it for real."""
    shutil.copytree(TEMPLATE / "src" / "batchtrial_example", site / "batchtrial_example")
    project = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]
    told = site / f"batchtrial_example-{project['version']}.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"].items()
    (told / "entry_points.txt").write_text("".join(f"[{group}]\n" + "".join(f"{a} = {b}\n" for a, b in of.items()) for group, of in groups))


MISLED = """
from batchtrial.config.judge_recipes import JudgeRecipe
from batchtrial.providers.registry import Row
OURS = Row(name="openai", title="another", adapter="misled", speaks="openai")
NONE = (Row(name="fresh", title="f", adapter="a", speaks="s"), 17)
TAKEN = JudgeRecipe(name="tone", rubric="r")
"""


def misled(site: Path) -> None:
    """Names of ours, what is of no use, and a module that ends the program."""
    (site / "misled.py").write_text(MISLED)
    (site / "quits.py").write_text("raise SystemExit(3)\n")
    told = site / "misled-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: misled\nVersion: 1.0\n")
    entries = (
        "[batchtrial.providers]\na = misled:OURS\nb = misled:NONE\n[batchtrial.judges]\nc = misled:TAKEN\n[batchtrial.sources]\nhub = misled:misled\n"
    )
    (told / "entry_points.txt").write_text(f"{entries}[batchtrial.metrics]\nd = misled:OURS\nq = quits:Q\n[batchtrial.exporters]\ne = misled:OURS\n")


def broken(site: Path) -> None:
    (site / "broken.py").write_text("raise RuntimeError('half installed')\n")
    told = site / "broken-2.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 2.0\n")
    (told / "entry_points.txt").write_text("[batchtrial.metrics]\nloud = broken:Loud\n[batchtrial.providers]\nbroken = broken:ROW\n")


def batchtrial(site: Path, cwd: Path, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("BATCHTRIAL_") and not name.endswith("_API_KEY")}
    own |= {"PYTHONPATH": str(site), **env}
    return subprocess.run([sys.executable, "-m", "batchtrial", *argv], cwd=cwd, env=own, capture_output=True, text=True, check=False, timeout=240)


def test_the_package_of_the_docs_is_listed_beside_one_that_does_not_import(tmp_path: Path) -> None:
    installed(tmp_path)
    broken(tmp_path)
    told = json.loads(batchtrial(tmp_path, tmp_path, "plugins", "--json").stdout)["plugins"]
    others = {(one["group"], one["name"]): (one["origin"], one["version"], one["fault"]) for one in told if one["origin"] != OURS}
    assert others == {
        ("batchtrial.providers", "example"): ("batchtrial-example", "0.1.0", ""),
        ("batchtrial.metrics", "shouting"): ("batchtrial-example", "0.1.0", ""),
        ("batchtrial.sources", "counting"): ("batchtrial-example", "0.1.0", ""),
        ("batchtrial.exporters", "sentences"): ("batchtrial-example", "0.1.0", ""),
        ("batchtrial.judges", "brevity"): ("batchtrial-example", "0.1.0", ""),
        ("batchtrial.metrics", "loud"): ("broken", "2.0", "RuntimeError: half installed"),
        ("batchtrial.providers", "broken"): ("broken", "2.0", "RuntimeError: half installed"),
    }
    assert len(told) > len(others)
    none = json.loads(batchtrial(tmp_path, tmp_path, "plugins", "--json", BATCHTRIAL_PLUGINS="none").stdout)["plugins"]
    assert {one["origin"] for one in none} == {OURS}


def test_what_takes_a_name_of_ours_or_is_of_no_use_is_told_and_none_of_it_is_used(tmp_path: Path) -> None:
    misled(tmp_path)
    (tmp_path / "misled.py").write_text(MISLED + "def misled(spec): return []\n")
    done = batchtrial(tmp_path, tmp_path, "plugins", "--json")
    assert done.returncode == 0, done.stderr
    told = {one["name"]: one["fault"] for one in json.loads(done.stdout)["plugins"] if one["origin"] != OURS}
    assert told.pop("fresh") == ""
    assert told.pop("q") == "SystemExit: 3"
    assert {name for name, fault in told.items() if fault == "the name is taken"} == {"openai", "tone", "hub"}
    assert {name: fault[:17] for name, fault in told.items() if fault != "the name is taken"} == dict.fromkeys("bde", "it is not what th")


def test_of_a_name_that_two_packages_bring_neither_is_used(tmp_path: Path) -> None:
    """The one that came last had the name: a config's key went to another package's host."""
    installed(tmp_path)
    (tmp_path / "twin.py").write_text(
        "from batchtrial.providers.registry import Row\nROW = Row(name='example', title='Twin', adapter='twin', speaks='twin')\n"
    )
    told = tmp_path / "twin-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: twin\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[batchtrial.providers]\nmine = twin:ROW\n")
    why = "several packages bring example: batchtrial-example, twin"
    listed = json.loads(batchtrial(tmp_path, tmp_path, "plugins", "--json").stdout)["plugins"]
    assert [one["fault"] for one in listed if one["name"] == "example"] == [why, why]
    assert [one["fault"] for one in listed if one["name"] == "shouting"] == [""]
    write_inputs(tmp_path, 1)
    (tmp_path / "c.json").write_text(json.dumps(config_tree("example", poll_seconds=60)))
    done = batchtrial(tmp_path, tmp_path, "run", "--config", "c.json", "--run_id", "r", "--dry_run", "--plan_only")
    assert done.returncode == 2
    assert why in done.stderr


def test_a_run_with_everything_that_the_package_brings(tmp_path: Path) -> None:
    pytest.importorskip("openai")
    site, work = tmp_path / "site", tmp_path / "work"
    site.mkdir()
    installed(site)
    write_inputs(work, 1)
    sums = {"name": "sums", "source": "counting", "kind": "closed", "max_items": 2}
    config = config_tree("example", poll_seconds=60, metrics=["shouting"], datasets=[sums], judges=[{"name": "short", "rubric": "brevity"}])
    (work / "c.json").write_text(json.dumps(config))
    done = batchtrial(site, work, "run", "--config", "c.json", "--run_id", "r", "--dry_run", "--record_dir", "tape")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 missing" in done.stdout
    (scores,) = work.glob("experiments/run_r/*/results/per_item_scores.csv")
    assert "shouting" in scores.read_text().splitlines()[0]
    frozen = (work / "experiments" / "run_r" / "effective_config.yaml").read_text()
    assert "fitting: 1.0" in frozen
    assert "kind: choice" in frozen
    told = batchtrial(site, work, "export", "--run_id", "r", "--sentences", "lines.txt")
    assert "lines.txt: " in told.stdout, told.stdout + told.stderr
    assert "shouting" in (work / "lines.txt").read_text()
    assert "short" in (work / "lines.txt").read_text()
    assert json.loads((work / "tape" / "metadata.json").read_text())["provider"] == "example"
    (work / "d.json").write_text(json.dumps({**config, "judges": []}))
    without = batchtrial(site, work, "run", "--config", "d.json", "--run_id", "s", "--dry_run", BATCHTRIAL_PLUGINS="none")
    assert without.returncode == 2
    assert "there is no backend 'example'" in without.stderr


def test_a_rubric_that_a_broken_package_would_have_brought_is_told_with_the_reason(tmp_path: Path) -> None:
    broken(tmp_path)
    write_inputs(tmp_path, 1)
    (tmp_path / "c.json").write_text(json.dumps(config_tree("openai", poll_seconds=60, judges=[{"name": "short", "rubric": "brevity"}])))
    told = batchtrial(tmp_path, tmp_path, "run", "--config", "c.json", "--run_id", "r", "--dry_run", "--plan_only")
    assert told.returncode == 2
    assert "there is no file brevity" in told.stderr
    assert "half installed" in told.stderr


def test_a_provider_is_listed_with_how_well_its_wire_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(["--json"]) == listed([]) == 0
    told, _, lines = capsys.readouterr().out.partition("\n}\n")
    known = {one["name"]: (one["maturity"], one["docs"]) for one in json.loads(told + "}")["plugins"] if one["group"] == "batchtrial.providers"}
    assert (known["openai"], known["groq"]) == (("recorded", "docs/providers.md"), ("emulated", "docs/providers.md"))
    assert re.search(r"  groq +batchtrial \S+  emulated\n", lines)


def test_our_own_come_through_the_same_door() -> None:
    for group in {point.group for point in OWN}:
        own = [one for one in plugins(group) if one.origin == OURS]
        assert own
        assert not [one.fault for one in own if one.fault]
    assert {point.group for point in OWN} <= set(GROUPS)
