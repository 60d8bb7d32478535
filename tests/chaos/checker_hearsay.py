"""Invariant 5, what versioning keeps of others: where versions are deployed; and how recalls ended."""

from collections.abc import Iterator

from tests.chaos.checker_records import REPORTS, Record, Violation, World, node_of

SERVING = frozenset({"deployment.started", "deployment.ready"})
RECALLS = frozenset({"modelkin.cmd.v1.version.recall", "modelkin.evt.v1.dataset.recalled"})


def hearsay(world: World) -> Iterator[Violation]:
    yield from _deployments(world)
    kept = world.versioning.get("recall_answers", {})
    for answer in world.of("recall.traced", "command.refused"):
        recalled = answer.kind == "recall.traced" or answer.fields["command"] in RECALLS
        if recalled and kept.get(answer.cause or "", {}).get("body", "").encode() != answer.body:
            yield Violation(5, "versioning does not keep how the recall ended", str(answer))
    said = {answer.cause for answer in world.of("recall.traced", "command.refused")}
    for key in kept.keys() - said:
        yield Violation(1, "it was decided, and never said", f"versioning.recall_answers {key}")


def _deployments(world: World) -> Iterator[Violation]:
    """A version is deployed where the service was asked to serve it, and its newest report says that it does."""
    kept = world.versioning.get("deployments", {})
    newest = _newest_reports(world)
    asked = {key for change in world.of("deployment.requested", "rollout.requested") for key in _asked(change)}
    for key in sorted(asked):
        expected = key in newest and newest[key].kind in SERVING
        document = kept.get(key, {})
        if bool(document.get("requested")) is not True or bool(document.get("deployed")) is not expected:
            state = newest.get(key, "no report")
            yield Violation(5, f"it is not as requested, and as {state} says", f"versioning.deployments {key}")
    for key, document in kept.items():
        if document.get("requested") and key not in asked:
            yield Violation(5, "no event requests it", f"versioning.deployments {key}")


def _newest_reports(world: World) -> dict[str, Record]:
    newest: dict[str, Record] = {}
    for report in sorted(world.of(*REPORTS), key=lambda one: (one.time, one.id)):
        if not world.letters_of(report, "versioning-on-"):
            newest[f"{node_of(report)} {report.fields.get('service')}"] = report
    return newest


def _asked(change: Record) -> Iterator[str]:
    workspace, model = change.model_key
    for target in change.fields.get("targets", (change.fields,)):
        yield f"version:{workspace}/{model}@{target['version']} {change.fields['service']}"
