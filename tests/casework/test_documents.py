"""Documents of the legal plane: complete ones pass, others fail with the member and the article, never the content."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.casework.documents import check_carried, read_document
from hub.core.manifest import MessageType
from hub.errors import UsageError

COMMON = {"version": 1, "legal_basis": "UNCAC article 46", "occurred_at": "2026-11-25T09:00:00Z", "reference": "R/1"}
REQUEST = COMMON | {
    "event": "mla.request.submitted",
    "requesting_authority": {"name": "Ministry", "contact": None},
    "subject_matter": "contract",
    "nature": "investigation",
    "conducting_authority": {"name": "Judge", "functions": "investigation"},
    "summary_of_facts": "facts",
    "assistance_types": ["f"],
    "assistance_sought": "records",
    "purpose": "proceeds",
    "language": "en",
}
ACKNOWLEDGED = COMMON | {
    "event": "mla.acknowledged",
    "handling_unit": {"name": "Unit", "contact": None},
    "received_on": "2026-11-25",
    "complete": True,
    "estimated_response_date": "2026-12-20",
}
EXECUTED = COMMON | {"event": "mla.executed", "items": ["records"]}
REFUSED = COMMON | {
    "event": "mla.refused",
    "grounds": ["ESSENTIAL_INTERESTS"],
    "reasons": "why",
    "consultation": "held on 20 November",
}


def text(document: dict[str, object], **changes: object) -> bytes:
    """A document with some members changed; None takes a member away."""
    return json.dumps({key: value for key, value in (document | changes).items() if value != "-"}).encode()


@pytest.mark.parametrize(
    ("document", "carried"),
    [
        (REQUEST, MessageType.REQUEST),
        (ACKNOWLEDGED, MessageType.ACK),
        (EXECUTED, MessageType.RESPONSE),
        (REFUSED, MessageType.RESPONSE),
    ],
)
def test_complete_document_passes_in_its_class(document, carried):
    """Each event travels in its class of message and in no other."""
    check_carried(text(document), carried)
    for other in {MessageType.REQUEST, MessageType.ACK, MessageType.RESPONSE} - {carried}:
        with pytest.raises(UsageError, match="document-type"):
            check_carried(text(document), other)


@pytest.mark.parametrize(
    ("member", "article"),
    [
        ("requesting_authority", "46(15)(a)"),
        ("subject_matter", "46(15)(b)"),
        ("nature", "46(15)(b)"),
        ("conducting_authority", "46(15)(b)"),
        ("summary_of_facts", "46(15)(c)"),
        ("assistance_types", "46(3)"),
        ("assistance_sought", "46(15)(d)"),
        ("purpose", "46(15)(f)"),
        ("language", "46(14)"),
    ],
)
def test_missing_member_is_named_with_its_article(member, article):
    """Each content that UNCAC 46(15) asks for is required."""
    with pytest.raises(UsageError, match="document-incomplete") as caught:
        read_document(text(REQUEST, **{member: "-"}))
    assert member in caught.value.sentence
    assert article in caught.value.sentence


def test_service_of_documents_needs_no_facts():
    """46(15)(c) excepts requests for service of judicial documents."""
    read_document(text(REQUEST, assistance_types=["b"], summary_of_facts="-"))


@pytest.mark.parametrize("grounds", [["FISCAL"], ["BANK_SECRECY"], ["FISCAL", "BANK_SECRECY"]])
def test_fiscal_or_bank_secrecy_alone_is_no_ground(grounds):
    """UNCAC 46(8) and 46(22): never alone; with another ground they may stand."""
    with pytest.raises(UsageError, match=r"46\(22\)"):
        read_document(text(REFUSED, grounds=grounds))
    read_document(text(REFUSED, grounds=[*grounds, "NOT_CONFORM"]))


def test_refusal_needs_reasons():
    """UNCAC 46(23)."""
    with pytest.raises(UsageError, match=r"46\(23\)"):
        read_document(text(REFUSED, reasons="-"))


def test_acknowledgement_says_when():
    """An estimated date, or how often the authority reports."""
    with pytest.raises(UsageError, match="estimated_response_date or update_frequency_days"):
        read_document(text(ACKNOWLEDGED, estimated_response_date="-"))
    read_document(text(ACKNOWLEDGED, estimated_response_date="-", update_frequency_days=14))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "document-malformed"),
        (b'{"a":1,"a":2}', "document-malformed"),
        (b"[]", "event-unknown"),
        (b'{"event":"mla.unheard"}', "event-unknown"),
        (b'{"event":["mla.executed"]}', "event-unknown"),
        (text(REQUEST, extra=1), "document-incomplete"),
        (text(REQUEST, confidential="yes"), "document-incomplete"),
        (text(REQUEST, occurred_at="yesterday"), "document-incomplete"),
        (text(REQUEST, version=True), "document-incomplete"),
        (text(REQUEST, version=2), "document-incomplete"),
    ],
)
def test_anything_else_is_refused_with_a_code(data, code):
    """Unknown members, loose types and foreign events do not pass."""
    with pytest.raises(UsageError, match=code):
        read_document(data)


@pytest.mark.parametrize(
    ("document", "member", "value"),
    [
        (ACKNOWLEDGED, "received_on", "2026-02-31"),
        (ACKNOWLEDGED, "estimated_response_date", "2027-02-29"),
        (REQUEST, "occurred_at", "2026-11-31T09:00:00Z"),
        (REQUEST, "occurred_at", "2026-11-25T08:59:60Z"),
    ],
)
def test_a_day_is_one_of_the_calendar(document, member, value):
    """What fits the pattern and never comes is refused, by its name."""
    with pytest.raises(UsageError, match=f"{member}: not in the calendar"):
        read_document(text(document, **{member: value}))


def test_error_repeats_no_content():
    """What the members hold never stands in an error."""
    with pytest.raises(UsageError) as caught:
        read_document(text(REQUEST, nature="secret-word", persons=[{"name": 5}], language="SECRET-WORD!"))
    assert "secret" not in str(caught.value).lower()


@settings(max_examples=50)
@given(
    st.one_of(
        st.binary(max_size=200), st.dictionaries(st.text(max_size=5), st.none()).map(lambda d: json.dumps(d).encode())
    )
)
def test_any_bytes_give_a_usage_error(data):
    """No other error ever."""
    with pytest.raises(UsageError):
        read_document(data)
