# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""What entries say about the resource of a record, and the entry that says it in full, once for each run."""

from __future__ import annotations

from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from runrecord.ledger.allowlist import RESOURCE_CLEAR
from runrecord.ledger.entry import Entry, Kind, Origin
from runrecord.ledger.opening import LABEL_RESOURCE
from runrecord.processors.ledger.otlp_values import by_name, clip, is_short, plain_value, string_of
from runrecord.semconv import attributes as names
from runrecord.semconv.commitment import RunKey


class ResourceFacts:
    """What entries say about the resource; the commitment is made once per run.

    Attributes:
        tenant: Its tenant id, or empty.
    """

    def __init__(self, resource: Resource) -> None:
        attributes = by_name(resource.attributes)
        self._plain = {n: p for n, v in attributes.items() if (p := plain_value(v)) is not None}
        self._service = clip(string_of(attributes, "service.name"))
        self._version = clip(string_of(attributes, "service.version"))
        self._commitments: dict[int, str] = {}
        self.tenant = string_of(attributes, names.TENANT_ID)

    def origin(self, key: RunKey, scope: tuple[str, str, str]) -> Origin:
        """Return who emitted a record: the resource, and the scope's name, version and schema URL."""
        commitment = self._commitments.get(id(key))
        if commitment is None:
            commitment = self._commitments[id(key)] = key.commit(LABEL_RESOURCE, self._plain)
        scope_name, scope_version, schema_url = (clip(part) for part in scope)
        return Origin(commitment, self._service, self._version, scope_name, scope_version, schema_url)

    def entry(self, key: RunKey, first: Entry) -> Entry | None:
        """Return what the resource says of itself, for the run of a record of it; None where it says nothing."""
        if not self._plain:
            return None
        clear = {n: v for n, v in self._plain.items() if n in RESOURCE_CLEAR and is_short(v)}
        return Entry(
            kind=Kind.RESOURCE,
            run=first.run,
            tenant=first.tenant,
            attributes=clear,
            commitments={
                n: key.commit(f"{LABEL_RESOURCE}/{n}", v) for n, v in self._plain.items() if n not in clear
            },
            origin=Origin(first.origin.resource, self._service, self._version),
        )
