"""From when to when certificates are valid: for reminders, never for a check of a signature (``certificates``)."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509


def der_validity(certificate: bytes) -> tuple[int, int]:
    """First and last moment (milliseconds since 1970) of a certificate in DER. Raises ``ValueError`` for other bytes."""
    return _span(x509.load_der_x509_certificate(certificate))


def pem_validity(pem: bytes) -> tuple[tuple[int, int], ...]:
    """The same of every certificate in PEM, in order; a private key before them is skipped. Raises ``ValueError``."""
    return tuple(_span(each) for each in x509.load_pem_x509_certificates(pem))


def _span(certificate: x509.Certificate) -> tuple[int, int]:
    return _milliseconds(certificate.not_valid_before_utc), _milliseconds(certificate.not_valid_after_utc)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
