"""The software bill of materials of the image, as CycloneDX 1.6 JSON: made of pip's report of what it installed.

    pip install --dry-run --ignore-installed --require-hashes -r deploy/requirements.txt --report - | python -m deploy.sbom 0.1.0

Each package has the digest of the very file that is installed, which depends on the platform. The packages of the
operating system in the base image are not in it.
"""

import json
import sys
import uuid
from typing import Any

Json = dict[str, Any]


def bill(version: str, report: Json) -> Json:
    """What Modelkin is made of; the same report gives the same bill."""
    components = sorted((_component(one) for one in report["install"]), key=lambda component: component["bom-ref"])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([version, components]))}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "modelkin",
                "name": "modelkin",
                **({"version": version} if version else {}),
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": components,
        "dependencies": [{"ref": "modelkin", "dependsOn": [component["bom-ref"] for component in components]}],
    }


def _component(installed: Json) -> Json:
    metadata = installed["metadata"]
    name, version = metadata["name"].lower().replace("_", "-"), metadata["version"]
    purl = f"pkg:pypi/{name}@{version}"
    sha256 = installed["download_info"]["archive_info"]["hashes"]["sha256"]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        **_licenses(metadata),
    }


def _licenses(metadata: Json) -> Json:
    """The SPDX expression where a package has one; else what it calls its licence, word for word."""
    if expression := metadata.get("license_expression"):
        return {"licenses": [{"expression": expression}]}
    classes = [line for line in metadata.get("classifier", ()) if line.startswith("License :: ")]
    own_words = metadata.get("license", "").strip()[:80]
    names = [line.rsplit(" :: ", 1)[1] for line in classes] or [own_words]
    return {"licenses": [{"license": {"name": name}} for name in names]} if any(names) else {}


def main() -> None:
    """Read pip's report from standard input, write the bill to standard output."""
    version = sys.argv[1] if sys.argv[1:] else ""
    json.dump(bill(version, json.load(sys.stdin)), sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
