"""The clients, each with its versions, its own recommended settings and its own way of going on after a stop."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DRIVERS: Final = Path(__file__).parent / "drivers"
OURS: Final = "batchtrial"
WIRES: Final = ("openai", "anthropic", "fireworks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """packages: pinned, for an environment of its own; none for what runs in this one. has_state: it keeps what it needs to go on by itself."""

    name: str
    packages: tuple[str, ...]
    wires: tuple[str, ...]
    settings: str
    going_on: str
    has_state: bool = True
    is_small: bool = False

    @property
    def driver(self) -> Path:
        return DRIVERS / f"run_{self.name.replace('-', '_')}.py"

    @property
    def versions(self) -> str:
        """As the page shows them."""
        return ", ".join(package.replace("==", " ") for package in self.packages) or "this checkout"


BOTH: Final = ("openai", "anthropic")
CLIENTS: Final = (
    Client(
        name="steadybatch",
        packages=("steadybatch==0.2.1", "openai==3.57.0", "anthropic==2.14.0"),
        wires=BOTH,
        settings="Runner with a checkpoint and a schema, the SDKs' own retries",
        going_on="the same call again",
        is_small=True,
    ),
    Client(
        name="batchwork",
        packages=("batchwork-ai==0.3.0",),
        wires=BOTH,
        settings="command `run text`, with its registry",
        going_on='`wait` and `results`; nothing after "outcome unknown", as it says',
        is_small=True,
    ),
    Client(
        name="batchwizard",
        packages=("batchwizard==0.5.0", "openai==2.54.0", "anthropic==0.125.0"),
        wires=BOTH,
        settings="commands `submit` and `watch`, with its manifest",
        going_on="`watch`; an intent without a batch is `reconcile`d, not submitted again",
        is_small=True,
    ),
    Client(
        name="openai-batch",
        packages=("openai-batch==0.3.4", "openai==3.57.0", "httpx==0.28.1"),
        wires=("openai",),
        settings="its `run`",
        going_on="`--resume ID`, if an id was printed",
        has_state=False,
        is_small=True,
    ),
    Client(
        name="instructor",
        packages=("instructor==1.17.0", "openai==3.3.0", "anthropic==0.84.0"),
        wires=BOTH,
        settings="BatchProcessor",
        going_on="asking for the id, if the submit returned one",
        has_state=False,
        is_small=True,
    ),
    Client(
        name="batchlane",
        packages=("batchlane==0.2.0", "litellm==1.110.2"),
        wires=WIRES,
        settings="`run` with a checkpoint; its Fireworks lane put right in two places",
        going_on="the identical call",
        is_small=True,
    ),
    Client(
        name="litellm",
        packages=("litellm==1.110.2", "openai==2.30.0"),
        wires=("openai",),
        settings="create_file, create_batch, retrieve_batch, file_content",
        going_on="asking for the id, if the create returned one",
        has_state=False,
    ),
    Client(
        name="curator",
        packages=("bespokelabs-curator==0.1.31",),
        wires=("openai",),
        settings="LLM(batch=True) with a working folder; its Anthropic side asks for an instructor that its other pins rule out",
        going_on="the same call again",
    ),
    Client(
        name="inspect",
        packages=("inspect_ai==0.3.285", "openai==3.57.0", "anthropic==2.14.0"),
        wires=BOTH,
        settings="eval_set with a BatchConfig",
        going_on="the same call, with the same log folder",
    ),
    Client(
        name="langasync",
        packages=("langasync==0.2.3", "langchain-openai==1.7.4", "langchain-anthropic==1.7.10"),
        wires=BOTH,
        settings="batch_chain and BatchPoller",
        going_on="the poller; submitted again only if the submit did not return",
    ),
    Client(
        name=OURS,
        packages=(),
        wires=WIRES,
        settings="`run`, five questions under two prompts",
        going_on="`resume`",
        is_small=True,
    ),
)


def python_of(client: Client, environments: Path) -> Path:
    """The interpreter that runs its driver."""
    return environments / client.name / "bin" / "python" if client.packages else Path(sys.executable)
