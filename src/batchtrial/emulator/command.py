"""`batchtrial emulate`: the emulator as a server for any program."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from batchtrial.emulator.answers.modelfile import ModelFile, ModelFileError, load_model
from batchtrial.emulator.answers.recording import Recording, RecordingError
from batchtrial.emulator.answers.upstream import DRAIN_SECONDS, Upstream, UpstreamUrlError, address_of
from batchtrial.emulator.serve.app import make_app
from batchtrial.emulator.serve.server import Server, listen, publish, ready_record, url_of
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.world.faults import FaultFileError, Rule, load_rules
from batchtrial.emulator.world.world import World, WorldError

EXAMPLES = """examples:
  # a world in ./world on a free port, time moving 100 times as fast as outside
  batchtrial emulate --port 0 --state world --seed 7 --clock real --speed 100

  # for a test: time stands still until POST /_emulator/clock {"advance_seconds": 30}
  batchtrial emulate --port 0 --state world --seed 7 --clock manual --ready_file ready.json --parent_pid $$

  # the second batch is lost on its way back to the client
  echo '[{"match": {"op": "create"}, "on": [2], "do": {"close_after_commit": true}}]' > faults.json
  batchtrial emulate --port 8123 --state world --seed 7 --faults faults.json

  # a llama.cpp, Ollama or vLLM server becomes a batch provider
  batchtrial emulate --port 8123 --state world --upstream http://127.0.0.1:8080

All wires are served on one port. Bill: GET /_emulator/ledger. All faults and fields: docs/emulator.md.
"""


def local_path(text: str) -> Path:
    """A path of this machine, and no address, which would become a folder called `s3:`."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text):
        raise argparse.ArgumentTypeError(f"{text!r} is an address; a folder or file of this machine is needed")
    return Path(text)


def parser() -> argparse.ArgumentParser:
    """The flags of the command."""
    found = argparse.ArgumentParser(
        prog="batchtrial emulate",
        description="Serve the batch APIs of Fireworks, OpenAI and Anthropic on this machine, with simulated answers.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = found.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    add("--port", type=int, default=0, help="port to listen on; 0 takes a free one (default)")
    add("--state", type=local_path, required=True, metavar="DIR", help="folder of the world; used again, it is continued")
    add("--seed", type=int, default=None, metavar="N", help="seed of ids and answers (default: the world's own, or 0)")
    add("--faults", type=local_path, metavar="FILE", help="fault rules, JSON or YAML")
    add("--model", type=local_path, metavar="FILE", help="simulated model: answer key, arms, planted effect (JSON)")
    add("--ready_file", type=local_path, metavar="PATH", help="written with url and pid as JSON once the server answers")
    add("--clock", choices=("manual", "real"), default="real", help="real follows the wall clock (default)")
    add("--speed", type=float, default=1.0, metavar="X", help="virtual seconds per real second (default 1)")
    add("--batch_seconds", type=float, default=None, metavar="S", help="usual life of a batch, virtual seconds (default 30)")
    add("--upstream", metavar="URL", help="OpenAI-compatible server that answers the requests instead of the simulated model")
    add("--upstream_concurrency", type=int, default=2, metavar="N", help="requests under way at that server (default 2)")
    add("--upstream_timeout", type=float, default=600.0, metavar="S", help="patience with one request there, seconds (default 600)")
    add("--answers", type=local_path, metavar="PATH", help="recording (folder or ZIP) whose answers are given instead of the simulated model's")
    rule = "answer every request by rule: echo (the last user turn), json (a JSON object), template FILE ({user}, {system}, {model} and so on)"
    add("--answer", nargs="+", metavar="RULE", help=rule)
    add("--parent_pid", type=int, metavar="PID", help="stop when that process is gone")
    add("--quiet", action="store_true", help="print nothing but errors")
    return found


def underscored(argv: Sequence[str]) -> list[str]:
    """`--ready-file` is read as `--ready_file`; values stay as they are."""
    found = []
    for token in argv:
        name, equals, value = token.partition("=")
        found.append(f"--{name[2:].replace('-', '_')}{equals}{value}" if name.startswith("--") else token)
    return found


class _Usage(Exception):
    """A flag or a file that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the flags and the files they name amount to."""

    model: ModelFile
    rules: tuple[Rule, ...]
    address: str | None
    recording: Recording | None


def _load(options: argparse.Namespace) -> Setup:
    if options.speed <= 0:
        raise _Usage("--speed must be above 0")
    if not 0 <= options.port <= 65535:
        raise _Usage("--port must be from 0 to 65535")
    try:
        model = _by_rule(load_model(options.model), options.answer)
        rules = load_rules(options.faults) if options.faults else ()
        address = address_of(options.upstream) if options.upstream else None
        recording = Recording(options.answers) if options.answers else None
    except (ModelFileError, FaultFileError, UpstreamUrlError, RecordingError) as err:
        raise _Usage(str(err)) from None
    if options.batch_seconds is not None:
        if options.batch_seconds <= 0:
            raise _Usage("--batch_seconds must be above 0")
        model = model.model_copy(update={"batch_seconds": options.batch_seconds})
    if options.upstream_concurrency < 1 or options.upstream_timeout <= 0:
        raise _Usage("--upstream_concurrency and --upstream_timeout must be above 0")
    if address is not None and recording is not None:
        raise _Usage("--upstream and --answers exclude each other")
    return Setup(model=model, rules=rules, address=address, recording=recording)


def _by_rule(model: ModelFile, words: Sequence[str] | None) -> ModelFile:
    """The model with the rule of `--answer`, if there is one. Raises _Usage."""
    match list(words or ()):
        case []:
            return model
        case ["echo" | "json" as rule]:
            return model.model_copy(update={"answer": rule, "template": None})
        case ["template", name]:
            try:
                text = Path(name).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as err:
                raise _Usage(f"--answer template {name}: {err}") from None
            return model.model_copy(update={"answer": None, "template": text.removesuffix("\n")})
        case other:
            raise _Usage(f"--answer {' '.join(other)}: expected echo, json or template FILE")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server until it is told to stop.

    Returns 0 after a clean stop, 1 when it cannot listen, 2 for a bad flag or file, 3 when the world's folder refuses.
    """
    options = parser().parse_args(underscored(sys.argv[1:] if argv is None else argv))
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        setup = _load(options)
        world = World(options.state, seed=options.seed, mode=options.clock, speed=options.speed, wall=time.time)
    except _Usage as err:
        sys.stderr.write(f"batchtrial emulate: {err}\n")
        return 2
    except WorldError as err:
        sys.stderr.write(f"batchtrial emulate: {err}\n")
        return 3
    try:
        return _serve(options, world, setup)
    finally:
        world.close()


def _serve(options: argparse.Namespace, world: World, setup: Setup) -> int:
    model, rules, address = setup.model, setup.rules, setup.address
    try:
        sock = listen(options.host, options.port)
    except OSError as err:
        sys.stderr.write(f"batchtrial emulate: cannot listen on {options.host}:{options.port}: {err.strerror}\n")
        return 1

    upstreams: list[Upstream] = []

    def app() -> tuple[ASGIApp, Service]:
        service = Service(world, model, is_upstream=address is not None, recorded=setup.recording.answer if setup.recording else None)
        service.set_rules("file", rules)
        if address is not None:
            upstreams.append(
                Upstream(
                    service,
                    address,
                    concurrency=options.upstream_concurrency,
                    timeout_seconds=options.upstream_timeout,
                    api_key=os.environ.get("UPSTREAM_API_KEY"),
                )
            )
            upstreams[0].start()
        return make_app(service, upstreams[0] if upstreams else None), service

    record = ready_record(url_of(sock, options.host))

    def when_ready() -> None:
        if options.ready_file is not None:
            publish(options.ready_file, record)
        if not options.quiet:
            sys.stdout.write(greeting(record))
            sys.stdout.flush()

    def finish() -> None:
        for upstream in upstreams:
            upstream.drain(DRAIN_SECONDS)

    Server(app, sock).run(when_ready, options.parent_pid, finish)
    return 0


def greeting(record: dict[str, object]) -> str:
    """What the terminal shows: where the server is, and how to point each SDK at it."""
    return (
        f"emulator listening on {record['url']}\n"
        "point an SDK at it with these variables; any key is accepted unless it contains 'invalid':\n"
        f"  export FIREWORKS_BASE_URL={record['fireworks_base_url']} FIREWORKS_API_KEY=any FIREWORKS_ACCOUNT_ID=test\n"
        f"  export OPENAI_BASE_URL={record['openai_base_url']} OPENAI_API_KEY=any\n"
        f"  export ANTHROPIC_BASE_URL={record['anthropic_base_url']} ANTHROPIC_API_KEY=any\n"
        f"bill: {record['url']}/_emulator/ledger\n"
    )
