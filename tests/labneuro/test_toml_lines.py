"""Each key of a TOML text has a line, wherever TOML lets it stand."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from labneuro.toml_lines import key_lines


def test_keys_are_found_wherever_toml_lets_them_stand() -> None:
    text = '''\
# [not.a.table]
a.b = 1   # a dotted key
"c d" = """
[nor.this]
e = 2
"""
f = [
  { g = 1 },
  { h = 2 },
]

[ t . "u.v" ]   # a table
w = {
x = 1, y = { z = 2 } }
[[list]]
k = 1
[[list]]
l = 2
'''.replace("{\nx", "{ x")
    assert key_lines(text) == {
        ("a",): 2,
        ("a", "b"): 2,
        ("c d",): 3,
        ("f",): 7,
        ("f", "g"): 7,
        ("f", "h"): 7,
        ("t",): 12,
        ("t", "u.v"): 12,
        ("t", "u.v", "w"): 13,
        ("t", "u.v", "w", "x"): 13,
        ("t", "u.v", "w", "y"): 13,
        ("t", "u.v", "w", "y", "z"): 13,
        ("list",): 14,
        ("list", "k"): 15,
        ("list", "l"): 17,
    }


names = st.text("abcXYZ09_- .#[]='µ", min_size=1, max_size=6)
values = st.sampled_from(
    [
        "1",
        '"a # b"',
        "[1,\n  2]",
        '"""\n[x]\ny = 1\n"""',
        "'''\n\\\n'''",
        "{ p = 1, q.r = [ {} ] }",
        "nan",
        "2020-01-01",
    ]
)
fillers = st.lists(st.sampled_from(["", "   ", "# comment", "# [table]", '# """']), max_size=2)
statements = st.tuples(fillers, names, values)
tables = st.lists(
    st.tuples(
        fillers,
        st.lists(names, min_size=1, max_size=3),
        st.lists(statements, max_size=4, unique_by=lambda s: s[1]),
    ),
    max_size=4,
    unique_by=lambda t: t[1][0],
)


@given(tables, st.sampled_from(["\n", "\r\n"]))
def test_every_key_of_any_file_has_the_line_it_was_written_on(tables: list[Any], newline: str) -> None:
    lines: list[str] = []
    written: dict[tuple[str, ...], int] = {}
    for before, header, body in tables:
        lines += before
        lines.append(f"[{'.'.join(_quoted(name) for name in header)}]")
        for depth in range(len(header)):
            written[tuple(header[: depth + 1])] = len(lines)
        for filler, name, value in body:
            lines += filler
            written[(*header, name)] = len(lines) + 1
            lines += f"{_quoted(name)} = {value}".split("\n")
    text = newline.join(lines)
    tomllib.loads(text)
    found = key_lines(text)
    assert {key: found[key] for key in written} == written


def _quoted(name: str) -> str:
    return f'"{name}"'
