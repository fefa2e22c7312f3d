"""The network's tensors: their names here, their names in the published files, their shapes. Needs no torch.

Settings of the published checkpoint: seven levels, features from up to four sizes each, fusion over the five finest,
flow predictors of their own for the three finest and one for all others.
"""

from __future__ import annotations

from typing import Final

LEVELS: Final = 7
FUSED: Final = 5
STAGES: Final = 4
PREDICTORS: Final = 4
MULTIPLE: Final = 2 ** (LEVELS - 1)
"""Sides of frames are multiples of this."""

_TREE = (64, 128, 256, 512)
_FLOW = (32, 64, 128, 256)
_FUSED = (64, 128, 256, 512)


def features_of(level: int) -> int:
    """Channels of a frame's features at ``level``, 0 the finest: 64, 192, 448, and 960 from there on."""
    return sum(_TREE[: level + 1])


def predictor_of(level: int) -> int:
    """Which flow predictor works at ``level``."""
    return min(level, PREDICTORS - 1)


def _shapes() -> dict[str, tuple[int, ...]]:
    """The shape of each convolution's weight, by our name without ``.weight``."""
    found: dict[str, tuple[int, ...]] = {}
    for stage, wide in enumerate(_TREE):
        found[f"extract.{stage}.0"] = (wide, 3 if stage == 0 else wide // 2, 3, 3)
        found[f"extract.{stage}.1"] = (wide, wide, 3, 3)
    for number, wide in enumerate(_FLOW):
        found[f"flow.{number}.0"] = (wide, 2 * features_of(number), 3, 3)
        found[f"flow.{number}.1"] = found[f"flow.{number}.2"] = (wide, wide, 3, 3)
        found[f"flow.{number}.3"] = (wide // 2, wide, 1, 1)
        found[f"flow.{number}.4"] = (2, wide // 2, 1, 1)
    for level, wide in enumerate(_FUSED):
        moved = 2 * (3 + features_of(level)) + 4
        coarser = 2 * (3 + features_of(level + 1)) + 4 if level == FUSED - 2 else _FUSED[level + 1]
        found[f"fuse.{level}.0"] = (wide, coarser, 2, 2)
        found[f"fuse.{level}.1"] = (wide, moved + wide, 3, 3)
        found[f"fuse.{level}.2"] = (wide, wide, 3, 3)
    found["output"] = (3, _FUSED[0], 1, 1)
    return found


def _published(name: str) -> str:
    """What the files call the convolution."""
    kind, *numbers = name.split(".")
    if kind == "extract":
        return f"extract.extract_sublevels.convs.{numbers[0]}.{numbers[1]}.0"
    if kind == "flow":
        number = int(numbers[0])
        # The three of their own are counted from coarse to fine.
        own = f"_predictors.{PREDICTORS - 2 - number}" if number < PREDICTORS - 1 else "_predictor"
        return f"predict_flow.{own}._convs.{numbers[1]}.0"
    if kind == "fuse":
        return f"fuse.convs.{FUSED - 2 - int(numbers[0])}.{numbers[1]}.0"
    return "fuse.output_conv"


_CONVOLUTIONS = _shapes()

SHAPES: Final[dict[str, tuple[int, ...]]] = {
    f"{name}.{part}": shape if part == "weight" else shape[:1]
    for name, shape in _CONVOLUTIONS.items()
    for part in ("weight", "bias")
}
"""The 82 tensors by our names."""

PUBLISHED: Final[dict[str, str]] = {
    f"{name}.{part}": f"{_published(name)}.{part}" for name in _CONVOLUTIONS for part in ("weight", "bias")
}
"""Our names to the published files'."""
