"""The command line of one encoding, as a list: no shell, and no name that could be read as an option.

frames ▸ pipe:0   sound ▸ file:…   comment ▸ file:…    filters, codec, tags    file:output
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from framedaemon import ClipSpec
from framedaemon_ffmpeg.binary import ffmpeg_binary
from framedaemon_ffmpeg.choice import Choice
from framedaemon_ffmpeg.codecs import Tuning
from framedaemon_ffmpeg.hardware import device_arguments, quality_arguments, upload_filters
from framedaemon_ffmpeg.sound import DEMUXERS, SoundTracks

# From full-range RGB to limited-range BT.709, rounded to nearest. zscale and not swscale: swscale takes
# 16-bit white for 65280 and makes 943 of it where 940 is right (ffmpeg 7.0 and 9.0, every flag tried).
_TO_BT709 = (
    "zscale=matrixin=gbr:rangein=full:primariesin=709:transferin=709"
    ":matrix=709:range=limited:primaries=709:transfer=709:chromal=left"
)
_TAGS = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv")


def build_command(
    choice: Choice,
    takes: ClipSpec,
    output: Path,
    comment: Path,
    sound: SoundTracks | None,
    threads: int,
    faststart: bool,
) -> list[str]:
    """The arguments, ffmpeg first, that read ``takes``'s frames from stdin and write ``output``.

    comment: an ffmetadata file.  threads: of the codec and of the filters each.
    """
    return [
        ffmpeg_binary(),
        *("-hide_banner", "-loglevel", "warning", "-n"),
        *device_arguments(choice.hardware),
        *_frames_input(takes),
        *sound_input(sound, takes.duration),
        *("-protocol_whitelist", "file", "-f", "ffmetadata", "-i", f"file:{comment.absolute()}"),
        *("-filter_threads", str(threads), "-filter_complex", f"[0:v]{_filters(choice, takes)}[v]"),
        *("-map", "[v]", *_codec_arguments(choice, threads)),
        # Whatever the filters said, one frame in is one frame out.
        *("-fps_mode", "passthrough"),
        *finish_arguments(choice, output, sound, faststart),
    ]


def finish_arguments(choice: Choice, output: Path, sound: SoundTracks | None, faststart: bool) -> list[str]:
    """Sound, metadata and container: inputs are the pictures, the sound if there is some, then the comment's file."""
    return [
        *_sound_output(sound),
        # Nothing of the sound's own file goes along: it may say where it was filmed.
        *("-map_metadata", "-1", "-map_chapters", "-1"),
        *("-map_metadata:g", "2:g" if sound else "1:g"),
        *_sound_languages(sound),
        *_container_arguments(choice, faststart),
        f"file:{output.absolute()}",
    ]


def codec_tag(choice: Choice) -> list[str]:
    """The codec's name in the container, where it has several."""
    # the form that Apple's players open
    return ["-tag:v", "hvc1"] if choice.codec.name == "hevc" and choice.container.name in ("mp4", "mov") else []


def sound_input(sound: SoundTracks | None, duration: Fraction) -> list[str]:
    """The file with the sound, from its first picture on, as long as the video."""
    if sound is None:
        return []
    return [
        *("-protocol_whitelist", "file", "-format_whitelist", DEMUXERS),
        *("-ss", f"{float(sound.starts_at):.6f}", "-t", f"{float(duration):.6f}"),
        *("-i", f"file:{sound.path.absolute()}"),
    ]


def _frames_input(takes: ClipSpec) -> list[str]:
    return [
        *("-f", "rawvideo", "-pixel_format", "rgb24" if takes.depth == 8 else "rgb48le"),
        *("-video_size", f"{takes.width}x{takes.height}"),
        *("-framerate", f"{takes.fps.numerator}/{takes.fps.denominator}"),
        *("-i", "pipe:0"),
    ]


def _filters(choice: Choice, takes: ClipSpec) -> str:
    filters = []
    if (choice.width, choice.height) != (takes.width, takes.height):
        filters.append(f"crop={choice.width}:{choice.height}:0:0")
    if choice.codec.name == "gif":
        # One palette for each frame: nothing waits for the clip's end, so memory stays flat.
        filters.append("split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1")
    elif choice.codec.name == "webp":
        filters.append("format=bgra")  # libwebp goes to its own fixed YUV (BT.601) by itself
    elif choice.chroma == "rgb":
        filters.append(f"format={choice.pixel_format}")
    else:
        # 16 bits to 8 would show bands in skies without a dither.
        dither = ":dither=ordered" if takes.depth == 16 and choice.depth == 8 else ""
        filters += [f"{_TO_BT709}{dither}", f"format={choice.pixel_format}"]
    return ",".join([*filters, *upload_filters(choice.hardware, choice.depth)])


def _codec_arguments(choice: Choice, threads: int) -> list[str]:
    arguments = ["-c:v", choice.encoder]
    if choice.hardware:
        arguments += quality_arguments(choice.hardware, choice.crf, choice.preset)
    else:
        speed = choice.codec.speeds[choice.preset] if choice.codec.speeds else ""
        arguments += choice.codec.arguments(Tuning(choice.crf, speed, threads))
    if choice.tagged:
        arguments += [*_TAGS, "-chroma_sample_location", "left"]
    return arguments + codec_tag(choice)


def _container_arguments(choice: Choice, faststart: bool) -> list[str]:
    # bitexact: no random ids, no dates, no version numbers; the same frames give the same bytes
    arguments = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"]
    flags = ["+faststart"] if faststart and choice.container.name in ("mp4", "mov") else []
    if choice.container.name == "mov":
        flags.append("+use_metadata_tags")  # the older form of metadata in mov ends at 64 KiB
    arguments += ["-movflags", "".join(flags)] if flags else []
    return [*arguments, "-f", choice.container.muxer]


def _sound_output(sound: SoundTracks | None) -> list[str]:
    if sound is None:
        return []
    arguments = ["-map", "1:a"]
    for number, track in enumerate(sound.tracks):
        arguments += [f"-c:a:{number}", track.codec, *(track.arguments(number))]
    return arguments


def _sound_languages(sound: SoundTracks | None) -> list[str]:
    if sound is None:
        return []
    arguments = ["-map_metadata:s:a", "-1"]
    for number, track in enumerate(sound.tracks):
        if track.language:
            arguments += [f"-metadata:s:a:{number}", f"language={track.language}"]
    return arguments
