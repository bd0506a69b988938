# SPDX-FileCopyrightText: The Runrecord authors
# SPDX-License-Identifier: Apache-2.0
"""`exporters:` of the configuration: back ends, and ledgers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from runrecord.collector.config.extensions import Auth
from runrecord.collector.config.tls import ClientTls
from runrecord.collector.values import (
    Address,
    FilePath,
    HeaderName,
    HeaderValue,
    Number,
    Origin,
    Seconds,
    Url,
)
from runrecord.exporters.settings_model import Section, or_empty
from runrecord.exporters.settings_yaml import is_mapping
from runrecord.ledger.entry import KINDS
from runrecord.ledger.epochs import Calendar
from runrecord.ledger.errors import LedgerError
from runrecord.ledger.keyring import OVERLAP_SECONDS
from runrecord.ledger.retention import DEFAULT, Retention
from runrecord.ledger.stores.location import default_location, open_store
from runrecord.ledger.vault_objects import open_objects
from runrecord.processors.redaction.policy import Whole


class Retry(Section):
    """How a forwarder repeats what the back end did not take.

    Attributes:
        initial_interval: Seconds before the first repetition; random between half of it and one and a half.
        multiplier: Growth from one to the next.
        max_interval: Longest interval.
        max_elapsed_time: Set a request aside after so many seconds in which the back end was away; 0 never does.
    """

    initial_interval: Seconds = Field(default=1.0, gt=0)
    multiplier: Number = Field(default=1.5, ge=1)
    max_interval: Seconds = Field(default=30.0, gt=0)
    max_elapsed_time: Seconds = Field(default=0.0, ge=0)


class Batch(Section):
    """How requests that wait in the intake log are joined into one; none waits for another.

    Attributes:
        sizer: What ``max_size`` counts: bytes before compression, or items (spans, log records, data points).
        max_size: Join no further; a request that is larger by itself is sent as it is.
    """

    sizer: Literal["bytes", "items"] = "bytes"
    max_size: Whole = Field(default=2_000_000, ge=1)


class SendingQueue(Section):
    """What a forwarder has under way; its queue is the intake log.

    Attributes:
        num_consumers: Requests that may be under way at once.
        batch: How waiting requests are joined; null sends each as it came.
    """

    num_consumers: Whole = Field(default=8, ge=1, le=64)
    batch: Batch | None = Batch()


class _Forwarder(Section):
    """What all back ends have.

    Attributes:
        headers: Sent with each request.
        timeout: Seconds until a request that is not answered is repeated.
        retry_on_failure: How it is repeated.
        sending_queue: How much is under way, and how requests are joined.
        stamp_ledger: Wait until the ledger has a record, and set ``runrecord.ledger.*`` on it: which log, which index, which hash.
    """

    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict[str, SecretStr])
    auth: Auth | None = None
    timeout: Seconds = Field(default=10.0, gt=0)
    retry_on_failure: Retry = Retry()
    sending_queue: SendingQueue = SendingQueue()
    stamp_ledger: bool = False

    _defaults = field_validator("retry_on_failure", "sending_queue", mode="before")(or_empty)


class OtlpHttpExporter(_Forwarder):
    """Forwards over OTLP/HTTP, binary.

    Attributes:
        endpoint: Base URL; ``/v1/traces`` and so on is added unless it is there already.
    """

    kind: Literal["otlp_http"] = "otlp_http"
    endpoint: Url
    compression: Literal["gzip", "zstd", "none"] = "gzip"
    tls: ClientTls = ClientTls()

    @model_validator(mode="after")
    def _the_url_says_tls(self) -> OtlpHttpExporter:
        if self.tls != ClientTls() and not self.endpoint.startswith("https:"):
            raise ValueError("tls goes with an endpoint that begins with https://")
        if self.tls.insecure:
            raise ValueError(
                "tls.insecure goes with otlp_grpc; begin the endpoint with http:// to send plain text"
            )
        return self


class OtlpGrpcExporter(_Forwarder):
    """Forwards over OTLP/gRPC.

    Attributes:
        endpoint: ``HOST:PORT``.
        tls: On by default, as in the collector.
    """

    kind: Literal["otlp_grpc"] = "otlp_grpc"
    endpoint: Address
    compression: Literal["gzip", "none"] = "none"
    tls: ClientTls = ClientTls()


def default_ledger() -> Path:
    """Where the ledger is if nobody says so: ``RUNRECORD_LEDGER`` if that is a directory, or ``ledger`` in the working directory."""
    location = default_location()
    return Path("ledger" if "://" in location else location)


class WitnessSettings(Section):
    """Who is asked to cosign the checkpoints of a ledger.

    Attributes:
        policy: File with the witnesses, their URLs and the quorum (C2SP tlog-policy).
        interval: Seconds between two requests at least.
        timeout: Seconds that one may take.
    """

    policy: FilePath
    interval: Seconds = Field(default=10.0, ge=1)
    timeout: Seconds = Field(default=10.0, gt=0)


class ErasureSettings(Section):
    """When the content of a run may be erased.

    Attributes:
        after_days: Days after the last record of a run for which an erasure is refused; 0 refuses none. For rules that want records
            to be kept, such as SEC 17a-4.
    """

    after_days: Whole = Field(default=0, ge=0, le=36_500)


class VaultSettings(Section):
    """Where the values behind the commitments of entries are kept, encrypted, so that they can be opened later.

    Attributes:
        directory: The vault, if it is in a directory.
        store: Its address, if it is in an object store.
        attributes: Names of the attributes that are kept; all that entries commit to, if none are named.
        retention_days: Kind of entry to the days for which its values are kept; ``default`` for all others, which without it stay.
    """

    directory: FilePath | None = None
    store: str | None = None
    attributes: tuple[str, ...] = ()
    retention_days: dict[str, Annotated[int, Field(ge=1, le=36_500)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_place(self) -> VaultSettings:
        if (self.directory is None) == (self.store is None):
            raise ValueError("set directory or store")
        try:
            open_objects(self.address)
        except LedgerError as error:
            raise ValueError(f"{error.message}; {error.next_step}") from None
        if unknown := sorted(self.retention_days.keys() - KINDS - {DEFAULT}):
            raise ValueError(f"retention_days: there is no kind of entry {unknown[0]!r}")
        return self

    @property
    def address(self) -> str:
        """Where it is."""
        return self.store if self.store is not None else str(self.directory)

    def keeps(self, attribute: str) -> bool:
        """Return whether the values of an attribute are kept."""
        return not self.attributes or attribute in self.attributes


class LedgerExporter(Section):
    """Seals the governed records.

    Attributes:
        directory: The ledger, if it is in a directory.
        store: Its address, if it is in PostgreSQL or an object store; it may hold a password, so put it there as ``${env:NAME}``.
        key_file: The private log key, where several machines write to one store; else one is made on this machine.
        previous_key_files: With a new ``key_file``, the keys before it: the ledger states the change, and they sign too until the end of
            their overlap.
        key_overlap: Seconds for which a key goes on signing after it was replaced.
        epochs: ``month``, ``week`` or ``none``: when the ledger states the end of one epoch and the beginning of the next. Only what is in a
            closed epoch can be pruned.
        retention_days: Days for which entries are kept at least from the end of their epoch on: one number, or one for each kind of
            entry, with ``default`` for the others. What it does not name is kept for ever; without it, everything is.
        origin: Its name in checkpoints; only used when the ledger is new.
        abandon_after: Seconds without a record until the ledger states that an open run was abandoned; 0 never does. A run that
            waits for an answer is not given up.
        witnesses: Who is asked to cosign its checkpoints; entries never wait for that.
        erasure: When the content of a run may be erased.
        vault: Where the values behind the commitments are kept; without it they are kept nowhere.
    """

    kind: Literal["ledger"] = "ledger"
    directory: FilePath = Field(default_factory=default_ledger)
    store: SecretStr | None = None
    key_file: FilePath | None = None
    previous_key_files: list[FilePath] = Field(default_factory=list[Path])
    key_overlap: Seconds = Field(default=OVERLAP_SECONDS, ge=0)
    epochs: Calendar = "month"
    retention_days: dict[str, Annotated[Whole, Field(ge=0, le=99_999)]] = Field(default_factory=dict)
    origin: Origin | None = None
    abandon_after: Seconds = Field(default=86400.0, ge=0)
    witnesses: WitnessSettings | None = None
    erasure: ErasureSettings = ErasureSettings()
    vault: VaultSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _the_environment(cls, value: Any) -> Any:
        if is_mapping(value) and not value.keys() & {"directory", "store"}:
            location = default_location()
            return {**value, "store": location} if "://" in location else value
        return value

    @field_validator("retention_days", mode="before")
    @classmethod
    def _one_number_for_all(cls, value: Any) -> Any:
        return {DEFAULT: value} if isinstance(value, int) else value

    @field_validator("retention_days")
    @classmethod
    def _of_kinds(cls, value: dict[str, int]) -> dict[str, int]:
        if unknown := value.keys() - KINDS - {DEFAULT}:
            raise ValueError(
                f"{min(unknown)!r} is no kind of entry; there are {DEFAULT}, {', '.join(sorted(KINDS))}"
            )
        return value

    @field_validator("store")
    @classmethod
    def _an_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            if "://" not in value.get_secret_value():
                raise ValueError("must begin with postgresql:// or s3://; for a directory, set directory")
            try:
                open_store(value.get_secret_value())
            except LedgerError as error:
                raise ValueError(f"{error.message}; {error.next_step}") from None
        return value

    @model_validator(mode="after")
    def _one_place(self) -> LedgerExporter:
        if self.store is not None and "directory" in self.model_fields_set:
            raise ValueError("directory and store exclude each other")
        if self.previous_key_files and self.key_file is None:
            raise ValueError("previous_key_files go with the key_file that replaces them")
        if self.retention_days and self.epochs == "none":
            raise ValueError("retention_days needs epochs: only what is in a closed epoch is let go of")
        return self

    @property
    def retention(self) -> Retention:
        """How long entries are kept."""
        return Retention(self.retention_days)

    @property
    def location(self) -> str:
        """Where the ledger is; not to be shown, since it may hold a password."""
        return self.store.get_secret_value() if self.store is not None else str(self.directory)

    @property
    def where(self) -> str:
        """Where the ledger is, for people."""
        return str(self.directory.absolute()) if self.store is None else open_store(self.location).where


Exporter = Annotated[OtlpHttpExporter | OtlpGrpcExporter | LedgerExporter, Field(discriminator="kind")]
