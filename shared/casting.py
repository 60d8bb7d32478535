"""What FastStream casts of what handlers take and return: nothing. Decoders read messages, and handlers are typed."""

from typing import Any

from fast_depends.library.serializer import OptionItem, Serializer
from pydantic import BaseModel


class Uncast(Serializer):
    """What a handler takes, as it came."""

    def __call__(self, call_kwargs: dict[str, Any]) -> dict[str, Any]:
        return call_kwargs


class NoCasting:
    """FastStream's own makes a pydantic model of each subscriber's parameters: most of the time in which a service starts."""

    def __call__(self, *, name: str, options: list[OptionItem], response_type: Any) -> Uncast:
        return Uncast(name=name, options=options, response_type=response_type)

    @staticmethod
    def encode(message: BaseModel) -> bytes:
        """Of a reply to a query; bytes do not come here."""
        return message.model_dump_json().encode()
