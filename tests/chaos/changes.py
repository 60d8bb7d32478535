"""Commands about versions that may be there by then, and what deployers say of services that may have been asked for."""

import random
from collections.abc import Callable, Mapping

from shared.envelope import Envelope
from shared.messages import (
    CollectGarbage,
    DatasetRecalled,
    DeleteVersion,
    DeploymentFailed,
    DeploymentReady,
    DeploymentReport,
    DeploymentStarted,
    DeploymentStopped,
    DeployVersion,
    DownloadVersion,
    EditVersion,
    Message,
    MoveAlias,
    RecallVersion,
    RollOut,
)
from shared.values import Weight

ALIASES = ("champion", "candidate", "no alias")
REPORTS: tuple[type[DeploymentReport], ...] = (
    DeploymentStarted,
    DeploymentReady,
    DeploymentReady,
    DeploymentFailed,
    DeploymentStopped,
    DeploymentStopped,
)
Place = tuple[str, str, str]


class Changes:
    """Aims at versions by number, without looking: many hit, others are refused."""

    def __init__(self, choices: random.Random, envelope: Callable[[str], Envelope], *, collects: bool) -> None:
        self._choices = choices
        self._envelope = envelope
        self._collects = collects

    def next(self, models: Mapping[tuple[str, str], int]) -> Message:
        """One more command or report, about one of the models with so many requests each."""
        place = self._place(models)
        makers: dict[Callable[[Place], Message], int] = {
            self._alias: 20,
            self._edit: 16,
            self._deploy: 12,
            self._roll_out: 8,
            self._report: 20,
            self._download: 12,
            self._delete: 20,
            self._recall: 12,
            self._collect: 1 if self._collects else 0,
        }
        return self._choices.choices(list(makers), list(makers.values()))[0](place)

    def _place(self, models: Mapping[tuple[str, str], int]) -> Place:
        if not models:
            return "0", "model-0", "0.0.1"
        # The newest are not registered yet, and most have a few versions without a number that was asked for.
        (workspace, model), requests = self._choices.choice(list(models.items())[-16:-2] or list(models.items()))
        return workspace, model, f"0.0.{self._choices.randint(1, min(4, max(1, requests // 2)))}"

    def _alias(self, place: Place) -> Message:
        workspace, model, version = place
        alias = self._choices.choice(ALIASES)
        to = version if self._choices.random() < 0.9 else None
        return MoveAlias(envelope=self._operator(), workspace=workspace, model=model, alias=alias, version=to)

    def _edit(self, place: Place) -> Message:
        workspace, model, version = place
        labels = tuple(f"label-{self._choices.randrange(9)}" for _ in range(self._choices.randint(1, 6)))
        return EditVersion(
            envelope=self._operator(),
            workspace=workspace,
            model=model,
            version=version,
            labels=tuple(dict.fromkeys(labels)),
        )

    def _deploy(self, place: Place) -> Message:
        workspace, model, version = place
        mode = self._choices.choice(("real-time", "real-time", "batch", "never"))
        return DeployVersion(
            envelope=self._operator(),
            workspace=workspace,
            model=model,
            version=version,
            service=_service_of(model),
            mode=mode,
        )

    def _roll_out(self, place: Place) -> Message:
        workspace, model, version = place
        part = self._choices.choice((10, 50, 90))
        weights = (Weight(version=version, weight=part), Weight(version="0.0.1", weight=100 - part))
        return RollOut(
            envelope=self._operator(), workspace=workspace, model=model, service=_service_of(model), weights=weights
        )

    def _report(self, place: Place) -> Message:
        workspace, model, version = place
        kind = self._choices.choice(REPORTS)
        return kind(
            envelope=self._envelope("deployer"),
            workspace=workspace,
            model=model,
            service=_service_of(model),
            version=version,
        )

    def _download(self, place: Place) -> Message:
        workspace, model, version = place
        return DownloadVersion(envelope=self._operator(), workspace=workspace, model=model, version=version)

    def _delete(self, place: Place) -> Message:
        workspace, model, version = place
        cascade = self._choices.random() < 0.1
        return DeleteVersion(
            envelope=self._operator(), workspace=workspace, model=model, version=version, cascade=cascade
        )

    def _recall(self, place: Place) -> Message:
        workspace, model, version = place
        if self._choices.random() < 0.5:
            dataset = f"data-{self._choices.randrange(5)}"
            return DatasetRecalled(
                envelope=self._envelope("data-platform"), workspace=workspace, dataset=dataset, why="mislabelled"
            )
        return RecallVersion(envelope=self._operator(), workspace=workspace, model=model, version=version, why="biased")

    def _collect(self, _: Place) -> Message:
        return CollectGarbage(envelope=self._operator(), dry_run=False)

    def _operator(self) -> Envelope:
        return self._envelope("operator")


def _service_of(model: str) -> str:
    return f"service-of-{model}"
