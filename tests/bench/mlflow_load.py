"""Fills MLflow's tracking database. Runs in MLflow's own virtual environment: `python mlflow_load.py DATABASE ROWS`.

ROWS has one JSON object a line, a version each, those of a model together. A model becomes a registered model and an
experiment, a version a model version with tags and the run that made it.
"""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH = 5000


def main() -> None:
    # Only MLflow's environment has these.
    import sqlalchemy  # noqa: PLC0415 - as above
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415 - as above

    database, rows = sys.argv[1:]
    uri = f"sqlite:///{database}"
    SqlAlchemyStore(uri, str(Path(database).parent / "artifacts"))
    engine = sqlalchemy.create_engine(uri)
    tables = sqlalchemy.MetaData()
    tables.reflect(engine)
    with Path(rows).open() as lines:
        versions = (json.loads(line) for line in lines)
        while batch := list(itertools.islice(versions, BATCH)):
            with engine.begin() as connection:
                for table, values in _by_table(batch).items():
                    connection.execute(sqlalchemy.insert(tables.tables[table]), values)


def _by_table(versions: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for version in versions:
        for table, values in _rows(version):
            found.setdefault(table, []).append(values)
    return found


def _rows(version: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    name, at, run = version["model"], version["created_ms"], f"{version['id']:032x}"
    experiment = version["experiment"]
    if version["ordinal"] == 1:
        times = {"creation_time": at, "last_update_time": at}
        yield (
            "experiments",
            {"experiment_id": experiment, "name": name, "lifecycle_stage": "active", "workspace": "default", **times},
        )
        updated = {"creation_time": at, "last_updated_time": version["updated_ms"]}
        yield "registered_models", {"name": name, "description": "", "workspace": "default", **updated}
    yield (
        "runs",
        {
            "run_uuid": run,
            "name": f"{name}-{version['ordinal']}",
            "source_type": "LOCAL",
            "source_name": "bench",
            "user_id": "bench",
            "status": "FINISHED",
            "start_time": at,
            "end_time": at,
            "lifecycle_stage": "active",
            "artifact_uri": f"file:///models/{name}",
            "experiment_id": experiment,
        },
    )
    for key, value in version["metrics"].items():
        measured = {"key": key, "value": value, "timestamp": at, "run_uuid": run, "step": 0, "is_nan": False}
        yield "metrics", measured
        yield "latest_metrics", measured
    for key, value in version["parameters"].items():
        yield "params", {"key": key, "value": str(value), "run_uuid": run}
    about = {"name": name, "version": version["ordinal"], "workspace": "default"}
    yield (
        "model_versions",
        {
            **about,
            "creation_time": at,
            "last_updated_time": at,
            "description": version["description"],
            "user_id": "bench",
            "current_stage": "None",
            "source": f"file:///models/{name}",
            "run_id": run,
            "status": "READY",
        },
    )
    for key, value in (("engine", version["engine"]), *((label, "true") for label in version["labels"])):
        yield "model_version_tags", {**about, "key": key, "value": value}


if __name__ == "__main__":
    main()
