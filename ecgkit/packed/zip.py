"""Members of a ``.zip``: listed from its central directory, and read one by one.

Format: APPNOTE.TXT of PKWARE, 4.3. `zipfile` reads the central directory; members are read here, because `zipfile`
keeps the whole directory in the memory of every process.
"""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ecgkit.errors import DatasetError
from ecgkit.packed.index import MEMBERS_A_REPORT, Member, Refused
from ecgkit.progress import Progress, silent

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
_ENCRYPTED = 0x1
_LOCAL = struct.Struct("<4s22x2H")  # signature, then the lengths of the name and of the extra field
_STEP = 2**20


def members(file: Path, progress: Progress = silent) -> Iterator[Member | Refused]:
    """Yield the members of a ``.zip``.

    Args:
        file: The archive.
        progress: Called with the stage, members done and members in total.

    Raises:
        DatasetError: The file is no ``.zip``, or its central directory is damaged.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise DatasetError(f"{file} cannot be read as a .zip archive ({error})", "a complete archive") from None
    for number, info in enumerate(infos):
        if not number % MEMBERS_A_REPORT:
            progress("members", number, len(infos))
        if info.filename.endswith("/"):  # `is_dir` fails for an empty name
            continue
        reason = _refusal(info)
        if reason:
            yield Refused(info.orig_filename, reason)
        else:
            yield Member(
                info.filename, info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC
            )


def _refusal(info: zipfile.ZipInfo) -> str:
    mode = info.external_attr >> 16
    if "\0" in info.orig_filename:
        return "its name is not a path"
    if info.flag_bits & _ENCRYPTED:
        return "it is encrypted"
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "it is a link" if stat.S_ISLNK(mode) else "it is no regular file"
    if info.compress_type not in (STORED, DEFLATED):
        name = zipfile.compressor_names.get(info.compress_type, str(info.compress_type))  # type: ignore[attr-defined]
        return f"its compression method, {name}, is not supported"
    return ""


def chunks(descriptor: int, member: Member) -> Iterator[bytes]:
    """Yield the unpacked bytes of a member in pieces, and check their number and their CRC-32.

    Args:
        descriptor: Descriptor of the open archive.
        member: One of `members`.

    Raises:
        OSError: The member is damaged.
    """
    at = data_start(descriptor, member)
    end = at + member.packed
    unpack = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == DEFLATED else None
    size = crc = 0
    while at < end:
        raw = os.pread(descriptor, min(_STEP, end - at), at)
        if not raw:
            raise OSError(f"{member.path} is cut short in the archive")
        at += len(raw)
        while raw:
            try:
                piece = unpack.decompress(raw, _STEP) if unpack else raw
            except zlib.error as error:
                raise OSError(f"{member.path} is damaged in the archive ({error})") from None
            raw = unpack.unconsumed_tail if unpack else b""
            size, crc = size + len(piece), zlib.crc32(piece, crc)
            if size > member.size:
                raise OSError(f"{member.path} is longer than the archive says")
            yield piece
    if unpack and (piece := unpack.flush()):
        size, crc = size + len(piece), zlib.crc32(piece, crc)
        yield piece
    if size != member.size or (member.crc is not None and crc != member.crc):
        raise OSError(f"{member.path} is damaged in the archive (its length or checksum is wrong)")


def data_start(descriptor: int, member: Member) -> int:
    """Return where the bytes of a member begin, behind its local header.

    Raises:
        OSError: There is no local header.
    """
    raw = os.pread(descriptor, _LOCAL.size, member.start)
    if len(raw) < _LOCAL.size or raw[:4] != b"PK\3\4":
        raise OSError(f"{member.path} has no header in the archive")
    _, name, extra = _LOCAL.unpack(raw)
    return member.start + _LOCAL.size + int(name) + int(extra)
