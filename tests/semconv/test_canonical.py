# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Canonical JSON against the vectors of RFC 8785 and its properties."""

import enum
import json
import struct
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from runrecord.semconv.canonical import MAX_DEPTH, canonical_form, canonical_json, to_json_domain
from runrecord.semconv.errors import CanonicalError

# RFC 8785, appendix B.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}

scalars = st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)
# What Python code may hold: keys that collide, surrogates, numbers that are not finite, other types.
python_values = st.recursive(
    scalars | st.floats() | st.binary() | st.text() | st.complex_numbers() | st.datetimes() | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers() | st.text() | st.floats(), max_size=4)
        | st.dictionaries(st.integers() | st.text() | st.none() | st.tuples(st.text()), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_numbers_of_the_rfc(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_json(number) == text.encode()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_refused(number: float) -> None:
    with pytest.raises(CanonicalError, match="not finite"):
        canonical_json({"a": [number]})


def test_sample_object_of_the_rfc() -> None:
    """RFC 8785 section 3.2.2 and its result in section 3.2.3."""
    value = json.loads(
        r"""{
          "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
          "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
          "literals": [null, true, false]
        }"""
    )
    assert canonical_json(value) == (
        b'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_are_in_the_order_of_utf_16_code_units() -> None:
    """RFC 8785 section 3.2.3: an emoji, beyond the basic plane, sorts before U+FB33."""
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    written = canonical_json(dict.fromkeys(keys, 0))
    assert list(json.loads(written)) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_control_characters_and_delete() -> None:
    assert (
        canonical_json("\x00\x08\t\n\x0b\x0c\r\x1f\x7f\u2028")
        == b'"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\x7f\xe2\x80\xa8"'
    )


def test_lone_surrogates_become_the_replacement_character_and_pairs_are_joined() -> None:
    assert canonical_json("a\ud800b") == '"a\ufffdb"'.encode()
    assert canonical_json("\ud83d\ude00") == '"\U0001f600"'.encode()
    assert canonical_json({"\udfff": 1}) == '{"\ufffd":1}'.encode()
    with pytest.raises(CanonicalError, match="two keys"):
        canonical_json(dict(zip(["\ud800", "\ud801"], [1, 2], strict=True)))


def test_integers_are_written_in_full() -> None:
    assert (
        canonical_json([2**53 + 1, -(10**30), 0]) == b"[9007199254740993,-1000000000000000000000000000000,0]"
    )


@pytest.mark.parametrize("value", [b"x", {1}, object(), {"a": {1: 2}}, 1j, 1 << 9000])
def test_what_is_not_json_is_refused_with_the_next_step(value: object) -> None:
    with pytest.raises(CanonicalError):
        canonical_json(value)  # type: ignore[arg-type]


def test_depth_is_bounded() -> None:
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert canonical_json(value) == b"[" * MAX_DEPTH + b"1" + b"]" * MAX_DEPTH  # type: ignore[arg-type]
    with pytest.raises(CanonicalError, match="deeper than"):
        canonical_json([value])  # type: ignore[list-item]


@given(json_values)
def test_parsing_gives_the_value_back(value: object) -> None:
    written = canonical_json(value)  # type: ignore[arg-type]
    assert json.loads(written) == value
    assert canonical_json(json.loads(written)) == written


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_are_exact(number: float) -> None:
    text = canonical_json(number).decode()
    assert float(text) == number
    assert "." not in text or not text.split("e")[0].endswith("0")


@given(python_values)
def test_coercion_takes_anything_and_changes_nothing_the_second_time(value: object) -> None:
    coerced = to_json_domain(value)
    written = canonical_json(coerced)
    assert canonical_json(to_json_domain(coerced)) == written


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "not what is inside"


class Shout(int):
    def __repr__(self) -> str:
        return "not a number"


class Table(dict[object, object]):
    """A mapping that is a dict, as the type of a caller's own may be."""


def wide(value: object) -> object:
    """The same value in types that only the long way takes."""
    if isinstance(value, dict):
        return Table({key: wide(item) for key, item in value.items()})
    return tuple(map(wide, value)) if isinstance(value, list) else value


# What decides whether the short way is taken: types that look alike, texts and keys that sort or escape otherwise, sizes, depth.
texts = st.text() | st.sampled_from(
    [
        "",
        "\ud83d\ude00",
        "\ud800",
        "\ufb33",
        "\U0001f600",
        "\x00\x1f\x7f\u2028</script>",
        '"\\',
        "-0",
        "\ue000",
    ]
)
near_plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [2**53 + 1, -(1 << 64), (1 << 8192) - 1, -((1 << 8192) - 1), 0.0, -0.0, 80.0, 1e16, 1e21, 5e-324]
    )
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.builds(Text, texts)
    | st.builds(Shout, st.integers()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.dictionaries(texts | st.builds(Text, texts), inner, max_size=4)
    ),
    max_leaves=30,
)


@given(near_plain)
@example([[[[[[[[["deeper than the short way goes"]]]]]]]]])
@example({"\ufb33": 1, "\U0001f600": 2, "b": 3, "a": 4})
@example({"a": "\ud800"})
@example([True, 1, 1.0, "1", None])
def test_the_short_way_and_the_long_way_write_the_same(value: object) -> None:
    domain = to_json_domain(value)
    assert canonical_form(value) == canonical_json(domain) == canonical_json((wide(domain),))[1:-1]  # type: ignore[list-item]


@given(python_values)
def test_the_form_of_anything_is_that_of_its_json_value(value: object) -> None:
    assert canonical_form(value) == canonical_json(to_json_domain(value))


@given(json_values)
def test_json_values_are_not_coerced(value: object) -> None:
    assert to_json_domain(value) == value


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclass
class Point:
    x: int
    tags: tuple[str, ...]


class Order(BaseModel):
    number: int
    note: str | None = None


class Hostile(dict[str, object]):
    def __iter__(self) -> object:  # type: ignore[override]
        raise RuntimeError("no")

    keys = __iter__  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        ((1, [2]), [1, [2]]),
        (deque([1, 2]), [1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        (b"\x00\xff", {"$bytes": "AP8="}),
        (memoryview(b"abcd")[::2], {"$bytes": "YWM="}),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (1 << 8192, hex(1 << 8192)),
        (datetime(2026, 11, 21, tzinfo=timezone.utc), "2026-11-21T00:00:00+00:00"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (range(10**12), "range(0, 1000000000000)"),
        (Point(1, ("a",)), {"x": 1, "tags": ["a"]}),
        (Order(number=7), {"number": 7, "note": None}),
        (object(), {"$type": "builtins.object"}),
        (Point, {"$type": "builtins.type"}),
        ({1: "a", None: "b", (1, "x"): "c"}, {"1": "a", "null": "b", '[1,"x"]': "c"}),
        ({1: "b", "1": "a"}, {"$items": [["1", "a"], ["1", "b"]]}),
        (dict(zip(["\ud800", "\ud801"], [1, 2], strict=True)), {"$items": [["\ufffd", 1], ["\ufffd", 2]]}),
    ],
)
def test_coercions(value: object, expected: object) -> None:
    assert to_json_domain(value) == expected


def test_a_container_that_raises_becomes_its_type() -> None:
    hostile = Hostile(a=1)
    assert str(to_json_domain(hostile)).endswith("Hostile'}")


def test_cycles_and_depth_end() -> None:
    loop: list[object] = [1]
    loop.append({"again": loop})
    assert to_json_domain(loop) == [1, {"again": {"$nested": "cycle"}}]
    deep: object = 1
    for _ in range(10 * MAX_DEPTH):
        deep = {1: deep, "1": 0}
    assert b"too deep" in canonical_json(to_json_domain(deep))


def test_the_form_does_not_depend_on_the_process() -> None:
    """Sets iterate in another order under another hash seed; the form must not."""
    code = (
        "from runrecord.semconv.canonical import *; import sys;"
        "sys.stdout.buffer.write(canonical_json(to_json_domain({'s': {'a', 'b', 'c', 'd'}, 2: object()})))"
    )
    forms = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert forms == {b'{"2":{"$type":"builtins.object"},"s":["a","b","c","d"]}'}
