"""JSONTestSuite, run through our strict JSON: each file's outcome is pinned, each deviation has its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.envelope.strict_json import parse
from hub.errors import Refused

FRACTION = "a fraction or an exponent: readers round differently"
TWICE = "a name twice: readers choose differently"
HUGE = "an integer beyond 2^53 - 1: readers round differently"
SURROGATE = "a lone surrogate: readers replace, drop or keep it"

# Correct JSON that the profile refuses.
DEVIATIONS = {
    "y_number.json": FRACTION,
    "y_number_0e+1.json": FRACTION,
    "y_number_0e1.json": FRACTION,
    "y_number_double_close_to_zero.json": FRACTION,
    "y_number_int_with_exp.json": FRACTION,
    "y_number_real_capital_e.json": FRACTION,
    "y_number_real_capital_e_neg_exp.json": FRACTION,
    "y_number_real_capital_e_pos_exp.json": FRACTION,
    "y_number_real_exponent.json": FRACTION,
    "y_number_real_fraction_exponent.json": FRACTION,
    "y_number_real_neg_exp.json": FRACTION,
    "y_number_real_pos_exponent.json": FRACTION,
    "y_number_simple_real.json": FRACTION,
    "y_object_extreme_numbers.json": FRACTION,
    "y_structure_lonely_negative_real.json": FRACTION,
    "y_object_duplicated_key.json": TWICE,
    "y_object_duplicated_key_and_value.json": TWICE,
}

# Files without an outcome at the source: a value, or the reason of the refusal.
TRANSFORMS: dict[str, object] = {
    "number_-9223372036854775808.json": HUGE,
    "number_-9223372036854775809.json": HUGE,
    "number_1.0.json": FRACTION,
    "number_1.000000000000000005.json": FRACTION,
    "number_1000000000000000.json": [1_000_000_000_000_000],
    "number_10000000000000000999.json": HUGE,
    "number_1e-999.json": FRACTION,
    "number_1e6.json": FRACTION,
    "number_9223372036854775807.json": HUGE,
    "number_9223372036854775808.json": HUGE,
    "object_key_nfc_nfd.json": {"\u00e9": "NFC", "e\u0301": "NFD"},  # two names: bytes decide, not how they look
    "object_key_nfd_nfc.json": {"e\u0301": "NFD", "\u00e9": "NFC"},
    "object_same_key_different_values.json": TWICE,
    "object_same_key_same_value.json": TWICE,
    "object_same_key_unclear_values.json": TWICE,
    "string_1_escaped_invalid_codepoint.json": SURROGATE,
    "string_1_invalid_codepoint.json": SURROGATE,
    "string_2_escaped_invalid_codepoints.json": SURROGATE,
    "string_2_invalid_codepoints.json": SURROGATE,
    "string_3_escaped_invalid_codepoints.json": SURROGATE,
    "string_3_invalid_codepoints.json": SURROGATE,
    "string_with_escaped_NULL.json": ["A\x00B"],
}


def accepted(path: Path) -> bool:
    """Whether our parser gives a value; anything but a value or its refusal fails the test."""
    try:
        parse(path.read_bytes())
    except Refused as refusal:
        assert refusal.code == "json-malformed"  # noqa: PT017  the other branch is as good
        return False
    return True


def test_json_test_suite_parsing(vectors: Path) -> None:
    """No ``n_`` file and none of the 35 that a parser may decide is accepted; every ``y_`` file but the listed is."""
    paths = sorted((vectors / "json-test-suite" / "test_parsing").iterdir())
    taken = {path.name for path in paths if accepted(path)}
    kinds = [sum(path.name.startswith(kind) for path in paths) for kind in ("y_", "n_", "i_")]
    assert kinds == [95, 186, 35]
    assert taken == {path.name for path in paths if path.name.startswith("y_")} - set(DEVIATIONS)


def test_json_test_suite_transform(vectors: Path) -> None:
    """What parsers read differently is refused, or read as pinned here."""
    paths = {path.name: path for path in (vectors / "json-test-suite" / "test_transform").iterdir()}
    assert set(paths) == set(TRANSFORMS)
    for name, expected in TRANSFORMS.items():
        if isinstance(expected, str):
            assert not accepted(paths[name])
        else:
            value = parse(paths[name].read_bytes())
            assert expected == value


@pytest.mark.parametrize("data", [b"[" * 100_000, b'[{"":' * 50_000 + b"\n"])
def test_the_two_files_that_were_too_big(data: bytes) -> None:
    """The deep nestings that JSONTestSuite has and the vectors folder left out are refused."""
    with pytest.raises(Refused, match="json-malformed"):
        parse(data)
