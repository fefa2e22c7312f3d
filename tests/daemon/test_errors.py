from __future__ import annotations

import pickle

import pytest

from framedaemon.errors import FramedaemonError, JobRejected, OutOfMemory, SettingsError, StageFailed


@pytest.mark.parametrize("kind", [SettingsError, JobRejected])
def test_several_problems_are_kept_apart_and_said_on_a_line_each(kind: type[JobRejected]) -> None:
    error = kind(problem for problem in ("no crf", "no codec"))

    assert error.problems == ("no crf", "no codec")
    assert str(error) == "no crf\nno codec"


def test_one_problem_is_not_taken_apart_into_letters() -> None:
    assert JobRejected("no crf").problems == ("no crf",)


@pytest.mark.parametrize("error", [JobRejected(["a", "b"]), SettingsError("a"), StageFailed("a"), OutOfMemory("a")])
def test_an_error_survives_pickling(error: FramedaemonError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert getattr(copy, "problems", None) == getattr(error, "problems", None)


def test_every_error_can_be_caught_as_ours() -> None:
    kinds = FramedaemonError.__subclasses__()

    ours = {"_Problems", "StageFailed", "OutOfMemory", "DiskFull", "Halted", "PluginBroken"}
    assert {kind.__name__ for kind in kinds} == ours


def test_of_a_great_many_problems_the_first_are_told() -> None:
    rejected = JobRejected(f"problem {number}" for number in range(1, 1001))

    assert len(rejected.problems) == 51
    assert rejected.problems[49:] == ("problem 50", "and 950 more problems")
    assert len(JobRejected(map(str, range(51))).problems) == 51
