"""A backup of a whole system, and a system made from it that answers every query the same."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest
from typer.testing import CliRunner

from modelkin.backup import restoring
from modelkin.backup.format import Backup, artifacts_in, open_backup
from modelkin.backup.making import make_backup
from modelkin.backup.restoring import restore_backup
from modelkin.commands import backing_up
from modelkin.doctor.streams import streams
from modelkin.errors import ModelkinError
from modelkin.processes import Server, start_nats
from shared.connection import Nats, connected
from shared.event_log import EventsMissing, last_of
from shared.login import Login
from shared.messages import (
    DownloadGranted,
    ImportRefused,
    ModelImported,
    ModelRegistered,
    PackageVerified,
    VerifyPackage,
    VersionRefused,
)
from shared.store import connect
from shared.subjects import COMMANDS_STREAM, CONSUMERS, DEAD_LETTERS_STREAM, EVENTS_STREAM
from tests.integration.mixture import everything
from tests.integration.registering import command
from tests.integration.system import SERVICES, System, drop, eventually, make_system
from tests.samples import an_import

# Half of those that were made while events poured in counted more than they had.
MANY_BACKUPS = 40

Answers = Mapping[str, dict[str, Any]]
Restore = Callable[[Path], Awaitable[System]]


class Silent:
    """A Progress."""

    def begin(self, what: str, total: int | None) -> None:
        pass

    def advance(self, more: int) -> None:
        pass


async def ask(system: System, found: dict[str, dict[str, Any]], subject: str, **question: object) -> dict[str, Any]:
    answer = await system.ask(f"modelkin.qry.v1.{subject}", question)
    found[f"{subject} {json.dumps(question, sort_keys=True, ensure_ascii=False)}"] = answer
    return answer


async def answers(system: System) -> Answers:
    """What every query says of everything."""
    found: dict[str, dict[str, Any]] = {}
    models = (await ask(system, found, "model.list", limit=1000))["models"]
    for model in (one["model"] for one in models):
        about = {"model": model}
        await ask(system, found, "model.get", **about)
        await ask(system, found, "alias.list", **about)
        await ask(system, found, "history.get", **about, limit=1000)
        await ask(system, found, "version.best", **about, metric="f1")
        versions = (await ask(system, found, "version.list", **about, limit=1000))["versions"]
        for version in (one["version"] for one in versions):
            await ask(system, found, "version.get", **about, version=version)
            await ask(system, found, "lineage.get", **about, version=version)
            await ask(system, found, "lineage.affected", **about, version=version)
    for imported in await system.all_of(ModelImported):
        await ask(system, found, "import.get", import_id=imported.import_id)
        await ask(system, found, "file.list", package_digest=imported.package.digest)
    for grant in await system.all_of(DownloadGranted):
        await ask(system, found, "grant.get", grant=grant.grant.id)
    await ask(system, found, "lineage.affected", dataset="coco")
    await ask(system, found, "deployment.get", service="search")
    await ask(system, found, "template.list")
    return found


async def real_imports(system: System) -> None:
    """Two that are kept, one of them with two versions; one that is refused a version, one that is refused, one verified."""
    await system.publish(system.training("flowers", run="V001"))
    await system.hear(ModelRegistered, "flowers")
    await system.publish(system.training("flowers", run="V002"))
    await system.hear(ModelRegistered, "flowers", count=2)
    await system.publish(
        system.training("birds", location=system.model_folder("birds", {"a/b.bin": b"x", "c.bin": b""}))
    )
    registered = await system.hear(ModelRegistered, "birds")
    await system.publish(system.training("birds", run="V009", version="0.0.1"))
    await system.hear(VersionRefused, "birds")
    await system.publish(system.training("nothing", location=f"{system.location('nowhere')}"))
    await system.hear(ImportRefused, "nothing")
    verify = {"model": "birds", "version": "0.0.1", "package_digest": registered.package_digest}
    await system.say(command(VerifyPackage, **verify))
    await system.hear(PackageVerified, "birds")


@pytest.fixture
async def full(bare_system: System) -> System:
    await bare_system.start(*SERVICES)
    await real_imports(bare_system)
    await everything(bare_system)
    return bare_system


@pytest.fixture
async def real(bare_system: System) -> System:
    """With what was really imported."""
    await bare_system.start(*SERVICES)
    await real_imports(bare_system)
    await bare_system.quiet()
    return bare_system


@pytest.fixture
async def small(bare_system: System) -> System:
    await bare_system.start(*SERVICES)
    await bare_system.publish(bare_system.training("flowers"))
    await bare_system.hear(ModelRegistered)
    await bare_system.quiet()
    return bare_system


@pytest.fixture
async def other_nats(tmp_path: Path) -> AsyncIterator[Server]:
    server = await start_nats(tmp_path / "other-nats", tmp_path / "other-nats.log")
    yield server
    server.process.stop()


@pytest.fixture
async def restored(bare_system: System, other_nats: Server, tmp_path: Path) -> AsyncIterator[Restore]:
    """Makes another system from a backup of the first, with copies of its artifacts; all its services run."""
    async with contextlib.AsyncExitStack() as stack:

        async def restore(backup: Path) -> System:
            folder = tmp_path / "other"
            await asyncio.to_thread(shutil.copytree, bare_system.artifacts, folder / "artifacts")
            await restore_backup(other_nats.url, backup, str(folder / "artifacts"), Silent())
            system = await make_system(other_nats.url, bare_system.mongo_uri, f"{bare_system.database}_other", folder)
            stack.push_async_callback(drop, system)
            # What was asked for and not yet imported is where the first system has it.
            await system.start("importer", allowed_roots=(bare_system.models, system.models))
            await system.start("registry", "versioning")
            return system

        yield restore


async def test_a_restored_system_answers_every_query_the_same(full: System, restored: Restore, tmp_path: Path):
    before = await answers(full)
    await make_backup(full.nats_url, tmp_path / "backup", Silent())
    said = await full.said()
    await full.stop(*SERVICES)

    other = await restored(tmp_path / "backup")
    await other.quiet()

    assert len(before) > 100
    after = await answers(other)
    assert {key: (one, after.get(key)) for key, one in before.items() if after.get(key) != one} == {}
    assert after.keys() == before.keys()
    assert [(one.subject, one.headers, one.body) for one in await other.said()] == [
        (one.subject, one.headers, one.body) for one in said
    ]
    assert await other.dead_letters() == []


async def test_a_restored_system_knows_what_it_imported_and_goes_on(real: System, restored: Restore, tmp_path: Path):
    refused_version = real.training("birds", run="V009", version="0.0.1")
    again = [real.training("flowers", run="V002"), {**real.training("flowers", run="V003")}]
    await make_backup(real.nats_url, tmp_path / "backup", Silent())
    await real.stop(*SERVICES)
    other = await restored(tmp_path / "backup")
    await asyncio.to_thread(shutil.copytree, real.models, other.models, dirs_exist_ok=True)
    here, there = str(real.models), str(other.models)

    for body in again:
        await other.publish({**body, "location": body["location"].replace(here, there)})
    await other.hear(ModelRegistered, "flowers", count=3)
    del refused_version["version"]
    await other.publish({**refused_version, "location": refused_version["location"].replace(here, there)})
    await other.hear(ModelRegistered, "birds", count=2)
    await other.quiet()

    assert await other.versions("flowers") == ["0.0.1", "0.0.2", "0.0.3"]
    assert await other.versions("birds") == ["0.0.1", "0.0.2"]


async def test_the_importers_database_is_made_anew_as_it_was(real: System, restored: Restore, tmp_path: Path):
    async def kept(system: System) -> dict[str, Any]:
        client = connect(system.mongo_uri)
        database = client[f"{system.database}_importer"]
        imports = {one["_id"]: one async for one in database["imports"].find({})}
        answered = {one["_id"]: one["body"] async for one in database["answers"].find({})}
        client.close()
        return {"imports": imports, "answers": answered}

    await make_backup(real.nats_url, tmp_path / "backup", Silent())
    before = await kept(real)
    await real.stop(*SERVICES)
    other = await restored(tmp_path / "backup")
    await other.quiet()

    assert len(before["imports"]) == 5
    assert len(before["answers"]) == 1
    assert await kept(other) == before


async def test_consumers_have_the_places_they_had(real: System, other_nats: Server, tmp_path: Path):
    backup = await make_backup(real.nats_url, tmp_path / "backup", Silent())
    await real.stop(*SERVICES)
    await restore_backup(other_nats.url, tmp_path / "backup", None, Silent())
    system = await make_system(other_nats.url, real.mongo_uri, "unused", _made(tmp_path / "other"))

    infos = [await system.client.jetstream().consumer_info(one.stream, one.durable) for one in CONSUMERS]
    await system.client.close()

    assert {info.name: info.ack_floor.stream_seq for info in infos} == {
        one.durable: one.acknowledged for one in backup.consumers
    }
    assert [info.name for info in infos if info.num_pending or info.num_ack_pending] == []


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def test_what_was_not_done_when_the_backup_was_made_is_done_after_it(
    bare_system: System, restored: Restore, tmp_path: Path
):
    system = bare_system
    await system.start("importer")
    await system.publish(system.training("flowers"))
    await system.hear(ModelImported)
    await system.quiet()
    await make_backup(system.nats_url, tmp_path / "backup", Silent())
    await system.stop("importer")

    other = await restored(tmp_path / "backup")

    await other.hear(ModelRegistered, "flowers")


async def test_the_list_of_artifacts_has_each_file_and_manifest_once_for_each_package(real: System, tmp_path: Path):
    birds = (await real.hear(ModelRegistered, "birds")).package_digest
    await real.say(an_import("import-forgotten"))
    await real.quiet()

    backup = await make_backup(real.nats_url, tmp_path / "backup", Silent())

    listed = list(artifacts_in(tmp_path / "backup"))
    assert sorted((one.path or "", one.size_bytes) for one in listed if one.package == birds) == [
        ("", len(real.blob(birds))),
        ("a/b.bin", 1),
        ("c.bin", 0),
    ]
    assert all(len(real.blob(one.digest)) == one.size_bytes for one in listed)
    assert backup.artifacts.files == len({one.digest for one in listed})
    assert (backup.artifacts.packages, backup.artifacts.missing_packages) == (4, 1)


async def test_a_backup_damaged_by_one_byte_is_refused_by_name(small: System, other_nats: Server, tmp_path: Path):
    folder = tmp_path / "backup"
    await make_backup(small.nats_url, folder, Silent())
    await small.stop(*SERVICES)
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        "COMMANDS.stream", "DEAD_LETTERS.stream", "EVENTS.stream", "SHA256SUMS", "artifacts.jsonl", "backup.json",
    ]  # fmt: skip

    for name in names:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises(ModelkinError, match="the backup is damaged") as caught:
            await restore_backup(other_nats.url, folder, None, Silent())
        if name != "SHA256SUMS":
            assert f"/{name} " in str(caught.value)
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)
    await restore_backup(other_nats.url, folder, None, Silent())


@pytest.mark.parametrize("name", ["EVENTS.stream", "SHA256SUMS", "artifacts.jsonl", "backup.json"])
async def test_a_backup_that_lacks_a_file_is_refused(small: System, tmp_path: Path, name: str):
    await make_backup(small.nats_url, tmp_path / "backup", Silent())
    (tmp_path / "backup" / name).unlink()

    with pytest.raises(ModelkinError, match=name):
        open_backup(tmp_path / "backup")


async def test_nothing_is_restored_onto_a_system_that_is_running_or_not_empty(small: System, tmp_path: Path):
    folder = tmp_path / "backup"
    await make_backup(small.nats_url, folder, Silent())

    with pytest.raises(ModelkinError, match=r"^the importer is running: stop all services before a restore$"):
        await restore_backup(small.nats_url, folder, None, Silent())
    await small.stop(*SERVICES)
    with pytest.raises(ModelkinError, match=r"^the stream EVENTS is in use \(5 messages, .*expected an empty system$"):
        await restore_backup(small.nats_url, folder, None, Silent())
    assert await small.hear(ModelRegistered)


async def test_commands_that_nobody_has_carried_out_are_not_replaced(small: System, other_nats: Server, tmp_path: Path):
    await make_backup(small.nats_url, tmp_path / "backup", Silent())
    system = await make_system(other_nats.url, small.mongo_uri, "unused", _made(tmp_path / "other"))
    await system.say(command(VerifyPackage, model="x", version="0.0.1", package_digest="sha256:" + "a" * 64))
    await system.client.close()

    with pytest.raises(ModelkinError, match=r"^the stream COMMANDS is in use"):
        await restore_backup(other_nats.url, tmp_path / "backup", None, Silent())


async def test_a_restore_that_was_cut_off_is_begun_anew(
    small: System, other_nats: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def power_goes(*_: object) -> NoReturn:
        raise RuntimeError("the power went")

    class CutOff(Silent):
        def begin(self, what: str, _: int | None) -> None:
            if what == "stream EVENTS":
                power_goes()

    await small.say(command(VerifyPackage, model="x", version="0.0.1", package_digest="sha256:" + "a" * 64))
    await small.quiet()
    backup = await make_backup(small.nats_url, tmp_path / "backup", Silent())
    await small.stop(*SERVICES)
    with pytest.raises(RuntimeError):
        await restore_backup(other_nats.url, tmp_path / "backup", None, CutOff())

    with monkeypatch.context() as patched:
        patched.setattr(restoring, "_restore_consumers", power_goes)
        with pytest.raises(RuntimeError):
            await restore_backup(other_nats.url, tmp_path / "backup", None, Silent())
    async with connected(Nats(other_nats.url, Login()), "test") as connection:
        with pytest.raises(EventsMissing, match=r"^EVENTS is being restored; .*: modelkin restore, once more$"):
            await last_of(connection.jetstream())
        await restore_backup(other_nats.url, tmp_path / "backup", None, Silent())
        assert await last_of(connection.jetstream()) == backup.stream(EVENTS_STREAM).last_sequence
    with pytest.raises(ModelkinError, match="the stream COMMANDS is in use"):
        await restore_backup(other_nats.url, tmp_path / "backup", None, Silent())

    system = await make_system(other_nats.url, small.mongo_uri, "unused", _made(tmp_path / "other"))
    counts = {
        name: (await system.client.jetstream().stream_info(name)).state.messages
        for name in (EVENTS_STREAM, COMMANDS_STREAM)
    }
    await system.client.close()
    assert counts == {one.name: one.messages for one in backup.streams if one.name in counts}
    assert counts[COMMANDS_STREAM] == 1


@pytest.mark.parametrize("damage", ["missing", "cut"])
async def test_artifacts_that_are_not_there_or_too_short_are_told_before_anything_is_restored(
    small: System, other_nats: Server, tmp_path: Path, damage: str
):
    await make_backup(small.nats_url, tmp_path / "backup", Silent())
    await small.stop(*SERVICES)
    copy = tmp_path / "copy"
    await asyncio.to_thread(shutil.copytree, small.artifacts, copy)
    digest = next(one.digest for one in artifacts_in(tmp_path / "backup") if one.path is not None)
    name = digest.removeprefix("sha256:")
    blob = copy / "blobs" / "sha256" / name[:2] / name
    blob.chmod(0o644)
    blob.unlink() if damage == "missing" else blob.write_bytes(b"x")

    what = "is not there" if damage == "missing" else "has 1 bytes instead of "
    with pytest.raises(ModelkinError, match=rf"lacks 1 artifact: {digest} {what}"):
        await restore_backup(other_nats.url, tmp_path / "backup", str(copy), Silent())
    await restore_backup(other_nats.url, tmp_path / "backup", str(small.artifacts), Silent())


async def test_a_backup_wants_a_folder_of_its_own_and_leaves_nothing_where_it_fails(small: System, tmp_path: Path):
    taken = _made(tmp_path / "taken")
    (taken / "notes.txt").write_text("mine")
    with pytest.raises(ModelkinError, match="taken is not empty: a backup wants a folder of its own"):
        await make_backup(small.nats_url, taken, Silent())
    await small.stop("importer")
    with pytest.raises(ModelkinError, match=r"answers modelkin\.qry\.v1\.file\.list"):
        await make_backup(small.nats_url, tmp_path / "failed", Silent())

    assert [path.name for path in taken.iterdir()] == ["notes.txt"]
    assert [*(tmp_path / "failed").iterdir()] == []


async def test_a_backup_is_made_while_imports_go_on(bare_system: System, restored: Restore, tmp_path: Path):
    system = bare_system
    await system.start(*SERVICES)
    bodies = [system.training(f"model-{number % 5}", f"job-{number}") for number in range(60)]

    async def publish() -> None:
        for body in bodies:
            await system.publish(body)
            await asyncio.sleep(0.02)

    publishing = asyncio.create_task(publish())
    await system.hear(ModelRegistered, count=10)
    backup = await make_backup(system.nats_url, tmp_path / "backup", Silent())
    await publishing
    await system.hear(ModelRegistered, count=60, timeout_s=60)
    await system.quiet()
    await system.stop(*SERVICES)

    other = await restored(tmp_path / "backup")
    await other.quiet(60)

    events = backup.stream(EVENTS_STREAM)
    requests = [one for one in (await system.said())[: events.last_sequence] if "training.succeeded" in one.subject]
    ids = {one.headers["ce-id"] for one in requests}
    assert 10 <= len(requests) <= 60

    async def all_registered() -> bool:
        there = {one.envelope.correlation_id for one in await other.all_of(ModelRegistered)}
        return ids <= there

    await eventually(all_registered)
    numbers = {f"model-{n}": await other.versions(f"model-{n}") for n in range(5)}
    for found in numbers.values():
        assert found == [f"0.0.{number}" for number in range(1, len(found) + 1)]


async def test_a_backup_that_counts_events_it_does_not_have_makes_a_system_that_goes_on(
    bare_system: System, other_nats: Server, tmp_path: Path
):
    system = bare_system
    await system.start("importer")
    here = system.client.jetstream()

    async def flood() -> None:
        while True:
            await here.publish("modelkin.evt.v1.version.released.0.resnet50", b"?")

    flooding = [asyncio.create_task(flood()) for _ in range(8)]
    async with connected(Nats(other_nats.url, Login()), "test") as connection:
        there = connection.jetstream()
        for number in range(MANY_BACKUPS):
            backup = await make_backup(system.nats_url, tmp_path / f"backup-{number}", Silent())
            await restore_backup(other_nats.url, tmp_path / f"backup-{number}", None, Silent())
            state = (await there.stream_info(EVENTS_STREAM)).state
            if state.num_deleted:
                break
            for name in (EVENTS_STREAM, COMMANDS_STREAM, DEAD_LETTERS_STREAM):
                await there.delete_stream(name)
        for one in flooding:
            one.cancel()

        assert state.num_deleted, "no snapshot was made while an event arrived"
        assert state.messages >= backup.stream(EVENTS_STREAM).messages
        assert await last_of(there) == state.last_seq
        last = await there.publish("modelkin.evt.v1.version.released.0.resnet50", b"?")
        assert await last_of(there) == last.seq == state.last_seq + 1
        assert [one.level for one in await streams(there)] == ["ok", "ok", "ok"]
        await there.delete_msg(EVENTS_STREAM, 2)
        with pytest.raises(EventsMissing, match="EVENTS lacks"):
            await last_of(there)
        found = {one.check: one for one in await streams(there)}[f"stream {EVENTS_STREAM}"]
        assert (found.level, "lacks" in found.message) == ("wrong", True)


def test_the_commands_say_what_they_did(tmp_path: Path):
    runner = CliRunner()
    result = runner.invoke(backing_up.app, ["backup", str(tmp_path / "b"), "--nats", "nats://127.0.0.1:1"])

    assert isinstance(result.exception, ModelkinError)
    assert "no NATS server answers" in str(result.exception)
    assert Backup.model_fields["format"].default == 1
