"""All routes of the emulator as one ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from batchtrial.emulator import fireworks
from batchtrial.emulator.admin import Admin
from batchtrial.emulator.fireworks_datasets import Datasets, StorageWire
from batchtrial.emulator.fireworks_jobs import Jobs
from batchtrial.emulator.service import Service
from batchtrial.emulator.wire import Wire, WireError


def make_app(service: Service) -> Starlette:
    """The application; its state is the service's world."""
    fireworks_wire = fireworks.FireworksWire()
    datasets = Datasets(service)
    jobs = Jobs(service, datasets)
    signed = datasets.signed_routes(StorageWire())
    signed[0].name = signed[1].name = "_signed"
    routes: list[Route] = [
        *Admin(service, {"fireworks": fireworks.reader_of}).routes(),
        *signed,
        *jobs.routes(fireworks_wire),
        *datasets.routes(fireworks_wire),
    ]

    def wire_of(request: Request) -> Wire:
        return fireworks_wire

    async def no_route(request: Request, err: Exception) -> Response:
        assert isinstance(err, HTTPException)
        text = "The requested resource was not found." if err.status_code == 404 else str(err.detail)
        found = WireError(err.status_code, text, headers=dict(err.headers or {}))
        return wire_of(request).error(found, service.next_request_id())

    app = Starlette(routes=routes, exception_handlers={HTTPException: no_route})
    app.router.redirect_slashes = False
    return app
