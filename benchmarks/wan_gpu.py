"""Wan at its real shapes with random weights, on a GPU: what our stages cost beside plain diffusers.

    python benchmarks/wan_gpu.py [--kind ti2v-5b] [--size 1280x704] [--frames 121] [--steps 4] [--rounds 3]
    python benchmarks/wan_gpu.py --tiny --device cpu --size 96x64 --frames 9        does it run at all?

Four questions, each answered in one run: seconds of a denoise step in one call of diffusers' pipeline and in ours, the
same network in both, rounds taken in turns; seconds and peak of `vae.decode` and of ours, streamed; the peak with the
weights passed over layer by layer; and, where the VAE's whole frames do not fit beside ``--hold`` GiB that are taken,
whether a real want of memory comes as OutOfMemory and tiles then do it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel

from framedaemon import OutOfMemory
from framedaemon.networks import Device, memory_told
from framedaemon_wan import WanOptions
from framedaemon_wan.condition import Condition
from framedaemon_wan.denoise import Denoise, _prepared
from framedaemon_wan.options import completed
from framedaemon_wan.placing import place
from framedaemon_wan.vae.streaming import decode, to_frames
from framedaemon_wan.vae.tiles import TiledDecode
from tiny_pipelines import TEXT_DIM, tiny_pipeline

GIB = 2**30
TRANSFORMERS: dict[str, dict[str, Any]] = {
    "i2v-a14b": {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40, "in_channels": 36, "out_channels": 16},
    "ti2v-5b": {"num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30, "in_channels": 48, "out_channels": 48},
}
VAES: dict[str, dict[str, Any]] = {
    "i2v-a14b": {},
    "ti2v-5b": {
        "base_dim": 160,
        "decoder_base_dim": 256,
        "z_dim": 48,
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_spatial": 16,
        "latents_mean": [0.0] * 48,
        "latents_std": [1.0] * 48,
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kind", choices=list(TRANSFORMERS), default="ti2v-5b")
    parser.add_argument("--size", default="1280x704")
    parser.add_argument("--frames", type=int, default=121)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--hold", type=float, default=0.0, help="GiB held by somebody else while the VAE draws")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    bench = Bench(arguments)
    torch.set_grad_enabled(False)
    bench.steps()
    bench.decoding()
    if bench.device.torch_device.type == "cuda":
        bench.layer_by_layer()
        bench.want_of_memory(arguments.hold)


class Bench:
    """Networks of one kind, with random weights, and what is asked of them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        on = torch.device(arguments.device)
        self.device = Device(on, torch.bfloat16 if on.type == "cuda" else torch.float32)
        self.width, self.height = (int(side) for side in arguments.size.split("x"))
        self.folder = Path(tempfile.mkdtemp(prefix="wan-gpu-"))
        tiny = tiny_pipeline(arguments.kind)
        tiny.save_pretrained(self.folder)
        asked = {"steps": arguments.steps, "guidance": 1.0, "guidance_low": 1.0, "checkpoint_seconds": 3600.0}
        self.options: WanOptions = completed(self.folder, WanOptions.model_validate(asked))
        self.scale = self.options.facts.scale
        self.vae_config = dict(tiny.vae.config) if arguments.tiny else VAES[arguments.kind]
        shape = dict(tiny.transformer.config) if arguments.tiny else TRANSFORMERS[arguments.kind]
        self.transformer = self.random(lambda: WanTransformer3DModel(**_own(shape)))
        self.text_dim = TEXT_DIM if arguments.tiny else 4096
        self.channels = 16 if self.scale == 8 else 48

    def random(self, make: Callable[[], Any]) -> Any:
        """A network of random weights on the CPU, never held in float32 as a whole."""
        with torch.device("meta"):
            network = make()
        torch.nn.Module.to(network, self.device.dtype)
        network.to_empty(device="cpu").requires_grad_(False)
        generator = torch.Generator().manual_seed(1)
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.02, generator=generator)
        if hasattr(network, "rope"):
            network.rope = type(network.rope)(**_rope(network))
        return network.eval()

    def condition(self) -> Condition:
        shape = (
            1,
            self.channels,
            (self.arguments.frames - 1) // 4 + 1,
            self.height // self.scale,
            self.width // self.scale,
        )
        given = torch.randn(1, self.channels, 1, *shape[3:]) if self.scale == 16 else torch.randn(1, 20, *shape[2:])
        return Condition(torch.randn(shape), given)

    def steps(self) -> None:
        """Plain: one call of the pipeline with its own scheduler. Ours: the stage's denoise, the same network."""
        place(self.transformer, self.device)
        condition, embedded = self.condition(), [torch.randn(1, 512, self.text_dim, dtype=self.device.dtype)]
        seconds: dict[str, list[float]] = {"plain": [], "ours": []}
        for turn in range(self.arguments.rounds + 1):  # the first warms up
            for name, run in (("plain", self.plain), ("ours", self.ours)):
                taken = self.timed(lambda run=run: run(condition, embedded))
                if turn:
                    seconds[name].append(taken / self.arguments.steps)
        plain, ours = (statistics.median(taken) for taken in seconds.values())
        print(f"a step: plain {plain:.3f} s, ours {ours:.3f} s, ratio {ours / plain:.4f}", flush=True)
        self.transformer.to("cpu")

    def plain(self, condition: Condition, embedded: list[Any]) -> None:
        scheduler = UniPCMultistepScheduler.from_pretrained(self.folder, subfolder="scheduler", flow_shift=5.0)
        pipeline = _prepared(self.folder, self.transformer, scheduler, expand=self.scale == 16)
        pipeline.given = condition.noise, condition
        pipeline(
            image=torch.zeros(1, 3, 16, 16),
            prompt_embeds=embedded[0].to(self.device.torch_device),
            height=self.height,
            width=self.width,
            num_frames=self.arguments.frames,
            num_inference_steps=self.arguments.steps,
            guidance_scale=1.0,
            output_type="latent",
        )

    def ours(self, condition: Condition, embedded: list[Any]) -> None:
        load = lambda expert, start, stop: self.transformer  # noqa: E731
        denoise = Denoise(self.folder, self.options, self.device, load, lambda done: None, lambda latents: None)
        checkpoint = self.folder / "denoise.safetensors"
        checkpoint.unlink(missing_ok=True)
        denoise.run(condition, embedded, checkpoint, "key")

    def decoding(self) -> None:
        vae = self.random(lambda: AutoencoderKLWan(**_own(self.vae_config))).float()
        vae.to(self.device.torch_device)
        latents = torch.randn(self.condition().noise.shape).to(self.device.torch_device)

        def streamed() -> None:
            for pictures in decode(vae, latents):
                to_frames(pictures)

        for name, run in (("vae.decode", lambda: vae.decode(latents)), ("streamed", streamed)):
            with self.peak(name):
                run()

    def layer_by_layer(self) -> None:
        with self.peak("layer by layer"):
            place(self.transformer, self.device, streamed=True)
            self.ours(self.condition(), [torch.randn(1, 512, self.text_dim, dtype=self.device.dtype)])

    def want_of_memory(self, hold: float) -> None:
        vae = self.random(lambda: AutoencoderKLWan(**_own(self.vae_config))).float().to(self.device.torch_device)
        latents = torch.randn(self.condition().noise.shape).to(self.device.torch_device)
        held = torch.empty(int(hold * GIB), dtype=torch.uint8, device=self.device.torch_device)
        try:
            with memory_told(str(self.device.torch_device)):
                for pictures in decode(vae, latents):
                    to_frames(pictures)
            print("whole frames fit: hold more")
        except OutOfMemory as error:
            print(f"as it should be: {str(error)[:100]}")
        torch.cuda.empty_cache()
        vae.enable_tiling()
        with self.peak("then in tiles"):
            tiles = TiledDecode(vae, latents, self.folder, "key")
            for _ in tiles.draw():
                pass
            print(sum(1 for _ in tiles.frames()), "frames")
        del held

    def timed(self, run: Callable[[], None]) -> float:
        self.wait()
        started = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - started

    @contextmanager
    def peak(self, name: str) -> Iterator[None]:
        on_gpu = self.device.torch_device.type == "cuda"
        if on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        started = time.perf_counter()
        yield
        self.wait()
        peak = torch.cuda.max_memory_allocated() / GIB if on_gpu else 0.0
        print(f"{name}: {time.perf_counter() - started:.1f} s, {peak:.1f} GiB at most", flush=True)

    def wait(self) -> None:
        if self.device.torch_device.type == "cuda":
            torch.cuda.synchronize()


def _own(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if not key.startswith("_")}


def _rope(network: Any) -> dict[str, Any]:
    """Its tables are computed when it is made, and are not there on the meta device."""
    config = network.config
    return {
        "attention_head_dim": config.attention_head_dim,
        "patch_size": config.patch_size,
        "max_seq_len": config.rope_max_seq_len,
    }


if __name__ == "__main__":
    main()
