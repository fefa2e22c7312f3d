"""Peak memory of a clip by Wan: flat in its frames, and one network at a time.

    python benchmarks/wan_memory.py [--frames 25 81 161] [--size 512x320] [--tile 0]
    python benchmarks/wan_memory.py --split [--wide 96]

Each row is a process of its own, tiny networks of the real classes on the CPU. First the clip is denoised; then, in
the process that is measured, its latents are decoded, filled in by flow to twice the frames and encoded, as in a job
that goes on after a kill. With ``--split`` the experts are ``--wide`` times wider, hundreds of megabytes each: stages
one after the other, each with its own alone, against one call of diffusers' pipeline; latents and frames are compared.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jobs import MIB, draw_picture, high_water

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from framedaemon import Picture, pipeline
from framedaemon.memory import this_machine
from framedaemon.opening import Limits, open_source
from framedaemon.plan import Plan, make_plan
from framedaemon.plugins import Registry, load_plugins
from framedaemon.recipe import InterpolateChoice, Recipe, StageChoice

STEPS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[25, 81, 161])
    parser.add_argument("--size", default="512x320")
    parser.add_argument("--tile", type=int, default=0, help="side of the VAE's tiles; 0: whole frames")
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--wide", type=int, default=96)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way is not None:
        WAYS[arguments.way](arguments)
        return
    with tempfile.TemporaryDirectory(prefix="wan-memory-") as folder:
        root = Path(folder)
        if arguments.split:
            compare(root, arguments)
        else:
            grow(root, arguments)


def grow(root: Path, arguments: argparse.Namespace) -> None:
    adopt(root, wide=1)
    peaks = []
    for frames in arguments.frames:
        say = ["--frames", str(frames), "--size", arguments.size, "--tile", str(arguments.tile)]
        run("denoise", root / str(frames), say)
        peaks.append(float(run("rest", root / str(frames), say)[0]))
        print(f"{frames:4} frames: {peaks[-1]:6.0f} MiB", flush=True)
    print(f"last / first: {peaks[-1] / peaks[0]:.3f}")


def compare(root: Path, arguments: argparse.Namespace) -> None:
    folder = adopt(root, wide=arguments.wide)
    weights = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    print(f"weights: {weights / MIB:.0f} MiB")
    say = ["--frames", "9", "--size", "96x64", "--wide", str(arguments.wide)]
    ways = {way: run(way, root / way, say) for way in ("stages", "call")}
    for way, (peak, *_) in ways.items():
        print(f"{way:8} {float(peak):6.0f} MiB")
    same = [one == other for one, other in zip(ways["stages"][1:], ways["call"][1:], strict=True)]
    print(f"the same latents: {same[0]}, the same frames: {same[1]}")


def adopt(root: Path, wide: int) -> Path:
    """A tiny pipeline in ``root``, known as wan-tiny."""
    from framedaemon.repositories import adopt_folder
    from tiny_pipelines import save_tiny_pipeline

    (root / "models").mkdir()
    folder = save_tiny_pipeline("i2v-a14b", root, wide)
    adopt_folder(root / "models", "wan-tiny", "wan", folder, lambda done, total: None)
    draw_picture(root / "sea.png", 512, 320)
    return folder


def run(way: str, folder: Path, say: list[str]) -> list[str]:
    """What a process of its own says: its peak in MiB, and digests."""
    folder.mkdir(exist_ok=True)
    said = subprocess.run(command_for(way, folder, say), env=environment(), check=True, capture_output=True, text=True)
    return said.stdout.split()


def command_for(way: str, folder: Path, say: list[str]) -> list[str]:
    return [sys.executable, str(Path(__file__)), "--way", way, "--folder", str(folder), *say]


def environment() -> dict[str, str]:
    """As a worker has it."""
    worker = {"MALLOC_MMAP_THRESHOLD_": "1048576", "MALLOC_ARENA_MAX": "2", "OMP_WAIT_POLICY": "passive"}
    return {**os.environ, **worker, "HF_HUB_OFFLINE": "1"}


# --- what a process does


def plan_of(arguments: argparse.Namespace) -> tuple[Plan, Registry]:
    root, registry = arguments.folder.parent, load_plugins(None)
    width, height = (int(side) for side in arguments.size.split("x"))
    options = {"weights": "wan-tiny", "prompt": "a wave", "seed": 5, "frames": arguments.frames[0], "steps": STEPS}
    options |= {"width": width, "height": height, "guidance": 1.0, "guidance_low": 1.0, "force": True}
    options |= {"checkpoint_seconds": 0} if arguments.way == "job" else {"single_pass": True}
    recipe = Recipe(generate=StageChoice(use="wan", options=options), interpolate=InterpolateChoice(use="flow"))
    here = replace(this_machine("cpu", 1), models=root / "models")
    plan = make_plan(open_source(root / "sea.png", "sea.png", Limits()), recipe, registry, here, seed=1)
    placement = replace(plan.generate.placement, tile=arguments.tile or None)
    return replace(plan, generate=replace(plan.generate, placement=placement)), registry


def denoise(arguments: argparse.Namespace) -> None:
    """Up to the first frame: the latents are then on disk."""
    plan, registry = plan_of(arguments)
    draw = drawing(plan, registry, arguments.folder / "generate")
    next(draw)


def rest(arguments: argparse.Namespace) -> None:
    plan, registry = plan_of(arguments)
    pipeline.run(plan, arguments.folder, registry, "{}", lambda *told: None)
    print(high_water(os.getpid()) / MIB)


def job(arguments: argparse.Namespace) -> None:
    """All of it, in segments."""
    plan, registry = plan_of(arguments)
    pipeline.run(plan, arguments.folder, registry, "{}", lambda *told: None)


def drawing(plan: Plan, registry: Registry, scratch: Path) -> Any:
    from framedaemon import Scratch

    scratch.mkdir(exist_ok=True)
    stage = registry.stage("generate", "wan")
    with stage.load(plan.generate.placement, plan.generate.options) as generate:
        yield from generate(plan.source, Scratch(scratch))


def stages(arguments: argparse.Namespace) -> None:
    from safetensors.torch import load_file

    plan, registry = plan_of(arguments)
    frames = list(drawing(plan, registry, arguments.folder / "generate"))
    peak = high_water(os.getpid()) / MIB
    latents = load_file(arguments.folder / "generate" / "00-latents.safetensors")["latents"]
    print(peak, digest(latents.numpy()), digest(np.stack(frames)))


def call(arguments: argparse.Namespace) -> None:
    import torch
    from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline
    from PIL import Image

    from framedaemon_wan.geometry import fitted

    plan, _ = plan_of(arguments)
    source, options = plan.source, plan.generate.options
    assert isinstance(source, Picture)
    torch.set_num_threads(1)
    folder = arguments.folder.parent / "i2v-a14b"
    whole = WanImageToVideoPipeline.from_pretrained(folder, local_files_only=True)
    whole.scheduler = UniPCMultistepScheduler.from_pretrained(folder, subfolder="scheduler", flow_shift=5.0)
    whole.set_progress_bar_config(disable=True)
    given = {
        "image": Image.fromarray(fitted(source, plan.drawn.width, plan.drawn.height, "crop")),
        "prompt": options.prompt,
        "width": plan.drawn.width,
        "height": plan.drawn.height,
        "num_frames": plan.drawn.frames,
        "num_inference_steps": STEPS,
        "guidance_scale": 1.0,
        "guidance_scale_2": 1.0,
    }
    video = whole(**given, generator=torch.Generator().manual_seed(5), output_type="np").frames[0]
    peak = high_water(os.getpid()) / MIB
    latents = whole(**given, generator=torch.Generator().manual_seed(5), output_type="latent").frames
    print(peak, digest(latents.numpy()), digest(np.rint(video * 255).astype(np.uint8)))


def digest(numbers: Any) -> str:
    return sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()


WAYS = {"denoise": denoise, "rest": rest, "stages": stages, "call": call, "job": job}

if __name__ == "__main__":
    main()
