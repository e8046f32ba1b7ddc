"""Check (d): the deployment, the suite, whose key, its certificate, the signatures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from hub.core.ids import sha256
from hub.core.records import Record
from hub.envelope import pki
from hub.envelope.encoding import b64, unb64
from hub.envelope.manifest import encode
from hub.envelope.signers import SoftwareSigner, generate_signer
from schemas.generator.messages import manifest, record, sign
from schemas.generator.world import (
    DAY_MS,
    EXPIRED_PATH,
    FOREIGN_PATH,
    FROM_MS,
    HYBRID,
    NOW_MS,
    OTHER_NAME,
    REVOKED,
    SUSPENDED,
    UNKNOWN,
    UNTIL_MS,
    XA,
    XB,
    XC,
    XD,
    World,
    with_certificate,
)

RecordCase = tuple[str, str, str, Record]


def signature_cases(world: World) -> Iterator[RecordCase]:
    """``(name, code, comment, record)``."""
    yield from _senders(world)
    yield from _suites(world)
    yield from _keys(world)
    yield from _certificates(world)
    yield from _signatures(world)
    ahead = record(world, manifest(world, trust_list=6))
    yield "d-held", "trust-list-behind", "List 6 is still to come: held, not refused; list 6 passes it.", ahead


def _senders(world: World) -> Iterator[RecordCase]:
    other = manifest(world, deployment=sha256(b"another deployment"))
    yield "d-deployment", "deployment-mismatch", "Replayed from another deployment.", record(world, other)
    made = manifest(world)
    renamed = replace(
        made, sender=UNKNOWN, recipient_keys=(made.recipient_keys[0], (UNKNOWN, made.recipient_keys[1][1]))
    )
    stored = record(world, renamed, signers=world.parties[XA].signers)
    yield "d-sender", "sender-unknown", "No list names xz-moj.", stored


def _suites(world: World) -> Iterator[RecordCase]:
    yield "d-suite", "suite-unknown", "Suite S9.", record(world, manifest(world, suite="S9"))
    lower = manifest(world, suite="S0", signature_algorithms=("Ed25519",))
    one = world.parties[XA].signers[:1]
    yield "d-suite-s0", "suite-not-allowed", "S0 without a waiver.", record(world, lower, signers=one)
    strong = manifest(world, XC)
    weak = manifest(world, XC, suite="S1", signature_algorithms=HYBRID)
    yield "d-suite-s1", "suite-not-allowed", "S1 where the list demands S2.", record(world, weak)
    ended = record(world, manifest(world, XD), time_ms=NOW_MS + DAY_MS + 1)
    yield "d-suite-waiver", "suite-not-allowed", "S0 a millisecond after its waiver.", ended
    higher = manifest(world, suite="S2", signature_algorithms=strong.signature_algorithms)
    yield "d-suite-s2", "suite-not-allowed", "S2 where the list demands S1.", record(world, higher)


def _keys(world: World) -> Iterator[RecordCase]:
    classical, lattice = world.parties[XA].signers
    code = "algorithms-mismatch"
    yield "d-stripped", code, "The ML-DSA signature was cut off.", record(world, signers=(classical,))
    yield "d-swapped", code, "The signatures in the other order.", record(world, signers=(lattice, classical))
    yield "d-third", code, "A signature too many.", record(world, signers=(classical, lattice, classical))
    sgs = manifest(world, signature_algorithms=("Ed25519",))
    yield "d-sgs", code, "sgs names fewer than the suite.", record(world, sgs)
    none = record(world, header=_renamed(world, "none"))
    yield "d-alg-none", code, "alg is none.", none
    new = tuple(generate_signer(algorithm) for algorithm in HYBRID)
    yield "d-key-new", "key-unknown", "Keys that no list names.", record(world, signers=new)
    others = world.parties[XB].signers
    yield "d-key-other", "key-unknown", "Keys of another authority.", record(world, signers=others)
    old = world.parties[XA].old_signers
    yield "d-key-revoked", "key-revoked", "Keys that were revoked a day before.", record(world, signers=old)
    mixed = record(world, signers=(classical, old[1]))
    yield "d-key-revoked-one", "key-revoked", "One of the two keys was revoked.", mixed
    early = record(world, time_ms=FROM_MS - 1)
    yield "d-key-early", "key-revoked", "A millisecond before the keys' time.", early
    for name, sender in (("revoked", REVOKED), ("suspended", SUSPENDED)):
        gone = record(world, manifest(world, sender))
        yield f"d-sender-{name}", "key-revoked", f"The sender was {name} a day before.", gone


def _renamed(world: World, algorithm: str) -> bytes:
    """A JWS whose first signature claims another algorithm and is empty."""
    members = json.loads(sign(world, encode(manifest(world))))
    first = members["signatures"][0]
    header = json.loads(unb64(first["protected"]))
    header["alg"] = algorithm
    first["protected"], first["signature"] = b64(json.dumps(header, separators=(",", ":")).encode()), ""
    return json.dumps(members, separators=(",", ":")).encode()


def _certificates(world: World) -> Iterator[RecordCase]:
    code = "certificate-invalid"
    for name, sender, comment in (
        ("path", FOREIGN_PATH, "The certificate leads to another State's CA."),
        ("name", OTHER_NAME, "The certificate names another authority."),
        ("dates", EXPIRED_PATH, "The certificate expired a day before."),
    ):
        yield f"d-certificate-{name}", code, comment, record(world, manifest(world, sender))
    party = world.parties[XA]
    classical, lattice = party.signers
    valid = pki.Validity(serial=8, from_ms=FROM_MS, until_ms=UNTIL_MS)
    again = pki.issue_signing_certificate(party.ca, XA, classical.public, valid)
    renamed = record(world, signers=(with_certificate(classical, again), lattice))
    yield "d-certificate-x5t", code, "x5t#S256 names a certificate that the list does not have.", renamed
    bare = SoftwareSigner(classical._private)  # noqa: SLF001  the same key without its certificate
    yield "d-certificate-none", code, "x5t#S256 is missing.", record(world, signers=(bare, lattice))


def _signatures(world: World) -> Iterator[RecordCase]:
    good = json.loads(sign(world, encode(manifest(world))))
    code = "signature-invalid"
    for number, name in enumerate(("classical", "lattice")):
        members = json.loads(json.dumps(good))
        signature = bytearray(unb64(members["signatures"][number]["signature"]))
        signature[10] ^= 1
        members["signatures"][number]["signature"] = b64(bytes(signature))
        header = json.dumps(members, separators=(",", ":")).encode()
        yield f"d-signature-{name}", code, f"One bit of the {name} signature flipped.", record(world, header=header)
    urgent = json.loads(unb64(good["payload"]))
    urgent["pri"] = "urgent"
    moved = {**good, "payload": b64(json.dumps(urgent, separators=(",", ":")).encode())}
    header = json.dumps(moved, separators=(",", ":")).encode()
    yield "d-signature-payload", code, "The payload was changed after signing.", record(world, header=header)
    short = json.loads(json.dumps(good))
    short["signatures"][0]["signature"] = ""
    header = json.dumps(short, separators=(",", ":")).encode()
    yield "d-signature-empty", code, "An empty signature.", record(world, header=header)
