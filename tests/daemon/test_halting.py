from __future__ import annotations

from framedaemon.halting import Halting


def test_work_goes_on_until_it_is_asked_to_end() -> None:
    halting = Halting()

    assert not halting.asked()
    assert not halting.too_long(3600)


def test_work_that_is_to_end_may_finish_what_is_done_in_time() -> None:
    halting = Halting()

    halting.ask(100)

    assert halting.asked()
    assert not halting.too_long(70)
    assert halting.too_long(90)  # closing files takes its share


def test_the_next_job_is_not_asked() -> None:
    halting = Halting()
    halting.ask(0)

    halting.forget()

    assert not halting.asked()
