"""What docs/metrics.md, docs/notifications.md, the dashboard and the alerts say is what the daemon does."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from framedaemon.audience import AppriseTarget, CommandTarget, Happening, Target, WebhookTarget
from framedaemon.events import (
    BreakerClosed,
    BreakerOpened,
    Event,
    JobFailed,
    JobPublished,
    JobWaiting,
    PluginMuted,
    StageSeconds,
    WorkPaused,
    WorkResumed,
)
from framedaemon.instance import Instance, create
from framedaemon.ledger import Ledger
from framedaemon.notice import News, compose, news_of
from framedaemon.series import Series
from framedaemon.settings import Settings
from framedaemon.status import Status, write_status
from framedaemon.webhook import sign

DOCS = Path(__file__).resolve().parent.parent / "docs"
METRICS = (DOCS / "metrics.md").read_text(encoding="utf-8")
NOTIFICATIONS = (DOCS / "notifications.md").read_text(encoding="utf-8")
DASHBOARD = json.loads((DOCS / "grafana.json").read_text(encoding="utf-8"))

# What is asked of Prometheus stands between words of its language, labels and numbers.
_SERIES = re.compile(r"\b(framedaemon_[a-z_]+|process_[a-z_]+)\b")

TOLD: tuple[Event, ...] = (
    JobPublished("1-1", "pets/cat.jpg", "pets/cat.mp4", 321, 166.2, 4118273, at=1.0),
    JobFailed("1-1", "cat.jpg", "failed", "it broke", 1.0),
    JobWaiting("1-1", "cat.jpg", "no room"),
    BreakerOpened("camera, flow", "3 files failed", 60.0),
    BreakerClosed("camera, flow", 60.0),
    WorkPaused("paused by hand"),
    WorkResumed(60.0),
    PluginMuted("bell", "raised"),
)


@pytest.fixture
def series(tmp_path: Path) -> Iterator[Series]:
    """The numbers of a daemon that has something to tell of everything."""
    pytest.importorskip("prometheus_client", reason="not installed: pip install 'framedaemon[metrics]'")
    instance = Instance(tmp_path)
    create(instance)
    write_status(instance.status, Status(1, time.time(), False, None))
    ledger = Ledger(instance.ledger)
    ledger.claiming([("1", "cat.jpg", None, None)], 1.0)
    ledger.add_job("1", 1, "{}", "cat", 0, 1.0)
    made = Series(instance, Settings())
    made.count(JobPublished("1-1", "a", "b", 1, 1.0, 1, (StageSeconds("generate", "camera", 1.0),)))
    yield made
    ledger.close()


def _families(series: Series) -> dict[str, Any]:
    """By the names that they have in queries, less what each of their samples adds."""
    found = {}
    for family in series.registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[f"{name}_info" if family.type == "info" else name] = family
    return found


def test_every_number_stands_in_the_table_as_it_is_told(series: Series) -> None:
    ours = {name: family for name, family in _families(series).items() if name.startswith("framedaemon_")}

    documented = dict(re.findall(r"^\| `(framedaemon_\w+)` \| \w+ \| [^|]*\| (.*) \|$", METRICS, re.MULTILINE))

    assert documented == {name: family.documentation for name, family in ours.items()}


def test_every_number_has_a_name_as_prometheus_wants_it(series: Series) -> None:
    """Base units at the end; a count ends in _total, and nothing else does."""
    families = _families(series)

    assert [name for name, family in families.items() if name.endswith("_total") != (family.type == "counter")] == []
    assert [name for name in families if re.search(r"_(ms|minutes|hours|kb|mb|percent)(_|$)", name)] == []


def test_the_dashboard_and_the_alerts_ask_for_numbers_that_there_are(series: Series) -> None:
    told = {sample.name for family in series.registry.collect() for sample in family.samples} | set(_families(series))
    asked = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    alerts = (DOCS / "alerts.yml").read_text(encoding="utf-8")

    named = set(_SERIES.findall("\n".join([*asked, *re.findall(r"expr:(.*?)\n +(?:for|labels):", alerts, re.DOTALL)])))

    assert len(asked) > 20
    assert named - told == set()


def test_the_dashboard_can_be_imported(series: Series) -> None:
    """As checked by hand against the types of Grafana's own schema; here what a slip of the hand would break."""
    panels = DASHBOARD["panels"]
    squares = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(squares)) == len(squares)
    assert max(x for x, _ in squares) == 23
    assert {str(panel["datasource"]) for panel in panels if panel["type"] != "row"} == {
        str({"type": "prometheus", "uid": "${datasource}"})
    }
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == ["datasource", "instance"]


def test_prometheus_takes_the_alerts_and_the_example(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", METRICS, re.DOTALL | re.MULTILINE)
    (tmp_path / "prometheus.yml").write_text(example)
    shutil.copy(DOCS / "alerts.yml", tmp_path)

    done = subprocess.run(["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True)

    assert (done.returncode, "10 rules found" in done.stdout) == (0, True), done.stderr


def test_the_example_verifies_what_is_signed_and_nothing_else() -> None:
    (code,) = re.findall(r"^```python\n# verify\.py\n(.*?)^```$", NOTIFICATIONS, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(code, names)
    secret, body, now = base64.b64encode(b"k" * 32).decode(), b'{"type": "framedaemon.done"}', int(time.time())

    def verified(signed: bytes = body, at: int = now) -> bool:
        headers = {"webhook-id": "fd_1", "webhook-timestamp": str(at)}
        headers["webhook-signature"] = f"v1,b3RoZXI= {sign(b'k' * 32, 'fd_1', at, signed)}"
        said: bool = names["verify"](f"whsec_{secret}", headers, body)
        return said

    assert verified()
    assert not verified(signed=b"{}")
    assert not verified(at=now - 3600)


def test_the_example_of_json_is_what_is_sent() -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```$", NOTIFICATIONS, re.DOTALL | re.MULTILINE)
    said = json.loads(example)

    sent = json.loads(compose([_news(TOLD[0])], Path("/srv/videos"), "box", 1.0).payload)

    assert _shape(said) == _shape(sent)


def test_every_field_of_every_event_is_explained() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \| [^|]+ \|$", NOTIFICATIONS, re.MULTILINE))
    events = [
        json.loads(compose([_news(event)], Path("/srv"), "box", 1.0).payload)["data"]["events"][0] for event in TOLD
    ]

    unexplained = [
        (event["kind"], key)
        for event in events
        for key in event
        if not (rows.get(key, "").strip() == "all" or f"`{event['kind']}`" in rows.get(key, ""))
    ]

    assert unexplained == []
    assert {event["kind"] for event in events} == set(get_args(Happening))
    assert [kind for kind in get_args(Happening) if f"\n| `{kind}` | " not in NOTIFICATIONS] == []


@pytest.mark.parametrize("target", [WebhookTarget, CommandTarget, AppriseTarget])
def test_every_key_of_a_target_is_explained(target: type[Target]) -> None:
    kind = target.__name__.removesuffix("Target").lower()
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| ([^|]*)\| [^|]* \| [^|]* \|$", NOTIFICATIONS, re.MULTILINE)
    explained = {key: default for key, of, default in rows if of == "all" or kind in of.split(", ")}

    assert set(explained) == set(target.model_fields)
    assert [key for key, field in target.model_fields.items() if not _agrees(explained[key], field.default)] == []


def _agrees(said: str, default: object) -> bool:
    """Whether the table names a default, where it is a plain number or text."""
    return not isinstance(default, (int, float)) or f"`{default}`" in said


def _news(event: Event) -> News:
    news = news_of(event, 1.0)
    assert news is not None
    return news


def _shape(value: object) -> object:
    """Keys and kinds of values."""
    if isinstance(value, dict):
        return {key: _shape(inner) for key, inner in value.items()}
    return [_shape(inner) for inner in value] if isinstance(value, list) else type(value).__name__
