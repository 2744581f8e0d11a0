"""Zip files whose members are stored as they are: written front to back, and read in place.

Python's `zipfile` cannot continue a file that lost its central directory, and does not align members. Here every
content starts at a multiple of 64 bytes, the length of a cache line, or of its own unit: the local header is padded
by the extra field that Android's zipalign uses for the same purpose. No time stamps: equal data give equal bytes.
Layout of the records: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.
"""

import json
import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CACHE_LINE = 64
LARGEST_ALIGNMENT = 1 << 15
ALIGNMENT_FIELD = 0xD935
VERSION, VERSION_ZIP64 = 20, 45
MADE_BY_UNIX = 3 << 8
UTF8_NAME = 1 << 11
DAY_ZERO = 1 << 5 | 1  # 1980-01-01, the first day that a zip file knows
FILE_MODE = 0o100644 << 16
LOCAL_MARK, LOCAL_HEADER_BYTES = b"PK\3\4", 30
ZIP64_FIELD = 1
LARGEST_32_BIT = 0xFFFFFFFF
LARGEST_16_BIT = 0xFFFF
ENTRIES_AT_ONCE = 4096
# No deflated content is smaller than this part of what it was (zlib, Technical Details, Maximum Expansion Factor).
LARGEST_EXPANSION = 1032
LARGEST_DOCUMENT_BYTES = 1 << 26
# What zipfile raises for files that are no zip files, or damaged ones.
NO_ZIP = (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, struct.error, zlib.error, EOFError)


@dataclass(frozen=True)
class Member:
    """One file in the zip: name, where its local header starts, size in bytes, CRC-32, alignment of its content."""

    name: str
    offset: int
    size: int
    crc: int
    alignment: int = CACHE_LINE

    def __post_init__(self) -> None:
        if self.size >= LARGEST_32_BIT:
            raise ValueError(f"{self.name}: {self.size} bytes in one chunk; 4 GiB is the most, use shorter chunks")

    @property
    def payload_offset(self) -> int:
        """Where its content starts."""
        return self.offset + len(self.local_header())

    @property
    def end(self) -> int:
        """Where the next member starts."""
        return self.payload_offset + self.size

    def local_header(self) -> bytes:
        """The record in front of the content."""
        name, extra = self.name.encode(), self._padding()
        sizes = (self.crc, self.size, self.size, len(name), len(extra))
        return struct.pack("<4s5H3I2H", LOCAL_MARK, VERSION, UTF8_NAME, 0, 0, DAY_ZERO, *sizes) + name + extra

    def _padding(self) -> bytes:
        header = LOCAL_HEADER_BYTES + len(self.name.encode()) + 6
        length = -(self.offset + header) % self.alignment
        return struct.pack("<3H", ALIGNMENT_FIELD, 2 + length, self.alignment) + bytes(length)

    def directory_entry(self) -> bytes:
        """The record in the central directory.

        It repeats the padding: whoever reads it can place the content without visiting the local header.
        """
        name, padding = self.name.encode(), self._padding()
        far = self.offset >= LARGEST_32_BIT
        version = VERSION_ZIP64 if far else VERSION
        extra = (struct.pack("<2HQ", ZIP64_FIELD, 8, self.offset) if far else b"") + padding
        fixed = struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", MADE_BY_UNIX | version, version, UTF8_NAME, 0, 0, DAY_ZERO,
            self.crc, self.size, self.size, len(name), len(extra), 0, 0, 0, FILE_MODE,
            min(self.offset, LARGEST_32_BIT),
        )  # fmt: skip
        return fixed + name + extra


def central_directory(members: Iterable[Member], *, start: int) -> Iterator[bytes]:
    """What follows the last member, which ends at byte `start`: one record per member, and the end records."""
    n_members, size, entries = 0, 0, []
    for member in members:
        entries.append(member.directory_entry())
        n_members, size = n_members + 1, size + len(entries[-1])
        if len(entries) == ENTRIES_AT_ONCE:
            yield b"".join(entries)
            entries = []
    yield b"".join(entries)
    if n_members >= LARGEST_16_BIT or start >= LARGEST_32_BIT or size >= LARGEST_32_BIT:
        versions = (MADE_BY_UNIX | VERSION_ZIP64, VERSION_ZIP64)
        yield struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, *versions, 0, 0, n_members, n_members, size, start)
        yield struct.pack("<4sIQI", b"PK\6\7", 0, start + size, 1)
    counts = (min(n_members, LARGEST_16_BIT),) * 2
    places = min(size, LARGEST_32_BIT), min(start, LARGEST_32_BIT)
    yield struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, *counts, *places, 0)


def incomplete(path: str, reason: str) -> ValueError:
    """The error for a file that was cut off or damaged."""
    return ValueError(f"{path}: no complete .zarr.zip store ({reason}); delete the file, the workflow makes it anew")


def check_directory(members: list[zipfile.ZipInfo], *, path: str, n_bytes: int) -> None:
    """Refuse a zip file whose members leave it, hide each other, or claim more than a file of its size can hold."""
    names = [member.filename for member in members]
    outside = [name for name in names if name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/")]
    if outside:
        raise incomplete(path, f"{outside[0]!r} lies outside of it")
    if len(set(names)) < len(names):
        raise incomplete(path, "two members have one name")
    if sum(member.compress_size for member in members) > n_bytes:
        raise incomplete(path, f"its members claim more than its {n_bytes} bytes")
    for member in members:
        stored = member.compress_type == zipfile.ZIP_STORED
        if member.file_size > member.compress_size * (1 if stored else LARGEST_EXPANSION) + LARGEST_EXPANSION:
            raise incomplete(path, f"{member.filename} claims {member.file_size} bytes of {member.compress_size}")


class MappedZip:
    """A zip file in memory, as far as it is touched, and where in it the contents of its members are."""

    def __init__(self, path: str) -> None:
        """Map the file; one that was cut off is refused, because the directory stands at its end."""
        self.path = path
        with open(path, "rb") as file:
            try:
                with zipfile.ZipFile(file) as archive:
                    self._members = {member.filename: member for member in archive.infolist()}
                    self._directory_start = archive.start_dir
            except NO_ZIP as error:
                raise incomplete(path, str(error)) from error
            check_directory(archive.infolist(), path=path, n_bytes=os.fstat(file.fileno()).st_size)
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._is_tiled = self._tiles_the_file()
        for member in list(self._members.values())[:: max(1, len(self._members) - 1)]:
            self._local_start(member)

    def _tiles_the_file(self) -> bool:
        """Whether header, name, extra field and content of all members fill the file without a gap.

        A zip file may have an extra field of another length in the local header than in the directory. Here it does
        not, and the directory alone tells where contents start: no visit to every chunk of a file on a slow disk.
        """
        members = sorted(self._members.values(), key=lambda member: member.header_offset)
        starts = [member.header_offset for member in members[1:]] + [self._directory_start]
        return all(_expected_start(m) + m.compress_size == start for m, start in zip(members, starts, strict=True))

    def _local_start(self, member: zipfile.ZipInfo) -> int:
        """Where the content starts, by the local header; one that is elsewhere means that bytes are missing."""
        offset = member.header_offset
        header = self.map[offset : offset + LOCAL_HEADER_BYTES] if offset >= 0 else b""
        start = offset + LOCAL_HEADER_BYTES + sum(struct.unpack("<2H", header[26:])) if header[:4] == LOCAL_MARK else -1
        if start < 0 or start + member.compress_size > self._directory_start:
            raise incomplete(self.path, f"{member.filename} is not where the directory says")
        return start

    def __contains__(self, name: str) -> bool:
        """Whether there is a member of this name."""
        return name in self._members

    def names(self) -> list[str]:
        """Names of all members."""
        return list(self._members)

    def is_plain(self, name: str) -> bool:
        """Whether a member is kept as it is, neither deflated nor encrypted."""
        return self._members[name].compress_type == zipfile.ZIP_STORED and not self._members[name].flag_bits & 1

    def size(self, name: str) -> int:
        """Size in bytes of a member in the file."""
        return self._members[name].compress_size

    def start(self, name: str) -> int:
        """Offset of the content of a member."""
        member = self._members[name]
        return _expected_start(member) if self._is_tiled else self._local_start(member)

    def json(self, name: str) -> dict | None:
        """A member that is a JSON document; None if there is none of this name."""
        if name not in self._members:
            return None
        content = self.map[self.start(name) : self.start(name) + self.size(name)]
        try:
            if not self.is_plain(name):
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, LARGEST_DOCUMENT_BYTES)
            if zlib.crc32(content) != self._members[name].CRC:
                raise incomplete(self.path, f"{name} does not have the checksum it was written with")
            document = json.loads(content)
        except (zlib.error, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise incomplete(self.path, f"{name} is no JSON document: {error}") from error
        if not isinstance(document, dict):
            raise incomplete(self.path, f"{name} is no JSON object")
        return document


def _expected_start(member: zipfile.ZipInfo) -> int:
    """Where the content starts if the local header has the extra field that the directory has."""
    name, extra = member.orig_filename.encode(), member.extra
    field, length = struct.unpack("<2H", extra[:4]) if len(extra) >= 4 else (0, 0)
    zip64 = 4 + length if field == ZIP64_FIELD else 0
    return member.header_offset + LOCAL_HEADER_BYTES + len(name) + len(extra) - zip64


def check_contents(path: str) -> None:
    """Read the whole file and compare every member with its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            check_directory(archive.infolist(), path=path, n_bytes=os.path.getsize(path))
            damaged = archive.testzip()
    except NO_ZIP as error:
        raise incomplete(path, str(error).removeprefix(f"{path}: ")) from error
    if damaged:
        raise incomplete(path, f"{damaged} does not have the checksum it was written with")
