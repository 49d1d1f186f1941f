"""bespokelabs-curator: an LLM with batch=True and a working folder; going on is the same call."""

from __future__ import annotations

import os

from rows import QUESTIONS, case

now = case()
os.environ["CURATOR_CACHE_DIR"] = str(now.state)
from bespokelabs import curator  # noqa: E402


class Answers(curator.LLM):
    def prompt(self, row: dict) -> str:
        return QUESTIONS[row["row"]]

    def parse(self, row: dict, response: str) -> dict:
        return {"row": row["row"], "text": response}


settings = {"base_url": now.url + ("/v1" if now.wire == "openai" else ""), "batch_check_interval": 1, "batch_size": len(QUESTIONS)}
settings |= {"api_key": "any"} if now.wire == "openai" else {}
asking = Answers(model_name=now.model, batch=True, backend=now.wire, backend_params=settings)
found = asking([{"row": row} for row in range(len(QUESTIONS))], working_dir=str(now.state))
now.hand_back({one["row"]: one["text"] for one in getattr(found, "dataset", found)})
