"""Settings of what is written beside the report."""

from __future__ import annotations

from pydantic import Field

from batchtrial.config.settings import Model


class ReportSettings(Model):
    """What people find in the run's folder when it is finished."""

    answers_page: bool = Field(True, description="`answers.html`: every answer, pair by pair, in one page of at most 10 MB.")


def has_answers_page(settings: ReportSettings | None) -> bool:
    """Whether a page with every answer is written at the end."""
    return settings is None or settings.answers_page
