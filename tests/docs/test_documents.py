"""Documents cannot rot: files, codes and numbers that they name exist."""

from __future__ import annotations

import re
from pathlib import Path

from hub.core import limits
from hub.core.refusals import REASONS, RECIPIENT_REASONS

LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
TEST_PATH = re.compile(r"`(tests/[\w./-]*)`")
HUB_ROW = re.compile(r"^\| ([a-h]) \| `([a-z0-9-]+)` \| (yes|no) \| (.+) \|$", re.MULTILINE)
RECIPIENT_ROW = re.compile(r"^\| `([a-z-]+)` \| .+ \|$", re.MULTILINE)


def test_links_lead_somewhere(documents):
    """Each relative link of a document leads to a file or folder of the repository."""
    broken = [
        f"{name}: {target}"
        for name in documents.written()
        for target in LINK.findall(documents.text(name))
        if not (documents.root / Path(name).parent / target).exists()
    ]
    assert broken == []


def test_threats_name_tests_that_exist(documents):
    """Each test that the table of threats names is there."""
    named = TEST_PATH.findall(documents.text("docs/threats.md"))
    assert len(named) > 10
    assert [path for path in named if not (documents.root / path).exists()] == []


def test_the_changelog_has_a_place_for_what_is_next(documents):
    """The changelog has [Unreleased], before any release."""
    headings = re.findall(r"^## \[(.+?)\]", documents.text("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"


def test_the_envelope_lists_the_hubs_codes(documents):
    """Section 8.1 has each code of the hub once, at its step and with its effect on the number."""
    section = documents.text("schemas/envelope.md").split("### 8.1")[1].split("### 8.2")[0]
    rows = HUB_ROW.findall(section)
    expected = {code: (reason.step, "yes" if reason.counted else "no") for code, reason in REASONS.items()}
    assert {code: (step, counted) for step, code, counted, _ in rows} == expected
    assert len(rows) == len(expected)
    assert [step for step, *_ in rows] == sorted(step for step, *_ in rows)


def test_the_envelope_lists_the_recipients_codes(documents):
    """Section 8.2 has each code of a recipient, and no other."""
    section = documents.text("schemas/envelope.md").split("### 8.2")[1]
    assert set(RECIPIENT_ROW.findall(section)) - {"code"} == set(RECIPIENT_REASONS)


def test_the_envelope_names_the_limits(documents):
    """The limits that a connector must keep stand in the document as they are in the code."""
    text = documents.text("schemas/envelope.md")
    for sentence in (
        f"at most {limits.CLOCK_OPERATIONS_MAX} clock operations",
        f"at most {limits.RECEIPTS_PER_MANIFEST_MAX} receipt references",
        f"at most {limits.ATTACHMENTS_MAX} `",
        f"1 to {limits.RECIPIENT_KEYS_MAX}.",
        f"{limits.HINT_HEADERS_MAX} headers, {limits.HINT_HEADER_BYTES_MAX // 1024} KiB",
        f"at most {limits.BODY_BYTES_MAX // 1024} KiB",
        f"the last {limits.PAIR_WINDOW} messages",
        f"{limits.CLOCK_SKEW_MS_MAX // 60_000} minutes ahead",
        f"≤ {limits.VALIDITY_MS_MAX // 3_600_000} h",
    ):
        assert sentence in text, sentence
