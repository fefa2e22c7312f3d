from __future__ import annotations

from typing import Any

from framedaemon_wan.options import WanOptions, completed
from framedaemon_wan.shrinking import smaller


def _options(**given: Any) -> WanOptions:
    return completed(None, WanOptions.model_validate({"weights": "wan-i2v-a14b", "may_shrink": True} | given))


def _forms(options: WanOptions) -> list[tuple[str | None, int | None]]:
    """Size and segment of each smaller form, to the last."""
    less = smaller(options)
    return [(less.size, less.segment), *_forms(less)] if isinstance(less, WanOptions) else []


def test_segments_become_shorter_before_the_size_becomes_smaller() -> None:
    assert _forms(_options(size="720p")) == [
        ("720p", 61), ("720p", 41), ("480p", None), ("480p", 61), ("480p", 41),
    ]  # fmt: skip


def test_a_model_of_one_size_draws_shorter_segments_only() -> None:
    forms = _forms(_options(weights="wan-ti2v-5b"))

    assert forms == [(None, 93), (None, 65)]


def test_a_short_clip_is_cut_where_it_is_shorter_than_a_segment() -> None:
    assert _forms(_options(frames=17)) == [(None, 13), (None, 9)]


def test_a_width_that_was_asked_for_stays() -> None:
    assert _forms(_options(size="720p", width=1024)) == [("720p", 61), ("720p", 41)]


def test_one_pass_of_more_frames_than_the_model_knows_becomes_segments_first() -> None:
    less = smaller(_options(frames=161, single_pass=True))

    assert isinstance(less, WanOptions)
    assert (less.single_pass, less.segment) == (False, None)


def test_all_else_stays_as_it_was_asked() -> None:
    options = _options(prompt="a cat", seed=7)

    less = smaller(options)

    assert isinstance(less, WanOptions)
    assert less == options.model_copy(update={"segment": 61})
    assert less.facts == options.facts


def test_without_leave_it_says_how_to_give_it() -> None:
    assert smaller(_options(may_shrink=False)) == (
        "[generate] may_shrink = true lets wan draw it in shorter segments, or at the next smaller size"
    )
