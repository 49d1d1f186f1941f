"""The three wires through the standard library alone: what the SDKs hide (dropped connections, raw lines) is visible here."""

from __future__ import annotations

import http.client
import itertools
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.emulator_process import Emulator

PROVIDERS = ("fireworks", "openai", "anthropic")
UPLOADS = itertools.count(1)  # dataset ids are taken once and for all in a world
Row = tuple[str, dict[str, Any]]  # custom_id, body


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def send(emu: Emulator, method: str, path: str, body: bytes | None = None, timeout: float = 30.0, **headers: str) -> Reply:
    """One request on a connection of its own; connection errors rise."""
    parts = urlsplit(path if path.startswith("http") else emu.url + path)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def rows(n: int, **body: Any) -> list[Row]:
    """n requests with ids r0, r1, ..."""
    asked = {"max_tokens": 64, **body}
    return [(f"r{i}", {"messages": [{"role": "user", "content": f"Who was number {i}?"}], **asked}) for i in range(n)]


def multipart(field: str, filename: str, data: bytes, **fields: str) -> tuple[bytes, str]:
    """Body and content type of a form with one file."""
    mark = "----plain-boundary"
    parts = [f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    head = f'--{mark}\r\nContent-Disposition: form-data; name="{field}"; filename="{filename}"\r\n\r\n'
    return "".join(parts).encode() + head.encode() + data + f"\r\n--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}"


class Plain:
    """A client of one provider's batches."""

    def __init__(self, emu: Emulator, provider: str, key: str = "any") -> None:
        self.emu, self.provider, self.key = emu, provider, key

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Reply:
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        if self.provider == "anthropic":
            headers["anthropic-version"] = "2023-06-01"
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        return send(self.emu, method, path, raw, **(headers | more))

    def ok(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        reply = self.call(method, path, body, **more)
        assert reply.status == 200, (reply.status, reply.body[:500])
        return reply.json()

    def upload(self, asked: list[Row], name: str = "in") -> str:
        """Send the input; returns what `create` needs: a dataset, a file id, or the requests themselves."""
        if self.provider == "anthropic":
            requests = [{"custom_id": custom_id, "params": {"model": "m-1", **body}} for custom_id, body in asked]
            return json.dumps({"requests": requests})
        if self.provider == "openai":
            lines = [{"custom_id": i, "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m-1", **body}} for i, body in asked]
            data = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
            body, kind = multipart("file", f"{name}.jsonl", data, purpose="batch")
            return str(self.ok("POST", "/v1/files", body, content_type=kind)["id"])
        data = b"".join(json.dumps({"custom_id": i, "body": body}).encode() + b"\n" for i, body in asked)
        dataset = f"{name}-{next(UPLOADS)}"
        self.ok("POST", "/v1/accounts/t/datasets", {"datasetId": dataset, "dataset": {"userUploaded": {}, "exampleCount": str(len(asked))}})
        body, kind = multipart("file", "in.jsonl", data)
        self.ok("POST", f"/v1/accounts/t/datasets/{dataset}:upload", body, content_type=kind)
        return dataset

    def create(self, uploaded: str, label: str = "job-1", **more: Any) -> Reply:
        """The create call alone."""
        if self.provider == "anthropic":
            return self.call("POST", "/v1/messages/batches", uploaded.encode(), **more)
        if self.provider == "openai":
            asked = {"input_file_id": uploaded, "endpoint": "/v1/chat/completions", "completion_window": "24h", "metadata": {"label": label}}
            return self.call("POST", "/v1/batches", asked, **more)
        asked = {"model": "m-1", "inputDatasetId": f"accounts/t/datasets/{uploaded}", "outputDatasetId": f"accounts/t/datasets/{label}-out"}
        return self.call("POST", f"/v1/accounts/t/batchInferenceJobs?batchInferenceJobId={label}", asked, **more)

    def submit(self, asked: list[Row], label: str = "job-1") -> str:
        """Upload and create; returns the id."""
        reply = self.create(self.upload(asked), label)
        assert reply.status == 200, reply.body
        return self.id_of(reply.json())

    def id_of(self, shown: Any) -> str:
        return str(shown["name"] if self.provider == "fireworks" else shown["id"])

    def _path(self, batch_id: str) -> str:
        return {"openai": "/v1/batches/", "anthropic": "/v1/messages/batches/", "fireworks": "/v1/"}[self.provider] + batch_id

    def get(self, batch_id: str) -> Any:
        return self.ok("GET", self._path(batch_id))

    def state(self, batch_id: str) -> str:
        shown = self.get(batch_id)
        return str(shown[{"openai": "status", "anthropic": "processing_status", "fireworks": "state"}[self.provider]])

    def cancel(self, batch_id: str) -> None:
        if self.provider == "fireworks":
            self.ok("DELETE", self._path(batch_id))
        else:
            self.ok("POST", self._path(batch_id) + "/cancel")

    def listed(self) -> list[str]:
        """Ids on the first page of the list."""
        path = {"openai": "/v1/batches", "anthropic": "/v1/messages/batches", "fireworks": "/v1/accounts/t/batchInferenceJobs"}[self.provider]
        shown = self.ok("GET", path)
        return [self.id_of(each) for each in shown["batchInferenceJobs" if self.provider == "fireworks" else "data"]]

    def result_urls(self, batch_id: str) -> dict[str, str]:
        """URL or path of each result file: `output` and `error` (Anthropic has one file for both)."""
        shown = self.get(batch_id)
        if self.provider == "anthropic":
            return {"output": shown["results_url"]}
        if self.provider == "openai":
            ids = {"output": shown["output_file_id"], "error": shown["error_file_id"]}
            return {name: f"/v1/files/{file_id}/content" for name, file_id in ids.items() if file_id}
        urls = self.ok("GET", f"/v1/{shown['outputDatasetId']}:getDownloadEndpoint")["filenameToSignedUrls"]
        return {"error" if key.endswith("error-data") else "output": url for key, url in urls.items()}

    def fetch(self, url: str, **more: Any) -> Reply:
        if self.provider == "fireworks":
            return send(self.emu, "GET", url, **more)
        return self.call("GET", url, **more)

    def lines(self, batch_id: str) -> dict[str, list[bytes]]:
        """Lines of each result file."""
        found = {}
        for name, url in self.result_urls(batch_id).items():
            reply = self.fetch(url)
            assert reply.status == 200, reply.body[:300]
            found[name] = reply.body.splitlines()
        return found

    def outcome(self, line: bytes) -> tuple[str, str]:
        """custom_id and kind (succeeded, errored, expired, cancelled) of a result line."""
        row = json.loads(line)
        if self.provider == "anthropic":
            return row["custom_id"], {"canceled": "cancelled"}.get(row["result"]["type"], row["result"]["type"])
        if self.provider == "fireworks":
            return row["custom_id"], "succeeded" if "response" in row else "errored"
        if row["error"] is not None:
            return row["custom_id"], row["error"]["code"].removeprefix("batch_")
        return row["custom_id"], "succeeded" if row["response"]["status_code"] == 200 else "errored"

    def text(self, line: bytes) -> str:
        """Answer text of a succeeded line."""
        row = json.loads(line)
        if self.provider == "anthropic":
            return str(row["result"]["message"]["content"][0]["text"])
        body = row["response"] if self.provider == "fireworks" else row["response"]["body"]
        return str(body["choices"][0]["message"]["content"])

    def outcomes(self, batch_id: str) -> list[tuple[str, str]]:
        """All result lines, whatever their file."""
        return [self.outcome(line) for lines in self.lines(batch_id).values() for line in lines]
