"""One import as one trace: through all three services, from the trace of the training system that asked for it."""

from collections.abc import Iterator, Mapping

import pytest

from modelkin.processes import free_port
from shared.messages import ModelImported, ModelRegistered, VersionAssigned
from tests.integration.system import PATIENCE_S, SERVICES, System
from tests.otlp import Collector, collecting

TRAINING = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HANDLE = "process modelkin.evt.v1"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


async def test_an_import_is_one_trace_of_three_services_that_continues_that_of_the_training_system(
    bare_system: System, collector: Collector
):
    await bare_system.start(*SERVICES, otlp_endpoint=collector.url)
    traceparent = f"00-{TRAINING[0]}-{TRAINING[1]}-01"
    await bare_system.publish(bare_system.training("cats"), id="one", headers={"traceparent": traceparent})
    await bare_system.hear(ModelRegistered, "cats")
    await bare_system.quiet()
    await bare_system.stop(*SERVICES)

    assert {span.trace_id for span in collector.spans} == {TRAINING[0]}
    (first,) = collector.named("modelkin-importer", f"{HANDLE}.training.succeeded")
    assert first.parent_id == TRAINING[1]
    assert first.attributes["modelkin.request_id"] == "one"
    assert first.attributes["modelkin.model"] == "cats"
    assert first.attributes["messaging.consumer.group.name"] == "importer-on-training-succeeded"
    within = {span.name for span in collector.spans if span.parent_id == first.span_id}
    published = {"publish modelkin.evt.v1.import.started", "publish modelkin.evt.v1.model.imported"}
    assert within == {"find", "copy", "inspect", *published}
    (assigned,) = collector.named("modelkin-registry", f"{HANDLE}.version.assigned")
    assert collector.path_of(assigned) == [
        "modelkin-importer: process modelkin.evt.v1.training.succeeded",
        "modelkin-importer: publish modelkin.evt.v1.model.imported",
        "modelkin-versioning: process modelkin.evt.v1.model.imported",
        "modelkin-versioning: publish modelkin.evt.v1.version.assigned",
        "modelkin-registry: process modelkin.evt.v1.version.assigned",
    ]
    registered = collector.named("modelkin-registry", "publish modelkin.evt.v1.model.registered")
    assert [collector.path_of(span)[-2].startswith(f"modelkin-registry: {HANDLE}") for span in registered] == [True]


async def test_a_trace_is_no_part_of_an_event(bare_system: System, collector: Collector):
    await bare_system.start(*SERVICES, otlp_endpoint=collector.url)
    await bare_system.publish(bare_system.training("cats"))
    await bare_system.hear(ModelRegistered, "cats")

    for kind in (ModelImported, VersionAssigned, ModelRegistered):
        (said,) = [one for one in await bare_system.said() if one.is_a(kind)]
        event = said.event()
        assert said.body.decode() == event.body()
        assert of_the_event(said.headers) == event.headers()
        assert said.headers.keys() - event.headers().keys() == {"traceparent", "Nats-Expected-Stream", "correlation_id"}


async def test_what_is_said_again_is_the_same_in_another_trace(bare_system: System, collector: Collector):
    heard = await bare_system.client.subscribe(f"{ModelImported.address}.0.cats")
    await bare_system.start("importer", otlp_endpoint=collector.url)
    request = bare_system.training("cats")
    await bare_system.publish(request, id="one")
    first = await heard.next_msg(PATIENCE_S)
    await bare_system.publish(request, id="delivered again", headers={"ce-id": "one"})
    again = await heard.next_msg(PATIENCE_S)

    assert again.data == first.data
    assert of_the_event(again.headers) == of_the_event(first.headers)
    assert again.headers["traceparent"] != first.headers["traceparent"]
    assert len(await bare_system.all_of(ModelImported)) == 1


def of_the_event(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith(("ce-", "Nats-Msg-Id", "content-type"))}


async def test_what_came_without_a_trace_that_can_be_read_begins_one(bare_system: System, collector: Collector):
    await bare_system.start("importer", otlp_endpoint=collector.url)
    for number, given in enumerate(("", "00-zz-yy-01", "x" * 5000)):
        await bare_system.publish(bare_system.training("cats", run=f"V{number}"), headers={"Traceparent": given})
    await bare_system.hear(ModelImported, "cats", count=3)
    await bare_system.quiet()
    await bare_system.stop("importer")

    began = collector.named("modelkin-importer", f"{HANDLE}.training.succeeded")
    assert [span.parent_id for span in began] == ["", "", ""]
    assert len({span.trace_id for span in began}) == 3


async def test_an_import_succeeds_and_a_service_stops_in_time_where_no_collector_answers(bare_system: System):
    await bare_system.start("importer", otlp_endpoint=f"http://127.0.0.1:{free_port()}")
    await bare_system.publish(bare_system.training("cats"))

    await bare_system.hear(ModelImported, "cats")
    await bare_system.stop("importer")
