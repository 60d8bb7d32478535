"""How a handler takes the parts of its service, by name."""

from typing import Any

from fast_depends.library import CustomField


class Given(CustomField):
    """What FastStream's `Context` is, found in the event loop: that one is found in a thread, one for each parameter."""

    def __init__(self, name: str) -> None:
        super().__init__(cast=False)
        self.name = name

    async def use(self, /, **known: Any) -> dict[str, Any]:  # type: ignore[override]  # what may be awaited is
        return {**known, str(self.param_name): known["context__"].resolve(self.name)}
