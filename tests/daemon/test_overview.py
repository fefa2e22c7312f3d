from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from framedaemon.instance import Instance, create
from framedaemon.ledger import Ledger
from framedaemon.lookout import Lookout
from framedaemon.overview import VERSION
from framedaemon.settings import Settings
from queues import end_job, queue_job


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
