"""The house as a table: imports go downwards only, and rooms of one floor do not know each other. One case a rule."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src" / "batchtrial"

BASE = ("amounts", "errors", "names", "records", "keys", "clock", "modes", "plugins", "steps", "visible")
MATTERS = ("state", "providers", "scoring", "sources")
STEPS = ("phases/prepare", "phases/build", "phases/batches", "phases/parse", "phases/score", "phases/judge", "phases/analyse", "phases/report")
"""In the order of the pipeline: a step may use what comes before it, never what comes after."""
BELOW_PHASES = ("config", "tasks", *MATTERS, "stats", "prices", *BASE)
BELOW_READING = ("phases", "phases/tables", *STEPS, *BELOW_PHASES)
BELOW_UPKEEP = ("run", "archive", "reading", *BELOW_READING)
BELOW_APP = ("upkeep", "earlier", *BELOW_UPKEEP)

ROOMS: dict[str, tuple[str, ...]] = {
    "errors": (),
    "records": ("errors",),
    "amounts": (),
    "names": (),
    "keys": ("errors", "records", "names"),
    "clock": (),
    "modes": (),
    "plugins": (),
    "steps": (),
    "visible": (),
    "stats": BASE,
    "prices": BASE,
    "direct": (),
    "emulator": ("direct",),
    "state": BASE,
    "providers": ("direct", "prices", *BASE),
    "scoring": BASE,
    "sources": BASE,
    "tasks": BASE,
    "config": ("tasks", "sources", "scoring", "providers", "prices", *BASE),
    "phases": BELOW_PHASES,
    "phases/tables": ("phases", *BELOW_PHASES),
    **{step: ("phases", "phases/tables", *STEPS[:place], *BELOW_PHASES) for place, step in enumerate(STEPS)},
    "reading": ("direct", *BELOW_READING),
    "run": ("reading", *BELOW_READING),
    "archive": ("reading", *BELOW_READING),
    "upkeep": BELOW_UPKEEP,
    "earlier": BELOW_UPKEEP,
    "app": ("direct", "emulator", *BELOW_APP),
    "testing": ("providers", "api", *BASE),
    "api": ("viewer", "app", *BELOW_APP),
    "cli/screens": ("importing", "cli", "app", *BELOW_APP),
    "viewer": ("reading", *BELOW_READING),
    "exporting": ("reading", *BELOW_READING),
    "importing": ("phases/analyse", "stats", "scoring", "config", "tasks", "sources", "providers", *BASE),
    "cli/commands": ("importing", "exporting", "viewer", "cli/screens", "cli", "app", *BELOW_APP),
    "cli": ("cli/commands", "app", *BELOW_APP),
    "selftest": ("viewer", "cli/commands", "cli/screens", "cli", "app", "emulator", *BELOW_APP),
}
"""What each room may import besides itself, from the bottom of the house to its top."""

FILES = sorted({path.relative_to(SRC).as_posix() for path in SRC.rglob("*.py")} - {"__init__.py", "__main__.py"})


def room_of(name: str) -> str:
    """The room of a module's path or dotted name: the longest row of the table that it stands under."""
    parts = name.removesuffix(".py").replace(".", "/").split("/")
    return next((room for room in ("/".join(parts[:2]), parts[0]) if room in ROOMS), parts[0])


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Modules and names of ours that the file imports, as paths without the package's name."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "batchtrial":
            found += (f"{node.module}.{alias.name}".removeprefix("batchtrial.").replace(".", "/") for alias in node.names)
        if isinstance(node, ast.Import):
            ours = (alias.name for alias in node.names if alias.name.startswith("batchtrial."))
            found += (name.removeprefix("batchtrial.").replace(".", "/") for name in ours)
    return tuple(found)


def offenders(is_wrong: Callable[[str, str], bool]) -> list[str]:
    """Every import of the tree that a rule forbids, as `file -> what it imports`."""
    return sorted(f"{name} -> {found}" for name in FILES for found in imports(SRC / name) if is_wrong(name, found))


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    allowed = {room, "__version__", *ROOMS[room]}
    assert offenders(lambda name, found: room_of(name) == room and room_of(found) not in allowed) == []


def test_every_module_stands_in_a_room_of_the_table() -> None:
    assert [name for name in FILES if room_of(name) not in ROOMS] == []


def test_every_room_of_the_table_holds_modules() -> None:
    assert set(ROOMS) == {room_of(name) for name in FILES}


def test_only_a_process_at_work_and_its_tests_name_an_adapter() -> None:
    adapters = {"providers/direct", "providers/fireworks", "providers/openai", "providers/anthropic", "providers/recordings"}

    def is_wrong(name: str, found: str) -> bool:
        is_above = room_of(name) not in ("providers", "selftest", "app")
        return is_above and "/".join(found.split("/")[:2]) in adapters

    assert offenders(is_wrong) == []


def test_only_the_process_at_work_and_its_tests_know_the_emulator() -> None:
    known_to = {"app/emulator.py", "cli/main.py"}
    assert (
        offenders(lambda name, found: found.startswith("emulator") and not name.startswith(("emulator/", "selftest/")) and name not in known_to) == []
    )


def test_phases_know_what_a_provider_is_and_none_of_them() -> None:
    assert (
        offenders(
            lambda name, found: (
                name.startswith("phases/") and found.startswith("providers/") and not found.startswith(("providers/base", "providers/registry"))
            )
        )
        == []
    )


def test_phases_hold_steps_and_no_loose_module_beside_them() -> None:
    loose = {name.removeprefix("phases/") for name in FILES if name.startswith("phases/") and name.count("/") == 1}
    assert loose <= {"__init__.py", "base.py", "waves.py"}


def test_every_step_has_its_phase_in_front() -> None:
    assert [step for step in STEPS if not (SRC / step / "phase.py").exists() and step not in ("phases/analyse", "phases/batches")] == []


def test_only_the_command_line_reads_flags() -> None:
    readers = ("cli/", "app/invocation", "emulator/", "prices/", "selftest/")
    wrong = []
    for name in FILES:
        tree = ast.parse((SRC / name).read_text(encoding="utf-8"))
        taken = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        wrong += [name] if "argparse" in taken and not name.startswith(readers) else []
    assert wrong == []


def test_no_two_rooms_import_each_other() -> None:
    reached = {(room_of(name), room_of(found)) for name in FILES for found in imports(SRC / name)}
    assert sorted({tuple(sorted(pair)) for pair in reached if pair[0] != pair[1] and pair[::-1] in reached}) == []


def test_the_rule_bites(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("import batchtrial.cli.commands.run\nfrom batchtrial import phases\nfrom batchtrial.state import ledger\n")
    found = set(imports(bad))
    assert found == {"cli/commands/run", "phases", "state/ledger"}
    assert {room_of(one) for one in found} == {"cli/commands", "phases", "state"}
