"""film: frames between frames by FILM, a network made for large motion; wants a GPU."""

from __future__ import annotations

from collections.abc import Sequence

from framedaemon import Interpolator, hookimpl
from framedaemon_film.stage import Film, FilmOptions

__all__ = ["Film", "FilmOptions", "interpolators"]


@hookimpl
def interpolators() -> Sequence[Interpolator[FilmOptions]]:
    """FILM."""
    return [Film()]
