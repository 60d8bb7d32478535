"""The manifest of a package, byte by byte."""

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from services.importer.manifest import manifest_of, package_of
from shared.values import File
from tests.samples import a_file, digest

PATHS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
FILES = st.lists(
    st.builds(a_file, PATHS, st.sampled_from("abc"), st.integers(0, 10**12)),
    min_size=1,
    max_size=8,
    unique_by=lambda file: file.path,
)


def test_the_manifest_is_sorted_json_without_spaces():
    files = [File(path="b", digest=digest("2"), size_bytes=20), File(path="a", digest=digest("1"), size_bytes=10)]

    assert manifest_of(files) == (
        b'{"files":['
        b'{"digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111","path":"a","size_bytes":10},'
        b'{"digest":"sha256:2222222222222222222222222222222222222222222222222222222222222222","path":"b","size_bytes":20}'
        b'],"schema":"modelkin.manifest.v1"}'
    )


def test_the_digest_of_a_package_never_changes():
    """It was computed with sha256sum, so that anybody can check a package without our code."""
    files = [File(path="b", digest=digest("2"), size_bytes=20), File(path="a", digest=digest("1"), size_bytes=10)]

    assert (
        hashlib.sha256(manifest_of(files)).hexdigest()
        == "e1ea620454f1eed9618ac25a32ac1946a36efcc69d4c973483c498ceabe650d6"
    )


def test_paths_are_utf_8_and_not_escaped():
    assert b'"path":"model/\xe6\xa8\xa1\xe5\x9e\x8b.pt"' in manifest_of([a_file("model/模型.pt")])


def test_quotes_and_control_characters_are_escaped_as_json_does():
    assert rb'"path":"a\"b\\c\nd"' in manifest_of([a_file('a"b\\c\nd')])


def test_files_are_in_the_order_of_the_bytes_of_their_paths():
    paths = ["b", "B", "a/b", "a-b", "é", "😀", "\uffff", "Z"]

    listed = json.loads(manifest_of([a_file(path) for path in paths]))["files"]

    assert [file["path"] for file in listed] == ["B", "Z", "a-b", "a/b", "b", "é", "\uffff", "😀"]


@given(FILES, st.randoms())
def test_the_order_in_which_files_are_found_does_not_matter(files: list[File], random):
    shuffled = random.sample(files, len(files))

    assert manifest_of(shuffled) == manifest_of(files)
    assert package_of(shuffled, digest("a")).file_count == package_of(files, digest("a")).file_count


@given(FILES, FILES)
def test_different_packages_have_different_manifests(one: list[File], other: list[File]):
    assert (manifest_of(one) == manifest_of(other)) == ({*one} == {*other})


def test_a_package_says_its_size_its_count_and_its_files_by_path():
    files = [a_file("b", "2", 20), a_file("a", "1", 10)]

    package = package_of(files, digest("d"))

    assert package.digest == digest("d")
    assert package.size_bytes == 30
    assert package.file_count == 2
    assert [file.path for file in package.files] == ["a", "b"]


def test_a_package_that_stays_in_place_says_so_and_has_the_same_digest_as_one_that_was_copied():
    copied, in_place = (package_of([a_file()], digest("d"), in_place=one) for one in (False, True))

    assert (copied.in_place, in_place.in_place) == (False, True)
    assert in_place == copied.model_copy(update={"in_place": True})


def test_of_a_large_package_the_256_largest_files_are_listed_by_path():
    files = [a_file(f"shard-{number:03}", "a", number) for number in range(300)]

    package = package_of(files, digest("d"))

    assert package.file_count == 300
    assert package.size_bytes == 44_850
    assert len(package.files) == 256
    assert (package.files[0].path, package.files[-1].path) == ("shard-044", "shard-299")


def test_the_manifest_of_a_large_package_lists_every_file():
    files = [a_file(f"shard-{number:03}", "a", number) for number in range(300)]

    assert manifest_of(files).count(b'"path":') == 300
