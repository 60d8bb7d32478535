"""OpenLineage events, checked with the classes of OpenLineage itself."""

import json

import attr
import pytest
from openlineage.client import event_v2, facet_v2
from openlineage.client.serde import Serde

from modelkin.openlineage import run_events
from tests.answers import a_graph, a_lineage_version, an_edge

GRAPH = a_graph(
    "resnet@0.0.2",
    [
        a_lineage_version("resnet@0.0.2", parameters={"optimizer": {"lr": 0.1}, "name": "adam"}),
        a_lineage_version("bert@1.0.0", deleted=True),
    ],
    an_edge("resnet@0.0.2", "trained-by", "job:0/job-7@V002"),
    an_edge("resnet@0.0.2", "trained-on", "dataset:0/s3://data/cats@2"),
    an_edge("resnet@0.0.2", "trained-on", "dataset:0/dogs"),
    an_edge("resnet@0.0.2", "built-from", "code:https://git.example/cats@abc"),
    an_edge("resnet@0.0.2", "derived-from", "bert@1.0.0", "fine-tuned"),
    an_edge("resnet@0.0.2", "succeeds", "resnet@0.0.1"),
    an_edge("bert@1.0.0", "built-from", "code:git@git.example:bert.git@def"),
)
FACETS = {
    "executionParameters": facet_v2.execution_parameters_run.ExecutionParametersRunFacet,
    "jobType": facet_v2.job_type_job.JobTypeJobFacet,
    "sourceCodeLocation": facet_v2.source_code_location_job.SourceCodeLocationJobFacet,
    "version": facet_v2.dataset_version_dataset.DatasetVersionDatasetFacet,
}


def _read(kind, said, **parts):
    """What OpenLineage's class makes of a JSON object; a field that it does not have is an error."""
    fields = {one.name.lstrip("_"): one for one in attr.fields(kind)}
    given = {name.lstrip("_"): value for name, value in said.items()}
    assert set(given) <= set(fields)
    return kind(**{name: parts.get(name, value) for name, value in given.items() if fields[name].init})


def _facets(said):
    return {name: _facet(FACETS[name], facet) for name, facet in said.items()}


def _facet(kind, said):
    facet = _read(kind, said)
    assert facet._schemaURL == said["_schemaURL"]
    return facet


def _datasets(kind, said):
    return [_read(kind, one, facets=_facets(one["facets"])) for one in said]


def _event(said):
    event = _read(
        event_v2.RunEvent,
        said,
        eventType=event_v2.RunState(said["eventType"]),
        run=_read(event_v2.Run, said["run"], facets=_facets(said["run"]["facets"])),
        job=_read(event_v2.Job, said["job"], facets=_facets(said["job"]["facets"])),
        inputs=_datasets(event_v2.InputDataset, said["inputs"]),
        outputs=_datasets(event_v2.OutputDataset, said["outputs"]),
    )
    assert event.schemaURL == said["schemaURL"]
    return event


def test_openlineage_reads_each_event_and_writes_it_alike():
    events = list(run_events(GRAPH))

    again = [json.loads(Serde.to_json(_event(event))) for event in events]

    assert len(events) == 2
    for said, written in zip(events, again, strict=True):
        for dataset in written["inputs"]:
            assert dataset.pop("inputFacets") == {}
        for dataset in written["outputs"]:
            assert dataset.pop("outputFacets") == {}
        assert written == said


def test_an_event_says_job_inputs_and_output():
    event, base = run_events(GRAPH)

    assert (event["eventType"], event["eventTime"]) == ("COMPLETE", "2026-01-05T12:00:00+00:00")
    assert (event["job"]["namespace"], event["job"]["name"]) == ("modelkin/0/jobs", "job-7")
    assert [(one["namespace"], one["name"]) for one in event["inputs"]] == [
        ("modelkin/0/datasets", "s3://data/cats"),
        ("modelkin/0/datasets", "dogs"),
        ("modelkin/0/versions", "bert@1.0.0"),
    ]
    assert event["inputs"][0]["facets"]["version"]["datasetVersion"] == "2"
    assert event["inputs"][1]["facets"] == {}
    assert [(one["namespace"], one["name"]) for one in event["outputs"]] == [("modelkin/0/versions", "resnet@0.0.2")]
    assert event["run"]["facets"]["executionParameters"]["parameters"] == [
        {"key": "optimizer.lr", "value": "0.1"},
        {"key": "name", "value": "adam"},
    ]
    assert (base["job"]["name"], base["inputs"], base["run"]["facets"]) == ("import bert", [], {})


def test_code_is_said_where_its_repository_is_a_url():
    event, base = run_events(GRAPH)

    code = event["job"]["facets"]["sourceCodeLocation"]
    assert (code["url"], code["version"]) == ("https://git.example/cats", "abc")
    assert "sourceCodeLocation" not in base["job"]["facets"]


@pytest.mark.parametrize("repository", ["git.example/cats", "https://[", "https://a b", "https://a/\n", ""])
def test_what_is_no_url_has_no_place_in_the_facet(repository):
    graph = a_graph(
        "a@0.0.1", [a_lineage_version("a@0.0.1")], an_edge("a@0.0.1", "built-from", f"code:{repository}@abc")
    )

    [event] = run_events(graph)

    assert "sourceCodeLocation" not in event["job"]["facets"]


def test_the_id_of_a_run_is_that_of_its_version_whenever_it_is_said():
    first, second = ([event["run"]["runId"] for event in run_events(GRAPH)] for _ in range(2))

    assert first == second
    assert len(set(first)) == 2
