"""What shells are offered, asked as bash and fish ask."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import typer

from framedaemon.cli.completing import any_jobs, failed_jobs, kinds, open_jobs, previewed, stages, states, weights
from framedaemon.instance import Instance, create
from framedaemon.ledger import Ledger
from queues import end_job, queue_job

COMMAND = str(Path(sys.executable).parent / "framedaemon")  # a shell asks the program of this name


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[list[str]]:
    """An instance with a job that waits, one that failed and one that is done; their ids."""
    create(Instance(tmp_path))
    with closing(Ledger(Instance(tmp_path).ledger)) as ledger:
        waits = queue_job(ledger, "waits.jpg", 3.0)
        yield [waits, end_job(ledger, "failed.jpg", "failed", "no picture"), end_job(ledger, "done.jpg")]


def test_bash_is_offered_commands() -> None:
    assert _bash("framedaemon st") == ["status"]


def test_bash_is_offered_the_jobs_of_the_instance_that_is_named(jobs: list[str], tmp_path: Path) -> None:
    assert _bash(f"framedaemon cancel --instance {tmp_path} ") == [jobs[0]]


def test_each_command_is_offered_the_jobs_that_it_is_for(jobs: list[str], context: typer.Context) -> None:
    waits, failed, done = jobs

    assert open_jobs(context, "") == [(waits, "waits.jpg")]
    assert failed_jobs(context, "") == [(failed, "failed.jpg")]
    assert sorted(word for word, _ in any_jobs(context, "")) == sorted([waits, failed, done])


def test_fish_is_told_which_picture_a_job_is_of(jobs: list[str], tmp_path: Path) -> None:
    asked = {"_FRAMEDAEMON_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    asked["_TYPER_COMPLETE_ARGS"] = f"framedaemon cancel --instance {tmp_path} "

    assert _asked(asked) == [f"{jobs[0]}\twaits.jpg"]


def test_where_there_is_no_instance_and_no_ledger_nothing_is_offered(context: typer.Context, tmp_path: Path) -> None:
    assert any_jobs(context, "") == []

    context.params["instance"] = tmp_path / "nowhere"

    assert any_jobs(context, "") == []


def test_words_of_the_command_line_are_offered_as_far_as_they_are_typed(context: typer.Context) -> None:
    assert states(context, "f") == [("failed", "")]
    assert [word for word, _ in kinds(context, "c")] == ["crashed", "cancelled"]


def test_stages_are_offered_with_what_they_do(context: typer.Context) -> None:
    offered = dict(stages("interpolate", "none")(context, ""))

    assert {"flow", "rife", "film", "none"} <= set(offered)
    assert "optical flow" in offered["flow"]


def test_weights_are_offered_by_their_names(context: typer.Context) -> None:
    assert ("rife-4.25", "") in weights(context, "rife")


def test_pictures_that_were_previewed_are_offered_where_there_are_any(context: typer.Context) -> None:
    assert previewed(context, "") == []


@pytest.fixture
def context(tmp_path: Path) -> typer.Context:
    """A command line on an instance where nothing has happened yet."""
    context = typer.Context(typer.main.get_command(typer.Typer(callback=lambda: None, invoke_without_command=True)))
    context.params["instance"] = tmp_path
    return context


def _bash(line: str) -> list[str]:
    """The words that bash is offered at the end of ``line``."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    return _asked({"_FRAMEDAEMON_COMPLETE": "complete_bash", **words})


def _asked(environ: dict[str, str]) -> list[str]:
    done = subprocess.run([COMMAND], env={**os.environ, **environ}, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.strip().splitlines()
