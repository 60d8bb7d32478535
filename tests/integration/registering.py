"""What tests of the registry say by hand: whole versions, commands, reports; and how they hear the answers."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from deploy.topology import consumer_config
from shared.messages import (
    Change,
    CommandRefused,
    DeleteVersion,
    DeletionReported,
    DeploymentReport,
    Message,
    ModelCommand,
)
from shared.subjects import CONSUMERS, EVENTS_STREAM
from shared.values import Reason
from tests.dumps import dump
from tests.integration.system import System, eventually
from tests.samples import an_assignment, an_import, at, said

Command = TypeVar("Command", bound=ModelCommand)
Report = TypeVar("Report", bound=DeploymentReport)
EVENT = "modelkin.qry.v1."


def now() -> datetime:
    return datetime.now(UTC)


async def register(system: System, *numbers: str, model: str = "resnet", **changes: Any) -> None:
    """Whole versions of a model, registered a second apart, long ago."""
    restricted_by = changes.pop("restricted_by", ())
    for ordinal, number in enumerate(numbers, start=1):
        imported = an_import(f"{model}-{number}", model=model, **changes)
        assigned = an_assignment(imported, number, ordinal, time=at(ordinal))
        await system.say(imported)
        await system.say(assigned.model_copy(update={"restricted_by": restricted_by}))
    await system.quiet()


def command(kind: type[Command], **fields: Any) -> Command:
    """A command of an operator, about model resnet, version 0.0.1 unless it says otherwise."""
    about: dict[str, Any] = {"model": "resnet"}
    if kind.model_fields.get("version"):
        about["version"] = "0.0.1"
    envelope = said(fields.pop("id", uuid.uuid4().hex), fields.pop("by", "operator"), now())
    return kind(envelope=envelope, **{**about, **fields})


def report(kind: type[Report], *, time: datetime | None = None, **fields: Any) -> Report:
    """What a deployer says of resnet 0.0.1 in service `search`."""
    envelope = said(fields.pop("id", uuid.uuid4().hex), "deployer", time or now())
    return kind(envelope=envelope, **{"model": "resnet", "service": "search", "version": "0.0.1", **fields})


async def answers(system: System, cause: Message) -> list[Message]:
    """What was said because of a message, once it is answered."""
    ended = CommandRefused | DeletionReported if isinstance(cause, DeleteVersion) else CommandRefused | Change

    async def ended_with() -> list[Message]:
        events = [one.event() for one in await system.said()]
        caused = [one for one in events if one.envelope.cause_id == cause.envelope.id]
        return caused if any(isinstance(one, ended) for one in caused) else []

    return await eventually(ended_with, f"an answer to {cause}")


async def does(system: System, kind: type[Command], **fields: Any) -> Message:
    """The last thing said in answer to a command."""
    asked = command(kind, **fields)
    await system.say(asked)
    return (await answers(system, asked))[-1]


async def refused(system: System, kind: type[Command], **fields: Any) -> tuple[Reason, str]:
    """Why a command is refused."""
    answer = await does(system, kind, **fields)
    assert isinstance(answer, CommandRefused), answer
    assert answer.command == kind.address
    return answer.reason, answer.message


async def ask(system: System, query: str, **question: Any) -> dict[str, Any]:
    return await system.ask(f"{EVENT}{query}", question)


async def shown(system: System, version: str | None = "0.0.1", **question: Any) -> dict[str, Any]:
    return await ask(system, "version.get", **{"model": "resnet", "version": version, **question})


async def contents(system: System) -> dict[str, Mapping[str, Any]]:
    """Every document of the registry's database."""
    return await dump(registry_database(system))


def registry_database(system: System) -> Any:
    return next(one for one in system.running if one.name == "registry").app.context.get("store")._database


async def forget(system: System, *streams: str) -> None:
    """The registry stops, loses its database, and is to hear every event again; or whatever is in these streams."""
    database = registry_database(system)
    await database.client.drop_database(database.name)
    await system.stop("registry")
    jetstream = system.client.jetstream()
    for consumer in CONSUMERS:
        if consumer.stream in (streams or {EVENTS_STREAM}) and consumer.durable.startswith("registry-"):
            await jetstream.delete_consumer(consumer.stream, consumer.durable)
            await jetstream.add_consumer(consumer.stream, consumer_config(consumer))
