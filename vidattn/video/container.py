"""What a container's header says of the file's length.

decord reads a cut file as a shorter video, silently.
"""

import os
from pathlib import Path
from typing import BinaryIO

_MATROSKA = bytes.fromhex("1a45dfa3")
_SEGMENT = bytes.fromhex("18538067")


def missing_bytes(path: str | Path) -> int:
    """Count the bytes by which a file is shorter than its container's header promises.

    Args:
        path: An mp4 or mov, Matroska or WebM, or AVI file.

    Returns:
        The number of missing bytes; 0 where the file is whole, its header promises no
        length (a live recording), or the container is another one.

    Source:
        ISO/IEC 14496-12, 4.2 (boxes); RFC 8794, 4 and 6 (EBML sizes); Microsoft's RIFF
        specification.
    """
    actual = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[:4] == b"RIFF":
            return max(0, 8 + int.from_bytes(head[4:8], "little") - actual)
        if head[:4] == _MATROSKA:
            return max(0, _matroska_end(file) - actual)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return max(0, _boxes_end(file, actual) - actual)
    return 0


def _boxes_end(file: BinaryIO, actual: int) -> int:
    """Walk the top-level boxes of an mp4; the last one ends where the file should."""
    start = 0
    while start + 8 <= actual:
        file.seek(start)
        header = file.read(16)
        size, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if (
            size < 8 or not kind.isalnum()
        ):  # size 0: up to the end of the file; else padding that is no box
            return start
        start += size
    return start


def _matroska_end(file: BinaryIO) -> int:
    """Add the sizes of the EBML header and the segment.

    An unknown size (all ones) promises nothing.
    """
    file.seek(4)
    header_size = _ebml_size(file) or 0
    file.seek(header_size, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    size = _ebml_size(file)
    return 0 if size is None else file.tell() + size


def _ebml_size(file: BinaryIO) -> int | None:
    """Read an integer whose first byte's leading zeros tell how many bytes follow."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    following = 8 - first[0].bit_length()
    bits = 7 * (following + 1)
    value = int.from_bytes(first + file.read(following), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
