"""What wan draws in place of a clip that there is no room for, with leave: the same model, fewer tokens at once.

    720p in segments of 81 → 61 → 41 → 480p of 81 → 61 → 41 → refused

Shorter segments first: the clip keeps its size and length, and only begins anew more often from its last frame.
"""

from __future__ import annotations

from framedaemon_wan.options import WanOptions

_LEAVE = "[generate] may_shrink = true lets wan draw it in shorter segments, or at the next smaller size"


def smaller(options: WanOptions) -> WanOptions | str:
    """The next smaller form of options that are complete; or in words how to get one, nothing where there is none.

    A width or height that was asked for stays, and 240p is for previews: the models were not trained on it.
    """
    if not options.may_shrink:
        return _LEAVE
    clip = options.frames or options.preset.frames
    if options.single_pass and clip > options.preset.frames:
        return options.model_copy(update={"single_pass": False, "segment": None})
    whole = min(clip, options.preset.frames)
    now = min(whole, options.segment or whole)
    shorter = now - max(4, (whole - 1) // 16 * 4)  # a quarter of the whole, and 4k + 1 as that is
    if shorter > (whole - 1) // 2:
        return options.model_copy(update={"segment": shorter, "single_pass": False})
    areas: dict[str, int] = {name: area for name, area in options.preset.areas.items() if name != "240p"}
    size: str = options.size or next(name for name in areas)
    area = areas.get(size, 0)
    below = [name for name in areas if areas[name] < area]
    if below and options.width is None and options.height is None:
        return options.model_copy(update={"size": max(below, key=areas.__getitem__), "segment": None})
    return ""
