"""Commands about dead letters: list them, look at one, have the message handled again, or give it up."""

import asyncio
import json
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from modelkin.client import Client
from modelkin.commands.requests import envelope
from modelkin.commands.terminal import LOCAL_NATS, Json, Limit, Nats, run
from modelkin.dead_letter_views import (
    body_text,
    headers_table,
    letter_facts,
    letter_table,
    letters_table,
    listed_facts,
)
from modelkin.errors import ModelkinError
from modelkin.letters import Letters, Listed, Original, Remembered, Stored
from modelkin.render import console
from modelkin.wording import counted, printable
from shared.messages import DeadLetterDropped, DeadLetterRedriven
from shared.naming import is_name

app = typer.Typer(no_args_is_help=True, help="Work with messages that were set aside.")

# A stream forgets an id a little later than it says: it is asked again until it has.
ASK_AGAIN_S = 5.0
Numbers = Annotated[
    list[int] | None, typer.Argument(metavar="NUMBER", min=1, help="As 'modelkin dead list' shows them; several.")
]
Consumer = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only what was set aside for this consumer of a stream.")
]
All = Annotated[bool, typer.Option("--all", help="All there are, or all of --consumer.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether --all is meant.")]


@app.command("list")
def list_letters(
    consumer: Consumer = None,
    reason: Annotated[
        Literal["malformed", "failed"] | None,
        typer.Option(help="malformed: it could not be read; failed: it could not be handled."),
    ] = None,
    limit: Limit = 100,
    nats: Nats = LOCAL_NATS,
    as_json: Json = False,
) -> None:
    """List dead letters, the newest last.

    Example: modelkin dead list --consumer importer-on-training-succeeded --reason failed
    """
    _check_consumer(consumer)

    async def show_all() -> None:
        newest: deque[Listed] = deque(maxlen=limit)
        count = 0
        async with Client.connected(nats) as client:
            async for one in Letters(client).listed(consumer):
                if reason in {None, one.letter.reason}:
                    count += 1
                    newest.append(one)
        if as_json:
            typer.echo(json.dumps([listed_facts(one) for one in newest], ensure_ascii=False, indent=2))
        elif not count:
            typer.echo("no dead letters")
        else:
            console().print(letters_table(newest, datetime.now(UTC)))
            if count > limit:
                typer.echo(f"{limit} of {count}: --limit shows more", err=True)

    run(show_all())


@app.command()
def show(
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="As 'modelkin dead list' shows it.")],
    raw: Annotated[bool, typer.Option("--raw", help="Write the body of the message, exactly its bytes.")] = False,
    nats: Nats = LOCAL_NATS,
    as_json: Json = False,
) -> None:
    """Show one dead letter: why it was set aside, and the message as it was published.

    Example: modelkin dead show 3 --raw > message.json
    """

    async def look() -> None:
        async with Client.connected(nats) as client:
            letters = Letters(client)
            stored = await letters.get(number)
            try:
                original, lost = await letters.original(stored), ""
            except ModelkinError as error:
                if raw:
                    raise
                original, lost = None, str(error)
        if raw and original is not None:
            sys.stdout.buffer.write(original.body)
        elif as_json:
            typer.echo(json.dumps(letter_facts(stored, original), ensure_ascii=False, indent=2))
        else:
            _print_letter(stored, original, lost)

    run(look())


def _print_letter(stored: Stored, original: Original | None, lost: str) -> None:
    screen = console()
    screen.print(letter_table(stored, datetime.now(UTC)))
    if original is None:
        typer.echo(printable(lost), err=True)
        return
    typer.echo("\nHEADERS")
    screen.print(headers_table(original))
    typer.echo(f"\nBODY ({len(original.body)} bytes)\n{body_text(original.body)}")


@app.command()
def redrive(
    numbers: Numbers = None,
    every: All = False,
    consumer: Consumer = None,
    why: Annotated[str, typer.Option(help="Why; it is kept with the event.")] = "",
    wait: Annotated[
        bool,
        typer.Option(
            "--wait/--no-wait", help="Wait until the stream has forgotten the id, or say how long that takes."
        ),
    ] = True,
    yes: Yes = False,
    nats: Nats = LOCAL_NATS,
    as_json: Json = False,
) -> None:
    """Publish messages again, under their own ids; then their letters go. All that hear this kind of message get it
    again, and know it for the same. What fails again comes back as a new letter.

    Examples: modelkin dead redrive 3 4; modelkin dead redrive --all --consumer registry-on-changes --why 'the bug is mended'
    """

    async def one(letters: Letters, stored: Stored) -> None:
        said = False
        while (remembered := await letters.publish_again(stored)) is not None:
            if not wait:
                raise ModelkinError(_still_known(remembered))
            if not said:
                typer.echo(f"{stored.number}: {_still_known(remembered)}: waiting", err=True)
            said = True
            await asyncio.sleep(min(remembered.left_s, ASK_AGAIN_S))
            await letters.get(stored.number)  # somebody may have dropped it meanwhile
        event = await letters.settle(stored, DeadLetterRedriven, envelope().source, why)
        typer.echo(
            event.model_dump_json() if as_json else printable(f"{stored.number} redriven: {stored.letter.subject}")
        )

    _settle_all(nats, "redrive", numbers, one, every=every, consumer=consumer, yes=yes)


def _still_known(remembered: Remembered) -> str:
    return f"the stream {remembered.stream} still remembers its id for {remembered.left_s:.0f} s and would drop it"


@app.command()
def drop(
    why: Annotated[str, typer.Option(help="Why; it is kept with the event.", show_default=False)],
    numbers: Numbers = None,
    every: All = False,
    consumer: Consumer = None,
    yes: Yes = False,
    nats: Nats = LOCAL_NATS,
    as_json: Json = False,
) -> None:
    """Give messages up: their letters go, and they are not handled.

    Example: modelkin dead drop 3 --why 'sent by a test'
    """
    if not why:
        raise ModelkinError("--why is empty: expected the reason, for those who look for the message")

    async def one(letters: Letters, stored: Stored) -> None:
        event = await letters.settle(stored, DeadLetterDropped, envelope().source, why)
        typer.echo(
            event.model_dump_json() if as_json else printable(f"{stored.number} dropped: {stored.letter.subject}")
        )

    _settle_all(nats, "drop", numbers, one, every=every, consumer=consumer, yes=yes)


def _settle_all(
    nats: str,
    what: str,
    numbers: list[int] | None,
    settle: Callable[[Letters, Stored], Awaitable[None]],
    *,
    every: bool,
    consumer: str | None,
    yes: bool,
) -> None:
    """One letter after the other, oldest first. One that fails holds up no other; exit status 1 says that some did."""
    _check_consumer(consumer)
    if every == bool(numbers):
        raise ModelkinError("expected the numbers of letters, or --all")
    if consumer is not None and not every:
        raise ModelkinError("--consumer: expected beside --all")
    chosen = sorted({*numbers}) if numbers else _all_numbers(nats, consumer)
    if not chosen:
        typer.echo("no dead letters", err=True)
        return
    if every and not yes:
        _confirm(f"{what} {counted(len(chosen), 'dead letter')}?")
    failed = []

    async def settle_each() -> None:
        async with Client.connected(nats) as client:
            letters = Letters(client)
            for number in chosen:
                try:
                    await settle(letters, await letters.get(number))
                except ModelkinError as error:
                    failed.append(number)
                    typer.echo(f"modelkin: {number}: {error}", err=True)

    run(settle_each())
    if failed:
        raise typer.Exit(1)


def _all_numbers(nats: str, consumer: str | None) -> list[int]:
    """Of the letters there are now: a message that fails again comes back as a new one, and waits for the next time."""
    numbers = []

    async def read() -> None:
        async with Client.connected(nats) as client:
            numbers.extend([one.number async for one in Letters(client).listed(consumer)])

    run(read())
    return numbers


def _confirm(question: str) -> None:
    try:
        sure = typer.confirm(question, err=True)
    except typer.Abort:
        raise ModelkinError("nobody answered: --yes does without the question") from None
    if not sure:
        raise ModelkinError("nothing was done")


def _check_consumer(consumer: str | None) -> None:
    """It stands in a subject."""
    if consumer is not None and not is_name(consumer):
        raise ModelkinError(f"consumer {consumer!r}: expected a name such as registry-on-changes")
