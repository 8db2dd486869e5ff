"""Walks a zstd file from block to block, because the decompressor takes a truncated file for a finished one.

Format: RFC 8878, section 3.1, "Frames".
"""

from __future__ import annotations

import os
from typing import Final

from services.layers.corrupt import corrupt

MAGIC: Final = b"\x28\xb5\x2f\xfd"
_CHECKSUM_BYTES: Final = 4
_DICTIONARY_BYTES: Final = (0, 1, 2, 4)
_SIZE_BYTES: Final = (0, 2, 4, 8)
_RLE, _RESERVED = 1, 3


def is_skippable(magic: bytes) -> bool:
    """Tells whether it is the magic number of a frame that decompressors step over."""
    return len(magic) == 4 and magic[1:] == b"\x2a\x4d\x18" and 0x50 <= magic[0] <= 0x5F


def check_frames(descriptor: int, size: int, most: int) -> None:
    """Checks that the file of `size` bytes is a row of whole frames. What is in the blocks is not looked at.

    Args:
        descriptor: of the open file; its position is not moved.
        size: of the file.
        most: blocks and frames that are looked at.

    Raises:
        ScanFailure: LAYER_CORRUPT.
    """
    offset = 0
    budget = _Budget(most)
    while offset < size:
        budget.spend(offset)
        magic = os.pread(descriptor, 4, offset)
        if magic == MAGIC:
            offset = _frame_end(descriptor, offset, budget)
        elif is_skippable(magic):
            offset += 8 + int.from_bytes(os.pread(descriptor, 4, offset + 4), "little")
        else:
            raise corrupt(f"zstd: at byte {offset} of {size} there is no frame")
    if offset > size:
        raise corrupt(f"zstd: the last frame ends at byte {offset}, but the layer has only {size}")


class _Budget:
    def __init__(self, most: int) -> None:
        self._most = most
        self._left = most

    def spend(self, offset: int) -> None:
        self._left -= 1
        if self._left < 0:
            raise corrupt(f"zstd: before byte {offset} there are more than {self._most} blocks")


def _frame_end(descriptor: int, start: int, budget: _Budget) -> int:
    flags = int.from_bytes(os.pread(descriptor, 1, start + 4), "little")
    single_segment = bool(flags & 0x20)
    content_size = _SIZE_BYTES[flags >> 6] or int(single_segment)
    offset = start + 5 + (not single_segment) + _DICTIONARY_BYTES[flags & 3] + content_size
    last = False
    while not last:
        budget.spend(offset)
        head = os.pread(descriptor, 3, offset)
        if len(head) < 3:
            raise corrupt(f"zstd: it ends at byte {offset + len(head)}, in the middle of a frame")
        block = int.from_bytes(head, "little")
        last, kind, length = bool(block & 1), block >> 1 & 3, block >> 3
        if kind == _RESERVED:
            raise corrupt(f"zstd: at byte {offset} there is a block of a kind that does not exist")
        offset += 3 + (1 if kind == _RLE else length)
    return offset + (_CHECKSUM_BYTES if flags & 4 else 0)
