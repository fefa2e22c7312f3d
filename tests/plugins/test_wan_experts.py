"""An expert made ready: LoRA, attention, caches, float8; and the text before it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from safetensors.torch import save_file  # noqa: E402

from framedaemon import JobRejected, Placement, StageFailed  # noqa: E402
from framedaemon.adding import add  # noqa: E402
from framedaemon.catalogue import Catalogue  # noqa: E402
from framedaemon.networks import Device  # noqa: E402
from framedaemon.plugins import load_plugins  # noqa: E402
from framedaemon_wan import Wan, WanOptions  # noqa: E402
from framedaemon_wan.experts import load_expert  # noqa: E402
from framedaemon_wan.text import LENGTH, embed  # noqa: E402
from tiny_pipelines import TEXT_DIM, save_tiny_pipeline  # noqa: E402

CPU = Device(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    gc.freeze()
    yield save_tiny_pipeline("i2v-a14b", tmp_path_factory.mktemp("tiny"))
    gc.unfreeze()


def options(folder: Path, **asked: Any) -> WanOptions:
    return Wan().completed(folder, WanOptions.model_validate({"steps": 4, **asked}))


def expert(
    folder: Path, name: str = "high", placement: Placement | None = None, device: Device = CPU, **asked: Any
) -> tuple[Any, dict[str, Any]]:
    """The network, and what was noted."""
    notes: dict[str, Any] = {}
    placement = placement or Placement(threads=1)
    network = load_expert(name, 0, 4, folder, options(folder, **asked), placement, device, notes.__setitem__)  # type: ignore[arg-type]
    return network, notes


def answer(network: Any, timestep: float = 500.0) -> Any:
    """What the network says of some noise."""
    noise = torch.randn(1, 36, 2, 8, 8, generator=torch.Generator().manual_seed(1)).to(network.dtype)
    text = torch.randn(1, 7, TEXT_DIM, generator=torch.Generator().manual_seed(2)).to(network.dtype)
    with torch.no_grad(), network.cache_context("cond"):
        return network(noise, torch.tensor([timestep]), text, return_dict=False)[0]


# --- LoRA


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder with a LoRA that was taken in as a person's own."""
    generator = torch.Generator().manual_seed(4)
    lora = {
        f"transformer.blocks.{block}.attn1.to_q.lora_{side}.weight": torch.randn(*shape, generator=generator)
        for block in range(2)
        for side, shape in (("A", (4, 24)), ("B", (24, 4)))
    }
    save_file(lora, tmp_path / "Style.safetensors")
    catalogue = Catalogue(load_plugins(None), tmp_path / "models", keep_free_bytes=0)
    add(catalogue, tmp_path / "Style.safetensors", "wan", "style", [].append, lambda done, total: None)
    return tmp_path / "models"


def test_a_lora_is_fused_into_the_expert_that_it_is_for(pipeline: Path, models: Path) -> None:
    here, lora = Placement(threads=1, models=models), {"weights": "wan-style", "expert": "high"}

    plain, _ = expert(pipeline)
    high, _ = expert(pipeline, "high", here, loras=[lora])
    low, _ = expert(pipeline, "low", here, loras=[lora])
    twice, _ = expert(pipeline, "high", here, loras=[lora | {"scale": 2.0}])

    weight = "blocks.0.attn1.to_q.weight"
    once = high.state_dict()[weight] - plain.state_dict()[weight]
    tensors = {name: tensor for name, tensor in _stored(models).items() if "blocks.0" in name}
    a, b = (next(tensor for name, tensor in tensors.items() if f"lora_{side}" in name) for side in "AB")
    assert torch.allclose(once, b @ a, atol=1e-5)
    assert torch.allclose(twice.state_dict()[weight] - plain.state_dict()[weight], 2 * once, atol=1e-4)
    assert torch.equal(low.state_dict()[weight], expert(pipeline, "low")[0].state_dict()[weight])
    assert set(high.state_dict()) == set(plain.state_dict())


def test_loras_add_up_each_by_its_own_scale(pipeline: Path, models: Path) -> None:
    here, weight = Placement(threads=1, models=models), "blocks.0.attn1.to_q.weight"
    lora = {"weights": "wan-style", "scale": 0.5}

    plain, _ = expert(pipeline)
    once, _ = expert(pipeline, placement=here, loras=[lora])
    both, _ = expert(pipeline, placement=here, loras=[lora, lora | {"scale": 0.25}])

    half = once.state_dict()[weight] - plain.state_dict()[weight]
    assert torch.allclose(both.state_dict()[weight] - plain.state_dict()[weight], 1.5 * half, atol=1e-4)


def test_a_lora_of_another_model_is_refused_by_name(pipeline: Path, models: Path, tmp_path: Path) -> None:
    save_file({"transformer.blocks.0.attn1.to_q.lora_A.weight": torch.ones(4, 99)}, tmp_path / "other.safetensors")
    catalogue = Catalogue(load_plugins(None), models, keep_free_bytes=0)
    add(catalogue, tmp_path / "other.safetensors", "wan", "other", [].append, lambda done, total: None)

    with pytest.raises(JobRejected, match="loras: wan-other does not fit this model"):
        expert(pipeline, "high", Placement(threads=1, models=models), loras=[{"weights": "wan-other"}])


def test_a_model_is_no_lora(tmp_path: Path) -> None:
    save_file({"blocks.0.attn1.to_q.weight": torch.ones(4, 4)}, tmp_path / "model.safetensors")

    with pytest.raises(ValueError, match="holds no LoRA"):
        Wan().read_weights(tmp_path / "model.safetensors")


# --- faster


def test_the_distilled_timesteps_are_those_that_the_loras_were_trained_at(pipeline: Path) -> None:
    scheduler = diffusers.UniPCMultistepScheduler.from_pretrained(pipeline, subfolder="scheduler", flow_shift=5.0)

    scheduler.set_timesteps(4)

    assert [int(timestep) for timestep in scheduler.timesteps] == [999, 937, 833, 625]


def test_an_attention_backend_is_taken_where_it_is_there_and_said(pipeline: Path) -> None:
    network, notes = expert(pipeline)
    math, noted = expert(pipeline, attention="_native_math")

    assert (notes["attention"], noted["attention"]) == ("native", "_native_math")
    assert torch.allclose(answer(network), answer(math), atol=1e-5)


def test_an_attention_backend_that_is_not_there_is_refused_by_name(pipeline: Path) -> None:
    with pytest.raises(JobRejected, match="attention: sage is not to be had here"):
        expert(pipeline, attention="sage")


def test_attention_is_torchs_own_choice_where_no_other_kernels_are_made_for_the_device(pipeline: Path) -> None:
    elsewhere = Device(torch.device("meta"), torch.bfloat16)

    _, notes = expert(pipeline, device=elsewhere)

    assert notes["attention"] == "native"


@pytest.mark.parametrize("asked", [{"step_cache": "first_block", "step_cache_threshold": 1.0}])
def test_a_step_cache_leaves_out_what_is_alike(pipeline: Path, asked: dict[str, Any]) -> None:
    plain, cached = expert(pipeline)[0], expert(pipeline, **asked)[0]
    calls: list[int] = []
    cached.blocks[1].attn1.register_forward_hook(lambda *_: calls.append(1))

    first, second = answer(cached, 500.0), answer(cached, 499.0)

    assert torch.allclose(first, answer(plain, 500.0), atol=1e-6)
    assert len(calls) == 1
    assert second.shape == first.shape


def test_mag_cache_leaves_out_steps_by_the_ratios_that_it_is_given(pipeline: Path) -> None:
    cached = expert(pipeline, step_cache="mag", mag_ratios=[1.0, 1.0, 1.0, 1.0])[0]
    calls: list[int] = []
    cached.blocks[1].attn1.register_forward_hook(lambda *_: calls.append(1))

    answers = [answer(cached, timestep) for timestep in (900.0, 700.0, 500.0, 300.0)]

    assert len(answers) == 4
    assert 0 < len(calls) < 4


def test_a_step_cache_stays_where_layers_come_one_by_one(pipeline: Path) -> None:
    """diffusers removes hooks of a block after its first step, and cuts off those that were registered later."""
    elsewhere, streamed = Device(torch.device("mps"), torch.bfloat16), Placement(threads=1, offload="group")

    cached, _ = expert(pipeline, "high", streamed, elsewhere, step_cache="mag", mag_ratios=[1.0] * 4)

    hooks = list(cached.blocks[1]._diffusers_hook.hooks)
    assert hooks.index("mag_cache_block_hook") < hooks.index("group_offloading")


# --- smaller


def test_float8_keeps_half_the_bytes_and_nearly_the_answer(pipeline: Path) -> None:
    device = Device(torch.device("cpu"), torch.bfloat16)
    wide, _ = expert(pipeline, device=device)
    narrow, _ = expert(pipeline, placement=Placement(threads=1, storage="float8"), device=device)

    kept = {name: tensor.dtype for name, tensor in narrow.state_dict().items()}
    assert kept["blocks.0.attn1.to_q.weight"] == torch.float8_e4m3fn
    assert {kept["blocks.0.norm2.weight"], kept["proj_out.weight"]} == {torch.float32, torch.bfloat16}
    one, other = answer(wide).float(), answer(narrow).float()
    assert torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.98


# --- text


def test_a_text_is_embedded_once_for_all_jobs(pipeline: Path, tmp_path: Path) -> None:
    [first] = embed(("a wave",), pipeline, CPU, tmp_path / "kept", "k", False)

    [again] = embed(("a wave",), tmp_path / "gone", CPU, tmp_path / "kept", "k", False)

    assert first.shape == (1, LENGTH, TEXT_DIM)
    assert torch.equal(again, first)
    assert sum(path.stat().st_size for path in (tmp_path / "kept").iterdir()) < 4000


def test_another_encoder_or_text_is_embedded_anew(pipeline: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    first = embed(("a wave",), pipeline, CPU, kept, "k", False)[0]

    other = embed(("a stone", "a wave"), pipeline, CPU, kept, "k", False)

    assert not torch.equal(other[0], first)
    assert torch.equal(other[1], first)
    with pytest.raises(OSError, match="gone"):
        embed(("a wave",), tmp_path / "gone", CPU, kept, "another", False)


def test_two_equal_texts_are_embedded_once_and_can_be_written_side_by_side(pipeline: Path, tmp_path: Path) -> None:
    prompt, negative = embed(("", ""), pipeline, CPU, tmp_path / "kept", "k", False)

    save_file({"prompt": prompt, "negative": negative}, tmp_path / "text.safetensors")  # refuses shared memory
    assert torch.equal(prompt, negative)
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_a_folder_that_takes_no_embeddings_is_done_without(pipeline: Path) -> None:
    nobody_writes_there = Path("/proc/self")

    [embedding] = embed(("a wave",), pipeline, CPU, nobody_writes_there, "k", False)

    assert embedding.shape == (1, LENGTH, TEXT_DIM)


def test_an_embedding_of_zeros_is_noticed(pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import UMT5EncoderModel

    load = UMT5EncoderModel.from_pretrained

    def wrongly(*args: Any, **keywords: Any) -> Any:
        encoder = load(*args, **keywords)
        encoder.encoder.embed_tokens = torch.nn.Embedding(32, TEXT_DIM)
        return encoder

    monkeypatch.setattr(UMT5EncoderModel, "from_pretrained", wrongly)

    with pytest.raises(StageFailed, match="loads the text encoder wrongly"):
        embed(("a wave",), pipeline, CPU, tmp_path, "k", False)


def _stored(models: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(models / "wan-style.safetensors"))
