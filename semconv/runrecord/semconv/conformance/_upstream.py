# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Official attributes that are gone, with what took their place.

Source: open-telemetry/semantic-conventions-genai, model/gen-ai, deprecated registry and change log, autumn 2026.
"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["REPLACED"]

REPLACED: Mapping[str, str] = MappingProxyType(
    {
        "gen_ai.system": "gen_ai.provider.name",
        "gen_ai.usage.prompt_tokens": "gen_ai.usage.input_tokens",
        "gen_ai.usage.completion_tokens": "gen_ai.usage.output_tokens",
        "gen_ai.usage.cache_creation.input_tokens": "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.prompt": "gen_ai.input.messages",
        "gen_ai.completion": "gen_ai.output.messages",
        "gen_ai.openai.request.response_format": "gen_ai.output.type",
        "gen_ai.openai.request.seed": "gen_ai.request.seed",
        "gen_ai.openai.request.service_tier": "openai.request.service_tier",
        "gen_ai.openai.response.service_tier": "openai.response.service_tier",
        "gen_ai.openai.response.system_fingerprint": "openai.response.system_fingerprint",
    }
)
