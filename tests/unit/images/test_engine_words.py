"""What a Docker engine says is told without where it is."""

import pytest

from services.importer.images.engine import tail


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Get https://r.example/v2/: dial tcp 10.2.3.4:443: refused",
            "'Get https://r.example/v2/: dial tcp …: refused'",
        ),
        ("lookup r.example on [fd00::53]:53: no such host", "'lookup r.example on …: no such host'"),
        ("write /var/lib/docker/tmp/x1: no space left on device", "'write …: no space left on device'"),
        ('exec: "/app/serve": not found in $PATH', "'exec: \"/app/serve\": not found in $PATH'"),
    ],
)
def test_places_of_the_engine_are_left_out(said: str, told: str):
    assert tail(said) == told
