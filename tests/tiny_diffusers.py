"""Image-to-video pipelines of diffusers in small: the real classes, all layers narrow, random weights.

    python tests/tiny_diffusers.py FOLDER      FOLDER/ltx, FOLDER/cogvideox, FOLDER/svd, …

Nothing is fetched: tokenizers have vocabularies of a few words. Imports diffusers: import it in tests that have it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from tiny_pipelines import tiny_pipeline

WIDTH = 16


def save_tiny(kind: str, folder: Path) -> Path:
    """Build the pipeline ``kind`` of `PIPELINES`, with the same weights each time, below ``folder``.

    Returns where it lies.
    """
    path = folder / kind
    tiny(kind).save_pretrained(path)
    return path


def record_tiny(kind: str, models: Path) -> Path:
    """`save_tiny`, once, for the folder of weights ``models``, where it is then called ``diffusers-<kind>``."""
    folder = models / f"diffusers-{kind}"
    if not folder.is_dir():
        save_tiny(kind, models).rename(folder)
        paths = (path for path in folder.rglob("*") if path.is_file())
        files = [{"path": str(path.relative_to(folder)), "bytes": path.stat().st_size} for path in paths]
        record = {"stage": "diffusers", "repo": f"tiny/{kind}", "files": files}
        folder.with_suffix(".json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def tiny(kind: str) -> Any:
    """In memory, float32, on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        pipeline = PIPELINES[kind]()
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.eval()
                _fill(part)
        return pipeline


def _fill(network: torch.nn.Module) -> None:
    """Networks begin with zeros in their last layers, and would draw nothing."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1 and not parameter.any():
                torch.nn.init.normal_(parameter, std=0.2)


def _ltx(pipeline: str = "LTXImageToVideoPipeline") -> Any:
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        timestep_conditioning=True,  # it draws random numbers once more before it decodes
    )
    vae.use_framewise_encoding = False
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=2,
        attention_head_dim=12,
        cross_attention_dim=24,
        num_layers=2,
        caption_channels=WIDTH,
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    return getattr(diffusers, pipeline)(scheduler, vae, _t5(), _t5_tokenizer(), transformer)


def _cogvideox(scheduler: str = "CogVideoXDDIMScheduler") -> Any:
    vae = diffusers.AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
    )
    transformer = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=8,
        out_channels=4,
        time_embed_dim=4,
        text_embed_dim=WIDTH,
        num_layers=1,
        sample_width=12,
        sample_height=8,
        sample_frames=9,
        use_rotary_positional_embeddings=True,
    )
    return diffusers.CogVideoXImageToVideoPipeline(
        _t5_tokenizer(), _t5(), vae, transformer, getattr(diffusers, scheduler)(snr_shift_scale=1.0)
    )


def _svd() -> Any:
    unet = diffusers.UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 32),
        layers_per_block=1,
        sample_size=8,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        cross_attention_dim=WIDTH,
        num_attention_heads=(2, 2),
        projection_class_embeddings_input_dim=96,
        addition_time_embed_dim=32,
        num_frames=5,
    )
    scheduler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        sigma_max=700.0,
        sigma_min=0.002,
        steps_offset=1,
        timestep_spacing="leading",
        timestep_type="continuous",
        use_karras_sigmas=True,
    )
    vae = diffusers.AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 32, 32, 32), down_block_types=("DownEncoderBlock2D",) * 4, latent_channels=4
    )
    vision = transformers.CLIPVisionConfig(
        hidden_size=WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=224,
        intermediate_size=WIDTH,
        patch_size=56,
    )
    return diffusers.StableVideoDiffusionPipeline(
        vae, transformers.CLIPVisionModelWithProjection(vision), unet, scheduler, _image_processor(224)
    )


def _hunyuan(condition: str = "token_replace") -> Any:
    vae = _hunyuan_vae()
    transformer = diffusers.HunyuanVideoTransformer3DModel(
        in_channels=4 if condition == "token_replace" else 9,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=10,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        guidance_embeds=False,
        text_embed_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        rope_axes_dim=(2, 4, 4),
        image_condition_type=condition,
    )
    words = _words("<pad>", "<unk>", "<image>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
    llava = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(
            hidden_size=WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=336,  # 24 x 24 patches, which the pipeline counts on
            intermediate_size=WIDTH,
            patch_size=14,
        ),
        text_config=transformers.LlamaConfig(
            vocab_size=64,
            hidden_size=WIDTH,
            intermediate_size=WIDTH,
            num_hidden_layers=3,
            num_attention_heads=2,
            pad_token_id=0,
            max_position_embeddings=2048,
        ),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        pad_token_id=0,
    )
    return diffusers.HunyuanVideoImageToVideoPipeline(
        text_encoder=transformers.LlavaForConditionalGeneration(llava),
        tokenizer=words,
        transformer=transformer,
        vae=vae,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder_2=_clip(),
        tokenizer_2=_clip_tokenizer(),
        image_processor=_image_processor(336),
    )


def _kandinsky() -> Any:
    transformer = diffusers.Kandinsky5Transformer3DModel(
        in_visual_dim=4,
        in_text_dim=WIDTH,
        in_text_dim2=WIDTH,
        time_dim=WIDTH,
        out_visual_dim=4,
        model_dim=32,
        ff_dim=32,
        num_text_blocks=1,
        num_visual_blocks=1,
        axes_dims=(4, 6, 6),
        visual_cond=True,
    )
    words = _words("<pad>", "<unk>", "<|im_start|>", "<|im_end|>", letters=4)  # the pipeline leaves out the first 128
    qwen = transformers.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 64,
            "hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 1,
        },
        vision_config={
            "depth": 1,
            "hidden_size": WIDTH,
            "intermediate_size": WIDTH,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
            "fullatt_block_indexes": [0],
        },
    )
    return diffusers.Kandinsky5I2VPipeline(
        transformer=transformer,
        vae=_hunyuan_vae(),
        text_encoder=transformers.Qwen2_5_VLForConditionalGeneration(qwen),
        tokenizer=words,
        text_encoder_2=_clip(),
        tokenizer_2=_clip_tokenizer(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=5.0),
    )


def _hunyuan_vae() -> Any:
    return diffusers.AutoencoderKLHunyuanVideo(
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        mid_block_add_attention=False,
    )


def _t5() -> Any:
    config = transformers.T5Config(
        vocab_size=32, d_model=WIDTH, d_kv=8, d_ff=16, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu"
    )
    return transformers.T5EncoderModel(config)


def _t5_tokenizer() -> Any:
    letters = [(letter, -2.0) for letter in "▁abcdefghijklmnopqrstuvwxyz,."]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -10.0), *letters]
    return transformers.T5TokenizerFast(vocab=vocabulary, extra_ids=0)


def _clip() -> Any:
    config = transformers.CLIPTextConfig(
        vocab_size=64,
        hidden_size=WIDTH,
        projection_dim=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return transformers.CLIPTextModel(config)


def _clip_tokenizer() -> Any:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    return transformers.CLIPTokenizer(vocab={word: place for place, word in enumerate(words)}, merges=[])


def _words(pad: str, unknown: str, *special: str, letters: int = 100) -> Any:
    """A tokenizer of words, or of at most so many ``letters``, of which it knows those that pipelines look for."""
    known = {word: place for place, word in enumerate((pad, unknown, *special, "a", "boat", "user", "system"))}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token=unknown))
    pieces = pre_tokenizers.Split(Regex(f"[a-z,.]{{1,{letters}}}"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pieces])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, unk_token=unknown, additional_special_tokens=list(special)
    )


def _image_processor(side: int) -> Any:
    return transformers.CLIPImageProcessor(crop_size=side, size={"shortest_edge": side})


PIPELINES: dict[str, Callable[[], Any]] = {
    "ltx": _ltx,
    "ltx-of-words": lambda: _ltx("LTXPipeline"),  # what LTX's own repository names
    "cogvideox": _cogvideox,
    "cogvideox-dpm": lambda: _cogvideox("CogVideoXDPMScheduler"),
    "svd": _svd,
    "hunyuan": _hunyuan,
    "hunyuan-concat": lambda: _hunyuan("latent_concat"),
    "kandinsky": _kandinsky,
    "wan-a14b": lambda: tiny_pipeline("i2v-a14b"),
    "wan-5b": lambda: tiny_pipeline("ti2v-5b"),
}

if __name__ == "__main__":
    for name in PIPELINES:
        print(save_tiny(name, Path(sys.argv[1])))
