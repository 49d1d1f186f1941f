"""The viewer's server: the page's own files, runs and their pairs as JSON, labels and the stop request. It writes nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from batchtrial.errors import ConfigError, RunnerError, RunStateMissing, StateError
from batchtrial.keys import check_run_id
from batchtrial.reading import pages
from batchtrial.reading.as_published import REPLACED, named_damage
from batchtrial.reading.ask import Ask, read_ask
from batchtrial.reading.drawn import check_known
from batchtrial.reading.inventory import Inventory
from batchtrial.reading.labels import labels_json
from batchtrial.reading.long_texts import page_of
from batchtrial.reading.run_tables import RunTables
from batchtrial.state.labels import Label, append_label
from batchtrial.state.layout import RunLayout
from batchtrial.state.lock import is_alive, read_lock
from batchtrial.state.stop_request import request_stop
from batchtrial.viewer.door import Door
from batchtrial.viewer.held import HeldRun, HeldRuns
from batchtrial.viewer.live import Budgets, runs_json
from batchtrial.viewer.modules import MODULES, STYLE, WORKER, text_of

AT_ONCE: Final = 4
LOOK_SECONDS: Final = 1.0
TRIES: Final = 3
"""How often an answer is made anew where the run's files were replaced meanwhile: one of two tables each would be half of either."""
PAGE: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    '<title>Runs</title><link rel="icon" href="data:,"><link rel="stylesheet" href="page/page.css"></head><body><div id="page"></div>'
    '<script type="module" src="page/main.js"></script></body></html>'
)
Answer = Callable[[Request], Awaitable[Response]]


class Given(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a change to labels: a new one, or the id of one that is taken back and by whom."""

    label: Label | None = None
    undo: str = ""
    who: str = ""


@dataclass(slots=True)
class Viewer:
    """Answers for the runs of a folder. open_run: a run's tables; now: the clock, UTC."""

    folder: Path
    open_run: Callable[[RunLayout], RunTables]
    now: Callable[[], datetime]
    is_read_only: bool = False
    held: HeldRuns = field(init=False)
    inventory: Inventory = field(init=False)
    budgets: Budgets = field(default_factory=Budgets)
    limiter: CapacityLimiter | None = None
    is_closing: bool = False
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.held, self.inventory = HeldRuns(self.open_run), Inventory(self.folder)

    def app(self, hosts: frozenset[str], token: str) -> ASGIApp:
        """The app behind its door."""
        run = "/api/runs/{run}"
        routes = [
            Route("/", self._page),
            Route("/page/{name}", self._file),
            Route("/api/about", self._about),
            Route("/api/runs", self._runs),
            Route("/api/events", self._events),
            Route(f"{run}/about", self._told(lambda held, request: held.about())),
            Route(f"{run}/pairs", self._told(_pairs)),
            Route(f"{run}/rows", self._told(_rows)),
            Route(f"{run}/items/{{place:int}}", self._told(_item)),
            Route(f"{run}/texts/{{place:int}}", self._told(_text)),
            Route(f"{run}/pictures", self._told(_pictures)),
            Route(f"{run}/labels", self._told(_labels)),
            Route(f"{run}/labels", self._label, methods=["POST"]),
            Route(f"{run}/stop", self._stop, methods=["POST"]),
        ]
        return Door(Starlette(routes=routes), hosts, token)

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(PAGE)

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name == STYLE:
            return Response(text_of(name), media_type="text/css")
        return Response(text_of(name), media_type="text/javascript") if name in (*MODULES, *WORKER) else _problem(404, "there is no such file")

    async def _about(self, request: Request) -> Response:
        return _json({"read_only": self.is_read_only})

    def _look(self) -> dict[str, Any]:
        return runs_json(self.inventory.look(), self.now(), self.budgets.of)

    async def _looked(self) -> dict[str, Any]:
        async with self._looking:
            return await to_thread.run_sync(self._look)

    async def _runs(self, request: Request) -> Response:
        return _json(await self._looked())

    async def _events(self, request: Request) -> Response:
        async def changes() -> AsyncIterator[bytes]:
            last = b""
            while not self.is_closing:
                told = msgspec.json.encode(await self._looked())
                if told != last:
                    last = told
                    yield b"data: " + told + b"\n\n"
                await asyncio.sleep(LOOK_SECONDS)

        return StreamingResponse(changes(), media_type="text/event-stream")

    def _layout(self, request: Request) -> RunLayout:
        """Raises ConfigError for what is no run's name, RunStateMissing where there is none."""
        layout = RunLayout.of(self.folder, check_run_id(request.path_params["run"]))
        layout.check_there()
        return layout

    def _told(self, what: Callable[[HeldRun, Request], Any]) -> Answer:
        """An endpoint that answers from a run's tables, on a thread of its own."""

        def work(request: Request) -> Response:
            try:
                for _ in range(TRIES):
                    with self.held.run(self._layout(request)) as held:
                        try:
                            found = _json(what(held, request))
                        except (FileNotFoundError, pl.exceptions.PolarsError):  # the head of one table and the rows of the next
                            if held.tables.is_current():
                                with named_damage(held.tables):
                                    raise
                            continue
                        if held.tables.is_current():
                            return found
                return _problem(409, REPLACED)
            except RunnerError as error:
                return _refused(error)
            except FileNotFoundError:
                return _problem(409, REPLACED)
            except OSError as error:
                return _problem(500, f"{Path(str(error.filename or 'a file of the run')).name} cannot be read: {error.strerror or error}")

        async def endpoint(request: Request) -> Response:
            if self.limiter is None:
                self.limiter = CapacityLimiter(AT_ONCE)
            return await to_thread.run_sync(work, request, limiter=self.limiter)

        return endpoint

    async def _label(self, request: Request) -> Response:
        if self.is_read_only:
            return _problem(403, "the viewer was started with --read_only")
        try:
            given = msgspec.json.decode(await request.body(), type=Given)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return _problem(400, f"the label cannot be read: {error}")
        except ClientDisconnect:
            return _problem(413, "the label is too long")

        def work() -> Response:
            try:
                layout = self._layout(request)
                line = given.label or Label(id=f"undo-{given.who}-{given.undo}", who=given.who, undo=given.undo)
                with self.held.run(layout) as held:
                    held.queue(_asked(request)[0])  # what may be refused comes before the label is kept
                    check_known(held.tables, [line], "the page")
                    append_label(layout.labels, msgspec.structs.replace(line, at=self.now()))
                    return _json(_labels(held, request))
            except RunnerError as error:
                return _problem(400, error.what)
            except OSError as error:
                return _problem(507, f"the label was not kept: {error.strerror or error}")

        return await to_thread.run_sync(work)

    async def _stop(self, request: Request) -> Response:
        if self.is_read_only:
            return _problem(403, "the viewer was started with --read_only")

        def work() -> Response:
            layout = self._layout(request)
            if is_alive(read_lock(layout.lock_info)) is False:  # the next start would obey it
                return _problem(409, "no process has the run open: there is nothing to stop")
            request_stop(layout, self.now())
            return _json({"asked": True})

        try:
            return await to_thread.run_sync(work)
        except RunnerError as error:
            return _problem(400, error.what)
        except OSError as error:
            return _problem(507, f"the run was not asked to stop: {error.strerror or error}")


def _asked(request: Request) -> tuple[Ask, str]:
    """The question of a request, decoded and as it came."""
    text = request.query_params.get("ask", "")
    try:
        tree = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        raise ConfigError("the question is no JSON", where="ask") from None
    return read_ask(tree), text


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not text.isdigit() or len(text) > 9:
        raise ConfigError(f"{name} is a whole number", where=name)
    return int(text)


def _pairs(held: HeldRun, request: Request) -> dict[str, Any]:
    return held.pairs_json(*_asked(request), _number(request, "item") if "item" in request.query_params else None)


def _rows(held: HeldRun, request: Request) -> list[dict[str, Any]]:
    with_others = request.query_params.get("arms") == "all"
    return held.rows_json(*_asked(request), _number(request, "first"), _number(request, "n"), with_others=with_others)


def _item(held: HeldRun, request: Request) -> dict[str, Any]:
    ask, place = _asked(request)[0], _place(held, request)
    slicer = held.slicer(ask)
    return pages.detail(held.tables, slicer.pairs, place) | {"outcome": pages.outcome(slicer, ask.metric, place)}


def _text(held: HeldRun, request: Request) -> str:
    """A page of a long text of an item."""
    place = _place(held, request)
    return page_of(held.tables, place, request.query_params.get("key", ""), _number(request, "page"))


def _place(held: HeldRun, request: Request) -> int:
    place = int(request.path_params["place"])
    if place >= held.tables.items.n:
        raise RunStateMissing(f"there is no item {place}", where="items")
    return place


def _pictures(held: HeldRun, request: Request) -> dict[str, Any]:
    ask, question = _asked(request)
    return pages.pictures(held.slicer(ask), ask.metric, held.slice(ask, question)[1])


def _labels(held: HeldRun, request: Request) -> dict[str, Any]:
    """Labels that hold, and what of the trial is drawn to be labelled."""
    queue = held.queue(_asked(request)[0])
    return {"labels": labels_json(held.labels().held), "queue": [list(one) for one in queue]}


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _refused(error: RunnerError) -> Response:
    """What is wrong with the question, or with the run and what mends it."""
    if isinstance(error, StateError) and not isinstance(error, RunStateMissing):
        return _problem(500, f"{error.what}: {error.hint}" if error.hint else error.what)
    return _problem(404 if isinstance(error, RunStateMissing) else 400, error.what)


def _problem(status: int, why: str) -> Response:
    return Response(msgspec.json.encode({"error": why}), status_code=status, media_type="application/json")
