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
from dataclasses import dataclass
from pathlib import Path


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


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a configuration file.

    Attributes:
        message: What is wrong; never a value that may be a secret.
        key: The key, with dots, from the top of the file.
        line: Line in the file, from 1; 0 if it belongs to no line.
        column: Column in the line, from 1.
        nearest: The valid key that the reader may have meant.
    """

    message: str
    key: str = ""
    line: int = 0
    column: int = 0
    nearest: str = ""

    def render(self, path: Path | None) -> str:
        """Write it the way compilers do, so that editors can jump to it."""
        place = ":".join([str(path or "configuration"), *(str(n) for n in (self.line, self.column) if n)])
        key = f" {self.key}:" if self.key else ""
        hint = f" (did you mean {self.nearest!r}?)" if self.nearest else ""
        return f"{place}:{key} {self.message}{hint}"


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
            next_step="correct the file; check it with: runrecord validate FILE",
        )


class AddressError(GatewayError):
    """A port is taken, or an address can't be used."""


class StartError(GatewayError):
    """A part of the gateway refused to start."""
