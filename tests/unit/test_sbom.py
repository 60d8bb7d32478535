"""The bill of what the image is made of, from pip's report."""

from typing import Any

from deploy.sbom import bill


def installed(name: str, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "version": "1.2", **metadata},
        "download_info": {"url": "https://example.com/a.whl", "archive_info": {"hashes": {"sha256": "ab" * 32}}},
    }


def test_each_package_has_name_version_digest_and_licence_and_no_address():
    report = {"install": [installed("Zip_Safe", license_expression="MIT")]}

    [component] = bill("0.1.0", report)["components"]

    assert component == {
        "type": "library",
        "bom-ref": "pkg:pypi/zip-safe@1.2",
        "name": "zip-safe",
        "version": "1.2",
        "purl": "pkg:pypi/zip-safe@1.2",
        "hashes": [{"alg": "SHA-256", "content": "ab" * 32}],
        "licenses": [{"expression": "MIT"}],
    }


def test_without_an_expression_a_licence_is_named_as_the_package_names_it():
    classes = ["Typing :: Typed", "License :: OSI Approved :: BSD License"]
    report = {"install": [installed("a", classifier=classes), installed("b", license="BSD-3-Clause"), installed("c")]}

    licenses = [component.get("licenses") for component in bill("0.1.0", report)["components"]]

    assert licenses == [[{"license": {"name": "BSD License"}}], [{"license": {"name": "BSD-3-Clause"}}], None]


def test_the_same_packages_in_another_order_are_the_same_bill():
    one, other = installed("a"), installed("b")

    assert bill("0.1.0", {"install": [one, other]}) == bill("0.1.0", {"install": [other, one]})


def test_other_packages_are_another_bill():
    one, other = bill("0.1.0", {"install": [installed("a")]}), bill("0.1.0", {"install": [installed("b")]})

    assert one["serialNumber"] != other["serialNumber"]
