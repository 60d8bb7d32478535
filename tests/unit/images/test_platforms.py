"""Platforms: their names, and which images run where."""

import pytest

from services.importer.domain import Unacceptable
from services.importer.images.platforms import Platform, parse_platform
from shared.values import Reason


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("linux", "amd64")),
        ("linux/arm/v7", Platform("linux", "arm")),
        ("linux/arm/v6", Platform("linux", "arm", "v6")),
        ("linux/arm64/v8", Platform("linux", "arm64")),
        ("Linux/AArch64", Platform("linux", "arm64")),
        ("linux/x86_64", Platform("linux", "amd64")),
        ("linux/amd64/v3", Platform("linux", "amd64", "v3")),
        ("windows/amd64", Platform("windows", "amd64")),
    ],
)
def test_a_platform_is_read_by_its_usual_name(text: str, platform: Platform):
    assert parse_platform(text) == platform


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "linux/amd64/v1/x", "linux amd64", "linux/amd64\n", "x" * 999]
)
def test_what_is_no_platform_is_refused(text: str):
    with pytest.raises(Unacceptable) as caught:
        parse_platform(text)

    assert caught.value.refusal.reason is Reason.INVALID_IMAGE
    assert caught.value.refusal.message.endswith("expected os/architecture[/variant], such as linux/amd64")
    assert len(caught.value.refusal.message) < 200


@pytest.mark.parametrize(
    ("text", "served_by"),
    [
        ("linux/amd64", ["linux/amd64"]),
        ("linux/amd64/v3", ["linux/amd64/v3", "linux/amd64/v2", "linux/amd64"]),
        ("linux/arm", ["linux/arm", "linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm/v6", ["linux/arm/v6", "linux/arm/v5"]),
        ("linux/arm64", ["linux/arm64"]),
        ("linux/arm64/v9", ["linux/arm64/v9"]),
        ("linux/s390x", ["linux/s390x"]),
    ],
)
def test_a_platform_runs_images_of_lower_variants(text: str, served_by: list[str]):
    assert [str(platform) for platform in parse_platform(text).served_by()] == served_by
