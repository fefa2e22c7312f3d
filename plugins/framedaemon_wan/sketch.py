"""What a clip will roughly show, while it is still being denoised: a strip of small pictures, by the job's own map.

Imports torch: import it only where the stage is loaded.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from framedaemon import Frame
from framedaemon_wan.vae.projection import fit, project

_SHOWN = 5  # pictures in the strip
_HEIGHT = 120  # pixels


@dataclass(frozen=True, slots=True)
class Sketch:
    """Draws the strip into a file that an operator can look at."""

    path: Path
    matrix: Tensor
    """From latents to colours, as `projection.fit` has it."""

    def show(self, latents: Tensor) -> None:
        """Draw the strip of what the model takes ``latents``, (1, C, T, h, w), for by now."""
        partial = self.path.with_name(f".{self.path.name}.partial")
        try:
            self._strip(latents).save(partial, "PNG")
            partial.replace(self.path)
        except OSError:  # a full disk stops work where something is lost by it
            partial.unlink(missing_ok=True)

    def uri(self, latents: Tensor) -> str:
        """The strip as a ``data:`` address of some kilobytes, for the receipt."""
        file = BytesIO()
        self._strip(latents).save(file, "JPEG", quality=80)
        return f"data:image/jpeg;base64,{b64encode(file.getvalue()).decode('ascii')}"

    def _strip(self, latents: Tensor) -> Image.Image:
        chosen = np.linspace(0, latents.shape[2] - 1, min(_SHOWN, latents.shape[2])).round().astype(int)
        pictures = project(self.matrix, latents[:, :, torch.from_numpy(chosen)])
        strip = Image.fromarray(np.concatenate(list(pictures), axis=1))
        return strip.resize((strip.width * _HEIGHT // strip.height, _HEIGHT), Image.Resampling.BICUBIC)


def sketch_for(path: Path, picture: Frame, latent: Tensor) -> Sketch:
    """A sketch fitted to a job's ``picture``, (H, W, 3) uint8, and its ``latent``, (1, C, 1, h, w)."""
    shown = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1.0
    return Sketch(path, fit(latent, shown))
