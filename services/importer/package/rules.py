"""What holds between the fields of a configuration. Judged on the document itself, so that a bad field hides nothing."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from services.importer.package.engines import ENGINE_NAMES, IMAGE
from services.importer.package.faults import Path, fault_at
from services.importer.package.schemas import schema_faults, too_large_to_check
from shared.values import Fault

Method = Literal["training-job", "object-storage", "template", "container-image", "automatic-learning"]
Document = Mapping[str, Any]
UNSAID = (None, "")
MOST_APIS = 100
MOST_DEPENDENCIES = 100
MOST_PACKAGES = 200


def faults_between_fields(document: Document, method: Method) -> Iterator[Fault]:
    engine = document.get("model_type")
    if method == "container-image" and engine in ENGINE_NAMES and engine != IMAGE:
        yield fault_at(document, ("model_type",), "Image, for a container image")
    elif engine == IMAGE:
        yield from _image_faults(document, method)
    elif engine in ENGINE_NAMES:
        yield from _file_faults(document)
    for index, dependency in _objects(document.get("dependencies")):
        for inner, package in _objects(dependency.get("packages")):
            yield from _restraint_faults(document, ("dependencies", index, "packages", inner), package)
    yield from _data_faults(document)


def _image_faults(document: Document, method: Method) -> Iterator[Fault]:
    if document.get("runtime"):
        yield fault_at(document, ("runtime",), "nothing: an Image brings its own runtime")
    if document.get("dependencies"):
        yield fault_at(document, ("dependencies",), "nothing: into an Image nothing can be installed")
    if not document.get("swr_location") and method != "container-image":
        yield fault_at(document, ("swr_location",), "the address of the image")
    if document.get("health") in UNSAID:
        yield fault_at(document, ("health",), "an object with the url of the image's health check")
    taken: set[tuple[str, str]] = set()
    for index, api in _objects(document.get("apis")):
        route = (str(api.get("method") or "POST").upper(), str(api.get("url") or "/"))
        if route in taken:
            yield fault_at(document, ("apis", index), "a method and url that no other API has")
        taken.add(route)


def _file_faults(document: Document) -> Iterator[Fault]:
    """Of a model that is files, not an image."""
    if document.get("swr_location"):
        yield fault_at(document, ("swr_location",), "nothing: only an Image has an address")
    apis = document.get("apis")
    if isinstance(apis, list) and len(apis) > 1:
        yield fault_at(document, ("apis",), "one API: only an Image may have several")
    for index, api in _objects(apis):
        if api.get("url") and api["url"] != "/":
            yield fault_at(document, ("apis", index, "url"), "/: only an Image may have other paths")


def _restraint_faults(document: Document, path: Path, package: Document) -> Iterator[Fault]:
    version, restraint = package.get("package_version"), package.get("restraint")
    if version and not restraint:
        yield fault_at(document, (*path, "restraint"), "EXACT, ATLEAST or ATMOST, since there is a version")
    if restraint and not version:
        yield fault_at(document, (*path, "restraint"), "nothing, since there is no version")


def _data_faults(document: Document) -> Iterator[Fault]:
    schemas = [
        (("apis", index, side, "data"), body["data"])
        for index, api in _objects(document.get("apis"))
        for side in ("request", "response")
        if isinstance(body := api.get(side), dict) and body.get("data") not in UNSAID
    ]
    too_large = too_large_to_check([schema for _, schema in schemas])
    if too_large:
        yield fault_at(document, ("apis",), too_large)
        return
    for path, schema in schemas:
        yield from schema_faults(document, path, schema)


def _objects(value: object) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of an array, with their places; no more than an array may have."""
    if isinstance(value, list):
        yield from ((index, entry) for index, entry in enumerate(value[:MOST_PACKAGES]) if isinstance(entry, dict))
