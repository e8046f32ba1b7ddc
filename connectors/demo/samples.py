"""What the authorities of the demonstration write to each other. Fictional States; nothing here describes anybody."""

from __future__ import annotations

import json
from typing import Any, Final

from hub.core.ids import AuthorityId
from hub.core.times import format_time

CAST: Final[dict[AuthorityId, str]] = {
    AuthorityId("xa-moj"): "Ministry of Justice of Xandria",
    AuthorityId("xb-pgo"): "Prosecutor General's Office of Borduria",
    AuthorityId("xc-acc"): "Anti-Corruption Commission of Cascara",
}
PDF_BYTES: Final = 5 * 1024 * 1024


def request(number: int, *, requesting: AuthorityId, now_ms: int, subject: str, canary: str = "") -> bytes:
    """A request for mutual legal assistance with the contents of UNCAC 46(15). ``canary`` is hidden in the facts."""
    return _document(
        {
            "event": "mla.request.submitted",
            "version": 1,
            "legal_basis": "UNCAC article 46",
            "occurred_at": format_time(now_ms),
            "requesting_authority": {"name": CAST[requesting], "contact": "duty desk"},
            "subject_matter": subject,
            "nature": "investigation",
            "conducting_authority": {
                "name": "Investigating judge, second chamber",
                "functions": "pre-trial investigation",
            },
            "summary_of_facts": f"Payments for a road contract went through three companies without staff. {canary}".strip(),
            "assistance_types": ["f", "g"],
            "assistance_sought": "Bank records of the accounts named in the attachment.",
            "persons": [{"name": "director of the first company", "nationality": "XA"}],
            "purpose": "To trace the proceeds and decide on an indictment.",
            "offences": ["UNCAC 15", "UNCAC 23"],
            "language": "en",
            "reference": f"{requesting}/2026/{number:04d}",
        }
    )


def acknowledgement(number: int, *, now_ms: int, estimated_day: str) -> bytes:
    """The authority's acknowledgement with an estimated date."""
    return _document(
        {
            "event": "mla.acknowledged",
            "version": 1,
            "legal_basis": "UNCAC article 46",
            "occurred_at": format_time(now_ms),
            "reference": f"INT-{number:04d}",
            "handling_unit": {"name": "International cooperation unit", "contact": None},
            "received_on": day(now_ms),
            "complete": True,
            "estimated_response_date": estimated_day,
        }
    )


def answer(number: int, *, now_ms: int) -> bytes:
    """The results, all items executed."""
    return _document(
        {
            "event": "mla.executed",
            "version": 1,
            "legal_basis": "UNCAC article 46",
            "occurred_at": format_time(now_ms),
            "reference": f"INT-{number:04d}",
            "items": ["Bank records of both accounts"],
            "use_restrictions": "For the proceedings named in the request only (UNCAC 46(19)).",
        }
    )


def day(time_ms: int) -> str:
    """The calendar day in UTC, such as 2026-12-24."""
    return format_time(time_ms)[:10]


def pdf(size: int = PDF_BYTES) -> bytes:
    """A valid one-page PDF of ``size`` bytes: a page, and a stream of noise that no viewer shows."""
    page = (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\n"
    )
    tail = b"\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    filler = size - len(page) - len(tail) - 64
    stream = b"4 0 obj<</Length %d>>stream\n" % filler
    noise = bytes(i * 131 % 251 for i in range(1000)) * (filler // 1000 + 1)
    return page + stream + noise[:filler] + tail


def _document(members: dict[str, Any]) -> bytes:
    return json.dumps(members, ensure_ascii=False).encode()
