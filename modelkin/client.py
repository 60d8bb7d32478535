"""A client of Modelkin over NATS alone: publish, ask, follow events, wait for what becomes of an import."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, Self, TypeVar

import nats.errors
from nats.aio.client import Client as Nats
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import DeliverPolicy, Header
from pydantic import ValidationError

from modelkin.actors import actor_of
from modelkin.connecting import Denials, Denied, nats_at
from modelkin.errors import ModelkinError
from modelkin.kept import kept
from shared.connection import BROKER_AWAY, NotLetIn, connected, settle, shown_url
from shared.envelope import explain
from shared.errors import Malformed
from shared.messages import (
    EVENTS,
    Command,
    CommandRefused,
    DeadLetterAdded,
    ImportRefused,
    ImportRequest,
    Message,
    ModelRegistered,
    VersionRefused,
    kind_of,
    message_of,
)
from shared.naming import is_name, token
from shared.queries import ERROR_HEADER, GetImport, ImportStatus, Ping, Query, QueryFailed
from shared.reading import read_message
from shared.subjects import EVENTS_STREAM, stream_of
from shared.values import Value

T = TypeVar("T")
Reply = TypeVar("Reply", bound=Value)
ASK_TIMEOUT_S = 10.0
PUBLISH_TIMEOUT_S = 10.0
LISTENS_S = 1.0
# How many processes a service has is not known: after so long those that are there have answered, also a slow one.
ALL_ANSWER_S = 2.0
# Where all are slow, one that answers is followed by the others.
NEXT_ANSWER_S = 1.0
NO_RESPONDERS = "503"


class NotAnswered(ModelkinError):
    """A query was answered with a failure; `error` is its code."""

    def __init__(self, failure: QueryFailed) -> None:
        super().__init__(failure.message)
        self.error = failure.error


class Answered(NamedTuple, Generic[Reply]):
    """What one of several said, and when that was heard."""

    reply: Reply | QueryFailed
    at: datetime


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An event that the stream took and nobody can read; those who should handle it have set it aside."""

    subject: str
    sequence: int
    why: str

    def __str__(self) -> str:
        return f"event {self.sequence} on {self.subject} cannot be read: {self.why}"


class Client:
    """One connection. `url` is where, without what is secret in it."""

    def __init__(self, connection: Nats, url: str, denials: Denials | None = None) -> None:
        self.connection = connection
        self._denials = denials or Denials()
        self.url = shown_url(url)
        self.jetstream = connection.jetstream(timeout=PUBLISH_TIMEOUT_S)
        self.actor = actor_of(connection)

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator[Self]:
        """Connect for the time of a block, as the user of MODELKIN_NATS_USER.

        Raises:
            ModelkinError: nobody listens there, or it does not let this user in.
        """
        place = nats_at(url)
        denials = Denials(place.as_whom.user)
        async with contextlib.AsyncExitStack() as stack:
            try:
                opening = connected(place, "modelkin-client", error_cb=denials.hear)
                connection = await stack.enter_async_context(opening)
            except NotLetIn as error:
                raise ModelkinError(f"NATS at {shown_url(url)}: {error}") from error
            except BROKER_AWAY as error:
                raise ModelkinError(
                    f"no NATS server answers at {shown_url(url)} ({in_words(error)}): start one with 'modelkin up',"
                    " or set MODELKIN_NATS_URL"
                ) from error
            yield cls(connection, url, denials)

    async def publish(self, event: Message) -> None:
        """Publish an event or a command; when this returns, the stream keeps it. A repeat with the same id is dropped there.

        Whoever is connected as a user sends commands in that name.

        Raises:
            ModelkinError: the stream did not take it.
        """
        if self.actor is not None and isinstance(event, Command):
            event = event.sent_by(self.actor)
        body, stream = event.body().encode(), stream_of(type(event))
        if len(body) > event.largest_body_bytes:
            raise ModelkinError(f"the message has {len(body)} bytes: expected at most {event.largest_body_bytes}")
        try:
            publishing = self.jetstream.publish(event.subject, body, headers=event.headers(), stream=stream)
            await self._denials.unless_denied(publishing)
        except BROKER_AWAY as error:
            raise ModelkinError(
                f"the stream {stream} at {self.url} did not take the message: {in_words(error)}"
            ) from error

    async def ask(self, query: Query, reply: type[Reply], *, to: str = "") -> Reply:
        """Ask a service.

        Args:
            query: the question.
            reply: what the query says it is replied with.
            to: the service, for questions that each of them answers.

        Raises:
            NotAnswered: it says why not.
            ModelkinError: nobody answers.
        """
        subject = self._subject(query, to)
        try:
            asking = self.connection.request(subject, query.model_dump_json().encode(), timeout=ASK_TIMEOUT_S)
            message = await self._denials.unless_denied(asking)
        except nats.errors.NoRespondersError as error:
            raise ModelkinError(f"no service at {self.url} answers {subject}: is it running?") from error
        except BROKER_AWAY as error:
            raise ModelkinError(f"no answer to {subject} in {ASK_TIMEOUT_S:.0f} s: {in_words(error)}") from error
        if b'"error"' in message.data[:20]:
            raise NotAnswered(QueryFailed.model_validate_json(message.data))
        return reply.model_validate_json(message.data)

    async def unless_denied(self, work: Coroutine[Any, Any, T], instead: str = "it is for administrators") -> T:
        """Do something over the connection. Raises Denied, with what to do instead, as soon as NATS says so."""
        try:
            return await self._denials.unless_denied(work)
        except Denied as denied:
            raise Denied(f"{denied}: {instead}") from denied

    def _subject(self, query: Query, to: str) -> str:
        """A user says the workspace on the subject, for the broker to allow it; where there are no users, nobody needs that."""
        workspace = getattr(query, "workspace", None) if self.actor is not None else None
        last = to or (token(workspace) if workspace is not None else "")
        return f"{query.address}.{last}" if last else query.address

    async def ask_all(self, query: Query, reply: type[Reply], *, to: str) -> list[Answered[Reply]]:
        """Ask every process of a service; none where nobody answers.

        It takes ALL_ANSWER_S, longer where the first answer does; where no process listens, it ends at once.
        """
        heard: asyncio.Queue[Msg] = asyncio.Queue()
        inbox = self.connection.new_inbox()
        subscription = await self.connection.subscribe(inbox, cb=heard.put)
        answered: list[Answered[Reply]] = []
        try:
            await self.connection.publish(f"{query.address}.{to}", query.model_dump_json().encode(), reply=inbox)
            now = asyncio.get_running_loop().time
            enough = now() + ALL_ANSWER_S
            async with asyncio.timeout(ASK_TIMEOUT_S) as waiting:
                while True:
                    message = await self._denials.unless_denied(heard.get())
                    if (message.headers or {}).get(Header.STATUS) == NO_RESPONDERS:
                        break
                    answered.append(_answered(message, reply))
                    waiting.reschedule(max(enough, now() + NEXT_ANSWER_S))
        except TimeoutError:
            pass
        finally:
            with contextlib.suppress(*BROKER_AWAY):
                await subscription.unsubscribe()
        return answered

    async def is_there(self, service: str) -> bool:
        """Whether a process of a service listens; one that is slow to answer does."""
        try:
            await self.connection.request(f"{Ping.address}.{service}", b"{}", timeout=LISTENS_S)
        except nats.errors.NoRespondersError:
            return False
        except BROKER_AWAY:
            pass
        return True

    async def history(self, subject: str) -> AsyncIterator[Message | Unreadable]:
        """Every event that the stream keeps on these subjects, oldest first; ends where the stream does.

        Raises:
            Denied: the stream is not for the users of a workspace.
        """
        try:
            subscribing = self.jetstream.subscribe(subject, stream=EVENTS_STREAM, ordered_consumer=True)
            instead = "'modelkin history' and 'watch' are for all"
            async for message in kept(await self.unless_denied(subscribing, instead)):
                yield _event(message)
        except BROKER_AWAY as error:
            raise ModelkinError(
                f"the stream {EVENTS_STREAM} at {self.url} cannot be read: {in_words(error)}"
            ) from error

    async def follow(self, subject: str) -> AsyncIterator[Message | Unreadable]:
        """Events on these subjects from now on, without end.

        Raises:
            Denied: these subjects are not for this user.
        """
        try:
            subscribing = self.jetstream.subscribe(
                subject, stream=EVENTS_STREAM, ordered_consumer=True, deliver_policy=DeliverPolicy.NEW
            )
            try:
                subscription = await self._denials.unless_denied(subscribing)
            except Denied:  # users of a workspace have no part in the stream; they hear what is said
                async for said in self._follow_live(subject):
                    yield said
                return
            async for message in subscription.messages:
                yield _event(message)
            raise ModelkinError(f"the connection to {self.url} was lost")
        except BROKER_AWAY as error:
            raise ModelkinError(
                f"the stream {EVENTS_STREAM} at {self.url} cannot be read: {in_words(error)}"
            ) from error

    async def _follow_live(self, subject: str) -> AsyncIterator[Message | Unreadable]:
        heard: asyncio.Queue[Msg] = asyncio.Queue()
        try:
            await self._hear(heard, subject)
        except Denied as denied:
            raise Denied(f"{denied}: --workspace names one that it may") from denied
        while True:
            message = await self._denials.unless_denied(heard.get())
            try:
                yield message_of(
                    message.subject,
                    message.headers or {},
                    message.data,
                    fallback_id="-",
                    fallback_time=datetime.now(UTC),
                )
            except Malformed as error:
                yield Unreadable(message.subject, 0, str(error))

    async def _hear(self, heard: asyncio.Queue[Msg], *subjects: str) -> list[Subscription]:
        """Raises Denied where a subject is not for this user."""
        subscriptions = [await self.connection.subscribe(one, cb=heard.put) for one in subjects]
        await settle(self.connection)  # to its end: nats-py stops reading where a flush was given up
        self._denials.check()
        return subscriptions

    async def import_and_follow(
        self, request: ImportRequest
    ) -> AsyncIterator[Message | DeadLetterAdded | ImportStatus]:
        """Publish a request and say what becomes of it, as it happens; the last is its outcome.

        That is ModelRegistered, ImportRefused, VersionRefused or a DeadLetterAdded; or an
        ImportStatus, where this job version had been imported before.
        """
        heard: asyncio.Queue[Msg] = asyncio.Queue()
        about = f"{token(request.workspace)}.{token(request.model_name)}"
        await self._hear(heard, f"modelkin.evt.v1.*.*.{about}", f"modelkin.live.v1.*.*.{about}")
        # Asked before it is published: what is registered in an instant was not there before.
        try:
            status = await self.status_of(request.import_id, request.workspace)
        except ModelkinError:
            await self.publish(request)
            raise
        await self.publish(request)
        if status is not None and status.status == "published":
            yield status
            return
        while True:
            said = _about(await heard.get(), request)
            if said is not None:
                yield said
            if isinstance(said, ModelRegistered | ImportRefused | VersionRefused | DeadLetterAdded):
                return

    async def carry_out(
        self, command: Message, *ends: type[Message], patience_s: float = PUBLISH_TIMEOUT_S
    ) -> AsyncIterator[Message]:
        """Publish a command, and say every event that it causes; the last is one of the kinds `ends`, or CommandRefused.

        Args:
            command: or an event that is answered.
            ends: what says that it is carried out.
            patience_s: how long nothing may be heard.

        Raises:
            ModelkinError: the stream did not take it, nobody answered, or it was set aside.
        """
        heard: asyncio.Queue[Msg] = asyncio.Queue()
        events = f"modelkin.evt.v1.*.*.{token(command.workspace)}.*"
        live = f"modelkin.live.v1.*.*.{token(command.workspace)}.*"
        subscriptions = await self._hear(heard, events, live)
        try:
            await self.publish(command)
            while True:
                answer = _caused(await _patiently(heard, patience_s), command)
                if answer is not None:
                    yield answer
                if isinstance(answer, (*ends, CommandRefused)):
                    return
        finally:
            for subscription in subscriptions:
                with contextlib.suppress(*BROKER_AWAY):
                    await subscription.unsubscribe()

    async def status_of(self, import_id: str, workspace: str) -> ImportStatus | None:
        """What the registry knows of an import; None where it has not heard of it."""
        try:
            return await self.ask(GetImport(import_id=import_id, workspace=workspace), ImportStatus)
        except NotAnswered as failure:
            if failure.error == "import-not-found":
                return None
            raise


def _answered(message: Msg, reply: type[Reply]) -> Answered[Reply]:
    heard = datetime.now(UTC)
    kind = QueryFailed if ERROR_HEADER in (message.headers or {}) else reply
    try:
        return Answered(kind.model_validate_json(message.data), heard)
    except ValidationError as error:
        unread = f"one of its processes gave an answer that this version cannot read: {explain(error)}"
        return Answered(QueryFailed(error="malformed", message=unread), heard)


def subject_of(watched: str | None, workspace: str = "*") -> str:
    """The subject filter for what a person wants to watch: all, a model, a kind of event (`version.assigned`), or a subject.

    Raises:
        ModelkinError: it is none of these.
    """
    if watched is None:
        return f"modelkin.evt.v1.*.*.{workspace}.*"
    if watched.startswith("modelkin."):
        return watched
    kinds = {event.address.removeprefix("modelkin.evt.v1."): event for event in EVENTS}
    if watched in kinds:
        return f"{kinds[watched].address}.{workspace}.*"
    if not is_name(watched):
        raise ModelkinError(f"{watched!r}: expected a model, a subject, or one of {', '.join(kinds)}")
    return f"modelkin.evt.v1.*.*.{workspace}.{watched}"


def _about(message: Msg, request: ImportRequest) -> Message | None:
    """What a message says of the request, None where it is about another."""
    event = _read(message, request)
    if isinstance(event, DeadLetterAdded):
        return event if event.envelope.correlation_id == request.envelope.correlation_id else None
    # A refusal answers one message; everything else answers every message that asks for this import.
    key = event.envelope.cause_id if isinstance(event, ImportRefused) else getattr(event, "import_id", None)
    return event if key in {request.envelope.id, request.import_id} else None


def _read(message: Msg, asked: Message) -> Message | None:
    """A message heard on the subjects of a request; None where it cannot be read: whoever consumes it says what is wrong."""
    headers, time = message.headers or {}, asked.envelope.time
    try:
        return message_of(message.subject, headers, message.data, fallback_id="-", fallback_time=time)
    except Malformed:
        return None


async def _patiently(heard: asyncio.Queue[Msg], patience_s: float) -> Msg:
    try:
        return await asyncio.wait_for(heard.get(), patience_s)
    except TimeoutError as error:
        raise ModelkinError(
            f"no answer in {patience_s:.0f} s: the stream keeps the command; are the services running?"
        ) from error


def _caused(message: Msg, command: Message) -> Message | None:
    """An event that a command caused, None where another did.

    Raises:
        ModelkinError: the command was set aside.
    """
    event = _read(message, command)
    if event is None or event.envelope.cause_id != command.envelope.id:
        return None
    if isinstance(event, DeadLetterAdded):
        raise ModelkinError(f"set aside by {event.durable} ({event.reason}): {event.message}")
    return event


def _event(message: Msg) -> Message | Unreadable:
    try:
        return _readable(message)
    except Malformed as error:
        return Unreadable(message.subject, message.metadata.sequence.stream, str(error))


def _readable(message: Msg) -> Message:
    return read_message(kind_of(message.subject), message)


def in_words(error: BaseException) -> str:
    return str(error) or type(error).__name__
