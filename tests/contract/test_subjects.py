"""Every message obeys the subject grammar, and the words on subjects are a closed list."""

import re

import pytest

from shared import messages, queries, subjects
from shared.messages import (
    COMMANDS,
    EVENTS,
    LIVE,
    AutoLearningDeployed,
    Change,
    CollectGarbage,
    Command,
    CommandRefused,
    DatasetRecalled,
    DeadLetterEvent,
    DeploymentReport,
    GarbageCollected,
    ImportModel,
    ImportProgressed,
    ImportRequest,
    Message,
    ModelCommand,
    ModelMessage,
    ProjectionRebuilt,
    RebuildProgressed,
    RebuildProjection,
    RebuildRegistry,
    RebuildVersioning,
    TrainingSucceeded,
)
from shared.queries import QUERIES, Filters, Query
from tests.samples import NOON, a_deployment, a_release_command, a_request, an_import, an_import_command, said

# A new word is a reviewed change.
ENTITIES = {
    "training",
    "autolearning",
    "model",
    "import",
    "version",
    "command",
    "job",
    "template",
    "lineage",
    "service",
    "restriction",
    "alias",
    "deletion",
    "download",
    "rollout",
    "deployment",
    "dataset",
    "recall",
    "artifact",
    "package",
    "garbage",
    "history",
    "grant",
    "file",
    "projection",
    "letter",
    "registry",
    "versioning",
}
EVENT_PREDICATES = {
    "succeeded",
    "deployed",
    "started",
    "imported",
    "registered",
    "assigned",
    "refused",
    "released",
    "progressed",
    "restricted",
    "affected",
    "edited",
    "deleted",
    "extended",
    "lifted",
    "moved",
    "reported",
    "granted",
    "requested",
    "ready",
    "failed",
    "stopped",
    "recalled",
    "traced",
    "corrupted",
    "verified",
    "collected",
    "rebuilt",
    "added",
    "redriven",
    "dropped",
}
COMMAND_PREDICATES = {
    "import",
    "release",
    "lift",
    "edit",
    "delete",
    "deploy",
    "download",
    "recall",
    "move",
    "rollout",
    "verify",
    "collect",
    "rebuild",
}
QUERY_PREDICATES = {
    "list",
    "get",
    "ping",
    "best",
    "read",
    "affected",
    "examine",
}
# What has a topic that no sender chooses.
FIXED_TOPICS = {CollectGarbage: "artifacts", GarbageCollected: "artifacts"} | {
    RebuildRegistry: "registry",
    RebuildVersioning: "versioning",
}
OF_A_SERVICE = (ProjectionRebuilt, RebuildProgressed)
GRAMMAR = re.compile(
    r"modelkin\.(?P<kind>evt|cmd|live|qry)\.v(?P<version>[1-9][0-9]*)\.(?P<entity>[a-z]+)\.(?P<predicate>[a-z]+)"
)
# What has no subject of its own.
BASES = {
    Command,
    ModelMessage,
    ImportRequest,
    ModelCommand,
    Change,
    DeploymentReport,
    RebuildProjection,
    DeadLetterEvent,
}


def parts(address: str) -> re.Match[str]:
    match = GRAMMAR.fullmatch(address)
    assert match is not None, address
    return match


@pytest.mark.parametrize("event", [*EVENTS, *LIVE], ids=lambda kind: kind.__name__)
def test_an_event_is_addressed_by_the_grammar_with_known_words(event: type[Message]):
    address = parts(event.address)

    assert address["kind"] == ("evt" if event in EVENTS else "live")
    assert address["entity"] in ENTITIES
    assert address["predicate"] in EVENT_PREDICATES


@pytest.mark.parametrize("command", COMMANDS, ids=lambda kind: kind.__name__)
def test_a_command_is_addressed_by_the_grammar_with_known_words(command: type[Message]):
    address = parts(command.address)

    assert address["kind"] == "cmd"
    assert address["entity"] in ENTITIES
    assert address["predicate"] in COMMAND_PREDICATES


@pytest.mark.parametrize("query", QUERIES, ids=lambda kind: kind.__name__)
def test_a_query_is_addressed_by_the_grammar_with_known_words(query: type[Query]):
    address = parts(query.address)

    assert address["kind"] == "qry"
    assert address["entity"] in ENTITIES
    assert address["predicate"] in QUERY_PREDICATES


def test_every_word_of_the_lists_is_in_use():
    addresses = [parts(kind.address) for kind in (*EVENTS, *COMMANDS, *LIVE, *QUERIES)]

    assert {address["entity"] for address in addresses} == ENTITIES
    assert {address["predicate"] for address in addresses} == EVENT_PREDICATES | COMMAND_PREDICATES | QUERY_PREDICATES


def test_a_fact_is_in_the_past_tense_and_a_command_is_not():
    assert all(predicate.endswith("ed") for predicate in EVENT_PREDICATES - {"ready", "redriven", "rebuilt"})
    assert not any(predicate.endswith("ed") for predicate in COMMAND_PREDICATES)


def test_no_two_messages_share_an_address():
    addresses = [kind.address for kind in (*EVENTS, *COMMANDS, *LIVE, *QUERIES)]

    assert len(set(addresses)) == len(addresses)


def classes(module: object, base: type) -> set[type]:
    found = {one for one in vars(module).values() if isinstance(one, type) and issubclass(one, base)}
    return found - {base}


def test_every_message_is_in_one_list():
    assert classes(messages, Message) - BASES == {*EVENTS, *COMMANDS, *LIVE}
    assert len({*EVENTS, *COMMANDS, *LIVE}) == len(EVENTS) + len(COMMANDS) + len(LIVE)


def test_every_query_is_in_the_list_of_queries():
    assert classes(queries, Query) - {Filters} == {*QUERIES}


def test_an_event_says_its_kind_and_what_it_is_about_in_its_headers():
    headers = an_import(workspace="vision").headers()

    assert headers["ce-type"] == "modelkin.evt.v1.model.imported"
    assert headers["ce-subject"] == "vision/resnet"


def test_what_a_project_says_is_about_the_project():
    deployed = a_deployment(workspace="vision", project="flowers")

    assert deployed.subject == "modelkin.evt.v1.autolearning.deployed.vision.flowers"
    assert deployed.headers()["ce-subject"] == "vision/flowers"


def test_a_command_travels_on_a_subject_that_says_who_sent_it():
    imported = an_import_command(workspace="vision", envelope=said("command-1", "ops"))
    released = a_release_command(workspace="vision", envelope=said("command-2", "ops"))

    assert imported.subject == "modelkin.cmd.v1.model.import.vision.resnet.ops"
    assert released.subject == "modelkin.cmd.v1.version.release.vision.resnet.ops"
    assert released.headers()["ce-type"] == "modelkin.cmd.v1.version.release"


@pytest.mark.parametrize("source", ["ops@example", "modelkin-cli/kim", "a.b", "*", ">", "two words", "~", "x" * 65])
def test_a_sender_whose_name_is_no_token_stands_in_the_header_alone(source: str):
    command = a_release_command(envelope=said("command-2", source))

    assert command.subject == "modelkin.cmd.v1.version.release.0.resnet.~"


def test_a_command_in_another_name_is_the_same_command():
    command = a_release_command(envelope=said("command-2", "ops"))
    other = command.sent_by("root")

    assert other.subject == "modelkin.cmd.v1.version.release.0.resnet.root"
    assert other.headers() == {**command.headers(), "ce-source": "root"}
    assert other.body() == command.body()


def test_a_refused_command_is_answered_with_an_event_about_its_model():
    command = a_release_command(workspace="vision")

    answer = command.answer(CommandRefused, NOON, command=command.address, reason="version-not-found", message="m")

    assert answer.subject == "modelkin.evt.v1.command.refused.vision.resnet"


def test_the_stream_of_events_takes_each_event_of_any_workspace_and_model_and_nothing_else():
    assert subjects.EVENT_SUBJECTS == (
        "modelkin.evt.v1.training.succeeded.*.*",
        "modelkin.evt.v1.autolearning.deployed.*.*",
        "modelkin.evt.v1.import.started.*.*",
        "modelkin.evt.v1.model.imported.*.*",
        "modelkin.evt.v1.import.refused.*.*",
        "modelkin.evt.v1.version.assigned.*.*",
        "modelkin.evt.v1.version.refused.*.*",
        "modelkin.evt.v1.model.registered.*.*",
        "modelkin.evt.v1.version.released.*.*",
        "modelkin.evt.v1.restriction.lifted.*.*",
        "modelkin.evt.v1.version.restricted.*.*",
        "modelkin.evt.v1.lineage.extended.*.*",
        "modelkin.evt.v1.alias.moved.*.*",
        "modelkin.evt.v1.version.edited.*.*",
        "modelkin.evt.v1.version.deleted.*.*",
        "modelkin.evt.v1.deletion.reported.*.*",
        "modelkin.evt.v1.deployment.requested.*.*",
        "modelkin.evt.v1.rollout.requested.*.*",
        "modelkin.evt.v1.deployment.started.*.*",
        "modelkin.evt.v1.deployment.ready.*.*",
        "modelkin.evt.v1.deployment.failed.*.*",
        "modelkin.evt.v1.deployment.stopped.*.*",
        "modelkin.evt.v1.download.granted.*.*",
        "modelkin.evt.v1.dataset.recalled.*.*",
        "modelkin.evt.v1.version.affected.*.*",
        "modelkin.evt.v1.recall.traced.*.*",
        "modelkin.evt.v1.artifact.corrupted.*.*",
        "modelkin.evt.v1.package.verified.*.*",
        "modelkin.evt.v1.garbage.collected.*.*",
        "modelkin.evt.v1.projection.rebuilt.*.*",
        "modelkin.evt.v1.letter.added.*.*",
        "modelkin.evt.v1.letter.redriven.*.*",
        "modelkin.evt.v1.letter.dropped.*.*",
        "modelkin.evt.v1.command.refused.*.*",
    )


def test_the_stream_of_commands_takes_each_command_with_and_without_its_sender_and_nothing_else():
    assert subjects.COMMAND_SUBJECTS == (
        "modelkin.cmd.v1.model.import.*.*",
        "modelkin.cmd.v1.model.import.*.*.*",
        "modelkin.cmd.v1.version.release.*.*",
        "modelkin.cmd.v1.version.release.*.*.*",
        "modelkin.cmd.v1.version.lift.*.*",
        "modelkin.cmd.v1.version.lift.*.*.*",
        "modelkin.cmd.v1.alias.move.*.*",
        "modelkin.cmd.v1.alias.move.*.*.*",
        "modelkin.cmd.v1.version.edit.*.*",
        "modelkin.cmd.v1.version.edit.*.*.*",
        "modelkin.cmd.v1.version.delete.*.*",
        "modelkin.cmd.v1.version.delete.*.*.*",
        "modelkin.cmd.v1.version.deploy.*.*",
        "modelkin.cmd.v1.version.deploy.*.*.*",
        "modelkin.cmd.v1.service.rollout.*.*",
        "modelkin.cmd.v1.service.rollout.*.*.*",
        "modelkin.cmd.v1.version.download.*.*",
        "modelkin.cmd.v1.version.download.*.*.*",
        "modelkin.cmd.v1.version.recall.*.*",
        "modelkin.cmd.v1.version.recall.*.*.*",
        "modelkin.cmd.v1.package.verify.*.*",
        "modelkin.cmd.v1.package.verify.*.*.*",
        "modelkin.cmd.v1.garbage.collect.*.*",
        "modelkin.cmd.v1.garbage.collect.*.*.*",
        "modelkin.cmd.v1.registry.rebuild.*.*",
        "modelkin.cmd.v1.registry.rebuild.*.*.*",
        "modelkin.cmd.v1.versioning.rebuild.*.*",
        "modelkin.cmd.v1.versioning.rebuild.*.*.*",
    )


@pytest.mark.parametrize(
    ("kind", "stream"),
    [
        *((event, "EVENTS") for event in EVENTS),
        *((command, "COMMANDS") for command in COMMANDS),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_events_are_kept_with_events_and_commands_with_commands(kind: type[Message], stream: str):
    assert subjects.stream_of(kind) == stream


def test_what_is_only_heard_live_is_on_no_subject_of_a_stream():
    assert subjects.all_of(ImportProgressed) not in (*subjects.EVENT_SUBJECTS, *subjects.COMMAND_SUBJECTS)


@pytest.mark.parametrize("kind", [*EVENTS, *COMMANDS, *LIVE], ids=lambda kind: kind.__name__)
def test_the_subject_of_a_message_fits_its_filter(kind: type[Message]):
    about = {AutoLearningDeployed: "project", DatasetRecalled: "dataset"} | dict.fromkeys(OF_A_SERVICE, "service")
    topic = {about.get(kind, "model"): "模型"}
    message = kind.model_construct(envelope=said("1", "运维"), workspace="视觉", **topic)
    by, anyone = (".运维", ".*") if kind in COMMANDS else ("", "")

    assert message.subject == f"{kind.address}.视觉.{FIXED_TOPICS.get(kind, '模型')}{by}"
    assert subjects.all_of(kind) == f"{kind.address}.*.*{anyone}"


@pytest.mark.parametrize(
    "message",
    [
        a_request(workspace="a.b.c", model=""),
        a_deployment(workspace="a.b.c", project="*"),
        an_import_command(workspace="a.b.c", model=">"),
        a_release_command(workspace="a.b.c", model="a b"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_subject_has_as_many_tokens_for_names_that_break_the_rule(message: Message):
    assert message.subject == f"{message.address}.~.~{'.operator' if type(message) in COMMANDS else ''}"


def test_each_consumer_is_named_for_its_service_and_what_it_hears():
    heard = [
        (consumer.durable, consumer.stream, tuple(kind.address.partition(".v1.")[2] for kind in consumer.kinds))
        for consumer in subjects.CONSUMERS
    ]

    assert heard == [
        ("importer-on-training-succeeded", "EVENTS", ("training.succeeded",)),
        ("importer-on-auto-learning-deployed", "EVENTS", ("autolearning.deployed",)),
        ("importer-on-import-model", "COMMANDS", ("model.import",)),
        ("importer-on-version-refused", "EVENTS", ("version.refused",)),
        ("importer-on-version-deleted", "EVENTS", ("version.deleted",)),
        ("importer-on-verify-package", "COMMANDS", ("package.verify",)),
        ("importer-on-collect-garbage", "COMMANDS", ("garbage.collect",)),
        ("versioning-on-model-imported", "EVENTS", ("model.imported",)),
        (
            "versioning-on-changes",
            "EVENTS",
            (
                "version.deleted",
                "deployment.requested",
                "rollout.requested",
                "deployment.started",
                "deployment.ready",
                "deployment.failed",
                "deployment.stopped",
            ),
        ),
        ("versioning-on-recall-version", "COMMANDS", ("version.recall",)),
        ("versioning-on-dataset-recalled", "EVENTS", ("dataset.recalled",)),
        ("versioning-on-rebuild", "COMMANDS", ("versioning.rebuild",)),
        ("registry-on-model-imported", "EVENTS", ("model.imported",)),
        ("registry-on-version-assigned", "EVENTS", ("version.assigned",)),
        ("registry-on-version-refused", "EVENTS", ("version.refused",)),
        (
            "registry-on-changes",
            "EVENTS",
            (
                "version.released",
                "restriction.lifted",
                "alias.moved",
                "version.edited",
                "version.deleted",
                "deployment.requested",
                "rollout.requested",
                "download.granted",
                "version.restricted",
                "lineage.extended",
            ),
        ),
        ("registry-on-answers", "EVENTS", ("command.refused", "deletion.reported")),
        (
            "registry-on-reports",
            "EVENTS",
            ("deployment.started", "deployment.ready", "deployment.failed", "deployment.stopped"),
        ),
        (
            "registry-on-commands",
            "COMMANDS",
            (
                "version.release",
                "version.lift",
                "alias.move",
                "version.edit",
                "version.delete",
                "version.deploy",
                "service.rollout",
                "version.download",
            ),
        ),
        ("registry-on-rebuild", "COMMANDS", ("registry.rebuild",)),
    ]


def test_a_consumer_hears_messages_of_one_stream():
    assert all(len({subjects.stream_of(kind) for kind in consumer.kinds}) == 1 for consumer in subjects.CONSUMERS)


def test_a_consumer_hears_each_of_its_kinds_of_any_workspace_and_model():
    reports = subjects.REGISTRY_ON_REPORTS

    assert reports.filter_subjects == (
        "modelkin.evt.v1.deployment.started.*.*",
        "modelkin.evt.v1.deployment.ready.*.*",
        "modelkin.evt.v1.deployment.failed.*.*",
        "modelkin.evt.v1.deployment.stopped.*.*",
    )


def test_a_consumer_of_commands_hears_them_with_and_without_their_sender():
    assert subjects.IMPORTER_ON_IMPORT_MODEL.filter_subjects == (
        "modelkin.cmd.v1.model.import.*.*",
        "modelkin.cmd.v1.model.import.*.*.*",
    )


def test_every_command_has_one_owner():
    owners = [kind for consumer in subjects.CONSUMERS if consumer.stream == "COMMANDS" for kind in consumer.kinds]

    assert sorted(owners, key=COMMANDS.index) == [*COMMANDS]


def test_every_request_to_import_is_heard():
    importer = [consumer for consumer in subjects.CONSUMERS if consumer.durable.startswith("importer-")]
    heard = {kind for consumer in importer for kind in consumer.kinds}

    assert {TrainingSucceeded, AutoLearningDeployed, ImportModel} <= heard
    assert {kind for kind in (*EVENTS, *COMMANDS) if issubclass(kind, ImportRequest)} <= heard


def test_the_streams_keep_their_names():
    assert (subjects.EVENTS_STREAM, subjects.COMMANDS_STREAM, subjects.DEAD_LETTERS_STREAM) == (
        "EVENTS",
        "COMMANDS",
        "DEAD_LETTERS",
    )
    assert subjects.DEAD_LETTERS == "modelkin.dlq"
