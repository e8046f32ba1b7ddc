from __future__ import annotations

from dataclasses import replace

import pytest

from hub.core.authority import Freshness, HubRole, KeyUse, Status, TrustView
from hub.core.ids import AuthorityId, sha256
from hub.envelope import jws, strict_json, trust, trust_list
from hub.envelope.certificates import PathCache
from hub.envelope.encoding import b64
from hub.envelope.signers import generate_signer
from hub.envelope.trust import KeyStatement
from hub.errors import Held, Refused, UsageError, VerificationFailed

XA, XB = AuthorityId("xa-moj"), AuthorityId("xb-pgo")
DAY_MS = 24 * 3600 * 1000


def _refused(code: str):
    return pytest.raises(VerificationFailed, match=rf"\[{code}\]")


@pytest.fixture(scope="session")
def signed_list(world) -> bytes:
    """Trust list 5, signed by the first two of three."""
    return trust.sign_trust_list(world.trust, signers=world.secretariat[:2])


def test_a_trust_list_comes_back_as_it_was(world, signed_list) -> None:
    """Two of three signers are enough, and the values are equal."""
    assert trust.read_trust_list(signed_list, world.anchor) == world.trust


def test_all_members_of_an_authority_are_kept(world) -> None:
    """History, revocations, suspicion and the waiver survive the bytes."""
    authority = world.trust.authorities[XA]
    key = replace(authority.signing[0], revoked_ms=authority.signing[0].from_ms + 5, suspect_since_ms=77_000)
    changed = replace(
        authority,
        name="Ministère de la Justice",
        status=(*authority.status, (Status.REVOKED, authority.status[0][1] + 123)),
        signing=(key, *authority.signing[1:]),
        waiver_until_ms=1_800_000_000_000,
    )
    listed = replace(world.trust, authorities={**world.trust.authorities, XA: changed})
    assert trust_list.decode_trust_list(trust.encode_trust_list(listed)) == listed


@pytest.mark.parametrize(
    "choose",
    [
        lambda people: people[:1],
        lambda people: (people[0], people[0]),
        lambda people: (people[0], people[1][:1]),
        lambda people: (people[0], people[1][1:]),
        lambda people: (*people[:2], (generate_signer("Ed25519"),)),
        lambda people: (people[0], (generate_signer("Ed25519"), generate_signer("ML-DSA-65"))),
    ],
)
def test_too_few_or_foreign_signers_make_no_list(world, choose) -> None:
    """One signer, one twice, one with half of his keys, a stranger beside two: refused."""
    data = trust.sign_trust_list(world.trust, signers=choose(world.secretariat))
    with _refused("trust-list-invalid"):
        trust.read_trust_list(data, world.anchor)


def test_a_changed_list_does_not_verify(world, signed_list) -> None:
    """Another list's payload under these signatures, another type of JWS, cut bytes: nobody signed it."""
    members = strict_json.parse(signed_list)
    members["payload"] = b64(trust.encode_trust_list(replace(world.trust, shards=3)))
    other = jws.sign(
        trust.encode_trust_list(world.trust),
        typ=jws.TYP_FRESHNESS,
        signers=[key for person in world.secretariat for key in person],
        issued_s=1,
    )
    for data in (strict_json.dump(members), other, b"", signed_list[:-1]):
        with _refused("trust-list-invalid"):
            trust.read_trust_list(data, world.anchor)


def test_a_list_of_another_deployment_is_refused(world, signed_list) -> None:
    """The same secretariat may serve a test deployment: its lists are not ours."""
    with _refused("deployment-mismatch"):
        trust.read_trust_list(signed_list, replace(world.anchor, deployment=sha256(b"other")))


def _without(name: str):
    return lambda members: members.pop(name)


def _set(*path_and_value):
    *path, last, value = path_and_value

    def change(members):
        for step in path:
            members = members[step]
        members[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _without("shards"),
        _set("extra", 1),
        _set("v", "comity-tl/2"),
        _set("tl", 0),
        _set("dom", "x"),
        _set("next", "2026-01-01T00:00:00Z"),
        _set("shards", 0),
        _set("partitions", 100_000),
        _set("authorities", {}),
        lambda members: members["authorities"].reverse(),
        lambda members: members["authorities"].append(members["authorities"][-1]),
        _set("authorities", 0, "id", "XA"),
        _set("authorities", 0, "name", ""),
        _set("authorities", 0, "name", "n" * 201),
        _set("authorities", 0, "name", "line\nbreak"),
        _set("authorities", 0, "suite", "S9"),
        _set("authorities", 0, "status", []),
        _set("authorities", 0, "status", 0, "status", "trusted"),
        lambda members: members["authorities"][0]["status"].append({"status": "revoked", "from": "2001-01-01T00:00:00Z"}),
        _set("authorities", 0, "anchors", []),
        _set("authorities", 0, "anchors", [1234]),
        _set("authorities", 0, "anchors", ["A"]),
        lambda members: members["authorities"][0]["signing"].append(members["authorities"][0]["signing"][0]),
        _set("authorities", 0, "signing", 0, "until", "2001-01-01T00:00:00Z"),
        _set("authorities", 0, "signing", 0, "kid", "short"),
        _set("authorities", 0, "encryption", 0, "use", "everything"),
        lambda members: members["authorities"][0]["encryption"].append(members["authorities"][0]["encryption"][0]),
        _set("hub", "router", 0, "kid", "A" * 43),
        _set("hub", "operator", []),
    ],
)  # fmt: skip
def test_a_list_outside_of_its_grammar_is_refused(world, change) -> None:
    """Even if the whole secretariat signed it, one member changed makes it no list."""
    members = strict_json.parse(trust.encode_trust_list(world.trust))
    change(members)
    payload = strict_json.dump(members)
    with pytest.raises(Refused):
        trust_list.decode_trust_list(payload)
    everybody = [key for person in world.secretariat for key in person]
    data = jws.sign(payload, typ=jws.TYP_TRUST_LIST, signers=everybody, issued_s=1)
    with _refused("trust-list-invalid"):
        trust.read_trust_list(data, world.anchor)


def test_what_would_be_refused_is_not_written(world) -> None:
    """The secretariat cannot sign a list that nobody could read."""
    with pytest.raises(Refused, match="trust-list-malformed"):
        trust.encode_trust_list(replace(world.trust, next_update_ms=0))


@pytest.fixture
def fresh(world) -> Freshness:
    """The newest list, an hour after its issue."""
    return Freshness(world.trust.number, world.trust.issued_ms + 3600_000)


def test_a_freshness_statement_comes_back(world, fresh) -> None:
    """Signed by the role for it, with both algorithms."""
    data = trust.encode_freshness(fresh, world.trust.deployment, signers=world.hub[HubRole.FRESHNESS])
    assert trust.read_freshness(data, world.trust) == fresh


def test_nobody_else_states_freshness(world, fresh) -> None:
    """Another role, half of the keys, the other order, another deployment, no keys in the list: refused."""
    keys = world.hub[HubRole.FRESHNESS]
    for signers in (world.hub[HubRole.ROUTER], keys[:1], keys[::-1]):
        data = trust.encode_freshness(fresh, world.trust.deployment, signers=signers)
        with _refused("freshness-invalid"):
            trust.read_freshness(data, world.trust)
    with _refused("deployment-mismatch"):
        trust.read_freshness(trust.encode_freshness(fresh, sha256(b"other"), signers=keys), world.trust)
    good = trust.encode_freshness(fresh, world.trust.deployment, signers=keys)
    with _refused("freshness-invalid"):
        trust.read_freshness(good, replace(world.trust, hub_keys={}))


def test_a_freshness_statement_of_another_version_is_refused(world) -> None:
    """The version is signed and known, or nothing is read."""
    payload = strict_json.dump(
        {"v": "comity-fresh/2", "dom": world.trust.deployment, "tl": 5, "time": "2026-11-25T09:00:00Z"}
    )
    data = jws.sign(payload, typ=jws.TYP_FRESHNESS, signers=world.hub[HubRole.FRESHNESS], issued_s=1)
    with _refused("freshness-invalid"):
        trust.read_freshness(data, world.trust)


@pytest.fixture
def statement(sealing_key) -> KeyStatement:
    """The statement of xa-moj's inbox key."""
    return KeyStatement(XA, sealing_key(XA, KeyUse.INBOX), KeyUse.INBOX, 1_770_000_000_000, 1_790_000_000_000)


def _stated(world, statement, **changes) -> bytes:
    arguments = {"signers": world.states[XA].signers, "issued_ms": world.trust.issued_ms, **changes}
    return trust.encode_key_statement(statement, **arguments)


def test_a_key_statement_comes_back(world, statement) -> None:
    """Signed by the authority's certificates, of a key that the list names; with or without a cache of paths."""
    data = _stated(world, statement)
    assert trust.read_key_statement(data, world.trust) == statement
    assert trust.read_key_statement(data, world.trust, paths=PathCache()) == statement


def test_a_key_statement_by_others_or_for_others_is_refused(world, statement, sealing_key) -> None:
    """Another authority's signature, half a signature, a key of the other use, one not in the list, one too early."""
    foreign = KeyStatement(XA, sealing_key("xz-new", KeyUse.INBOX), KeyUse.INBOX, 0, 1)
    for data in (
        _stated(world, statement, signers=world.states[XB].signers),
        _stated(world, statement, signers=world.states[XA].signers[:1]),
        _stated(world, statement, issued_ms=0),
        _stated(world, replace(statement, use=KeyUse.ARCHIVE)),
        _stated(world, replace(statement, authority=AuthorityId("xz-new"))),
        _stated(world, foreign),
    ):
        with _refused("key-statement-invalid"):
            trust.read_key_statement(data, world.trust)


def test_a_key_statement_signed_after_the_revocation_is_refused(world, statement) -> None:
    """What the key signed before it was revoked stays good."""
    authority = world.trust.authorities[XA]
    revoked = tuple(replace(key, revoked_ms=world.trust.issued_ms) for key in authority.signing)
    later = replace(world.trust, authorities={XA: replace(authority, signing=revoked)})
    with _refused("key-statement-invalid"):
        trust.read_key_statement(_stated(world, statement), later)
    before = _stated(world, statement, issued_ms=world.trust.issued_ms - 1000)
    assert trust.read_key_statement(before, later) == statement


@pytest.mark.parametrize(("member", "value"), [("v", "comity-key/2"), ("use", "both"), ("key", {}), ("from", 7)])
def test_a_key_statement_outside_of_its_grammar_is_refused(world, statement, member, value) -> None:
    """Version, use, key and dates have their grammar even when the authority itself signs."""
    payload = strict_json.parse(jws.parse(_stated(world, statement), typ=jws.TYP_KEY_STATEMENT, bytes_max=9999).payload)
    payload[member] = value
    signers = world.states[XA].signers
    data = jws.sign(strict_json.dump(payload), typ=jws.TYP_KEY_STATEMENT, signers=signers, issued_s=1_780_000_000)
    with _refused("key-statement-invalid"):
        trust.read_key_statement(data, world.trust)


def test_an_anchor_is_a_file(world) -> None:
    """What one side writes the other reads."""
    assert trust.read_anchor(trust.anchor_json(world.anchor)) == world.anchor


@pytest.mark.parametrize(
    "change",
    [
        _set("v", "comity-anchor/2"),
        _set("threshold", 0),
        _set("threshold", 4),
        _set("signers", []),
        _set("signers", 0, []),
        lambda members: members["signers"].__setitem__(1, members["signers"][0]),
        _without("dom"),
    ],
)
def test_an_anchor_that_cannot_hold_is_refused(world, change) -> None:
    """No signer, a threshold that nobody or everybody meets, one key counted twice."""
    members = strict_json.parse(trust.anchor_json(world.anchor))
    change(members)
    with pytest.raises(UsageError, match="anchor-malformed"):
        trust.read_anchor(strict_json.dump(members))


def test_the_directory_folds_to_a_view(world, signed_list, fresh) -> None:
    """Lists by number, the newest freshness statement, key statements left to others."""
    keys = world.hub[HubRole.FRESHNESS]
    view = TrustView()
    with pytest.raises(Held):
        view.fresh(fresh.time_ms)
    later = replace(fresh, time_ms=fresh.time_ms + 5000)
    for key, value in (
        (b"key/anything", b"x"),
        (b"key/anything", None),
        (b"tl/5", signed_list),
        (b"tl/5", trust.sign_trust_list(world.trust, signers=world.secretariat[1:])),
        (b"fresh", trust.encode_freshness(later, world.trust.deployment, signers=keys)),
        (b"fresh", trust.encode_freshness(fresh, world.trust.deployment, signers=keys)),
    ):
        view = trust.fold_directory(view, key, value, world.anchor)
    assert view == TrustView({5: world.trust}, later)
    assert view.fresh(later.time_ms + DAY_MS) == world.trust


def test_the_directory_refuses_what_does_not_belong(world, signed_list, fresh) -> None:
    """An unknown or missing key, an empty record, a list under another number, another list of a known number."""
    known = trust.fold_directory(TrustView(), b"tl/5", signed_list, world.anchor)
    other = replace(world.trust, shards=3)
    statement = trust.encode_freshness(fresh, world.trust.deployment, signers=world.hub[HubRole.FRESHNESS])
    for view, key, value, code in (
        (known, b"tl/05", signed_list, "directory-malformed"),
        (known, b"news", b"x", "directory-malformed"),
        (known, None, b"x", "directory-malformed"),
        (known, b"tl/5", None, "directory-malformed"),
        (known, b"fresh", None, "directory-malformed"),
        (known, b"tl/6", signed_list, "directory-malformed"),
        (known, b"tl/5", b"x", "trust-list-invalid"),
        (known, b"tl/5", trust.sign_trust_list(other, signers=world.secretariat), "trust-list-forked"),
        (TrustView(), b"fresh", statement, "freshness-invalid"),
    ):
        with _refused(code):
            trust.fold_directory(view, key, value, world.anchor)
