"""config.json: every rule of it, by configurations that break only one. Each fault says where, what came, what was expected."""

import json
from typing import Any

import pytest

from services.importer.domain import Unacceptable
from services.importer.package.config import read_config, requirements_of
from services.importer.package.engines import ENGINE_NAMES
from shared.values import Reason
from tests.packages import valid_config


def refused(document: dict[str, Any] | bytes, method: str = "object-storage") -> Unacceptable:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(Unacceptable) as caught:
        read_config(content, method)
    return caught.value


def faults(document: dict[str, Any] | bytes, method: str = "object-storage") -> list[tuple[str, str]]:
    return [(fault.path, fault.got) for fault in refused(document, method).refusal.faults]


def an_api(**changes: Any) -> dict[str, Any]:
    return {"protocol": "http", "url": "/", "method": "post", **changes}


def with_data(schema: Any) -> dict[str, Any]:
    return valid_config(apis=[an_api(request={"Content-type": "application/json", "data": schema})])


def with_package(**package: Any) -> dict[str, Any]:
    return valid_config(dependencies=[{"installer": "pip", "packages": [package]}])


def with_health(**changes: Any) -> dict[str, Any]:
    return valid_config("Image", health={"url": "/health", "protocol": "http", **changes})


# What a public guide shows as the configuration of an object detector: older JSON schema, "file", and post in small letters.
PUBLISHED: dict[str, Any] = {
    "model_type": "TensorFlow",
    "model_algorithm": "object_detection",
    "metrics": {"f1": 0.345294, "accuracy": 0.462963, "precision": 0.338977, "recall": 0.351852},
    "apis": [
        {
            "protocol": "http",
            "url": "/",
            "method": "post",
            "request": {
                "Content-type": "multipart/form-data",
                "data": {"type": "object", "properties": {"images": {"type": "file"}}},
            },
            "response": {
                "Content-type": "multipart/form-data",
                "data": {
                    "type": "object",
                    "properties": {
                        "detection_boxes": {
                            "type": "array",
                            "items": [
                                {"type": "array", "minItems": 4, "maxItems": 4, "items": [{"type": "number"}]},
                            ],
                        },
                    },
                },
            },
        },
    ],
    "dependencies": [
        {
            "installer": "pip",
            "packages": [
                {"restraint": "EXACT", "package_version": "1.15.0", "package_name": "numpy"},
                {"restraint": "", "package_version": "", "package_name": "Pillow"},
            ],
        },
    ],
}

VALID: dict[str, dict[str, Any]] = {
    **{engine: valid_config(engine) for engine in ENGINE_NAMES},
    "published": PUBLISHED,
    "least": {"model_algorithm": "a", "model_type": "ONNX"},
    "longest algorithm": valid_config(model_algorithm="a" * 36),
    "algorithm with other letters": valid_config(model_algorithm="détection d-objets (v2)"),
    "a list of many labels": valid_config(labels=[f"label {number}" for number in range(20_000)]),
    "unknown keys": valid_config(model_version="3", comment={"by": ["me"]}),
    "nothing in text": valid_config(runtime="", swr_location="", apis=[], dependencies=[], metrics={}),
    "nulls": {**valid_config(), "runtime": None, "metrics": None, "apis": None, "health": None},
    "other metrics": valid_config(metrics={"f1": 1, "loss": -3.5e10, "note": "by hand", "auc": None}),
    "health beside files": valid_config(health={"url": "/health"}),
    "https": valid_config(apis=[an_api(protocol="https")]),
    "an API of defaults": valid_config(apis=[{}]),
    "several paths of an image": valid_config(
        "Image", apis=[an_api(url="/a"), an_api(url="/b"), an_api(url="/a", method="GET")]
    ),
    "seconds as text": with_health(initial_delay_seconds="5", timeout_seconds="0.5"),
    "seconds at their ends": with_health(initial_delay_seconds=0, timeout_seconds=3600),
    "only a url of health": with_health(protocol=None),
    "extras": with_package(package_name="uvicorn[standard]"),
    "a wheel": with_package(package_name="mine-1.0+cpu-py3-none-any.whl"),
    "a data of draft 4": with_data(
        {"$schema": "http://json-schema.org/draft-04/schema#", "exclusiveMinimum": True, "minimum": 1}
    ),
    "a data of 2020-12": with_data({"prefixItems": [{"type": "integer"}], "$defs": {"a": True}, "$ref": "#/$defs/a"}),
    "a property named like a keyword": with_data(
        {"properties": {"required": {"type": "string"}, "$ref": {}, "type": {}}}
    ),
    "data beside a schema": with_data({"enum": [{"type": [1]}, {"$ref": "x"}], "default": {"type": "nothing"}}),
}


@pytest.mark.parametrize("document", VALID.values(), ids=VALID.keys())
def test_a_valid_configuration_is_read(document: dict[str, Any]):
    config = read_config(json.dumps(document).encode(), "object-storage")

    assert config.model_type == document["model_type"]
    assert config.document == document


# What is wrong, in a configuration that is right otherwise; where it is told; what is said to have come.
INVALID: dict[str, tuple[dict[str, Any], str, str]] = {
    "algorithm missing": (valid_config(model_algorithm=None), "$.model_algorithm", "nothing"),
    "algorithm null": ({**valid_config(), "model_algorithm": None}, "$.model_algorithm", "null"),
    "algorithm empty": (valid_config(model_algorithm=""), "$.model_algorithm", "''"),
    "algorithm no text": (valid_config(model_algorithm=7), "$.model_algorithm", "7"),
    "algorithm too long": (valid_config(model_algorithm="a" * 37), "$.model_algorithm", f"'{'a' * 37}'"),
    "algorithm begins with a digit": (valid_config(model_algorithm="2d"), "$.model_algorithm", "'2d'"),
    "algorithm begins with _": (valid_config(model_algorithm="_a"), "$.model_algorithm", "'_a'"),
    "algorithm Chinese": (valid_config(model_algorithm="a图像"), "$.model_algorithm", "'a图像'"),
    "algorithm Chinese, rare": (valid_config(model_algorithm="a\U00020000"), "$.model_algorithm", "'a\U00020000'"),
    "algorithm of two lines": (valid_config(model_algorithm="a\nb"), "$.model_algorithm", "'a\\nb'"),
    "algorithm and a last line": (valid_config(model_algorithm="a\n"), "$.model_algorithm", "'a\\n'"),
    **{
        f"algorithm with {character}": (
            valid_config(model_algorithm=f"a{character}"),
            "$.model_algorithm",
            repr(f"a{character}"),
        )
        for character in "&!'\"<>="
    },
    "engine missing": (valid_config(model_type=None), "$.model_type", "nothing"),
    "engine unknown": (valid_config(model_type="Fortran"), "$.model_type", "'Fortran'"),
    "engine in another case": (valid_config(model_type="Pytorch"), "$.model_type", "'Pytorch'"),
    "engine no text": (valid_config(model_type=["PyTorch"]), "$.model_type", "['PyTorch']"),
    "runtime no text": (valid_config(runtime=3.11), "$.runtime", "3.11"),
    "runtime with <": (valid_config(runtime="python<3"), "$.runtime", "'python<3'"),
    "runtime of an image": (valid_config("Image", runtime="python3.11"), "$.runtime", "'python3.11'"),
    "address missing": (valid_config("Image", swr_location=None), "$.swr_location", "nothing"),
    "address of files": (valid_config(swr_location="host/a:1"), "$.swr_location", "'host/a:1'"),
    "address with a space": (valid_config("Image", swr_location="host/a b"), "$.swr_location", "'host/a b'"),
    "metrics no object": (valid_config(metrics=[0.5]), "$.metrics", "[0.5]"),
    "metric no number": (valid_config(metrics={"recall": "0.5"}), "$.metrics.recall", "'0.5'"),
    "metric true": (valid_config(metrics={"accuracy": True}), "$.metrics.accuracy", "true"),
    "too many metrics": (
        valid_config(metrics={f"m{number}": number for number in range(101)}),
        "$.metrics",
        "{'m0': 0, 'm1': 1, 'm10': 10, 'm100': 100, ...}",
    ),
    "apis no array": (valid_config(apis={"url": "/"}), "$.apis", "{'url': '/'}"),
    "api no object": (valid_config(apis=["/"]), "$.apis[0]", "'/'"),
    "protocol": (valid_config(apis=[an_api(protocol="grpc")]), "$.apis[0].protocol", "'grpc'"),
    "path of files": (valid_config(apis=[an_api(url="/predict")]), "$.apis[0].url", "'/predict'"),
    "path no text": (valid_config(apis=[an_api(url=1)]), "$.apis[0].url", "1"),
    "path of an image": (valid_config("Image", apis=[an_api(url="predict")]), "$.apis[0].url", "'predict'"),
    "path with a space": (valid_config("Image", apis=[an_api(url="/a b")]), "$.apis[0].url", "'/a b'"),
    "two APIs of files": (valid_config(apis=[an_api(), an_api(method="GET")]), "$.apis", "[{'method': 'post', 'protocol': 'http', 'url': '/'}, {'method': 'GET', 'protoco…"),
    "two APIs alike": (valid_config("Image", apis=[an_api(url="/a"), {"url": "/a"}]), "$.apis[1]", "{'url': '/a'}"),
    "method": (valid_config(apis=[an_api(method="FETCH")]), "$.apis[0].method", "'FETCH'"),
    "request no object": (valid_config(apis=[an_api(request=[])]), "$.apis[0].request", "[]"),
    "content type": (
        valid_config(apis=[an_api(request={"Content-type": "text/plain"})]),
        "$.apis[0].request['Content-type']",
        "'text/plain'",
    ),
    "content type as it is spelt": (
        valid_config(apis=[an_api(response={"Content-Type": "text/plain"})]),
        "$.apis[0].response['Content-Type']",
        "'text/plain'",
    ),
    "content type twice": (
        valid_config(apis=[an_api(request={"Content-type": "application/json", "Content-Type": "application/json"})]),
        "$.apis[0].request",
        "{'Content-Type': 'application/json', 'Content-type': 'application/json'}",
    ),
    "data no object": (with_data("{}"), "$.apis[0].request.data", "'{}'"),
    "data of no type": (with_data({"type": "text"}), "$.apis[0].request.data.type", "'text'"),
    "data deep inside": (
        with_data({"properties": {"a b": {"items": {"minItems": -1}}}}),
        "$.apis[0].request.data.properties['a b'].items.minItems",
        "-1",
    ),
    "data with a list of numbers": (with_data({"required": [1, "a"]}), "$.apis[0].request.data.required", "[1, 'a']"),
    "data with names twice": (with_data({"required": ["a", "a"]}), "$.apis[0].request.data.required", "['a', 'a']"),
    "data from elsewhere": (
        with_data({"properties": {"a": {"$ref": "http://127.0.0.1/a.json"}}}),
        "$.apis[0].request.data.properties.a['$ref']",
        "'http://127.0.0.1/a.json'",
    ),
    "data of many entries": (with_data({"enum": list(range(1001))}), "$.apis", "[{'method': 'post', 'protocol': 'http', 'request': {...}, 'url': '/'}]"),
    "data of many values": (with_data({f"a{number}": [[0] * 100] for number in range(100)}), "$.apis", "[{'method': 'post', 'protocol': 'http', 'request': {...}, 'url': '/'}]"),
    "too many APIs": (valid_config("Image", apis=[{"url": f"/{number}"} for number in range(101)]), "$.apis", "[{'url': '/0'}, {'url': '/1'}, {'url': '/2'}, {'url': '/3'}, {'url': '/4'}, {'u…"),
    "too many dependencies": (valid_config(dependencies=[{"installer": "pip", "packages": []}] * 101), "$.dependencies", "[{'installer': 'pip', 'packages': []}, {'installer': 'pip', 'packages': []}, {'…"),
    "too many packages": (valid_config(dependencies=[{"installer": "pip", "packages": [{"package_name": "a"}] * 201}]), "$.dependencies[0].packages", "[{'package_name': 'a'}, {'package_name': 'a'}, {'package_name': 'a'}, {'package…"),
    "dependencies no array": (valid_config(dependencies="numpy"), "$.dependencies", "'numpy'"),
    "dependencies of an image": (
        valid_config("Image", dependencies=[{"installer": "pip", "packages": []}]),
        "$.dependencies",
        "[{'installer': 'pip', 'packages': []}]",
    ),
    "installer": (valid_config(dependencies=[{"installer": "apt", "packages": []}]), "$.dependencies[0].installer", "'apt'"),
    "packages missing": (valid_config(dependencies=[{"installer": "pip"}]), "$.dependencies[0].packages", "nothing"),
    "package name missing": (with_package(), "$.dependencies[0].packages[0].package_name", "nothing"),
    "package name Chinese": (with_package(package_name="包"), "$.dependencies[0].packages[0].package_name", "'包'"),
    "package name an option": (
        with_package(package_name="--index-url"),
        "$.dependencies[0].packages[0].package_name",
        "'--index-url'",
    ),
    "package name of two lines": (
        with_package(package_name="a\nb"),
        "$.dependencies[0].packages[0].package_name",
        "'a\\nb'",
    ),
    "package name with a version": (
        with_package(package_name="numpy==1"),
        "$.dependencies[0].packages[0].package_name",
        "'numpy==1'",
    ),
    "package version with >": (
        with_package(package_name="a", package_version=">1", restraint="EXACT"),
        "$.dependencies[0].packages[0].package_version",
        "'>1'",
    ),
    "package version a number": (
        with_package(package_name="a", package_version=1.2, restraint="EXACT"),
        "$.dependencies[0].packages[0].package_version",
        "1.2",
    ),
    "restraint missing": (
        with_package(package_name="a", package_version="1"),
        "$.dependencies[0].packages[0].restraint",
        "nothing",
    ),
    "restraint without a version": (
        with_package(package_name="a", restraint="ATMOST"),
        "$.dependencies[0].packages[0].restraint",
        "'ATMOST'",
    ),
    "restraint": (
        with_package(package_name="a", package_version="1", restraint="=="),
        "$.dependencies[0].packages[0].restraint",
        "'=='",
    ),
    "health missing": (valid_config("Image", health=None), "$.health", "nothing"),
    "health no object": (valid_config("Image", health="/health"), "$.health", "'/health'"),
    "health without url": (valid_config("Image", health={"protocol": "http"}), "$.health.url", "nothing"),
    "health of another host": (with_health(url="http://host/health"), "$.health.url", "'http://host/health'"),
    "health protocol": (with_health(protocol="https"), "$.health.protocol", "'https'"),
    "delay": (with_health(initial_delay_seconds="5s"), "$.health.initial_delay_seconds", "'5s'"),
    "delay true": (with_health(initial_delay_seconds=True), "$.health.initial_delay_seconds", "true"),
    "delay negative": (with_health(initial_delay_seconds=-1), "$.health.initial_delay_seconds", "-1"),
    "timeout too long": (with_health(timeout_seconds="3601"), "$.health.timeout_seconds", "'3601'"),
}  # fmt: skip


@pytest.mark.parametrize(("document", "path", "got"), INVALID.values(), ids=INVALID.keys())
def test_a_broken_rule_is_told_alone_with_its_place_and_what_came(document: dict[str, Any], path: str, got: str):
    refusal = refused(document).refusal

    assert refusal.reason is Reason.INVALID_CONFIG
    assert [(fault.path, fault.got) for fault in refusal.faults] == [(path, got)]
    assert refusal.message == f"config.json: {path}: got {got}, expected {refusal.faults[0].expected}"


@pytest.mark.parametrize(
    ("spelt", "meant"),
    [
        ("Pytorch", "PyTorch"),
        ("tensorflow", "TensorFlow"),
        ("sklearn", "Scikit_Learn"),
        ("onnx", "ONNX"),
        ("image", "Image"),
    ],
)
def test_an_engine_that_is_misspelt_is_guessed(spelt: str, meant: str):
    [fault] = refused(valid_config(model_type=spelt)).refusal.faults

    assert fault.expected.startswith(f"{meant} (as it is spelt), or one of TensorFlow, ")


def test_nothing_is_guessed_where_nothing_is_near():
    [fault] = refused(valid_config(model_type="图")).refusal.faults

    assert fault.expected.startswith("one of TensorFlow, ")


def test_all_faults_are_told_at_once_those_between_fields_too():
    document = {
        "model_type": "Image",
        "runtime": "python3.11",
        "metrics": {"f1": "high"},
        "apis": [{"url": "a", "request": {"data": {"type": "text"}}}],
        "dependencies": [{"installer": "pip", "packages": [{"package_name": "a", "package_version": "1"}]}],
    }

    assert faults(document) == [
        ("$.model_algorithm", "nothing"),
        ("$.metrics.f1", "'high'"),
        ("$.apis[0].url", "'a'"),
        ("$.runtime", "'python3.11'"),
        ("$.dependencies", "[{'installer': 'pip', 'packages': [...]}]"),
        ("$.swr_location", "nothing"),
        ("$.health", "nothing"),
        ("$.dependencies[0].packages[0].restraint", "nothing"),
        ("$.apis[0].request.data.type", "'text'"),
    ]


def test_the_first_fifty_faults_are_told_and_the_rest_are_counted():
    refusal = refused(valid_config("Image", apis=[{"method": number} for number in range(60)])).refusal

    assert len(refusal.faults) == 50
    assert refusal.message.endswith("; 59 more, of which 49 are told")


def test_for_a_container_image_an_address_is_not_needed():
    config = read_config(json.dumps(valid_config("Image", swr_location=None)).encode(), "container-image")

    assert config.swr_location is None


def test_for_a_container_image_an_address_may_be_given():
    config = read_config(json.dumps(valid_config("Image", swr_location="host/a:1")).encode(), "container-image")

    assert config.swr_location == "host/a:1"


def test_a_container_image_is_an_image():
    assert faults(valid_config("PyTorch"), "container-image") == [("$.model_type", "'PyTorch'")]


@pytest.mark.parametrize("method", ["training-job", "object-storage", "automatic-learning"])
def test_any_other_method_needs_the_address_of_an_image(method: str):
    assert faults(valid_config("Image", swr_location=None), method) == [("$.swr_location", "nothing")]


def test_a_configuration_may_be_given_inline():
    config = read_config(valid_config("Image"), "container-image")

    assert config.health is not None
    assert (config.health.url, config.health.initial_delay_seconds, config.health.timeout_seconds) == (
        "/health",
        5.0,
        10.0,
    )


def test_the_inline_configuration_has_limits_too():
    document: dict[str, Any] = valid_config("Image", extra=float("nan"))

    with pytest.raises(Unacceptable) as caught:
        read_config(document, "container-image")

    assert [(fault.path, fault.got) for fault in caught.value.refusal.faults] == [("$.extra", "nan")]


def test_what_is_read_is_what_was_written():
    config = read_config(json.dumps(PUBLISHED).encode(), "object-storage")

    [api] = config.apis
    assert api.request is not None
    assert (api.protocol, api.url, api.method, api.request.content_type) == ("http", "/", "POST", "multipart/form-data")
    assert config.metrics == {"f1": 0.345294, "accuracy": 0.462963, "precision": 0.338977, "recall": 0.351852}
    assert config.runtime is None


def test_any_number_is_kept_as_a_metric_and_nothing_else():
    config = read_config(valid_config(metrics={"f1": 1, "loss": 0.25, "note": "by hand", "ok": True}), "object-storage")

    assert config.metrics == {"f1": 1.0, "loss": 0.25}


def test_requirements_are_lines_for_pip():
    packages = [
        {"package_name": "numpy", "package_version": "1.26.4", "restraint": "EXACT"},
        {"package_name": "scipy", "package_version": "1.11", "restraint": "ATLEAST"},
        {"package_name": "torch", "package_version": "2.6", "restraint": "ATMOST"},
        {"package_name": "Pillow", "package_version": None, "restraint": ""},
    ]
    config = read_config(
        valid_config(
            dependencies=[{"installer": "pip", "packages": packages}, {"installer": "pip", "packages": packages[:1]}]
        ),
        "object-storage",
    )

    assert requirements_of(config) == ("numpy==1.26.4", "scipy>=1.11", "torch<=2.6", "Pillow", "numpy==1.26.4")


def test_a_password_in_an_address_is_not_said_back():
    refusal = refused(valid_config(swr_location="https://me:secret@host/a:1")).refusal

    assert refusal.faults[0].got == "'https://…@host/a:1'"
    assert "secret" not in repr(refusal)


def test_what_came_is_said_back_short():
    [fault] = refused(valid_config(model_algorithm="x" * 100_000)).refusal.faults

    assert fault.got.startswith("'xxx")
    assert len(fault.got) <= 80
