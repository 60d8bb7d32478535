"""JSON that people write: strict, and within limits."""

import json

import pytest

from services.importer.package.reading import Unreadable, read_object
from shared.values import Fault

ILL_FORMED = {
    "empty": (b"", "$", "'' in line 1, column 1"),
    "cut off": (b'{\n "a": ', "$", "'' in line 2, column 7"),
    "not JSON": (b"model: a", "$", "'model: a' in line 1, column 1"),
    "array": (b"[1]", "$", "[1]"),
    "null": (b"null", "$", "null"),
    "not UTF-8": (b'{"a": "\xe9"}', "$", "byte 0xe9 at offset 7"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "$", "byte 0xff at offset 0"),
    "key twice": (b'{"b": {"a": 1, "a": 1}}', "$", "the key 'a' twice in one object"),
    "NaN": (b'{"a": NaN}', "$", "NaN"),
    "-Infinity": (b'{"a": -Infinity}', "$", "-Infinity"),
    "infinite": (b'{"a": [1, -1e999]}', "$.a[1]", "-inf"),
    "half a character": (b'{"a": {"b": "\\ud83d"}}', "$.a.b", "'\\ud83d'"),
    "half a character in a key": (b'{"a": {"\\udc00": 1}}', "$.a", "{'\\udc00': 1}"),
    "number beyond a double": (b'{"a": 1%s}' % (b"0" * 400), "$.a", f"1{'0' * 36}...{'0' * 38}"),
    "number of many digits": (b'{"a": 1%s}' % (b"0" * 5000), "$", "a number of thousands of digits"),
    "deep": (b'{"a":' * 65 + b"1" + b"}" * 65, "$" + ".a" * 64, "{'a': 1}"),
    "very deep": (b"[" * 500_000, "$", "nested deeper"),
    "very deep objects": (b'{"a":' * 150_000, "$", "nested deeper"),
    "many values": (json.dumps({"a": [0] * 100_000}).encode(), "$", "more than 100000 values"),
    "many bytes": (b'{"a": "%s"}' % (b"a" * 1024 * 1024), "$", "1048585 bytes"),
}


@pytest.mark.parametrize(("content", "path", "got"), ILL_FORMED.values(), ids=ILL_FORMED.keys())
def test_what_is_no_plain_json_object_is_refused(content: bytes, path: str, got: str):
    with pytest.raises(Unreadable) as caught:
        read_object(content)

    assert caught.value.fault == Fault(path=path, got=got, expected=caught.value.fault.expected)


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"\xef\xbb\xbf{}",
        b'{"a":' * 63 + b"{}" + b"}" * 63,
        json.dumps({"a": [0] * 99_998}).encode(),
        json.dumps({"图": "\U0001f600\u0000", "a": [1.5e308, -1, True, None]}).encode(),
    ],
    ids=["empty", "byte order mark", "deep", "many values", "any text and number"],
)
def test_what_is_at_the_limit_is_read(content: bytes):
    assert read_object(content) == json.loads(content.removeprefix(b"\xef\xbb\xbf"))
