"""Samples that a release went out with stay as they were, byte by byte: what was kept then is read in that form.

A release adds a list of its own, in the form of `sha256sum`: `cd tests/contract/wire && sha256sum -- *.json > ../released/N.N.N.sha256`.
"""

import hashlib
from pathlib import Path

import pytest

WIRE = Path(__file__).parent / "wire"
RELEASES = sorted((Path(__file__).parent / "released").iterdir())


def listed(release: Path) -> dict[str, str]:
    lines = (line.split("  ", 1) for line in release.read_text(encoding="utf-8").splitlines())
    return {name: digest for digest, name in lines}


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.stem)
def test_no_sample_of_a_release_was_changed_or_removed(release: Path):
    now = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in WIRE.iterdir()}

    changed = [name for name, digest in listed(release).items() if now.get(name) != digest]

    assert changed == [], "add a sample beside the old one: FILE.v1.what.json"


def test_the_first_list_is_still_the_one_that_was_released():
    first = {release.stem: len(listed(release)) for release in RELEASES}

    assert first["0.1.0"] == 134
