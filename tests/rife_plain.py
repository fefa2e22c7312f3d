"""RIFE as it is published and commonly run: every step at full size, both frames looked at anew for each pair.

What the restructured network is held against, and what benchmarks measure as "plain". Weights by our names, unfolded;
`make_weights` makes some up, for every version, of which two have no weights that can be had everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from framedaemon_rife.network.versions import BODY, Version


def make_weights(version: Version) -> dict[str, Tensor]:
    """Made-up weights: they move things by some pixels, hide some of them, and stay far from infinity."""
    source = torch.Generator().manual_seed(4)
    made = {name: torch.randn(shape, generator=source) for name, shape in version.shapes().items()}
    for name, tensor in made.items():
        kind = name.rsplit(".", 1)[1]
        seen = tensor[0].numel() if kind == "weight" else 1
        gain, shift = {"weight": (0.6 / seen**0.5, 0), "bias": (0.05, 0), "beta": (0.5, 0), "slope": (0.1, 0.2)}[kind]
        made[name] = tensor * gain + shift
    return made


class PlainRife:
    """The frame between two, at full size throughout."""

    def __init__(self, version: Version, weights: Mapping[str, Tensor]) -> None:
        self.version = version
        self.weights = weights

    @torch.inference_mode()
    def __call__(self, x0: Tensor, x1: Tensor, time: float) -> Tensor:
        """x0, x1: (B, 3, H, W), 0..1, sides multiples of `Version.multiple`.  Returns the same shape."""
        version = self.version
        features0, features1 = self.find_features(x0), self.find_features(x1)
        clock = torch.full_like(x0[:, :1], time)
        seen = torch.cat([x0, x1, *features0, *features1, clock], 1)
        flow, mask, context = self.run_block(0, seen, None)
        for block in range(1, len(version.scales)):
            warped0, warped1 = warp(x0, flow[:, :2]), warp(x1, flow[:, 2:4])
            moved0 = [warp(features, flow[:, :2]) for features in features0]
            moved1 = [warp(features, flow[:, 2:4]) for features in features1]
            seen = torch.cat([warped0, warped1, *moved0, *moved1, clock, mask, context], 1)
            correction, said, context = self.run_block(block, seen, flow)
            flow = flow + correction
            mask = mask + said if version.mask_adds else said
        share = torch.sigmoid(mask)
        return warp(x0, flow[:, :2]) * share + warp(x1, flow[:, 2:4]) * (1 - share)

    def find_features(self, x: Tensor) -> list[Tensor]:
        if not self.version.features:
            return []
        for index, stride in enumerate((2, 1, 1)):
            x = F.leaky_relu(self.convolve(f"head.{index}", x, stride), 0.2)
        return [self.convolve_up("head.3", x)]

    def run_block(self, block: int, seen: Tensor, flow: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Flow (pixels), mask and context at full size."""
        version, name = self.version, f"blocks.{block}"
        scale = version.scales[block]
        seen = resize(seen, 1 / scale)
        if flow is not None:
            seen = torch.cat([seen, resize(flow, 1 / scale) / scale], 1)
        for index in range(2):
            seen = self.activate(f"{name}.down.{index}", self.convolve(f"{name}.down.{index}", seen, 2))
        body = seen
        for index in range(BODY):
            part = f"{name}.body.{index}"
            found = self.convolve(part, body)
            body = self.activate(part, found * self.weights[f"{part}.beta"] + body if version.residual else found)
        if not version.residual:
            body = body + seen
        answer = self.convolve_up(f"{name}.up", body)
        if version.shuffled:
            answer = F.pixel_shuffle(answer, 2)
        step = version.step(block)
        answer = resize(answer, step)
        return answer[:, :4] * step, answer[:, 4:5], answer[:, 5 : 5 + version.context]

    def activate(self, name: str, x: Tensor) -> Tensor:
        slope = self.weights.get(f"{name}.slope")
        return F.leaky_relu(x, 0.2) if slope is None else F.prelu(x, slope)

    def convolve(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        return F.conv2d(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], stride=stride, padding=1)

    def convolve_up(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.conv_transpose2d(x, weight, bias, stride=2, padding=1)


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """``image`` where ``flow`` points; image (B, C, H, W), flow (B, 2, H, W) in pixels."""
    height, width = image.shape[2:]
    across = torch.linspace(-1, 1, width, device=image.device).view(1, 1, width)
    down = torch.linspace(-1, 1, height, device=image.device).view(1, height, 1)
    places = torch.stack([across + flow[:, 0] * (2 / (width - 1)), down + flow[:, 1] * (2 / (height - 1))], -1)
    return F.grid_sample(image, places.to(image.dtype), mode="bilinear", padding_mode="border", align_corners=True)


def resize(x: Tensor, scale: float) -> Tensor:
    return x if scale == 1 else F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
