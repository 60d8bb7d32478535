"""The command that says whether the system is well, and what to do where it is not."""

import json
from typing import Annotated

import typer

from modelkin.commands.terminal import LOCAL_NATS, Json, Nats, run
from modelkin.doctor.examining import USUAL_LAG, examine, status_of
from modelkin.wording import counted, printable
from shared.queries import Finding

app = typer.Typer()

LEVELS = ("ok", "warning", "wrong")
COLOURS = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "wrong": typer.colors.RED}


@app.command()
def doctor(
    lag: Annotated[
        int, typer.Option(min=1, help="Warn of a consumer for which so many messages are waiting.")
    ] = USUAL_LAG,
    nats: Nats = LOCAL_NATS,
    as_json: Json = False,
) -> None:
    """Look at NATS, streams, consumers and every process of every service, and say what to do where something is amiss.

    Exit status 0: all is well; 1: there are warnings; 2: something is wrong.
    """
    findings: list[Finding] = []

    async def look() -> None:
        findings.extend(await examine(nats, lag))

    run(look())
    status = status_of(findings)
    if as_json:
        facts = {"level": LEVELS[status], "findings": [one.model_dump() for one in findings]}
        typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))
    else:
        for finding in findings:
            typer.echo(_line(finding))
        typer.echo(_summary(findings))
    if status:
        raise typer.Exit(status)


def _line(finding: Finding) -> str:
    remedy = f"  → {finding.remedy}" if finding.remedy else ""
    level = typer.style(f"{finding.level:7}", fg=COLOURS[finding.level])
    return f"{level}  {printable(f'{finding.check}: {finding.message}{remedy}')}"


def _summary(findings: list[Finding]) -> str:
    counts = {level: sum(one.level == level for one in findings) for level in LEVELS}
    return f"{counts['ok']} ok, {counted(counts['warning'], 'warning')}, {counts['wrong']} wrong"
