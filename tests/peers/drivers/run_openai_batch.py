"""openai-batch: its `run`, which prints the batch's id; going on is `--resume ID` if an id was printed. Its 60 s between looks are made 0.5."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import time

from openai_batch import run
from rows import case, native_lines, number_of, text_in

now = case()
source, printed, output = now.state / "requests.jsonl", now.state / "printed.txt", now.state / "output.jsonl"
source.write_text(native_lines(now.wire))
pause = time.sleep
run.time.sleep = lambda seconds: pause(min(seconds, 0.5))


class Kept(io.TextIOBase):
    """What is printed, kept as a terminal's user keeps it."""

    def write(self, text: str) -> int:
        with printed.open("a") as file:
            file.write(text)
        return sys.__stdout__.write(text)


ids = re.findall(r"\b(batch_[0-9a-z]+)", printed.read_text()) if printed.exists() else []
words = ["--resume", ids[0]] if ids else [str(source)]
with contextlib.redirect_stdout(Kept()):
    run.main([*words, "-o", str(output), "-e", str(now.state / "errors.jsonl"), "--base-url", f"{now.url}/v1", "--api-key", "any"])
lines = [json.loads(line) for line in output.read_text("utf-8").split("\n") if line] if output.exists() else []
now.hand_back({number_of(line["custom_id"]): text_in(line) for line in lines})
