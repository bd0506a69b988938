# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What can keep a gateway from starting: one family of exceptions.

```
GatewayError
├── ConfigError     the configuration file is wrong; carries every problem found in it
├── AddressError    a port is taken, or an address can't be used
└── StartError      a part refused to start (the ledger, the intake log, the tenant key)
```
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runrecord.exporters.settings_yaml import Problem


class GatewayError(Exception):
    """Base of every error that `runrecord.collector` raises on purpose.

    Attributes:
        next_step: What the reader of the message can do about it; may be empty.
    """

    def __init__(self, message: str, *, next_step: str = "") -> None:
        """Keep the next step beside the message.

        Args:
            message: What is wrong and where.
            next_step: What the reader can do about it.
        """
        super().__init__(message)
        self.next_step = next_step


class ConfigError(GatewayError):
    """The configuration is wrong.

    Attributes:
        path: The file, or None for a configuration made in code.
        problems: Everything that was found, in the order of the file.
    """

    def __init__(self, path: Path | None, problems: Sequence[Problem]) -> None:
        """Render every problem on a line of its own."""
        self.path = path
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))
        super().__init__(
            "\n".join(problem.render(path) for problem in self.problems),
            next_step=f"correct the file; check it with: runrecord validate {path}" if path else "",
        )


class AddressError(GatewayError):
    """A port is taken, or an address can't be used."""


class StartError(GatewayError):
    """A part of the gateway refused to start."""
