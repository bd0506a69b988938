# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Hooks into an SDK: set where the release has the place, and put back to what was there."""

import logging
import types
from typing import Any

import pytest

from runrecord.instrumentation._hooks import Hooks


def _sdk() -> Any:
    class Client:
        def ask(self) -> str:
            return "asked"

        @classmethod
        def make(cls) -> str:
            return cls.__name__

    module = types.ModuleType("an_sdk")
    module.Client, module.send = Client, lambda: "sent"  # type: ignore[attr-defined]
    return module


def _louder(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> str:
    return f"{wrapped(*args, **kwargs)}!"


def test_what_was_replaced_is_put_back() -> None:
    sdk = _sdk()
    before = dict(vars(sdk)), dict(vars(sdk.Client))
    hooks = Hooks("an-sdk")
    for path in ("Client.ask", "Client.make", "send"):
        assert hooks.wrap(sdk, path, _louder)
    assert (sdk.Client().ask(), sdk.Client.make(), sdk.send()) == ("asked!", "Client!", "sent!")
    hooks.remove()
    assert (dict(vars(sdk)), dict(vars(sdk.Client))) == before
    hooks.remove()


def test_a_place_that_was_wrapped_twice_is_itself_again() -> None:
    sdk = _sdk()
    original = sdk.send
    hooks = Hooks("an-sdk")
    hooks.wrap(sdk, "send", _louder)
    hooks.wrap(sdk, "send", _louder)
    assert sdk.send() == "sent!!"
    hooks.remove()
    assert sdk.send is original


def test_what_somebody_else_replaced_since_is_left() -> None:
    sdk = _sdk()
    hooks = Hooks("an-sdk")
    hooks.wrap(sdk, "send", _louder)
    theirs = sdk.send = lambda: "theirs"
    hooks.remove()
    assert sdk.send is theirs


@pytest.mark.parametrize("module", ["runrecord_has_no_such_module", "json"])
def test_a_place_that_a_release_lacks_is_logged_unless_it_is_optional(
    module: str, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = Hooks(f"sdk-for-{module}")
    with caplog.at_level(logging.WARNING):
        assert not hooks.wrap(module, "Nowhere.at_all", _louder, optional=True)
        assert not caplog.records
        assert not hooks.wrap(module, "Nowhere.at_all", _louder)
    assert [record.getMessage() for record in caplog.records] == [
        f"runrecord: this sdk-for-{module} has no {module}.Nowhere.at_all; less is recorded"
    ]
