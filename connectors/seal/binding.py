"""What ties a value to its manifest: additional data of the cipher that repeats the manifest (schemas/envelope.md 5.1).

Without it another authority could sign the same ciphertext as its own (signature theft).
"""

from __future__ import annotations

from hub.core.manifest import VERSION, Manifest
from hub.core.refusals import refuse
from hub.envelope.strict_json import JsonObject, dump, parse
from hub.errors import Refused


def additional_data(manifest: Manifest) -> bytes:
    """The JSON that goes into the cipher beside the content. It uses none of the body's fields."""
    return dump(_members(manifest))


def check_additional_data(data: bytes, manifest: Manifest) -> None:
    """Check that ``data`` repeats ``manifest``. Raises ``Refused(aad-mismatch)``."""
    members = _members(manifest)
    try:
        repeats = data == dump(members) or parse(data) == members  # the same bytes need no second reading
    except Refused as error:
        raise refuse("aad-mismatch") from error
    if not repeats:
        raise refuse("aad-mismatch")


def _members(manifest: Manifest) -> JsonObject:
    return {
        "v": VERSION,
        "id": manifest.id,
        "from": manifest.sender,
        "to": [manifest.recipient],
        "rcp": [[authority, key] for authority, key in manifest.recipient_keys],
        "thr": manifest.thread,
        "typ": manifest.type.value,
    }
