"""Names of topics, and whose they are (DESIGN section 4)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from hub.core.ids import AuthorityId, authority_id

LEDGER: Final = "hub.ledger"
QUARANTINE: Final = "hub.quarantine"
DIRECTORY: Final = "hub.directory"
SHARDS: Final = "hub.shards"
_OUTBOX: Final = "outbox."
_INBOX: Final = "inbox."
OWNERS_CACHED_MAX: Final = 4096  # each record is asked whose it is several times


def outbox(authority: AuthorityId) -> str:
    """``outbox.xa-moj``: what the authority writes."""
    return _OUTBOX + authority


def inbox(authority: AuthorityId) -> str:
    """``inbox.xa-moj``: what the authority reads."""
    return _INBOX + authority


def is_inbox(topic: str) -> bool:
    """Whether an authority reads this topic."""
    return topic.startswith(_INBOX)


@lru_cache(maxsize=OWNERS_CACHED_MAX)
def outbox_owner(topic: str) -> AuthorityId:
    """The authority whose outbox this is. Raises ``Refused`` when the name is not an outbox."""
    return authority_id(topic.removeprefix(_OUTBOX) if topic.startswith(_OUTBOX) else None)
