# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway: OTLP in, redacted and durable, to a ledger and to any back end."""

from runrecord.collector.bound import Bound
from runrecord.collector.config import GatewayConfig
from runrecord.collector.config_file import load_config, parse_config
from runrecord.collector.errors import AddressError, ConfigError, GatewayError, StartError
from runrecord.collector.gateway import Gateway
from runrecord.exporters.settings_yaml import Problem

__all__ = [
    "AddressError",
    "Bound",
    "ConfigError",
    "Gateway",
    "GatewayConfig",
    "GatewayError",
    "Problem",
    "StartError",
    "load_config",
    "parse_config",
]
