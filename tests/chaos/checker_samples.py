"""A small system as it should be, made by hand, for tests to spoil: its streams, its databases, its files.

resnet    0.0.1  aliased `best`, edited, downloaded, deployed as `shop`, ready there
          0.0.2  deleted
          a request for 0.0.1 once more, refused by versioning; a request for a folder that is not there, refused by the importer
flowers_1 0.0.1  made by automatic learning
petals    0.0.1  derived from it, so restricted
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.chaos.checker_records import Letter, Record, World
from tests.chaos.sent import Sent

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
FLOWERS = "version:0/flowers_1@0.0.1"


@dataclass
class Draft:
    """A world to be spoiled."""

    artifacts: Path
    streams: dict[str, list[Record]] = field(default_factory=lambda: {"EVENTS": [], "COMMANDS": []})
    letters: list[Letter] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    stores: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)

    # Streams

    def say(
        self, kind: str, message_id: str, cause: str | None = None, sayer: str = "registry", /, **body: Any
    ) -> Record:
        """An event; its model is resnet unless it says otherwise."""
        caused = {"causationid": cause} if cause is not None else {}
        return self._add(kind, {"id": message_id, "source": f"modelkin/{sayer}", **caused}, body)

    def hear(self, kind: str, message_id: str, **body: Any) -> Record:
        """An event that another system says."""
        return self._add(kind, {"id": message_id, "source": "trainer"}, body)

    def ask(self, kind: str, message_id: str, **body: Any) -> Record:
        return self._add(kind, {"id": message_id, "source": "somebody-else"}, body, command=True)

    def _add(self, kind: str, envelope: dict[str, str], body: dict[str, Any], *, command: bool = False) -> Record:
        stream, address = ("COMMANDS", f"modelkin.cmd.v1.{kind}") if command else ("EVENTS", f"modelkin.evt.v1.{kind}")
        body = {"workspace": "0", "model": "resnet", **body}
        topic = body.get("project", body["model"])
        time = NOON + timedelta(seconds=sum(map(len, self.streams.values())))
        about = {"type": address, "time": time.isoformat(), "subject": f"0/{topic}"}
        headers = {f"ce-{name}": value for name, value in (envelope | about).items()}
        headers["Nats-Msg-Id"] = envelope["id"]
        sequence = len(self.streams[stream]) + 1
        subject = f"{address}.0.{topic}{'.operator' if command else ''}"
        record = Record.of(stream, sequence, subject, headers, json.dumps(body).encode(), time)
        self.streams[stream].append(record)
        return record

    def message(self, message_id: str) -> Record:
        return next(one for stream in self.streams.values() for one in stream if one.id == message_id)

    def repeat(self, message_id: str, **changes: Any) -> None:
        """The stream takes a message once more, with other contents where they are given."""
        first = self.message(message_id)
        stream = self.streams[first.stream]
        stream.append(replace(_with(first, changes), sequence=len(stream) + 1))

    def change(self, message_id: str, **changes: Any) -> None:
        """Let a message say something else."""
        for stream in self.streams.values():
            stream[:] = [_with(one, changes) if one.id == message_id else one for one in stream]

    def drop(self, message_id: str) -> None:
        for stream in self.streams.values():
            stream[:] = [one for one in stream if one.id != message_id]

    def swap(self, one: str, other: str) -> None:
        """Two messages change places."""
        first, second = self.message(one), self.message(other)
        stream = self.streams[first.stream]
        places = {first.id: second.sequence, second.id: first.sequence}
        stream[:] = sorted(
            (replace(each, sequence=places.get(each.id, each.sequence)) for each in stream),
            key=lambda each: each.sequence,
        )

    def set_aside(self, message_id: str, durable: str, reason: str = "malformed", message: str = "not JSON") -> None:
        record = self.message(message_id)
        self.letters.append(Letter(durable, record.stream, record.sequence, reason, message))

    # Databases

    def keep(self, collection: str, key: str, **facts: Any) -> None:
        """`collection` is registry.versions and the like; what is there already is added to."""
        service, _, name = collection.partition(".")
        document = self.stores.setdefault(service, {}).setdefault(name, {}).setdefault(key, {"_id": key})
        document |= facts

    def document(self, collection: str, key: str) -> dict[str, Any]:
        service, _, name = collection.partition(".")
        document: dict[str, Any] = self.stores[service][name][key]
        return document

    def forget(self, collection: str, key: str) -> None:
        service, _, name = collection.partition(".")
        del self.stores[service][name][key]

    # Files

    def put(self, content: bytes) -> str:
        name = hashlib.sha256(content).hexdigest()
        path = self.path_of(f"sha256:{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return f"sha256:{name}"

    def path_of(self, digest: str) -> Path:
        name = digest.removeprefix("sha256:")
        return self.artifacts / "blobs" / "sha256" / name[:2] / name

    def package(self, content: bytes) -> dict[str, Any]:
        """Of one file."""
        file = {"path": "model/model.bin", "digest": self.put(content), "size_bytes": len(content)}
        manifest = self.put(json.dumps({"files": [file], "schema": "modelkin.manifest.v1"}).encode())
        told = {"size_bytes": len(content), "file_count": 1, "in_place": False, "files": [file]}
        return {"digest": manifest, **told}

    def world(self) -> World:
        return World(
            events=tuple(self.streams["EVENTS"]),
            commands=tuple(self.streams["COMMANDS"]),
            letters=tuple(self.letters),
            left=self.left,
            importer=self.stores.get("importer", {}),
            versioning=self.stores.get("versioning", {}),
            registry=self.stores.get("registry", {}),
            artifacts=self.artifacts,
            sent=tuple(self.sent),
        )

    # What happens

    def imported(self, name: str, model: str, source: Mapping[str, Any], **facts: Any) -> Record:
        """The request `name` is imported: package, event, and what importer and registry keep."""
        package = self.package(name.encode())
        told = {"import_id": f"import-{name}", "source": source, "package": package, "requested_by": "trainer"}
        notes = {"labels": [], "description": "", "documents": []}
        made_with: dict[str, Any] = {"parameters": {}, "metrics": {}, "bases": [], "datasets": [], "restrictions": []}
        everything = {**notes, **made_with, **told, **facts}
        event = self.say("model.imported", f"imported-{name}", name, "importer", model=model, **everything)
        self.keep("importer.imports", name, outcome=event.id, **written(event))
        self.keep("registry.imports", event.id, imported=written(event))
        return event

    def assigned(self, imported: Record, version: str, ordinal: int, *edges: Mapping[str, Any], **facts: Any) -> Record:
        """The import gets a number, and is registered."""
        about = {name: imported.fields[name] for name in ("model", "import_id", "parameters", "metrics")}
        about |= {"version": version, "package_digest": imported.fields["package"]["digest"]}
        name = imported.id.removeprefix("imported-")
        more = {"ordinal": ordinal, "edges": edges, "restricted_by": [], **facts}
        event = self.say("version.assigned", f"assigned-{name}", imported.id, "versioning", **about, **more)
        node = f"version:0/{about['model']}@{version}"
        parents = [edge["target"] for edge in edges if edge["kind"] == "derived-from"]
        found = {"node": node, "parents": parents, "restricted_by": more["restricted_by"]}
        self.keep("versioning.versions", imported.id, **written(event), **found)
        number = int(version.rpartition(".")[2])
        self.keep("registry.versions", imported.id, assigned=written(event), number=number)
        self.say("model.registered", f"registered-{name}", event.id, size_bytes=len(name), **about)
        return event

    def changed(self, kind: str, command: str, ordinal: int, **facts: Any) -> Record:
        event = self.say(kind, f"changed-{command}", command, ordinal=ordinal, by="operator", **facts)
        self.keep("registry.history", event.id, **written(event))
        self.keep("registry.heads", "0/resnet", ordinal=ordinal, deletions=int(kind == "version.deleted"))
        return event


def written(event: Record) -> dict[str, Any]:
    envelope = {"id": event.id, "time": event.headers["ce-time"], "cause_id": event.cause}
    return {"body": event.body.decode(), "envelope": json.dumps(envelope)}


def edge(version: str, kind: str, target: str) -> dict[str, str]:
    return {"source": f"version:0/{version}", "kind": kind, "target": target}


def a_draft(artifacts: Path) -> Draft:
    draft = Draft(artifacts)
    _versions(draft)
    _refusals(draft)
    _changes(draft)
    _recall(draft)
    _automatic_learning(draft)
    return draft


def _training(draft: Draft, name: str, run: str, model: str = "resnet", **more: Any) -> dict[str, Any]:
    """Asks for an import; returns its source."""
    job = {"id": "job-1", "version": run}
    draft.hear("training.succeeded", name, model=model, job=job, location="file:///models/1", **more)
    return {"method": "training-job", "location": "file:///models/1", "job": job}


def _versions(draft: Draft) -> None:
    for ordinal, name in enumerate(("first", "second"), start=1):
        run, version = f"V00{ordinal}", f"resnet@0.0.{ordinal}"
        imported = draft.imported(name, "resnet", _training(draft, name, run))
        edges = [edge(version, "trained-by", f"job:0/job-1@{run}")]
        if ordinal == 2:
            edges.append(edge(version, "succeeds", "version:0/resnet@0.0.1"))
        draft.assigned(imported, f"0.0.{ordinal}", ordinal, *edges)


def _refusals(draft: Draft) -> None:
    again = draft.imported("again", "resnet", _training(draft, "again", "V003"), requested_version="0.0.1")
    why = {"reason": "version-exists", "message": "resnet has a version 0.0.1 already, of import import-first"}
    refused = draft.say("version.refused", "refused-again", again.id, "versioning", import_id="import-again", **why)
    draft.keep("versioning.versions", again.id, **written(refused))
    draft.keep("registry.versions", again.id, refused=written(refused))
    _training(draft, "missing", "V004")
    why = {"reason": "location-not-found", "message": "nothing is there"}
    refused = draft.say("import.refused", "refused-missing", "missing", "importer", import_id="import-missing", **why)
    draft.keep("importer.imports", "missing", outcome=refused.id, **written(refused))


def _changes(draft: Draft) -> None:
    first, second = (draft.message(f"imported-{name}").fields["package"]["digest"] for name in ("first", "second"))
    draft.ask("alias.move", "alias", alias="best", version="0.0.1")
    draft.changed("alias.moved", "alias", 1, alias="best", old=None, new="0.0.1")
    draft.keep("registry.aliases", "0/resnet/best", number=1)
    draft.ask("version.edit", "edit", version="0.0.1", labels=["good"])
    notes = {"labels": [], "description": "", "documents": []}
    edited = draft.changed(
        "version.edited", "edit", 2, version="0.0.1", before=notes, after={**notes, "labels": ["good"]}
    )
    draft.keep("registry.versions", "imported-first", edited=written(edited))
    draft.ask("version.download", "download", version="0.0.1")
    grant = {"id": "grant-1", "package_digest": first, "service": None, "expires_at": NOON.isoformat()}
    draft.changed("download.granted", "download", 3, version="0.0.1", grant=grant)
    draft.ask("version.deploy", "deploy", version="0.0.1", service="shop", mode="batch")
    about = {"service": "shop", "mode": "batch"}
    draft.changed("deployment.requested", "deploy", 4, version="0.0.1", grant={**grant, "service": "shop"}, **about)
    request = {"model": "resnet", "mode": "batch", "ordinal": 4}
    draft.keep("registry.services", "0/shop", **request)
    report = draft.hear("deployment.ready", "ready", version="0.0.1", service="shop", message="it serves")
    draft.keep("registry.history", report.id, **written(report))
    said = {"state": "ready", "message": "it serves"}
    draft.keep("registry.deployments", "0/shop/0.0.1", **request, number=1, weight=100, said=said)
    draft.keep("versioning.deployments", "version:0/resnet@0.0.1 shop", requested=True, deployed=True)
    draft.ask("version.delete", "delete", version="0.0.2")
    gone = {"version": "0.0.2", "import_id": "import-second", "package_digest": second, "deletions": 1}
    deleted = draft.changed("version.deleted", "delete", 5, **gone)
    draft.keep("registry.versions", "imported-second", deleted=written(deleted))
    draft.keep("versioning.versions", "imported-second", deleted=True)
    ended = draft.say("deletion.reported", "reported-delete", "delete", deleted=["0.0.2"], left=1)
    draft.keep("registry.answers", "delete", **written(ended))
    draft.ask("version.edit", "late-edit", version="0.0.2", labels=["late"])
    why = {"command": "modelkin.cmd.v1.version.edit", "reason": "version-deleted", "message": "gone"}
    refused = draft.say("command.refused", "refused-late-edit", "late-edit", **why)
    draft.keep("registry.answers", "late-edit", **written(refused))


def _recall(draft: Draft) -> None:
    draft.ask("version.recall", "recall", version="0.0.1")
    told = {"recalled": "version:0/resnet@0.0.1", "distance": 0, "by": "operator", "why": "wrong labels"}
    draft.say("version.affected", "affected", "recall", "versioning", version="0.0.1", **told)
    about = {"recalled": "version:0/resnet@0.0.1", "versions": 1, "services": 1}
    answer = draft.say("recall.traced", "traced", "recall", "versioning", **about)
    draft.keep("versioning.recall_answers", "recall", **written(answer))


def _automatic_learning(draft: Draft) -> None:
    draft.hear("autolearning.deployed", "flowers", project="flowers", run="V001", location="file:///auto/flowers")
    source = {"method": "automatic-learning", "location": "file:///auto", "project": "flowers", "run": "V001"}
    imported = draft.imported("flowers", "flowers_1", source, restrictions=["auto-learning"])
    draft.assigned(imported, "0.0.1", 1, edge("flowers_1@0.0.1", "trained-by", "job:0/flowers@V001"))
    base = {"model": "flowers_1", "version": "0.0.1", "digest": None, "workspace": None}
    imported = draft.imported("petals", "petals", _training(draft, "petals", "V005", "petals"), bases=[base])
    edges = [
        edge("petals@0.0.1", "trained-by", "job:0/job-1@V005"),
        edge("petals@0.0.1", "derived-from", FLOWERS),
    ]
    draft.assigned(imported, "0.0.1", 1, *edges, restricted_by=[FLOWERS])


def _with(record: Record, changes: Mapping[str, Any]) -> Record:
    fields = {**record.fields, **changes}
    return replace(record, body=json.dumps(fields).encode(), fields=fields)
