"""Certificates for an engine: an authority that signs some and is forgotten."""

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID_DAYS = 3650
CLOCKS_DIFFER = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """In PEM format."""

    certificate: str
    key: str


class Authority:
    """Its key is never told: what it has not signed while this process ran, nobody can sign later."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Tilewright engine")
        self.certificate = _pem(self._signed(self._name, self._key, is_authority=True))

    def issue(self, bearer: str) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        return Certificate(_pem(self._signed(_name(f"Tilewright {bearer}"), key, is_authority=False)), _key_pem(key))

    def _signed(self, bearer: x509.Name, key: ec.EllipticCurvePrivateKey, is_authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder(self._name, bearer, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - CLOCKS_DIFFER)
            .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
            .add_extension(
                x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True
            )
            .sign(self._key, hashes.SHA256())
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
