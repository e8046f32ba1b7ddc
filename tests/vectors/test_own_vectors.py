"""Every published case through our own code: valid ones give their result, the others are refused with their code."""

from __future__ import annotations

import hashlib
import json

from connectors.seal.attachments import decrypt_stream
from connectors.seal.opening import open_message, proof
from hub.core.ids import sha256
from hub.core.pairs import Misplaced, Repeat, place
from hub.core.refusals import REASONS, RECIPIENT_REASONS, refuse
from hub.envelope.checking import judge, judge_copy
from hub.envelope.claims import decode_claim, encode_claim
from hub.envelope.receipts import read_bundle, read_receipt
from hub.envelope.trust import fold_directory, read_freshness, read_key_statement, read_trust_list
from hub.errors import ComityError
from hub.flow import decide

COUNTS = {"chain": (4, 14), "envelope": (10, 163), "opening": (5, 59), "receipts": (7, 47), "trust": (7, 36)}
"""Valid ones and refusals per area, so that an empty loop fails."""
BYTES_MAX = 3_000_000


def outcome(check, *arguments):
    """``valid`` and what ``check`` gave, or the code of the error that it raised and nothing."""
    try:
        return "valid", check(*arguments)
    except ComityError as error:
        return error.code, {}


def run(own, area, check):
    """The expected and the actual outcome of each case, with the results that valid ones name."""
    expected, actual = {}, {}
    for name, case in own.cases(area).items():
        expected[name] = case["expect"], case.get("result", {})
        code, result = outcome(check, own, case)
        named = expected[name][1]
        actual[name] = code, {member: result[member] for member in named if member in result}
    return expected, actual


def check_envelope(own, case):
    """A hub's checks (a) to (h)."""
    record = own.record(case["record"])
    trust = own.view.at(case["trust_list"])
    decision = decide(judge(record, trust, paths=own.paths), own.chain(case.get("chain")), trust)
    if decision.code is not None:
        raise refuse(decision.code)
    return {"jws": decision.jws, "repeat": decision.repeat is not None}


def check_opening(own, case):
    """A recipient's checks: the copy at the claim's values, the value, its attachments."""
    record, me = own.record(case["record"]), case["me"]
    claim = decode_claim(json.dumps(case["routed"]))
    manifest = judge_copy(record, claim, own.view, me=me, paths=own.paths).manifest
    opened = open_message(record.value or b"", manifest, me=me, keys=own.keys(me))
    files = []
    for content, reference in zip(opened.attachments, manifest.attachments, strict=True):
        stored = own.bytes_of(case["objects"].get(reference.uri))
        if stored is None:
            raise refuse("attachment-missing")
        plaintext = b"".join(decrypt_stream([stored], attachment=content, reference=reference, message=manifest.id))
        files.append({"name": content.name, "type": content.media_type, "sha256": sha256(plaintext)})
    return {"document": json.loads(opened.content), "prf": proof(manifest.id, opened.salt), "files": files}


def check_receipts(own, case):
    """A bundle of an inbox, or a receipt that stands alone."""
    data, trust = case["data"].encode(), own.view.at(5)
    if case["kind"] == "receipt":
        claim = read_receipt(data, trust=trust, heads=own.heads)
        return {"claim": json.loads(encode_claim(claim))}
    bundle = read_bundle(data, inbox=case["inbox"], trust=trust, heads=own.heads)
    claims = [json.loads(encode_claim(claim)) for claim in (bundle.chain, *bundle.claims)]
    return {"writer": bundle.writer, "claims": claims}


def check_trust(own, case):
    """A list, a freshness statement, a key statement, or the directory's records."""
    if case["kind"] == "directory":
        view = type(own.view)()
        for key, value in case["records"]:
            view = fold_directory(view, key.encode(), None if value is None else value.encode(), own.anchor)
        fresh_ms = None if view.freshness is None else view.freshness.time_ms
        return {"newest": view.newest.number, "fresh_ms": fresh_ms}
    data = case["data"].encode()
    if case["kind"] == "list":
        read_trust_list(data, own.anchor)
    elif case["kind"] == "freshness":
        read_freshness(data, own.view.at(5))
    else:
        read_key_statement(data, own.view.at(5), paths=own.paths)
    return {}


def check_chain(own, case):
    """The place of a message in its pair's chain."""
    message = case["message"]
    placement = place(
        own.chain(case["chain"]),
        message=message["id"],
        sequence=message["seq"],
        previous=message["prev"],
        jws=message["jws"],
    )
    if isinstance(placement, Misplaced):
        raise refuse(placement.code)
    return {"repeat": isinstance(placement, Repeat)}


def test_envelope_cases(own_vectors):
    """Each outbox record is accepted, or refused with exactly its code."""
    expected, actual = run(own_vectors, "envelope", check_envelope)
    assert expected == actual


def test_opening_cases(own_vectors):
    """Each copy is opened to its document and files, or refused with exactly its code."""
    expected, actual = run(own_vectors, "opening", check_opening)
    assert expected == actual


def test_receipt_cases(own_vectors):
    """Each bundle and each single receipt verifies to its claims, or does not."""
    expected, actual = run(own_vectors, "receipts", check_receipts)
    assert expected == actual


def test_trust_cases(own_vectors):
    """Each statement of the secretariat, the hub or an authority is believed, or refused with exactly its code."""
    expected, actual = run(own_vectors, "trust", check_trust)
    assert expected == actual


def test_chain_cases(own_vectors):
    """Each message is next, a repeat, or misplaced with exactly its code."""
    expected, actual = run(own_vectors, "chain", check_chain)
    assert expected == actual


def test_a_held_case_passes_under_the_list_that_it_waited_for(own_vectors):
    """What is held for list 6 is accepted by list 6: nothing was refused."""
    held = own_vectors.cases("envelope")["d-held"]
    assert check_envelope(own_vectors, {**held, "trust_list": 6})["repeat"] is False


def test_counts_and_share_of_refusals(own_vectors):
    """Every area has its number of cases, three refusals or more for each valid one, three quarters of all."""
    counts = {}
    for area in own_vectors.areas:
        expected = [case["expect"] for case in own_vectors.cases(area).values()]
        counts[area] = expected.count("valid"), len(expected) - expected.count("valid")
    assert counts == COUNTS
    assert all(refusals >= 3 * valid for valid, refusals in counts.values())


def test_every_reason_has_a_case(own_vectors):
    """Each code of hub and recipient is met at least once."""
    met = {case["expect"] for area in own_vectors.areas for case in own_vectors.cases(area).values()}
    assert {*REASONS, *RECIPIENT_REASONS} - met == set()


def test_cases_are_written_alike(own_vectors):
    """Each file names its area, says in a comment what is wrong, and has a name in lower case."""
    for area in own_vectors.areas:
        for name, case in own_vectors.cases(area).items():
            assert (case["area"], bool(case["comment"]), name == name.lower()) == (area, True, True), name


def test_the_folder_stays_small(own_vectors):
    """All cases together take less than 3 MB, and no two of an area are the same."""
    files = sorted(own_vectors.folder.rglob("*.json"))
    assert sum(path.stat().st_size for path in files) < BYTES_MAX
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in files]
    assert len(digests) == len(set(digests))
