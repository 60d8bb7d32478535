"""The artifact folder, where it is full."""

import os
from pathlib import Path

from shared.messages import ImportRefused, ModelImported
from tests.integration.system import Spawn, System, digest_of, eventually

# A small file system of its own, seen by this process and its children alone.
SMALL_DISK = 'mkdir "$MODELKIN_ARTIFACTS" && mount -t tmpfs -o size=4m tmpfs "$MODELKIN_ARTIFACTS" && exec "$@"'
UNSHARE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]


async def test_a_full_disk_refuses_what_does_not_fit_and_takes_what_does(bare_system: System, spawn: Spawn):
    system = bare_system
    process = spawn("importer", *UNSHARE, "sh", "-c", SMALL_DISK, "sh")
    large = system.model_folder("large", {"a.bin": b"a" * 1_000_000, "b.bin": os.urandom(6_000_000)})
    small = system.model_folder("small", {"model.bin": b"small"})
    await system.publish(system.training("large", location=large))
    refused = await system.hear(ImportRefused)
    await system.publish(system.training("small", location=small))
    imported = await system.hear(ModelImported)
    # What the process sees: from here its small disk is not visible.
    seen = Path(f"/proc/{process.pid}/root{system.artifacts}")

    assert (refused.model, refused.reason.value) == ("large", "artifact-store-full")
    assert imported.model == "small"
    assert list((seen / "partial").iterdir()) == []
    digest = digest_of(b"small").removeprefix("sha256:")
    assert (seen / "blobs" / "sha256" / digest[:2] / digest).read_bytes() == b"small"
    assert await system.dead_letters() == []


async def test_what_was_refused_for_lack_of_room_may_be_sent_again(bare_system: System, spawn: Spawn):
    system = bare_system
    process = spawn("importer", *UNSHARE, "sh", "-c", SMALL_DISK, "sh")
    body = system.training("large", location=system.model_folder("large", {"a.bin": os.urandom(5_000_000)}))
    await system.publish(body)
    refused = await system.hear(ImportRefused)
    await eventually(lambda: process.stop() == 0)
    await system.start("importer")
    await system.publish(body)

    imported = await system.hear(ModelImported)
    assert refused.reason.value == "artifact-store-full"
    assert imported.import_id == refused.import_id
