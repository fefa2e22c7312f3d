from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from framedaemon.inbox import Arrival, Inbox, Orphan, Scan, folders_of
from framedaemon.settings import InboxSettings

SETTLE = 2.0
NOBODY = 65534


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "input"
    (root / "done").mkdir(parents=True)
    (root / "failed").mkdir()
    return root


@pytest.fixture
def inbox(root: Path) -> Inbox:
    return Inbox(root, InboxSettings(settle_seconds=SETTLE))


@pytest.fixture
def strangers() -> Iterator[Path]:
    """A folder for tests of permissions: root may read everything, so they go without its rights."""
    folder = Path(tempfile.mkdtemp())
    user = os.geteuid()
    os.chown(folder, NOBODY if user == 0 else user, -1)
    os.seteuid(NOBODY if user == 0 else user)
    yield folder
    os.seteuid(user)
    shutil.rmtree(folder)


def _drop(path: Path, data: bytes = b"picture") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _settled(inbox: Inbox, since: float = 0.0) -> Scan:
    inbox.scan(since)
    return inbox.scan(since + SETTLE)


def _names(scan: Scan) -> list[str]:
    return [arrival.name for arrival in scan.arrivals]


def _only(scan: Scan) -> Arrival:
    (arrival,) = scan.arrivals
    return arrival


# Settling


def test_a_file_arrives_when_it_has_not_changed_for_a_while(root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.jpg")

    first, early, late = inbox.scan(100.0), inbox.scan(101.9), inbox.scan(102.0)

    assert (_names(first), first.settling, first.next_due) == ([], 1, 102.0)
    assert (_names(early), early.settling, early.next_due) == ([], 1, 102.0)
    assert (_names(late), late.settling, late.next_due) == (["photo.jpg"], 0, None)


def test_an_arrival_says_all_that_taking_it_needs(root: Path, inbox: Inbox) -> None:
    path = _drop(root / "trip" / "photo.jpg")
    sidecar = _drop(root / "trip" / "photo.toml", b"")

    arrival = _only(_settled(inbox))

    assert (arrival.name, arrival.path, arrival.sidecar) == ("trip/photo.jpg", path, sidecar)
    assert (arrival.identity.inode, arrival.identity.size) == (path.stat().st_ino, len(b"picture"))
    assert ([one.shared for one in arrival.beside], arrival.refusal) == ([False], None)


def test_an_arrival_comes_again_until_it_is_taken(root: Path, inbox: Inbox) -> None:
    path = _drop(root / "photo.jpg")
    _settled(inbox)

    again = inbox.scan(50.0)
    path.unlink()
    gone = inbox.scan(51.0)

    assert (_names(again), _names(gone)) == (["photo.jpg"], [])


def test_each_change_starts_the_wait_anew(root: Path, inbox: Inbox) -> None:
    path = _drop(root / "photo.jpg")
    inbox.scan(0.0)

    path.write_bytes(b"picture, and more of it")
    changed, early, late = inbox.scan(1.9), inbox.scan(3.8), inbox.scan(3.9)

    assert [_names(scan) for scan in (changed, early, late)] == [[], [], ["photo.jpg"]]


def test_a_change_of_nothing_but_the_time_counts(root: Path, inbox: Inbox) -> None:
    path = _drop(root / "photo.jpg")
    inbox.scan(0.0)

    os.utime(path, ns=(0, 1))

    assert inbox.scan(2.0).settling == 1


def test_another_file_of_the_same_size_and_time_counts(root: Path, inbox: Inbox) -> None:
    path = _drop(root / "photo.jpg")
    status = path.stat()
    inbox.scan(0.0)

    other = _drop(root.parent / "other.jpg")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)

    assert inbox.scan(2.0).settling == 1


@pytest.mark.parametrize("mtime", [0, 2**33])
def test_the_files_own_clock_means_nothing(mtime: int, root: Path, inbox: Inbox) -> None:
    path = _drop(root / "photo.jpg")
    os.utime(path, (mtime, mtime))

    assert _names(_settled(inbox)) == ["photo.jpg"]


def test_a_settle_time_of_zero_takes_at_first_sight(root: Path) -> None:
    _drop(root / "photo.jpg")

    assert _names(Inbox(root, InboxSettings(settle_seconds=0)).scan(0.0)) == ["photo.jpg"]


def test_what_was_seen_first_comes_first(root: Path, inbox: Inbox) -> None:
    _drop(root / "b.jpg")
    inbox.scan(0.0)
    _drop(root / "a.jpg")
    _drop(root / "c.jpg")
    inbox.scan(1.0)

    assert _names(inbox.scan(9.0)) == ["b.jpg", "a.jpg", "c.jpg"]


def test_the_next_due_time_is_the_earliest(root: Path, inbox: Inbox) -> None:
    _drop(root / "a.jpg")
    inbox.scan(0.0)
    _drop(root / "b.jpg")

    scan = inbox.scan(1.0)

    assert (scan.settling, scan.next_due) == (2, 2.0)


def test_excluded_names_are_left_out(root: Path, inbox: Inbox) -> None:
    _drop(root / "a.jpg")
    _drop(root / "a.toml")
    _drop(root / "b.jpg")
    inbox.scan(0.0)

    scan = inbox.scan(2.0, exclude={"a.jpg"})

    assert (_names(scan), scan.orphans) == (["b.jpg"], ())


# Writers


def test_a_file_that_is_still_open_for_writing_waits(root: Path, inbox: Inbox) -> None:
    path = _drop(root / "photo.jpg")
    program = f"file = open({str(path)!r}, 'ab'); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        inbox.scan(0.0)
        during = inbox.scan(60.0)
        writer.communicate("\n")

    assert (_names(during), during.settling, during.next_due) == ([], 1, 61.0)
    assert _names(inbox.scan(61.0)) == ["photo.jpg"]


def test_a_sidecar_that_is_still_open_for_writing_holds_its_picture(root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.jpg")
    with _drop(root / "photo.toml").open("ab"):
        during = _settled(inbox)

    assert (_names(during), _names(inbox.scan(9.0))) == ([], ["photo.jpg"])


def test_looking_never_changes_a_file(root: Path, inbox: Inbox) -> None:
    path = _drop(root / "photo.jpg")
    before = path.stat()

    _settled(inbox)

    after = path.stat()
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_atime_ns) == (
        *(before.st_mtime_ns, before.st_ctime_ns, before.st_atime_ns),
    )


# What is ignored


@pytest.mark.parametrize(
    "name",
    [
        *(".photo.jpg", "._photo.jpg", ".stfolder/photo.jpg", "sub/.hidden/photo.jpg"),
        *("photo.jpg~", "#photo.jpg#", "photo.jpg.part", "photo.partial", "photo.jpg.crdownload", "photo.jpg.download"),
        *("photo.tmp", "photo.jpg.swp", "photo.jpg.filepart", "photo.JPG.PART", "photo.error.txt"),
        *(
            "photo.sync-conflict-20260101-120000-ABC.jpg",
            "Thumbs.db",
            "desktop.ini",
            "defaults.toml",
            "sub/Defaults.toml",
        ),
        *(
            "done/photo.jpg",
            "failed/sub/photo.jpg",
            "waiting/sub/photo.jpg",
            "@eaDir/photo.jpg",
            "#recycle/photo.jpg",
            "lost+found/photo.jpg",
        ),
    ],
)
def test_what_is_not_meant_for_us_is_ignored(name: str, root: Path, inbox: Inbox) -> None:
    _drop(root / name)

    assert _settled(inbox) == Scan((), 0, None, (), ())


def test_an_empty_file_waits_for_its_content(root: Path, inbox: Inbox) -> None:
    path = _drop(root / "photo.jpg", b"")
    empty = _settled(inbox)

    path.write_bytes(b"picture")
    inbox.scan(10.0)

    assert empty == Scan((), 0, None, (), ())
    assert _names(inbox.scan(12.0)) == ["photo.jpg"]


@pytest.mark.parametrize(
    "name",
    [
        "sub/done/photo.jpg",
        "sub/failed/photo.jpg",
        "sub/waiting/a.jpg",
        "approved/photo.jpg",
        "done.jpg",
        "photo.txt",
        "photo",
    ],
)
def test_all_else_arrives(name: str, root: Path, inbox: Inbox) -> None:
    _drop(root / name)

    assert _names(_settled(inbox)) == [name]


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.jpg", b"new\nline.jpg", b"-rf", b" ", b"$(reboot).jpg", "猫.jpg".encode(), b"x" * 255]
)
def test_any_name_arrives_as_it_is(name: bytes, root: Path, inbox: Inbox) -> None:
    _drop(root / os.fsdecode(name))

    arrival = _only(_settled(inbox))

    assert os.fsencode(arrival.name) == name
    assert arrival.unchanged()


# What is refused


def test_a_link_is_refused(root: Path, inbox: Inbox) -> None:
    target = _drop(root.parent / "secret.jpg")
    (root / "photo.jpg").symlink_to(target)
    (root / "broken.jpg").symlink_to("nowhere")

    scan = _settled(inbox)

    assert [arrival.refusal for arrival in scan.arrivals] == ["is a link; put the file itself here"] * 2


def test_a_named_pipe_is_refused_and_blocks_nothing(root: Path, inbox: Inbox) -> None:
    os.mkfifo(root / "photo.png")

    assert _only(_settled(inbox)).refusal == "is a named pipe, not a file"


def test_a_socket_is_refused(root: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)  # a socket's path has room for 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("photo.png")

        assert _only(_settled(inbox)).refusal == "is a socket, not a file"


def test_a_sidecar_that_is_a_link_is_refused_with_its_picture(root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.jpg")
    (root / "photo.toml").symlink_to("/etc/passwd")

    assert _only(_settled(inbox)).refusal == "its sidecar photo.toml is a link; put the file itself here"


def test_a_file_that_may_not_be_read_is_refused(strangers: Path) -> None:
    _drop(strangers / "photo.jpg").chmod(0)

    arrival = _only(_settled(Inbox(strangers, InboxSettings())))

    assert arrival.refusal == "cannot be read by the daemon; its permissions forbid it"


def test_two_sidecars_of_one_picture_are_refused(root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.jpg")
    _drop(root / "photo.toml")
    _drop(root / "photo.jpg.toml")

    assert _only(_settled(inbox)).refusal == "has several sidecars, photo.jpg.toml and photo.toml; keep one of them"


# Sidecars


def test_a_sidecar_that_comes_while_its_picture_settles_starts_the_wait_anew(root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.jpg")
    inbox.scan(0.0)
    sidecar = _drop(root / "photo.toml")

    early, late = inbox.scan(1.5), inbox.scan(3.5)

    assert early.next_due == 3.5
    assert _only(late).sidecar == sidecar


def test_a_sidecar_that_changes_or_goes_starts_the_wait_anew(root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.jpg")
    sidecar = _drop(root / "photo.toml")
    inbox.scan(0.0)

    sidecar.write_bytes(b"changed")
    changed = inbox.scan(1.5)
    sidecar.unlink()
    gone = inbox.scan(3.4)

    assert (changed.next_due, gone.next_due) == (3.5, 5.4)


def test_a_shared_sidecar_is_copied_for_all_but_the_last_picture(root: Path, inbox: Inbox) -> None:
    sidecar = _drop(root / "photo.toml")
    _drop(root / "photo.jpg")
    _drop(root / "photo.png")

    arrivals = _settled(inbox).arrivals

    assert [(arrival.sidecar, arrival.beside[0].shared) for arrival in arrivals] == [(sidecar, True), (sidecar, False)]


def test_a_sidecar_stays_for_a_picture_that_is_still_settling(root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.toml")
    _drop(root / "photo.jpg")
    inbox.scan(0.0)
    _drop(root / "photo.png")

    assert _only(inbox.scan(2.0)).beside[0].shared is True


def test_a_last_picture_settles_with_its_picture_and_is_no_arrival(root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.jpg")
    inbox.scan(0.0)
    last = _drop(root / "photo.last.png")

    early = inbox.scan(2.0)
    late = inbox.scan(4.0)
    last.write_bytes(b"changed")
    changed = _only(late).unchanged()

    assert (_names(early), early.settling) == ([], 1)
    assert (_only(late).last, _only(late).sidecar, late.orphans) == (last, None, ())
    assert not changed


def test_a_last_picture_that_is_still_open_for_writing_holds_its_picture(root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.jpg")
    with (root / "photo.last.png").open("wb") as writing:
        writing.write(b"some")
        writing.flush()
        held = _settled(inbox)

    assert (_names(held), held.settling) == ([], 1)
    assert _names(inbox.scan(10.0)) == ["photo.jpg"]


def test_an_empty_last_picture_holds_its_picture_and_says_so(root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.jpg")
    last = _drop(root / "photo.last.png", b"")

    held = _settled(inbox)
    last.write_bytes(b"picture")
    whole = _settled(inbox, 10.0)

    assert (_names(held), held.settling) == ([], 0)
    assert held.problems == ("input/photo.jpg: waits for photo.last.png, which is empty",)
    assert (_names(whole), whole.problems) == (["photo.jpg"], ())


def test_a_last_picture_without_its_picture_is_an_orphan_that_says_what_it_waits_for(root: Path, inbox: Inbox) -> None:
    _drop(root / "trip" / "photo.last.png")
    _drop(root / "trip" / "empty.last.png", b"")
    _drop(root / "photo.toml")

    orphans = {orphan.name: orphan for orphan in _settled(inbox).orphans}

    assert {name: (orphan.owner, orphan.settled) for name, orphan in orphans.items()} == {
        "trip/photo.last.png": ("trip/photo", True),
        "trip/empty.last.png": ("trip/empty", False),
        "photo.toml": ("photo", True),
    }
    assert orphans["photo.toml"].wanting is None
    assert (orphans["trip/photo.last.png"].wanting or "").startswith(
        "input/trip/photo.last.png: waits for a picture called photo,"
    )


def test_a_sidecar_without_its_picture_is_an_orphan(root: Path, inbox: Inbox) -> None:
    path = _drop(root / "trip" / "photo.toml")

    early, late = inbox.scan(0.0), inbox.scan(2.0)

    assert early.orphans == (Orphan("trip/photo.toml", path, settled=False),)
    assert late.orphans == (Orphan("trip/photo.toml", path, settled=True),)
    assert _names(late) == []


def test_a_sidecar_whose_picture_is_still_empty_is_no_orphan(root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.jpg", b"")
    _drop(root / "photo.toml")

    assert _settled(inbox) == Scan((), 0, None, (), ())


# What can happen meanwhile


@pytest.mark.parametrize("change", ["photo.jpg", "photo.toml"])
def test_an_arrival_knows_when_it_is_no_longer_what_was_scanned(change: str, root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.jpg")
    _drop(root / "photo.toml")
    arrival = _only(_settled(inbox))
    before = arrival.unchanged()

    (root / change).write_bytes(b"something else")
    changed = arrival.unchanged()
    (root / change).unlink()

    assert (before, changed, arrival.unchanged()) == (True, False, False)


def test_a_missing_input_folder_is_a_problem_and_nothing_else(root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.jpg")
    _settled(inbox)
    root.rename(root.with_name("unmounted"))

    gone = inbox.scan(10.0)
    root.with_name("unmounted").rename(root)
    inbox.scan(11.0)

    assert gone == Scan((), 0, None, (), (f"{root}: the input folder is not there; is a mount missing?",))
    assert _names(inbox.scan(13.0)) == ["photo.jpg"]


def test_a_file_in_the_place_of_the_input_folder_is_a_problem(tmp_path: Path) -> None:
    _drop(tmp_path / "input")

    scan = Inbox(tmp_path / "input", InboxSettings()).scan(0.0)

    assert scan.problems == (f"{tmp_path}/input: the input folder is not there; is a mount missing?",)


def test_a_folder_that_may_not_be_read_hides_nothing_else(strangers: Path) -> None:
    _drop(strangers / "open.jpg")
    _drop(strangers / "closed" / "photo.jpg").parent.chmod(0)

    scan = _settled(Inbox(strangers, InboxSettings()))

    (strangers / "closed").chmod(0o700)
    assert _names(scan) == ["open.jpg"]
    assert scan.problems == ("input/closed/: cannot be looked into: Permission denied",)


def test_links_to_folders_are_not_followed_and_said(root: Path, inbox: Inbox) -> None:
    (root / "loop").symlink_to(root)

    scan = _settled(inbox)

    assert _names(scan) == []
    assert scan.problems == ("input/loop: links to folders are not followed; mount it here",)


def test_a_linked_input_folder_is_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    _drop(root / "photo.jpg")

    assert _names(_settled(Inbox(tmp_path / "link", InboxSettings()))) == ["photo.jpg"]


def test_what_is_gone_is_forgotten(root: Path, inbox: Inbox) -> None:
    path = _drop(root / "photo.jpg")
    inbox.scan(0.0)
    path.rename(root.parent / "photo.jpg")
    inbox.scan(1.0)
    (root.parent / "photo.jpg").rename(path)

    assert inbox.scan(2.5).next_due == 4.5


class _Swap(set[str]):
    """Names to exclude; being asked for one, between listing and opening, it puts a pipe in that file's place."""

    def __init__(self, root: Path) -> None:
        super().__init__({""})
        self._root = root

    def __contains__(self, name: object) -> bool:
        (self._root / str(name)).unlink()
        os.mkfifo(self._root / str(name))
        return False


def test_a_file_exchanged_for_a_pipe_after_it_was_listed_blocks_nothing(root: Path, inbox: Inbox) -> None:
    _drop(root / "photo.jpg")
    inbox.scan(0.0)

    scan = inbox.scan(2.0, exclude=_Swap(root))

    assert (_names(scan), scan.settling, scan.problems) == ([], 1, ())


def test_deep_folders_are_looked_into(root: Path, inbox: Inbox) -> None:
    name = "/".join("d" * 32)
    (root / name).mkdir(parents=True)
    (root / name / "photo.jpg").write_bytes(b"picture")

    assert _names(_settled(inbox)) == [f"{name}/photo.jpg"]


def test_a_scan_survives_a_folder_in_turmoil(root: Path) -> None:
    picture = _drop(root.parent / "photo.jpg")
    for n in range(500):
        (root / str(n)).hardlink_to(picture)
    storm = f"""
import os
print("begin", flush=True)
while True:
    for n in range(500):
        path = {str(root)!r} + "/" + str(n)
        os.unlink(path)
        os.mkdir(path); os.rmdir(path)
        os.mkfifo(path); os.unlink(path)
        os.symlink("nowhere", path); os.unlink(path)
        os.link({str(picture)!r}, path)
"""
    with subprocess.Popen([sys.executable, "-c", storm], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        scans = [Inbox(root, InboxSettings(settle_seconds=0)).scan(0.0) for _ in range(30)]
        alive = child.poll() is None
        child.kill()

    assert alive
    assert min(len(scan.arrivals) for scan in scans) > 300
    assert [scan.problems for scan in scans if scan.problems] == []


def test_ten_thousand_files_are_all_there(root: Path, inbox: Inbox) -> None:
    names = [f"{n:05}.jpg" for n in range(10_000)]
    picture = _drop(root.parent / "photo.jpg")
    for name in names:
        (root / name).hardlink_to(picture)

    scan = _settled(inbox)

    assert _names(scan) == names


def test_any_number_of_links_to_folders_makes_few_problems(root: Path, inbox: Inbox, tmp_path: Path) -> None:
    """They are written into the status, and whoever may drop files may make them."""
    for number in range(500):
        (root / f"link{number}").symlink_to(tmp_path)

    problems = inbox.scan(0.0).problems

    assert len(problems) == 21
    assert problems[-1] == "input/: 480 more of the like"


def test_a_file_that_lies_so_deep_that_no_video_of_it_could_lie_in_output_is_refused(root: Path, inbox: Inbox) -> None:
    handle = os.open(root, os.O_RDONLY)
    for _ in range(9):
        os.mkdir("x" * 240, dir_fd=handle)
        inner = os.open("x" * 240, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    with os.fdopen(os.open("cat.png", os.O_CREAT | os.O_WRONLY, dir_fd=handle), "wb") as file:
        file.write(b"picture")
    os.close(handle)

    arrival = _only(_settled(inbox))

    assert arrival.refusal == "lies too deep: its name and its folders' take more than 2000 bytes"
    shutil.rmtree(root)


def test_folders_without_end_are_passed_over(root: Path, inbox: Inbox) -> None:
    """Deeper than any path can name."""
    handle = os.open(root, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("x" * 240, dir_fd=handle)
        inner = os.open("x" * 240, os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)
    _drop(root / "cat.png")

    scan = _settled(inbox)

    assert [arrival.name for arrival in scan.arrivals] == ["cat.png"]
    assert len(scan.problems) == 1
    shutil.rmtree(root)


def test_folders_below_more_folders_than_anybody_needs_are_not_looked_into(root: Path, inbox: Inbox) -> None:
    _drop(root / "/".join("x" * 33) / "cat.png")
    _drop(root / "/".join("y" * 32) / "cat.png")

    scan = _settled(inbox)

    assert [arrival.name for arrival in scan.arrivals] == ["/".join("y" * 32) + "/cat.png"]
    assert [problem[-46:] for problem in scan.problems] == ["lies below 32 other folders and is not looked into"[-46:]]
    assert max(prefix.count("/") for prefix in folders_of(root)) == 33
