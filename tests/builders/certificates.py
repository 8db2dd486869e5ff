"""A private authority and what it signs, for tests of mutual TLS."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.kernel.rpc.identity import Certificates, Identity


class Authority:
    """Signs certificates for 127.0.0.1 and localhost."""

    def __init__(self, name: str = "drydock tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self.certificate = self._signed(self._name, self._key, authority=True)

    def issue(self, name: str = "peer") -> Certificates:
        key = ec.generate_private_key(ec.SECP256R1())
        return Certificates(
            certificate=_pem(self._signed(_name(name), key, authority=False)),
            key=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            authority=_pem(self.certificate),
        )

    def server(self, folder: Path) -> ssl.SSLContext:
        """Returns what a server on 127.0.0.1 shows."""
        files = self.write(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files["tls_cert_file"], files["tls_key_file"])
        return context

    @property
    def pem(self) -> str:
        """The authority's own certificate."""
        return _pem(self.certificate).decode()

    def identity(self) -> Identity:
        return Identity(certificates=self.issue())

    def write(self, folder: Path) -> dict[str, Path]:
        """Writes what one process needs and returns the files by their settings."""
        issued = self.issue()
        files = {"cert": issued.certificate, "key": issued.key, "ca": issued.authority}
        for name, content in files.items():
            (folder / f"{name}.pem").write_bytes(content)
        return {f"tls_{name}_file": folder / f"{name}.pem" for name in files}

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
