"""A private CA, and certificates of it for NATS and MongoDB: `make certs`.

<folder>/tls
├── ca.pem      what everybody who connects is given (MODELKIN_TLS_CA)
├── ca.key      its key; no container needs it
├── nats.pem, nats.key
└── mongo.pem   certificate and key in one file, as mongod wants them
"""

import argparse
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.secrets import FILE_MODE, FOLDER, make_folder

DAYS = 397
CA_DAYS = 3650
# Clocks differ: a certificate that is valid from now on is not yet valid elsewhere.
EARLIER = timedelta(hours=1)
CLUSTER = 3
HERE = ("localhost", "127.0.0.1", "::1")
OWNER_MODE = 0o600


class Pair(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def make_certs(
    folder: Path, now: datetime, *, days: int = DAYS, names: tuple[str, ...] = (), renew: bool = False
) -> None:
    """Write what is not there; with `renew`, the certificates of the servers anew, by the same CA.

    Args:
        folder: where to; made where it is missing.
        now: from when on they are valid.
        days: how long those of the servers are.
        names: under which the servers are reached, beside their usual ones.
        renew: whether those that are there are replaced.

    Raises:
        ValueError: the CA that is there cannot be used.
    """
    make_folder(folder)
    tls = folder / "tls"
    ca = _authority(tls, now)
    for server in ("nats", "mongo"):
        path = tls / f"{server}.pem"
        if path.exists() and not renew:
            continue
        pair = _of_server(server, ca, (now, now + timedelta(days=days)), names)
        if server == "nats":
            _write(tls / "nats.key", pair.key_pem)
            _write(path, pair.certificate_pem)
        else:
            _write(path, pair.certificate_pem + pair.key_pem)


def _authority(tls: Path, now: datetime) -> Pair:
    certificate, key = tls / "ca.pem", tls / "ca.key"
    if certificate.exists() != key.exists():
        there, missing = (certificate, key) if certificate.exists() else (key, certificate)
        raise ValueError(f"{there} is there without {missing}: put it back, or remove all of {tls} for a new CA")
    if certificate.exists():
        return _read(certificate, key)
    pair = _new_authority(now)
    _write(key, pair.key_pem, OWNER_MODE)
    _write(certificate, pair.certificate_pem)
    return pair


def _read(certificate: Path, key: Path) -> Pair:
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
        pair = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (ValueError, TypeError) as error:
        raise ValueError(f"{certificate} and {key} are no certificate with its key: {error}") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{key} was not made here: expected a key on an elliptic curve")  # noqa: TRY004 - of a file
    return Pair(pair, private)


def _new_authority(now: datetime) -> Pair:
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("Modelkin CA")
    builder = _builder(name, name, key, (now, now + timedelta(days=CA_DAYS)))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(ca=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def _of_server(server: str, ca: Pair, valid: tuple[datetime, datetime], names: tuple[str, ...]) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    nodes = (f"{server}-{number}" for number in range(1, CLUSTER + 1))
    known = [_general_name(one) for one in dict.fromkeys((server, *nodes, *HERE, *names))]
    builder = _builder(_name(server), ca.certificate.subject, key, valid)
    builder = builder.add_extension(x509.SubjectAlternativeName(known), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(ca=False), critical=True)
    # Members of a cluster connect to each other with it.
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    return Pair(builder.sign(ca.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, valid: tuple[datetime, datetime]
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0] - EARLIER)
        .not_valid_after(valid[1])
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, content: bytes, mode: int = FILE_MODE) -> None:
    part = path.with_name(f"{path.name}.part")
    part.touch(mode=OWNER_MODE)
    part.write_bytes(content)
    part.chmod(mode)
    part.replace(path)


def expiries(folder: Path) -> dict[str, datetime]:
    """Until when each certificate is valid."""
    return {
        name: x509.load_pem_x509_certificate((folder / "tls" / f"{name}.pem").read_bytes()).not_valid_after_utc
        for name in ("ca", "nats", "mongo")
    }


def main() -> None:
    """Say until when each is valid."""
    parser = argparse.ArgumentParser(prog="python -m deploy.certs", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"default: {FOLDER}")
    parser.add_argument("--days", type=int, default=DAYS, help=f"how long those of the servers are valid: {DAYS}")
    parser.add_argument("--name", action="append", default=[], help="one more name or address of the servers")
    parser.add_argument("--renew", action="store_true", help="make those of the servers anew")
    given = parser.parse_args()
    try:
        make_certs(given.folder, datetime.now(UTC), days=given.days, names=tuple(given.name), renew=given.renew)
        valid = expiries(given.folder)
    except (OSError, ValueError) as error:
        sys.exit(f"certs: {error}")
    for name, until in valid.items():
        late = "  EXPIRED: --renew makes a new one" if until < datetime.now(UTC) else ""
        sys.stdout.write(f"{given.folder / 'tls' / name}.pem is valid until {until:%Y-%m-%d}{late}\n")


if __name__ == "__main__":
    main()
