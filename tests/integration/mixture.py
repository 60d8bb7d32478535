"""A little of everything that versioning and the registry can be told, from a seed."""

import asyncio
import random
from typing import Any

from shared.messages import (
    DatasetRecalled,
    DeleteVersion,
    DeploymentReady,
    DeploymentStopped,
    DeployVersion,
    DownloadVersion,
    EditVersion,
    LiftRestriction,
    ModelImported,
    MoveAlias,
    RecallTraced,
    RecallVersion,
    ReleaseVersion,
    RollOut,
    VersionAssigned,
)
from shared.values import Base, Dataset, FromAutoLearning, Restriction
from tests.integration.registering import command, does, report
from tests.integration.system import System
from tests.samples import a_file, a_package, an_import, digest, said

MODELS = ("resnet", "bert", "gpt")
LETTERS = "123456789abcdef"
COCO = Dataset(name="coco", version="2017")


def imports(seed: int, count: int = 48) -> list[ModelImported]:
    """New versions of a few models: some with weights in common, in any order, some of known bases, some that are refused."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        model = chance.choice(MODELS)
        package = a_package().model_copy(update={"digest": f"sha256:{seed:032x}{number:032x}"})
        changes: dict[str, Any] = {"model": model, "package": package, "import_id": f"job-{seed}-{number}"}
        match chance.randrange(8):
            case 0:
                letters = chance.sample(LETTERS, chance.randint(1, 3))
                files = [a_file(f"model/{letter}.pt", letter) for letter in letters]
                held = a_package("0", *files)
                changes["package"] = held.model_copy(update={"digest": package.digest})
            case 1:
                changes["bases"] = (Base(digest=digest(chance.choice(LETTERS)), relation="quantized"),)
            case 2:
                changes["bases"] = (Base(model=chance.choice(MODELS), version="0.0.1"),)
            case 3:
                changes["requested_version"] = f"0.{chance.randrange(1, 4)}.{chance.randrange(3)}"
            case 4:
                changes["datasets"] = (COCO,)
                changes["requested_bump"] = "minor"
            case 5:
                changes["restrictions"] = (Restriction.QUARANTINE,)
            case 6:
                changes["package"] = a_package(chance.choice(LETTERS[:3]))
            case _:
                pass
        found.append(an_import(f"import-{seed}-{number}", **changes))
    return found


def automatic() -> list[ModelImported]:
    """A child, then its base, which turns out to be made by automatic learning: the child is restricted late."""
    base = a_package("0", a_file("model/9.pt", "9")).model_copy(update={"digest": digest("e")})
    child = an_import(
        "import-child",
        model="child",
        import_id="job-child",
        package=a_package("d"),
        bases=(Base(digest=digest("9"), relation="fine-tuned"),),
    )
    auto = an_import(
        "import-auto",
        model="auto",
        import_id="job-auto",
        package=base,
        source=FromAutoLearning(location="file:///auto", project="flowers", run="V001"),
        restrictions=(Restriction.AUTO_LEARNING,),
    )
    return [child, auto]


async def everything(system: System, seed: int = 1) -> None:
    """Say it all, and wait until it is handled."""
    for event in automatic():
        await system.say(event)
        await system.hear(VersionAssigned, event.model)
    for event in imports(seed):
        await system.say(event)
    await system.quiet()
    await changes(system)
    recall = RecallVersion(envelope=said("recall-auto", "security"), model="auto", version="0.0.1", why="poisoned")
    for event in (recall, DatasetRecalled(envelope=said("recall-coco", "lake"), dataset="coco", why="licence")):
        await system.say(event)
    await system.say(RecallVersion(envelope=said("recall-none", "ops"), model="nothing", version="0.0.1", why="?"))
    await system.hear(RecallTraced, count=2)
    await system.quiet()


async def changes(system: System) -> None:
    """Commands and reports, some of which are refused; those of one model in turn, of several side by side."""
    numbers = {model: await system.versions(model) for model in MODELS}
    first, second = numbers["bert"][:2]
    await asyncio.gather(*(_edited(system, model, numbers[model]) for model in MODELS))
    await does(system, DeployVersion, model="bert", version=first, service="search", mode="real-time")
    shares = ({"version": first, "weight": 10}, {"version": second, "weight": 90})
    await does(system, RollOut, model="bert", service="search", weights=shares)
    about = {"model": "bert", "service": "search"}
    for kind, version in ((DeploymentReady, first), (DeploymentReady, second), (DeploymentStopped, first)):
        await system.say(report(kind, version=version, **about))
    await system.say(report(DeploymentReady, model="bert", service="nowhere", version=first))
    await system.quiet()
    for asked in (
        command(LiftRestriction, model="child", why="cleared"),
        command(DeleteVersion, model="gpt", version=numbers["gpt"][-1]),
        command(DeleteVersion, model="bert", version=second),
        command(MoveAlias, model="gpt", alias="gone", version="9.9.9"),
        command(EditVersion, model="no such model", version="0.0.1"),
    ):
        await system.say(asked)
    await system.quiet()


async def _edited(system: System, model: str, numbers: list[str]) -> None:
    """A model's commands, each answered before the next is said."""
    first, second = numbers[:2]
    for asked in (
        *(command(ReleaseVersion, model=model, version=number, why="read by eye") for number in numbers[:4]),
        command(MoveAlias, model=model, alias="champion", version=first),
        command(MoveAlias, model=model, alias="champion", version=second),
        command(EditVersion, model=model, version=first, labels=("one", "two")),
        command(DownloadVersion, model=model, version=first),
    ):
        await system.say(asked)
