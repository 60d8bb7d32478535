"""Services of an earlier release beside today's, on the same streams and databases, under load.

`python -m tests.side_by_side TREE`, where TREE holds an earlier release: `git worktree add TREE v0.1.0`. Its services
start first, ours join them, then its own leave. It needs the history of the repository, so it is no test of CI.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import nats
from nats.aio.client import Client

from modelkin.processes import Process, start, start_mongo, start_nats, stopping

HERE = Path(__file__).parents[1]
SERVICES = ("importer", "versioning", "registry")
MODELS, EACH = 5, 60
QUESTIONS = {
    "model.list": {},
    "version.list": {"model": "m1"},
    "version.get": {"model": "m1", "version": "0.0.3"},
    "lineage.get": {"model": "m1", "version": "0.0.5"},
}
ASKED_TIMES = 12
DEADLINE_S = 240


class Pair:
    """One system, with the services of both trees."""

    def __init__(self, client: Client, folder: Path, settings: dict[str, str], processes: list[Process]) -> None:
        self._client = client
        self._folder = folder
        self._settings = settings
        self._processes = processes
        self._published = 0

    def topology(self, tree: Path) -> None:
        command = [sys.executable, "-m", "deploy.topology"]
        subprocess.run(command, cwd=tree, env=self._environment(tree), check=True, capture_output=True, timeout=60)

    async def start(self, tree: Path, name: str) -> None:
        """Start the services of a tree, and wait until each has."""
        logs = [self._folder / f"{service}-{name}.log" for service in SERVICES]
        for service, log in zip(SERVICES, logs, strict=True):
            command = [sys.executable, "-m", f"services.{service}"]
            self._processes.append(start(log.stem, command, log, self._environment(tree)))
        async with asyncio.timeout(DEADLINE_S):
            while not all("started" in log.read_text() for log in logs):  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.5)

    async def stop(self, name: str) -> None:
        for process in [one for one in self._processes if one.name.endswith(f"-{name}")]:
            await asyncio.to_thread(process.stop)

    async def import_some(self) -> None:
        """Ask for so many imports, and wait until each is registered."""
        for number in range(self._published, self._published + EACH):
            model, folder = f"m{number % MODELS}", self._folder / "models" / str(number)
            folder.mkdir(parents=True)
            (folder / "model.bin").write_text(str(number))
            job = {"id": f"job-{number}", "version": "V001"}
            body = {"model": model, "job": job, "location": f"file://{folder}", "built_in_algorithm": "resnet"}
            await self._publish(f"evt.v1.training.succeeded.0.{model}", body, f"training-{number}")
        self._published += EACH
        await self._until("model.registered", self._published)

    async def move_aliases(self, count: int) -> None:
        for number in range(count):
            body = {"model": f"m{number % MODELS}", "alias": f"a{number}", "version": f"0.0.{number + 1}"}
            await self._publish(f"cmd.v1.alias.move.0.{body['model']}", body, f"alias-{number}")
        await self._until("alias.moved", count)

    async def check(self) -> None:
        """Both answer alike, numbers are whole, and nothing was set aside."""
        for query, body in QUESTIONS.items():
            assert len({await self._asked(query, body) for _ in range(ASKED_TIMES)}) == 1, query
        for model in range(MODELS):
            page = json.loads(await self._asked("version.list", {"model": f"m{model}", "limit": 1000}))
            numbers = sorted(int(one["version"].rpartition(".")[2]) for one in page["versions"])
            assert numbers == list(range(1, self._published // MODELS + 1)), numbers
        letters = (await self._client.jetstream().stream_info("DEAD_LETTERS")).state.messages
        assert letters == 0, f"{letters} dead letters"

    async def _asked(self, query: str, body: dict[str, object]) -> bytes:
        return (await self._client.request(f"modelkin.qry.v1.{query}", json.dumps(body).encode(), timeout=30)).data

    async def _publish(self, subject: str, body: dict[str, object], message_id: str) -> None:
        headers = {"Nats-Msg-Id": message_id}
        await self._client.jetstream().publish(f"modelkin.{subject}", json.dumps(body).encode(), headers=headers)

    async def _until(self, kind: str, count: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while (said := await self._said())[kind] < count:  # noqa: ASYNC110 - a process elsewhere sets no event
                await asyncio.sleep(0.5)
        assert said[kind] == count, said

    async def _said(self) -> Counter[str]:
        """How many events of each kind there are."""
        info = await self._client.jetstream().stream_info("EVENTS", subjects_filter="modelkin.evt.v1.>")
        said: Counter[str] = Counter()
        for subject, count in (info.state.subjects or {}).items():
            said[".".join(subject.split(".")[3:5])] += count
        return said

    def _environment(self, tree: Path) -> dict[str, str]:
        return {**os.environ, **self._settings, "PYTHONPATH": str(tree)}


async def main(earlier: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="modelkin-side-") as name:
        folder = Path(name)
        async with stopping() as processes:
            server, store = (
                await start_nats(folder / "nats", folder / "nats.log"),
                await start_mongo(folder / "mongo", folder / "mongo.log"),
            )
            processes += [server.process, store.process]
            settings = {
                "MODELKIN_NATS_URL": server.url,
                "MODELKIN_MONGO_URI": store.url,
                "MODELKIN_ARTIFACTS": str(folder / "artifacts"),
                "MODELKIN_ALLOWED_ROOTS": str(folder / "models"),
                "MODELKIN_SPOOL": str(folder / "spool"),
            }
            client = await nats.connect(server.url)
            await run(Pair(client, folder, settings, processes), earlier)
            await client.close()


async def run(pair: Pair, earlier: Path) -> None:
    pair.topology(earlier)
    await pair.start(earlier, "earlier")
    await pair.import_some()
    say("the earlier release alone: all registered")
    pair.topology(HERE)
    await pair.start(HERE, "here")
    await pair.import_some()
    await pair.move_aliases(10)
    await pair.check()
    say("both side by side: all registered, both answer alike, numbers whole, no dead letter")
    await pair.stop("earlier")
    await pair.import_some()
    await pair.check()
    say("this release alone: all registered")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).resolve()))
