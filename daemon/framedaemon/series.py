"""Every number that is told to Prometheus, by its name; docs/metrics.md lists them.

What happens while this process runs is counted as it happens. All else is looked up when somebody asks: the ledger,
tmp/status.json, the machine. A part that cannot be looked up is left out, and `framedaemon_scrape_problem` says so.
Labels are the names of states, stages and folders, never of files or jobs: their number stays small.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from framedaemon.events import DiskWaited, Event, JobPublished, WorkerReady
from framedaemon.identity import version_of
from framedaemon.instance import Instance
from framedaemon.settings import Settings
from framedaemon.status import Status, read_status
from framedaemon.tallies import Tallies
from framedaemon.usage import read_disks, read_memory

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

# From a second to a day: a preview on a GPU, and a long clip on a CPU.
_SECONDS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14_400, 28_800, 86_400)

# Whoever asks while another look still hangs, at a dead share, gets what is counted in this process.
_PATIENCE_SECONDS = 2.0

_PAUSES = {"paused by hand": "hand", "outside working hours": "hours"}


class Series:
    """The numbers of one daemon, in a registry of their own."""

    def __init__(self, instance: Instance, settings: Settings) -> None:
        """Raises ImportError without prometheus_client."""
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

        self.settings = settings
        self.registry: CollectorRegistry = CollectorRegistry()
        self._frames = Counter("framedaemon_frames", "Frames of published videos.", registry=self.registry)
        self._bytes = Counter("framedaemon_video_bytes", "Bytes of published videos.", registry=self.registry)
        self._stages = Histogram(
            "framedaemon_stage_seconds", "What a stage took of a video that was published; stages overlap.",
            ("kind", "stage"), buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._jobs = Histogram(
            "framedaemon_job_seconds", "From the start of the last attempt to the published video.",
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._starts = Counter("framedaemon_worker_starts", "Workers that came up.", registry=self.registry)
        self._needed = Gauge(
            "framedaemon_disk_needed_bytes", "Room that a job waits for; 0 where none does.", registry=self.registry
        )
        info = Info("framedaemon_build", "The version that runs.", registry=self.registry)
        info.info({"version": version_of("framedaemon") or "", "python": platform.python_version()})
        ProcessCollector(registry=self.registry)
        self.registry.register(_Looked(instance, self))

    def count(self, event: Event) -> None:
        """Count what happened."""
        if isinstance(event, JobPublished):
            self._frames.inc(event.frames)
            self._bytes.inc(event.bytes)
            self._jobs.observe(event.seconds)
            self._needed.set(0)
            for stage in event.stages:
                self._stages.labels(stage.kind, stage.stage).observe(stage.seconds)
        elif isinstance(event, WorkerReady):
            self._starts.inc()
        elif isinstance(event, DiskWaited):
            self._needed.set(event.needed_bytes)


class _Looked:
    """A collector: what is looked up when somebody asks."""

    def __init__(self, instance: Instance, series: Series) -> None:
        self._instance = instance
        self._series = series
        self._tallies = Tallies(instance.ledger)
        self._looking = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """Every part that can be looked up now."""
        parts: dict[str, Callable[[], list[Metric]]] = {
            "ledger": self._ledger,
            "status": self._status,
            "machine": self._machine,
        }
        problem = _Gauge("framedaemon_scrape_problem", "Whether a part could not be looked up.", "part")
        looking = self._looking.acquire(timeout=_PATIENCE_SECONDS)
        try:
            for part, look in parts.items():
                try:
                    found = look() if looking else []
                except (OSError, sqlite3.Error, ValueError):
                    found, failed = [], 1
                else:
                    failed = 0 if looking else 1
                problem.add(failed, part)
                yield from found
        finally:
            if looking:
                self._looking.release()
        yield problem.family

    def _ledger(self) -> list[Metric]:
        from prometheus_client.core import CounterMetricFamily

        tally, now = self._tallies.look(), time.time()
        jobs = CounterMetricFamily(
            "framedaemon_jobs",
            "Jobs that ended, ever, by state and by the stages that made them.",
            None,
            ("state", "stages"),
        )
        for (state, stages), count in tally.ended.items():
            jobs.add_metric((state, stages), count)
        attempts = CounterMetricFamily(
            "framedaemon_attempts",
            "Attempts that ended, ever; every one but the first of a job is a retry.",
            None,
            ("outcome",),
        )
        for outcome, count in tally.attempts.items():
            attempts.add_metric((outcome,), count)
        queue = _Gauge("framedaemon_queue_jobs", "Jobs that wait, by what for.", "waits_for")
        for wait in ("turn", "retry", "room", "memory", "machine", "publication"):
            queue.add(tally.waiting.get(wait, 0), wait)
        breakers = _Gauge(
            "framedaemon_breaker_open", "Where the machine seems to be at fault, so that jobs wait.", "place"
        )
        for place in tally.breakers:
            breakers.add(1, place)
        oldest = max(0.0, now - tally.oldest) if tally.oldest is not None else 0.0
        return [
            jobs,
            attempts,
            queue.family,
            breakers.family,
            _gauge("framedaemon_jobs_running", "Jobs at work.", tally.running),
            _gauge("framedaemon_queue_oldest_seconds", "Since when the oldest job waits.", oldest),
            _gauge(
                "framedaemon_last_success_timestamp_seconds", "When the last video was published.", tally.succeeded or 0
            ),
        ]

    def _status(self) -> list[Metric]:
        status = read_status(self._instance.status)
        if status is None:
            raise ValueError("nothing was said yet")
        now, progress = time.time(), status.progress
        paused = _Gauge("framedaemon_paused", "Whether no job is begun, by cause.", "cause")
        causes = {_cause(said) for said in status.paused.split("; ") if said}
        for cause in ("hand", "hours", "card"):
            paused.add(cause in causes, cause)
        pace = progress.frames_per_second(now) if progress is not None else None
        left = progress.remaining_seconds(now) if progress is not None else None
        return [
            paused.family,
            _gauge("framedaemon_status_age_seconds", "Since when the daemon's loop has said nothing.", now - status.at),
            _gauge("framedaemon_worker_up", "Whether there is a worker's process.", status.worker is not None),
            _gauge("framedaemon_draining", "Whether the daemon ends after the job at hand.", status.draining),
            _gauge("framedaemon_input_problems", "What keeps files in input/ from being taken.", len(status.problems)),
            _gauge("framedaemon_current_frames_per_second", "Of the job at hand; 0 without one.", pace or 0),
            _gauge("framedaemon_current_progress_ratio", "How far the job at hand is.", _ratio(status)),
            _gauge("framedaemon_current_remaining_seconds", "How long the job at hand will still take.", left or 0),
        ]

    def _machine(self) -> list[Metric]:
        status = read_status(self._instance.status)
        memory = read_memory(os.getpid(), status.worker if status is not None else None)
        resident = _Gauge(
            "framedaemon_memory_resident_bytes", "Main memory held; of the worker with its children.", "process"
        )
        resident.add(memory.daemon_bytes or 0, "daemon")
        resident.add(memory.worker_bytes or 0, "worker")
        used = _Gauge("framedaemon_gpu_memory_used_bytes", "Memory of an accelerator in use, by whomever.", "gpu")
        total = _Gauge("framedaemon_gpu_memory_size_bytes", "Memory of an accelerator.", "gpu")
        for number, device in enumerate(memory.devices):
            used.add(device.used_bytes, f"{number} {device.name}")
            total.add(device.total_bytes, f"{number} {device.name}")
        free = _Gauge("framedaemon_disk_free_bytes", "Free, by folder; one of those that share a disk.", "folder")
        size = _Gauge("framedaemon_disk_size_bytes", "Size of the disk, by folder.", "folder")
        for disk in read_disks(self._instance.tmp, self._instance.output):
            free.add(disk.free_bytes, disk.folder)
            size.add(disk.total_bytes, disk.folder)
        keep = self._series.settings.disk.keep_free_bytes
        return [
            *(gauge.family for gauge in (resident, used, total, free, size)),
            _gauge(
                "framedaemon_memory_available_bytes", "Main memory that is still to be had.", memory.available_bytes
            ),
            _gauge(
                "framedaemon_memory_limit_bytes",
                "Main memory of the machine, or the control group.",
                memory.total_bytes,
            ),
            _gauge("framedaemon_disk_keep_free_bytes", "Room that jobs leave free: the setting.", keep),
        ]


class _Gauge:
    """A gauge with one label."""

    def __init__(self, name: str, help: str, label: str) -> None:
        from prometheus_client.core import GaugeMetricFamily

        self.family = GaugeMetricFamily(name, help, None, (label,))

    def add(self, value: float, label: str) -> None:
        self.family.add_metric((label,), float(value))


def _gauge(name: str, help: str, value: float) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return GaugeMetricFamily(name, help, float(value))


def _cause(said: str) -> str:
    return next((cause for begins, cause in _PAUSES.items() if said.startswith(begins)), "card")


def _ratio(status: Status) -> float:
    """By the frames of the last stage."""
    stages = list(status.progress.stages.values()) if status.progress is not None else []
    done, total = stages[-1] if stages else (0, 0)
    return done / total if total else 0.0
