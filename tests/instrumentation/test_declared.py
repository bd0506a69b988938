# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What a program declares of its runs and tools is read by name and by type; anything else is left out."""

from types import SimpleNamespace
from typing import Any

import pytest

from runrecord.instrumentation._declared import Settings, get, hints_in, mapping, text


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ((), {}),
        ((None, "text", 3, []), {}),
        (({"readOnlyHint": True, "destructiveHint": "yes", "title": "Pay"},), {"read_only": True}),
        (({"runrecord.tool.open_world": False},), {"open_world": False}),
        (
            (
                {
                    "runrecord.side_effect.type": "pay",
                    "runrecord.side_effect.target": "payments",
                    "runrecord.side_effect.reversible": 1,
                },
            ),
            {"effect": "pay", "target": "payments"},
        ),
        (({"idempotentHint": True}, {"idempotentHint": False}), {"idempotent": False}),
    ],
)
def test_hints_by_name_and_type_the_later_place_wins(
    places: tuple[Any, ...], expected: dict[str, Any]
) -> None:
    assert hints_in(*places) == expected


def test_settings_are_texts_that_say_something() -> None:
    settings = Settings.of({"runrecord.version.code": "c1", "runrecord.version.agent": "", 3: "x", "n": 4})
    assert settings.versions == {"code": "c1"}
    assert settings["runrecord.version.agent"] is settings["n"] is None
    assert Settings.of(None).versions == Settings.of("text").versions == {}


def test_members_of_objects_and_mappings() -> None:
    assert get({"a": 1}, "a") == get(SimpleNamespace(a=1), "a") == 1
    assert get(None, "a") is get({}, "a") is None
    assert (text("a"), text(""), text(1)) == ("a", None, None)
    assert (mapping({"a": 1}), mapping([])) == ({"a": 1}, {})
