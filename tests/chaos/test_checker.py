"""The checker finds what breaks each invariant, says which message shows it, and finds nothing where nothing is wrong."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checker import judged
from tests.chaos.checker_records import Record
from tests.chaos.checker_samples import FLOWERS, Draft, a_draft, edge, written
from tests.chaos.sent import Sent

STREAMED = re.compile("(EVENTS|COMMANDS) ")


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    return a_draft(tmp_path)


def found(draft: Draft) -> set[tuple[int, str]]:
    """Which invariants are broken, and the ids of the messages, or the documents, that show it."""
    return {
        (one.invariant, one.event.rpartition(" ")[2] if STREAMED.match(one.event) else one.event)
        for one in judged(draft.world())
    }


def messages(draft: Draft, event: str) -> list[str]:
    return [one.message for one in judged(draft.world()) if one.event.endswith(event)]


def sent(draft: Draft, message_id: str, *, sequence: int | None = None, valid: bool = True) -> Sent:
    record = draft.message(message_id)
    place = record.sequence if sequence is None else sequence
    return Sent(message_id, record.subject, record.body, "", "0", "resnet", None, place, valid)


def grant(package_digest: str) -> dict[str, Any]:
    return {"id": "grant-1", "package_digest": package_digest, "service": None}


def test_a_system_as_it_should_be_breaks_nothing(draft: Draft):
    draft.repeat("assigned-first")
    draft.sent.append(sent(draft, "first"))

    assert judged(draft.world()) == []


# 1 Nothing lost


def test_a_request_that_was_never_answered_is_lost(draft: Draft):
    draft.drop("refused-missing")
    draft.forget("importer.imports", "missing")

    assert found(draft) == {(1, "missing"), (5, "importer.imports missing")}


def test_a_request_that_is_a_dead_letter_is_not_lost(draft: Draft):
    draft.drop("refused-missing")
    draft.forget("importer.imports", "missing")
    draft.set_aside("missing", "importer-on-training-succeeded")

    assert found(draft) == set()


def test_a_dead_letter_without_a_reason_is_none(draft: Draft):
    draft.drop("refused-missing")
    draft.forget("importer.imports", "missing")
    draft.set_aside("missing", "importer-on-training-succeeded", reason="", message="")

    assert {one.message for one in judged(draft.world())} == {"a dead letter does not name its reason: ''"}


def test_what_the_stream_confirmed_and_has_not_is_lost(draft: Draft):
    draft.sent.append(sent(draft, "first", sequence=99))

    assert messages(draft, "first") == ["EVENTS confirmed first at 99, where it has None"]


def test_no_message_is_blamed_for_the_death_of_processes_that_were_killed(draft: Draft):
    draft.drop("refused-missing")
    draft.forget("importer.imports", "missing")
    told = "delivered 9 times, …; it may kill the process that works on it"
    draft.set_aside("missing", "importer-on-training-succeeded", reason="failed", message=told)

    blamed = "nothing that is sent kills a process, and a message was blamed for that"
    assert {one.message for one in judged(draft.world())} == {blamed}


def test_what_cannot_be_read_must_be_a_dead_letter_and_nothing_else_may(draft: Draft):
    draft.sent += [sent(draft, "first", valid=False), sent(draft, "second")]
    draft.set_aside("second", "importer-on-training-succeeded")

    assert messages(draft, "EVENTS 1") == ["first cannot be read, and is no dead letter"]
    assert messages(draft, "EVENTS 5") == ["second can be read, and is a dead letter"]


def test_a_request_that_repeats_another_is_answered_by_its_outcome(draft: Draft):
    first = draft.message("first")
    draft.hear("training.succeeded", "fresh-id", job=first.fields["job"], location="file:///models/1")
    outcome = draft.document("importer.imports", "first")
    draft.keep("importer.imports", "fresh-id", **{**outcome, "_id": "fresh-id"})

    assert found(draft) == set()


def test_an_import_without_a_number_is_lost(draft: Draft):
    draft.drop("assigned-first")
    draft.drop("registered-first")

    assert (1, "imported-first") in found(draft)
    assert (1, "versioning.versions imported-first") in found(draft)


def test_a_number_that_was_never_registered_is_lost(draft: Draft):
    draft.drop("registered-first")

    assert found(draft) == {(1, "assigned-first")}


def test_a_command_without_an_answer_is_lost(draft: Draft):
    draft.drop("refused-late-edit")

    assert found(draft) == {(1, "late-edit"), (1, "registry.answers late-edit")}


def test_a_report_that_is_neither_kept_nor_refused_is_lost(draft: Draft):
    draft.forget("registry.history", "ready")

    assert (1, "ready") in found(draft)


def test_messages_that_a_consumer_has_not_handled_are_told(draft: Draft):
    draft.left = {"registry-on-changes": 3, "registry-on-answers": 0}

    assert [tuple(one) for one in judged(draft.world())] == [
        (1, "3 messages were not handled by registry-on-changes", "registry-on-changes")
    ]


def test_a_report_that_has_no_time_and_is_a_dead_letter_is_not_lost(draft: Draft):
    report = draft.hear("deployment.failed", "unreadable", version="0.0.1", service="shop")
    draft.streams["EVENTS"][-1] = replace(report, headers={**report.headers, "ce-time": "yesterday"})
    draft.set_aside("unreadable", "registry-on-reports")
    draft.set_aside("unreadable", "versioning-on-changes")

    assert found(draft) == set()


# 2 Nothing twice


def test_one_id_with_two_contents_is_told(draft: Draft):
    draft.repeat("assigned-first", version="0.0.9")

    (violation,) = judged(draft.world())
    assert violation.invariant == 2
    assert violation.message.startswith("one id, two contents: EVENTS 3 version.assigned assigned-first said")


def test_a_second_version_of_one_training_is_told(draft: Draft):
    first = draft.message("first")
    draft.hear("training.succeeded", "fresh-id", job=first.fields["job"], location="file:///models/1")
    source = {"method": "training-job", "location": "file:///models/1", "job": first.fields["job"]}
    imported = draft.imported("fresh-id", "resnet", source)
    draft.assigned(
        imported,
        "0.0.3",
        3,
        edge("resnet@0.0.3", "trained-by", "job:0/job-1@V001"),
        edge("resnet@0.0.3", "succeeds", "version:0/resnet@0.0.2"),
    )

    assert found(draft) == {(2, "imported-fresh-id")}


def test_a_version_that_was_deleted_may_be_made_again(draft: Draft):
    second = draft.message("second")
    draft.hear("training.succeeded", "fresh-id", job=second.fields["job"], location="file:///models/1")
    source = {"method": "training-job", "location": "file:///models/1", "job": second.fields["job"]}
    imported = draft.imported("fresh-id", "resnet", source)
    draft.assigned(
        imported,
        "0.0.3",
        3,
        edge("resnet@0.0.3", "trained-by", "job:0/job-1@V002"),
        edge("resnet@0.0.3", "succeeds", "version:0/resnet@0.0.2"),
    )

    assert found(draft) == set()


def test_two_answers_to_one_request_are_told(draft: Draft):
    why = {"reason": "location-not-found", "message": "gone"}
    draft.say("import.refused", "other-answer", "first", "importer", import_id="import-first", **why)

    assert (2, "first") in found(draft)


def test_an_answer_to_nothing_is_told(draft: Draft):
    why = {"command": "modelkin.cmd.v1.package.verify", "reason": "package-not-found", "message": "none"}
    draft.say("command.refused", "odd", "never-asked", "importer", **why)

    assert found(draft) == {(2, "odd")}


def test_what_cannot_be_read_is_answered_by_its_place(draft: Draft):
    place = len(draft.streams["EVENTS"])
    letter = {"letter": 1, "durable": "importer-on-training-succeeded", "message_id": "m", "reason": "malformed"}
    told = {"message": "bad", "attempts": 1, "original_subject": "s", "stream": "EVENTS", "sequence": place}
    draft.say("letter.added", "letter", f"EVENTS-{place}", "importer", **letter, **told)

    assert found(draft) == set()


# 3 Numbers


def test_a_number_given_twice_is_told(draft: Draft):
    draft.change("assigned-second", version="0.0.1", ordinal=1)

    assert any("0.0.1 was given already" in message for message in messages(draft, "assigned-second"))
    assert (3, "assigned-second") in found(draft)


def test_a_gap_in_automatic_numbers_is_told(draft: Draft):
    draft.change("assigned-second", version="0.0.4")

    assert "0.0.4: expected 0.0.2" in messages(draft, "assigned-second")


def test_a_gap_in_ordinals_is_told(draft: Draft):
    draft.change("assigned-second", ordinal=3)

    assert "ordinal 3 of 0.0.2: expected 2" in messages(draft, "assigned-second")


def test_another_number_than_the_one_asked_for_is_told(draft: Draft):
    draft.change("imported-second", requested_version="2.0.0")

    assert "0.0.2: expected 2.0.0" in messages(draft, "assigned-second")


@pytest.mark.parametrize(("bump", "expected"), [("minor", "0.1.0"), ("major", "1.0.0")])
def test_the_next_minor_and_major_are_known(draft: Draft, bump: str, expected: str):
    draft.change("imported-second", requested_bump=bump)

    assert f"0.0.2: expected {expected}" in messages(draft, "assigned-second")


def test_a_refused_number_that_nobody_holds_is_told(draft: Draft):
    draft.change("imported-again", requested_version="5.0.0")

    assert (3, "refused-again") in found(draft)


def test_a_model_that_is_said_to_have_no_number_left_has_none(draft: Draft):
    draft.change("refused-again", reason="versions-exhausted")
    draft.change("imported-again", requested_version=None)

    assert "no number is said to be left: 0.0.3 is" in messages(draft, "refused-again")


# 4 Read what you heard, 5 memory


def test_a_registered_version_without_its_number_in_the_registry_is_told(draft: Draft):
    del draft.document("registry.versions", "imported-first")["assigned"]

    assert found(draft) == {(4, "registry.versions imported-first")}


@pytest.mark.parametrize(
    ("collection", "key", "facts"),
    [
        ("importer.imports", "first", {"body": "{}"}),
        ("versioning.versions", "imported-first", {"body": "{}"}),
        ("versioning.versions", "imported-first", {"node": "version:0/resnet@0.0.7"}),
        ("versioning.versions", "imported-second", {"deleted": False}),
        ("versioning.versions", "imported-petals", {"parents": []}),
        ("versioning.versions", "imported-petals", {"restricted_by": []}),
        ("versioning.deployments", "version:0/resnet@0.0.1 shop", {"deployed": False}),
        ("versioning.deployments", "version:0/resnet@0.0.1 shop", {"requested": False}),
        ("versioning.deployments", "version:0/resnet@0.0.2 shop", {"requested": True}),
        ("registry.versions", "imported-first", {"number": 7}),
        ("registry.versions", "imported-first", {"restricted_by": [FLOWERS]}),
        ("registry.history", "changed-alias", {"body": "{}"}),
        ("registry.answers", "late-edit", {"body": "{}"}),
        ("registry.aliases", "0/resnet/best", {"number": 2}),
        ("registry.services", "0/shop", {"model": "petals"}),
        ("registry.deployments", "0/shop/0.0.1", {"weight": 40}),
        ("registry.deployments", "0/shop/0.0.1", {"said": {"state": "failed", "message": ""}}),
        ("registry.heads", "0/resnet", {"ordinal": 4}),
    ],
)
def test_a_document_that_says_something_else_than_the_events_is_told(
    draft: Draft, collection: str, key: str, facts: dict[str, object]
):
    draft.keep(collection, key, **facts)

    assert found(draft) == {(5, f"{collection} {key}")}


@pytest.mark.parametrize("change", ["edited", "deleted"])
def test_a_change_that_is_not_shown_in_its_version_is_told(draft: Draft, change: str):
    version = {"edited": "imported-first", "deleted": "imported-second"}[change]
    del draft.document("registry.versions", version)[change]

    assert found(draft) == {(5, f"registry.versions {version}")}


def test_a_decision_that_was_kept_and_never_said_is_told(draft: Draft):
    draft.keep("registry.history", "unsaid", **written(draft.message("changed-alias")))

    assert (1, "registry.history unsaid") in found(draft)


def test_a_recall_whose_end_is_kept_otherwise_than_it_was_said_is_told(draft: Draft):
    draft.keep("versioning.recall_answers", "recall", body="{}")

    assert found(draft) == {(5, "traced")}


def test_an_alias_that_no_event_tells_of_is_told(draft: Draft):
    draft.keep("registry.aliases", "0/resnet/worst", number=1)

    assert found(draft) == {(5, "registry.aliases 0/resnet/worst")}


def test_edges_that_the_import_does_not_tell_are_told(draft: Draft):
    draft.change("assigned-first", edges=[edge("resnet@0.0.1", "trained-by", "job:0/job-9@V001")])

    assert any("edges differ from what was imported" in message for message in messages(draft, "assigned-first"))


def test_versions_with_the_same_bytes_that_do_not_know_each_other_are_told(draft: Draft):
    package = draft.message("imported-first").fields["package"]
    draft.change("imported-second", package=package)
    draft.change("assigned-second", package_digest=package["digest"])

    assert any("none names another" in one.message for one in judged(draft.world()))


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model": "resnet"}'])
def test_an_event_that_cannot_be_read_is_told(draft: Draft, body: bytes):
    told = draft.say("alias.moved", "broken", "alias")
    event = Record.of("EVENTS", told.sequence, told.subject, told.headers, body, told.time)
    draft.streams["EVENTS"][-1] = event

    assert found(draft) == {(5, "broken")}


def test_an_event_of_no_known_kind_is_told(draft: Draft):
    draft.say("alias.lost", "odd", "alias")

    assert messages(draft, "odd") == ["it is no event that the wire knows"]


# 6 Bytes


def test_bytes_that_are_gone_are_told(draft: Draft):
    digest = draft.message("imported-first").fields["package"]["files"][0]["digest"]
    draft.path_of(digest).unlink()

    assert messages(draft, "registered-first") == [
        f"model/model.bin: {digest} cannot be read: No such file or directory"
    ]


def test_bytes_that_are_others_are_told(draft: Draft):
    digest = draft.message("imported-first").fields["package"]["files"][0]["digest"]
    draft.path_of(digest).write_bytes(b"other")

    (message,) = messages(draft, "registered-first")
    assert message.startswith(f"model/model.bin: {digest} holds the bytes of sha256:")


def test_a_manifest_that_is_gone_is_told(draft: Draft):
    draft.path_of(draft.message("imported-first").fields["package"]["digest"]).unlink()

    assert found(draft) == {(6, "registered-first")}


def test_bytes_of_a_deleted_version_may_be_gone(draft: Draft):
    draft.path_of(draft.message("imported-second").fields["package"]["digest"]).unlink()

    assert found(draft) == set()


# 7 Restriction


@pytest.mark.parametrize(
    ("name", "model", "because"),
    [
        ("flowers", "flowers_1", "which automatic learning made"),
        ("petals", "petals", f"which descends from ['{FLOWERS}']"),
    ],
)
def test_a_download_of_what_automatic_learning_made_is_told(draft: Draft, name: str, model: str, because: str):
    digest = draft.message(f"imported-{name}").fields["package"]["digest"]
    about = {"model": model, "version": "0.0.1", "by": "operator"}
    draft.say("download.granted", "granted", "get", ordinal=1, grant=grant(digest), **about)

    assert f"a download of 0.0.1, {because}" in messages(draft, "granted")


@pytest.mark.parametrize(("seconds", "is_told"), [(10, False), (1000, True)])
def test_a_download_long_after_a_restriction_was_found_is_told(draft: Draft, seconds: float, is_told: bool):
    digest = draft.message("imported-second").fields["package"]["digest"]
    late = {"model": "petals", "version": "0.0.1", "restricted_by": [FLOWERS]}
    draft.change("assigned-petals", restricted_by=[])
    draft.say("version.restricted", "restricted", "imported-flowers", "versioning", **late)
    command = draft.ask("version.download", "get", model="petals", version="0.0.1")
    draft.streams["COMMANDS"][-1] = replace(command, stored_at=command.stored_at + timedelta(seconds=seconds))
    about = {"model": "petals", "version": "0.0.1", "by": "operator"}
    draft.say("download.granted", "granted", "get", ordinal=1, grant=grant(digest), **about)

    assert (f"a download of 0.0.1, which descends from ['{FLOWERS}']" in messages(draft, "granted")) is is_told


def test_a_lifted_restriction_lets_the_version_be_downloaded(draft: Draft):
    digest = draft.message("imported-petals").fields["package"]["digest"]
    about = {"model": "petals", "version": "0.0.1", "by": "operator"}
    draft.say("restriction.lifted", "lifted", "lift", ordinal=1, restriction="derived-from-restricted", **about)
    draft.say("download.granted", "granted", "get", ordinal=2, grant=grant(digest), **about)

    assert [one for one in judged(draft.world()) if one.invariant == 7] == []


def test_a_version_in_quarantine_that_is_deployed_is_told(draft: Draft):
    draft.change("imported-first", restrictions=["quarantine"])

    assert "a grant for 0.0.1, which is in quarantine" in messages(draft, "changed-deploy")


def test_a_grant_for_another_package_is_told(draft: Draft):
    other = draft.message("imported-second").fields["package"]["digest"]
    draft.change("changed-download", grant=grant(other))

    assert "the grant for 0.0.1 opens another package" in messages(draft, "changed-download")


def test_a_descendant_that_is_not_restricted_is_told(draft: Draft):
    draft.change("assigned-petals", restricted_by=[])

    assert (7, "assigned-petals") in found(draft)


def test_a_restriction_without_a_cause_is_told(draft: Draft):
    draft.change("assigned-first", restricted_by=["version:0/resnet@0.0.2"])

    assert (7, "assigned-first") in found(draft)


# 8 Order


def test_an_event_before_its_cause_is_told(draft: Draft):
    draft.swap("imported-first", "assigned-first")

    assert (8, "assigned-first") in found(draft)


def test_versions_in_another_order_than_that_of_their_ordinals_are_told(draft: Draft):
    draft.swap("assigned-first", "assigned-second")

    assert "version 2 of 0/resnet was said as number 1" in messages(draft, "assigned-second")


def test_changes_in_another_order_than_that_of_their_ordinals_are_told(draft: Draft):
    draft.swap("changed-alias", "changed-edit")

    assert found(draft) == {(8, "changed-alias"), (8, "changed-edit")}


def test_a_gap_in_changes_is_told(draft: Draft):
    draft.change("changed-delete", ordinal=6)

    assert "change 6 of 0/resnet was said as number 5" in messages(draft, "changed-delete")


def test_a_change_that_did_not_know_the_one_before_is_told(draft: Draft):
    draft.change("changed-alias", old="0.0.2")

    assert "best is moved from 0.0.2: it was at None" in messages(draft, "changed-alias")


def test_notes_that_were_never_so_are_told(draft: Draft):
    draft.change("changed-edit", before={"labels": ["odd"], "description": "", "documents": []})

    assert any(message.startswith("the notes before are") for message in messages(draft, "changed-edit"))


def test_a_change_of_a_deleted_version_is_told(draft: Draft):
    draft.ask("version.edit", "too-late", version="0.0.2", labels=["late"])
    notes = {"labels": [], "description": "", "documents": []}
    draft.changed("version.edited", "too-late", 6, version="0.0.2", before=notes, after={**notes, "labels": ["late"]})

    assert "it is about 0.0.2, which was deleted before" in messages(draft, "changed-too-late")


def test_an_end_before_what_it_ends_is_told(draft: Draft):
    draft.swap("changed-delete", "reported-delete")

    assert (8, "changed-delete") in found(draft)


def test_5000_events_take_seconds(draft: Draft):
    """A bound far above what it takes: what is quadratic takes minutes."""
    for number in range(3, 1200):
        name, version = f"more-{number}", f"resnet@0.{number // 100}.{number % 100}"
        job = {"id": "many", "version": f"V{number}"}
        draft.hear("training.succeeded", name, job=job, location="file:///models/1")
        imported = draft.imported(name, "resnet", {"method": "training-job", "location": "file:///m", "job": job})
        before = f"version:0/resnet@0.{(number - 1) // 100}.{(number - 1) % 100}"
        edges = [edge(version, "trained-by", f"job:0/many@V{number}"), edge(version, "succeeds", before)]
        draft.assigned(imported, version.partition("@")[2], number, *edges)
        draft.keep("registry.versions", imported.id, number=number)

    assert found(draft) == set()


# 9 Who


@pytest.mark.parametrize(("event", "named"), [("affected", "by"), ("refused-late-edit", "by")])
def test_what_names_another_than_the_sender_of_its_command_is_told(draft: Draft, event: str, named: str):
    draft.change(event, **{named: "somebody-else"})

    assert (9, event) in found(draft)


def test_an_import_that_names_another_than_the_sender_of_its_event_is_told(draft: Draft):
    draft.change("imported-first", requested_by="somebody-else")

    assert (9, "imported-first") in found(draft)
