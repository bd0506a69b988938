# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What happens on SIGHUP: the file is read again, and used as a whole or not at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from runrecord.collector.config import MemoryLimiter
from runrecord.collector.errors import ConfigError
from runrecord.collector.sampling.stage import samples
from runrecord.exporters.settings_yaml import is_mapping

if TYPE_CHECKING:
    from runrecord.collector.config import GatewayConfig
    from runrecord.collector.telemetry import Health

_log = logging.getLogger(__name__)
_FIXED: Final = (
    ("receivers",),
    ("service", "state_dir"),
    ("service", "intake"),
    ("service", "workers"),
    ("service", "telemetry"),
    ("processors", "tail_sampling"),
)


class Reloadable(Protocol):
    """`Gateway` or `Supervisor`."""

    config: GatewayConfig
    health: Health

    async def reload(self, config: GatewayConfig) -> list[str]:
        """Use another configuration; return what went wrong."""
        ...


def needs_restart(old: GatewayConfig, new: GatewayConfig) -> list[str]:
    """List the keys in which two configurations differ, and which can't change while a gateway runs.

    Args:
        old: What it runs with.
        new: What it is to run with.

    Returns:
        The keys, with dots, sorted; those of ports, directories, limits and ledgers.
    """
    limiters = {name for c in (old, new) for name, e in c.extensions.items() if isinstance(e, MemoryLimiter)}
    fixed = [
        *_FIXED,
        *(("exporters", name) for name in {*old.ledgers, *new.ledgers}),
        *(("extensions", name) for name in limiters),
    ]
    before, after = (dict(_leaves(config.model_dump())) for config in (old, new))
    changed = {key for key in before.keys() | after.keys() if before.get(key, ...) != after.get(key, ...)}
    found = {key for key in changed if any(key[: len(prefix)] == prefix for prefix in fixed)}
    found |= {("exporters", name) for name in old.ledgers.keys() ^ new.ledgers.keys()}
    found |= {("service", "pipelines", "traces", "processors")} if samples(old) != samples(new) else set()
    found |= {("service", "extensions")} if set(old.authenticators) != set(new.authenticators) else set()
    return sorted(".".join(key) for key in found)


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if is_mapping(value) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    else:
        yield path, value


class Reloader:
    """Reads a configuration again when told, one time after the other."""

    def __init__(self, gateway: Reloadable, load: Callable[[], GatewayConfig]) -> None:
        """Prepare.

        Args:
            gateway: What runs.
            load: Reads the file again; may raise ConfigError.
        """
        self._gateway = gateway
        self._load = load
        self._health = gateway.health.part("configuration", lambda: {"reloads": self._reloads})
        self._reloads = 0
        self._lock = asyncio.Lock()

    async def reload(self) -> bool:
        """Read the file, and use it if it can be used.

        Returns:
            False if not; the log and the health say why, and all stays as it was.
        """
        async with self._lock:
            try:
                config = await asyncio.to_thread(self._load)
            except ConfigError as error:
                return self._refuse(str(error))
            if keys := needs_restart(self._gateway.config, config):
                return self._refuse(f"to change {', '.join(keys)} the gateway must be started again")
            try:
                problems = await self._gateway.reload(config)
            except Exception as error:  # noqa: BLE001 - the next SIGHUP must be heard
                problems = [
                    f"a fault of ours ({type(error).__name__}): start the gateway again, nothing is lost"
                ]
            if problems:
                return self._refuse("; ".join(problems))
            self._reloads += 1
            self._health.set(ok=True)
            _log.info("the configuration was read again and is in use")
            return True

    def _refuse(self, why: str) -> bool:
        self._health.set(ok=False, message=f"the configuration was read again and is not used: {why}")
        _log.error("the configuration was read again and is not used, the one before is:\n%s", why)
        return False
