"""The one table of bad inputs, and the document that shows it."""

from __future__ import annotations

from tests.bad_inputs.batch_cases import batch_cases, writer_cases
from tests.bad_inputs.cases import Case
from tests.bad_inputs.envelope_cases import envelope_cases
from tests.bad_inputs.json_cases import json_cases
from tests.bad_inputs.message_cases import message_cases
from tests.bad_inputs.record_cases import record_cases


def router_cases() -> list[Case]:
    """Every case that one record in an outbox can show."""
    return [*json_cases(), *envelope_cases(), *message_cases(), *record_cases()]


def kafka_cases() -> list[Case]:
    """Every case that needs a real Kafka. The one that stops its outbox is the last."""
    return [*writer_cases(), *batch_cases()]
