"""The synchronous endpoints: one request, one answer, from the same simulated model and through the same faults.

Every request that was carried out is in the log (`GET /_emulator/direct`), written before the answer goes out.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from batchtrial.emulator.answers import bodies
from batchtrial.emulator.answers.events import stream_of
from batchtrial.emulator.answers.refusing import refused_by_openai
from batchtrial.emulator.answers.request import BadRequest, ChatRequest, from_chat, from_messages
from batchtrial.emulator.answers.rows import Problem
from batchtrial.emulator.answers.simulation import Answer, SimulatedModel
from batchtrial.emulator.answers.upstream import Upstream
from batchtrial.emulator.serve.exchange import Call, Endpoint, WireError
from batchtrial.emulator.serve.results import usage_in
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.wires.anthropic.wire import AnthropicWire, refused_params
from batchtrial.emulator.wires.fireworks.wire import FireworksWire
from batchtrial.emulator.wires.gemini.batches import GeminiWire
from batchtrial.emulator.wires.gemini.lines import answer_of, as_chat
from batchtrial.emulator.wires.openai.endpoints import ENDPOINTS
from batchtrial.emulator.wires.openai.wire import LocalWire, PrettyJson
from batchtrial.emulator.world.clock import EPOCH, rfc3339
from batchtrial.emulator.world.jsontext import BadJson, decode_object, encode

TIERED: Final = ("chat.completion", "response")
"""What says at which tier it was served."""
MAX_BODY_BYTES: Final = 32_000_000
MODELS: Final = ("simulated-small", "simulated-large")
_SAFE_ID: Final = re.compile(r"[\x21-\x7e]{1,512}")
Reader = Callable[[str, dict[str, Any]], ChatRequest]
Writer = Callable[[int, str, ChatRequest, tuple[Answer, ...]], dict[str, Any]]


class Direct:
    """Handlers of the synchronous routes."""

    def __init__(self, service: Service, upstream: Upstream | None) -> None:
        self.service, self.world, self.upstream = service, service.world, upstream

    def routes(self, local: LocalWire, fireworks: FireworksWire, anthropic: AnthropicWire, gemini: GeminiWire) -> list[Route]:
        def route(path: str, wire: Any, reader: Reader, writer: Writer) -> Route:
            async def answer(call: Call) -> Response:
                return await self.answer(call, reader, writer)

            return Route(path, Endpoint(self.service, wire, "answer", answer), methods=["POST"])

        return [
            *(route(path, local, form.read, form.write) for path, form in ENDPOINTS.items()),
            route("/inference/v1/chat/completions", fireworks, from_chat, bodies.chat_completion),
            route("/v1/messages", anthropic, from_messages, _message),
            route("/gemini/{version}/models/{model:path}:generateContent", gemini, _from_gemini, _for_gemini),
            *(
                kind(path, Endpoint(self.service, wire, "models", handler), methods=["GET"])
                for kind, wire in ((AnthropicRoute, anthropic), (Route, local))
                for path, handler in (("/v1/models", self.models), ("/v1/models/{model:path}", self.model))
            ),
        ]

    async def answer(self, call: Call, reader: Reader, writer: Writer) -> Response:
        raw = await call.body(MAX_BODY_BYTES)
        try:
            body = decode_object(raw)
        except BadJson as err:
            raise WireError(400, f"We could not parse the JSON body of your request: {err}") from None
        if "model" in call.request.path_params:
            body = {**body, "model": call.request.path_params["model"]}
        custom_id = _custom_id(call, body)
        await call.gate(part=custom_id)
        if body.get("stream"):
            raise WireError(400, "stream: not supported by the emulator", param="stream")
        try:
            chat = reader(custom_id, body)
        except BadRequest as err:
            raise WireError(400, str(err), param=err.param) from None
        if not self.service.model.file.knows(chat.model):
            raise WireError(404, f"The model '{chat.model}' does not exist.", code=None)
        problem = self._refused(call, body)
        if problem is not None:
            raise WireError(problem.status, problem.message, code=problem.code, param=problem.param)
        status, shown = await self._simulated(call, body, chat, writer)
        tier = _tier(call, body, shown) if self.upstream is None else ""
        n_input, n_output = usage_in(shown)
        with self.world.commit() as db:
            db.execute(
                "INSERT INTO direct(at, path, custom_id, body_sha256, body, status, input_tokens, output_tokens, tier) "
                "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self.world.clock.now(),
                    call.request.url.path,
                    custom_id or None,
                    hashlib.sha256(raw).hexdigest(),
                    encode(body),
                    status,
                    n_input,
                    n_output,
                    tier,
                ),
            )
        events = stream_of(shown) if any(do.stream for do in call.fired) and status == 200 else None
        if events is not None:
            return Response(events, media_type="text/event-stream")
        headers = {"x-gemini-service-tier": tier} if isinstance(call.wire, GeminiWire) else None
        return JSONResponse(shown, status_code=status, headers=headers)

    def _refused(self, call: Call, body: dict[str, Any]) -> Problem | None:
        if isinstance(call.wire, AnthropicWire):
            return refused_params({**body, "stream": None}, call.request.headers["anthropic-version"], lambda model: True)
        return refused_by_openai(body) if self.upstream is None and isinstance(call.wire, LocalWire) else None

    async def _simulated(self, call: Call, body: dict[str, Any], chat: ChatRequest, writer: Writer) -> tuple[int, dict[str, Any]]:
        if self.upstream is None or call.request.url.path not in ENDPOINTS:
            model = self.service.model
            who, key = _key(model, chat, "" if chat.seed is None else str(chat.seed))
            return 200, writer(model.seed, key, chat, model.answers(chat, who))
        found = await asyncio.to_thread(self.upstream.ask, call.request.url.path.removeprefix("/v1"), body)
        try:
            return found.status, decode_object(found.body)
        except BadJson:
            raise WireError(502, found.body[:500]) from None

    async def models(self, call: Call) -> Response:
        await call.gate()
        if isinstance(call.wire, AnthropicWire):
            return JSONResponse(
                {"data": [_anthropic_model(name) for name in MODELS], "has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}
            )
        return PrettyJson({"object": "list", "data": [_model(name) for name in MODELS]})

    async def model(self, call: Call) -> Response:
        name = call.request.path_params["model"]
        await call.gate(part=name)
        if not self.service.model.file.knows(name):
            raise WireError(404, f"The model '{name}' does not exist.", param="model")
        return JSONResponse(_anthropic_model(name)) if isinstance(call.wire, AnthropicWire) else PrettyJson(_model(name))


class AnthropicRoute(Route):
    """A path that OpenAI has too: Anthropic's clients say in each request which version of the API they speak."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if "anthropic-version" in Headers(scope=scope) else (Match.NONE, {})


def _tier(call: Call, body: dict[str, Any], shown: dict[str, Any]) -> str:
    """The tier that the answer is served at, as it says: the one asked for, unless a fault names another. Fireworks names none unasked, Gemini's
    stands in a header."""
    asked = next((do.service_tier for do in call.fired if do.service_tier is not None), body.get("service_tier"))
    is_named = isinstance(asked, str) and asked not in ("auto", "standard_only")
    if isinstance(call.wire, AnthropicWire):
        return str(shown["usage"]["service_tier"])
    if isinstance(call.wire, GeminiWire):
        return str(asked) if is_named else "standard"
    if shown.get("object") not in TIERED:
        return ""
    tier = str(asked) if is_named else "" if isinstance(call.wire, FireworksWire) else "default"
    shown |= {"service_tier": tier} if tier else {}
    return tier


def _custom_id(call: Call, body: dict[str, Any]) -> str:
    """What stands for a custom_id where the endpoint has none: the header `x-custom-id` or `x-client-request-id`, or `metadata.custom_id`."""
    metadata = body.get("metadata")
    headers = call.request.headers
    named = headers.get("x-custom-id") or headers.get("x-client-request-id")
    found = named or (metadata.get("custom_id") if isinstance(metadata, dict) else None)
    return found if isinstance(found, str) and _SAFE_ID.fullmatch(found) else ""


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(EPOCH), "owned_by": "batchtrial-emulator"}


def _anthropic_model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": rfc3339(EPOCH)}


def _key(model: SimulatedModel, chat: ChatRequest, sample: str) -> tuple[Any, str]:
    who = model.identity(chat)
    if not chat.custom_id and sample:
        who = type(who)(item=who.item, sample=sample, arm=who.arm, condition=who.condition)
    return who, f"{who.item}|{who.condition}|{who.sample}"


def _message(seed: int, key: str, chat: ChatRequest, answers: tuple[Answer, ...]) -> dict[str, Any]:
    return bodies.message_of(seed, key, chat.model, answers[0], tier="standard")


def _from_gemini(custom_id: str, body: dict[str, Any]) -> ChatRequest:
    return from_chat(custom_id, as_chat({"request": body}, body["model"]))


def _for_gemini(seed: int, key: str, chat: ChatRequest, answers: tuple[Answer, ...]) -> dict[str, Any]:
    return answer_of(bodies.chat_completion(seed, key, chat, answers))
