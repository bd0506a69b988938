# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Previews, which newer releases of cedarpy give while a part of the request is unknown."""

from typing import Any

import cedarpy
import pytest

pytestmark = [pytest.mark.sdk, pytest.mark.usefixtures("instrumented")]


def test_a_preview_is_not_enforced(telemetry: Any, recorder: Any, request_of: Any, policies: str) -> None:
    if not hasattr(cedarpy, "is_authorized_partial"):
        return  # the oldest release has none
    preview = cedarpy.is_authorized_partial
    request = request_of(80)
    del request["principal"]
    with recorder.run("refund-agent"):
        assert preview(request, policies, []).decision is cedarpy.Decision.Deny
        assert preview({**request, "resource": "inv-ada-7"}, policies, []).diagnostics.errors
        del request["context"]
        assert preview(request, policies, []).residuals
    decided, broken = telemetry.named("policy_decision")
    assert decided.attributes["runrecord.decision.outcome"] == "deny"
    assert decided.attributes["runrecord.decision.reason_code"] == "partial"
    assert broken.attributes["error.type"] == "cedar.invalid_input"
    assert {each.attributes["runrecord.policy.mode"] for each in (decided, broken)} == {"monitor"}
