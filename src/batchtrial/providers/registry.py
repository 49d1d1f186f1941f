"""Every provider that a run can name: one row each, with what differs between them; whatever lists providers reads it here.

An adapter's module has two functions: `make(row, setup)` gives the adapter of a lane, `of_recording(settings)` one that encodes as a recording's
settings say and is never called. Modules are imported at their first use, so that names, keys and addresses cost nothing.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from batchtrial.errors import ConfigError, RunnerError
from batchtrial.plugins import added, faults, words_of

if TYPE_CHECKING:
    from batchtrial.providers.base import Provider, Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One provider.

    name: as a config names it. adapter: module of its wire. speaks: name of that wire, which recordings carry. key_variable: environment variable
    of its key, "" where none is needed. base_url: its own host; None where each user has another. url_variable: where its official SDK looks for
    another host, "" for none. prices: its name in the price table; nothing is ever priced by a neighbour's. host: its row in the table of
    OpenAI-compatible hosts. emulated_at: path of its wire below an emulator's address. extra: of this package, that brings its SDK,
    under the SDK's own name; "" where plain HTTP is enough.
    paused: why its batch API takes nothing now, since when and by what source. maturity: `recorded`
    (recordings of this wire are replayed), `emulated` (by its documents, at the emulator), or `live-tested by NAME on DATE`.
    """

    name: str
    title: str
    adapter: str
    speaks: str
    key_variable: str = ""
    base_url: str | None = None
    url_variable: str = ""
    prices: str = ""
    host: str = ""
    emulated_at: str = ""
    extra: str = ""
    paused: str = ""
    docs: str = "docs/providers.md"
    maturity: str = "emulated"


def _host(name: str, title: str, key_variable: str, base_url: str | None) -> Row:
    """A host that speaks OpenAI's batch API: its own address, key and prices; how it differs stands in providers/openai/quirks.py."""
    return Row(
        name=name,
        title=title,
        adapter="batchtrial.providers.openai.adapter",
        speaks="openai",
        key_variable=key_variable,
        base_url=base_url,
        prices=name,
        host=name,
        emulated_at=f"/hosts/{name}/v1",
        extra="openai",
    )


OWN_KEY: Final = "UPSTREAM_API_KEY"
"""Where the key of a server of one's own is read from; it may have none."""
OWN: Final[tuple[Row, ...]] = (
    Row(
        name="fireworks",
        title="Fireworks",
        adapter="batchtrial.providers.fireworks.adapter",
        speaks="fireworks",
        key_variable="FIREWORKS_API_KEY",
        base_url="https://api.fireworks.ai",
        url_variable="FIREWORKS_BASE_URL",
        prices="fireworks",
        extra="fireworks",
        paused="Fireworks has paused its Batch API (its guides batch-migration and large-workloads, undated, October 2026 or later; read 2026-11-28)",
        maturity="recorded",
    ),
    Row(
        name="openai",
        title="OpenAI",
        adapter="batchtrial.providers.openai.adapter",
        speaks="openai",
        key_variable="OPENAI_API_KEY",
        base_url="https://api.openai.com/v1",
        url_variable="OPENAI_BASE_URL",
        prices="openai",
        host="openai",
        emulated_at="/v1",
        extra="openai",
        maturity="recorded",
    ),
    Row(
        name="anthropic",
        title="Anthropic",
        adapter="batchtrial.providers.anthropic.adapter",
        speaks="anthropic",
        key_variable="ANTHROPIC_API_KEY",
        base_url="https://api.anthropic.com",
        url_variable="ANTHROPIC_BASE_URL",
        prices="anthropic",
        extra="anthropic",
        maturity="recorded",
    ),
    Row(
        name="local",
        title="OpenAI",
        adapter="batchtrial.providers.openai.adapter",
        speaks="openai",
        prices="local",
        emulated_at="/v1",
        extra="openai",
        maturity="recorded",
    ),
    Row(
        name="mistral",
        title="Mistral",
        adapter="batchtrial.providers.mistral.adapter",
        speaks="mistral",
        key_variable="MISTRAL_API_KEY",
        base_url="https://api.mistral.ai",
        prices="mistral",
        emulated_at="/mistral",
    ),
    Row(
        name="gemini",
        title="Gemini",
        adapter="batchtrial.providers.gemini.adapter",
        speaks="gemini",
        key_variable="GEMINI_API_KEY",
        base_url="https://generativelanguage.googleapis.com",
        prices="gemini",
        emulated_at="/gemini",
    ),
    Row(
        name="xai",
        title="xAI",
        adapter="batchtrial.providers.xai.adapter",
        speaks="xai",
        key_variable="XAI_API_KEY",
        base_url="https://api.x.ai",
        prices="xai",
        emulated_at="/xai",
    ),
    _host("azure", "Azure OpenAI", "AZURE_OPENAI_API_KEY", None),
    _host("groq", "Groq", "GROQ_API_KEY", "https://api.groq.com/openai/v1"),
    _host("together", "Together", "TOGETHER_API_KEY", "https://api.together.xyz/v1"),
    _host("deepinfra", "DeepInfra", "DEEPINFRA_API_KEY", "https://api.deepinfra.com/v1/openai"),
    _host("nebius", "Nebius Token Factory", "NEBIUS_API_KEY", "https://api.tokenfactory.nebius.com/v1"),
    _host("alibaba", "Alibaba Model Studio", "DASHSCOPE_API_KEY", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    _host("parasail", "Parasail", "PARASAIL_API_KEY", "https://api.parasail.io/v1"),
)
ROWS: Final[Mapping[str, Row]] = MappingProxyType({row.name: row for row in OWN})
"""Our own by name; `row_of` knows those of other packages too."""


def rows() -> Mapping[str, Row]:
    """Every provider there is by name: our own, then those that plugins add under names of their own."""
    others = {row.name: row for _, row in added("batchtrial.providers") if isinstance(row, Row)}
    return {**others, **ROWS}


def names() -> tuple[str, ...]:
    """What a config may name as a backend."""
    return (*ROWS, *sorted(rows().keys() - ROWS.keys()))


def row_of(name: str) -> Row:
    """The provider's row. Raises ConfigError naming the nearest one."""
    found = ROWS.get(name) or rows().get(name)
    if found is not None:
        return found
    near = difflib.get_close_matches(name, rows(), 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names())}"
    raise ConfigError(f"no provider {name!r}", where="backend", hint="; ".join((hint, *faults())))


def adapter_of(name: str, setup: Setup) -> Provider:
    """The provider's adapter, made of a lane's settings; nothing is asked yet. Raises ConfigError."""
    row = row_of(name)
    with _blamed(row):
        made: Provider = importlib.import_module(row.adapter).make(row, setup)
    return made


def of_recording(speaks: str, settings: Mapping[str, Any]) -> Provider | None:
    """An adapter that encodes as a recording of this wire did; None when there is no such wire. Raises TypeError for settings that it never had."""
    row = next((row for row in (*OWN, *rows().values()) if row.speaks == speaks), None)
    if row is None:
        return None
    with _blamed(row, TypeError):
        made: Provider = importlib.import_module(row.adapter).of_recording(settings)
    return made


@contextmanager
def _blamed(row: Row, meant: type[Exception] = RunnerError) -> Iterator[None]:
    """Whatever goes wrong when an adapter of another package is made is told as its own. Raises ConfigError, and what is meant."""
    try:
        yield
    except (RunnerError, meant):
        raise
    except (Exception, SystemExit) as error:
        if row.name in ROWS:
            raise
        raise ConfigError(f"the provider {row.name!r} cannot be used: {words_of(error)}", where="backend", hint="its package says why") from error


def key_variables() -> tuple[str, ...]:
    """The environment variables that hold keys."""
    return tuple(dict.fromkeys(row.key_variable or OWN_KEY for row in (*OWN, *rows().values())))
