# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Keys of model providers and of the services that agents use with them."""

from __future__ import annotations

from typing import Final

from runrecord.processors.redaction.packs.shapes import END, fake
from runrecord.processors.redaction.rule import Rule

MODELS: Final = (
    Rule(
        id="anthropic-api-key",
        description="Anthropic API or admin key",
        seed="sk-ant-[A-Za-z0-9_-]{20}",
        exact="sk-ant-[A-Za-z0-9_-]{20,}",
        keywords=("sk-ant-",),
        severity="critical",
        examples=(fake("sk-ant-api03-", 93),),
        counter_examples=("sk-ant-api03", fake("task-ant-", 30)),
    ),
    Rule(
        id="openrouter-api-key",
        description="OpenRouter key",
        seed="sk-or-v1-[a-f0-9]{40}",
        exact="sk-or-v1-[a-f0-9]{40,}",
        keywords=("sk-or-v1-",),
        severity="critical",
        examples=(fake("sk-or-v1-", 64, "0a1b"),),
        counter_examples=("sk-or-v1-models",),
    ),
    Rule(
        id="openai-api-key",
        description="OpenAI user, project, service account or admin key, and the keys of services that copy its form",
        seed="sk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20}|[A-Za-z0-9]{32})",
        exact="sk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,}|[A-Za-z0-9]{32,})",
        keywords=("sk-",),
        severity="critical",
        examples=(fake("sk-", 20) + fake("T3Blbk" + "FJ", 20), fake("sk-proj-", 60), fake("sk-svcacct-", 60)),
        counter_examples=(
            "sk-proj-short",
            fake("disk-", 40),
            "sk-learn-is-a-library-for-machine-learning-in-python",
        ),
    ),
    Rule(
        id="huggingface-token",
        description="Hugging Face user or organisation token",
        seed="(?:hf|api_org)_[A-Za-z0-9]{30}",
        exact="(?:hf|api_org)_[A-Za-z0-9]{30,}" + END,
        keywords=("hf_", "api_org_"),
        examples=(fake("hf_", 34, "aBcXyZ"),),
        counter_examples=("hf_hub_download", fake("hf_", 20)),
    ),
    Rule(
        id="groq-api-key",
        description="Groq key",
        seed="gsk_[A-Za-z0-9]{40}",
        exact="gsk_[A-Za-z0-9]{40,}",
        keywords=("gsk_",),
        examples=(fake("gsk_", 52),),
        counter_examples=("gsk_short",),
    ),
    Rule(
        id="xai-api-key",
        description="xAI key",
        seed="xai-[A-Za-z0-9]{40}",
        exact="xai-[A-Za-z0-9]{40,}",
        keywords=("xai-",),
        examples=(fake("xai-", 80),),
        counter_examples=("xai-org/grok",),
    ),
    Rule(
        id="perplexity-api-key",
        description="Perplexity key",
        seed="pplx-[A-Za-z0-9]{40}",
        exact="pplx-[A-Za-z0-9]{40,}",
        keywords=("pplx-",),
        examples=(fake("pplx-", 48),),
        counter_examples=("pplx-70b-online",),
    ),
    Rule(
        id="replicate-token",
        description="Replicate token",
        seed="r8_[A-Za-z0-9]{37}",
        exact="r8_[A-Za-z0-9]{37}" + END,
        keywords=("r8_",),
        examples=(fake("r8_", 37),),
        counter_examples=(fake("r8_", 36), fake("or8_", 37)),
    ),
    Rule(
        id="tavily-api-key",
        description="Tavily search key",
        seed="tvly-[A-Za-z0-9-]{24}",
        exact="tvly-[A-Za-z0-9-]{24,}",
        keywords=("tvly-",),
        examples=(fake("tvly-dev-", 32),),
        counter_examples=("tvly-python",),
    ),
    Rule(
        id="langsmith-api-key",
        description="LangSmith personal or service key",
        seed="lsv2_(?:pt|sk)_[a-f0-9]{32}",
        exact="lsv2_(?:pt|sk)_[a-f0-9]{32}(?:_[a-f0-9]{1,32})?",
        keywords=("lsv2_",),
        examples=(fake("lsv2_pt_", 32, "0a1b") + fake("_", 10, "0a1b"),),
        counter_examples=("lsv2_pt_key",),
    ),
)
