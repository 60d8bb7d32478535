"""What the two collections of the listings hold, and how it is read. Pure: no database.

listings, one document a version
    _id            <workspace>/<model>@<rank of the number, 6 digits>
    revision       grows with every change of the version: an older state never overwrites a newer one
    live           whether it is not deleted
    scopes, terms, times, words    what it is found by (terms.py): its model; that and more; its time; its description
    by_number, by_created, by_size    sortable texts, unique within what they sort, so that a page can begin after any
    summary, parameters    what is shown and what conditions see, as text
models, one document a model
    _id            <workspace>/<model>
    versions, deleted, highest    kept by $max, so that a repeat changes nothing
    by_created, by_updated        likewise, by $min and $max
    by_name
    head           what it is listed by, kept by $max too: a document compares by its first field
        place      <1 where live><rank><revision> of that version: grows, but for a deletion
        summary, scopes, terms, by_size    what that version is
names, one document a model, written once
    _id            <workspace>/<model>
    terms          the grams of its name
    by_name
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.registry.domain import RegisteredVersion
from services.registry.listing.facts import Facts, revision
from services.registry.listing.terms import (
    grams,
    model_terms,
    on_levels,
    part_of,
    term,
    terms_of,
    time_terms,
    word_terms,
)
from shared.naming import VersionNumber
from shared.queries import ModelSummary

Document = dict[str, Any]
# Widest of a number of bytes that a JSON integer of 64 bits can hold.
SIZE_DIGITS = 19


def model_id(workspace: str, model: str) -> str:
    return f"{workspace}/{model}"


def version_id(workspace: str, model: str, rank: int) -> str:
    return f"{model_id(workspace, model)}@{ranked(rank)}"


def ranked(rank: int) -> str:
    return f"{rank:06}"


def instant(time: datetime) -> str:
    """Sorts as time does."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def sized(size_bytes: int) -> str:
    return f"{size_bytes:0{SIZE_DIGITS}}"


def place_of(listed: Document) -> str:
    """Where a version stands among those that its model could be listed by: the greatest is the one."""
    return f"{int(listed['live'])}{listed['by_number']}{listed['revision']:012}"


def listed_version(version: RegisteredVersion) -> Document:
    facts, workspace = Facts.of(version), version.workspace
    key = version_id(workspace, version.model, version.number.rank)
    return {
        "_id": key,
        "revision": revision(version),
        "live": facts.live,
        "scopes": on_levels(key, [term(part_of(facts), workspace, "m", version.model)]),
        "terms": on_levels(key, terms_of(workspace, facts)),
        "times": on_levels(key, time_terms(workspace, facts)),
        "words": on_levels(key, word_terms(workspace, facts)),
        "by_number": ranked(version.number.rank),
        "by_created": f"{instant(version.registered_at)}|{key}",
        "by_size": f"{sized(facts.summary.size_bytes)}|{key}",
        **facts.written(),
    }


def head_of_model(listed: Document) -> Document:
    """What a model is listed by, where `listed` is its highest version."""
    key = listed["_id"].partition("@")[0]
    workspace = key.partition("/")[0]
    facts = Facts.read(listed)
    part = part_of(facts)
    return {
        "place": place_of(listed),
        "summary": listed["summary"],
        "scopes": on_levels(key, [term(part, workspace, "*")]),
        "terms": on_levels(key, model_terms(workspace, facts)),
        "by_size": f"{sized(facts.summary.size_bytes)}|{key}",
    }


@dataclass(frozen=True, slots=True)
class Addition:
    """What versions add to their model, whatever else is known of it."""

    model_id: str
    most: Document
    """For $max: fields that only grow, the head among them."""
    least: Document
    once: Document


def additions_to_models(versions: Sequence[RegisteredVersion]) -> list[Addition]:
    by_model: dict[str, list[RegisteredVersion]] = {}
    for version in versions:
        by_model.setdefault(model_id(version.workspace, version.model), []).append(version)
    return [_addition(key, of_model) for key, of_model in by_model.items()]


def _addition(key: str, versions: Sequence[RegisteredVersion]) -> Addition:
    changes = [change for one in versions for change in (one.released, one.edited, one.lifted, one.deleted) if change]
    registered = [one.registered_at for one in versions]
    most = {
        "versions": max(one.assigned.ordinal for one in versions),
        "deleted": max(one.deleted.deletions if one.deleted else 0 for one in versions),
        "highest": max(one.number for one in versions).rank,
        "by_updated": f"{instant(max([*registered, *(change.envelope.time for change in changes)]))}|{key}",
        "head": head_of_model(max(map(listed_version, versions), key=place_of)),
    }
    return Addition(
        model_id=key,
        most=most,
        least={"by_created": f"{instant(min(registered))}|{key}"},
        once={"by_name": versions[0].model},
    )


def name_of_model(key: str) -> Document:
    workspace, _, model = key.partition("/")
    return {
        "_id": key,
        "terms": on_levels(key, [term("L", workspace, "g", gram) for gram in sorted(grams(model))]),
        "by_name": model,
    }


def with_its_head(model: Document) -> Document:
    """A document of `models` as it is read: what it is listed by beside the rest."""
    return {**model, **model.get("head", {})}


def read_model(document: Document) -> ModelSummary:
    workspace, _, model = document["_id"].partition("/")
    head = Facts.read(document).summary
    return ModelSummary(
        workspace=workspace,
        model=model,
        versions=document["versions"],
        deleted=document["deleted"],
        latest=head.version,
        created_at=_time(document["by_created"]),
        updated_at=_time(document["by_updated"]),
        engine=head.engine,
        size_bytes=head.size_bytes,
        labels=head.labels,
        description=head.description,
        metrics=head.metrics,
    )


def number_of_head(document: Document) -> VersionNumber:
    return VersionNumber.from_rank(int(document["place"][1:7]))


def is_live(document: Document) -> bool:
    return str(document["place"]).startswith("1")


def _time(sortable: str) -> datetime:
    return datetime.fromisoformat(sortable.partition("|")[0])
