"""Where a long clip is cut into the parts that it is encoded in: a question of the clip, never of time or machine.

So every attempt at a job cuts at the same frames, and an encoder makes the same of them whether or not it was
interrupted. See `segments` for what becomes of the parts.
"""

from __future__ import annotations

from framedaemon.clip import ClipSpec

# x264 and x265 begin anew with a whole picture after 250 frames anyway: parts no longer than that cost next to nothing.
# Large frames take longer each, so that fewer make a part; two seconds at 24 a second at least.
_MOST_FRAMES = 250
_FEWEST_FRAMES = 48
_PIXELS = 250_000_000


def cut(clip: ClipSpec) -> tuple[int, ...]:
    """The output frames at which parts begin, and the clip's end: (0, 240, 480, 720).

    Parts are alike in length, within a frame. A clip that is at most half as long again as a part may be is one.
    """
    length = min(_MOST_FRAMES, max(_FEWEST_FRAMES, _PIXELS // (clip.width * clip.height)))
    parts = -(-clip.frames // length) if 2 * clip.frames > 3 * length else 1
    return tuple(number * clip.frames // parts for number in range(parts + 1))
