"""Every reason code a record can be refused with, in the order of the checks, and whether it uses up its number.

The order of the letters is the order of the hub's checks: (a) size and headers, (b) grammar, (c) owner of the topic,
(d) suite, signatures, keys, (e) length and digest, (f) repeat, (g) sequence, (h) policy. A failure in (a) to (g) does
not count; a failure in (h) is authentic and next in its chain, and counts. Recipient codes come from a connector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hub.errors import Refused


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason code: the step of the check table, what it means, what its sender does about it."""

    step: str
    meaning: str
    remedy: str

    @property
    def counted(self) -> bool:
        """Whether the refused message has used up its sequence number."""
        return self.step == "h"


REASONS: Final[dict[str, Reason]] = {
    "value-too-large": Reason("a", "the record's value is over 1 MiB", "send large content as an attachment"),
    "key-too-large": Reason("a", "the record's key is over 64 bytes", "use the thread or message id as the key"),
    "manifest-missing": Reason("a", "there is no comity-jws header", "publish through a gateway"),
    "manifest-doubled": Reason("a", "there is more than one comity-jws header", "send exactly one"),
    "manifest-too-large": Reason("a", "the comity-jws header is over 16 KiB", "send fewer receipts or attachments"),
    "header-not-allowed": Reason(
        "a", "a header is not on the allow-list", "send comity-jws, ce_* and trace context only"
    ),
    "headers-too-many": Reason("a", "over 16 hint headers, or over 4 KiB of them", "send fewer hints"),
    "jws-malformed": Reason("b", "the header is no JWS of the profile", "see schemas/envelope.md section 4"),
    "manifest-malformed": Reason("b", "the payload breaks the manifest's grammar", "see schemas/envelope.md section 3"),
    "version-unknown": Reason("b", "the manifest's version is not comity/1", "use a version that both sides know"),
    "key-mismatch": Reason("b", "the record key is not the thread or id", "use the thread, or the id of a receipt"),
    "header-mismatch": Reason("b", "a hint header differs from the manifest", "leave the hint out or make it equal"),
    "sender-mismatch": Reason("c", "the manifest's sender does not own the topic", "publish in your own outbox"),
    "deployment-mismatch": Reason("d", "the manifest is for another deployment", "use this hub's trust list"),
    "sender-unknown": Reason("d", "the trust list does not name the sender", "enrol the authority"),
    "suite-unknown": Reason("d", "the suite is not in the registry", "use the suite that the trust list demands"),
    "suite-not-allowed": Reason(
        "d", "the trust list demands another suite", "use the suite that the trust list demands"
    ),
    "algorithms-mismatch": Reason("d", "signatures, sgs and suite differ", "sign with every algorithm of the suite"),
    "key-unknown": Reason("d", "a signing key is not in the trust list", "sign with an enrolled key"),
    "key-revoked": Reason("d", "a signing key was revoked before the record's time", "sign with a key in force"),
    "certificate-invalid": Reason(
        "d", "a certificate does not lead to the State's anchor", "enrol a valid certificate"
    ),
    "signature-invalid": Reason("d", "a signature does not verify", "seal the message again after this refusal"),
    "length-mismatch": Reason("e", "len is not the value's length", "publish the exact bytes that were signed"),
    "digest-mismatch": Reason("e", "dig is not the value's SHA-256", "publish the exact bytes that were signed"),
    "already-used": Reason(
        "f", "the sequence number was used by another message", "never seal this copy again; ask the operator"
    ),
    "id-conflict": Reason("f", "the id was used by a message with other bytes", "use a new id for new content"),
    "sequence-gap": Reason("g", "seq is ahead of the expected number", "seal again with the expected seq and prev"),
    "previous-mismatch": Reason(
        "g", "prev is not the hash of the previous manifest", "seal again with the expected seq and prev"
    ),
    "recipient-unknown": Reason("g", "the trust list does not name the recipient", "check the recipient's id"),
    "not-yet-valid": Reason("h", "iat is ahead of the log's time", "set the sender's clock"),
    "expired": Reason("h", "exp lies before the log's time", "send a new message"),
    "recipient-revoked": Reason("h", "the recipient's enrolment is revoked or suspended", "use another channel"),
    "recipient-key-invalid": Reason(
        "h", "a key in rcp is not in force", "seal to the keys in the trust list, as a new message"
    ),
    "clock-due-past": Reason(
        "h", "a clock's due time is not after the log's time", "send a new message with a later due time"
    ),
}
"""Codes of the hub."""

RECIPIENT_REASONS: Final[dict[str, str]] = {
    "recipient-mismatch": "the value has no key for this recipient, or more than one",
    "jwe-malformed": "the value is no JWE of the profile",
    "aad-mismatch": "the value was made for another manifest",
    "cannot-decrypt": "the value does not decrypt",
    "padding-invalid": "the plaintext's padding is broken",
    "commitment-mismatch": "the plaintext is not the one that was signed",
    "content-malformed": "the plaintext breaks its schema",
    "attachment-missing": "an attachment is not in the store",
    "attachment-mismatch": "an attachment's bytes are not those that were signed",
}
"""Codes of the recipient's connector (``lvl: refused`` of a receipt list), all after ``accepted``."""


def refuse(code: str) -> Refused:
    """The exception for a hub or recipient code, with its sentence."""
    reason = REASONS.get(code)
    if reason is not None:
        return Refused(code, f"Refused: {reason.meaning}; {reason.remedy}.")
    return Refused(code, f"Refused: {RECIPIENT_REASONS[code]}.")
