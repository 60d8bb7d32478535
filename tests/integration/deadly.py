"""A service that is killed, and begun anew each time, by messages about some models: python -m tests.integration.deadly SERVICE.

The models are named `deadly…`. Work on others takes longer than they do to kill: whatever is beside one dies with it.
"""

import asyncio
import ctypes
import importlib
import os
import signal
import sys
from typing import Any

from shared import suspects

STORES = {
    "versioning": ("services.versioning.store", "MongoVersionStore", "decide"),
    "importer": ("services.importer.store", "MongoImportStore", "decide"),
}
KILLS_AFTER_S = 0.2
WORK_S = 0.5
DIED = "died of "
# Fewer than in earnest: each takes a second or two.
DEATHS_ALONE = 2
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Never returns."""
    (service,) = sys.argv[1:]
    app = importlib.import_module(f"services.{service}.app")
    while True:
        child = os.fork()
        if child == 0:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            _plant(service)
            app.main()
            os._exit(0)
        os.waitpid(child, 0)


def _plant(service: str) -> None:
    module, store, method = STORES[service]
    owner = getattr(importlib.import_module(module), store)
    written = getattr(owner, method)

    async def fatal(self: Any, *arguments: Any) -> Any:
        model = next(one.model for one in arguments if hasattr(one, "model"))
        await asyncio.sleep(KILLS_AFTER_S)
        if model.startswith("deadly"):
            sys.stderr.write(f"{DIED}{model}\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(WORK_S - KILLS_AFTER_S)
        return await written(self, *arguments)

    setattr(owner, method, fatal)
    suspects.DEATHS_ALONE = DEATHS_ALONE  # type: ignore[misc]  # a constant there


if __name__ == "__main__":
    main()
