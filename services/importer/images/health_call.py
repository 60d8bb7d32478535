"""Calls a health URL until it answers with 2xx, or the time is up. Runs alone in a container: standard library only."""

import http.client
import json
import sys
import time

PAUSE_S = 0.25


def call(port: int, path: str, timeout_s: float) -> str:
    """The status that came, or the kind of fault."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"User-Agent": "modelkin-probe"})
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


def wait_for_health(port: int, path: str, initial_delay_s: float, timeout_s: float) -> str:
    """What came last: at least one call is made."""
    time.sleep(initial_delay_s)
    ends = time.monotonic() + timeout_s
    while True:
        came = call(port, path, max(ends - time.monotonic(), PAUSE_S))
        if came.startswith("2") or time.monotonic() + PAUSE_S > ends:
            return came
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    port, path, initial_delay, timeout = sys.argv[1:]
    print(json.dumps({"came": wait_for_health(int(port), path, float(initial_delay), float(timeout))}))  # noqa: T201 - the answer
