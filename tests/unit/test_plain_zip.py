import io
import zipfile
import zlib

import pytest

from geom2msm.plain_zip import CACHE_LINE, MappedZip, Member, central_directory


def archive_of(contents, *, alignment=CACHE_LINE):
    """A zip file as the stores write it."""
    members, pieces, end = [], [], 0
    for name, content in contents.items():
        member = Member(name, end, len(content), zlib.crc32(content), alignment)
        members.append(member)
        pieces += [member.local_header(), content]
        end = member.end
    return b"".join([*pieces, *central_directory(members, start=end)])


@pytest.mark.parametrize("alignment", [64, 384, 1 << 15])
def test_contents_are_found_by_pythons_zipfile_and_start_at_the_alignment(tmp_path, alignment):
    contents = {"a": b"", "b/c": b"x" * 1000, "ä": bytes(range(256))}
    path = tmp_path / "x.zip"
    path.write_bytes(archive_of(contents, alignment=alignment))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == contents
    mapped = MappedZip(str(path))
    for name, content in contents.items():
        assert mapped.start(name) % alignment == 0
        assert mapped.map[mapped.start(name) : mapped.start(name) + mapped.size(name)] == content


def test_more_members_than_a_small_zip_file_can_count(tmp_path, monkeypatch):
    monkeypatch.setattr("geom2msm.plain_zip.LARGEST_16_BIT", 50)
    contents = {f"c/{number}": b'{"n": %d}' % number for number in range(60)}
    path = tmp_path / "x.zip"
    path.write_bytes(archive_of(contents))
    mapped = MappedZip(str(path))
    assert mapped.names() == list(contents)
    assert mapped.json("c/59") == {"n": 59}


def test_members_beyond_four_gigabytes_are_found(tmp_path):
    size = 3 << 30
    # A file with holes: nothing of the first two members is on the disk.
    members, end = [], 0
    for name in ("a", "b"):
        members.append(Member(name, end, size, 0))
        end = members[-1].end
    content = b'{"n": 17}'
    last = Member("c", end, len(content), zlib.crc32(content))
    path = tmp_path / "x.zip"
    with path.open("wb") as file:
        for member in members:
            file.seek(member.offset)
            file.write(member.local_header())
        file.seek(end)
        file.write(last.local_header() + content)
        file.write(b"".join(central_directory([*members, last], start=last.end)))
    mapped = MappedZip(str(path))
    assert mapped.json("c") == {"n": 17}
    assert mapped.start("c") == last.payload_offset > 6 << 30
    with zipfile.ZipFile(path) as archive:
        assert archive.read("c") == content


def test_a_member_of_four_gigabytes_is_refused():
    with pytest.raises(ValueError, match="4 GiB is the most, use shorter chunks"):
        Member("a", 0, 1 << 32, 0)


def test_bytes_in_front_of_a_zip_file_do_not_matter(tmp_path):
    path = tmp_path / "x.zip"
    path.write_bytes(b"#!/bin/sh\n" + archive_of({"a": b'{"n": 17}'}))
    assert MappedZip(str(path)).json("a") == {"n": 17}


@pytest.mark.parametrize("lost", [slice(0, 1), slice(100, 164), slice(1000, 1064)])
def test_a_file_that_lost_bytes_is_refused(tmp_path, lost):
    content = bytearray(archive_of({"a": bytes(1000), "b": bytes(1000)}))
    del content[lost]
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="a is not where the directory says"):
        MappedZip(str(path))


def test_deflated_documents_are_read(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b'{"n": 17}')
    path = tmp_path / "x.zip"
    path.write_bytes(buffer.getvalue())
    assert MappedZip(str(path)).json("a") == {"n": 17}
    assert MappedZip(str(path)).json("b") is None
    assert not MappedZip(str(path)).is_plain("a")
