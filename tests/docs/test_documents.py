"""Documents cannot rot: files, codes and numbers that they name exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

from connectors.folder.contract import read_hand_in
from hub.core import limits
from hub.core.ids import sha256
from hub.core.refusals import REASONS, RECIPIENT_REASONS
from hub.wire.schema import export

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


def test_the_folder_contracts_example_is_taken(documents):
    """The manifest.json of the document becomes a hand-in, once its placeholders are digests."""
    text = documents.text("schemas/folder.md")
    (block,) = re.findall(r"```\n(\{\"v\": \"comity-handin/1\".*?)```", text, re.DOTALL)
    document = b"{}"
    manifest = re.sub(r"<SHA-256 of [^>]+>", sha256(document), block).encode()
    assert (hand_in := read_hand_in("case-1", manifest, document)).files[0].name == "evidence.pdf"
    assert len(hand_in.clocks) == 1


def test_the_folder_contract_lists_its_codes(documents):
    """Each code that the folder connector gives a hand-in stands in the document."""
    # desk.py serves the command line, which has no folder of the contract to tell a person by.
    modules = [path for path in (documents.root / "connectors" / "folder").glob("*.py") if path.name != "desk.py"]
    source = "".join(path.read_text() for path in modules)
    codes = set(re.findall(r'(?:UsageError|Unusable)\((?:name, )?\s*"([a-z]+(?:-[a-z]+)+)"', source))
    # Of the gateway's own folders, never of a hand-in.
    codes -= {"notice-id", "too-many-repeats"}
    assert len(codes) >= 8
    text = documents.text("schemas/folder.md")
    assert sorted(code for code in codes if f"`{code}`" not in text) == []


def test_receipts_name_the_members_of_every_claim(documents):
    """The table of claims has the members of the models, kind by kind, in their order."""
    rows = dict(
        re.findall(r"^\| `([a-z-]+)` \| (`[^|]+) \| .+ \|$", documents.text("schemas/receipts.md"), re.MULTILINE)
    )
    described = {kind: re.findall(r"`([a-z_]+)`", members) for kind, members in rows.items()}
    for model in export()["claim"]["$defs"].values():
        kind = model.get("properties", {}).get("kind", {}).get("const")
        if kind is not None:
            assert described[kind] == [name for name in model["properties"] if name != "kind"], kind


def test_receipts_name_the_members_of_heads_bundles_and_receipts(documents):
    """Each member of head, bundle and single receipt is told in the document."""
    text = documents.text("schemas/receipts.md")
    for name in (
        "head",
        "bundle",
        "receipt",
        "ledger-record",
        "quarantine-record",
        "freshness",
        "key-statement",
        "anchor",
    ):
        members = list(export()[name]["properties"])
        assert [each for each in members if f"`{each}`" not in text and json.dumps(each) not in text] == [], name
