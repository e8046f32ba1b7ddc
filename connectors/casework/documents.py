"""The legal plane's documents: what a request, an acknowledgement and an answer must say (UNCAC article 46).

A document is one JSON object, the plaintext of a sealed message. Reading is strict: an unknown member, a missing one or
one of another type is refused, and the sentence names members and articles, never what they hold.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from hub.core.manifest import MessageType
from hub.core.times import TIME_PATTERN, parse_time
from hub.envelope import strict_json
from hub.errors import Refused, UsageError

TEXT_CHARACTERS_MAX: Final = 16_384  # a summary of facts; the evidence itself is attached
LABEL_CHARACTERS_MAX: Final = 512
LIST_ITEMS_MAX: Final = 100
_NAMED_PROBLEMS_MAX: Final = 12  # in one sentence


def _in_calendar(read: Callable[[str], object]) -> Callable[[str], str]:
    """A check that ``read`` finds the day or moment in the calendar: the 31st of February fits the pattern."""

    def check(text: str) -> str:
        try:
            read(text)
        except (ValueError, Refused):
            raise ValueError("not in the calendar") from None
        return text

    return check


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=TEXT_CHARACTERS_MAX)]
Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LABEL_CHARACTERS_MAX)]
Moment = Annotated[str, StringConstraints(pattern=TIME_PATTERN), AfterValidator(_in_calendar(parse_time))]
Day = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"),
    AfterValidator(_in_calendar(date.fromisoformat)),
]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]  # BCP 47


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Office(_Strict):
    """An authority or unit, and how to reach it."""

    name: Label
    contact: Label | None = None


class ConductingAuthority(_Strict):
    """The authority that conducts the investigation, prosecution or proceeding (46(15)(b))."""

    name: Label
    functions: Label


class Person(_Strict):
    """A person concerned (46(15)(e)); what is not known is null."""

    name: Label | None
    identity: Label | None = None
    location: Label | None = None
    nationality: Label | None = None


class Deadline(_Strict):
    """A deadline that the requesting State suggests, with its reason (46(24))."""

    date: Day
    reason: Label


class MatterNature(StrEnum):
    """What the request relates to (46(15)(b))."""

    INVESTIGATION = "investigation"
    PROSECUTION = "prosecution"
    JUDICIAL_PROCEEDING = "judicial_proceeding"


class AssistanceType(StrEnum):
    """The letters of article 46(3)."""

    EVIDENCE_FROM_PERSONS = "a"
    SERVICE_OF_DOCUMENTS = "b"
    SEARCH_SEIZURE_FREEZING = "c"
    EXAMINATION = "d"
    INFORMATION_EXPERTISE = "e"
    RECORDS = "f"
    TRACING = "g"
    VOLUNTARY_APPEARANCE = "h"
    OTHER = "i"
    PROCEEDS = "j"
    ASSET_RECOVERY = "k"


class RefusalGround(StrEnum):
    """Why assistance may be refused; two are never enough alone (46(8), 46(22))."""

    NOT_CONFORM = "NOT_CONFORM"  # 46(21)(a)
    ESSENTIAL_INTERESTS = "ESSENTIAL_INTERESTS"  # 46(21)(b)
    DOMESTIC_PROHIBITION = "DOMESTIC_PROHIBITION"  # 46(21)(c)
    CONTRARY_MLA_LAW = "CONTRARY_MLA_LAW"  # 46(21)(d)
    NO_DUAL_CRIMINALITY = "NO_DUAL_CRIMINALITY"  # 46(9)(b)
    DE_MINIMIS = "DE_MINIMIS"  # 46(9)(b), 55(7)
    INSUFFICIENT_EVIDENCE = "INSUFFICIENT_EVIDENCE"  # 55(7)
    TREATY_GROUND = "TREATY_GROUND"
    FISCAL = "FISCAL"  # 46(22): never alone
    BANK_SECRECY = "BANK_SECRECY"  # 46(8): never alone


NEVER_ALONE: Final = frozenset({RefusalGround.FISCAL, RefusalGround.BANK_SECRECY})


class _Event(_Strict):
    version: int = Field(ge=1, le=1)  # a literal 1 would take true for it
    legal_basis: Label
    occurred_at: Moment


class Request(_Event):
    """``mla.request.submitted``: a request for mutual legal assistance with the contents of 46(15)."""

    event: Literal["mla.request.submitted"]
    requesting_authority: Office  # 46(15)(a)
    subject_matter: Text  # 46(15)(b)
    nature: MatterNature  # 46(15)(b)
    conducting_authority: ConductingAuthority  # 46(15)(b)
    summary_of_facts: Text | None = None  # 46(15)(c): not for service of documents
    assistance_types: tuple[AssistanceType, ...] = Field(min_length=1, max_length=LIST_ITEMS_MAX)  # 46(3)
    assistance_sought: Text  # 46(15)(d)
    special_procedure: Text | None = None  # 46(15)(d)
    persons: tuple[Person, ...] = Field(default=(), max_length=LIST_ITEMS_MAX)  # 46(15)(e)
    purpose: Text  # 46(15)(f)
    offences: tuple[Label, ...] = Field(default=(), max_length=LIST_ITEMS_MAX)
    language: Language  # 46(14)
    urgency_reason: Label | None = None
    suggested_deadline: Deadline | None = None  # 46(24)
    confidential: bool = True  # 46(20)
    reference: Label  # the requesting State's file number

    @model_validator(mode="after")
    def _facts_are_there(self) -> Self:
        service_only = set(self.assistance_types) == {AssistanceType.SERVICE_OF_DOCUMENTS}
        if self.summary_of_facts is None and not service_only:
            raise ValueError("summary_of_facts is missing (UNCAC 46(15)(c))")
        return self


class Acknowledgement(_Event):
    """``mla.acknowledged``: the authority has the request, and says when it expects to answer or how often it reports."""

    event: Literal["mla.acknowledged"]
    reference: Label  # the requested State's file number
    handling_unit: Office
    received_on: Day
    complete: bool
    estimated_response_date: Day | None = None
    update_frequency_days: int | None = Field(default=None, ge=1, le=366)
    language_accepted: bool = True

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if self.estimated_response_date is None and self.update_frequency_days is None:
            raise ValueError("estimated_response_date or update_frequency_days is missing")
        return self


class Executed(_Event):
    """``mla.executed``: results, with the restrictions on their use (46(17), 46(19))."""

    event: Literal["mla.executed"]
    reference: Label
    items: tuple[Text, ...] = Field(min_length=1, max_length=LIST_ITEMS_MAX)
    execution_record: Text | None = None
    use_restrictions: Text | None = None
    return_of_originals: bool = False


class Refusal(_Event):
    """``mla.refused``: grounds and reasons (46(21) to 46(23)), after a consultation or with the reason for none (46(26))."""

    event: Literal["mla.refused"]
    reference: Label
    grounds: tuple[RefusalGround, ...] = Field(min_length=1, max_length=LIST_ITEMS_MAX)
    reasons: Text  # 46(23)
    consultation: Label

    @model_validator(mode="after")
    def _ground_is_enough(self) -> Self:
        if set(self.grounds) <= NEVER_ALONE:
            raise ValueError("grounds: fiscal matters or bank secrecy alone are no ground (UNCAC 46(8), 46(22))")
        return self


Document = Annotated[Request | Acknowledgement | Executed | Refusal, Field(discriminator="event")]

# Made once: it takes 0.5 ms, ten times what a document takes.
_DOCUMENTS: Final[TypeAdapter[Request | Acknowledgement | Executed | Refusal]] = TypeAdapter(Document)

TYPES: Final[dict[str, MessageType]] = {
    "mla.request.submitted": MessageType.REQUEST,
    "mla.acknowledged": MessageType.ACK,
    "mla.executed": MessageType.RESPONSE,
    "mla.refused": MessageType.RESPONSE,
}
"""The class of message that carries an event; the hub sees the class only."""

ARTICLES: Final[dict[str, str]] = {
    "requesting_authority": "UNCAC 46(15)(a)",
    "subject_matter": "UNCAC 46(15)(b)",
    "nature": "UNCAC 46(15)(b)",
    "conducting_authority": "UNCAC 46(15)(b)",
    "summary_of_facts": "UNCAC 46(15)(c)",
    "assistance_types": "UNCAC 46(3)",
    "assistance_sought": "UNCAC 46(15)(d)",
    "persons": "UNCAC 46(15)(e)",
    "purpose": "UNCAC 46(15)(f)",
    "language": "UNCAC 46(14)",
    "suggested_deadline": "UNCAC 46(24)",
    "reasons": "UNCAC 46(23)",
    "consultation": "UNCAC 46(26)",
}


def read_document(data: bytes) -> Request | Acknowledgement | Executed | Refusal:
    """The document that ``data`` (strict JSON) holds, complete.

    Raises ``UsageError``: ``document-malformed`` when it is no JSON object, ``event-unknown``,
    ``document-incomplete`` with every member that is missing or wrong, and its article.
    """
    try:
        members = strict_json.parse(data)
    except Refused as error:
        raise UsageError("document-malformed", f"The document is not usable. {error.sentence}") from error
    event = members.get("event") if isinstance(members, dict) else None
    if not isinstance(event, str) or event not in TYPES:
        known = ", ".join(TYPES)
        raise UsageError("event-unknown", f"The document's member event must be one of: {known}.")
    try:
        return _DOCUMENTS.validate_json(data)  # its strict mode takes enumerations and lists as JSON spells them
    except ValidationError as error:
        raise UsageError("document-incomplete", _sentence(error)) from None  # its text quotes the content


def check_carried(data: bytes, message_type: MessageType) -> None:
    """Raise unless ``data`` is a complete document for this class of message.

    Raises ``UsageError`` as ``read_document``, and ``document-type`` for an event of another class.
    """
    document = read_document(data)
    if TYPES[document.event] is not message_type:
        needed = " or ".join(event for event, carried in TYPES.items() if carried is message_type)
        raise UsageError("document-type", f"A {message_type.value} carries {needed or 'no document'}.")


def _sentence(error: ValidationError) -> str:
    told: list[str] = []
    for each in error.errors(include_url=False, include_input=False):
        path = ".".join(str(part) for part in each["loc"][1:])
        # Only a rule of ours is quoted; pydantic's own sentences could repeat the content.
        own = each["type"] == "value_error"
        word = str(each["ctx"]["error"]) if own and "ctx" in each else _word(each["type"])
        what = word if own and not path else f"{path or 'document'}: {word}"
        article = ARTICLES.get(path.split(".")[0])
        told.append(f"{what} ({article})" if article else what)
    rest = len(told) - _NAMED_PROBLEMS_MAX
    shown = "; ".join(told[:_NAMED_PROBLEMS_MAX]) + (f"; and {rest} more" if rest > 0 else "")
    return f"The document is not complete: {shown}."


def _word(kind: str) -> str:
    return {"missing": "missing", "extra_forbidden": "not known here"}.get(kind, "wrong type or value")
