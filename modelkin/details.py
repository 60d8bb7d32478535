"""One version as a person reads it: what may be done with it, where it came from, what is in it."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import JsonValue
from rich.table import Table

from modelkin.comparing import flat
from modelkin.drawing import short_name
from modelkin.render import deployed_line
from modelkin.wording import (
    MOST_LINES,
    Fact,
    counted,
    facts_table,
    files,
    first,
    moment,
    numbers,
    pairs,
    plain,
    shortened,
    size,
)
from shared.contents import ModelFile
from shared.queries import VersionDetails
from shared.values import Base, FromAutoLearning, FromJob, FromTemplate, Package, Source

MOST_DESCRIBED = 4
MOST_TENSORS = 8
MOST_DETAILS = 6


def details_table(version: VersionDetails, at: datetime | None = None) -> Table:
    """Everything of a version; `at`: as it was then."""
    return facts_table(
        [
            *_facts(version, at),
            *_configured(version),
            *_image(version),
            *_contents(version),
            *_files(version.package),
        ]
    )


def _facts(version: VersionDetails, at: datetime | None) -> list[Fact]:
    package, code = version.package, version.code
    return [
        ("model", f"{version.model} {version.version}"),
        ("workspace", version.workspace),
        ("as of", moment(at) if at else ""),
        ("status", version.status),
        *_standing(version),
        ("aliases", ", ".join(version.aliases)),
        *first([("service", deployed_line(one)) for one in version.services], MOST_LINES),
        ("labels", ", ".join(version.labels)),
        ("description", version.description),
        *(("document", f"{one.name} {one.url}") for one in version.documents),
        ("registered", moment(version.registered_at)),
        ("imported", f"{moment(version.imported_at)} by {version.source.method}, asked by {version.requested_by}"),
        *_source(version.source),
        *first(
            [
                ("data set", "@".join(part for part in (one.name, one.version, one.digest) if part))
                for one in version.datasets
            ],
            MOST_LINES,
        ),
        *([("code", f"{code.repository}@{code.commit} {code.entry_point or ''}".rstrip())] if code else []),
        *first([("base", f"{one.relation} {_base(one)}") for one in version.bases], MOST_LINES),
        ("parameters", pairs({name: plain(value) for name, value in flat(version.parameters)}, MOST_LINES)),
        ("metrics", numbers(version.metrics)),
        ("package", f"{package.digest}  {size(package.size_bytes)} in {files(package.file_count)}"),
        ("", "in place: the files stay where they came from" if package.in_place else ""),
    ]


def _standing(version: VersionDetails) -> Iterator[Fact]:
    """What may be done with it, and who decided so."""
    release, lift, deletion = version.release, version.lift, version.deletion
    yield "use", _use(version)
    yield from first([("restricted by", short_name(node)) for node in version.restricted_by], MOST_LINES)
    if release:
        yield "released", _decided(release.released_by, release.released_at, release.why)
    if lift:
        yield "lifted", _decided(lift.lifted_by, lift.lifted_at, lift.why)
    if deletion:
        yield "deleted", _decided(deletion.deleted_by, deletion.deleted_at, deletion.why)


def _decided(by: str, at: datetime, why: str) -> str:
    return f"{moment(at)} by {by}{f': {why}' if why else ''}"


def _use(version: VersionDetails) -> str:
    """Which uses the version is open to, and why not to others."""
    deployed = f"deployed as {' or '.join(version.deployment_types)}"
    uses = [*(["downloaded"] if version.downloadable else []), *([deployed] if version.deployable else [])]
    why = f" ({', '.join(version.restrictions)})" if version.restrictions else ""
    return f"may be {' and '.join(uses)}{why}" if uses else f"neither downloaded nor deployed{why}"


def _source(source: Source) -> Iterator[Fact]:
    match source:
        case FromTemplate():
            yield "template", f"{source.template}{f' with mode {source.mode}' if source.mode else ''}"
            for one in source.inputs:
                yield "from", f"{one.input_id}: {one.location}"
        case FromJob():
            yield "from", source.location
            yield "job", f"{source.job.id}@{source.job.version}"
            yield "algorithm", source.built_in_algorithm or ""
        case FromAutoLearning():
            yield "from", source.location
            yield "project", f"{source.project}@{source.run}"
        case _:
            yield "from", source.location


def _configured(version: VersionDetails) -> Iterator[Fact]:
    """What config.json says."""
    config = version.config or {}
    yield "engine", version.engine or ""
    yield "runtime", version.runtime or ""
    yield "algorithm", str(config.get("model_algorithm") or "")
    for api in _records(config.get("apis")):
        request, response = (_content_type(api.get(part)) for part in ("request", "response"))
        yield (
            "api",
            f"{str(api.get('method') or 'POST').upper()} {api.get('url') or '/'}  {request} → {response}".rstrip(" →"),
        )
    for health in _records([config.get("health")]):
        delays = f"after {health.get('initial_delay_seconds')} s, within {health.get('timeout_seconds')} s"
        yield "health", f"{health.get('protocol')} {health.get('url')} {delays}"
    for line in version.requirements:
        yield "requires", line
    yield "inference code", version.inference_code or ""


def _records(value: JsonValue) -> Iterator[dict[str, JsonValue]]:
    return (one for one in (value if isinstance(value, list) else []) if isinstance(one, dict))


def _content_type(part: JsonValue) -> str:
    if not isinstance(part, dict):
        return ""
    return str(part.get("Content-type") or part.get("Content-Type") or "")


def _image(version: VersionDetails) -> Iterator[Fact]:
    image = version.image
    if image is None:
        return
    yield (
        "image",
        f"{image.digest}  {image.platform}  {size(image.size_bytes)} in {counted(len(image.layers), 'layer')}",
    )
    yield from first(
        [("image label", shortened(f"{name}={value}")) for name, value in image.labels.items()], MOST_LINES
    )


def _contents(version: VersionDetails) -> Iterator[Fact]:
    """What the files say of themselves."""
    known = version.contents.files
    for file in known[:MOST_DESCRIBED]:
        yield _model_file(file)
        yield from _described(file)
    yield from first([_model_file(file) for file in known[MOST_DESCRIBED:]], MOST_LINES)
    for folder in version.contents.hugging_face:
        licence = f", licence {folder.licence}" if folder.licence else ""
        yield "hugging face", f"{folder.path or '.'}  {', '.join(folder.architectures) or folder.model_type}{licence}"
    for flow in version.contents.mlflow:
        flavors = ", ".join(f"{name} {version or ''}".rstrip() for name, version in flow.flavors.items())
        yield "mlflow", f"{flow.path or '.'}  {flavors}"
    unsafe = version.contents.unsafe
    why = [f"{one.path}  {one.verdict}: {', '.join(one.imports) or one.message}" for one in unsafe]
    yield from first([("unsafe", text) for text in why], MOST_LINES)


def _model_file(file: ModelFile) -> Fact:
    return "model file", f"{file.path}  {', '.join(_learned(file))}"


def _described(file: ModelFile) -> Iterator[Fact]:
    yield "", pairs(_plain_details(file), MOST_DETAILS)
    for what, tensors in (("input", file.inputs), ("output", file.outputs)):
        told = [(what, f"{shortened(tensor.name)}  {tensor.dtype}{list(tensor.shape)}") for tensor in tensors]
        yield from first(told, MOST_TENSORS)


def _learned(file: ModelFile) -> Iterator[str]:
    yield file.format
    if file.framework:
        yield f"{file.framework} {file.framework_version or ''}".rstrip()
    if file.parameter_count:
        yield f"{file.parameter_count:,} parameters"
    if file.tensor_count:
        yield (
            f"{file.tensor_count} tensors ({', '.join(file.dtypes)})" if file.dtypes else f"{file.tensor_count} tensors"
        )
    if file.problem:
        yield f"not read: {file.problem}"


def _plain_details(file: ModelFile) -> dict[str, JsonValue]:
    return {name: value for name, value in file.details.items() if isinstance(value, str | int | float)}


def _files(package: Package) -> Iterator[Fact]:
    told = [("file", f"{file.path}  {size(file.size_bytes)}  {file.digest[:19]}") for file in package.files]
    yield from first(told, MOST_LINES, package.file_count)


def _base(base: Base) -> str:
    return base.digest or f"{base.model}@{base.version}"
