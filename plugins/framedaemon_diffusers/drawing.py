"""One call of a pipeline: what a recipe says by the names that the call has for it, and frames out of what it gives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import diffusers
import numpy as np
import torch
from torch import Tensor

from framedaemon import ClipSpec, Frame, Picture, Placement, Scratch, StageFailed
from framedaemon.networks import Device, memory_told
from framedaemon_diffusers.facts import FRAMES, RATES
from framedaemon_diffusers.geometry import cut
from framedaemon_diffusers.loading import open_pipeline
from framedaemon_diffusers.options import DiffusersOptions, passed_over
from framedaemon_diffusers.resuming import Denoise, why_whole
from framedaemon_diffusers.signature import Signature, signature_of
from framedaemon_diffusers.table import row_of


def draw(
    folder: Path,
    options: DiffusersOptions,
    device: Device,
    placement: Placement,
    picture: Picture,
    gives: ClipSpec,
    scratch: Scratch,
) -> list[Frame]:
    """The clip ``gives``, all of it: generic pipelines do not give frames one by one.

    The networks are gone when it returns. Raises OutOfMemory, and StageFailed where the pipeline gave something else.
    """
    # As pipelines are used everywhere, whatever the caller's thread does: what is made in inference mode stays apart.
    with torch.inference_mode(False), torch.no_grad(), memory_told(placement.device):
        scratch.progress("read the networks", 0.0)
        pipeline = open_pipeline(folder, options.facts, device, placement, scratch.note)
        try:
            frames = _call(pipeline, options, picture, gives, scratch)
        finally:
            pipeline.remove_all_hooks()
            del pipeline
            if not device.on_cpu:
                getattr(torch, device.torch_device.type).empty_cache()  # torch.accelerator knows this from 2.9 on
    _check(frames, options, gives)
    return frames


def _call(pipeline: Any, options: DiffusersOptions, picture: Picture, gives: ClipSpec, scratch: Scratch) -> list[Frame]:
    signature = signature_of(type(pipeline))
    seed = options.seed if options.seed is not None else _crc(picture)
    generator = torch.Generator("cpu").manual_seed(seed)  # the same numbers, whatever the device
    said = {"pipeline": options.facts.pipeline, **passed_over(options), **_rounded(options, gives)}
    whole = why_whole(pipeline, signature)
    keywords = arguments(signature, options, gives)
    start = 0
    if whole:
        said["resumes"] = f"not in the middle of the denoise: {whole}"
    else:
        key = _key(options, picture, gives, seed)
        denoise = Denoise(pipeline, generator, scratch.folder, key, options.checkpoint_seconds, halting=scratch.halting)
        start = denoise.start
        keywords |= {"callback_on_step_end": denoise.after_step, "callback_on_step_end_tensor_inputs": ["latents"]}
        if denoise.done:
            said["went_on_after_step"] = str(denoise.done)
    for name, words in said.items():
        scratch.note(name, words)
    pipeline.progress_bar = lambda iterable=None, total=None: _Bar(iterable, total, start, scratch)
    processor = getattr(pipeline, "video_processor", None)
    if processor is not None:
        processor.postprocess_video = _rounding(processor)
    given = pipeline(image=cut(picture, gives.width, gives.height), generator=generator, **keywords)
    frames = given.frames[0]
    return frames if isinstance(frames, list) else [_levels(torch.as_tensor(frame)) for frame in frames]


def arguments(signature: Signature, options: DiffusersOptions, gives: ClipSpec) -> dict[str, Any]:
    """What the call is given beside picture and random numbers, by its own names."""
    facts = options.facts
    rate = float(gives.fps) if gives.fps.denominator != 1 else int(gives.fps)
    given: dict[str, Any] = {
        "width": gives.width,
        "height": gives.height,
        signature.first(*FRAMES) or "": gives.frames + facts.dropped,
        signature.first(*RATES) or "": rate,
        "num_inference_steps": options.steps,
        facts.guidance or "": options.guidance,
        "prompt": options.prompt,
        "negative_prompt": options.negative_prompt or None,
        "output_type": "np",
        **row_of(facts.pipeline).always,
    }
    if facts.guidance == "true_cfg_scale" and (options.guidance or 0) > 1:
        given["negative_prompt"] = options.negative_prompt  # without one, even an empty one, it guides by nothing
    return {name: value for name, value in given.items() if name in signature and value is not None}


class _Bar:
    """Stands for the progress bar of a pipeline, and tells the daemon."""

    def __init__(self, iterable: Any, total: int | None, start: int, scratch: Scratch) -> None:
        self._iterable, self._scratch = iterable, scratch
        self._total = total if total is not None else len(iterable)
        self._done = start

    def __enter__(self) -> _Bar:
        self._tell()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        for one in self._iterable:
            yield one
            self.update()

    def update(self, steps: int = 1) -> None:
        """``steps`` more are done."""
        self._done += steps
        self._tell()

    def _tell(self) -> None:
        if self._done >= self._total:
            self._scratch.progress("decode", 1.0)
        else:
            self._scratch.progress(f"denoise, {self._done} of {self._total} steps", self._done / self._total)


def _rounding(processor: Any) -> Callable[..., list[list[Frame]]]:
    """In place of the pipeline's own: frames as whole numbers one by one, not the clip three times in float32."""
    spread = bool(getattr(processor.config, "do_normalize", True))

    def rounding(video: Tensor, output_type: str = "np", **keywords: Any) -> list[list[Frame]]:
        return [
            [_levels((one * 0.5 + 0.5 if spread else one).movedim(0, -1)) for one in clip.unbind(1)] for clip in video
        ]

    return rounding


def _levels(frame: Tensor) -> Frame:
    """frame: (H, W, 3), 0..1 and clipped to that. Raises StageFailed for what is no number."""
    if bool(frame.isnan().any()):
        raise StageFailed(
            "the pipeline drew what is no number: its weights are spoilt, or its number format too narrow"
        )
    return np.ascontiguousarray(frame.clamp(0, 1).float().mul(255).round().to(torch.uint8).cpu().numpy())


def _check(frames: list[Frame], options: DiffusersOptions, gives: ClipSpec) -> None:
    size = frames[0].shape if frames else ()
    if len(frames) != gives.frames or size != gives.shape:
        drew = f"{len(frames)} frames" + (f" of {size[1]}x{size[0]}" if frames else "")
        raise StageFailed(f"{options.facts.pipeline} drew {drew} where it was asked for {gives.describe()}")


def _rounded(options: DiffusersOptions, gives: ClipSpec) -> dict[str, str]:
    told = {}
    for name in ("frames", "width", "height"):
        asked, given = getattr(options, name), getattr(gives, name)
        if asked not in (None, given):
            told[name] = f"{asked} asked for, {given} is the nearest that can be drawn"
    return told


def _crc(picture: Picture) -> int:
    import zlib

    return zlib.crc32(np.ascontiguousarray(picture.pixels).data)


def _key(options: DiffusersOptions, picture: Picture, gives: ClipSpec, seed: int) -> str:
    """Of all that latents depend on. Not of the placement: a smaller one goes on with what a larger one left."""
    told = {
        "options": options.model_dump(mode="json", exclude={"seed", "force", "checkpoint_seconds", "weights"}),
        "weights": options.facts.digest,
        "clip": gives.describe(),
        "seed": seed,
        "picture": hashlib.sha256(np.ascontiguousarray(picture.pixels).data).hexdigest(),
        "versions": [diffusers.__version__, torch.__version__],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
