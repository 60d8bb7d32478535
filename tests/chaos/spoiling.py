"""Training events that break one rule each: some cannot be read, some are refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.messages import TrainingSucceeded
from tests.chaos.folders import Folders

if TYPE_CHECKING:
    from tests.chaos.load import Outgoing

Spoil = Callable[["Outgoing", TrainingSucceeded, Folders], "Outgoing"]


def _unreadable(body: bytes) -> Spoil:
    def spoil(whole: "Outgoing", _: TrainingSucceeded, __: Folders) -> "Outgoing":
        return replace(whole, body=body, import_id=None, valid=False)

    return spoil


def _with_field(**fields: Any) -> Spoil:
    """A body of which a field is of another type."""

    def spoil(whole: "Outgoing", _: TrainingSucceeded, __: Folders) -> "Outgoing":
        body = json.dumps({**json.loads(whole.body), **fields}).encode()
        return replace(whole, body=body, import_id=None, valid=False)

    return spoil


def _without_location(whole: "Outgoing", _: TrainingSucceeded, __: Folders) -> "Outgoing":
    body = {name: value for name, value in json.loads(whole.body).items() if name != "location"}
    return replace(whole, body=json.dumps(body).encode(), import_id=None, valid=False)


def _on_another_subject(whole: "Outgoing", _: TrainingSucceeded, __: Folders) -> "Outgoing":
    return replace(whole, subject=f"{TrainingSucceeded.address}.0.somebody-else", import_id=None, valid=False)


def _with_bad_time(whole: "Outgoing", _: TrainingSucceeded, __: Folders) -> "Outgoing":
    return replace(whole, headers={**whole.headers, "ce-time": "yesterday"}, import_id=None, valid=False)


def _refused(**changes: Any) -> Spoil:
    """A whole event whose fields break a rule of the domain."""

    def spoil(whole: "Outgoing", trained: TrainingSucceeded, _: Folders) -> "Outgoing":
        event = trained.model_copy(update=changes)
        model, workspace = event.model, event.workspace
        return replace(
            whole,
            subject=event.subject,
            body=event.body().encode(),
            workspace=workspace,
            model=model,
            import_id=event.import_id,
        )

    return spoil


def _at(folder: str) -> Spoil:
    def spoil(whole: "Outgoing", trained: TrainingSucceeded, folders: Folders) -> "Outgoing":
        return _refused(location=folders.location(folder))(whole, trained, folders)

    return spoil


SPOILED: tuple[Spoil, ...] = (
    _unreadable(b'{"model": "resnet", '),
    _unreadable(b'["not", "an", "object"]'),
    _unreadable(b"\xff\xfe\x00"),
    _unreadable(b""),
    _with_field(job="job-7"),
    _with_field(metrics={"accuracy": "high"}),
    # More than any event may have, less than NATS takes.
    _with_field(description="x" * 1_100_000),
    _without_location,
    _on_another_subject,
    _with_bad_time,
    _refused(model="two words"),
    _refused(model="a.b*>"),
    _refused(workspace="no/such"),
    _refused(version="1.2"),
    _refused(version="1.2.100"),
    _refused(bump="huge"),
    _refused(labels=tuple("abcdef")),
    # More than a request may have.
    _refused(description="x" * 300_000),
    _refused(location="file:///etc"),
    _refused(location="gopher://models/1"),
    _at("never-made"),
    _at("unsafe"),
)
