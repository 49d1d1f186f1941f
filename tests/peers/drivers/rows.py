"""What every driver asks, and how it hands back what its client got."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

QUESTIONS = [f"What is {number}+{number}?" for number in range(10)]
MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5", "fireworks": "accounts/fireworks/models/gpt-oss-20b"}
MAX_TOKENS = 100


@dataclass(frozen=True)
class Case:
    """One run of one client. state: folder that the client may keep; it is there again when the run is repeated. out: where rows are handed back."""

    url: str
    wire: str
    state: Path
    out: Path

    @property
    def model(self) -> str:
        return MODELS[self.wire]

    def hand_back(self, texts: Mapping[int, str | None]) -> None:
        """The answers that the client gave its user, by number of the question."""
        found = [{"row": row, "text": text} for row, text in texts.items() if text is not None]
        self.out.write_text("".join(json.dumps(one) + "\n" for one in found), encoding="utf-8")

    def hand_back_lines(self, lines: list[tuple[int, str]]) -> None:
        """The same, where a client may give one row twice."""
        self.out.write_text("".join(json.dumps({"row": row, "text": text}) + "\n" for row, text in lines), encoding="utf-8")


def case() -> Case:
    """What the command line names."""
    url, wire, state, out = sys.argv[1:5]
    return Case(url, wire, Path(state), Path(out))


def said(question: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": question}]


def native_lines(wire: str) -> str:
    """The questions as a request file of the provider's own form, ids `row-N`."""
    lines = []
    for number, question in enumerate(QUESTIONS):
        body = {"model": MODELS[wire], "messages": said(question), "max_tokens": MAX_TOKENS}
        own = {"method": "POST", "url": "/v1/chat/completions", "body": body} if wire == "openai" else {"params": body}
        lines.append(json.dumps({"custom_id": f"row-{number}", **own}) + "\n")
    return "".join(lines)


def number_of(custom_id: str) -> int:
    """The question's number, which ends every id here."""
    return int(custom_id.rpartition("-")[2])


def text_in(line: Mapping[str, Any]) -> str | None:
    """The answer in a result line of OpenAI or Anthropic as it comes; None when it holds none."""
    if "result" in line:
        message = line["result"].get("message")
        return message["content"][0]["text"] if message else None
    response = line.get("response")
    return response["body"]["choices"][0]["message"]["content"] if response and response["status_code"] == 200 else None
