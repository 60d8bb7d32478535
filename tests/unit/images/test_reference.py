"""Image references: what is read, what is refused and with which hint."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.importer.domain import Unacceptable
from services.importer.images.reference import Reference, parse
from shared.values import Reason

DIGEST = "sha256:" + "0123456789abcdef" * 4


def refusal(text: str) -> str:
    with pytest.raises(Unacceptable) as caught:
        parse(text)
    assert caught.value.refusal.reason is Reason.INVALID_IMAGE
    return caught.value.refusal.message


@pytest.mark.parametrize(
    ("text", "host", "name", "tag", "digest"),
    [
        ("registry.example.com/model:1.0", "registry.example.com", "model", "1.0", None),
        ("registry.example.com/team/sub/model:v1_x-y.Z", "registry.example.com", "team/sub/model", "v1_x-y.Z", None),
        ("localhost/model", "localhost", "model", "latest", None),
        ("localhost:5000/model", "localhost:5000", "model", "latest", None),
        ("127.0.0.1:5000/model:1", "127.0.0.1:5000", "model", "1", None),
        ("[::1]:5000/model:1", "[::1]:5000", "model", "1", None),
        ("[2001:db8::7]/model:1", "[2001:db8::7]", "model", "1", None),
        ("Registry.Example.COM/model:Tag", "registry.example.com", "model", "Tag", None),
        ("registry:5000/a.b_c__d---e/f:1", "registry:5000", "a.b_c__d---e/f", "1", None),
        (f"registry.example.com/model@{DIGEST}", "registry.example.com", "model", None, DIGEST),
        (f"registry.example.com/model:1@{DIGEST}", "registry.example.com", "model", "1", DIGEST),
        (f"registry.example.com/model:{'t' * 128}", "registry.example.com", "model", "t" * 128, None),
        (f"registry.example.com/{'n' * 255}:1", "registry.example.com", "n" * 255, "1", None),
    ],
)
def test_a_reference_is_read(text: str, host: str, name: str, tag: str | None, digest: str | None):
    assert parse(text) == Reference(host, name, tag, digest)


def test_the_digest_counts_where_there_is_a_tag_too():
    assert parse(f"registry.example.com/model:1@{DIGEST}").target == DIGEST
    assert parse("registry.example.com/model:1").target == "1"


@pytest.mark.parametrize("text", ["nginx", "nginx:latest", "team/model:1.0", "/model", "registry/model:1", ""])
def test_a_reference_without_a_host_is_refused_and_none_is_guessed(text: str):
    assert refusal(text) == (
        f"image {text!r}: expected a registry host in front, as in registry.example.com/team/model:1.0"
    )


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("docker://registry.example.com/model:1", "'docker://'"),
        ("https://registry.example.com/model:1", "'https://'"),
        ("oci://registry.example.com/model:1", "'oci://'"),
    ],
)
def test_a_scheme_is_to_be_left_out(text: str, scheme: str):
    assert refusal(text) == f"image {text!r}: expected host[:port]/name[:tag][@sha256:…], without {scheme} in front"


def test_a_name_with_capitals_is_refused_with_the_name_that_was_meant():
    assert refusal("registry.example.com/Team/Model:1") == (
        "image 'registry.example.com/Team/Model:1': expected the name in lower case: 'team/model'"
    )


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "a-",
        "a..b",
        "a___b",
        "a//b",
        "a/",
        "a b",
        "../a",
        "a/../b",
        "ä",
        "模型",
        "a\n",
        "a%2fb",
        "a?b",
        "a#b",
        "n" * 256,
    ],
)
def test_a_name_outside_the_grammar_is_refused(name: str):
    assert "expected a name of parts" in refusal(f"registry.example.com/{name}")


@pytest.mark.parametrize("tag", ["", ".a", "-a", "a/b", "a b", "a\n", "ä", "t" * 129, "a:b"])
def test_a_tag_outside_the_grammar_is_refused(tag: str):
    assert refusal(f"registry.example.com/model:{tag}").endswith(
        "expected a tag of 1 to 128 letters, digits, '_', '.' or '-'"
    )


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha256:" + "0" * 63, "sha256:" + "0" * 65, "sha256:" + "A" * 64, "sha512:" + "0" * 128]
)
def test_a_digest_other_than_sha256_is_refused(digest: str):
    assert refusal(f"registry.example.com/model@{digest}").endswith(
        "expected '@sha256:' with 64 hex digits in lower case"
    )


@pytest.mark.parametrize(
    "host", ["registry.example.com:0", "registry.example.com:65536", "a..b", "-a.b", "a_b.c", "x:"]
)
def test_a_host_that_can_be_none_is_refused(host: str):
    assert refusal(f"{host}/model:1").endswith("expected a registry host, with a port from 1 to 65535 if any")


def test_an_address_in_brackets_that_is_none_is_refused():
    assert refusal("[1::2::3]/model:1").endswith("expected an IPv6 address between '[' and ']'")


@pytest.mark.parametrize(
    "text",
    [
        "robot:hunter2@registry.example.com/model:1",
        "https://robot:hunter2@registry.example.com/model:1",
        f"robot:hunter2@registry.example.com/model@{DIGEST}",
        "robot:hun/ter2@registry.example.com/model:1",
        "robot:hunter2@registry.example.com/model@sha256:short",
    ],
)
def test_a_password_in_a_reference_is_not_said_back(text: str):
    said = refusal(text)

    assert "hunter2" not in said
    assert "ter2" not in said
    assert "robot" not in said


def test_a_long_reference_is_said_back_in_part():
    assert len(refusal("x" * 100_000)) < 250


@given(st.text() | st.text(alphabet="a.-_/:@[]A1"))
def test_any_text_is_read_or_refused(text: str):
    with contextlib.suppress(Unacceptable):
        read = parse(text)
        assert parse(f"{read.repository}:{read.tag}").name == read.name
