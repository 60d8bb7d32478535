"""Commands that import a model."""

import json
import uuid
from datetime import UTC, datetime
from typing import Annotated

import typer

from modelkin.client import Client
from modelkin.commands.terminal import LOCAL_NATS, Json, Nats, Workspace, check_names, check_number, run
from modelkin.following import report_import
from modelkin.requests import training_request
from shared.naming import DEFAULT_WORKSPACE, NAME_RULE, NUMBER_RULE

app = typer.Typer(no_args_is_help=True, help="Import a model and wait for what becomes of it.")


@app.callback()
def _group() -> None:
    """A group stays a group while it has one command."""


@app.command("job")
def import_job(
    folder: Annotated[str, typer.Argument(metavar="LOCATION", help="The job's output folder: a path or a file:// URL.")],
    model: Annotated[str, typer.Option("--model", "-m", help=f"The name: {NAME_RULE}.")],
    job: Annotated[str, typer.Option(help="The id of the training job.")],
    job_version: Annotated[str, typer.Option(help="Which run of the job, such as V001.")],
    version: Annotated[str | None, typer.Option(help=f"The number to give: {NUMBER_RULE}. Left out: the next.")] = None,
    dataset: Annotated[list[str] | None, typer.Option(metavar="NAME[@VERSION]", help="What it was trained on.")] = None,
    code: Annotated[str | None, typer.Option(metavar="REPOSITORY@COMMIT", help="What trained it.")] = None,
    parameter: Annotated[list[str] | None, typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter of the training.")] = None,
    metric: Annotated[list[str] | None, typer.Option(metavar="NAME=NUMBER", help="A measured metric.")] = None,
    base: Annotated[list[str] | None, typer.Option(metavar="MODEL@VERSION[:RELATION]", help="What it was made from; RELATION: resumed, fine-tuned, distilled, quantized, merged, adapter.")] = None,
    nats: Nats = LOCAL_NATS,
    workspace: Workspace = DEFAULT_WORKSPACE,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the outcome, or print the id of the import and end.")] = True,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", help="How long to wait without any sign of progress.")] = 300.0,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Publish that a training job succeeded, as a training system would, and wait for the version.

    Example: modelkin import job ./out --model resnet50 --job train-7 --job-version V003 --metric f1=0.93
    """
    check_names(workspace, model)
    check_number(version)
    request = training_request(
        request_id=str(uuid.uuid4()),
        time=datetime.now(UTC),
        location=folder,
        about={"workspace": workspace, "model": model, "version": version, "job": {"id": job, "version": job_version}},
        datasets=dataset or [],
        code=code,
        parameters=parameter or [],
        metrics=metric or [],
        bases=base or [],
    )

    async def publish() -> None:
        async with Client.connected(nats) as client:
            if wait:
                await report_import(client, request, timeout_s=timeout, as_json=as_json)
                return
            await client.publish(request)
            typer.echo(json.dumps({"import_id": request.import_id}) if as_json else request.import_id)

    run(publish())
