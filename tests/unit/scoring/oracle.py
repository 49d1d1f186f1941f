"""The official rules as plainly as possible, a character and a pair at a time: what the fast code must equal."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

ASCII_SIGNS = set(string.punctuation)


def without_articles(text: str) -> str:
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def squad_normal(text: str) -> str:
    return without_articles("".join(sign for sign in text.lower() if sign not in ASCII_SIGNS))


def triviaqa_normal(text: str) -> str:
    lowered = text.replace("_", " ").lower()
    return without_articles("".join(" " if sign in ASCII_SIGNS | set("‘’´`") else sign for sign in lowered))


def nq_normal(text: str) -> str:
    return squad_normal(unicodedata.normalize("NFD", text))


NORMAL = {"squad_v2": squad_normal, "triviaqa": triviaqa_normal, "nq_open": nq_normal}


def token_f1(gold: str, answer: str, *, empty_pair_is_right: bool) -> float:
    gold_tokens, answer_tokens = gold.split(), answer.split()
    if not gold_tokens or not answer_tokens:
        return float(empty_pair_is_right and gold_tokens == answer_tokens)
    same = sum((Counter(gold_tokens) & Counter(answer_tokens)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(answer_tokens), same / len(gold_tokens)
    return (2 * precision * recall) / (precision + recall)


def official(metric: str, golds: Sequence[str], answer: str) -> tuple[int, float]:
    """Exact match and F1 of an answerable question, the best over the accepted answers."""
    normal = NORMAL[metric]
    if metric == "squad_v2":
        golds = [gold for gold in golds if normal(gold)] or [""]
    em = max(int(normal(gold) == normal(answer)) for gold in golds)
    f1 = max(token_f1(normal(gold), normal(answer), empty_pair_is_right=metric == "squad_v2") for gold in golds)
    return em, f1
