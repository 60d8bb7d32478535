"""What is asked of the system: every request and command of a run, chosen by one seed. Nothing is sent here.

Most make versions. Among them are copies under the same id, repeats under fresh ones, numbers that collide, bases that
are not there, and messages that break each rule.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from shared.envelope import Envelope
from shared.messages import (
    AutoLearningDeployed,
    Command,
    ImportModel,
    ImportRequest,
    Message,
    TrainingSucceeded,
)
from shared.values import Base, Dataset, FromJob, FromStorage, Job
from tests.chaos.changes import Changes
from tests.chaos.folders import Folders
from tests.chaos.spoiling import SPOILED

WORKSPACES = ("0", "vision", "研究")
BEGINNING = datetime(2026, 1, 5, 12, tzinfo=UTC)
REMEMBERED = 400
MOST_NUMBERS = 12


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message as it is to be published."""

    subject: str
    body: bytes
    headers: dict[str, str]
    kind: str
    workspace: str
    model: str
    import_id: str | None
    valid: bool

    @property
    def message_id(self) -> str:
        return self.headers["ce-id"]

    def without_deduplication(self) -> "Outgoing":
        """The stream keeps a copy of this once more: whoever reads must see that it is one."""
        headers = {name: value for name, value in self.headers.items() if name != "Nats-Msg-Id"}
        return replace(self, headers=headers)


def outgoing(message: Message) -> Outgoing:
    """A whole message of ours."""
    import_id = message.import_id if isinstance(message, ImportRequest) else None
    return Outgoing(
        subject=message.subject,
        body=message.body().encode(),
        # Who sends a command stands on its subject: its header may say what it likes.
        headers={**message.headers(), **({"ce-source": "somebody-else"} if isinstance(message, Command) else {})},
        kind=type(message).__name__,
        workspace=message.workspace,
        model=message.model_name,
        import_id=import_id,
        valid=True,
    )


class Load:
    """An endless supply. The same seed gives the same messages in the same order."""

    def __init__(self, choices: random.Random, folders: Folders, *, collects: bool) -> None:
        """With `collects`, garbage is collected now and then; that waits a minute for each importer that died."""
        self._choices = choices
        self._folders = folders
        self._changes = Changes(choices, self._envelope, collects=collects)
        self._count = 0
        self._jobs = 0
        self._models: dict[tuple[str, str], int] = {}
        self._trained: list[TrainingSucceeded] = []
        self._deployed: list[AutoLearningDeployed] = []
        self._said: list[Outgoing] = []

    def rounds(self, size: int) -> Iterator[tuple[Sequence[Outgoing], Sequence[Outgoing]]]:
        """What each of two publishers says next: the same messages in another order, some of which the stream keeps twice."""
        while True:
            originals = [self._next() for _ in range(size)]
            copies = [
                one.without_deduplication() if self._choices.random() < 0.5 else one  # both, in equal parts
                for one in [*originals, *self._late_copies()]
            ]
            self._choices.shuffle(originals)
            self._choices.shuffle(copies)
            yield originals, copies

    def _late_copies(self) -> list[Outgoing]:
        """Some of what was said long ago, word for word."""
        return self._choices.sample(self._said, min(2, len(self._said)))

    def _next(self) -> Outgoing:
        makers: dict[Callable[[], Outgoing], int] = {
            self._new_version: 34,
            self._new_model: 10,
            self._retried: 8,
            self._numbered: 8,
            self._bumped: 4,
            self._derived: 6,
            self._by_command: 6,
            self._deployed_by_itself: 4,
            self._spoiled: 10,
            self._changed: 24,
        }
        make = self._choices.choices(list(makers), list(makers.values()))[0]
        made = make()
        self._said.append(made)
        del self._said[:-REMEMBERED]
        return made

    def _new_version(self) -> Outgoing:
        return self._training(*self._some_model())

    def _new_model(self) -> Outgoing:
        workspace = self._choices.choices(WORKSPACES, (6, 3, 1))[0]
        return self._training(workspace, f"model-{len(self._models)}")

    def _retried(self) -> Outgoing:
        """The same training under a fresh id, perhaps from elsewhere: it is the same import."""
        if not self._trained:
            return self._new_model()
        trained = self._choices.choice(self._trained[-50:])
        return outgoing(trained.model_copy(update={"envelope": self._envelope("trainer-retrying")}))

    def _numbered(self) -> Outgoing:
        number = f"1.{self._choices.randrange(3)}.{self._choices.randrange(MOST_NUMBERS)}"
        return self._training(*self._some_model(), version=number)

    def _bumped(self) -> Outgoing:
        return self._training(*self._some_model(), bump=self._choices.choice(("minor", "minor", "major")))

    def _derived(self) -> Outgoing:
        workspace, model = self._some_model()
        others = [name for space, name in self._models if space == workspace] or [model]
        base = Base(model=self._choices.choice(others), version=f"0.0.{self._choices.randrange(1, 6)}")
        return self._training(workspace, model, bases=(base,))

    def _by_command(self) -> Outgoing:
        """A package, or the output of a job that may have been announced by an event too."""
        workspace, model = self._some_model()
        if self._trained and self._choices.random() < 0.3:
            trained = self._choices.choice(self._trained[-50:])
            source = FromJob(location=trained.location, job=trained.job, built_in_algorithm=trained.built_in_algorithm)
            workspace, model = trained.workspace, trained.model
            return outgoing(
                ImportModel(envelope=self._envelope("operator"), workspace=workspace, model=model, source=source)
            )
        package = FromStorage(location=self._folders.package())
        self._count_version(workspace, model)
        return outgoing(
            ImportModel(envelope=self._envelope("operator"), workspace=workspace, model=model, source=package)
        )

    def _deployed_by_itself(self) -> Outgoing:
        if self._deployed and self._choices.random() < 0.4:
            deployed = self._choices.choice(self._deployed)
            return outgoing(deployed.model_copy(update={"envelope": self._envelope("auto-learning-retrying")}))
        deployed = AutoLearningDeployed(
            envelope=self._envelope("auto-learning"),
            project=f"project-{self._choices.randrange(8)}",
            run=f"V{len(self._deployed):03}",
            location=self._folders.shared(),
        )
        self._deployed.append(deployed)
        return outgoing(deployed)

    def _spoiled(self) -> Outgoing:
        """A training event that breaks one rule."""
        whole = self._trained_event(*self._some_model(), self._folders.shared())
        spoil = self._choices.choice(SPOILED)
        return spoil(outgoing(whole), whole, self._folders)

    def _changed(self) -> Outgoing:
        return outgoing(self._changes.next(self._models))

    def _training(self, workspace: str, model: str, **more: object) -> Outgoing:
        fresh = self._choices.random() < 0.3
        location = self._folders.fresh() if fresh else self._folders.shared()
        trained = self._trained_event(workspace, model, location, **more)
        self._trained.append(trained)
        del self._trained[:-REMEMBERED]
        self._count_version(workspace, model)
        return outgoing(trained)

    def _trained_event(self, workspace: str, model: str, location: str, **more: object) -> TrainingSucceeded:
        self._jobs += 1
        return TrainingSucceeded.model_validate(
            {
                "envelope": self._envelope("trainer"),
                "workspace": workspace,
                "model": model,
                "job": Job(id=f"job-{self._jobs}", version=f"V{self._choices.randrange(1, 4):03}"),
                "location": location,
                "built_in_algorithm": "resnet_v1_50",
                "datasets": (Dataset(name=f"data-{self._choices.randrange(5)}", version="1"),),
                "metrics": {"accuracy": round(self._choices.random(), 4)},
                **more,
            }
        )

    def _some_model(self) -> tuple[str, str]:
        """Most often one of the few newest, so that models have many versions and numbers are fought for."""
        if not self._models:
            return WORKSPACES[0], "model-0"
        newest = list(self._models)[-8:]
        return self._choices.choice(newest if self._choices.random() < 0.8 else list(self._models))

    def _count_version(self, workspace: str, model: str) -> None:
        self._models[workspace, model] = self._models.get((workspace, model), 0) + 1

    def _envelope(self, source: str) -> Envelope:
        self._count += 1
        message_id = f"{self._count:06}-{self._choices.randbytes(6).hex()}"
        return Envelope.of_request(message_id, source, BEGINNING + timedelta(seconds=self._count))
