"""What the processes of the services say of themselves."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from modelkin.client import Answered, Client, in_words
from modelkin.doctor.clocks import clock_finding
from shared.clocks import HERE, Offset
from shared.connection import BROKER_AWAY
from shared.queries import SERVICES, Examination, Examine, Finding, QueryFailed


async def examined(client: Client, server: Offset | None) -> list[Finding]:
    """Every finding of every process, and what can be seen by comparing them.

    Args:
        client: of NATS.
        server: its clock, where that is known.
    """
    asked = datetime.now(UTC)
    services = await asyncio.gather(*(_ask(client, service) for service in SERVICES))
    found = [
        one for name, said in zip(SERVICES, services, strict=True) for one in _of_service(name, said, asked, server)
    ]
    said = [one.reply for service in services if not isinstance(service, Finding) for one in service]
    return [*found, _versions([one for one in said if isinstance(one, Examination)])]


async def _ask(client: Client, service: str) -> Sequence[Answered[Examination]] | Finding:
    try:
        answered = await client.ask_all(Examine(), Examination, to=service)
    except BROKER_AWAY as error:
        message = f"it cannot be asked: {in_words(error)}"
        return Finding(check=service, level="wrong", message=message, remedy="look at the log of nats-server")
    if answered:
        return answered
    remedy = f"start it: python -m services.{service}; its log says what it waits for"
    return Finding(check=service, level="wrong", message="no process of it answers", remedy=remedy)


def _of_service(
    name: str, said: Sequence[Answered[Examination]] | Finding, asked: datetime, server: Offset | None
) -> list[Finding]:
    if isinstance(said, Finding):
        return [said]
    found = []
    several = len(said) > 1
    for one in said:
        match one.reply:
            case Examination() as examination:
                who = f"{name} {examination.instance}" if several else name
                found += _of_process(who, examination, Offset.of(examination.time, asked, one.at), server)
            case QueryFailed(message=message):
                remedy = f"the log of the {name} says more"
                found.append(Finding(check=name, level="wrong", message=message, remedy=remedy))
    return found


def _of_process(who: str, said: Examination, clock: Offset, server: Offset | None) -> list[Finding]:
    apart = [("this machine's", clock.apart_s(HERE))]
    if server is not None:
        apart.append(("that of NATS", clock.apart_s(server)))
    own = [one.model_copy(update={"check": f"{who} {one.check}"}) for one in said.findings]
    runs = Finding(check=who, message=f"runs as {said.instance}, version {said.version}")
    return [runs, *own, clock_finding(f"{who} clock", apart)]


def _versions(said: Sequence[Examination]) -> Finding:
    own = version("modelkin")
    if {one.version for one in said} <= {own}:
        return Finding(check="versions", message=f"all are {own}")
    each = sorted({f"{one.service} {one.version}" for one in said} | {f"this command {own}"})
    remedy = "bring all to one version: first the streams (python -m deploy.topology), then the services"
    return Finding(check="versions", level="warning", message=", ".join(each), remedy=remedy)
