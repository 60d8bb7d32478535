"""TLS and passwords of NATS and MongoDB: what is accepted, and in one line what is not and why."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from pydantic import SecretStr
from pymongo.errors import PyMongoError

from deploy.certs import make_certs
from deploy.topology import apply
from modelkin.processes import HOST, Process, Server, free_port, start, start_mongo
from shared.connection import Nats, NotLetIn, connected
from shared.errors import Transient
from shared.login import NOBODY, Login
from shared.store import connect, ping
from tests.integration.system import eventually
from tests.secured import SecuredNats, start_secured_nats

NOW = datetime.now(UTC)
LAST_YEAR = NOW - timedelta(days=365)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a CA and what it made."""
    folder = tmp_path_factory.mktemp("authority")
    make_certs(folder, NOW)
    return folder / "tls"


def tls_of(folder: Path) -> str:
    return f'tls {{ cert_file: "{folder / "nats.pem"}", key_file: "{folder / "nats.key"}" }}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Path) -> Iterator[SecuredNats]:
    folder = tmp_path_factory.mktemp("tls")
    server = asyncio.run(start_secured_nats(folder, ("0",), more=tls_of(authority)))
    yield server
    server.process.stop()


def trusting(server: SecuredNats, ca: Path | None, password: str | None = None) -> Nats:
    secret = SecretStr(password or server.password("admin"))
    return Nats(server.url, Login("admin", secret, ca=ca))


async def why_not(nats: Nats) -> str:
    with pytest.raises(NotLetIn) as refused:
        async with connected(nats, "test"):
            pass
    return str(refused.value)


async def test_who_trusts_its_ca_and_knows_the_password_is_let_in(server: SecuredNats, authority: Path):
    async with connected(trusting(server, authority / "ca.pem"), "test") as connection:
        info = await connection.jetstream().account_info()

    assert info.streams == 0


async def test_a_wrong_password_is_said(server: SecuredNats, authority: Path):
    why = await why_not(trusting(server, authority / "ca.pem", "guessed"))

    assert why == "it does not accept the user 'admin' with the password: is it the one that NATS was given?"


async def test_nobody_is_let_in_without_a_user(server: SecuredNats, authority: Path):
    why = await why_not(Nats(server.url, Login(ca=authority / "ca.pem")))

    assert "set MODELKIN_NATS_USER" in why


async def test_the_certificate_of_another_ca_is_not_accepted(server: SecuredNats, tmp_path: Path):
    make_certs(tmp_path, NOW)

    why = await why_not(trusting(server, tmp_path / "tls" / "ca.pem"))

    assert why.startswith("its certificate is not accepted")
    assert why.endswith(f"is it of the CA in MODELKIN_TLS_CA, {tmp_path / 'tls' / 'ca.pem'}?")


async def test_without_a_ca_it_is_said_that_one_is_wanted(server: SecuredNats):
    why = await why_not(trusting(server, None))

    assert why.startswith("it wants TLS")
    assert "set MODELKIN_TLS_CA" in why


async def test_an_expired_certificate_is_said(tmp_path: Path):
    make_certs(tmp_path, LAST_YEAR, days=30)
    expired = await start_secured_nats(tmp_path, ("0",), more=tls_of(tmp_path / "tls"))

    try:
        why = await why_not(trusting(expired, tmp_path / "tls" / "ca.pem"))
    finally:
        expired.process.stop()

    assert why == "its certificate has expired: 'python -m deploy.certs --renew' makes a new one for the server"


async def test_a_password_is_not_sent_to_a_server_without_tls(nats_server: Server, authority: Path):
    """The server asks for no password and would let in anybody."""
    why = await why_not(Nats(nats_server.url, Login("admin", SecretStr("secret"), ca=authority / "ca.pem")))
    for_nobody = await why_not(Nats(nats_server.url, Login(ca=authority / "ca.pem")))

    assert why == for_nobody
    assert "offers no TLS" in why
    assert "nothing was sent" in why


@pytest.mark.parametrize("command", ["ping", "doctor"])
def test_the_command_line_says_a_wrong_password_in_one_line_and_not_the_password(
    server: SecuredNats, authority: Path, tmp_path: Path, command: str
):
    wrong = tmp_path / "wrong"
    wrong.write_text("hunter2")
    environment = {
        **server.environment("admin"),
        "MODELKIN_NATS_PASSWORD_FILE": str(wrong),
        "MODELKIN_TLS_CA": str(authority / "ca.pem"),
    }

    done = said_by("modelkin.cli", command, environment=environment)

    assert done.returncode in {1, 2}
    assert "does not accept the user 'admin'" in done.stdout + done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) <= 1


def said_by(module: str, *words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    code = f"import sys; from {module} import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"MODELKIN_NATS_PASSWORD_FILE": "/nowhere"}, "MODELKIN_NATS_PASSWORD_FILE: /nowhere cannot be read"),
        ({"MODELKIN_NATS_PASSWORD": "x"}, "MODELKIN_NATS_PASSWORD and MODELKIN_NATS_PASSWORD_FILE are both set"),
        ({"MODELKIN_NATS_USER": ""}, "MODELKIN_NATS_PASSWORD_FILE is set without MODELKIN_NATS_USER"),
        ({"MODELKIN_TLS_CA": "/nowhere"}, "MODELKIN_TLS_CA: /nowhere holds no certificate"),
    ],
)
def test_a_secret_that_is_missing_ends_the_topology_with_one_line(
    server: SecuredNats, changed: dict[str, str], said: str
):
    done = said_by("deploy.topology", environment={**server.environment("topology"), **changed})

    assert done.returncode == 1
    assert done.stderr.startswith(f"topology: {said}")
    assert len(done.stderr.splitlines()) == 1


async def test_a_service_waits_for_the_right_password_and_ends_in_order_when_it_becomes_another(
    mongo_uri: str, tmp_path: Path
):
    server = await start_secured_nats(tmp_path, ("0",))
    password = tmp_path / "password"
    password.write_text("of yesterday")
    environment = {
        **server.environment("versioning"),
        "MODELKIN_NATS_PASSWORD_FILE": str(password),
        "MODELKIN_MONGO_URI": mongo_uri,
    }
    process = start("versioning", [sys.executable, "-m", "services.versioning"], tmp_path / "log", environment)

    try:
        await eventually(lambda: "does not accept the user 'versioning'" in process.log.read_text(), process.last_words)
        password.write_text(server.password("versioning"))
        await eventually(lambda: "deploy.topology makes it" in process.log.read_text(), process.last_words)
        async with connected(server.as_user("topology"), "topology") as connection:
            async for _ in apply(connection.jetstream()):
                pass
        await eventually(lambda: "started" in process.log.read_text(), process.last_words)
        server.new_password("versioning")
        await eventually(lambda: not process.running, process.last_words)
        status = process.stop()
    finally:
        process.stop()
        server.process.stop()
    assert status == 1
    assert "NATS closed the connection for good" in process.log.read_text()
    assert "Traceback" not in process.log.read_text()


class SecuredMongo(NamedTuple):
    uri: str
    ca: Path


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory, authority: Path) -> Iterator[SecuredMongo]:
    """With a user for each of two services, TLS and passwords on."""
    folder = tmp_path_factory.mktemp("mongo")
    asyncio.run(_make_users(folder))
    with _started(folder, authority) as mongo:
        yield mongo


@contextmanager
def _started(folder: Path, authority: Path) -> Iterator[SecuredMongo]:
    key, certificate = _apart(authority / "mongo.pem", folder)
    port = free_port()
    command = [str(Path(sys.executable).with_name("secantusd-py")), "--host", HOST, "--port", str(port)]
    command += ["--storage-path", str(folder / "data"), "--auth"]
    command += ["--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    process = start("mongo", command, folder / "log")
    try:
        asyncio.run(_wait_for(process, port))
        uri = f"mongodb://{HOST}:{port}/?retryWrites=false&directConnection=true"
        yield SecuredMongo(uri, authority / "ca.pem")
    finally:
        process.stop()


async def _make_users(folder: Path) -> None:
    server = await start_mongo(folder / "data", folder / "log")
    client = connect(server.url)
    for user in ("registry", "versioning"):
        roles = [{"role": "readWrite", "db": f"modelkin_{user}"}]
        await client.admin.command("createUser", user, pwd=f"{user}'s", roles=roles)
    client.close()
    await asyncio.to_thread(server.process.stop)


def _apart(pem: Path, folder: Path) -> tuple[Path, Path]:
    content = pem.read_text()
    at = content.index("-----BEGIN PRIVATE KEY")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    certificate.write_text(content[:at])
    key.write_text(content[at:])
    return key, certificate


async def _wait_for(process: Process, port: int) -> None:
    async def listens() -> bool:
        _, writer = await asyncio.open_connection(HOST, port)
        writer.close()
        return True

    await eventually(listens, process.last_words)


def user(name: str, password: str, ca: Path | None) -> Login:
    return Login(name, SecretStr(password), ca=ca)


async def test_a_service_writes_to_its_own_database_and_to_no_other(mongo: SecuredMongo):
    client = connect(mongo.uri, user("registry", "registry's", mongo.ca))

    await ping(client["modelkin_registry"])
    await client["modelkin_registry"]["models"].insert_one({"_id": "resnet"})
    with pytest.raises(PyMongoError, match="not authorized"):
        await client["modelkin_versioning"]["models"].insert_one({"_id": "resnet"})
    client.close()


@pytest.mark.parametrize(
    ("login", "said"),
    [
        (("registry", "guessed"), "MongoDB does not accept MODELKIN_MONGO_USER with its password"),
        (("importer", "unknown"), "MongoDB does not accept MODELKIN_MONGO_USER with its password"),
    ],
)
async def test_a_wrong_password_of_mongodb_is_waited_for_with_one_line(
    mongo: SecuredMongo, login: tuple[str, str], said: str
):
    client = connect(mongo.uri, user(*login, mongo.ca))

    with pytest.raises(Transient) as waiting:
        await ping(client["modelkin_registry"])
    client.close()

    assert str(waiting.value).startswith(said)
    assert login[1] not in str(waiting.value).removeprefix(said)


async def test_a_mongodb_with_the_certificate_of_another_ca_is_not_spoken_to(mongo: SecuredMongo, tmp_path: Path):
    make_certs(tmp_path, NOW)
    client = connect(mongo.uri, user("registry", "registry's", tmp_path / "tls" / "ca.pem"))

    with pytest.raises(Transient) as waiting:
        await ping(client["modelkin_registry"])
    client.close()

    assert "certificate verify failed" in str(waiting.value)
    assert str(waiting.value).endswith("is its certificate of the CA in MODELKIN_TLS_CA?")
    assert len(str(waiting.value)) < 300


def test_an_expired_certificate_of_mongodb_is_said_with_what_to_do(tmp_path: Path):
    make_certs(tmp_path, LAST_YEAR, days=30)

    async def why_not(mongo: SecuredMongo) -> str:
        client = connect(mongo.uri, Login(ca=mongo.ca))
        with pytest.raises(Transient) as waiting:
            await ping(client["modelkin_registry"])
        client.close()
        return str(waiting.value)

    with _started(tmp_path, tmp_path / "tls") as mongo:
        said = asyncio.run(why_not(mongo))

    assert said.startswith(f"MongoDB is away: {mongo.uri.split('/')[2]}")
    assert said.endswith("its certificate has expired: 'python -m deploy.certs --renew' makes a new one for the server")


async def test_a_mongodb_that_is_away_is_said_with_its_place_and_the_variable_that_names_it():
    client = connect("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100", NOBODY)

    with pytest.raises(Transient) as waiting:
        await ping(client["modelkin_registry"])
    client.close()

    assert str(waiting.value).startswith("MongoDB is away: 127.0.0.1:1: ")
    assert str(waiting.value).endswith(" (MODELKIN_MONGO_URI)")


def test_certificates_hold_the_names_of_one_machine_and_of_a_cluster(authority: Path):
    context = ssl.create_default_context(cafile=authority / "ca.pem")
    context.load_cert_chain(authority / "nats.pem", authority / "nats.key")
    text = subprocess.run(
        ["openssl", "x509", "-in", authority / "nats.pem", "-noout", "-ext", "subjectAltName"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    names = {one.strip() for one in text.splitlines()[1].split(",")}
    assert names == {
        "DNS:nats",
        "DNS:nats-1",
        "DNS:nats-2",
        "DNS:nats-3",
        "DNS:localhost",
        "IP Address:127.0.0.1",
        "IP Address:0:0:0:0:0:0:0:1",
    }
