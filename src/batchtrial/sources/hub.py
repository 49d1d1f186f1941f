"""Rows from Hugging Face `datasets`, imported only here, when a config asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from batchtrial.errors import DataError, MissingExtra
from batchtrial.sources.readers import Rows
from batchtrial.sources.rows import Row
from batchtrial.sources.spec import SourceSpec


class Home(NamedTuple):
    """Where a well-known question set lives."""

    repository: str
    subset: str | None
    split: str


HOMES: Mapping[str, Home] = MappingProxyType(
    {
        "squad_v2": Home("rajpurkar/squad_v2", None, "validation"),
        "triviaqa": Home("mandarjoshi/trivia_qa", "unfiltered.nocontext", "validation"),
        "nq_open": Home("google-research-datasets/nq_open", None, "validation"),
    }
)


def read_hub(spec: SourceSpec) -> Rows:
    """Rows of a question set on the hub. Raises MissingExtra without the package, DataError when the set cannot be had."""
    known = HOMES.get(spec.name)
    repository = spec.path or (known.repository if known else None)
    if repository is None:
        raise DataError(
            f"{spec.name!r} does not say which repository to load",
            where=f"datasets.{spec.name}.path",
            hint=f"give `path: owner/name`; without one the name must be {', '.join(HOMES)}",
        )
    is_known = known is not None and repository == known.repository
    subset = spec.subset or (known.subset if known and is_known else None)
    split = spec.split or (known.split if known and is_known else "validation")
    try:
        import datasets  # type: ignore[import-not-found,unused-ignore]  # an extra: absent in most installs
    except ImportError:
        raise MissingExtra(
            "question sets from the hub need the package `datasets`",
            where=f"datasets.{spec.name}",
            hint="pip install 'batchtrial[hub]', or use `source: file`",
        ) from None
    try:
        table = datasets.load_dataset(repository, subset, split=split)
    # Unreachable host, unknown repository, subset or split, damaged files: the package raises these families and its own.
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{repository} (subset {subset or 'default'}, split {split}) cannot be loaded: {str(error).strip() or type(error).__name__}",
            where=f"datasets.{spec.name}",
            hint="check the names and the network, or use `source: file` with a downloaded copy",
        ) from error
    return (Row(line=number + 1, number=number, fields=fields) for number, fields in enumerate(table))
