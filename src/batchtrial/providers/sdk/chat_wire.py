"""What wires over plain HTTP do alike that take chat completions in a file: a body in OpenAI's words, uploaded the way OpenAI takes files."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from batchtrial.providers.base import Intent
from batchtrial.providers.sdk import turns
from batchtrial.providers.sdk.edge import check_extra
from batchtrial.providers.sdk.plain_wire import PlainWire
from batchtrial.records import Request

ENDPOINT: Final = "/v1/chat/completions"


class ChatWire(PlainWire, ABC):
    """Such a wire. hottest: the highest temperature that it takes."""

    hottest: ClassVar[float]

    def refuses(self, temps: Sequence[float], top_p: float | None = None, top_k: int | None = None, stop: Sequence[str] = ()) -> str | None:
        """Why these sampling values cannot be honoured, or None when they can."""
        if self.settings.sampling == "omit" and (len(set(temps)) > 1 or top_p is not None):
            return "sampling parameters are not sent (sampling: omit), and more than one temperature or top_p is asked for"
        if any(not 0 <= temp <= self.hottest for temp in temps):
            return f"temperatures {sorted(set(temps))} leave the range 0 to {self.hottest:g}"
        return f"top_k {top_k} is no parameter of {ENDPOINT} here" if top_k is not None else None

    def _body(self, request: Request, begun: dict[str, Any], ours: frozenset[str]) -> dict[str, Any]:
        """What the model is asked, behind the fields that the wire calls its own way. Raises ConfigError for an extra field that clashes."""
        self._honoured.check(self, request)
        body = begun
        if self.settings.sampling == "send":
            body |= {"temperature": request.temperature} | ({} if request.top_p is None else {"top_p": request.top_p})
        if request.stop:
            body["stop"] = list(request.stop)
        body |= turns.chat_extras(request)
        check_extra(request.extra, ours.union(body))
        return body | dict(request.extra)

    def _upload(self, intent: Intent, payload: Path) -> str:
        with payload.open("rb") as file:
            answer = self._to.client.ask(
                "POST", "/v1/files", fields={"purpose": "batch"}, file=(self._file_name(intent), file), timeout=self._to.timeout(answer=True)
            )
        return str(answer.json().get("id") or "")

    def _file(self, file_id: str) -> object:
        return self._to.client.ask("GET", f"/v1/files/{file_id}")
