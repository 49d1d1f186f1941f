"""Short excerpts of the files of a real run: `python docs/examples.py RUN_DIR` rewrites docs/file_examples.json, which docs/files.md shows.

What is long is cut: texts after some letters, lists and mappings of records after the first. A test makes such a run and compares the keys.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
STORE = HERE / "file_examples.json"
LETTERS, ROWS, WIDTH = 56, 3, 130
FIXED: dict[str, dict[str, Any]] = {"run.lock": {"pid": 4711, "host": "laptop"}}
"""Values of the machine that an example should not carry."""

SHOWN = (".json", ".jsonl", ".csv", ".lock")


def general_name(path: Path, run: Path) -> str:
    """The path inside the run with what varies put into capitals, as docs/files.md writes it."""
    name = path.relative_to(run).as_posix()
    name = re.sub(r"^emulator/.*", "emulator/", name)
    name = re.sub(r"^batch_inputs/retries/.*_a\d+\.jsonl$", "batch_inputs/retries/PART_aN.jsonl", name)
    name = re.sub(r"^batch_inputs/[^/]*_p\d+\.jsonl$", "batch_inputs/PART.jsonl", name)
    name = re.sub(r"^arms/[^/]+/p\d+/", "arms/ARM/pNN/", name)
    name = re.sub(r"^arms/[^/]+/(?=[^/]+$)", "arms/ARM/", name)
    return re.sub(r"^[^/]+/(results|reports)/", r"TRIAL/\1/", name)


def cut(value: Any) -> Any:
    """The value with everything long made short."""
    if isinstance(value, str):
        return value if len(value) <= LETTERS else f"{value[:LETTERS]}..."
    if isinstance(value, list):
        return [cut(one) for one in value[:1]]
    if isinstance(value, dict):
        forms = {tuple(one) if isinstance(one, dict) else None for one in value.values()}
        is_table = len(value) >= ROWS and len(forms) == 1 and None not in forms
        return {key: {} if key == "config" else cut(one) for key, one in list(value.items())[: 1 if is_table else None]}
    return value


def dense(value: Any, indent: int = 0) -> str:
    """JSON that breaks lines only where they would be long."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    pad = "\n" + " " * (indent + 2)
    if isinstance(value, list):
        return "[" + pad + f",{pad}".join(dense(one, indent + 2) for one in value) + "\n" + " " * indent + "]"
    return "{" + pad + f",{pad}".join(f"{json.dumps(key)}: {dense(one, indent + 2)}" for key, one in value.items()) + "\n" + " " * indent + "}"


def excerpt(path: Path) -> str:
    """The first record of a file, a row of CSV by its columns; of the ledger, one line of each event."""
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".json", ".lock"):
        return dense(cut(json.loads(text) | FIXED.get(path.name, {})))
    lines = text.splitlines()
    if path.suffix == ".csv":
        return dense(cut(next(csv.DictReader(lines))))
    if path.name == "ledger.jsonl":
        lines = [re.sub(r'"host":"[^"]*"', '"host":"laptop"', line) for line in lines]
        lines = list({json.loads(line)["event"]: line for line in reversed(lines)}.values())[::-1]
        return "\n".join(dense(cut(json.loads(line))) for line in lines)
    return dense(cut(json.loads(lines[0])))


def excerpts(run: Path) -> dict[str, str]:
    """Excerpt by general name, of the first file of each."""
    found: dict[str, str] = {}
    for path in sorted(run.rglob("*")):
        name = general_name(path, run)
        if path.is_file() and path.suffix in SHOWN and not name.startswith((".", "emulator/")) and name not in found:
            found[name] = excerpt(path)
    return found


def keys(value: Any, at: str = "") -> Iterator[str]:
    """Every path of keys inside a value."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield f"{at}.{key}"
            yield from keys(one, f"{at}.{key}")
    elif isinstance(value, list):
        for one in value:
            yield from keys(one, f"{at}[]")


def form(text: str) -> list[str]:
    """What must not change without the page: the paths of keys, by event in the ledger."""
    decoder, records, rest = json.JSONDecoder(), [], text
    while rest.strip():
        record, end = decoder.raw_decode(rest.lstrip())
        records.append(record)
        rest = rest.lstrip()[end:]
    return sorted({path for record in records for path in keys(record, str(record.get("event", "")))})


if __name__ == "__main__":
    STORE.write_text(json.dumps(excerpts(Path(sys.argv[1])), indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
