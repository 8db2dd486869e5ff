"""Settings of the scanner: variables begin with DRYDOCK_SCANNER_, those of Trivy with DRYDOCK_TRIVY."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from services.kernel.settings import with_files
from services.layers.limits import LayerLimits
from services.registry.limits import ImageLimits, RetryPolicy, SourceSettings, Timeouts
from services.scanner.advisories.settings import AdvisorySettings
from services.scanner.bounds import ScanBounds
from services.scanner.inspectors.clamd import Clamd
from services.scanner.inspectors.limits import InspectionLimits

_BOUNDS = ScanBounds()


class ScannerSettings(BaseSettings):
    """What an operator may change; every default is safe on a machine of two cores and 4 GB."""

    model_config = SettingsConfigDict(env_prefix="DRYDOCK_SCANNER_", frozen=True, extra="forbid")

    concurrent_scans: int = Field(default=4, ge=1, le=256)
    """Scans that one process works on at once; most of their time is spent waiting for the registry."""
    reserved_scans: int = Field(default=1, ge=0, le=255)
    """Scans of these that only pushes and people may begin: a rule over a whole registry never has every place."""
    worker_processes: int = Field(default=_BOUNDS.worker_processes, ge=1, le=128)
    """Processes that read layers and match; one for each core. One more is kept for pushes and people."""
    worker_memory_bytes: int = Field(default=_BOUNDS.worker_memory_bytes, ge=512 << 20)
    """Address space of each worker process."""
    most_waiters: int = Field(default=10_000, ge=1, le=100_000)
    """Calls that may wait for scans, or watch them, in one process at once."""
    wait_look_seconds: float = Field(default=30.0, gt=0, le=600)
    """How often each of them looks by itself, in case a notification went missing."""
    lease_seconds: float = Field(default=30.0, ge=3)
    """How long a silent worker keeps a scan; heartbeats come three times as often."""
    scan_seconds: float = Field(default=1800.0, ge=1)
    """Longest time for one scan of one platform."""
    layer_seconds: float = Field(default=_BOUNDS.layer_seconds, ge=1)
    """Longest time for reading one layer."""
    layer_uncompressed_bytes: int = Field(default=LayerLimits().uncompressed_bytes, ge=1 << 20)
    """Largest layer, uncompressed."""
    layer_expansion: int = Field(default=LayerLimits().expansion, ge=1)
    """How many times its stored size a layer may have, beyond its first 64 MiB."""
    layer_entries: int = Field(default=LayerLimits().entries, ge=1)
    """Most files, directories and links in a layer."""
    layer_path_depth: int = Field(default=LayerLimits().path_depth, ge=16)
    """Most parts of a path in a layer."""
    malware_rules: Path | None = None
    """Folder of YARA rules (`*.yar`, `*.yara`) and lists of hashes (`*.sha256`, `*.md5`, `*.hdb`, `*.hsb`) that
    are used besides those of Drydock; read at start."""
    file_window_bytes: int = Field(default=InspectionLimits().window_bytes, ge=1 << 20)
    """Larger files are looked into in windows of this size."""
    archive_bytes: int = Field(default=InspectionLimits().archive_bytes, ge=1 << 20)
    """Larger archives are not opened in the search for secrets and malware."""
    archive_depth: int = Field(default=InspectionLimits().archive_depth, ge=1, le=16)
    """Archives within archives that are opened so, the outermost counted."""
    archive_unpacked_bytes: int = Field(default=InspectionLimits().unpacked_bytes, ge=1 << 20)
    """What one archive may unpack to."""
    layer_unpacked_bytes: int = Field(default=InspectionLimits().layer_unpacked_bytes, ge=1 << 20)
    """What the archives of one layer may unpack to together."""
    match_seconds: float = Field(default=_BOUNDS.match_seconds, ge=1)
    """Longest time for coalescing and matching one image."""
    attempts: int = Field(default=5, ge=1, le=50)
    """How often a scan is begun before it fails for good."""
    retry_first_seconds: float = Field(default=2.0, ge=0)
    """First pause before another attempt; it doubles from attempt to attempt."""
    retry_longest_seconds: float = Field(default=300.0, ge=0)
    """Longest pause before another attempt, also when a registry asks for more."""
    seen_event_days: int = Field(default=30, ge=1)
    """How long an image event is known; one that a registry tells again later counts as new. A tag in doubt whose
    registry could not be asked for as long stays as it is."""
    report_days: int = Field(default=90, ge=1)
    """How long tasks, scans and their reports are kept after their end. The last good report of a tag that exists
    is kept as long as the tag."""
    analysis_days: int = Field(default=30, ge=2)
    """How long the analysis of a layer is kept after the last scan that needed it; a later one reads it again."""
    removal_days: int = Field(default=365, ge=1)
    """How long it is known that a tag, digest or repository was deleted, after its results went."""
    cleanup_interval_seconds: float = Field(default=3600.0, gt=0)
    """How often what is too old is deleted."""
    cleanup_batch: int = Field(default=1_000, ge=1)
    """Rows looked at in one transaction."""
    tag_questions: int = Field(default=4, ge=1, le=64)
    """Registries that one process asks at once what a tag in doubt has."""
    tag_question_seconds: float = Field(default=20.0, ge=1)
    """Longest time for such a question; it is asked again after pauses as between attempts of a scan."""
    self_report_seconds: float = Field(default=10.0, ge=0.5, le=600)
    """How often a scanner tells rules how its engines are; silent for five times as long, it counts no more."""
    removal_grace_seconds: float = Field(default=604_800.0, ge=0)
    """How long results of what a synced registry deleted, or of a deleted instance, stay readable: seven days."""
    findings_stream: bool = True
    """Whether findings are told on the bus; switched on again, it tells what differs from what it last told."""
    pull_seconds: float = Field(default=60.0, ge=0)
    """A last-pulled time is written again when it has grown by so much."""
    spool_bytes: int = Field(default=_BOUNDS.spool_bytes, ge=1 << 20)
    """Disk that compressed layers may take at once."""
    registry_connect_seconds: float = Field(default=Timeouts().connect_seconds, gt=0)
    """Longest time until a registry takes the connection."""
    registry_idle_seconds: float = Field(default=Timeouts().idle_seconds, gt=0)
    """Longest silence of a registry while bytes are awaited."""
    registry_request_seconds: float = Field(default=Timeouts().request_seconds, gt=0)
    """Longest time for a manifest; a blob gets this and the time its size takes at the slowest rate."""
    registry_slowest_bytes_per_second: int = Field(default=Timeouts().slowest_bytes_per_second, ge=1)
    """Rate below which the transfer of a blob is given up."""
    registry_attempts: int = Field(default=RetryPolicy().attempts, ge=1, le=50)
    """How often one request is sent to a registry, the first included, before the scan's attempt fails."""
    registry_retry_longest_seconds: float = Field(default=RetryPolicy().longest_seconds, gt=0)
    """Longest pause between two of them; a registry that asks for more has the scan put off."""
    registry_token_hosts: Annotated[frozenset[str], NoDecode] = frozenset()
    """Token servers on other hosts that may see a registry's credentials; separated by commas or white space."""
    manifest_bytes: int = Field(default=ImageLimits().manifest_bytes, ge=1 << 10)
    """Largest manifest or index."""
    config_bytes: int = Field(default=ImageLimits().config_bytes, ge=1 << 10)
    """Largest configuration of an image."""
    image_layers: int = Field(default=ImageLimits().layers, ge=1)
    """Most layers of an image."""
    index_children: int = Field(default=ImageLimits().children, ge=1)
    """Most manifests that an index lists, together with those nested in it."""

    @property
    def layer_limits(self) -> LayerLimits:
        """The bounds for reading one layer; those that nobody needs to change are as they are."""
        return LayerLimits(
            uncompressed_bytes=self.layer_uncompressed_bytes,
            expansion=self.layer_expansion,
            entries=self.layer_entries,
            path_depth=self.layer_path_depth,
        )

    @property
    def inspection_limits(self) -> InspectionLimits:
        """The bounds for looking into files; those that nobody needs to change are as they are."""
        return InspectionLimits(
            window_bytes=self.file_window_bytes,
            archive_bytes=self.archive_bytes,
            archive_depth=self.archive_depth,
            unpacked_bytes=self.archive_unpacked_bytes,
            layer_unpacked_bytes=self.layer_unpacked_bytes,
        )

    @property
    def source(self) -> SourceSettings:
        """The bounds and deadlines for reading images; those that nobody needs to change are as they are."""
        return SourceSettings(
            limits=ImageLimits(
                manifest_bytes=self.manifest_bytes,
                config_bytes=self.config_bytes,
                layers=self.image_layers,
                children=self.index_children,
            ),
            timeouts=Timeouts(
                connect_seconds=self.registry_connect_seconds,
                idle_seconds=self.registry_idle_seconds,
                request_seconds=self.registry_request_seconds,
                slowest_bytes_per_second=self.registry_slowest_bytes_per_second,
            ),
            retry=RetryPolicy(
                attempts=self.registry_attempts, longest_seconds=self.registry_retry_longest_seconds
            ),
            token_hosts=self.registry_token_hosts,
        )

    @field_validator("registry_token_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return frozenset(value.lower().replace(",", " ").split()) if isinstance(value, str) else value


class TrivySettings(BaseSettings):
    """Where Trivy and its databases are, and what one run of it may take; variables begin with DRYDOCK_TRIVY."""

    model_config = SettingsConfigDict(env_prefix="DRYDOCK_", frozen=True, extra="forbid")

    trivy: Path | None = None
    """The program; without it, `trivy` on PATH."""
    trivy_databases: Path | None = None
    """Folder that holds `db` and `java-db`, as a cache folder of Trivy's does; `trivy` in the data directory by
    default. Drydock never fetches them."""
    trivy_server: str = Field(default="", max_length=2048)
    """`http://HOST:PORT` of a Trivy server, whose database is used then; the program is needed all the same."""
    trivy_token: SecretStr = SecretStr("")
    """What the server wants to see; given to Trivy by its environment."""
    trivy_token_file: Path | None = None
    """File that holds the token, in place of `trivy_token`."""
    trivy_concurrent_scans: int = Field(default=2, ge=1, le=64)
    """Runs of Trivy that one process of the scanner keeps going at once."""
    trivy_seconds: float = Field(default=600.0, ge=1)
    """Longest time for one run; then it is killed."""
    trivy_layer_bytes: int = Field(default=3 << 30, ge=1)
    """Largest layer, as stored: an image with a larger one is refused before anything is fetched."""
    trivy_image_bytes: int = Field(default=20 << 30, ge=1 << 20)
    """Disk that images may take at once while Trivy reads them."""
    trivy_output_bytes: int = Field(default=256 << 20, ge=1 << 10)
    """Largest report that is read."""

    @field_validator("trivy_server")
    @classmethod
    def _is_address(cls, value: str) -> str:
        url = urlsplit(value)
        if value and (url.scheme not in ("http", "https") or not url.hostname or "@" in url.netloc):
            raise ValueError("it is http://HOST:PORT or https://HOST:PORT")
        return value.rstrip("/")

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, said: Any) -> Any:  # whatever was said, before pydantic looks at it
        return with_files(said, "trivy_token", prefix="DRYDOCK_")


class ClamdSettings(BaseSettings):
    """Read from `DRYDOCK_CLAMD` and `DRYDOCK_CLAMD_…`: the antivirus daemon that is asked about every file."""

    model_config = SettingsConfigDict(env_prefix="DRYDOCK_", frozen=True, extra="forbid")

    clamd: str = Field(default="", max_length=255)
    """Path of its socket, or HOST:PORT, which everything on the way can read; nobody is asked when empty."""
    clamd_seconds: float = Field(default=Clamd(address="").seconds, gt=0, le=600)
    """Longest time until it takes a connection, takes a piece of a file, or gives its verdict."""
    clamd_file_bytes: int = Field(default=Clamd(address="").file_bytes, ge=1 << 10)
    """Larger files are not given to it. What it takes itself is its StreamMaxLength."""
    clamd_layer_seconds: float = Field(default=Clamd(address="").layer_seconds, gt=0)
    """Longest time that it has for one layer; keep it below DRYDOCK_SCANNER_LAYER_SECONDS."""

    @property
    def daemon(self) -> Clamd | None:
        """Whom to ask; None where nobody is."""
        if not self.clamd:
            return None
        return Clamd(
            address=self.clamd,
            seconds=self.clamd_seconds,
            file_bytes=self.clamd_file_bytes,
            layer_seconds=self.clamd_layer_seconds,
        )

    @field_validator("clamd")
    @classmethod
    def _is_address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if value and not value.startswith("/") and not (host and port.isdecimal() and 0 < int(port[:6]) < 65536):
            raise ValueError("it is the path of a socket, or HOST:PORT")
        return value


def bounds_of_settings(settings: ScannerSettings | None = None) -> ScanBounds:
    """Returns what the settings say of one scan; those of the environment by default."""
    said = settings or ScannerSettings()
    return ScanBounds(
        worker_processes=said.worker_processes,
        worker_memory_bytes=said.worker_memory_bytes,
        layer_seconds=said.layer_seconds,
        match_seconds=said.match_seconds,
        spool_bytes=said.spool_bytes,
        malware_rules=said.malware_rules,
        clamd=ClamdSettings().daemon,
        layers=said.layer_limits,
        inspection=said.inspection_limits,
        source=said.source,
        advisory_age=AdvisorySettings().max_age,
    )


SETTINGS = (ScannerSettings, ClamdSettings, AdvisorySettings, TrivySettings)
"""Every settings class of this service."""
