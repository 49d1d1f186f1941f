"""A client without a vendor's package: httpx under the names that our error table knows.

For wires whose official package adds nothing that a batch needs: Mistral's and Google's send a request once and give the JSON back as objects, xAI's
is gRPC and repeats a create five times by itself. One client means one error table, and no second copy of an HTTP library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import httpx

Timeout = httpx.Timeout
"""By its module the error table knows the library."""


class APIError(Exception):
    """Base of what the calls raise beside the library's own exceptions."""


class APIConnectionError(APIError):
    """Never raised: what the library raises is told by its own names."""


class APIStatusError(APIError):
    """An answer that refuses. body: its JSON, or its text."""

    def __init__(self, response: Any) -> None:
        super().__init__(f"HTTP {response.status_code}")
        self.response, self.status_code = response, response.status_code
        self.message = response.text
        try:
            self.body: object = response.json()
        except ValueError:
            self.body = None


def DefaultHttpxClient(*, trust_env: bool, verify: bool) -> Any:
    """A client that looks for no proxy, and for no certificate, when told not to."""
    return httpx.Client(trust_env=trust_env, verify=verify)


class Client:
    """Calls below one address, each made once."""

    def __init__(
        self,
        *,
        base_url: str | None,
        timeout: Any,
        api_key: str,
        header: str = "authorization",
        scheme: str = "Bearer ",
        max_retries: int = 0,
        http_client: Any = None,
    ) -> None:
        """header, scheme: where the key goes. max_retries is always 0: nothing here repeats a call."""
        assert max_retries == 0
        self._root = (base_url or "").rstrip("/")
        self._timeout, self._headers = timeout, {header: f"{scheme}{api_key}"}
        self._http = http_client if http_client is not None else httpx.Client()

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] | Mapping[str, str] = (),
        json: Any = None,
        content: BinaryIO | bytes | None = None,
        fields: Mapping[str, str] | None = None,
        file: tuple[str, BinaryIO] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Any = None,
    ) -> Any:
        """The answer. file: (name, content) of a multipart body with these further fields. path: or a whole address, which then gets no key.

        Raises APIStatusError for a status of 400 or more, and what the library raises.
        """
        files = None if file is None else {"file": (*file, "application/octet-stream")}
        is_foreign = path.startswith(("http://", "https://"))
        response = self._http.request(
            method,
            path if is_foreign else self._root + path,
            params=list(query.items() if isinstance(query, Mapping) else query) or None,
            json=json,
            content=content,
            data=dict(fields) if fields else None,
            files=files,
            headers={**({} if is_foreign else self._headers), **(headers or {})},
            timeout=timeout or self._timeout,
        )
        if response.status_code >= 300:
            raise APIStatusError(response)
        return response

    @contextmanager
    def chunks(self, path: str, *, query: Mapping[str, str] | None = None) -> Iterator[Iterator[bytes]]:
        """A body as it comes. Raises as `ask` does."""
        with self._http.stream("GET", self._root + path, params=query, headers=self._headers, timeout=self._timeout) as response:
            if response.status_code >= 300:
                response.read()
                raise APIStatusError(response)
            yield response.iter_bytes()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
