"""Plays framedaemon's life as a service in a real systemd, and prints what was seen: ``python tests/systemd/run.py``.

Every scene ends the program with what was expected and what was found instead. Needs root; see `machine`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from framedaemon.weights import file_of, record_of
from systemd.machine import HERE, ROOT, Machine, booted, lacking

UNIT = "framedaemon.service"
COMMAND = str(Path(sys.executable).parent / "framedaemon")
PHOTO = ROOT / "daemon" / "framedaemon" / "demo" / "rocket.jpg"

VIDEOS = "/home/ada/videos"
CATS = "/srv/cats"
MODELS = Path("/home/ada/.cache/framedaemon/models")

CONFIG = """
[inbox]
settle_seconds = 0.0
rescan_seconds = 1.0
[disk]
keep_free_bytes = 0
ballast_bytes = 0
[worker]
retry_seconds = 0
[service]
stop_seconds = 0.5
[defaults.generate]
use = "camera"
frames = 5
width = 192
"""

# In place of minutes: what is waited for is the same.
QUICK = "[Service]\nWatchdogSec=5\nRestartSec=0.3\n"


class Play:
    """The scenes, in the order in which they are played, on one machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._run = machine.run

    def furnish(self) -> None:
        """A user with an instance in her home, whose videos go to a share that the machine mounts as it boots."""
        run = self._run
        run("useradd", "--create-home", "ada")
        run("mkdir", "-p", "/srv/disk/videos", "/srv/share", CATS)
        self._write("/etc/fstab", "/srv/disk /srv/share none bind,nofail,_netdev 0 0\n")
        self._write("/etc/systemd/system/framedaemon.service.d/quick.conf", QUICK)
        for folder in (VIDEOS, CATS):
            run(COMMAND, "init", folder)
            self._write(f"{folder}/config.toml", CONFIG)
            shutil.copy(HERE / "stages.py", self._machine.path(f"{folder}/plugins/stages.py"))
        run("install", "--directory", "--owner=ada", "--group=ada", "/home/ada/.cache", MODELS.parent, MODELS)
        _store_weights(self._machine.path(str(MODELS)))
        run("chown", "-R", "ada:", MODELS)
        run("rm", "-r", f"{VIDEOS}/output")
        run("ln", "-s", "/srv/share/videos", f"{VIDEOS}/output")
        run("chown", "-R", "--no-dereference", "ada:", VIDEOS, CATS, "/srv/disk/videos")
        run("systemctl", "daemon-reload")
        run("systemctl", "enable", "--quiet", "remote-fs.target")
        run("systemctl", "start", "srv-share.mount")

    def start(self) -> None:
        self._say(self._run(COMMAND, "service", "install", "--instance", VIDEOS))
        state, text, user, pid = self._machine.show(UNIT, "ActiveState", "StatusText", "User", "MainPID")
        check((state, user) == ("active", "ada"), f"it is {state}, as {user}")
        ready = int(self._machine.show(UNIT, "ActiveEnterTimestampMonotonic")[0])
        answered = int(self._entries("FRAMEDAEMON_EVENT=worker_ready")[0]["__MONOTONIC_TIMESTAMP"])
        check(answered - 1e6 < ready, "it was ready before its worker")  # who is told first is systemd's affair
        self._say(f"ready {(ready - answered) / 1e3:+.0f} ms from its worker's answer; process {pid}; status: {text}")

    def verify(self) -> None:
        complaints = self._run("systemd-analyze", "verify", UNIT)
        check(not complaints, complaints)
        security = self._run("systemd-analyze", "security", "--no-pager", UNIT).splitlines()[-1]
        offline = self._run(
            "systemd-analyze", "security", "--offline=true", "--no-pager", f"/etc/systemd/system/{UNIT}"
        ).splitlines()[-1]
        check(float(offline.split(":")[1].split()[0]) <= 2.0, offline)
        self._say(f"systemd-analyze verify says nothing; security {security[2:]}; offline {offline[2:]}")

    def photo(self) -> None:
        """The demo's photo through camera, flow and ffmpeg, and another through a network of torch's, with weights."""
        seconds = self._drop("rocket.jpg", PHOTO)
        self._drop("small.png", None, '[generate]\nuse = "tested"\ndoes = "network"\n')
        listed = self._run("find", "/srv/disk/videos", "-name", "*.mp4", "-printf", "%f %u %m %s\\n")
        check(listed.count(" ada 644 ") == 2, listed)
        done = self._run("ls", f"{VIDEOS}/input/done").split()
        check(set(done) >= {"rocket.jpg", "small.png"}, str(done))
        self._say(f"a photo became a video in {seconds:.1f} s, another went through torch:\n{listed}")

    def hardened(self) -> None:
        """What the worker may do, asked of the kernel."""
        pid = self._machine.show(UNIT, "MainPID")[0]
        worker = self._worker()
        facts = dict(
            line.split(":\t", 1) for line in self._run("cat", f"/proc/{worker}/status").splitlines() if ":\t" in line
        )
        check(facts["CapBnd"].strip("0") == "" and facts["NoNewPrivs"] == "1" and facts["Seccomp"] == "2", str(facts))
        seen = self._run("nsenter", "-t", pid, "-m", "-r", "ls", "-A", "/home", "/home/ada", "/root", "/tmp")
        check(".bashrc" not in seen, seen)
        denied = self._run("nsenter", "-t", pid, "-m", "-r", "touch", "/etc/x", "/usr/x", check=False)
        check(denied.count("Read-only file system") == 2, denied)
        adjusted = self._run("cat", f"/proc/{worker}/oom_score_adj")
        check(int(adjusted) > 0, f"the worker's oom_score_adj is {adjusted}")
        environ = self._run("cat", f"/proc/{worker}/environ")
        check("NOTIFY_SOCKET" not in environ and "WATCHDOG" not in environ, "the worker may speak for the service")
        self._say(f"the worker: no capabilities, seccomp, oom_score_adj {adjusted}; it sees {' '.join(seen.split())}")

    def journal(self) -> None:
        (published,) = self._entries("FRAMEDAEMON_EVENT=job_published", "FRAMEDAEMON_NAME=rocket.jpg")
        job = published["FRAMEDAEMON_JOB"]
        events = [entry["FRAMEDAEMON_EVENT"] for entry in self._entries(f"FRAMEDAEMON_JOB={job}")]
        check(events == ["job_claimed", "job_published"], str(events))
        check((published["PRIORITY"], published["_SYSTEMD_UNIT"]) == ("6", UNIT), str(published))
        self._say(f"journalctl FRAMEDAEMON_JOB={job}\n" + self._journal(f"FRAMEDAEMON_JOB={job}"))

    def reload(self) -> None:
        pid = self._machine.show(UNIT, "MainPID")
        self._write(f"{VIDEOS}/config.toml", CONFIG + "[inbx]\n")
        self._run("systemctl", "reload", UNIT)
        self._status_says("config.toml is refused")
        refused = self._journal("--priority", "warning", "--unit", UNIT, "--lines", "1")
        check("settings_refused" in refused and "inbx" in refused, refused)
        self._say(
            f"a mistake: {self._machine.show(UNIT, 'ActiveState', 'StatusText')}\njournalctl -p warning: {refused}"
        )
        self._write(f"{VIDEOS}/config.toml", CONFIG)
        self._run("systemctl", "reload", UNIT)
        self._machine.until(lambda: "refused" not in self._machine.show(UNIT, "StatusText")[0], "the mended settings")
        check(self._machine.show(UNIT, "MainPID") == pid, "it was started anew")
        self._say(f"mended: {self._machine.show(UNIT, 'ActiveState', 'StatusText')}, the same process {pid[0]}")

    def out_of_memory(self) -> None:
        """The kernel ends the worker; the service lives, and has the job done in the end."""
        pid, before = self._machine.show(UNIT, "MainPID"), len(self._entries("FRAMEDAEMON_EVENT=worker_ready"))
        self._run("systemctl", "set-property", "--runtime", UNIT, "MemoryMax=700M")
        self._drop("greedy.png", None, '[generate]\nuse = "tested"\ndoes = "grow"\n')
        self._run("systemctl", "set-property", "--runtime", UNIT, "MemoryMax=infinity")
        retried = self._journal("FRAMEDAEMON_EVENT=job_retried", "FRAMEDAEMON_NAME=greedy.png")
        check("outcome=memory" in retried, retried)
        check(self._machine.show(UNIT, "MainPID", "NRestarts") == [*pid, "0"], "the service did not live")
        workers = [entry["FRAMEDAEMON_PID"] for entry in self._entries("FRAMEDAEMON_EVENT=worker_ready")[before - 1 :]]
        self._say(f"process {pid[0]} lives; its workers were {', '.join(workers)}, and the video is there:\n{retried}")

    def watchdog(self) -> None:
        """A service that hangs, here stopped, is ended and started anew; its job is done all the same."""
        pid = self._machine.show(UNIT, "MainPID")[0]
        self._put("slow.png", None, '[generate]\nuse = "tested"\ndoes = "wait"\n')
        self._wait_waiting()
        self._run("kill", "-STOP", pid)
        stopped = time.monotonic()
        self._machine.until(lambda: self._machine.show(UNIT, "NRestarts")[0] == "1", "the watchdog")
        seconds = time.monotonic() - stopped
        self._machine.until(lambda: self._machine.show(UNIT, "ActiveState")[0] == "active", "the new start")
        self._run("touch", f"{VIDEOS}/tmp/go")
        self._wait_for("slow")
        self._run("rm", f"{VIDEOS}/tmp/go")
        self._run("journalctl", "--sync")
        said = self._run("journalctl", "--unit", UNIT, "--output", "cat", "--no-pager")
        check("Watchdog timeout" in said and "Fatal Python error: Aborted" in said, said[-3000:])
        stood = next((line for line in said.splitlines() if line.lstrip().startswith("File ")), " somewhere")
        self._say(f"ended {seconds:.1f} s after it stood still, where it stood is in the journal:{stood}")
        self._say(f"started anew as {self._machine.show(UNIT, 'MainPID')[0]}, and slow.mp4 is there")

    def reboot(self) -> None:
        """The machine is rebooted in the middle of a job, which halts, and goes on when the service is up by itself."""
        self._put(
            "long.png", None, '[generate]\nuse = "tested"\ndoes = "wait"\nframes = 400\n[interpolate]\nuse = "none"\n'
        )
        self._wait_waiting()
        self._machine.until(
            lambda: self._run("find", f"{VIDEOS}/tmp/jobs", "-name", "000000.json", check=False), "a part"
        )
        (pid,) = self._machine.show(UNIT, "MainPID")
        began = time.monotonic()
        self._machine.reboot()
        self._machine.until(lambda: self._machine.show(UNIT, "ActiveState")[0] == "active", "the service")
        seconds = time.monotonic() - began
        (up,) = self._machine.show(UNIT, "InactiveExitTimestampMonotonic")
        order = {
            unit: self._machine.show(unit, "ActiveEnterTimestampMonotonic")[0]
            for unit in ("local-fs.target", "remote-fs.target", "srv-share.mount")
        }
        check(all(0 < int(at) <= int(up) for at in order.values()), f"{order} {up}")
        self._run("touch", f"{VIDEOS}/tmp/go")
        self._wait_for("long")
        self._run("rm", f"{VIDEOS}/tmp/go")
        before = self._journal(f"_PID={pid}", "--lines", "4")
        check("job_halted" in before and "daemon_stopped" in before, before)
        receipt = json.loads(self._machine.path("/srv/disk/videos/long.json").read_text())
        check(receipt["resumed_at_frame"] == 200, str(receipt))
        self._say(f"before the reboot:\n{before}")
        self._say(
            f"up by itself {seconds:.1f} s later, behind {order} at {up}; "
            f"attempt {receipt['attempt']} went on at frame {receipt['resumed_at_frame']}"
        )

    def look(self) -> None:
        self._say(self._run(COMMAND, "service", "status"))
        (facts,) = json.loads(self._run(COMMAND, "service", "status", "--json"))
        check((facts["unit"], facts["active"], facts["enabled"]) == (UNIT, "active", True), str(facts))
        again = self._run(COMMAND, "service", "install", "--instance", VIDEOS)
        check("nothing to do" in again, again)
        self._say("install, once more: " + again.splitlines()[0])

    def several(self) -> None:
        """A second instance by the template, whose files lie in nobody's home."""
        self._say(self._run(COMMAND, "service", "install", "--name", "cats", "--instance", CATS).splitlines()[-6])
        complaints = self._run("systemd-analyze", "verify", "framedaemon@cats.service")
        check(not complaints, complaints)
        (home,) = self._machine.show("framedaemon@cats.service", "ProtectHome")
        units = json.loads(self._run(COMMAND, "service", "status", "--json"))
        check([facts["active"] for facts in units] == ["active", "active"], str(units))
        refused = self._run(COMMAND, "service", "install", "--instance", CATS, check=False)
        check("needs a name" in refused, refused)
        self._say(f"ProtectHome={home}; a second one without a name: {refused}")

    def uninstall(self) -> None:
        self._say(self._run(COMMAND, "service", "uninstall", "--name", "cats"))
        self._say(self._run(COMMAND, "service", "uninstall", "--instance", VIDEOS))
        left = self._run("find", "/etc/systemd/system", "-name", "framedaemon*")
        check(left == "/etc/systemd/system/framedaemon.service.d", left)  # quick.conf is the operator's own
        check(len(self._run("find", "/srv/disk/videos", "-name", "*.mp4").splitlines()) == 5, "videos are gone")

    def own(self) -> None:
        """In a person's own systemd, without root."""
        (uid,) = self._run("id", "--user", "ada").splitlines()
        environ = [f"XDG_RUNTIME_DIR=/run/user/{uid}", "HOME=/home/ada"]
        places = (Path(sys.prefix), Path(sys.base_prefix), ROOT)  # where the tests' Python lies, others may not enter
        self._run("chmod", "o+x", *{folder for place in places for folder in place.parents})
        self._run("install", "--directory", "--owner=ada", "--mode=700", f"/run/user/{uid}")
        manager = ["--quiet", "--uid=ada", "--property=Delegate=yes", *(f"--setenv={word}" for word in environ)]
        self._run("systemd-run", *manager, "/lib/systemd/systemd", "--user")

        def as_ada(*words: str, check: bool = True) -> str:
            return self._run("runuser", "--user", "ada", "--", "env", *environ, *words, check=check)

        self._machine.until(
            lambda: as_ada("systemctl", "--user", "is-system-running", check=False) == "running", "ada's systemd"
        )
        self._say(as_ada(COMMAND, "service", "install", "--user", "--instance", VIDEOS))
        self._drop("own.jpg", PHOTO)
        (facts,) = json.loads(as_ada(COMMAND, "service", "status", "--user", "--json"))
        check((facts["active"], facts["enabled"]) == ("active", True), str(facts))
        as_ada(COMMAND, "service", "uninstall", "--user", "--instance", VIDEOS)

    def _put(self, name: str, photo: Path | None, sidecar: str) -> None:
        """Drop a photo, its sidecar first, as ada's."""
        folder = self._machine.path(f"{VIDEOS}/input")
        files = [(name, (photo or _small_picture(self._machine)).read_bytes())]
        if sidecar:
            files.insert(0, (f"{Path(name).stem}.toml", sidecar.encode()))
        for called, data in files:
            hidden = folder / f".{called}"
            hidden.write_bytes(data)
            os.chown(hidden, folder.stat().st_uid, folder.stat().st_gid)
            hidden.rename(folder / called)

    def _drop(self, name: str, photo: Path | None, sidecar: str = "") -> float:
        began = time.monotonic()
        self._put(name, photo, sidecar)
        self._wait_for(Path(name).stem)
        return time.monotonic() - began

    def _wait_for(self, stem: str) -> None:
        def ended() -> bool:
            failed = self._machine.path(f"{VIDEOS}/input/failed")
            check(not (failed.exists() and list(failed.glob(f"{stem}*"))), f"{stem} failed")
            return self._machine.path(f"/srv/disk/videos/{stem}.mp4").exists()

        self._machine.until(ended, f"{stem}.mp4")
        self._machine.until(lambda: list(self._machine.path(f"{VIDEOS}/input/done").glob(f"{stem}*")), "the original")

    def _wait_waiting(self) -> None:
        self._machine.until(lambda: list(self._machine.path(f"{VIDEOS}/tmp/jobs").rglob("waiting")), "the job")

    def _status_says(self, text: str) -> None:
        self._machine.until(lambda: text in self._machine.show(UNIT, "StatusText")[0], text)

    def _worker(self) -> str:
        (pid,) = self._machine.show(UNIT, "MainPID")
        return self._machine.until(lambda: self._run("pgrep", "-P", pid, check=False), "a worker").split()[0]

    def _entries(self, *matches: str) -> list[dict[str, Any]]:
        self._run("journalctl", "--sync")
        said = self._run("journalctl", "--output", "json", "--no-pager", *matches)
        return [json.loads(line) for line in said.splitlines()]

    def _journal(self, *words: str) -> str:
        self._run("journalctl", "--sync")
        return self._run("journalctl", "--no-pager", "--quiet", "--output", "short", *words)

    def _write(self, path: str, text: str) -> None:
        self._run("install", "-D", "--mode=644", "/dev/stdin", path, stdin=text)

    def _say(self, text: str) -> None:
        print("\n".join(f"    {line}" for line in text.splitlines()), flush=True)


def check(held: bool, found: str) -> None:
    """Raise AssertionError, saying what was found, where something did not hold."""
    if not held:
        raise AssertionError(found)


def _store_weights(models: Path) -> None:
    """Weights of a network that gives back what it is given."""
    import torch
    from safetensors.torch import save_file

    kernel = torch.nn.init.dirac_(torch.empty(3, 3, 3, 3))
    save_file({"weight": kernel}, file_of(models, "tested-small"))
    sha256 = hashlib.sha256(file_of(models, "tested-small").read_bytes()).hexdigest()
    record_of(models, "tested-small").write_text(json.dumps({"sha256": sha256}))


def _small_picture(machine: Machine) -> Path:
    from PIL import Image

    path = machine.path("/root/small.png")
    if not path.exists():
        Image.effect_noise((32, 32), 60).convert("RGB").save(path)
    return path


SCENES: tuple[tuple[str, Callable[[Play], None]], ...] = (
    ("a service is installed, and ready when its worker answers", Play.start),
    ("systemd has no complaints, and finds it well shut in", Play.verify),
    ("a photo is dropped and becomes a video; torch works, too", Play.photo),
    ("what the worker may do and see", Play.hardened),
    ("log lines stand in the journal with their fields", Play.journal),
    ("settings are reloaded, and a mistake in them is refused", Play.reload),
    ("the kernel ends the worker for memory, and the service lives", Play.out_of_memory),
    ("a service that hangs is ended by the watchdog and started anew", Play.watchdog),
    ("a reboot in the middle of a job", Play.reboot),
    ("how it stands, and a second install", Play.look),
    ("several instances", Play.several),
    ("uninstalled, and everything else stays", Play.uninstall),
    ("a service of one's own", Play.own),
)


def main() -> int:
    """Play all scenes; 0 if each ended as it must."""
    reason = lacking()
    if reason is not None:
        print(f"cannot be played here: {reason}")
        return 3
    began = time.monotonic()
    with booted() as machine:
        release = machine.run("systemctl", "--version").splitlines()[0]
        play = Play(machine)
        play.furnish()
        print(f"{release}, booted and furnished after {time.monotonic() - began:.1f} s", flush=True)
        for title, scene in SCENES:
            started = time.monotonic()
            print(f"* {title}", flush=True)
            try:
                scene(play)
            except AssertionError as error:
                log = machine.run("journalctl", "--no-pager", "--lines", "80", "--output", "short-monotonic")
                print(f"FAILED: {error}\n{log}")
                return 1
            print(f"    ({time.monotonic() - started:.1f} s)", flush=True)
    print(f"all as it must be, in {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
