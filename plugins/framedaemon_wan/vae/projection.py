"""What latents roughly show, without the VAE: a linear map from a latent pixel's channels to a colour.

    the picture, averaged to the latents' size ─┐
                                                ├─▶ least squares ─▶ (C + 1, 3) ─▶ small pictures of any latents
    its own latent frame ───────────────────────┘

The condition of a job holds such a pair, so the map is fitted to the job's own colours and needs nobody's constants. It
knows the latents of a first frame, which stands for one picture; further ones stand for four and look smeared.

Imports torch: import it only where the stage is loaded.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Of the largest variance among the channels. A plain picture says nothing of most channels: left alone, rounding would
# give them weights that show as noise as soon as another frame uses them.
_RIDGE = 1e-4


def fit(latent: Tensor, picture: Tensor) -> Tensor:
    """The map (C + 1, 3) float32 that gives ``picture`` for ``latent`` with the least squared error.

    latent: (1, C, 1, h, w), the first frame's, normalised as the denoiser has them.
    picture: (1, 3, H, W), -1..1, H and W multiples of h and w.
    """
    assert latent.ndim == 5 and latent.shape[2] == 1 and picture.shape[-2] % latent.shape[-2] == 0
    sides = picture.shape[-2] // latent.shape[-2], picture.shape[-1] // latent.shape[-1]
    with torch.no_grad():
        wanted = torch.nn.functional.avg_pool2d(picture.float().cpu(), sides)[0].flatten(1).T.double()
        known = latent.float().cpu()[0, :, 0].flatten(1).T.double()
        mean, colour = known.mean(dim=0), wanted.mean(dim=0)
        spread = (known - mean).T @ (known - mean)
        spread += torch.eye(len(spread)) * (_RIDGE * spread.diagonal().max() + torch.finfo(torch.float32).tiny)
        weights = torch.linalg.solve(spread, (known - mean).T @ (wanted - colour))
        return torch.cat([weights, (colour - mean @ weights)[None]]).float()


def project(matrix: Tensor, latents: Tensor) -> NDArray[np.uint8]:
    """One small picture for each latent frame, (T, h, w, 3) uint8.

    matrix: (C + 1, 3), as fitted.  latents: (1, C, T, h, w), normalised as those that it was fitted to.
    """
    with torch.no_grad():
        shown = latents.float().cpu()[0].permute(1, 2, 3, 0) @ matrix[:-1] + matrix[-1]
        levels = (shown.nan_to_num() * 0.5 + 0.5).clamp(0.0, 1.0).mul(255.0).round()
        pictures: NDArray[np.uint8] = levels.to(torch.uint8).numpy()
        return pictures
