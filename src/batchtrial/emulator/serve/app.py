"""All routes of the emulator as one ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchtrial.emulator.answers.upstream import Upstream
from batchtrial.emulator.serve.accounts import organization_of
from batchtrial.emulator.serve.admin import Admin
from batchtrial.emulator.serve.exchange import Wire, WireError
from batchtrial.emulator.serve.results import Closing
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.serve.synchronous import Direct
from batchtrial.emulator.wires.anthropic import wire as anthropic
from batchtrial.emulator.wires.anthropic.batches import MessageBatches
from batchtrial.emulator.wires.fireworks import wire as fireworks
from batchtrial.emulator.wires.fireworks.datasets import Datasets, StorageWire
from batchtrial.emulator.wires.fireworks.jobs import Jobs
from batchtrial.emulator.wires.gemini import batches as gemini
from batchtrial.emulator.wires.mistral import batches as mistral
from batchtrial.emulator.wires.openai import wire as openai
from batchtrial.emulator.wires.openai.batches import OpenAIBatches
from batchtrial.emulator.wires.openai.dialects import HOSTS, Dialect
from batchtrial.emulator.wires.openai.files import Files
from batchtrial.emulator.wires.openai.handshake import RedirectedFiles
from batchtrial.emulator.wires.xai import batches as xai

FURTHER = (mistral, gemini, xai)
"""Wires that lie below a path of their own; each module has NAME, `format_of` and `routes`."""


def make_closing(service: Service) -> Closing:
    """What closes the batches of every wire."""
    seed = service.world.seed
    formats = {
        "fireworks": fireworks.format_of(seed),
        "openai": openai.format_of(seed, has_escapes=True),
        "anthropic": anthropic.format_of(seed, service.model.file.knows),
        **{wire.NAME: wire.format_of(seed) for wire in FURTHER},
        **{host.name: openai.format_of(seed, has_bare_errors=host.has_bare_errors, has_escapes=host.has_escapes) for host in HOSTS},
    }
    return Closing(service, formats)


def make_app(service: Service, upstream: Upstream | None = None) -> Starlette:
    """The application; its state is the service's world."""
    fireworks_wire, openai_wire, anthropic_wire = fireworks.FireworksWire(), openai.OpenAIWire(), anthropic.AnthropicWire()
    closing = make_closing(service)
    datasets = Datasets(service)
    jobs = Jobs(service, datasets, closing)
    files = Files(service)

    def of_host(host: Dialect) -> list[Route]:
        own, wire = (RedirectedFiles if host.has_redirect else Files)(service, *host.roots), openai.OpenAIWire(host.name)
        return [*OpenAIBatches(service, own, closing, host).routes(wire), *own.routes(wire)]

    routes: list[Route] = [
        *Admin(closing).routes(),
        *datasets.signed_routes(StorageWire()),
        *jobs.routes(fireworks_wire),
        *datasets.routes(fireworks_wire),
        *OpenAIBatches(service, files, closing).routes(openai_wire),
        *files.routes(openai_wire),
        *(route for host in HOSTS for route in of_host(host)),
        *Direct(service, upstream).routes(openai.LocalWire(), fireworks_wire, anthropic_wire, gemini.GeminiWire()),
        *(route for wire in FURTHER for route in wire.routes(service, closing)),
        *MessageBatches(service, closing).routes(anthropic_wire),
    ]

    def wire_of(request: Request) -> Wire:
        if request.url.path.startswith("/v1/messages") or "anthropic-version" in request.headers:
            return anthropic_wire
        return fireworks_wire if request.url.path.startswith(("/v1/accounts", "/inference")) else openai_wire

    async def no_route(request: Request, err: Exception) -> Response:
        assert isinstance(err, HTTPException)
        text = f"No route for {request.method} {request.url.path}" if err.status_code in (404, 405) else str(err.detail)
        wire, request_id = wire_of(request), service.next_request_id()
        headers = {**wire.headers(request_id, organization_of(service.world, request)), **(err.headers or {})}
        return wire.error(WireError(err.status_code, text, headers=headers), request_id)

    app = Starlette(routes=routes, exception_handlers={HTTPException: no_route})
    app.router.redirect_slashes = False
    app.add_middleware(Named, answers="upstream" if service.is_upstream else "recorded" if service.recorded is not None else "simulated")
    return app


class Named:
    """Every response says that an emulator gave it, and whose answers it has: simulated, recorded, or of a real server behind it (upstream)."""

    def __init__(self, app: ASGIApp, answers: str) -> None:
        self._app, self._header = app, (b"x-batchtrial-emulator", answers.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), self._header]
            await send(message)

        await self._app(scope, receive, named)
