"""The whole system with a user for each part: an import from end to end, by those who have a part in it and by nobody else."""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from deploy.topology import apply
from modelkin.backup.making import make_backup
from modelkin.backup.restoring import restore_backup
from modelkin.client import Client, NotAnswered
from modelkin.connecting import Denied
from modelkin.doctor.examining import examine
from modelkin.downloading import download_version
from modelkin.errors import ModelkinError
from modelkin.processes import Process, start, stopping
from shared.connection import connected, settle
from shared.envelope import Envelope
from shared.messages import (
    AliasMoved,
    DeploymentReady,
    DeploymentRequested,
    DeployVersion,
    DownloadVersion,
    Message,
    ModelRegistered,
    MoveAlias,
    ProjectionRebuilt,
    RebuildRegistry,
    TrainingSucceeded,
)
from shared.queries import GetImport, GetVersion, ImportStatus, ListVersions, Ping, Pong, VersionDetails, VersionPage
from tests.integration.system import PATIENCE_S, SERVICES, eventually
from tests.secured import SecuredNats, start_secured_nats

As = Callable[[str], None]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SecuredNats]:
    server = await start_secured_nats(tmp_path, ("0", "lab"))
    yield server
    server.process.stop()


@pytest.fixture
def as_user(server: SecuredNats, monkeypatch: pytest.MonkeyPatch) -> As:
    """Be another user from now on, as the command line is by its environment."""

    def become(user: str) -> None:
        for name, value in server.environment(user).items():
            monkeypatch.setenv(name, value)

    return become


@pytest.fixture
async def topology(server: SecuredNats) -> None:
    async with connected(server.as_user("topology"), "topology") as connection:
        async for _ in apply(connection.jetstream()):
            pass


@pytest.fixture
async def services(
    server: SecuredNats, topology: None, mongo_uri: str, database_name: str, tmp_path: Path
) -> AsyncIterator[list[Process]]:
    """A process of each service, as its own user."""
    (tmp_path / "models").mkdir()
    common = {
        "MODELKIN_MONGO_URI": mongo_uri,
        "MODELKIN_MONGO_DATABASE": database_name,
        "MODELKIN_ARTIFACTS": str(tmp_path / "artifacts"),
        "MODELKIN_ALLOWED_ROOTS": str(tmp_path / "models"),
    }
    async with stopping() as processes:
        for name in SERVICES:
            command = [sys.executable, "-m", f"services.{name}"]
            processes.append(start(name, command, tmp_path / f"{name}.log", {**common, **server.environment(name)}))
        yield processes


def envelope(message_id: str) -> Envelope:
    return Envelope.of_request(message_id, "someone", datetime.now(UTC))


def training(folder: Path, workspace: str = "0") -> TrainingSucceeded:
    model = folder / "models" / workspace / "resnet"
    model.mkdir(parents=True, exist_ok=True)
    (model / "model.bin").write_bytes(b"weights of " + workspace.encode())
    return TrainingSucceeded(
        envelope=envelope(f"train-{workspace}"),
        workspace=workspace,
        model="resnet",
        job={"id": "job", "version": "V001"},
        location=model.as_uri(),
        built_in_algorithm="resnet_v1_50",
        metrics={"f1": 0.9},
    )


async def trained(url: str, folder: Path, workspace: str = "0") -> ImportStatus:
    request = training(folder, workspace)
    async with Client.connected(url) as client:
        heard: asyncio.Queue[Msg] = asyncio.Queue()
        await client.connection.subscribe(f"{ModelRegistered.address}.{workspace}.*", cb=heard.put)
        await settle(client.connection)
        await client.publish(request)
        await asyncio.wait_for(heard.get(), PATIENCE_S)
        status = await client.status_of(request.import_id, workspace)
    assert status is not None
    return status


async def all_ready(url: str) -> None:
    async with Client.connected(url) as client:

        async def answered() -> bool:
            try:
                for name in SERVICES:
                    await client.ask(Ping(), Pong, to=name)
            except ModelkinError:
                return False
            return True

        await eventually(answered, "every service answers")


async def done(client: Client, command: Message, end: type[Message]) -> Message:
    return [said async for said in client.carry_out(command, end)][-1]


class Silent:
    def begin(self, *_: object) -> None: ...

    def advance(self, more: int) -> None: ...


@pytest.mark.usefixtures("services")
async def test_a_model_is_trained_named_deployed_and_downloaded_by_four_users_of_a_workspace(
    server: SecuredNats, as_user: As, tmp_path: Path
):
    as_user("training-0")
    await all_ready(server.url)
    status = await trained(server.url, tmp_path)
    assert status.status == "published"

    as_user("operator-0")
    about = {"model": "resnet", "workspace": "0"}
    async with Client.connected(server.url) as client:
        moved = await done(
            client, MoveAlias(envelope=envelope("a"), alias="champion", version="0.0.1", **about), AliasMoved
        )
        deploying = DeployVersion(envelope=envelope("d"), version="0.0.1", service="shop", mode="real-time", **about)
        requested = await done(client, deploying, DeploymentRequested)
        page = await client.ask(ListVersions(workspace="0"), VersionPage)
    assert isinstance(moved, AliasMoved)
    assert moved.by == "operator-0"
    assert isinstance(requested, DeploymentRequested)
    assert [one.version for one in page.versions] == ["0.0.1"]
    got = await download_version(
        server.url,
        lambda: DownloadVersion(envelope=envelope("b"), version="0.0.1", **about),
        tmp_path / "got",
        Silent(),
        force=False,
        patience_s=PATIENCE_S,
    )
    assert got.files == 1
    assert (tmp_path / "got" / "model.bin").read_bytes() == b"weights of 0"

    as_user("deployer-0")
    async with Client.connected(server.url) as client:
        await client.publish(DeploymentReady(envelope=envelope("r"), service="shop", version="0.0.1", **about))

        async def serves() -> bool:
            details = await client.ask(GetVersion(**about), VersionDetails)
            return [one.state for one in details.services] == ["ready"]

        await eventually(serves, "the report is heard")

    as_user("subscriber-0")
    async with Client.connected(server.url) as client:
        following = client.follow("modelkin.evt.v1.*.*.0.*")
        heard = asyncio.ensure_future(anext(following))
        as_user("deployer-0")
        async with Client.connected(server.url) as deployer:
            # It is denied the stream first, and hears what is said after that.
            for number in itertools.count():
                ready = DeploymentReady(envelope=envelope(f"again-{number}"), service="shop", version="0.0.1", **about)
                await deployer.publish(ready)
                if (await asyncio.wait({heard}, timeout=0.1))[0]:
                    break
        assert isinstance(heard.result(), DeploymentReady)
        await following.aclose()


@pytest.mark.usefixtures("services")
async def test_an_administrator_examines_backs_up_and_rebuilds_what_another_workspace_learns_nothing_of(
    server: SecuredNats, as_user: As, tmp_path: Path
):
    as_user("training-lab")
    await all_ready(server.url)
    outcome = await trained(server.url, tmp_path, "lab")

    await check_that_nothing_is_learnt(server, as_user, outcome.import_id)

    as_user("admin")
    findings = await examine(server.url)
    backup = await make_backup(server.url, tmp_path / "backup", Silent())
    async with Client.connected(server.url) as client:
        rebuilt = await done(client, RebuildRegistry(envelope=envelope("rebuild")), ProjectionRebuilt)
        history = [one async for one in client.history("modelkin.evt.v1.*.*.lab.resnet")]
        page = await client.ask(ListVersions(workspace="lab"), VersionPage)

    assert [str(one) for one in findings if one.level == "wrong"] == []
    assert backup.artifacts.packages == 1
    assert isinstance(rebuilt, ProjectionRebuilt)
    assert len(history) == 5
    assert [one.version for one in page.versions] == ["0.0.1"]


async def check_that_nothing_is_learnt(server: SecuredNats, as_user: As, import_id: str) -> None:
    as_user("operator-0")
    async with Client.connected(server.url) as client:
        with pytest.raises(Denied, match=r"publish on modelkin\.qry\.v1\.version\.get\.lab"):
            await client.ask(GetVersion(workspace="lab", model="resnet"), VersionDetails)
        with pytest.raises(Denied, match=r"publish on modelkin\.cmd\.v1\.alias\.move\.lab\.resnet\.operator-0"):
            await client.publish(
                MoveAlias(envelope=envelope("x"), workspace="lab", model="resnet", alias="a", version="0.0.1")
            )
        # Its own workspace on the subject, the other one in the body.
        body = b'{"workspace": "lab", "model": "resnet"}'
        answer = await client.connection.request("modelkin.qry.v1.version.get.0", body, timeout=PATIENCE_S)
        assert b"expected the same" in answer.data
        body = b'{"import_id": "%s"}' % import_id.encode()
        answer = await client.connection.request("modelkin.qry.v1.import.get.0", body, timeout=PATIENCE_S)
        assert b"import-not-found" in answer.data
        with pytest.raises(Denied, match=r"operator-0 publish on \$js\.api\.info: it is for administrators"):
            await client.unless_denied(client.jetstream.account_info())
        with pytest.raises(Denied, match="'modelkin history' and 'watch' are for all"):
            await anext(client.history("modelkin.evt.v1.*.*.0.resnet"))
        with pytest.raises(Denied, match="--workspace names one that it may"):
            await anext(client.follow("modelkin.evt.v1.*.*.*.*"))
        with pytest.raises(NotAnswered):
            await client.ask(GetImport(workspace="0", import_id=import_id), ImportStatus)


FORBIDDEN = (
    "modelkin.cmd.v1.registry.rebuild.0.registry.admin",
    "modelkin.cmd.v1.garbage.collect.0.artifacts",
    "modelkin.evt.v1.model.registered.lab.resnet",
    "$JS.API.STREAM.DELETE.EVENTS",
)


@pytest.mark.usefixtures("topology")
@pytest.mark.usefixtures("topology")
async def test_an_administrator_backs_up_and_restores_what_others_are_denied_at_once(
    server: SecuredNats, as_user: As, tmp_path: Path
):
    denied = "NATS does not let operator-0 publish on .*: it is for administrators"
    as_user("admin")
    made = await make_backup(server.url, tmp_path / "made", Silent())
    as_user("operator-0")
    with pytest.raises(Denied, match=denied):
        await make_backup(server.url, tmp_path / "denied", Silent())
    with pytest.raises(Denied, match=denied):
        await restore_backup(server.url, tmp_path / "made", None, Silent())
    as_user("admin")
    restored = await restore_backup(server.url, tmp_path / "made", None, Silent())

    assert [*(tmp_path / "denied").iterdir()] == []
    assert restored == made


@pytest.mark.usefixtures("topology")
async def test_a_confirmation_cannot_be_sent_where_its_asker_may_not_publish(server: SecuredNats, tmp_path: Path):
    heard: list[str] = []

    async def hear(message: object) -> None:
        heard.append(getattr(message, "subject", ""))

    async with (
        connected(server.as_user("admin"), "admin") as admin,
        connected(server.as_user("training-0"), "training") as trainer,
    ):
        await admin.subscribe("modelkin.>", cb=hear)
        await settle(admin)
        request = training(tmp_path)
        for reply in FORBIDDEN:
            await trainer.publish(request.subject, request.body().encode(), reply=reply)
        await settle(trainer)

        async def kept() -> bool:
            return (await admin.jetstream().stream_info("EVENTS")).state.messages == len(FORBIDDEN)

        await eventually(kept, "the stream keeps them, and is there still")
        await settle(admin)

    assert heard == [request.subject] * len(FORBIDDEN)
