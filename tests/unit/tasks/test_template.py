"""Templates: what they give, what they refuse with line and nearest column, and that none of them can hang or fill memory."""

from __future__ import annotations

import time
from typing import Any

import pytest

from batchtrial.tasks.budget import LONGEST_RANGE, MOST_CHARS, SECONDS
from batchtrial.tasks.template import Template, TemplateFault

ITEM: dict[str, Any] = {
    "name": "Ada",
    "count": 3,
    "half": 0.5,
    "is_open": True,
    "empty": None,
    "tags": ["a", "b"],
    "who": {"city": "Zürich", "none": None},
    "two words": "yes",
    "long": "x" * 1000,
}


def render(source: str, **more: Any) -> str:
    return Template.of(source).render(ITEM | more)


def fault(source: str, **more: Any) -> TemplateFault:
    with pytest.raises(TemplateFault) as caught:
        render(source, **more)
    return caught.value


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hello {{ name }}!", "Hello Ada!"),
        ("{{ count }} {{ half }} {{ is_open }} {{ tags }} {{ who }}", '3 0.5 true ["a", "b"] {"city": "Zürich", "none": null}'),
        ("{{ who.city }} {{ who['city'] }} {{ tags[1] }} {{ name[:2] }}", "Zürich Zürich b Ad"),
        ("{% for one in tags %}{{ loop.index }}. {{ one }}{% if not loop.last %}, {% endif %}{% endfor %}", "1. a, 2. b"),
        ("{% for key, value in who | items %}{{ key }};{% endfor %}", "city;none;"),
        ('{{ empty | default("-") }}{{ nobody | default("-") }}{{ who.none | default("-") }}{{ who.never | default("-") }}', "----"),
        ("{% if empty is defined %}a{% else %}b{% endif %}{{ 'c' if count > 2 else 'd' }}", "bc"),
        ("{{ columns['two words'] }}", "yes"),
        ("{{ tags | join(' + ') }} {{ name ~ count }} {{ [name, half] | join('/') }}", "a + b Ada3 Ada/0.5"),
        ("{{ name | upper }} {{ name | replace('A', 'B') }}", "ADA Bda"),
        ("{{ who | dump }}", '{"city":"Zürich","none":null}'),
        ("{{ who | tojson }} {{ tags | length }} {{ half | round(0) }} {{ count + 1 }} {{ 7 % 4 }}", '{"city": "Zürich", "none": null} 2 0.0 4 3'),
        ("{% set n = count * 2 %}{{ n }}{% raw %}{{ n }}{% endraw %}{# said to nobody #}", "6{{ n }}"),
        ("{{ text }}", "{{ name }} {% x %}"),
        ("{% for one in tags if one != 'a' %}{{ one }}{% else %}none{% endfor %}", "b"),
    ],
)
def test_what_a_template_gives(source: str, text: str) -> None:
    assert render(source, text="{{ name }} {% x %}") == text


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("a\nb {{ nmae }}", 2, "no column 'nmae'; did you mean 'name'?"),
        ("{{ empty }}", 1, "no column 'empty'"),
        ("\n\n{{ who.ctiy }}", 3, "did you mean 'city'?"),
        ("{{ who.none }}", 1, "there is no 'none'"),
        ("{{ tags[7] }}", 1, "there is no 7"),
        ("{{ name.__class__ }}", 1, "only objects have keys"),
        ("{{ name['__class__'] }}", 1, "only objects have keys"),
        ("{{ who.items }}", 1, "there is no 'items'"),
        ("{{ who.items() }}", 1, "only range(...) can be called"),
        ("{{ ''.__class__.__mro__ }}", 1, "only objects have keys"),
        ("{{ name | attr('__class__') }}", 1, "there is no filter 'attr'"),
        ("{{ tags | sort(attribute='__class__') }}", 1, "only objects have keys"),
        ("{% for a in tags %}{{ loop.__init__ }}{% endfor %}", 1, "has no '__init__'"),
        ("{% import 'os' as os %}", 1, "import is not available"),
        ("{% from 'a' import b %}", 1, "import is not available"),
        ("{% include '/etc/passwd' %}", 1, "include is not available"),
        ("{% extends 'a' %}", 1, "extends is not available"),
        ("{% macro a() %}{% endmacro %}", 1, "macro is not available"),
        ("{% set a %}x{% endset %}", 1, "a block of set is not available"),
        ("{% autoescape true %}{% endautoescape %}", 1, "autoescape is not available"),
        ("{{ '%1000000000d' is divisibleby 7 }}", 1, "only numbers are divided"),
        ("{{ '%1000000000d' is odd }}", 1, "only numbers are divided"),
        ("{{ '%1000000000d' is even }}", 1, "only numbers are divided"),
        ("{{ nothing is even }}", 1, "no column 'nothing'"),
        ("{{ name | truncate(1) }}", 1, "expected length >= 3"),
        ("{{ lipsum() }}{{ cycler }}", 1, "only range(...) can be called"),
        ("{{ name | uper }}", 1, "did you mean upper?"),
        ("{{ name + count }}", 1, "only texts put together"),
        ("{{ 1 / 0 }}", 1, "division by zero"),
        ("{{ '1e400' | float }}", 1, "a number that is none"),
        ("{{ 'now' | int(base=99) + [] }}", 1, "only numbers"),
        ("line\n{% if %}", 2, "Expected an expression"),
        ("{{ name", 1, "unexpected end"),
    ],
)
def test_what_a_template_refuses_and_where(source: str, line: int, words: str) -> None:
    found = fault(source)
    assert words in found.what
    assert found.line == line


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(10**9) %}{% endfor %}",
        "{% for i in range(1000000000) %}a{% endfor %}",
        f"{{{{ range(9999999999999999999999999999)[{LONGEST_RANGE}] }}}}",
        "{% for i in range(9999) %}{% for j in range(9999) %}{% for k in range(9999) %}{% endfor %}{% endfor %}{% endfor %}",
        "{% for i in range(9999) %}{% for j in range(9999) if j < 0 %}{% endfor %}{% endfor %}",
        "{{ 'a' * 1000000000 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ tags * 1000000000 }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ 1.5 | round(1000000000, 'ceil') }}",
        "{{ 1.5 | round(1000000000) }}",
        "{% for i in range(9999) %}{{ long }}{% endfor %}",
        "{% set a = long %}" + "{% set a = a ~ a %}" * 40,
        "{% set a = long %}" + "{% set a = a + a %}" * 40,
        "{% set a = long %}" + "{% set a = a | replace('x', 'xxxxxxxxxx') %}" * 20,
        "{% set a = long %}" + "{% set a = [a, a] | join(a) %}" * 20,
        "{% set a = tags %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
        "{% set a = tags %}" + "{% set a = (a, a) %}" * 40 + "{{ a }}",
        "{% set a = tags %}" + "{% set a = a + a %}" * 40,
        "{% set a = 10 %}" + "{% set a = a * a %}" * 40,
        "".join(f"{{% set a{k} = long | upper %}}" for k in range(20_000)),
        "".join(f"{{% set a{k} = long[1:] %}}" for k in range(20_000)),
        "{{ " + "(" * 100_000,
        "{{ " + "-" * 100_000 + "1 }}",
        "{{ " + "[" * 5_000 + "]" * 5_000 + " }}",
        "{% for i in tags %}" * 60 + "{% endfor %}" * 60,
        "{{ 9" + "9" * 6000 + " }}",
    ],
)
def test_a_template_that_would_grow_without_bounds_is_an_error_at_once(source: str) -> None:
    begun = time.process_time()
    assert fault(source).what
    assert time.process_time() - begun < SECONDS


def test_a_megabyte_is_given_and_one_character_more_is_not() -> None:
    whole = "y" * MOST_CHARS
    assert render("{{ whole }}", whole=whole) == whole
    assert "1,048,576" in fault("{{ whole }}z", whole=whole).what


def test_what_takes_too_long_is_an_error_by_the_clock() -> None:
    seconds = iter(range(0, 1000, 3))
    with pytest.raises(TemplateFault, match="longer than 5 seconds"):
        Template.of("{% for i in range(100) %}{{ i }}{% endfor %}").render({}, clock=lambda: next(seconds))


def test_the_columns_that_a_template_reads_are_known() -> None:
    assert Template.of("{{ a.b }}{% for c in d %}{{ c }}{{ e | default(f) }}{% endfor %}{% set g = 1 %}{{ g }}{{ columns['h'] }}").names == {
        "a",
        "d",
        "e",
        "f",
    }
