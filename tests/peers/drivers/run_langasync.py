"""langasync (LangChain): a batch chain and its poller; only what was not submitted is submitted again."""

from __future__ import annotations

import asyncio
import os

from rows import MAX_TOKENS, QUESTIONS, case

now = case()
os.environ["LANGASYNC_BATCH_POLL_INTERVAL"] = "1"
os.chdir(now.state)
from langasync import BatchPoller, batch_chain  # noqa: E402
from langchain_core.prompts import ChatPromptTemplate  # noqa: E402

if now.wire == "openai":
    from langchain_openai import ChatOpenAI as Model
else:
    from langchain_anthropic import ChatAnthropic as Model
chain = ChatPromptTemplate.from_messages([("user", "{question}")]) | Model(model=now.model, max_tokens=MAX_TOKENS)
submitted = now.state / "submitted"


async def main() -> None:
    if not submitted.exists():
        job = await batch_chain(chain).submit([{"question": question} for question in QUESTIONS])
        submitted.write_text(str(job.job_id))
    texts = {}
    async for polled in BatchPoller().wait_all():
        for number, result in enumerate(polled.results or []):
            content = getattr(result, "content", None) if getattr(result, "success", True) else None
            texts[number] = getattr(content, "content", content)
    now.hand_back(texts)


asyncio.run(main())
