"""A denoise that goes on in its middle: the pipeline's own loop, real schedulers, tiny models."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from framedaemon.diffusion import ContinuedScheduler  # noqa: E402

STEPS = 6

SCHEDULERS = {
    "unipc": lambda: diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
    ),
    "unipc of the third order": lambda: diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, solver_order=3
    ),
    "dpm++": lambda: diffusers.DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True),
    "flow match euler": lambda: diffusers.FlowMatchEulerDiscreteScheduler(shift=5.0),
    "flow match heun": lambda: diffusers.FlowMatchHeunDiscreteScheduler(shift=5.0),
    "ddim": lambda: diffusers.DDIMScheduler(),
}


def denoise(scheduler: Any, latents: Any) -> list[Any]:
    """What a pipeline's loop does: the latents after each step."""
    scheduler.set_timesteps(STEPS, device="cpu")
    after = []
    for timestep in scheduler.timesteps:
        said = torch.sin(latents * 3 + timestep / 1000)
        latents = scheduler.step(said, timestep, latents, return_dict=False)[0]
        after.append(latents)
    return after


@pytest.fixture
def noise() -> Any:
    return torch.randn(1, 4, 3, 5, 7, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("step", range(1, STEPS))
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_denoise_goes_on_from_any_step_as_if_nothing_had_happened(name: str, step: int, noise: Any) -> None:
    whole = denoise(SCHEDULERS[name](), noise)
    first = ContinuedScheduler(SCHEDULERS[name](), stop=step)
    before = denoise(first, noise)

    rest = denoise(ContinuedScheduler(SCHEDULERS[name](), start=step, state=first.state), before[-1])

    assert len(before) + len(rest) == len(whole)
    assert all(torch.equal(one, other) for one, other in zip(before + rest, whole, strict=True))


def test_latents_alone_are_not_enough_for_a_multistep_scheduler(noise: Any) -> None:
    whole = denoise(SCHEDULERS["unipc"](), noise)

    rest = denoise(ContinuedScheduler(SCHEDULERS["unipc"](), start=3, state={}), whole[2])

    assert not torch.allclose(rest[-1], whole[-1], atol=1e-3)


def test_the_middle_of_a_denoise_needs_the_state_before_it() -> None:
    with pytest.raises(ValueError, match="step 3 needs the scheduler's state"):
        ContinuedScheduler(SCHEDULERS["unipc"](), start=3)


def test_the_state_is_what_steps_change_not_what_a_config_says(noise: Any) -> None:
    scheduler = ContinuedScheduler(SCHEDULERS["unipc"](), stop=2)

    denoise(scheduler, noise)

    tensors = {"model_outputs", "timestep_list", "last_sample"}
    assert set(scheduler.state) == tensors | {"lower_order_nums", "this_order", "_step_index"}


def test_a_pipeline_sees_the_scheduler_that_it_knows(noise: Any) -> None:
    scheduler = ContinuedScheduler(SCHEDULERS["unipc"](), start=1, stop=4, state={})

    scheduler.set_timesteps(num_inference_steps=STEPS, device="cpu")

    assert isinstance(scheduler, diffusers.UniPCMultistepScheduler)
    assert scheduler.order == 1
    assert scheduler.config.flow_shift == 5.0
    assert len(scheduler.timesteps) == 3
    assert len(scheduler.all_timesteps) == STEPS
