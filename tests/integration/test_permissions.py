"""What each user of NATS may publish and hear: exactly the table here, tried on a real server; everything else is denied."""

import asyncio
import re
from collections.abc import Iterator

import pytest

from shared.connection import opened, settle
from shared.messages import COMMANDS, EVENTS, LIVE
from shared.queries import QUERIES
from shared.subjects import CONSUMERS
from tests.secured import SecuredNats, start_secured_nats

USERS = (
    *("importer", "registry", "versioning", "topology", "admin"),
    *("training-0", "deployer-0", "subscriber-0", "operator-0"),
    *("training-lab", "deployer-lab", "subscriber-lab", "operator-lab"),
)
VIOLATION = re.compile(r'permissions violation for (?:publish|subscription) to "([^"]+)"', re.IGNORECASE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredNats]:
    """Without streams: what is allowed does nothing."""
    server = asyncio.run(start_secured_nats(tmp_path_factory.mktemp("permissions"), ("0", "lab")))
    yield server
    server.process.stop()


def events(*names: str, workspace: str = "0") -> set[str]:
    return {f"modelkin.evt.v1.{name}.{workspace}.m" for name in names}


def everywhere(*names: str) -> set[str]:
    return events(*names) | events(*names, workspace="lab")


def live(*names: str) -> set[str]:
    return {f"modelkin.live.v1.{name}.{workspace}.m" for name in names for workspace in ("0", "lab")}


def consuming(*durables: str) -> set[str]:
    streams = {
        "importer-on-import-model": "COMMANDS",
        "importer-on-verify-package": "COMMANDS",
        "importer-on-collect-garbage": "COMMANDS",
        "versioning-on-rebuild": "COMMANDS",
        "versioning-on-recall-version": "COMMANDS",
        "registry-on-rebuild": "COMMANDS",
        "registry-on-commands": "COMMANDS",
    }
    places = {durable: f"{streams.get(durable, 'EVENTS')}.{durable}" for durable in durables}
    return {
        f"{subject}.{place}"
        for place in places.values()
        for subject in ("$JS.API.CONSUMER.INFO", "$JS.API.CONSUMER.MSG.NEXT")
    } | {
        *(f"$JS.ACK.{place}.1.1.1.1.1" for place in places.values()),
        *(f"modelkin.dlq.{durable}" for durable in durables),
    }


def projecting(service: str) -> set[str]:
    of = {"modelkin.evt.v1.projection.rebuilt", "modelkin.live.v1.projection.progressed"}
    return {f"{address}.{workspace}.{service}" for address in of for workspace in ("0", "lab")}


def pausing(*places: str) -> set[str]:
    return {f"$JS.API.CONSUMER.PAUSE.{place}" for place in places}


READING_EVENTS = {
    "$JS.API.STREAM.INFO.EVENTS",
    "$JS.API.STREAM.INFO.COMMANDS",
    "$JS.API.STREAM.INFO.DEAD_LETTERS",
    "$JS.API.STREAM.MSG.GET.EVENTS",
    "$JS.API.STREAM.MSG.GET.COMMANDS",
    "$JS.API.STREAM.MSG.GET.DEAD_LETTERS",
    "$JS.API.DIRECT.GET.EVENTS",
    "$JS.API.DIRECT.GET.EVENTS.modelkin.evt.v1.model.imported.0.m",
    "$JS.API.CONSUMER.CREATE.EVENTS.modelkin-log-1",
    "$JS.API.CONSUMER.CREATE.EVENTS.modelkin-log-1.modelkin.evt.v1.model.imported.*.*",
    "$JS.API.CONSUMER.INFO.EVENTS.modelkin-log-1",
    "$JS.API.CONSUMER.MSG.NEXT.EVENTS.modelkin-log-1",
    "$JS.API.CONSUMER.DELETE.EVENTS.modelkin-log-1",
    # It may look at every consumer of EVENTS, and take from its own.
    *(f"$JS.API.CONSUMER.INFO.EVENTS.{one.durable}" for one in CONSUMERS if one.stream == "EVENTS"),
    "$JS.API.CONSUMER.INFO.EVENTS.subscriber-0",
    "$JS.API.CONSUMER.INFO.EVENTS.subscriber-lab",
    "$JS.API.CONSUMER.INFO.EVENTS.deployer-0",
    "$JS.API.CONSUMER.MSG.NEXT.EVENTS.subscriber-0",
    "$JS.API.CONSUMER.MSG.NEXT.EVENTS.subscriber-lab",
    "$JS.API.CONSUMER.MSG.NEXT.EVENTS.deployer-0",
    "$JS.API.CONSUMER.DELETE.EVENTS.subscriber-0",
    "$JS.API.CONSUMER.DELETE.EVENTS.subscriber-lab",
    "$JS.API.CONSUMER.DELETE.EVENTS.deployer-0",
}
INBOXES = {f"_INBOX.{user}.x" for user in USERS} | {"_INBOX.x", "_R_.x.y"}
PINGS = {f"modelkin.qry.v1.service.ping.{service}" for service in ("importer", "registry", "versioning")}
OPEN_QUESTIONS = PINGS | {
    "modelkin.qry.v1.template.list",
    "modelkin.qry.v1.template.get",
    "modelkin.qry.v1.file.list",
}
QUESTIONS = {
    "model.list",
    "model.get",
    "version.list",
    "version.get",
    "version.best",
    "alias.list",
    "history.get",
    "deployment.get",
    "import.get",
    "job.list",
    "lineage.get",
    "lineage.affected",
}
OPERATOR_COMMANDS = {
    "model.import",
    "package.verify",
    "version.release",
    "version.lift",
    "version.edit",
    "version.delete",
    "version.deploy",
    "version.download",
    "version.recall",
    "alias.move",
    "service.rollout",
}


def asking(*names: str) -> set[str]:
    return {f"modelkin.qry.v1.{name}.0" for name in names}


def own_consumer(name: str) -> set[str]:
    return {
        f"$JS.API.CONSUMER.INFO.EVENTS.{name}",
        f"$JS.API.CONSUMER.MSG.NEXT.EVENTS.{name}",
        f"$JS.ACK.EVENTS.{name}.1.1.1.1.1",
    }


MAY_PUBLISH: dict[str, set[str]] = {
    "importer": everywhere(
        "import.started",
        "model.imported",
        "import.refused",
        "artifact.corrupted",
        "package.verified",
        "garbage.collected",
        "letter.added",
        "command.refused",
    )
    | live("import.progressed")
    | {"modelkin.qry.v1.grant.get"}
    | consuming(
        "importer-on-training-succeeded",
        "importer-on-auto-learning-deployed",
        "importer-on-import-model",
        "importer-on-version-refused",
        "importer-on-version-deleted",
        "importer-on-verify-package",
        "importer-on-collect-garbage",
    )
    | READING_EVENTS
    | INBOXES,
    "registry": everywhere(
        "model.registered",
        "version.released",
        "restriction.lifted",
        "alias.moved",
        "version.edited",
        "version.deleted",
        "deletion.reported",
        "deployment.requested",
        "rollout.requested",
        "download.granted",
        "letter.added",
        "command.refused",
    )
    | projecting("registry")
    | consuming(
        "registry-on-model-imported",
        "registry-on-version-assigned",
        "registry-on-version-refused",
        "registry-on-changes",
        "registry-on-answers",
        "registry-on-reports",
        "registry-on-commands",
        "registry-on-rebuild",
    )
    | pausing(
        "EVENTS.registry-on-model-imported",
        "EVENTS.registry-on-version-assigned",
        "EVENTS.registry-on-version-refused",
        "EVENTS.registry-on-changes",
        "EVENTS.registry-on-answers",
        "EVENTS.registry-on-reports",
        "COMMANDS.registry-on-commands",
        "COMMANDS.registry-on-rebuild",
    )
    | READING_EVENTS
    | INBOXES,
    "versioning": everywhere(
        "version.assigned",
        "version.refused",
        "lineage.extended",
        "version.restricted",
        "version.affected",
        "recall.traced",
        "letter.added",
        "command.refused",
    )
    | projecting("versioning")
    | consuming(
        "versioning-on-model-imported",
        "versioning-on-changes",
        "versioning-on-recall-version",
        "versioning-on-dataset-recalled",
        "versioning-on-rebuild",
    )
    | pausing(
        "EVENTS.versioning-on-model-imported",
        "EVENTS.versioning-on-changes",
        "COMMANDS.versioning-on-recall-version",
        "EVENTS.versioning-on-dataset-recalled",
        "COMMANDS.versioning-on-rebuild",
    )
    | READING_EVENTS
    | INBOXES,
    "topology": {"$JS.API.INFO"}
    | {
        f"$JS.API.STREAM.{what}.{stream}"
        for what in ("INFO", "CREATE", "UPDATE")
        for stream in ("EVENTS", "COMMANDS", "DEAD_LETTERS")
    }
    | {
        subject
        for one in CONSUMERS
        for subject in (
            f"$JS.API.CONSUMER.INFO.{one.stream}.{one.durable}",
            f"$JS.API.CONSUMER.CREATE.{one.stream}.{one.durable}",
            f"$JS.API.CONSUMER.CREATE.{one.stream}.{one.durable}.x.y",
            f"$JS.API.CONSUMER.DURABLE.CREATE.{one.stream}.{one.durable}",
        )
    },
    "training-0": events("training.succeeded", "autolearning.deployed") | asking("import.get") | PINGS,
    "deployer-0": events("deployment.started", "deployment.ready", "deployment.failed", "deployment.stopped")
    | asking("version.get", "deployment.get")
    | {"modelkin.qry.v1.file.list", "modelkin.qry.v1.file.read.0.shop"}
    | own_consumer("deployer-0")
    | PINGS,
    "subscriber-0": asking(*QUESTIONS) | OPEN_QUESTIONS | own_consumer("subscriber-0"),
    "operator-0": events("dataset.recalled")
    | {f"modelkin.cmd.v1.{name}.0.m.operator-0" for name in OPERATOR_COMMANDS}
    | asking(*QUESTIONS)
    | OPEN_QUESTIONS
    | {"modelkin.qry.v1.file.read.0.~"},
}
PUBLISHED = frozenset().union(
    *(
        {f"{kind.address}.0.{topic}", f"{kind.address}.lab.{topic}"}
        for kind in (*EVENTS, *LIVE)
        for topic in (("registry", "versioning") if "projection" in kind.address else ("m",))
    ),
    *(
        {f"{kind.address}.{workspace}.m{actor}"}
        for kind in COMMANDS
        for workspace in ("0", "lab")
        for actor in ("", ".~", *(f".{user}" for user in USERS))
    ),
    *({query.address, f"{query.address}.0", f"{query.address}.lab"} for query in QUERIES),
    PINGS,
    {f"modelkin.qry.v1.service.examine.{service}" for service in ("importer", "registry", "versioning")},
    {f"modelkin.qry.v1.file.read.{workspace}.{reader}" for workspace in ("0", "lab") for reader in ("~", "shop")},
    {
        f"$JS.API.CONSUMER.{what}.{one.stream}.{one.durable}"
        for what in ("INFO", "MSG.NEXT", "PAUSE", "RESET", "UNPIN", "CREATE", "DURABLE.CREATE", "DELETE")
        for one in CONSUMERS
    },
    {f"$JS.API.CONSUMER.CREATE.{one.stream}.{one.durable}.x.y" for one in CONSUMERS},
    {f"$JS.ACK.{one.stream}.{one.durable}.1.1.1.1.1" for one in CONSUMERS},
    {f"modelkin.dlq.{one.durable}" for one in CONSUMERS},
    {
        f"$JS.API.STREAM.{what}.{stream}"
        for what in ("INFO", "CREATE", "UPDATE", "DELETE", "PURGE", "SNAPSHOT", "RESTORE", "MSG.GET", "MSG.DELETE")
        for stream in ("EVENTS", "COMMANDS", "DEAD_LETTERS", "OTHER")
    },
    {"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.CONSUMER.LIST.EVENTS", "$JS.FC.x"},
    {f"$JS.API.DIRECT.GET.{stream}" for stream in ("EVENTS", "COMMANDS", "DEAD_LETTERS")},
    {f"$JS.API.CONSUMER.CREATE.{stream}.x" for stream in ("COMMANDS", "DEAD_LETTERS")},
    {
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.ACCOUNT.PING.CONNZ",
        "anything",
        "modelkin",
        "modelkin.evt.v2.model.imported.0.m",
    },
    READING_EVENTS,
    INBOXES,
    *(own_consumer(name) for name in ("subscriber-0", "deployer-0", "subscriber-lab")),
)


def heard(*names: str, workspace: str = "0") -> set[str]:
    return {f"modelkin.evt.v1.{name}.{workspace}.*" for name in names}


def answering(service: str, *names: str) -> set[str]:
    about = {f"modelkin.qry.v1.service.{what}.{service}" for what in ("ping", "examine")}
    return about | {f"modelkin.qry.v1.{name}" for name in names}


def in_workspaces(*names: str) -> set[str]:
    return {f"modelkin.qry.v1.{name}.{which}" for name in names for which in ("*", "0", "lab")}


ALL_OF_WORKSPACE = {f"{kind.address}.0.*" for kind in (*EVENTS, *LIVE)} | {
    "modelkin.evt.v1.*.*.0.*",
    "modelkin.live.v1.*.*.0.*",
}
MAY_HEAR: dict[str, set[str]] = {
    "importer": answering("importer", "job.list", "template.list", "template.get", "file.list")
    | in_workspaces("job.list")
    | {f"modelkin.evt.v1.model.registered.{workspace}.*" for workspace in ("0", "lab", "*")}
    | {"modelkin.qry.v1.file.read.*.*", "_INBOX.importer.>"},
    "registry": answering(
        "registry",
        "model.list",
        "model.get",
        "version.list",
        "version.get",
        "version.best",
        "alias.list",
        "history.get",
        "deployment.get",
        "grant.get",
        "import.get",
    )
    | in_workspaces(
        "model.list",
        "model.get",
        "version.list",
        "version.get",
        "version.best",
        "alias.list",
        "history.get",
        "deployment.get",
        "import.get",
    )
    | {"_INBOX.registry.>", "$JS.ACK.>"},
    "versioning": answering("versioning", "lineage.get", "lineage.affected")
    | in_workspaces("lineage.get", "lineage.affected")
    | {"_INBOX.versioning.>", "$JS.ACK.>"},
    "topology": {"_INBOX.topology.>"},
    "training-0": heard(
        "import.started",
        "import.refused",
        "model.imported",
        "model.registered",
        "version.assigned",
        "version.refused",
        "letter.added",
    )
    | {"modelkin.live.v1.import.progressed.0.*", "_INBOX.training-0.>"},
    "deployer-0": heard("deployment.requested", "rollout.requested", "letter.added") | {"_INBOX.deployer-0.>"},
    "subscriber-0": ALL_OF_WORKSPACE | {"_INBOX.subscriber-0.>"},
    "operator-0": ALL_OF_WORKSPACE | {"_INBOX.operator-0.>"},
}
SUBSCRIBED = frozenset().union(
    *({f"{kind.address}.{which}.*" for which in ("0", "lab", "*")} for kind in (*EVENTS, *LIVE)),
    {f"{kind.address}.*.*{rest}" for kind in COMMANDS for rest in ("", ".*")},
    *({query.address, *in_workspaces(query.address.removeprefix("modelkin.qry.v1."))} for query in QUERIES),
    {
        f"modelkin.qry.v1.service.{what}.{service}"
        for what in ("ping", "examine")
        for service in ("importer", "registry", "versioning")
    },
    {
        "modelkin.qry.v1.file.read.*.*",
        "modelkin.qry.v1.>",
        "modelkin.cmd.v1.>",
        "modelkin.evt.v1.>",
        "modelkin.live.v1.>",
    },
    {
        f"modelkin.{what}.v1.*.*.{workspace}.*"
        for what in ("evt", "live", "cmd", "*")
        for workspace in ("0", "lab", "*")
    },
    {
        "modelkin.dlq.*",
        "modelkin.>",
        ">",
        "*",
        "$JS.>",
        "$JS.API.>",
        "$JS.ACK.>",
        "$JS.EVENT.>",
        "$SYS.>",
        "_R_.>",
        "_INBOX.>",
    },
    {f"_INBOX.{user}.>" for user in USERS},
)


async def tried(server: SecuredNats, user: str, *, published: bool) -> set[str]:
    """Everything there is, tried over one connection; returns what was not denied."""
    denied: set[str] = set()

    async def hear(error: Exception) -> None:
        found = VIOLATION.search(str(error))
        assert found, error
        denied.add(found[1])

    async def nothing(_: object) -> None: ...

    connection = await opened(server.as_user(user), error_cb=hear)
    # nats-py gives what the server says in small letters.
    wanted = {subject.lower(): subject for subject in (PUBLISHED if published else SUBSCRIBED)}
    for subject in sorted(wanted.values()):
        if published:
            await connection.publish(subject, b"")
        else:
            await connection.subscribe(subject, cb=nothing)
    await settle(connection)
    await connection.close()
    assert denied <= wanted.keys(), denied - wanted.keys()
    return {subject for small, subject in wanted.items() if small not in denied}


@pytest.mark.parametrize("user", MAY_PUBLISH)
async def test_a_user_may_publish_what_is_in_its_table_and_nothing_else(server: SecuredNats, user: str):
    allowed = await tried(server, user, published=True)

    assert allowed == MAY_PUBLISH[user]


@pytest.mark.parametrize("user", MAY_HEAR)
async def test_a_user_may_hear_what_is_in_its_table_and_nothing_else(server: SecuredNats, user: str):
    allowed = await tried(server, user, published=False)

    assert allowed == MAY_HEAR[user]


@pytest.mark.parametrize("kind", ["training", "deployer", "subscriber", "operator"])
async def test_users_of_another_workspace_may_the_same_there(server: SecuredNats, kind: str):
    publish = await tried(server, f"{kind}-lab", published=True)
    hear = await tried(server, f"{kind}-lab", published=False)

    assert not {one for one in publish | hear if ".0." in one or one.endswith((".0", f"{kind}-0.>"))}
    assert f"_INBOX.{kind}-lab.>" in hear
    assert {one.replace("lab", "0") for one in publish | hear} >= MAY_PUBLISH[f"{kind}-0"] - own_consumer(f"{kind}-0")
