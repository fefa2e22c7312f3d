"""Wan's two pipelines in small, saved as a hub's repositories are: the real classes, all layers narrow, random weights.

    python tests/tiny_pipelines.py FOLDER      FOLDER/i2v-a14b and FOLDER/ti2v-5b, half a megabyte to one each

Nothing is fetched: the tokenizer has a vocabulary of letters. Imports diffusers: import it in tests that have it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline, WanTransformer3DModel
from transformers import T5TokenizerFast, UMT5Config, UMT5EncoderModel

from framedaemon.repositories import adopt_folder
from tiny_vae import tiny_vae

TEXT_DIM = 16
_LATENTS = {"i2v-a14b": ("8x", 16, 36), "ti2v-5b": ("16x", 48, 48)}  # kind of VAE, channels out and in


def save_tiny_pipeline(kind: str, folder: Path, wide: int = 1) -> Path:
    """Build the pipeline ``kind``, ``i2v-a14b`` or ``ti2v-5b``, with the same weights each time, below ``folder``.

    wide: transformers so many times as wide as the tiniest. Returns where it lies.
    """
    path = folder / kind
    pipeline = tiny_pipeline(kind, wide)
    pipeline.save_pretrained(path)
    return path


def adopt_tiny_pipeline(kind: str, folder: Path, models: Path) -> Path:
    """The same, known in the models folder ``models`` as ``wan-tiny-<kind>``, as `framedaemon models add` does."""
    path = save_tiny_pipeline(kind, folder)
    models.mkdir(exist_ok=True)
    adopt_folder(models, f"wan-tiny-{kind}", "wan", path, lambda done, total: None)
    return path


def tiny_pipeline(kind: str, wide: int = 1) -> WanImageToVideoPipeline:
    """In memory, float32, on the CPU."""
    vae_kind, channels, given = _LATENTS[kind]
    both: dict[str, Any] = {"transformer": _transformer(channels, given, wide, seed=1)}
    if kind == "i2v-a14b":
        both |= {"transformer_2": _transformer(channels, given, wide, seed=2), "boundary_ratio": 0.9}
    else:
        both |= {"expand_timesteps": True}
    return WanImageToVideoPipeline(
        tokenizer=_tokenizer(),
        text_encoder=_text_encoder(),
        vae=tiny_vae(vae_kind),
        # as the converter of the published repositories wrote it
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
        ),
        **both,
    )


def _transformer(channels: int, given: int, wide: int, seed: int) -> WanTransformer3DModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = WanTransformer3DModel(
            num_attention_heads=2 * wide,
            attention_head_dim=12,
            in_channels=given,
            out_channels=channels,
            text_dim=TEXT_DIM,
            freq_dim=32,
            ffn_dim=32 * wide,
            num_layers=2,
        )
        with torch.no_grad():  # its last layer begins at zero, and would draw nothing
            torch.nn.init.normal_(transformer.proj_out.weight, std=0.2)
    return transformer.eval()


def _tokenizer() -> T5TokenizerFast:
    letters = [(letter, -2.0) for letter in "▁abcdefghijklmnopqrstuvwxyz,."]
    return T5TokenizerFast(vocab=[("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0), *letters], extra_ids=0)


def _text_encoder() -> UMT5EncoderModel:
    config = UMT5Config(
        vocab_size=32, d_model=TEXT_DIM, d_kv=8, d_ff=32, num_layers=2, num_heads=2, feed_forward_proj="gated-gelu"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return UMT5EncoderModel(config).eval()


if __name__ == "__main__":
    for name in _LATENTS:
        print(save_tiny_pipeline(name, Path(sys.argv[1])))
