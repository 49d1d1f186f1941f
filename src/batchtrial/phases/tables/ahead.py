"""What several threads make while one writes: the table library works without the interpreter's lock, so that threads are enough."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

R = TypeVar("R")


def made_ahead(jobs: Iterable[Callable[[], R]], n: int) -> Generator[R, None, None]:
    """What the jobs give, in their order. `n` of them are carried out, in threads, while the caller is busy with what came before."""
    with ThreadPoolExecutor(n) as threads:
        ahead: deque[Future[R]] = deque()
        for job in jobs:
            ahead.append(threads.submit(job))
            if len(ahead) > n:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
