"""Metrics by name: the built-in ones, and a user's own as `package.module:function`.

A metric of your own, in a file `tolerant.py` in the working directory:

    def numeric(item, text):
        '''Right when the last number of the answer equals the accepted one.'''
        numbers = re.findall(r"-?[0-9]+(?:[.][0-9]+)?", text.replace(",", ""))
        return {"em": int(bool(numbers) and float(numbers[-1]) == float(item.answers[0]))}

As a question set's metric (`metric: tolerant:numeric`) it decides em (0 or 1) and f1 (left out: as em); the rules on abstaining
then apply as to any metric. Among the further metrics it only adds its numbers, under its own name when it returns just one.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from types import MappingProxyType, ModuleType

from batchtrial.errors import ConfigError
from batchtrial.scoring.match import Metric
from batchtrial.scoring.nq_open import NQ_OPEN
from batchtrial.scoring.own_phrases import OwnPhrases
from batchtrial.scoring.scorer import CustomMetric, Scorer
from batchtrial.scoring.squad import SQUAD_V2
from batchtrial.scoring.triviaqa import TRIVIAQA
from batchtrial.scoring.unsupported import OverlapRule

METRICS = MappingProxyType({metric.name: metric for metric in (SQUAD_V2, TRIVIAQA, NQ_OPEN)})
METRIC_BY_DATASET = MappingProxyType({"bundled_open": SQUAD_V2, "bundled_closed": TRIVIAQA})


def scorer_for(
    dataset_or_name: str, *, further: Sequence[str] = (), rule: OverlapRule | None = None, folders: Sequence[str] = (), phrases: Sequence[str] = ()
) -> Scorer:
    """The scorer for a metric's name, a bundled question set's name, or an import path.

    further: import paths of metrics that only add numbers. folders: where modules that Python's own path does not have are
    looked for. phrases: abstentions beside the English ones that are known. Raises ConfigError for a name that is not known, naming
    the nearest ones, and for a path that leads nowhere.
    """
    added = tuple((path, _imported(path, folders)) for path in further)
    given, own = rule or OverlapRule(), OwnPhrases(tuple(phrases))
    if ":" in dataset_or_name:
        main = (dataset_or_name, _imported(dataset_or_name, folders))
        return Scorer(metric=SQUAD_V2, rule=given, main=main, further=added, phrases=own)
    return Scorer(metric=_named(dataset_or_name), rule=given, further=added, phrases=own)


def _named(name: str) -> Metric:
    known = {**METRICS, **METRIC_BY_DATASET}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or sorted(METRICS)
    raise ConfigError(
        f"there is no metric {name!r}",
        where="datasets.metric",
        hint=f"did you mean {' or '.join(near)}? A metric of your own is written package.module:function",
    )


def _imported(path: str, folders: Sequence[str]) -> CustomMetric:
    module_name, _, function_name = path.partition(":")
    if not module_name or not function_name.isidentifier():
        raise ConfigError(f"{path!r} is no import path", hint="write it as package.module:function")
    module = _module(module_name, path, folders)
    function = getattr(module, function_name, None)
    if not callable(function):
        own = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        near = difflib.get_close_matches(function_name, own, n=3, cutoff=0.4) or sorted(own)[:5]
        raise ConfigError(f"the module {module_name} has no function {function_name!r}", where=path, hint=f"it has {', '.join(near) or 'none'}")
    metric: CustomMetric = function
    return metric


def _module(name: str, path: str, folders: Sequence[str]) -> ModuleType:
    if name not in sys.modules and not _is_importable(name):
        spec = PathFinder.find_spec(name, list(folders)) if "." not in name else None
        if spec is None or spec.loader is None:
            raise ConfigError(
                f"there is no module {name!r}",
                where=path,
                hint="install it, or put its file into one of: " + (", ".join(folders) or "no folder is searched here"),
            )
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except (ImportError, SyntaxError) as error:
            del sys.modules[name]
            raise ConfigError(f"the module {name} cannot be loaded: {error}", where=path) from error
        return module
    try:
        return importlib.import_module(name)
    except (ImportError, SyntaxError) as error:
        raise ConfigError(f"the module {name} cannot be loaded: {error}", where=path) from error


def _is_importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
