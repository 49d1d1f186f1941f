"""Question sets: where they come from, and what is wrong with their rows."""

from batchtrial.sources.load import LoadReport, default_metric, load_items
from batchtrial.sources.problems import BadRow
from batchtrial.sources.spec import FieldMap, SourceSpec

__all__ = ["BadRow", "FieldMap", "LoadReport", "SourceSpec", "default_metric", "load_items"]
