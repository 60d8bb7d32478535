"""Commands that import a model: one for each method."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import typer

from modelkin.client import Client
from modelkin.commands.options import ImportOptions, taking
from modelkin.commands.requests import config_of, location_url, request_of
from modelkin.commands.terminal import check_names, check_number, run
from modelkin.errors import ModelkinError
from modelkin.following import ImportFailed, follow_import, show_result
from shared.messages import ImportModel, ImportRequest, TrainingSucceeded
from shared.queries import GetTemplate, JobVersion, JobVersions, ListJobVersions
from shared.templates import Template

app = typer.Typer(no_args_is_help=True, help="Import a model and wait for what becomes of it.")

Location = Annotated[
    str,
    typer.Argument(
        metavar="LOCATION", help="A path, or a URL that the importer reads: file, s3, obs, gs, az, http(s)."
    ),
]
Requests = Callable[[Client], Awaitable[Sequence[ImportRequest]]]
"""What a command asks for, once the services could be asked."""


@app.command("job")
@taking(ImportOptions)
def import_job(
    location: Location,
    job: Annotated[str, typer.Option(help="The id of the training job.")],
    options: ImportOptions,
    job_version: Annotated[str | None, typer.Option(help="Which run of the job, such as V001.")] = None,
    built_in: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The built-in algorithm that the job used: no config.json is needed."),
    ] = None,
    all_versions: Annotated[
        bool, typer.Option("--all-versions", help="Import each of LOCATION/V001, V002, … that is not there yet.")
    ] = False,
) -> None:
    """Publish that a training job succeeded, as a training system would, and wait for the version.

    Example: modelkin import job ./out --model resnet50 --job train-7 --job-version V003 --built-in resnet_v1_50
    """
    if all_versions == (job_version is not None) or (all_versions and options.version):
        raise ModelkinError(
            "expected --job-version, or --all-versions (which takes neither --job-version nor --version)"
        )
    _check(options)
    url = location_url(location)

    def request(version: str, place: str) -> TrainingSucceeded:
        about = {"job": {"id": job, "version": version}, "location": place, "built_in_algorithm": built_in}
        return request_of(TrainingSucceeded, options, **about)

    async def requests(client: Client) -> list[ImportRequest]:
        if job_version is not None:
            return [request(job_version, url)]
        query = ListJobVersions(workspace=options.workspace, model=options.model, job=job, location=url)
        found = await _job_versions(client, query)
        if not found:
            raise ModelkinError(f"{url} holds no job version: expected folders V001, V002, … with a model in each")
        return [request(one.version, one.location) for one in found if not one.imported]

    _import(requests, options, nothing="every job version is there already")


@app.command("storage")
@taking(ImportOptions)
def import_storage(location: Location, options: ImportOptions) -> None:
    """Import a model package: the folder above `model`, or an archive of it.

    Example: modelkin import storage s3://models/resnet50/package --model resnet50
    """
    _check(options)
    _import_source({"method": "object-storage", "location": location_url(location)}, options)


@app.command("template")
@taking(ImportOptions)
def import_template(
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help="Its id; `modelkin templates` lists them.")],
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="[INPUT_ID=]LOCATION...", help="Where each input is; a template of one needs no id."),
    ],
    options: ImportOptions,
    mode: Annotated[
        str | None, typer.Option(help="An input/output mode instead of the template's own, where it allows that.")
    ] = None,
) -> None:
    """Import model files without a configuration; the template has it.

    Example: modelkin import template onnx-general ./out --model resnet50
    """
    _check(options)

    async def requests(client: Client) -> list[ImportRequest]:
        known = await client.ask(GetTemplate(template=template), Template)
        places = [_input(text, known) for text in inputs]
        source = {"method": "template", "template": template, "inputs": places, "mode": mode}
        return [request_of(ImportModel, options, source=source)]

    _import(requests, options)


@app.command("image")
@taking(ImportOptions)
def import_image(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="HOST/NAME:TAG or HOST/NAME@sha256:…")],
    config: Annotated[str, typer.Option(metavar="FILE|URL", help="Its config.json.")],
    options: ImportOptions,
    platform: Annotated[
        str | None, typer.Option(metavar="OS/ARCHITECTURE", help="Which of an image for several.")
    ] = None,
    probe: Annotated[bool, typer.Option("--probe", help="Start the image and call its health URL first.")] = False,
) -> None:
    """Import a container image; its digest is pinned.

    Example: modelkin import image registry.example/vision/resnet:1.4 --config ./config.json --model resnet50
    """
    _check(options)
    place = {"method": "container-image", "image": image, "platform": platform, "probe": probe}
    _import_source({**place, **config_of(config)}, options)


async def _job_versions(client: Client, query: ListJobVersions) -> list[JobVersion]:
    """All of them, page by page."""
    found: list[JobVersion] = []
    while True:
        page = await client.ask(query, JobVersions)
        found += page.versions
        if page.next is None:
            return found
        query = query.model_copy(update={"after": page.next})


def _check(options: ImportOptions) -> None:
    check_names(options.workspace, options.model)
    check_number(options.version)


def _input(text: str, template: Template) -> dict[str, str]:
    known = [one.input_id for one in template.inputs]
    input_id, _, location = text.partition("=")
    if location and input_id in known:
        return {"input_id": input_id, "location": location_url(location)}
    if len(known) == 1 and "=" not in text:
        return {"input_id": known[0], "location": location_url(text)}
    raise ModelkinError(f"input {text!r}: expected INPUT_ID=LOCATION with one of {', '.join(known)}")


def _import_source(source: dict[str, Any], options: ImportOptions) -> None:
    async def requests(_: Client) -> list[ImportRequest]:
        return [request_of(ImportModel, options, source=source)]

    _import(requests, options)


def _import(requests: Requests, options: ImportOptions, nothing: str = "") -> None:
    """Publish, and wait where that is wanted. Where one of several fails, the rest is still imported."""

    async def publish() -> None:
        failed: list[ModelkinError] = []
        async with Client.connected(options.nats) as client:
            wanted = await requests(client)
            if not (wanted or options.as_json):
                typer.echo(nothing)
            for request in wanted:
                try:
                    await _import_one(client, request, options)
                except ImportFailed as error:
                    failed.append(error)
                    if options.as_json:
                        typer.echo(json.dumps({"refused": error.facts}, ensure_ascii=False))
        if failed:
            raise failed[0] if len(failed) == 1 else ModelkinError("\n".join(str(error) for error in failed))

    run(publish())


async def _import_one(client: Client, request: ImportRequest, options: ImportOptions) -> None:
    if options.wait:
        result = await follow_import(client, request, timeout_s=options.timeout)
        show_result(result, as_json=options.as_json)
        return
    await client.publish(request)
    if not await client.is_there("importer"):
        typer.echo("no importer takes it up now: the stream keeps it; 'modelkin doctor' says what is missing", err=True)
    typer.echo(json.dumps({"import_id": request.import_id}) if options.as_json else request.import_id)
