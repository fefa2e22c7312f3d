from __future__ import annotations

from pathlib import Path

import pytest

from framedaemon.audience import is_own, split_address
from framedaemon.errors import SettingsError
from framedaemon.messages import Setup, encode
from framedaemon.settings import Settings, read_settings

TARGETS = """
[metrics]
listen = "127.0.0.1:9465"
[[notify.webhook]]
url = "https://example.com/hook/t0ken"
secret_variable = "HOOK_SECRET"
[[notify.command]]
argv = ["/usr/bin/logger", "framedaemon"]
on = ["failed"]
[[notify.apprise]]
url = "mailto://ada:pa55word@example.com"
"""


def _read(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "config.toml").write_text(text)
    return read_settings(tmp_path / "config.toml")


def _problem(tmp_path: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        _read(tmp_path, text)
    return "\n".join(caught.value.problems)


def test_every_target_is_a_table_of_its_own(tmp_path: Path) -> None:
    notify = _read(tmp_path, TARGETS).notify

    assert notify.webhook[0].on == ("done", "failed", "waiting", "breaker", "plugin")
    assert notify.command[0].on == ("failed",)
    assert (notify.webhook[0].digest_seconds, notify.command[0].digest_seconds) == (300.0, 0.0)
    assert notify.variables == {"HOOK_SECRET"}


def test_addresses_show_nowhere(tmp_path: Path) -> None:
    settings = _read(tmp_path, TARGETS)

    shown = f"{settings!r} {settings.model_dump_json()}"

    assert "t0ken" not in shown
    assert "pa55word" not in shown


def test_the_worker_is_not_told_who_is_told(tmp_path: Path) -> None:
    settings = _read(tmp_path, TARGETS)

    line = encode(Setup(root="/srv", settings=settings.for_worker())).decode()

    assert "example.com" not in line
    assert "HOOK_SECRET" not in line
    assert settings.for_worker() == Settings()


@pytest.mark.parametrize(
    ("listen", "host", "port", "own"),
    [
        ("127.0.0.1:9465", "127.0.0.1", 9465, True),
        (":9465", "127.0.0.1", 9465, True),
        ("[::1]:0", "::1", 0, True),
        ("0.0.0.0:9465", "0.0.0.0", 9465, False),
        ("192.168.1.7:9465", "192.168.1.7", 9465, False),
    ],
)
def test_only_an_address_that_says_so_is_reached_from_elsewhere(
    tmp_path: Path, listen: str, host: str, port: int, own: bool
) -> None:
    read = _read(tmp_path, f'[metrics]\nlisten = "{listen}"').metrics.listen

    assert split_address(read) == (host, port)
    assert is_own(host) is own


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[metrics]\nlisten = "9465"', "[metrics] listen: '9465' is not an address: write 127.0.0.1:9465"),
        ('[metrics]\nlisten = "box:9465"', "'box:9465' is not an address"),
        ('[metrics]\nlisten = "127.0.0.1:99999"', "99999 is not a port"),
        ('[[notify.webhook]]\nurl = "ftp://x/s3cret"', "[notify.webhook 1] url: is no address of the web"),
        ('[[notify.webhook]]\nurl = "https://ada:s3cret@x/"', "holds a user's name"),
        ("[[notify.webhook]]", "[notify.webhook 1] url: is missing"),
        ('[[notify.webhook]]\nurl = "https://x/"\nsecret_variable = "s3 cret"', "is not the name of an environment"),
        ('[[notify.command]]\nargv = ["logger"]', "'logger' is not the whole path of a program"),
        ("[[notify.command]]\nargv = []", "argv"),
        ('[[notify.apprise]]\nurl = "dbus://"\non = ["finished"]', "'finished' is not one of 'done', 'failed'"),
        ('[[notify.mail]]\nto = "ada"', "[notify] mail: is not known here"),
    ],
)
def test_what_is_wrong_is_said_without_what_is_secret(tmp_path: Path, text: str, said: str) -> None:
    problem = _problem(tmp_path, text)

    assert said in problem
    assert "s3cret" not in problem
