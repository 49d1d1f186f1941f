"""Checks a bundle with nothing but Python: `python verify.py`, beside the files that came with it.

Every file has the sha256 of SHA256SUMS; the archive is whole, and each file in it is as its manifest says; the config and the declared plan have the
hashes that bundle.json names, and the plan's line stood in the ledger before the first result. Exit code 0: all of it holds; 1: it does not.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
import zlib
from pathlib import Path

MANIFEST, SEAL, LEDGER, CONFIG = "archive_manifest.json", "archive_seal.json", "ledger.jsonl", "effective_config.yaml"
SUMS, FACTS = "SHA256SUMS", "bundle.json"
OTHERS = ("CITATION.cff", "README.md", "datacite.json", "verify.py")
"""What a bundle holds besides its archive and these two."""
DIGITS = 64
BLOCK = 2**20
MOST = 2**26
"""Bytes of a list of files, or of a line of a ledger, at most: more is a trap for whoever unpacks it."""
DAMAGED = (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile)
"""What reading files raises that somebody has changed."""


def main(argv: list[str] | None = None) -> int:
    """Say what holds; 1 when anything does not."""
    given = sys.argv[1:] if argv is None else argv
    folder = Path(given[0]) if given else Path(__file__).resolve().parent
    try:
        facts = json.loads((folder / FACTS).read_bytes())
        own = {FACTS, *OTHERS, facts["archive"]}
        faults = [*sums(folder, own), *archive_faults(folder / facts["archive"], facts)]
    except DAMAGED as error:
        faults = [f"the bundle cannot be read: {error}"]
        facts = {}
    for fault in faults:
        sys.stderr.write(f"damaged: {visible(fault)}\n")
    if not faults:
        plan = facts["plan_hash"] or "none: no plan was declared"
        sys.stdout.write(f"run {visible(facts['run_id'])}: every file is as it was archived\nplan hash {visible(plan)}\n")
        further = sorted(path.name for path in folder.iterdir() if path.name not in own | {SUMS})
        sys.stdout.write(f"not of the bundle, and not checked: {visible(', '.join(further))}\n" if further else "")
    return 1 if faults else 0


def visible(text: object) -> str:
    """The text with signs that would give a terminal orders, or hide, as their code points."""
    return "".join(char if char.isprintable() else f"<U+{ord(char):04X}>" for char in str(text))


def sums(folder: Path, own: set[str]) -> list[str]:
    """What is not as SHA256SUMS says, and which of a bundle's own files it says nothing of."""
    faults, named = [], set()
    for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
        want, name = line[:DIGITS], line[DIGITS + 2 :]
        path = folder / name
        named.add(name)
        if "/" in name or "\\" in name or not path.is_file():
            faults.append(f"{name} is gone")
        elif digest(path) != want:
            faults.append(f"{name} is not as it was")
    return faults + [f"{name} is not in {SUMS}" for name in sorted(own - named)]


def digest(path: Path, size: int | None = None) -> str:
    """sha256 of a file, or of its first bytes."""
    state = hashlib.sha256()
    left = path.stat().st_size if size is None else size
    with path.open("rb") as file:
        while left > 0:
            block = file.read(min(BLOCK, left))
            if not block:
                break
            state.update(block)
            left -= len(block)
    return state.hexdigest()


def archive_faults(path: Path, facts: dict[str, str]) -> list[str]:
    """What is wrong with the archive, or does not fit what the bundle says of it."""
    faults = []
    with zipfile.ZipFile(path) as archive:
        if archive.comment[-DIGITS:].decode("ascii", "replace") != digest(path, path.stat().st_size - DIGITS):
            faults.append(f"{path.name}: its bytes are not those that were written")
        with archive.open(MANIFEST) as file:
            files = json.loads(file.read(MOST))["files"]
        inside = set(archive.namelist()) - {MANIFEST, SEAL}
        faults += [f"{name} is not in both the archive and its manifest" for name in sorted(inside ^ set(files))]
        faults += [f"{name} is not as it was archived" for name in sorted(inside & set(files)) if member(archive, name, files[name]) != files[name]]
        if CONFIG in inside and files[CONFIG]["sha256"] != facts["config_hash"]:
            faults.append(f"{CONFIG} is not the config that the bundle names")
        if facts["plan_hash"] and facts["plan_origin"] == "frozen" and facts["plan_hash"] not in plans(archive):
            faults.append(f"no line of {LEDGER} from before the first result has the plan {facts['plan_hash']}")
    return faults


def member(archive: zipfile.ZipFile, name: str, listed: dict[str, object]) -> dict[str, object]:
    """Size and sha256 of a member; nothing of one that is not as large as listed, whose bytes need not be unpacked."""
    state, size = hashlib.sha256(), 0
    if archive.getinfo(name).file_size != listed["size"]:
        return {}
    try:
        with archive.open(name) as file:
            for block in iter(lambda: file.read(BLOCK), b""):
                state.update(block)
                size += len(block)
    except DAMAGED:
        return {}
    return {"size": size, "sha256": state.hexdigest()}


def plans(archive: zipfile.ZipFile) -> list[str]:
    """Hashes of the plans that stood in the ledger before the first result: computed anew; or as the line says that opened the run."""
    found: list[str] = []
    with archive.open(LEDGER) as ledger:
        for line in iter(lambda: ledger.readline(MOST), b""):
            one = json.loads(line) if b'"plan"' in line else {}
            event, detail = one.get("event"), one.get("detail") or {}
            if event == "opened":
                found.append(str((detail.get("plan") or {}).get("hash")))
            elif event == "plan" and not detail.get("results_before"):
                text = json.dumps(detail.get("plan"), sort_keys=True, separators=(",", ":"))
                found.append(hashlib.sha256(text.encode("ascii")).hexdigest())
    return found


if __name__ == "__main__":
    raise SystemExit(main())
