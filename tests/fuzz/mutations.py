"""Seeded damage: bytes of any file, values of any tree. The same seed gives the same damage on every machine."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

Path_ = tuple[str | int, ...]


def nested(depth: int) -> Any:
    """A list inside a list, so many times."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


ODD_TEXTS: tuple[str, ...] = (
    "", " ", ".", "..", "../../x", "/nowhere/x", "x/../../../y", "~", "con", "a" * 300, "a\x00b", "\ud800", "\u202e\u2066abc", "\ufeffx", "\u2028",
    "${HOME}", "{{question}}", "{", "%s%n", "=1+1", "-1", "0", "1e999", "nan", "null", "true", "s3://bucket/x", "file:///x", "x\ny", "x\ty", "\r",
    "é" * 40, "名前", "a,b", 'a"b', "a'b", "*", "&a", "!!python/object:os.system", "<script>alert(1)</script>", "<think>", "</think>", "I don't know",
)  # fmt: skip
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -0.0, -1, 1, 2**31, 2**63, 10**30, -(10**30), 0.1, 1e308, float("inf"), float("-inf"), float("nan"),
    [], {}, [[]], [None], [{}], {"": 1}, {"a": {"b": []}}, [1, 1], ["x", "x"], "2026-01-01", "12:30:00",
)  # fmt: skip


def odd_value(rng: random.Random) -> Any:
    """A value that somebody may write where another was meant."""
    if rng.random() < 0.45:
        return rng.choice(ODD_TEXTS)
    if rng.random() < 0.04:
        return nested(rng.choice((40, 400, 1500)))
    return copy.deepcopy(rng.choice(ODD_VALUES))  # a second mutation may change it, or put it into itself


def places(tree: Any) -> Iterator[Path_]:
    """Every place of a tree, however deep, the root first."""
    waiting: list[tuple[Path_, Any]] = [((), tree)]
    while waiting:
        at, value = waiting.pop()
        yield at
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        waiting += [((*at, key), one) for key, one in inside]


def _holder(tree: Any, at: Path_) -> Any:
    for step in at[:-1]:
        tree = tree[step]
    return tree


def _replace(rng: random.Random, holder: Any, key: Any) -> None:
    holder[key] = odd_value(rng)


def _remove(rng: random.Random, holder: Any, key: Any) -> None:
    del holder[key]


def _wrap(rng: random.Random, holder: Any, key: Any) -> None:
    holder[key] = rng.choice(([holder[key]], {"value": holder[key]}, [holder[key]] * 3))


def _rename(rng: random.Random, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[rng.choice((*ODD_TEXTS, str(key)[:-1], f"{key}s", str(key).upper()))] = holder.pop(key)


def _extend(rng: random.Random, holder: Any, key: Any) -> None:
    value = holder[key]
    if isinstance(value, dict):
        value[rng.choice(ODD_TEXTS)] = odd_value(rng)
    elif isinstance(value, list):
        value.insert(rng.randrange(len(value) + 1), odd_value(rng))
    elif isinstance(value, str):
        holder[key] = value + rng.choice(ODD_TEXTS)
    else:
        holder[key] = odd_value(rng)


_TREE: tuple[Callable[[random.Random, Any, Any], None], ...] = (_replace, _replace, _replace, _remove, _wrap, _rename, _extend)


def tree(rng: random.Random, value: Any) -> Any:
    """The tree, damaged in one to three places."""
    damaged = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.choice(list(places(damaged)))
        if not at:
            if rng.random() < 0.05:
                return odd_value(rng)
            continue
        rng.choice(_TREE)(rng, _holder(damaged, at), at[-1])
    return damaged


def _flip(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _drop(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randrange(1, 40) :]


def _insert(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    odd = rng.choice(ODD_TEXTS).encode("utf-8", "surrogatepass")
    return data[:at] + rng.choice((odd, bytes([rng.randrange(256)]) * rng.choice((1, 3, 500)), b'"', b"\n", b"}{", b"[" * 2000)) + data[at:]


def _lines(rng: random.Random, data: bytes) -> bytes:
    rows = data.split(b"\n")
    a, b = rng.randrange(len(rows)), rng.randrange(len(rows))
    kind = rng.randrange(4)
    if kind == 0:
        rows.insert(a, rows[b])
    elif kind == 1:
        rows[a], rows[b] = rows[b], rows[a]
    elif kind == 2:
        del rows[a]
    else:
        rows[a] = rows[a] * 2
    return b"\n".join(rows)


def _encode(rng: random.Random, data: bytes) -> bytes:
    text = data.decode("utf-8", "replace")
    return text.encode(rng.choice(("utf-16", "utf-8-sig", "latin-1", "utf-32", "cp1252")), "replace")


def _whole(rng: random.Random, data: bytes) -> bytes:
    return rng.choice((b"", b"\x00" * 100, b"null", b"[]", b"{}", b"\n\n\n", b"PK\x03\x04", data + data, data.replace(b"\n", b"\r\n"), b"\xff" * 64))


_BYTES: tuple[Callable[[random.Random, bytes], bytes], ...] = (_flip, _flip, _cut, _drop, _insert, _insert, _lines, _lines, _encode, _whole)


def raw(rng: random.Random, data: bytes) -> bytes:
    """The bytes, damaged in one to three ways."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(_BYTES)(rng, data) if data else b"{"
    return data


def json_lines(rng: random.Random, data: bytes) -> bytes:
    """JSON lines with one line's tree damaged, or the file's bytes."""
    rows = [row for row in data.split(b"\n") if row]
    if not rows or rng.random() < 0.3:
        return raw(rng, data)
    at = rng.randrange(len(rows))
    try:
        rows[at] = dumped(tree(rng, json.loads(rows[at])))
    except (ValueError, RecursionError):
        return raw(rng, data)
    return b"\n".join(rows) + b"\n"


def dumped(value: Any) -> bytes:
    """The value as JSON in bytes, lone surrogates escaped."""
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (UnicodeEncodeError, RecursionError):
        return json.dumps(value).encode("ascii") if not _is_deep(value) else b"[" * 1500 + b"]" * 1500


def _is_deep(value: Any) -> bool:
    try:
        json.dumps(value)
    except RecursionError:
        return True
    return False
