# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""Recompile the pinned environments: every requirement with its hashes, no address of any registry.

``uv.lock`` would name the registry's host, so the pins live in plain requirement files. Each agent SDK has an environment of its own,
at the oldest versions that pyproject.toml allows and at the newest.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
COMMON = [
    "--universal",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-annotate",
    "--quiet",
    "--override",
    str(HERE / "overrides.txt"),
]
OLDEST = ["--resolution", "lowest-direct", "--python-version", "3.10"]


def _extras(*names: str) -> list[str]:
    return [part for name in names for part in ("--extra", name)]


def _groups(*names: str) -> list[str]:
    return [part for name in names for part in ("--group", name)]


ENVIRONMENTS: dict[str, list[str]] = {
    "dev.txt": [
        *_extras(
            "demo",
            "gateway",
            "kafka",
            "offload",
            "openai-agents",
            "postgres",
            "scitt",
            "tsa",
            "pydantic-ai",
            "mcp",
            "fastmcp",
            "temporal",
        ),
        *_groups("lint", "test", "task", "propagation", "migration", "oracles", "postgres-server"),
        "--python-version",
        "3.10",
    ],
    "lowest.txt": [
        *_extras("demo", "gateway", "kafka", "offload", "postgres", "scitt", "tsa"),
        *_groups("test", "propagation", "postgres-server"),
        *OLDEST,
    ],
    "anthropic-newest.txt": [
        *_extras("anthropic", "otlp"),
        *_groups("test", "official-anthropic"),
        "--python-version",
        "3.10",
    ],
    "anthropic-oldest.txt": [*_extras("anthropic", "otlp"), *_groups("test"), *OLDEST],
    "langgraph-newest.txt": [
        *_extras("langgraph", "otlp"),
        *_groups("sdk-langgraph", "official-langgraph"),
        "--python-version",
        "3.10",
    ],
    "langgraph-oldest.txt": [*_extras("langgraph", "otlp"), *_groups("sdk-langgraph"), *OLDEST],
    "mcp-newest.txt": [
        *_extras("mcp", "otlp"),
        *_groups("test", "official-mcp"),
        "--python-version",
        "3.10",
    ],
    "mcp-oldest.txt": [*_extras("mcp", "otlp"), *_groups("test"), *OLDEST],
    "fastmcp-newest.txt": [
        *_extras("fastmcp", "otlp"),
        *_groups("test", "official-mcp"),
        "--python-version",
        "3.10",
    ],
    "fastmcp-oldest.txt": [*_extras("fastmcp", "otlp"), *_groups("test"), *OLDEST],
    "openai-newest.txt": [
        *_extras("openai", "otlp"),
        *_groups("test", "official-openai"),
        "--python-version",
        "3.10",
    ],
    "openai-oldest.txt": [*_extras("openai", "otlp"), *_groups("test"), *OLDEST],
    "openai-agents-newest.txt": [
        *_extras("openai-agents", "otlp"),
        *_groups("test", "official-openai-agents"),
        "--python-version",
        "3.10",
    ],
    "openai-agents-oldest.txt": [*_extras("openai-agents", "otlp"), *_groups("test"), *OLDEST],
    "pydantic-ai-newest.txt": [
        *_extras("pydantic-ai", "otlp"),
        *_groups("sdk-pydantic-ai", "official-pydantic-ai"),
        "--python-version",
        "3.10",
    ],
    "pydantic-ai-oldest.txt": [*_extras("pydantic-ai", "otlp"), *_groups("sdk-pydantic-ai"), *OLDEST],
    "temporal-newest.txt": [
        *_extras("temporal", "otlp"),
        *_groups("sdk-temporal", "official-temporal"),
        "--python-version",
        "3.10",
    ],
    "temporal-oldest.txt": [*_extras("temporal", "otlp"), *_groups("sdk-temporal"), *OLDEST],
    "cedar-newest.txt": [*_extras("cedar", "otlp"), *_groups("test"), "--python-version", "3.10"],
    "cedar-oldest.txt": [*_extras("cedar", "otlp"), *_groups("test"), *OLDEST],
    "casbin-newest.txt": [*_extras("casbin", "otlp"), *_groups("test"), "--python-version", "3.10"],
    "casbin-oldest.txt": [*_extras("otlp"), *_groups("sdk-casbin-oldest"), *OLDEST],
    "openfga-newest.txt": [*_extras("openfga", "otlp"), *_groups("test"), "--python-version", "3.10"],
    "openfga-oldest.txt": [*_extras("openfga", "otlp"), *_groups("test"), *OLDEST],
    "opa-newest.txt": [
        *_extras("opa", "otlp"),
        *_groups("sdk-opa", "official-opa"),
        "--python-version",
        "3.10",
    ],
    "opa-oldest.txt": [*_extras("opa", "otlp"), *_groups("sdk-opa"), *OLDEST],
    "claude-agent-newest.txt": [
        *_extras("claude-agent", "otlp"),
        *_groups("test", "official-claude-agent"),
        "--python-version",
        "3.10",
    ],
    "claude-agent-oldest.txt": [*_extras("claude-agent", "otlp"), *_groups("test"), *OLDEST],
    "bench.txt": [
        *_extras(
            "anthropic",
            "gateway",
            "langgraph",
            "mcp",
            "openai",
            "openai-agents",
            "otlp",
            "postgres",
            "pydantic-ai",
            "temporal",
        ),
        *_groups("bench"),
        "--python-version",
        "3.10",
    ],
    "deploy.txt": [*_extras("gateway"), *_groups("deploy"), "--python-version", "3.11"],
    "fuzz.txt": [*_extras("redaction"), *_groups("fuzz"), "--python-version", "3.11"],
    "ui.txt": [*_groups("ui"), "--python-version", "3.10"],
}


def main() -> None:
    """Compile every environment, or those named on the command line; upgrade them with ``--upgrade``."""
    arguments = sys.argv[1:]
    upgrade = [argument for argument in arguments if argument.startswith("--")]
    for name in [argument for argument in arguments if not argument.startswith("--")] or ENVIRONMENTS:
        print(f"compiling requirements/{name}", flush=True)
        command = [
            "uv",
            "pip",
            "compile",
            "pyproject.toml",
            *ENVIRONMENTS[name],
            *COMMON,
            *upgrade,
            "--custom-compile-command",
            "make lock",
        ]
        subprocess.run([*command, "--output-file", f"requirements/{name}"], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
