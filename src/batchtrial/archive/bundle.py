"""A bundle: a folder to deposit and cite, with the run's archive, what it is, who made it, and a script that checks it without batchtrial."""

from __future__ import annotations

import hashlib
import platform
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Final

import yaml

from batchtrial import __version__
from batchtrial.archive import check_bundle
from batchtrial.archive.zip import ArchiveManifest
from batchtrial.errors import ConfigError, StateError
from batchtrial.modes import MODES
from batchtrial.reading.declared_plan import DeclaredPlan
from batchtrial.state.store import TEMP_SUFFIX, decode_json, encode_json, write_bytes

SCRIPT: Final = "verify.py"
LICENCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
NAME: Final = re.compile(r"[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What whoever deposits the run says of it. creators: `Family, Given`, or an organisation's name. licence: an SPDX id, such as CC-BY-4.0."""

    title: str
    creators: tuple[str, ...]
    licence: str
    publisher: str = ""

    def __post_init__(self) -> None:
        if not self.creators or not all(one.strip() for one in self.creators):
            raise ConfigError("a bundle that is cited has an author", where="--creator", hint='--creator "Family, Given", once for each')
        if not LICENCE.fullmatch(self.licence):
            raise ConfigError(f"{self.licence!r} is no SPDX id", where="--license", hint="for example --license CC-BY-4.0")


def check_target(folder: Path, archive: str) -> None:
    """Raises StateError for a folder that holds something else than a bundle of this run, or what a killed process left of one.

    archive: what the run's archive is called there.
    """
    if not folder.exists():
        return
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else {""}
    facts = folder / check_bundle.FACTS
    try:
        is_ours = decode_json(facts.read_bytes())["archive"] == archive
    except (OSError, ValueError, LookupError, TypeError):
        is_ours = not {name for name in there if not name.endswith(TEMP_SUFFIX)} - {archive, facts.name}
    if not is_ours:
        raise StateError(f"{folder} holds something else than a bundle of this run", where="--bundle", hint="name a folder that is not there yet")


def write_bundle(folder: Path, archive: Path, manifest: ArchiveManifest, plan: DeclaredPlan, about: About) -> None:
    """Write everything beside the archive, which lies in the folder already; sums last."""
    facts = {
        "run_id": manifest.run_id,
        "archive": archive.name,
        "archive_sha256": check_bundle.digest(archive),
        "config_hash": manifest.config_hash,
        "plan_hash": plan.hash,
        "plan_origin": plan.origin,
        "license": about.licence,
        "environment": environment(),
    }
    files = {
        check_bundle.FACTS: encode_json(facts),
        "CITATION.cff": yaml.safe_dump(citation(manifest, plan, about), sort_keys=False, allow_unicode=True, width=140).encode(),
        "datacite.json": encode_json(datacite(manifest, plan, about, archive.stat().st_size)),
        "README.md": readme(manifest, plan, about, archive.name).encode(),
        SCRIPT: Path(check_bundle.__file__).read_bytes(),
    }
    for name, data in files.items():
        write_bytes(folder / name, data)
    sums = {**{name: hashlib.sha256(data).hexdigest() for name, data in files.items()}, archive.name: facts["archive_sha256"]}
    write_bytes(folder / check_bundle.SUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode())


def environment() -> dict[str, Any]:
    """What archived the run: Python, the kind of machine, and the versions of batchtrial and of the packages that it names."""
    packages = {"batchtrial": __version__}
    try:
        needed = requires("batchtrial") or []
    except PackageNotFoundError:  # from a bare checkout
        needed = []
    for requirement in needed:
        found = NAME.match(requirement)
        if found is not None and found[0] != "batchtrial":
            try:
                packages[found[0].lower()] = version(found[0])
            except PackageNotFoundError:
                continue  # of an extra that is not installed
    machine = {"system": platform.system(), "machine": platform.machine()}
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        **machine,
        "packages": dict(sorted(packages.items())),
    }


def abstract(manifest: ArchiveManifest, plan: DeclaredPlan) -> str:
    """What it is, in a few sentences."""
    counts = manifest.requests
    said = [
        f"A controlled trial of prompts: {counts.total:,} requests, {counts.succeeded:,} of them answered.",
        _planned(plan),
        "It was changed after the first result had arrived." if any(change.is_late for change in plan.changes) else "",
        f"Cost: {manifest.cost}." if manifest.cost else "",
        manifest.description,
        MODES[manifest.mode].banner if manifest.mode in MODES else "",
    ]
    return " ".join(one for one in said if one)


def _planned(plan: DeclaredPlan) -> str:
    if not plan.hash:
        return "No analysis plan was declared beforehand."
    if plan.is_default:
        return f"The analysis follows the default plan (sha256 {plan.hash}): nobody wrote one for it."
    return f"The analysis plan was declared before the first result (sha256 {plan.hash})."


def _day(manifest: ArchiveManifest) -> str | None:
    return None if manifest.finished_at is None else f"{manifest.finished_at:%Y-%m-%d}"


def citation(manifest: ArchiveManifest, plan: DeclaredPlan, about: About) -> dict[str, Any]:
    """CITATION.cff 1.2.0."""
    day = _day(manifest)
    kind = "default" if plan.is_default else "declared"
    identifiers = [{"type": "other", "value": f"sha256:{plan.hash}", "description": f"The {kind} analysis plan."}] if plan.hash else []
    return {
        "cff-version": "1.2.0",
        "message": "If you use these data, please cite them as below.",
        "type": "dataset",
        "title": about.title,
        "authors": [_person(one) for one in about.creators],
        "license": about.licence,
        **({"date-released": day} if day else {}),
        "version": manifest.run_id,
        "abstract": abstract(manifest, plan),
        **({"identifiers": identifiers} if identifiers else {}),
    }


def _person(name: str) -> dict[str, str]:
    family, comma, given = (one.strip() for one in name.partition(","))
    return {"family-names": family, "given-names": given} if comma and given else {"name": name.strip()}


def datacite(manifest: ArchiveManifest, plan: DeclaredPlan, about: About, size: int) -> dict[str, Any]:
    """Metadata as DataCite's schema 4 has them, without the DOI that the repository gives."""
    day = _day(manifest)
    return {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Controlled prompt trial"},
        "creators": [_creator(one) for one in about.creators],
        "titles": [{"title": about.title}],
        "publisher": {"name": about.publisher or "(:unav)"},
        "publicationYear": day[:4] if day else "(:unav)",
        **({"dates": [{"date": day, "dateType": "Created"}]} if day else {}),
        "version": manifest.run_id,
        "descriptions": [{"description": abstract(manifest, plan), "descriptionType": "Abstract"}],
        "rightsList": [{"rights": about.licence, "rightsIdentifier": about.licence, "rightsIdentifierScheme": "SPDX"}],
        "formats": ["application/zip"],
        "sizes": [f"{size} bytes"],
        **({"alternateIdentifiers": [_plan_identifier(plan.hash)]} if plan.hash else {}),
    }


def _creator(name: str) -> dict[str, str]:
    person = _person(name)
    if "name" in person:
        return {"name": person["name"], "nameType": "Organizational"}
    family, given = person["family-names"], person["given-names"]
    return {"name": f"{family}, {given}", "givenName": given, "familyName": family, "nameType": "Personal"}


def _plan_identifier(plan: str) -> dict[str, str]:
    return {"alternateIdentifier": plan, "alternateIdentifierType": "sha256 of the analysis plan"}


def readme(manifest: ArchiveManifest, plan: DeclaredPlan, about: About, archive: str) -> str:
    """README.md."""
    reports = [links["report"] for links in manifest.trials.values() if "report" in links]
    lines = [
        f"# {about.title}",
        "",
        abstract(manifest, plan),
        "",
        f"By {'; '.join(about.creators)}. Licence: {about.licence}. Run {manifest.run_id}, batchtrial {__version__}.",
        "",
        "## What is here",
        "",
        f"- `{archive}`: the run: config, questions, requests, answers as they came, scores, tests, reports, and the ledger of what was bought.",
        *(f"- in it `{name}`: the report of a trial; `report.html` is the same as a page" for name in reports),
        "- `CITATION.cff`, `datacite.json`: how to cite it, for people and repositories",
        "- `bundle.json`: hashes of archive, config and plan, and the environment that archived the run",
        "- `verify.py`, `SHA256SUMS`: how to check it",
        "",
        "## Checking it",
        "",
        "`python verify.py` needs nothing but Python. With batchtrial, `batchtrial archive --restore " + archive + "` brings the run back, and",
        "`batchtrial rescore` computes every number of its reports again.",
        "",
        "## What was declared",
        "",
        plan.statement,
        "",
        *(f"- {about_what}: {text}" for about_what, text in plan.words),
    ]
    return "\n".join(lines).rstrip() + "\n"
