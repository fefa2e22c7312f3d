from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from framedaemon.dossier import Dossier
from framedaemon.instance import Instance, create
from framedaemon.ledger import Ledger
from framedaemon.logtail import LogLine
from framedaemon.lookout import Lookout
from framedaemon.overview import (
    VERSION,
    Count,
    Current,
    Daemon,
    Failure,
    Job,
    Overview,
    Preview,
    Queue,
    Queued,
    Room,
    Standing,
)
from framedaemon.rows import AttemptRow
from framedaemon.settings import Settings
from framedaemon.usage import Device, Disk, Memory
from queues import end_job, queue_job

PAGE = Path(__file__).parents[2] / "docs" / "watching.md"
SHOWN = (Overview, Daemon, Current, Count, Job, Queued, Queue, Failure, Preview, Standing, Room, Memory, Device, Disk)


@pytest.mark.parametrize("kind", [*SHOWN, LogLine, Dossier, AttemptRow])
def test_every_field_of_the_json_is_explained(kind: type[Any]) -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert [field.name for field in fields(kind) if f"`{field.name}`" not in page] == []


def test_an_overview_is_a_json_document_that_tells_its_version(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    create(instance)
    ledger = Ledger(instance.ledger)
    end_job(ledger, "a.jpg", "failed", "broken")
    queue_job(ledger, "b.jpg")

    facts = json.loads(json.dumps(asdict(Lookout(instance, Settings()).look(1000.0))))

    ledger.close()
    assert facts["version"] == VERSION == 1
    assert facts["queue"]["next"][0]["job"]["name"] == "b.jpg"
    assert facts["failures"][0]["job"]["reason"] == "broken"
    assert facts["room"]["disks"][0]["free_bytes"] > 0
