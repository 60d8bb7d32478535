"""Changes of a model: one after the other whatever comes at once, kept whoever dies, and known again from the stream."""

import asyncio
import itertools
from typing import Any

import pytest

from services.registry.answering import answers as decided_answers
from services.registry.changes.documents import changed
from services.registry.rules.deciding import asked_by, decide
from shared.messages import (
    AliasMoved,
    CommandRefused,
    DeleteVersion,
    DeploymentReady,
    DeploymentStopped,
    DeployVersion,
    DownloadGranted,
    DownloadVersion,
    EditVersion,
    LiftRestriction,
    LineageExtended,
    MoveAlias,
    ReleaseVersion,
    RestrictionLifted,
    RollOut,
    VersionEdited,
    VersionReleased,
    VersionRestricted,
)
from shared.subjects import COMMANDS_STREAM, EVENTS_STREAM
from shared.values import Document, Edge, FromAutoLearning, Notes, Reason, Restriction
from tests.dumps import differences
from tests.integration.registering import (
    answers,
    ask,
    command,
    contents,
    does,
    forget,
    refused,
    register,
    registry_database,
    report,
    shown,
)
from tests.integration.system import System
from tests.samples import a_file, a_package, an_import, at

AUTO = "version:0/auto@0.0.1"
QUARANTINED = (Restriction.QUARANTINE,)


@pytest.fixture
async def registry(bare_system: System) -> System:
    """The registry runs, alone."""
    await bare_system.start("registry")
    return bare_system


async def test_an_alias_is_moved_found_and_taken_away(registry: System):
    await register(registry, "0.0.1", "0.0.2")

    first = await does(registry, MoveAlias, alias="champion", why="the best so far")
    second = await does(registry, MoveAlias, alias="champion", version="0.0.2")
    by_alias = await shown(registry, "champion")
    listed = await ask(registry, "alias.list", model="resnet")
    third = await does(registry, MoveAlias, alias="champion", version=None)

    moves = [(one.ordinal, one.alias, one.old, one.new, one.by, one.why) for one in (first, second, third)]
    assert moves == [
        (1, "champion", None, "0.0.1", "operator", "the best so far"),
        (2, "champion", "0.0.1", "0.0.2", "operator", ""),
        (3, "champion", "0.0.2", None, "operator", ""),
    ]
    assert (by_alias["version"], by_alias["aliases"]) == ("0.0.2", ["champion"])
    [alias] = listed["aliases"]
    assert (alias["alias"], alias["version"], alias["moved_by"]) == ("champion", "0.0.2", "operator")
    assert (await shown(registry, "champion"))["error"] == "alias-not-found"
    assert (await ask(registry, "alias.list", model="resnet"))["aliases"] == []


async def test_two_processes_move_one_alias_32_times_at_once_and_every_move_starts_where_the_last_ended(
    registry: System,
):
    await registry.start("registry")
    numbers = [f"0.0.{number}" for number in range(1, 33)]
    await register(registry, *numbers)

    commands = [command(MoveAlias, alias="champion", version=number) for number in numbers]
    await asyncio.gather(*(registry.say(one) for one in commands))
    await registry.hear(AliasMoved, count=32)

    moves = await registry.all_of(AliasMoved)
    assert [one.ordinal for one in moves] == list(range(1, 33))
    assert [moves[0].old, *(one.old for one in moves[1:])] == [None, *(one.new for one in moves[:-1])]
    assert {one.new for one in moves} == set(numbers)
    assert all(one.envelope.time < after.envelope.time for one, after in itertools.pairwise(moves))
    assert (await shown(registry, "champion"))["version"] == moves[-1].new
    assert await registry.all_of(CommandRefused) == []


async def test_the_same_command_to_two_processes_at_once_is_one_change(registry: System):
    await register(registry, "0.0.1")
    asked = command(MoveAlias, alias="champion")
    parts = [registry.build("registry") for _ in range(2)]
    stores = [one.app.context.get("changes") for one in parts]
    moment = registry.running[0].app.context.get("moment")

    both = await asyncio.gather(*(decided_answers(asked, store, moment) for store in stores for _ in range(8)))

    for part in parts:
        part.app.context.get("store")._database.client.close()
    assert all(one == both[0] for one in both)
    assert [one.new for one in both[0]] == ["0.0.1"]


async def test_a_change_whose_process_died_before_it_was_shown_is_seen_by_the_next_decision_and_said_at_last(
    registry: System,
):
    await register(registry, "0.0.1", "0.0.2")
    changes = registry.running[0].app.context.get("changes")
    moment = registry.running[0].app.context.get("moment")
    asked = command(MoveAlias, alias="champion")
    known = await changes.known("0", "resnet", asked_by(asked))
    decided = decide(asked, known, moment())
    assert isinstance(decided, AliasMoved)
    await registry_database(registry)["history"].insert_one(changed(decided, founds=False))

    after = await does(registry, MoveAlias, alias="champion", version="0.0.2")
    await registry.say(asked)
    said = await answers(registry, asked)

    assert isinstance(after, AliasMoved)
    assert (after.ordinal, after.old, after.new) == (2, "0.0.1", "0.0.2")
    assert said == [decided]
    assert [one.ordinal for one in await registry.all_of(AliasMoved)] == [1, 2]
    assert (await shown(registry, "champion"))["version"] == "0.0.2"


async def test_notes_are_edited_and_what_is_left_out_stays(registry: System):
    await register(registry, "0.0.1", labels=("nightly",), description="every night")
    guide = Document(name="guide", url="https://example.com/guide")

    first = await does(registry, EditVersion, labels=("nightly", "prod"), why="it is good")
    second = await does(registry, EditVersion, description="", documents=(guide,))

    assert isinstance(first, VersionEdited)
    assert isinstance(second, VersionEdited)
    assert first.before == Notes(labels=("nightly",), description="every night")
    assert first.after == Notes(labels=("nightly", "prod"), description="every night")
    assert (second.before, second.after) == (first.after, Notes(labels=("nightly", "prod"), documents=(guide,)))
    details = await shown(registry)
    assert (details["labels"], details["description"]) == (["nightly", "prod"], "")
    assert details["documents"] == [{"name": "guide", "url": "https://example.com/guide"}]
    [listed] = (await ask(registry, "version.list", model="resnet"))["versions"]
    assert (listed["labels"], listed["description"]) == (["nightly", "prod"], "")


async def test_a_restriction_by_descent_is_lifted_for_one_version(registry: System):
    await register(registry, "0.0.1", "0.0.2", restricted_by=(AUTO,))
    before = await shown(registry)

    lifted = await does(registry, LiftRestriction, why="cleared by legal")

    assert isinstance(lifted, RestrictionLifted)
    assert (before["restrictions"], before["downloadable"]) == (["derived-from-restricted"], False)
    after = await shown(registry)
    assert (after["restrictions"], after["downloadable"], after["restricted_by"]) == ([], True, [AUTO])
    assert (after["lift"]["lifted_by"], after["lift"]["why"]) == ("operator", "cleared by legal")
    assert (await shown(registry, "0.0.2"))["downloadable"] is False


async def test_a_version_that_turns_out_to_descend_from_a_restricted_one_is_restricted_from_then_on(registry: System):
    await register(registry, "0.0.1")
    restricted = an_import("x").answer(VersionRestricted, at(50), version="0.0.1", restricted_by=(AUTO,))

    await registry.say(restricted)
    await registry.quiet()

    details = await shown(registry)
    assert (details["restrictions"], details["restricted_by"]) == (["derived-from-restricted"], [AUTO])
    [listed] = (await ask(registry, "version.list", model="resnet"))["versions"]
    assert listed["restrictions"] == ["derived-from-restricted"]


UNKNOWN = [
    ({"model": "no name"}, Reason.INVALID_NAME, "model 'no name': expected 1 to 64 letters"),
    ({"workspace": "a.b"}, Reason.INVALID_WORKSPACE, "workspace 'a.b': expected 1 to 64 letters"),
    ({"model": "bert"}, Reason.MODEL_NOT_FOUND, "there is no model 'bert' in workspace '0'"),
    ({"version": "9.9.9"}, Reason.VERSION_NOT_FOUND, "resnet has no version 9.9.9: expected one that is registered"),
    ({"version": "1.0"}, Reason.INVALID_VERSION, "version '1.0': expected N.N.N"),
    ({"version": "1\x1b"}, Reason.INVALID_VERSION, "version '1\\x1b': expected N.N.N"),
]
REFUSED: list[tuple[type, dict[str, Any], Reason, str]] = [
    *((EditVersion, {"labels": ("a",), **named}, reason, message) for named, reason, message in UNKNOWN),
    *((MoveAlias, {"alias": "x", **named}, reason, message) for named, reason, message in UNKNOWN),
    *((ReleaseVersion, {"why": "w", **named}, reason, message) for named, reason, message in UNKNOWN),
    *((LiftRestriction, {"why": "w", **named}, reason, message) for named, reason, message in UNKNOWN),
    (MoveAlias, {"alias": "1.2.3"}, Reason.INVALID_ALIAS, "alias '1.2.3' is written like a version number: expected"),
    (MoveAlias, {"alias": "12"}, Reason.INVALID_ALIAS, "alias '12' is written like a version number: expected"),
    (MoveAlias, {"alias": "a b"}, Reason.INVALID_ALIAS, "alias 'a b': expected 1 to 64 letters"),
    (MoveAlias, {"alias": "", "version": None}, Reason.INVALID_ALIAS, "alias '': expected 1 to 64 letters"),
    (MoveAlias, {"alias": "x", "version": None}, Reason.ALIAS_NOT_FOUND, "resnet has no alias 'x'"),
    (MoveAlias, {"alias": "x", "version": None, "model": "bert"}, Reason.MODEL_NOT_FOUND, "there is no model 'bert'"),
    (MoveAlias, {"alias": "there"}, Reason.NOTHING_TO_CHANGE, "alias 'there' of resnet points to 0.0.1 already"),
    (EditVersion, {}, Reason.NOTHING_TO_CHANGE, "labels, description and documents of resnet 0.0.1 are so already"),
    (EditVersion, {"labels": tuple("abcdef")}, Reason.INVALID_LABELS, "6 labels: expected at most 5"),
    (EditVersion, {"description": "a < b"}, Reason.INVALID_DESCRIPTION, "the description holds '<': expected none of"),
    (EditVersion, {"documents": ({"name": "a", "url": "x"},)}, Reason.INVALID_DOCUMENTS, "URL of a document 'x': expected"),
    (ReleaseVersion, {"why": "w"}, Reason.NOT_QUARANTINED, "resnet 0.0.1 is not in quarantine: there is nothing to"),
    (LiftRestriction, {"why": "w"}, Reason.NOTHING_TO_CHANGE, "resnet 0.0.1 is not restricted by what it descends from"),
    (LiftRestriction, {"why": "w", "model": "auto"}, Reason.NOT_LIFTABLE, "auto 0.0.1 was made by automatic learning"),
    (LiftRestriction, {"why": "w", "model": "same"}, Reason.NOT_LIFTABLE, "same 0.0.1 has bytes of auto 0.0.1"),
    (LiftRestriction, {"why": "w", "model": "taken"}, Reason.NOT_LIFTABLE, "taken 0.0.1 has bytes of auto 0.0.1"),
]  # fmt: skip


async def test_what_cannot_be_done_is_refused_by_its_own_rule(registry: System):
    auto = FromAutoLearning(location="file:///auto", project="flowers", run="V001")
    await register(registry, "0.0.1")
    package = a_package("b", a_file("model/learned.pt", "e"))
    taken = a_package("c", a_file("model/other.pt", "e"), a_file("model/serve.py", "1"))
    await register(
        registry, "0.0.1", model="auto", source=auto, package=package, restrictions=(Restriction.AUTO_LEARNING,)
    )
    await register(registry, "0.0.1", model="same", package=package, restricted_by=(AUTO,))
    await register(registry, "0.0.1", model="taken", package=taken, restricted_by=(AUTO,))
    await does(registry, MoveAlias, alias="there")

    for kind, fields, reason, message in REFUSED:
        came = await refused(registry, kind, **fields)
        assert came[0] is reason, (kind, fields, came)
        assert came[1].startswith(message), (kind, fields, came)

    assert len(await registry.all_of(AliasMoved)) == 1
    assert await registry.all_of(VersionEdited) == []
    assert await registry.dead_letters() == []


async def test_a_refusal_of_an_endless_command_is_short(registry: System):
    await register(registry, "0.0.1")
    endless = "x" * 200_000

    for fields in ({"version": endless}, {"alias": endless}):
        answer = await does(registry, MoveAlias, **{"alias": "x", **fields})
        assert isinstance(answer, CommandRefused)
        assert len(answer.body()) < 1000


async def test_a_refused_command_stays_refused_and_an_answered_one_is_answered_the_same(registry: System):
    early, asked = command(MoveAlias, alias="x"), command(MoveAlias, alias="y")
    await registry.say(early)
    await answers(registry, early)
    await register(registry, "0.0.1")
    await registry.say(asked)
    first = await answers(registry, asked)
    changes, moment = (registry.running[0].app.context.get(name) for name in ("changes", "moment"))

    again = await decided_answers(asked, changes, moment)
    still = await decided_answers(early, changes, moment)

    assert again == first
    assert [type(one) for one in still] == [CommandRefused]


async def test_a_registry_that_lost_its_database_is_made_anew_from_the_stream_field_by_field(registry: System):
    await register(registry, "0.0.1", "0.0.2", "0.0.3", restrictions=QUARANTINED)
    await register(registry, "0.0.1", model="child", restricted_by=(AUTO,))
    await a_busy_day(registry)
    await registry.quiet()
    before = await contents(registry)
    said = len(await registry.said())

    await forget(registry)
    await registry.start("registry")
    waiting = await does(registry, EditVersion, version="0.0.3", labels=("after",))

    assert isinstance(waiting, VersionEdited)
    await registry.quiet()
    await registry_database(registry)["history"].delete_one({"_id": waiting.envelope.id})
    after = await contents(registry)
    assert before["history"] == after["history"]
    for name in ("heads", "versions", "listings", "models"):
        assert before[name].keys() == after[name].keys()
    assert (waiting.ordinal, len(await registry.said()) - said) == (before["heads"]["0/resnet"]["ordinal"] + 1, 1)


async def test_made_anew_nothing_is_missing_and_nothing_is_more(registry: System):
    await register(registry, "0.0.1", "0.0.2", "0.0.3", restrictions=QUARANTINED)
    await register(registry, "0.0.1", model="child", restricted_by=(AUTO,))
    await a_busy_day(registry)
    await registry.quiet()
    before = await contents(registry)

    await forget(registry)
    await registry.start("registry")
    await registry.quiet()
    after = await contents(registry)

    assert before["history"]
    assert differences(before, after) == []


async def test_commands_that_a_registry_made_anew_hears_again_change_nothing(registry: System):
    await register(registry, "0.0.1", "0.0.2")
    await refused(registry, MoveAlias, alias="champion", version=None)
    await does(registry, MoveAlias, alias="champion")
    early = report(DeploymentReady)
    await registry.say(early)
    await answers(registry, early)
    await does(registry, DeployVersion, service="search", mode="real-time")
    await refused(registry, DeleteVersion)
    await registry.quiet()
    before, said = await contents(registry), len(await registry.said())

    await forget(registry, EVENTS_STREAM, COMMANDS_STREAM)
    await registry.start("registry")
    await registry.quiet()

    after = await contents(registry)
    assert {name: after[name] for name in before} == before
    assert len(await registry.said()) == said


async def a_busy_day(registry: System) -> None:
    """Some of every change, report and refusal."""
    for number in ("0.0.1", "0.0.2", "0.0.3"):
        await does(registry, ReleaseVersion, version=number, why="read by eye")
    await does(registry, MoveAlias, alias="champion")
    await does(registry, MoveAlias, alias="champion", version="0.0.2")
    await does(registry, MoveAlias, alias="old")
    await does(registry, EditVersion, labels=("one",))
    await does(registry, EditVersion, labels=("two",))
    await does(registry, LiftRestriction, model="child", why="cleared")
    await does(registry, DownloadVersion, version="0.0.2")
    await does(registry, DeployVersion, version="0.0.2", service="search", mode="real-time")
    await does(
        registry,
        RollOut,
        service="search",
        weights=({"version": "0.0.2", "weight": 10}, {"version": "0.0.3", "weight": 90}),
    )
    for kind, version in ((DeploymentReady, "0.0.2"), (DeploymentStopped, "0.0.2"), (DeploymentReady, "0.0.3")):
        await registry.say(report(kind, version=version))
    await registry.say(report(DeploymentReady, service="nowhere"))
    edge = Edge(source="version:0/resnet@0.0.1", kind="derived-from", target="version:0/base@0.0.1")
    await registry.say(an_import("late").answer(LineageExtended, at(60), version="0.0.1", edges=(edge,)))
    await registry.say(an_import("late").answer(VersionRestricted, at(61), version="0.0.3", restricted_by=(AUTO,)))
    await does(registry, DeleteVersion)
    await registry.quiet()
    assert await registry.all_of(DownloadGranted)
    assert await registry.all_of(VersionReleased)
