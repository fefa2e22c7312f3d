"""The prompt as numbers: UMT5's embeddings, once for each text, kept beside the weights for the next job."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import torch
from diffusers import WanImageToVideoPipeline
from torch import Tensor
from transformers import AutoTokenizer, UMT5EncoderModel

from framedaemon import DiskFull, StageFailed
from framedaemon.diffusion import Checkpoint, read_checkpoint, write_checkpoint
from framedaemon.networks import Device
from framedaemon_wan.placing import give_back, place

LENGTH = 512
"""Tokens of an embedded prompt; what is longer is cut, what is shorter is padded with zeros."""

_KEPT = 256  # texts, of at most 4 MiB each

Load = Callable[[], UMT5EncoderModel]


def embed(texts: tuple[str, ...], folder: Path, device: Device, kept: Path, key: str, streamed: bool) -> list[Tensor]:
    """Embeddings (1, LENGTH, D) of ``texts``, in the device's dtype, on the CPU.

    folder: of the pipeline.  kept: where embeddings wait for the next job; ``key`` names the encoder's weights.
    streamed: the encoder's layers come to the device one by one.
    """
    dtype = str(device.dtype).removeprefix("torch.")
    places = {text: kept / f"{sha256(text.encode()).hexdigest()[:32]}.safetensors" for text in texts}
    key = f"{key} {dtype}"
    found = {text: _read(place, f"{key} {text}") for text, place in places.items()}
    missing = [text for text in places if found[text] is None]
    if missing:
        for text, embedding in zip(missing, _embed(missing, folder, device, streamed), strict=True):
            found[text] = embedding
            _keep(places[text], f"{key} {text}", embedding)
    return [tensor.clone() for text in texts if (tensor := found[text]) is not None]  # two texts may be the same


def _embed(texts: list[str], folder: Path, device: Device, streamed: bool) -> list[Tensor]:
    encoder = UMT5EncoderModel.from_pretrained(
        folder, subfolder="text_encoder", dtype=device.dtype, local_files_only=True
    )
    _check(encoder)
    place(encoder, device, streamed=streamed)
    pipeline = WanImageToVideoPipeline(
        tokenizer=AutoTokenizer.from_pretrained(folder, subfolder="tokenizer", local_files_only=True),
        text_encoder=encoder,
        vae=None,
        scheduler=None,
    )
    with torch.no_grad():
        embedded = [
            pipeline.encode_prompt(
                text,
                do_classifier_free_guidance=False,
                max_sequence_length=LENGTH,
                device=device.torch_device,
                dtype=device.dtype,
            )[0].cpu()
            for text in texts
        ]
    del pipeline, encoder
    give_back()
    return embedded


def _check(encoder: UMT5EncoderModel) -> None:
    """Some releases of transformers load the embedding, which two names share, as zeros: every prompt is then alike.

    Raises StageFailed.
    """
    shared, used = encoder.shared.weight, encoder.encoder.embed_tokens.weight
    if shared.data_ptr() != used.data_ptr() or not bool(used[:1024].any()):
        raise StageFailed("this release of transformers loads the text encoder wrongly: pip install -U transformers")


def _read(path: Path, key: str) -> Tensor | None:
    kept = read_checkpoint(path, key)
    if kept is None:
        return None
    words = kept.tensors["words"]
    return torch.cat([words, words.new_zeros(1, LENGTH - words.shape[1], words.shape[2])], dim=1)


def _keep(path: Path, key: str, embedding: Tensor) -> None:
    """Write it down without its padding; where that cannot be, the next job embeds anew."""
    length = int(embedding[0].any(dim=1).nonzero().max()) + 1 if bool(embedding.any()) else 1
    try:
        path.parent.mkdir(exist_ok=True)
        old = sorted(path.parent.glob("*.safetensors"), key=lambda one: one.stat().st_mtime)
        for place in old[: max(0, len(old) - _KEPT + 1)]:
            place.unlink(missing_ok=True)
        write_checkpoint(path, key, Checkpoint({"words": embedding[:, :length]}))
    except (OSError, DiskFull):
        return
