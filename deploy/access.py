"""Who may publish and hear what on NATS: users and their subjects, made from the messages, the queries and the consumers.

    MODELKIN              an account of its own, with the streams
    ├── importer, registry, versioning    what each says, answers and consumes
    ├── topology                          makes streams and consumers
    └── admin                             an operator of the whole system: every workspace, every stream
    workspace-<W>         an account for each workspace; of the other it sees its own subjects alone
    ├── training-<W>      says what was trained, hears what comes of it
    ├── deployer-<W>      hears what is to be deployed, fetches its bytes, says how it went
    ├── subscriber-<W>    hears every event, asks every question
    └── operator-<W>      that, and sends commands in its own name

A reply goes where the asker says, whatever the asker may publish: within one account a user could have NATS write the
confirmation of an event into the commands of others. Between accounts it cannot, so a workspace is one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.messages import (
    COMMANDS,
    EVENTS,
    LIVE,
    CommandRefused,
    DatasetRecalled,
    DeadLetterAdded,
    DeploymentReport,
    DeploymentRequested,
    ImportProgressed,
    ImportRefused,
    ImportStarted,
    Message,
    ModelImported,
    ModelMessage,
    ModelRegistered,
    ProjectionRebuilt,
    RebuildProgressed,
    RolloutRequested,
    VersionAssigned,
    VersionRefused,
)
from shared.naming import UNNAMEABLE
from shared.queries import (
    QUERIES,
    SERVICES,
    Examine,
    FindBest,
    GetAffected,
    GetGrant,
    GetHistory,
    GetImport,
    GetLineage,
    GetModel,
    GetService,
    GetTemplate,
    GetVersion,
    ListAliases,
    ListFiles,
    ListJobVersions,
    ListModels,
    ListTemplates,
    ListVersions,
    Ping,
    Query,
    ReadBytes,
    is_of_workspace,
)
from shared.subjects import (
    COMMANDS_STREAM,
    CONSUMERS,
    DEAD_LETTERS,
    DEAD_LETTERS_STREAM,
    EVENTS_STREAM,
    Consumer,
)

ACCOUNT = "MODELKIN"
STREAMS = (EVENTS_STREAM, COMMANDS_STREAM, DEAD_LETTERS_STREAM)
ANSWERED: dict[str, tuple[type[Query], ...]] = {
    "importer": (ListFiles, ListJobVersions, ListTemplates, GetTemplate, ReadBytes),
    "registry": (
        ListModels,
        GetModel,
        ListVersions,
        FindBest,
        GetVersion,
        ListAliases,
        GetHistory,
        GetService,
        GetGrant,
        GetImport,
    ),
    "versioning": (GetLineage, GetAffected),
}
ASKED: dict[str, tuple[type[Query], ...]] = {"importer": (GetGrant,)}
# Beside what its consumers bring: the importer measures how long it takes until a version is there.
HEARD: dict[str, tuple[type[Message], ...]] = {"importer": (ModelRegistered,)}
# Those that keep what EVENTS says, and stop their consumers while they make it anew.
PROJECTIONS = ("registry", "versioning")
SAID_BY_ALL = (CommandRefused, DeadLetterAdded)
SAID_OF_A_SERVICE = (ProjectionRebuilt, RebuildProgressed)
OUTCOMES = (
    ImportStarted,
    ModelImported,
    VersionAssigned,
    ModelRegistered,
    ImportRefused,
    VersionRefused,
    DeadLetterAdded,
    ImportProgressed,
)
TO_DEPLOY = (DeploymentRequested, RolloutRequested, DeadLetterAdded)
# Grants, and what a process says of its machine, are for the system itself; bytes have subjects of their own.
_NOT_FOR_WORKSPACES = (GetGrant, Examine, Ping, ReadBytes)
KINDS = ("training", "deployer", "subscriber", "operator")


@dataclass(frozen=True, slots=True)
class User:
    """A user of NATS; what is not named here, it may not do."""

    name: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    not_publish: tuple[str, ...] = ()

    @property
    def inbox(self) -> str:
        return f"_INBOX.{self.name}.>"


def system_users() -> tuple[User, ...]:
    """Those of the account MODELKIN."""
    return (*(_service(name) for name in SERVICES), _topology(), _admin())


def workspace_users(workspace: str) -> tuple[User, ...]:
    """Those of one workspace."""
    return tuple(make(workspace) for make in (_training, _deployer, _subscriber, _operator))


def _service(name: str) -> User:
    own = [consumer for consumer in CONSUMERS if consumer.durable.startswith(f"{name}-")]
    others = [consumer for consumer in CONSUMERS if consumer not in own]
    answers = [subject for query in ANSWERED[name] for subject in _answered_on(query)]
    about_it = [f"{query.address}.{name}" for query in (Ping, Examine)]
    publish = [
        *_said_by_service(name),
        *(query.address for query in ASKED.get(name, ())),
        *(subject for consumer in own for subject in _consuming(consumer)),
        *_reading_events(),
        *(_pausing(own) if name in PROJECTIONS else ()),
        # Replies, within the account and to those of workspaces.
        "_INBOX.>",
        "_R_.>",
    ]
    acknowledgements = ("$JS.ACK.>",) if name in PROJECTIONS else ()
    heard = (f"{kind.address}.*.*" for kind in HEARD.get(name, ()))
    hears = (*answers, *about_it, *heard, f"_INBOX.{name}.>", *acknowledgements)
    return User(name, tuple(publish), hears, tuple(_not_meddling(others, own)))


def _said_by_service(name: str) -> Iterable[str]:
    for kind in (*EVENTS, *LIVE):
        if kind.said_by == f"modelkin/{name}" or kind in SAID_BY_ALL:
            yield f"{kind.address}.*.*"
        elif kind in SAID_OF_A_SERVICE and name in PROJECTIONS:
            yield f"{kind.address}.*.{name}"


def _answered_on(query: type[Query]) -> Iterable[str]:
    if query is ReadBytes:
        yield f"{query.address}.*.*"
        return
    yield query.address
    if is_of_workspace(query):
        yield f"{query.address}.*"


def _consuming(consumer: Consumer) -> Iterable[str]:
    place = f"{consumer.stream}.{consumer.durable}"
    yield f"$JS.API.CONSUMER.INFO.{place}"
    yield f"$JS.API.CONSUMER.MSG.NEXT.{place}"
    yield f"$JS.ACK.{place}.>"
    yield f"{DEAD_LETTERS}.{consumer.durable}"


def _pausing(consumers: Iterable[Consumer]) -> Iterable[str]:
    for consumer in consumers:
        yield f"$JS.API.CONSUMER.PAUSE.{consumer.stream}.{consumer.durable}"


def _reading_events() -> Iterable[str]:
    """With a consumer made for the time of a reading, whose name nobody knows before."""
    yield from (f"$JS.API.STREAM.{what}.{stream}" for what in ("INFO", "MSG.GET") for stream in STREAMS)
    yield from (f"$JS.API.DIRECT.GET.{EVENTS_STREAM}", f"$JS.API.DIRECT.GET.{EVENTS_STREAM}.>")
    yield f"$JS.API.CONSUMER.CREATE.{EVENTS_STREAM}.>"
    yield from (f"$JS.API.CONSUMER.{what}.{EVENTS_STREAM}.*" for what in ("INFO", "MSG.NEXT", "DELETE"))


def _not_meddling(others: Iterable[Consumer], own: Iterable[Consumer]) -> Iterable[str]:
    """What the reading of events would allow with durable consumers: to take others' messages, to change or end any."""
    for consumer in (*others, *own):
        place = f"{consumer.stream}.{consumer.durable}"
        yield f"$JS.API.CONSUMER.DELETE.{place}"
        yield f"$JS.API.CONSUMER.CREATE.{place}"
        yield f"$JS.API.CONSUMER.CREATE.{place}.>"
    for consumer in others:
        yield f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.durable}"


def _topology() -> User:
    streams = (f"$JS.API.STREAM.{what}.{stream}" for stream in STREAMS for what in ("INFO", "CREATE", "UPDATE"))
    consumers = (
        f"$JS.API.CONSUMER.{what}.{consumer.stream}.{consumer.durable}{rest}"
        for consumer in CONSUMERS
        for what, rest in (("INFO", ""), ("CREATE", ""), ("CREATE", ".>"), ("DURABLE.CREATE", ""))
    )
    return User("topology", ("$JS.API.INFO", *streams, *consumers), ("_INBOX.topology.>",))


def _admin() -> User:
    """It publishes events and commands of anyone: a message that was set aside is published again as it was."""
    says = (f"modelkin.{what}.v1.>" for what in ("evt", "cmd", "qry"))
    return User("admin", (*says, "$JS.>"), ("modelkin.>", "_INBOX.admin.>"))


def _training(workspace: str) -> User:
    name = f"training-{workspace}"
    said = [kind for kind in EVENTS if kind.said_by in {"training-system", "auto-learning-system"}]
    asks = (*_asking(workspace, (GetImport,)), *_pinging())
    return User(name, (*_of(workspace, said), *asks), (*_of(workspace, OUTCOMES), f"_INBOX.{name}.>"))


def _deployer(workspace: str) -> User:
    name = f"deployer-{workspace}"
    said = [kind for kind in EVENTS if issubclass(kind, DeploymentReport)]
    asks = (*_asking(workspace, (GetVersion, GetService, ListFiles)), f"{ReadBytes.address}.{workspace}.*", *_pinging())
    return User(
        name,
        (*_of(workspace, said), *asks, *_own_consumer(name)),
        (*_of(workspace, TO_DEPLOY), f"_INBOX.{name}.>"),
        # A grant for a person's download is not for deployers.
        (f"{ReadBytes.address}.{workspace}.{UNNAMEABLE}",),
    )


def _subscriber(workspace: str) -> User:
    name = f"subscriber-{workspace}"
    return User(name, (*_asking_all(workspace), *_own_consumer(name)), (*_heard_in(workspace), f"_INBOX.{name}.>"))


def _operator(workspace: str) -> User:
    """What is about the whole system, not about a model, is not for the operator of a workspace."""
    name = f"operator-{workspace}"
    commands = (f"{kind.address}.{workspace}.*.{name}" for kind in COMMANDS if issubclass(kind, ModelMessage))
    says = (*_of(workspace, (DatasetRecalled,)), *commands)
    reads = f"{ReadBytes.address}.{workspace}.{UNNAMEABLE}"
    return User(name, (*says, *_asking_all(workspace), reads), (*_heard_in(workspace), f"_INBOX.{name}.>"))


def _of(workspace: str, kinds: Iterable[type[Message]]) -> tuple[str, ...]:
    return tuple(f"{kind.address}.{workspace}.*" for kind in kinds)


def _heard_in(workspace: str) -> tuple[str, ...]:
    return tuple(f"modelkin.{what}.v1.*.*.{workspace}.*" for what in ("evt", "live"))


def _asking(workspace: str, queries: Iterable[type[Query]]) -> tuple[str, ...]:
    return tuple(f"{query.address}.{workspace}" if is_of_workspace(query) else query.address for query in queries)


def _asking_all(workspace: str) -> tuple[str, ...]:
    return (*_asking(workspace, (query for query in QUERIES if query not in _NOT_FOR_WORKSPACES)), *_pinging())


def _pinging() -> tuple[str, ...]:
    return tuple(f"{Ping.address}.{service}" for service in SERVICES)


def _own_consumer(name: str) -> tuple[str, ...]:
    """A durable pull consumer of EVENTS that bears the user's name, where an administrator made one."""
    place = f"{EVENTS_STREAM}.{name}"
    return (f"$JS.API.CONSUMER.INFO.{place}", f"$JS.API.CONSUMER.MSG.NEXT.{place}", f"$JS.ACK.{place}.>")
