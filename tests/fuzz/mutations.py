"""Bytes, spoilt: what a bad disk does to a file, and what somebody does who knows its format.

Lengths, counts and offsets are what decoders trip over, so numbers at the edges of their ranges are written over
what is there, in both byte orders. PNG's checksums are mended afterwards, or nothing behind them would be reached.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

_EDGES = (0, 1, 2, 4, 7, 8, 15, 16, 17, 31, 32, 64, 100, 127, 128, 255, 256, 1000, 4096, 32767, 32768, 65535, 65536,
          2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
_PNG = b"\x89PNG\r\n\x1a\n"

Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], None]


def mutate(data: bytes, chance: random.Random, others: Sequence[bytes], most: int = 1 << 16) -> bytes:
    """``data`` with one to eight things done to it, at most ``most`` bytes; ``others`` are there to be cut from."""
    spoilt = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        chance.choice(_MUTATIONS)(spoilt, chance, others)
    del spoilt[most:]
    return mend_png(bytes(spoilt)) if spoilt.startswith(_PNG) and chance.random() < 0.9 else bytes(spoilt)


def mend_png(data: bytes) -> bytes:
    """``data`` with every chunk's checksum right."""
    mended, place = bytearray(data), len(_PNG)
    while place + 12 <= len(mended):
        (length,) = struct.unpack_from(">I", mended, place)
        end = place + 8 + length
        if end + 4 > len(mended):
            break
        struct.pack_into(">I", mended, end, zlib.crc32(mended[place + 4 : end]))
        place = end + 4
    return bytes(mended)


def _flip(data: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        if data:
            data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _set(data: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    if data:
        data[_place(data, chance)] = chance.randrange(256)


def _set_number(data: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    """A number of 1, 2, 4 or 8 bytes, at an edge or near what was there."""
    width = chance.choice((1, 2, 2, 4, 4, 4, 8))
    if len(data) < width:
        return
    place, order = min(_place(data, chance), len(data) - width), chance.choice(("big", "little"))
    old = int.from_bytes(data[place : place + width], "big" if order == "big" else "little")
    new = chance.choice(
        (chance.choice(_EDGES), old + chance.randint(-4, 4), old * 2, -old, old ^ (1 << (8 * width - 1)))
    )
    data[place : place + width] = (new % (1 << (8 * width))).to_bytes(width, "big" if order == "big" else "little")


def _cut(data: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    place = _place(data, chance)
    del data[place : place + _span(chance)]


def _end(data: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    del data[_place(data, chance) :]


def _repeat(data: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    place = _place(data, chance)
    part = bytes(data[place : place + _span(chance)])
    data[place:place] = part * chance.choice((1, 1, 2, 10, 100))


def _insert(data: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    place = _place(data, chance)
    data[place:place] = chance.choice((chance.randbytes(_span(chance)), bytes(_span(chance)), b"\xff" * _span(chance)))


def _swap(data: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    one, two, span = _place(data, chance), _place(data, chance), _span(chance)
    data[one : one + span], data[two : two + span] = data[two : two + span], data[one : one + span]


def _splice(data: bytearray, chance: random.Random, others: Sequence[bytes]) -> None:
    """Part of another file, over what is there or in between."""
    if not others:
        return
    other, place, span = chance.choice(others), _place(data, chance), _span(chance) * 4
    start = chance.randrange(len(other)) if other else 0
    data[place : place + chance.choice((0, span))] = other[start : start + span]


def _place(data: bytearray, chance: random.Random) -> int:
    """Anywhere, half of the time in the first bytes, where headers are."""
    if not data:
        return 0
    return chance.randrange(min(len(data), 200) if chance.random() < 0.5 else len(data))


def _span(chance: random.Random) -> int:
    return chance.choice((1, 2, 3, 4, 8, 12, 16, 32, 100, 1000))


_MUTATIONS: tuple[Mutation, ...] = (
    *(_flip, _set, _set_number, _set_number, _set_number),
    *(_cut, _end, _repeat, _insert, _swap, _splice),
)
