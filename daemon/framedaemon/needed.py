"""Which files of a diffusers repository are needed to load it: each network once, no pickle, no picture, no code.

People publish the same weights several times over: whole and in shards, as safetensors and as pickles, in two
precisions, and once more as the original's single file. Pure: paths in, paths out.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

INDEX = "model_index.json"
"""Names the networks of a pipeline, each with its class: what makes a folder a diffusers repository."""

# Beside each other in the repositories of pipelines; a tokenizer's `spiece.model`, `vocab.json`, `merges.txt` are kept.
_PICKLES = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl"})
_OTHERS = frozenset(
    {".msgpack", ".h5", ".onnx", ".onnx_data", ".pb", ".ot", ".gguf", ".md", ".png", ".jpg", ".jpeg", ".gif", ".webp",
     ".mp4", ".py"}
)  # fmt: skip
_SHARD = r"-\d{5}-of-\d{5}"
_TENSORS = re.compile(
    rf"(?P<base>[^.]+?)(?P<early>{_SHARD})?(?:\.(?P<variant>[\w-]+?))?(?P<late>{_SHARD})?\.safetensors"
)
_TENSORS_INDEX = re.compile(r"(?P<base>[^.]+)\.safetensors\.index(?:\.(?P<variant>[\w-]+))?\.json")
_BEST_VARIANTS = ("bf16", "fp16")


def needed_files(paths: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Of a repository's ``paths``, those that match one of ``patterns`` and are needed to load it, sorted.

    Raises ValueError, in a sentence, where one of its networks is published as a pickle only.
    """
    wanted = sorted(path for path in paths if _shown(path) and any(fnmatchcase(path, p) for p in patterns))
    kept = [path for path in wanted if _suffix(path) not in _PICKLES | _OTHERS and ".bin.index" not in path]
    kept = _once(kept)
    loadable = {_folder(path) for path in kept if path.endswith(".safetensors")}
    pickles = [path for path in wanted if _suffix(path) in _PICKLES and _folder(path) not in loadable]
    if pickles:
        raise ValueError(
            f"{pickles[0]} is a pickle, which may run anything, and there is no safetensors file of the same beside it"
        )
    return kept


def patterns_of(index: str) -> tuple[str, ...]:
    """What a `model_index.json` with this text needs: itself, and the folder of each network that it names.

    Raises ValueError, in a sentence.
    """
    try:
        named = json.loads(index)
    except ValueError as error:
        raise ValueError(f"its {INDEX} cannot be read: {error}") from error
    networks = [key for key, value in named.items() if _is_network(key, value)] if isinstance(named, dict) else []
    if not networks:
        raise ValueError(f"its {INDEX} names no network")
    return (INDEX, *(f"{network}/*" for network in networks))


def _is_network(key: str, value: object) -> bool:
    """Whether it is a folder: ``"vae": ["diffusers", "AutoencoderKLWan"]``; one that was left out has nulls."""
    return re.fullmatch(r"[A-Za-z]\w*", key) is not None and isinstance(value, list) and any(value)


def _once(paths: Collection[str]) -> list[str]:
    """Each network in one precision, and either in shards or whole."""
    variants: dict[tuple[str, str], set[str]] = defaultdict(set)
    sharded: set[tuple[str, str, str]] = set()
    for path in paths:
        if (tensors := _tensors(path)) is not None:
            folder, base, variant, shard = tensors
            variants[folder, base].add(variant)
            if shard:
                sharded.add((folder, base, variant))
    kept = []
    for path in paths:
        tensors = _tensors(path)
        if tensors is not None:
            folder, base, variant, shard = tensors
            twice = not shard and path.endswith(".safetensors") and (folder, base, variant) in sharded
            if twice or variant != _best(variants[folder, base]):
                continue
        kept.append(path)
    return kept


def _best(variants: Collection[str]) -> str:
    """The one that is loaded when nothing is said, else the one with the widest range of numbers."""
    return next((variant for variant in ("", *_BEST_VARIANTS) if variant in variants), min(variants))


def _tensors(path: str) -> tuple[str, str, str, bool] | None:
    """Folder, name, precision ('' for none said) of a file of tensors or of their index, and whether it is a shard."""
    name = PurePosixPath(path).name
    if (found := _TENSORS.fullmatch(name)) is not None:
        return _folder(path), found["base"], found["variant"] or "", bool(found["early"] or found["late"])
    if (found := _TENSORS_INDEX.fullmatch(name)) is not None:
        return _folder(path), found["base"], found["variant"] or "", False
    return None


def _shown(path: str) -> bool:
    """A relative path that leads nowhere else, with nothing hidden in it."""
    parts = path.split("/")
    return "\\" not in path and "\0" not in path and not any(part == "" or part.startswith(".") for part in parts)


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()
