"""What a stream keeps, read from its beginning to its present end."""

from collections.abc import AsyncIterator

from nats.aio.msg import Msg
from nats.js import JetStreamContext

TIMEOUT_S = 10.0


async def kept(
    jetstream: JetStreamContext, stream: str, subject: str, *, headers_only: bool = False
) -> AsyncIterator[Msg]:
    """Every message on these subjects, oldest first; ends where the stream does.

    Raises:
        one of BROKER_AWAY: the server is away, or does not let this user read.
    """
    subscription = await jetstream.subscribe(subject, stream=stream, ordered_consumer=True, headers_only=headers_only)
    consumer = await subscription.consumer_info()
    left = (consumer.num_pending or 0) + (consumer.delivered.consumer_seq if consumer.delivered else 0)
    while left:
        message = await subscription.next_msg(timeout=TIMEOUT_S)
        left = message.metadata.num_pending
        yield message
    await subscription.unsubscribe()
