"""Where an image is asked whether it is well."""

import pytest

from services.importer.domain import Unacceptable
from services.importer.images.health import Health, health_of
from shared.values import Reason


@pytest.mark.parametrize(
    ("url", "ports", "called"),
    [
        ("/health", (), "http://127.0.0.1:8080/health"),
        ("/", ("9000/tcp",), "http://127.0.0.1:9000/"),
        ("/health", ("9000/tcp", "53/udp"), "http://127.0.0.1:9000/health"),
        ("/health", ("9000/tcp", "9001/tcp"), "http://127.0.0.1:8080/health"),
        ("http://127.0.0.1:7000/health?deep=1", ("9000/tcp",), "http://127.0.0.1:7000/health?deep=1"),
        ("http://example.com/health", ("9000/tcp",), "http://127.0.0.1:9000/health"),
        ("http://localhost:7000", (), "http://127.0.0.1:7000/"),
    ],
)
def test_the_port_is_that_of_the_url_else_the_only_exposed_one_else_8080(url: str, ports: tuple[str, ...], called: str):
    assert health_of({"url": url}, ports).url == called


def test_seconds_are_numbers_or_texts_of_numbers():
    health = {"url": "/", "initial_delay_seconds": "5", "timeout_seconds": 2.5}

    assert health_of(health, ()) == Health(port=8080, path="/", initial_delay_s=5.0, timeout_s=2.5)


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        7,
        "health",
        "https://x/health",
        "/a b",
        "/a\r\nHost: x",
        "http://x:0/",
        "http://x:65536/",
        "/ä",
        "/" + "x" * 2000,
    ],
)
def test_a_url_that_cannot_be_called_is_refused(url: object):
    with pytest.raises(Unacceptable) as caught:
        health_of({"url": url}, ())

    assert caught.value.refusal.reason is Reason.INVALID_CONFIG
    assert caught.value.refusal.message.endswith("expected a path such as /health")
    assert len(caught.value.refusal.message) < 200


@pytest.mark.parametrize("seconds", [-1, 3601, "soon", "nan", "inf", None, [], "1" * 5000, float("nan"), 10**400])
def test_seconds_out_of_reason_are_refused(seconds: object):
    with pytest.raises(Unacceptable) as caught:
        health_of({"url": "/", "timeout_seconds": seconds}, ())

    assert caught.value.refusal.reason is Reason.INVALID_CONFIG
    assert caught.value.refusal.message.endswith("expected seconds from 0 to 3600")
