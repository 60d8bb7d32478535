"""What an operator may list, and what that admits."""

import httpx
import pytest

from services.importer.domain import Unacceptable
from services.importer.network.hosts import Hosts
from shared.values import Reason

SETTING = "MODELKIN_ALLOWED_HOSTS"


def admits(written: list[str], url: str, *found: str) -> list[str]:
    """The addresses that may be connected to; none where the host is refused."""
    hosts = Hosts(written, SETTING)
    try:
        hosts.check(httpx.URL(url))
        return hosts.admitted(httpx.URL(url), found)
    except Unacceptable:
        return []


@pytest.mark.parametrize(
    ("written", "url", "address"),
    [
        (["*"], "https://files.example/a.zip", "8.8.8.8"),
        (["files.example"], "https://files.example/a.zip", "8.8.8.8"),
        (["files.example"], "https://files.example/a.zip", "10.0.0.1"),
        (["Files.Example"], "https://FILES.example./a.zip", "10.0.0.1"),
        (["files.example:8443"], "https://files.example:8443/a.zip", "10.0.0.1"),
        (["files.example:443"], "https://files.example/a.zip", "10.0.0.1"),
        (["files.example:80"], "http://files.example/a.zip", "10.0.0.1"),
        (["bücher.example"], "https://xn--bcher-kva.example/a.zip", "10.0.0.1"),
        (["10.0.0.0/8"], "https://files.example/a.zip", "10.1.2.3"),
        (["10.1.2.3"], "https://files.example/a.zip", "10.1.2.3"),
        (["10.1.2.3"], "https://10.1.2.3/a.zip", "10.1.2.3"),
        (["10.1.2.3:8443"], "https://10.1.2.3:8443/a.zip", "10.1.2.3"),
        (["127.0.0.1"], "http://0x7f.1/a.zip", "127.0.0.1"),
        (["127.0.0.1"], "http://[::ffff:127.0.0.1]/a.zip", "::ffff:127.0.0.1"),
        (["fd00::/8"], "https://files.example/a.zip", "fd12::1"),
        (["::1"], "http://[::1]/a.zip", "::1"),
        (["[::1]:5000"], "http://[::1]:5000/a.zip", "::1"),
        (["169.254.0.0/16"], "http://169.254.169.254/a.zip", "169.254.169.254"),
    ],
)
def test_a_host_that_is_listed_is_asked(written: list[str], url: str, address: str):
    assert admits(written, url, address) == [address]


@pytest.mark.parametrize(
    ("written", "url", "address"),
    [
        ([], "https://files.example/a.zip", "8.8.8.8"),
        (["*"], "http://127.0.0.1/a.zip", "127.0.0.1"),
        (["*"], "http://files.example/a.zip", "127.0.0.1"),
        (["*"], "http://2130706433/a.zip", "127.0.0.1"),
        (["*"], "http://0x7f.1/a.zip", "127.0.0.1"),
        (["*"], "http://[::ffff:a9fe:a9fe]/a.zip", "::ffff:169.254.169.254"),
        (["*"], "http://169.254.169.254/a.json", "169.254.169.254"),
        (["files.example"], "https://other.example/a.zip", "8.8.8.8"),
        (["files.example"], "https://files.example.other/a.zip", "8.8.8.8"),
        (["files.example:8443"], "https://files.example/a.zip", "8.8.8.8"),
        (["files.example:80"], "https://files.example/a.zip", "8.8.8.8"),
        (["files.example"], "http://files.example/a.json", "169.254.169.254"),
        (["files.example"], "http://files.example/a.json", "::ffff:169.254.169.254"),
        (["10.0.0.0/8"], "https://files.example/a.zip", "11.0.0.1"),
        (["10.1.2.3:8443"], "https://10.1.2.3/a.zip", "10.1.2.3"),
        (["127.0.0.1"], "http://[::1]/a.zip", "::1"),
    ],
)
def test_any_other_host_is_refused(written: list[str], url: str, address: str):
    assert admits(written, url, address) == []


def test_of_several_addresses_those_outside_are_taken():
    assert admits(["*"], "https://files.example/a.zip", "10.0.0.1", "8.8.8.8", "::1") == ["8.8.8.8"]


def test_a_refusal_does_not_say_where_a_name_leads():
    hosts = Hosts(["*"], SETTING)

    with pytest.raises(Unacceptable) as refused:
        hosts.admitted(httpx.URL("https://vault.internal/a.zip?signature=secret"), ["10.2.3.4"])

    assert refused.value.refusal.reason is Reason.LOCATION_NOT_ALLOWED
    assert refused.value.refusal.message == (
        "host 'vault.internal' is inside the network, or none that the importer may ask: expected one outside, or one"
        " that MODELKIN_ALLOWED_HOSTS lists"
    )


@pytest.mark.parametrize(
    "written",
    [
        "https://files.example",
        "files.example/a",
        "10.0.0.5/8",
        "a b",
        "files.example:0",
        "files.example:70000",
        "*.example",
        "user@files.example",
        "[::1",
        "a,b",
    ],
)
def test_what_is_no_host_is_an_error_of_the_operator(written: str):
    with pytest.raises(ValueError, match=r"expected '[*]', a host, an address or a range"):
        Hosts([written], SETTING)
