"""What a seed chooses, it chooses again."""

import random
from collections import Counter
from itertools import islice
from pathlib import Path

from shared.stepping import DIED_AT
from tests.chaos import faults
from tests.chaos.counting import steps
from tests.chaos.folders import Folders
from tests.chaos.load import Load, Outgoing
from tests.chaos.steps import StepBook
from tests.chaos.system import SLOTS


def said(seed: int, folder: Path, rounds: int = 30) -> list[Outgoing]:
    choices = random.Random(seed)
    folders = Folders(folder, choices)
    folders.prepare()
    load = Load(choices, folders, collects=True)
    return [message for both in islice(load.rounds(10), rounds) for one in both for message in one]


def book(tmp_path: Path, *lines: str) -> StepBook:
    file = tmp_path / "steps"
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return StepBook(file, random.Random(1))


def test_the_same_seed_says_the_same(tmp_path: Path) -> None:
    assert said(7, tmp_path) == said(7, tmp_path)


def test_another_seed_says_something_else(tmp_path: Path) -> None:
    assert said(7, tmp_path) != said(8, tmp_path)


def test_each_message_is_said_by_both_publishers_and_some_once_more(tmp_path: Path) -> None:
    times = Counter(message.message_id for message in said(7, tmp_path))

    assert min(times.values()) == 2
    assert max(times.values()) > 2


def test_some_copies_are_kept_by_the_stream_and_others_are_not(tmp_path: Path) -> None:
    copies = [one for one in said(7, tmp_path) if "Nats-Msg-Id" not in one.headers]

    assert 0.2 < len(copies) / len(said(7, tmp_path)) < 0.4


def test_there_is_something_of_everything(tmp_path: Path) -> None:
    messages = said(7, tmp_path, rounds=150)

    assert {one.kind for one in messages} >= {
        "TrainingSucceeded",
        "ImportModel",
        "AutoLearningDeployed",
        "MoveAlias",
        "DeleteVersion",
        "DeploymentReady",
        "RecallVersion",
    }
    assert {one.valid for one in messages} == {True, False}
    assert {one.workspace for one in messages if one.kind == "ImportModel"} == {"0", "vision", "研究"}


def test_the_same_seed_breaks_the_same() -> None:
    slots = (*SLOTS, "registry-c")

    assert faults.short(random.Random(3), slots, "registry-c") == faults.short(random.Random(3), slots, "registry-c")
    assert faults.long(random.Random(3), SLOTS, 600) == faults.long(random.Random(3), SLOTS, 600)


def test_the_short_form_has_every_kind_of_fault_but_single_kills() -> None:
    chosen = faults.short(random.Random(3), (*SLOTS, "registry-c"), "registry-c")

    assert {fault.kind for fault in chosen} == set(faults.KINDS) - {"kill"}


def test_the_next_process_dies_where_none_died_yet(tmp_path: Path) -> None:
    known = book(tmp_path, "store.find:before", "store.find:after", f"{DIED_AT}store.find:before")

    assert known.next() == "store.find:after"
    assert known.left() == ["store.find:after"]


def test_where_processes_died_at_every_step_the_next_dies_at_any(tmp_path: Path) -> None:
    known = book(tmp_path, "store.find:before", f"{DIED_AT}store.find:before")

    assert known.next().startswith("store.find:before#")


def test_while_no_steps_are_known_nobody_dies_at_one(tmp_path: Path) -> None:
    assert book(tmp_path).next() == ""


def test_the_account_names_the_steps_where_nobody_died(tmp_path: Path) -> None:
    known = book(tmp_path, "store.find:before", f"{DIED_AT}store.find:before", "store.find:after", "nats.ack:before")

    assert list(steps({"registry": known})) == [
        "processes died at 1 of 3 steps",
        "steps of registry: processes died at 1 of 3; none at store.find:after, nats.ack:before",
    ]
    assert list(steps({"registry": known}, 1))[1].endswith("none at store.find:after …")
