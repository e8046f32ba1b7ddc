"""Verifying what lies in ``acks/`` as a sender would before a court: with the trust list, without the hub."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.folder.desk import Desk
from hub.adapters.files.home import Home
from hub.adapters.secretariat import Secretariat
from hub.core.authority import PublicKey, TrustList
from hub.core.ids import AuthorityId, KeyId
from hub.core.manifest import MessageType
from hub.core.receipts import ReceiptClaim
from hub.envelope import jws
from hub.envelope.certificates import signing_public_key
from hub.envelope.manifest import decode
from hub.envelope.receipts import HeadCache, read_receipt
from hub.envelope.suites import SUITES
from hub.errors import VerificationFailed

MANIFEST_BYTES_MAX = 16 * 1024


class Verifier:
    """Checks evidence against the deployment's newest trust list."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def trust(self) -> TrustList:
        """The newest list, verified against the anchor."""
        return Secretariat.open(self._home).newest()

    def verify_all(self, desk: Desk, key: str, *, levels: Sequence[str]) -> int:
        """The number of levels whose evidence verifies. Raises ``VerificationFailed``, ``Refused``."""
        trust = self.trust()
        for level in levels:
            confirmation = desk.confirmation(key, level)
            if confirmation is None:
                raise VerificationFailed("evidence-missing", f"There is no {level} for this message.")
            evidence, sender = confirmation["evidence"], AuthorityId(confirmation["to"])
            if evidence["kind"] == "hub-receipt":
                claim = read_receipt(evidence["bytes"].encode(), trust=trust, heads=HeadCache())
                if not isinstance(claim, ReceiptClaim) or claim.message != key or not claim.accepted:
                    raise VerificationFailed("evidence-mismatch", "The hub's receipt is not about this message.")
            else:
                self._verify_manifest(evidence["bytes"].encode(), sender, key, trust)
        return len(levels)

    def _verify_manifest(self, data: bytes, sender: AuthorityId, key: str, trust: TrustList) -> None:
        """A manifest of ``sender``: its receipt list names the message, or it answers the message."""
        signed = jws.parse(data, typ=jws.TYP_MANIFEST, bytes_max=MANIFEST_BYTES_MAX)
        authority = trust.authorities[sender]
        manifest = decode(signed.payload)
        keys: dict[KeyId, PublicKey] = {}
        for each in authority.signing:
            public = signing_public_key(
                each.certificate, authority=authority, algorithm=each.algorithm, time_ms=manifest.issued_ms
            )
            keys[each.id] = PublicKey(each.id, each.algorithm, public)
        jws.verify_all(signed, keys, algorithms=SUITES[authority.suite].signatures)
        listed = {reference.message for reference in manifest.receipts}
        about = listed if manifest.type is MessageType.RECEIPT else {manifest.in_reply_to}
        if manifest.sender != sender or key not in about:
            raise VerificationFailed("evidence-mismatch", "The signed manifest is not about this message.")
