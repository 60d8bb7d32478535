"""Starts the MongoDB stand-in with users, in its own image; run as a file.

It lets nobody make a first user once it asks for passwords. So it is started for its own loopback alone, given its users, and
started again for all.
"""

import os
import runpy
import subprocess
from pathlib import Path

SERVER = ["secantusd-py", "--port", "27017", "--storage-path", "/data/db", "--sync-on-commit"]
TLS = ["--tls-cert-file", "/run/secrets/mongo.pem", "--tls-key-file", "/run/secrets/mongo.pem"]
SETUP = Path(__file__).with_name("setup.py")
# Told to end while connections are opened, it now and then holds itself up for good.
PATIENCE_S = 5.0


def main() -> None:
    """Become the server."""
    server = [*SERVER, *(TLS if os.environ.get("MODELKIN_TLS_CA") else [])]
    alone = subprocess.Popen([*server, "--host", "127.0.0.1"])  # noqa: S603 - fixed words
    try:
        runpy.run_path(str(SETUP))["main"]()
    finally:
        _end(alone)
    os.execvp(server[0], [*server, "--host", "0.0.0.0", "--auth"])  # noqa: S104, S606 - in a network of its own


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        server.kill()  # what it confirmed is on disk
        server.wait()


if __name__ == "__main__":
    main()
