"""What a stream keeps, read from its beginning to its present end."""

from collections.abc import AsyncIterator

from nats.aio.msg import Msg
from nats.js import JetStreamContext

TIMEOUT_S = 10.0


async def kept(subscription: JetStreamContext.PushSubscription) -> AsyncIterator[Msg]:
    """Every message of an ordered consumer, oldest first; ends where the stream does.

    Raises:
        one of BROKER_AWAY: the server is away.
    """
    consumer = await subscription.consumer_info()
    left = (consumer.num_pending or 0) + (consumer.delivered.consumer_seq if consumer.delivered else 0)
    while left:
        message = await subscription.next_msg(timeout=TIMEOUT_S)
        left = message.metadata.num_pending
        yield message
    await subscription.unsubscribe()
