"""The list of batches at OpenAI and hosts like it, page by page to its end, or no answer at all.

A batch that is missed here is bought again. So a list that contradicts itself proves nothing: a page that was promised and is empty, a page or a
cursor that comes a second time, a host that says there is more but not how to ask for it, and a list without pages that is just as long as was asked
for are all `Unsure`. The SDK's own pager is not used: on
hosts that page in another way it asks for the same page for ever, or stops after the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from batchtrial.errors import ProviderError, Unsure
from batchtrial.providers.decode.lines import count
from batchtrial.providers.openai.quirks import Quirks

MOST_PAGES: Final = 20_000
MORE: Final = "the list of batches says that there is more"
AGAIN: Final = "it is asked again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer. has_more: None when it does not say. cursor: what the next page is asked for with, where it brings one."""

    batches: list[dict[str, Any]]
    has_more: bool | None
    cursor: str | None

    @property
    def is_more_promised(self) -> bool:
        return self.has_more is True or self.cursor is not None


def page_of(got: object, where: str, *, is_bare: bool) -> Page:
    """A page out of the JSON of an answer. is_bare: a bare array is a whole list.

    Raises ProviderError when it is no list of objects with ids: what is none would be taken for an empty one, and prove an absence.
    """
    told: Mapping[str, Any] = got if isinstance(got, dict) else {"data": got if is_bare else None, "has_more": False}
    data = told.get("data", told.get("value"))
    if not isinstance(data, list) or not all(isinstance(each, dict) and isinstance(each.get("id"), str) for each in data):
        raise ProviderError("the answer is no list of batches", where=where, hint="does base_url lead to the provider?", retryable=True)
    paging = told.get("paging")
    cursor = paging.get("next_cursor") if isinstance(paging, Mapping) else told.get("next_cursor")
    has_more = told.get("has_more")
    if not isinstance(has_more, bool | None) or not isinstance(cursor, str | int | None):
        raise ProviderError("the list of batches does not say in known words whether it goes on", where=where, retryable=True)
    return Page(batches=data, has_more=has_more, cursor=None if cursor is None else str(cursor) or None)


class Listing:
    """One walk through the list. ask: the page for these query keys."""

    def __init__(self, quirks: Quirks, ask: Callable[[Mapping[str, Any]], Page], where: str) -> None:
        self._quirks, self._ask, self._where = quirks, ask, where
        self._seen: set[str] = set()
        self._cursors: set[str] = set()

    def batches(self, since: Callable[[], datetime | None]) -> Iterator[dict[str, Any]]:
        """Every batch, until a whole page of a list that is newest first is older than `since`, which is asked after the first page.

        Raises Unsure when the list cannot have been read to its end.
        """
        asked: dict[str, Any] = {"limit": self._quirks.page_size}
        was_promised = False
        for _ in range(MOST_PAGES):
            page = self._ask(asked)
            new = [batch for batch in page.batches if batch["id"] not in self._seen]
            yield from new
            self._seen.update(batch["id"] for batch in new)
            if self._is_past(new, since()):
                return
            if page.batches and not new:
                raise self._unsure("and gives a page again that was read")
            if not page.batches and not page.is_more_promised:
                if was_promised:
                    raise self._unsure("and gives an empty page")
                return
            further = self._further(page, new)
            if further is None:
                return
            asked, was_promised = {"limit": self._quirks.page_size} | further, page.is_more_promised
        raise self._unsure(f"after {MOST_PAGES} pages")

    def _further(self, page: Page, new: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Query of the next page; None at the end of the list."""
        if page.cursor is not None:
            if page.cursor in self._cursors:
                raise self._unsure("and brings a cursor again that was used")
            self._cursors.add(page.cursor)
            return {"cursor": page.cursor}
        paging = self._quirks.paging
        if paging == "none" and len(page.batches) == self._quirks.page_size:
            raise Unsure("the list of batches is as long as was asked for, and may have been cut", where=self._where, hint=AGAIN, retryable=True)
        if page.has_more is False:
            return None
        if paging in ("none", "cursor"):
            if page.has_more:
                raise self._unsure("and not how to ask for it")
            return None
        if paging == "offset":
            return {"after": str(len(self._seen))}
        if not new:
            raise self._unsure("and gives an empty page")
        return {"after": new[-1]["id"]}

    def _is_past(self, new: list[dict[str, Any]], since: datetime | None) -> bool:
        """Whether nothing of interest can follow: the order inside a page is not promised."""
        if since is None or not new or not self._quirks.is_newest_first:
            return False
        times = [created(batch) for batch in new]
        return all(time is not None and time < since.timestamp() for time in times)

    def _unsure(self, what: str) -> Unsure:
        return Unsure(f"{MORE}, {what}", where=self._where, hint=AGAIN, retryable=True)


def created(batch: Mapping[str, Any]) -> float | None:
    """Unix seconds, from a number or from a date in text; None when it does not say."""
    stamp = batch.get("created_at")
    if isinstance(stamp, str):
        try:
            when = datetime.fromisoformat(stamp)
        except ValueError:
            return None
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return count(stamp) or None
