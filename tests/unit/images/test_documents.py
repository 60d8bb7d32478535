"""Index, manifest and configuration of an image: what is read, what is refused, what is bounded."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.importer.domain import Unacceptable
from services.importer.images.documents import (
    choose,
    created_at,
    kind_of,
    labels_of,
    ports_of,
    read_configuration,
    read_index,
    read_manifest,
)
from services.importer.images.platforms import parse_platform
from shared.values import Reason
from tests.oci import DOCKER_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST

DIGEST = "sha256:" + "0123456789abcdef" * 4
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"


def text(document: object) -> bytes:
    return json.dumps(document).encode()


def descriptor(media_type: str = OCI_LAYER, size: object = 7, digest: str = DIGEST) -> dict[str, object]:
    return {"mediaType": media_type, "size": size, "digest": digest}


def manifest(**changes: object) -> dict[str, object]:
    return {"schemaVersion": 2, "config": descriptor(OCI_CONFIG), "layers": [descriptor(), descriptor()], **changes}


def entry(platform: str, digit: str) -> dict[str, object]:
    named = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
    return {**descriptor(OCI_MANIFEST), "digest": "sha256:" + digit * 64, "platform": named}


def index(*platforms: str) -> bytes:
    return text({"manifests": [entry(platform, str(place)) for place, platform in enumerate(platforms)]})


def configuration(**config: object) -> bytes:
    return text({"os": "linux", "architecture": "amd64", "config": config})


def unsupported(caught: pytest.ExceptionInfo[Unacceptable]) -> str:
    assert caught.value.refusal.reason is Reason.UNSUPPORTED_IMAGE
    assert len(caught.value.refusal.message) < 400
    return caught.value.refusal.message


@pytest.mark.parametrize(
    ("said", "document", "kind"),
    [
        (OCI_INDEX, {}, (OCI_INDEX, "index")),
        (DOCKER_LIST, {"mediaType": DOCKER_LIST}, (DOCKER_LIST, "index")),
        (OCI_MANIFEST, {"mediaType": OCI_MANIFEST}, (OCI_MANIFEST, "manifest")),
        (f"{DOCKER_MANIFEST.upper()}; charset=utf-8", {}, (DOCKER_MANIFEST, "manifest")),
        ("application/json", {"mediaType": OCI_MANIFEST}, (OCI_MANIFEST, "manifest")),
        ("", {"mediaType": DOCKER_LIST}, (DOCKER_LIST, "index")),
    ],
)
def test_the_kind_is_what_the_registry_says_else_what_the_document_says(
    said: str, document: object, kind: tuple[str, str]
):
    assert kind_of(said, text(document)) == kind


@pytest.mark.parametrize(
    ("said", "document"),
    [
        ("text/html", {}),
        ("", {}),
        (OCI_MANIFEST, {"mediaType": OCI_INDEX}),
        (OCI_MANIFEST, {"mediaType": DOCKER_MANIFEST}),
        (OCI_MANIFEST, {"mediaType": "application/vnd.cncf.helm"}),
        (OCI_INDEX, {"manifests": [], "layers": []}),
        (OCI_MANIFEST, {"manifests": [], "layers": []}),
    ],
)
def test_a_document_of_another_kind_or_of_two_is_refused(said: str, document: object):
    with pytest.raises(Unacceptable) as caught:
        kind_of(said, text(document))

    assert "is no container image" in unsupported(caught)


@pytest.mark.parametrize(
    ("said", "document"),
    [(SCHEMA_1, {}), ("application/json", {"schemaVersion": 1, "fsLayers": []}), (OCI_MANIFEST, {"fsLayers": []})],
)
def test_schema_1_is_refused_by_its_name(said: str, document: object):
    with pytest.raises(Unacceptable) as caught:
        kind_of(said, text(document))

    assert "schema 1" in unsupported(caught)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"7", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000, b'{"mediaType": "\\ud800"}'],
)
def test_what_is_no_json_object_is_refused(body: bytes):
    for read in (read_index, read_manifest, read_configuration, lambda body: kind_of(OCI_MANIFEST, body)):
        with pytest.raises(Unacceptable) as caught:
            read(body)
        unsupported(caught)


def test_a_manifest_gives_its_configuration_its_layers_and_the_sum_of_their_sizes():
    found = read_manifest(text(manifest(layers=[descriptor(size=10), descriptor(size=20)])))

    assert (found.config.digest, found.config.size) == (DIGEST, 7)
    assert [layer.size for layer in found.layers] == [10, 20]
    assert found.size_bytes == 37


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config": descriptor("application/vnd.cncf.helm.config.v1+json")}, "vnd.cncf.helm.config"),
        ({"config": descriptor("application/vnd.oci.empty.v1+json")}, "vnd.oci.empty"),
        ({"layers": [descriptor("application/vnd.in-toto+json")]}, "vnd.in-toto"),
        ({"artifactType": "application/vnd.example.sbom"}, "vnd.example.sbom"),
        ({"layers": []}, "at least 1 item"),
        ({"layers": [descriptor()] * 501}, "at most 500 items"),
        ({"layers": None}, "layers"),
        ({"config": None}, "config"),
        ({"config": descriptor(OCI_CONFIG, digest="md5:0")}, "config.digest"),
        ({"layers": [descriptor(size=-1)]}, "layers.0.size"),
        ({"layers": [descriptor(size=2**60)]}, "layers.0.size"),
        ({"layers": [descriptor(size="7")]}, "layers.0.size"),
        ({"layers": [descriptor(size=True)]}, "layers.0.size"),
        ({"layers": [descriptor("x" * 300)]}, "layers.0.mediaType"),
    ],
)
def test_a_manifest_that_is_not_of_an_image_is_refused(changes: dict[str, object], said: str):
    with pytest.raises(Unacceptable) as caught:
        read_manifest(text(manifest(**changes)))

    assert said in unsupported(caught)


def test_layers_of_other_compressions_and_foreign_ones_are_layers():
    layers = [
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ]

    found = read_manifest(
        text(manifest(config=descriptor(DOCKER_CONFIG), layers=[descriptor(kind) for kind in layers]))
    )

    assert [layer.media_type for layer in found.layers] == layers


@pytest.mark.parametrize(
    ("there", "wanted", "place"),
    [
        (["linux/arm64", "linux/amd64"], "linux/amd64", 1),
        (["linux/arm64/v8", "linux/amd64"], "linux/arm64", 0),
        (["linux/arm64"], "linux/arm64/v8", 0),
        (["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], "linux/arm", 2),
        (["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", 1),
        (["linux/amd64", "linux/amd64/v2"], "linux/amd64/v3", 1),
        (["linux/amd64", "linux/amd64"], "linux/amd64", 0),
        (["windows/amd64", "linux/amd64"], "linux/amd64", 1),
    ],
)
def test_of_an_index_the_best_for_the_platform_is_taken(there: list[str], wanted: str, place: int):
    chosen = choose(read_index(index(*there)), parse_platform(wanted))

    assert chosen.digest == "sha256:" + str(place) * 64


@pytest.mark.parametrize(
    ("there", "wanted", "said"),
    [
        (
            ["linux/arm64/v8", "linux/arm/v6"],
            "linux/amd64",
            "not for linux/amd64: expected one of linux/arm64, linux/arm/v6",
        ),
        (["linux/amd64/v3"], "linux/amd64", "not for linux/amd64: expected one of linux/amd64/v3"),
        (["linux/arm/v7"], "linux/arm/v6", "not for linux/arm/v6: expected one of linux/arm"),
        (["unknown/unknown"], "linux/amd64", "not for linux/amd64: it names no platform at all"),
        ([], "linux/amd64", "not for linux/amd64: it names no platform at all"),
        ([f"linux/x{number}" for number in range(99)], "linux/amd64", "linux/x11, …"),
    ],
)
def test_a_platform_that_is_not_there_is_refused_with_those_that_are(there: list[str], wanted: str, said: str):
    entries = [entry(platform, "0") for platform in there]

    with pytest.raises(Unacceptable) as caught:
        choose(read_index(text({"manifests": entries})), parse_platform(wanted))

    assert caught.value.refusal.reason is Reason.PLATFORM_NOT_FOUND
    assert caught.value.refusal.message.endswith(said)


def test_an_index_of_too_many_manifests_is_refused():
    with pytest.raises(Unacceptable) as caught:
        read_index(text({"manifests": [descriptor()] * 1001}))

    assert "at most 1000 items" in unsupported(caught)


def test_an_entry_without_a_platform_is_passed_over():
    assert choose(
        read_index(text({"manifests": [descriptor(), entry("linux/amd64", "5")]})), parse_platform("linux/amd64")
    )


@pytest.mark.parametrize("body", [{}, {"os": "linux"}, {"architecture": "amd64"}, {"os": "", "architecture": ""}])
def test_a_configuration_without_a_platform_is_refused(body: object):
    with pytest.raises(Unacceptable) as caught:
        read_configuration(text(body))

    assert "names no platform" in unsupported(caught)


def test_a_platform_that_would_break_a_message_is_refused():
    with pytest.raises(Unacceptable) as caught:
        read_configuration(text({"os": "linux\n\x1b[2J", "architecture": "amd64"}))

    assert "'os'" in unsupported(caught)


def test_a_configuration_that_sets_nothing_has_no_labels_and_no_ports():
    for config in ({}, {"Labels": None, "ExposedPorts": None}):
        found = read_configuration(configuration(**config))
        assert (labels_of(found), ports_of(found), created_at(found)) == ({}, (), None)
    assert labels_of(read_configuration(text({"os": "linux", "architecture": "amd64", "config": None}))) == {}


def test_labels_are_kept_by_name_until_64():
    found = read_configuration(configuration(Labels={f"l{number:03}": "v" for number in range(200)}))

    assert list(labels_of(found)) == [f"l{number:03}" for number in range(64)]


def test_labels_beyond_16_kb_are_left_out():
    found = read_configuration(
        configuration(Labels={"a": "x" * 10_000, "b": "é" * 5000, "c": "small", "": "none", "d\n": ""})
    )

    assert labels_of(found) == {"a": "x" * 10_000, "c": "small"}


def test_ports_are_sorted_by_number_and_what_is_none_is_left_out():
    ports = ["9000/tcp", "80", "53/udp", "0/tcp", "70000/tcp", "x", "80/TCP", "8080/tcp\n"]
    exposed: dict[str, object] = {port: {} for port in ports}

    assert ports_of(read_configuration(configuration(ExposedPorts=exposed))) == ("53/udp", "80/tcp", "9000/tcp")


def test_at_most_64_ports_are_kept():
    exposed = {f"{number}/tcp": {} for number in range(1, 500)}

    assert len(ports_of(read_configuration(configuration(ExposedPorts=exposed)))) == 64


@pytest.mark.parametrize(
    ("created", "kept"),
    [("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"), ("", None), ("x" * 81, None), ("a\nb", None)],
)
def test_the_time_of_creation_is_kept_where_it_is_short_and_printable(created: str, kept: str | None):
    found = read_configuration(text({"os": "linux", "architecture": "amd64", "created": created}))

    assert created_at(found) == kept


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["mediaType", "config", "layers", "manifests", "platform", "os", "digest", "size", "Labels"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read_or_refused(document: object):
    body = text(document)
    for read in (read_index, read_manifest, read_configuration, lambda body: kind_of(OCI_MANIFEST, body)):
        with contextlib.suppress(Unacceptable):
            read(body)
