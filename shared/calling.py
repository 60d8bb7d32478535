"""How the arguments of a handler are checked: what FastStream makes for that is made once for all lanes of a handler."""

from typing import Any

from fast_depends.library.serializer import OptionItem, Serializer
from fast_depends.pydantic import PydanticSerializer


class SharedSerializer(PydanticSerializer):
    """Makes one pydantic model for each handler, where FastStream makes one for each subscriber of it.

    That was most of the time in which a service starts: it has a subscriber for each lane.
    """

    def __init__(self) -> None:
        super().__init__(use_fastdepends_errors=False)
        self._made: dict[object, Serializer] = {}

    def __call__(self, *, name: str, options: list[OptionItem], response_type: Any) -> Serializer:  # type: ignore[override]  # wider: a private class there
        fields = tuple((one.field_name, one.field_type, one.default_value) for one in options)
        key = name, fields, response_type
        if key not in self._made:
            self._made[key] = super().__call__(name=name, options=options, response_type=response_type)
        return self._made[key]
