"""HTTPS before the services of a page: nginx with the page's file where it is installed, else a relay of our own.

Its certificate is of a company's own authority, which nobody knows who was not told.
"""

import datetime
import ipaddress
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .page_blocks import blocks_of
from .page_hosts import ROOT, PageHosts

PAGE = ROOT / "docs" / "how-to" / "operate.md"
MAIN = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {file};
}}
"""
"""Around the page's file; its distribution has one of its own."""


@contextmanager
def https_door(hosts: PageHosts) -> Iterator[dict[str, str]]:
    """Gives the variables that programs need to believe it. On loopback there is no door."""
    if hosts.is_on_loopback:
        yield {}
        return
    host = hosts["service1"]
    certificate, key = host.root / "etc/nginx/tilewright.pem", host.root / "etc/nginx/tilewright-key.pem"
    certificate.parent.mkdir()
    write_certificate(certificate, key, host.address)
    command = _nginx(hosts) if shutil.which("nginx") else _relay(certificate, key)
    with subprocess.Popen(host.command(*command), cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            yield {"SSL_CERT_FILE": str(certificate), "CURL_CA_BUNDLE": str(certificate)}
        finally:
            process.terminate()


def _nginx(hosts: PageHosts) -> list[str]:
    host = hosts["service1"]
    [block] = [block for block in blocks_of(PAGE) if block.path and block.path.startswith("/etc/nginx/")]
    assert block.path is not None
    host.write(block.path, block.text)
    main = host.root / "etc/nginx/nginx.conf"
    main.write_text(MAIN.format(folder=host.root / "tmp", file=f"{host.root}{block.path}"))
    return ["nginx", "-p", str(host.root / "tmp"), "-c", str(main)]


def _relay(certificate: Path, key: Path) -> list[str]:
    return [sys.executable, "-m", "tests.tls_relay", str(certificate), str(key), "443", "8000"]


def write_certificate(certificate: Path, key: Path, address: str) -> None:
    """It signs itself, and is its own authority."""
    private, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "us")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    builder = x509.CertificateBuilder(
        name, name, private.public_key(), x509.random_serial_number(), now - day, now + day
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = builder.add_extension(names, critical=False).sign(private, hashes.SHA256())
    pem, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    certificate.write_bytes(signed.public_bytes(pem))
    key.write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password))
