"""config.toml, read once into frozen values; what is not written there stands at its default.

Every key is listed, with its default, in the project's config.toml and in docs/settings.md.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, PlainSerializer, model_validator

from framedaemon.audience import MetricsSettings, NotifySettings
from framedaemon.errors import JobRejected, SettingsError
from framedaemon.hours import HoursSettings
from framedaemon.layers import Layer, read_request
from framedaemon.section import Section
from framedaemon.standing import IoPriority
from framedaemon.toml import Table, TomlError, fit, load_toml

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def parse_bytes(value: object) -> int:
    """How many bytes ``value`` means: 8388608, "8 MiB", "1.5 GB". Raises ValueError for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([a-zA-Z]{0,3})", value) if isinstance(value, str) else None
    if found is None or found[2].upper() not in _UNITS:
        raise ValueError(f"{value!r} is not a number of bytes: write 500000000, '500 MB' or '2 GiB'")
    return round(float(found[1]) * _UNITS[found[2].upper()])


def show_bytes(count: int) -> str:
    """A number of bytes for people: ``2 GiB``, ``8 MiB``, ``1.4 GiB``, ``512 B``."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.1f}".removesuffix(".0") + f" {unit}"


Bytes = Annotated[int, BeforeValidator(parse_bytes), PlainSerializer(int, return_type=int)]
"""A number of bytes as a pydantic field: takes what `parse_bytes` does."""


def _device(name: str) -> str:
    """`auto`, `cpu`, `cuda`, `cuda:0` …, `mps`."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,2})?", name):
        raise ValueError(f"{name!r} is not a device: write auto, cpu, cuda, cuda:0 or mps")
    return name


def _colour(name: str) -> str:
    """`#rrggbb`."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", name):
        raise ValueError(f"{name!r} is not a colour: write it like '#1a2b3c'")
    return name


class InboxSettings(Section):
    """When a file in input/ is taken, and what is taken."""

    settle_seconds: float = Field(2.0, ge=0, le=3600)
    """A file is taken when it and its sidecar have not changed for this long."""
    rescan_seconds: float = Field(30.0, ge=0.1, le=86_400)
    """input/ is looked through this often, even if no event says that something came."""
    watch: Literal["auto", "events", "poll"] = "auto"
    """poll looks every rescan_seconds only; auto does that where no events come, on network mounts."""
    max_pixels: int = Field(100_000_000, ge=1, le=2_000_000_000)
    """A picture with more pixels than this is refused before it is decoded."""
    min_side: int = Field(16, ge=1, le=8192)
    """A picture narrower or lower than this many pixels is refused."""
    background: Annotated[str, AfterValidator(_colour)] = "#000000"
    """The colour that shows through where a picture is transparent."""

    @property
    def background_rgb(self) -> tuple[int, int, int]:
        """The background, 0..255 each."""
        red, green, blue = bytes.fromhex(self.background[1:])
        return red, green, blue


class DiskSettings(Section):
    """How much room is left to others."""

    keep_free_bytes: Bytes = Field(2 * 2**30, ge=0)
    """A job waits rather than leave less than this on the disk."""
    ballast_bytes: Bytes = Field(8 * 2**20, ge=0, le=2**30)
    """Size of a file in tmp/ that is given up when the disk is full, so that the ledger can still be written."""


class WorkerSettings(Section):
    """The process that does the work, and how patient the service is with it."""

    device: Annotated[str, AfterValidator(_device)] = "auto"
    """auto takes the first accelerator there is, else the CPU."""
    threads: int = Field(0, ge=0, le=1024)
    """CPU threads to use; 0 means all the cores that the daemon may use."""
    nice: int = Field(10, ge=0, le=19)
    """How far the worker stands back behind other programs on the machine: 0 not at all, 19 always."""
    io: IoPriority = "low"
    """How far it stands back at the disk: idle takes what nobody else wants, low comes after others."""
    start_seconds: float = Field(120.0, ge=1, le=86_400)
    """A worker that is not ready after this long is replaced."""
    heartbeat_seconds: float = Field(60.0, ge=1, le=86_400)
    """A worker that gives no sign of life for this long is replaced."""
    stall_seconds: float = Field(900.0, ge=1, le=604_800)
    """A worker whose job makes no progress for this long is replaced."""
    halt_seconds: float = Field(30.0, ge=0, le=3600)
    """How long a job that is to halt may take to leave behind what it goes on with; its worker is killed then."""
    max_attempts: int = Field(3, ge=1, le=100)
    """After this many attempts a picture goes to input/failed/."""
    retry_seconds: float = Field(10.0, ge=0, le=86_400)
    """How long a job waits before its second attempt; each later one waits twice as long as the one before."""
    breaker_jobs: int = Field(3, ge=2, le=1000)
    """When jobs of so many files in a row fail alike, the machine is held to be at fault: jobs wait, uncounted."""
    breaker_seconds: float = Field(60.0, ge=0.1, le=3600)
    """How long they wait until one is tried; each time it fails, twice as long, but an hour at most."""
    idle_unload_seconds: float = Field(300.0, ge=0, le=604_800)
    """After this long without work the models are dropped, so that others may use the memory."""


class GpuSettings(Section):
    """When the graphics card is left to others, or to cool; needs nvidia-ml-py: pip install "framedaemon[nvidia]"."""

    others_bytes: Bytes = Field(2 * 2**30, ge=0)
    """No job is begun while other programs hold more than this of the card's memory; 0: however much they hold."""
    others_percent: int = Field(50, ge=0, le=100)
    """No job is begun while other programs keep the card busier than this; 0: however busy they keep it."""
    quiet_seconds: float = Field(60.0, ge=0, le=86_400)
    """How long they must have let go of it before a job is begun again."""
    running: Literal["finish", "halt"] = "finish"
    """What a job does that is at work when others take that much memory."""
    hot_celsius: int = Field(90, ge=0, le=150)
    """No job is begun on a card that is as hot as this, and the one at work halts; 0: however hot it is."""
    cool_celsius: int = Field(75, ge=0, le=150)
    """How cool it must be again."""

    @model_validator(mode="after")
    def _cooler(self) -> GpuSettings:
        """Cool is below hot."""
        if 0 < self.hot_celsius <= self.cool_celsius:
            raise ValueError(f"cool_celsius: {self.cool_celsius} is not below hot_celsius, {self.hot_celsius}")
        return self


class PluginSettings(Section):
    """Which plugins take part."""

    disabled: Annotated[tuple[str, ...], Field(strict=False, max_length=1000)] = ()
    """Names of plugins that are not loaded, as `framedaemon plugins` lists them."""


class LogSettings(Section):
    """What is written to output/logs/."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that a line must matter to be written."""
    max_bytes: Bytes = Field(10_000_000, ge=10_000)
    """A log file that has grown to this is put aside and a new one begun."""
    keep: int = Field(10, ge=1, le=1000)
    """How many log files that were put aside are kept."""


class RetentionSettings(Section):
    """What `framedaemon prune`, and the daemon once a day, removes: no videos, and only what the daemon put there."""

    done_days: int = Field(0, ge=0, le=36_500)
    """A picture goes from input/done/ this many days after it was put there; 0: never for its age."""
    done_bytes: Bytes = Field(0, ge=0)
    """Once pictures in input/done/ take more than this, the oldest go; 0: never for their size."""
    done_without_video: bool = False
    """Whether they go even if their video was removed, moved or changed; else only beside the video as published."""
    failed_days: int = Field(0, ge=0, le=36_500)
    """The same for input/failed/, each picture with its .error.txt."""
    failed_bytes: Bytes = Field(0, ge=0)
    """The same for input/failed/."""
    waiting_days: int = Field(0, ge=0, le=36_500)
    """The same for input/waiting/, where pictures wait until their preview is approved."""
    waiting_bytes: Bytes = Field(0, ge=0)
    """The same for input/waiting/."""
    receipt_days: int = Field(0, ge=0, le=36_500)
    """A receipt in output/ whose video is gone goes this many days after it was made; 0: never."""
    job_logs: int = Field(1000, ge=1, le=1_000_000)
    """How many jobs' own logs are kept, the newest; beside them, those of pictures that lie in input/failed/."""


class ServiceSettings(Section):
    """How the daemon ends, and what `framedaemon service install` writes into its unit; see docs/service.md."""

    stop_seconds: float = Field(60.0, ge=0, le=604_800)
    """How long the job at hand may go on when the daemon is to end; then it halts, and goes on at the next start."""
    memory_max_bytes: Bytes = Field(0, ge=0)
    """The kernel lets the service and its workers have no more memory than this; 0: no limit. For the unit only."""


class ModelSettings(Section):
    """Weights of networks: where they are kept, and whether they may be fetched; see `framedaemon models`."""

    folder: Annotated[str, Field(max_length=4096)] = ""
    """Where they lie; "" for ~/.cache/framedaemon/models. A relative one lies in the instance's folder."""
    offline: bool = False
    """Fetch nothing from the network, and say so."""


class DefaultSettings(Section):
    """What a recipe says when neither a folder's defaults.toml nor a sidecar says otherwise; see `recipe`."""

    generate: dict[str, JsonValue] = Field(default_factory=dict)
    """As in a sidecar."""
    interpolate: dict[str, JsonValue] = Field(default_factory=dict)
    """As in a sidecar."""
    encode: dict[str, JsonValue] = Field(default_factory=dict)
    """As in a sidecar."""

    def layer(self) -> Layer:
        """The lowest layer of every recipe."""
        table: Table = {"generate": self.generate, "interpolate": self.interpolate, "encode": self.encode}
        return Layer("config.toml", table, prefix="defaults.")


class Settings(Section):
    """All that config.toml says."""

    inbox: InboxSettings = InboxSettings()
    disk: DiskSettings = DiskSettings()
    worker: WorkerSettings = WorkerSettings()
    hours: HoursSettings = HoursSettings()
    gpu: GpuSettings = GpuSettings()
    plugins: PluginSettings = PluginSettings()
    log: LogSettings = LogSettings()
    retention: RetentionSettings = RetentionSettings()
    service: ServiceSettings = ServiceSettings()
    models: ModelSettings = ModelSettings()
    metrics: MetricsSettings = MetricsSettings()
    notify: NotifySettings = NotifySettings()
    defaults: DefaultSettings = DefaultSettings()

    def for_worker(self) -> Settings:
        """What the worker is to know: nothing of who is told, as addresses may hold secrets, and plugins run there."""
        return self.model_copy(update={"metrics": MetricsSettings(), "notify": NotifySettings()})


def read_settings(path: Path) -> Settings:
    """The settings that the file at ``path`` holds; a missing file means the defaults.

    Raises SettingsError with every problem, each with file and key.
    """
    try:
        settings = fit(load_toml(path, path.name), Settings, path.name)
        read_request([settings.defaults.layer()])
    except FileNotFoundError:
        return Settings()
    except (TomlError, JobRejected) as error:
        raise SettingsError(error.problems) from error
    return settings
