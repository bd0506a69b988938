# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The exceptions of ``runrecord.semconv``.

    SemconvError
      RegistryError        the YAML of a registry is wrong; names file, line and key
      CanonicalError       a value has no canonical JSON form
      TenantKeyError       the key for commitments is missing, malformed or unsafe
      StateDirectoryError  there is no directory to keep state in

No message carries a key or a value that was to be committed to.
"""

from pathlib import Path

__all__ = ["CanonicalError", "RegistryError", "SemconvError", "StateDirectoryError", "TenantKeyError"]


class SemconvError(Exception):
    """Base of every exception that ``runrecord.semconv`` raises on its own account."""


class RegistryError(SemconvError):
    """The definition of a registry is wrong.

    Attributes:
        problems: one line per problem, each ``file:line: key: what is wrong``.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))

    @classmethod
    def at(cls, path: Path, line: int, key: str, problem: str) -> "RegistryError":
        """Make an error for one place in one file; ``line`` counts from 1."""
        return cls([f"{path.name}:{line}: {key}: {problem}"])


class CanonicalError(SemconvError, ValueError):
    """A value has no canonical JSON form, for instance a number that is not finite."""


class TenantKeyError(SemconvError):
    """The tenant key could not be read or made; the message names where and the next step, never the key."""


class StateDirectoryError(SemconvError):
    """There is no directory to keep state in; the message names the variable that sets one."""
