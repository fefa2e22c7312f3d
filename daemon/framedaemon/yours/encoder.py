"""yours: every frame to the bit, as FFV1 in Matroska.

An encoder writes a clip to a file. `promise` says what the file will be, exactly: the finished one is held to it. What
`load` yields pulls the frames, one after the other, and writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Literal

from pydantic import Field

from framedaemon import (
    Clip,
    ClipSpec,
    Delivery,
    Encode,
    EncoderOptions,
    Estimate,
    JobRejected,
    Machine,
    Placement,
    VideoSpec,
    hookimpl,
)


class YoursOptions(EncoderOptions):
    """What a recipe may say under [encode]."""

    container: Literal["mkv"] = "mkv"
    """Matroska, and no other."""
    slices: Literal[4, 9, 16, 24] = Field(16)
    """Parts that a frame is cut into; each is checked by itself, and they are packed side by side."""


class Yours:
    """Every frame to the bit."""

    name: ClassVar[str] = "yours"
    summary: ClassVar[str] = "every frame to the bit, as FFV1 in Matroska"
    options: ClassVar[type[EncoderOptions]] = YoursOptions
    preference: ClassVar[int] = -1  # below 0: taken only where a recipe names it

    def unready(self, machine: Machine) -> str | None:
        return None  # or what is missing here, and the command that mends it

    def promise(self, takes: ClipSpec, sound: bool, options: YoursOptions) -> VideoSpec:
        if options.codec not in ("auto", "ffv1"):
            raise JobRejected(f"[encode] codec: {options.codec!r} is not ffv1, and yours knows no other")
        return VideoSpec(
            width=takes.width,
            height=takes.height,
            frames=takes.frames,
            fps=takes.fps,
            suffix=".mkv",
            codec="ffv1",
            encoder="ffv1",
            pixel_format="bgr0" if takes.depth == 8 else "gbrp16le",
            tagged=False,
            notes=("sound is left out",) if sound else (),
        )

    def estimate(self, takes: ClipSpec, options: YoursOptions) -> Estimate:
        # `disk` is the file: frames that cannot be packed, as those of noise, take as much room as they are large.
        size = takes.frames * takes.frame_bytes
        # `ram` begins with the library that `load` imports.
        return Estimate(ram=(96 << 20) + 12 * takes.frame_bytes, disk=size + size // 8 + (1 << 16), seconds=size * 2e-8)

    @contextmanager
    def load(self, placement: Placement, options: YoursOptions) -> Iterator[Encode]:
        import av  # heavy: a plugin imports such things here, where there is work to do

        def encode(clip: Clip, delivery: Delivery) -> None:
            try:
                with av.open(str(delivery.output), "w", format="matroska") as file:
                    file.metadata["comment"] = delivery.comment
                    write(clip, file)
            except BaseException:
                delivery.output.unlink(missing_ok=True)  # what is half written is nobody's
                raise

        def write(clip: Clip, file: av.container.OutputContainer) -> None:
            takes, packed = ("rgb24", "bgr0") if clip.spec.depth == 8 else ("rgb48le", "gbrp16le")
            stream = file.add_stream("ffv1", rate=clip.spec.fps, options={"level": "3", "slices": str(options.slices)})
            stream.width, stream.height, stream.pix_fmt = clip.spec.width, clip.spec.height, packed
            stream.codec_context.thread_count = placement.threads
            for frame in clip:
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=takes).reformat(format=packed)))
            file.mux(stream.encode())

        yield encode


@hookimpl
def encoders() -> Sequence[Yours]:
    """What this plugin offers."""
    return [Yours()]
