"""``comity authority admit|list|show|revoke|renew|publish``: the secretariat's side. It never sees a private key of a State."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from hub.adapters.clock import SystemChance, SystemClock
from hub.adapters.directory import read_directory
from hub.adapters.files.home import Home
from hub.adapters.files.keys import read_signers
from hub.adapters.files.owned import read, write_new
from hub.adapters.files.transport import TransportAuthority
from hub.adapters.kafka.administration import KafkaAdministration
from hub.adapters.kafka.broker import client_config
from hub.adapters.kafka.bus import KafkaBus
from hub.adapters.secretariat import Secretariat, admit_authority, publish_all, renew_list
from hub.adapters.secretariat import revoke as revoke_in_list
from hub.cli.app import Groups
from hub.cli.options import DEFAULT_HOME, BootstrapServer, CommandConfig, HomeFolder, Output, OutputFormat
from hub.cli.output import emit, emit_one, say
from hub.core.access import ADMIN, DIRECTORY_PUBLISHER
from hub.core.authority import Authority, HubRole, KeyUse, TrustList
from hub.core.ids import AuthorityId, KeyId, authority_id, key_id, sha256
from hub.core.times import format_time, parse_time
from hub.envelope.enrolment import Admission, encode_admission
from hub.envelope.trust import read_anchor
from hub.errors import Refused, UsageError, VerificationFailed
from hub.ports import Bus

LIST_COLUMNS: Final = ("authority", "name", "status", "since", "suite", "signing_keys", "encryption_keys")
KEY_COLUMNS: Final = ("use", "algorithm", "key", "valid_from", "valid_until", "revoked", "suspect_since")

T = TypeVar("T")
Name = Annotated[str, typer.Argument(metavar="AUTHORITY", help="Such as xa-moj.")]


@dataclass(frozen=True, slots=True)
class Reach:
    """The options that say where everything is."""

    home: Home
    bootstrap_server: str | None
    command_config: Path | None

    def administration(self) -> KafkaAdministration:
        """The cluster, as whoever may administer it. Raises ``UsageError``."""
        return KafkaAdministration(
            client_config(self.home, self.bootstrap_server, self.command_config, principal=ADMIN)
        )

    def with_bus(self, act: Callable[[Bus], Awaitable[T]]) -> T:
        """Run ``act`` on the cluster as the publisher of ``hub.directory``. Raises as ``act`` does, and ``UsageError``."""
        config = client_config(self.home, self.bootstrap_server, self.command_config, principal=DIRECTORY_PUBLISHER)

        async def run() -> T:
            bus = KafkaBus(config, client_id="comity-authority")
            try:
                return await act(bus)
            finally:
                await bus.close()

        return asyncio.run(run())


def admit_request(request: bytes, reach: Reach, *, waiver_until_ms: int | None = None) -> Admission:
    """Admit a request as ``comity authority admit`` does: for that command and for an enrolment in one house."""
    return reach.with_bus(
        lambda bus: admit_authority(
            request,
            secretariat=Secretariat.open(reach.home),
            transport=TransportAuthority.load(reach.home.transport_ca),
            freshness=read_signers(reach.home.role_keys(HubRole.FRESHNESS)),
            bus=bus,
            administration=reach.administration(),
            now_ms=SystemClock().now_ms(),
            chance=SystemChance(),
            waiver_until_ms=waiver_until_ms,
        )
    )


def time_option(text: str | None, option: str) -> int | None:
    """An RFC 3339 time given as an option. Raises ``UsageError``."""
    try:
        return None if text is None else parse_time(text)
    except Refused as error:
        raise UsageError("time-malformed", f"{option}: {error.sentence}") from error


def authority_option(text: str) -> AuthorityId:
    """An authority's id given as an argument. Raises ``UsageError``."""
    try:
        return authority_id(text)
    except Refused as error:
        raise UsageError("authority-malformed", f"{text!r} is not an authority id such as xa-moj.") from error


def _key_option(text: str) -> KeyId:
    try:
        return key_id(text)
    except Refused as error:
        raise UsageError("key-malformed", "--key is not a key id; see comity authority show.") from error


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the commands."""
    group = groups["authority"]
    group.command(
        name="list", epilog="Example: comity authority list -o json. Exit codes: 0 ok; 5 a list does not verify."
    )(list_authorities)
    group.command(epilog="Example: comity authority show xa-moj. Exit codes: 0 ok; 2 unknown authority.")(show)
    group.command(
        epilog="Example: comity authority admit request.jws --fingerprint pYb3... --out admission.json. Exit codes: 0 "
        "admitted; 2 name taken or files; 3 broker away; 5 the request does not verify, or has another fingerprint."
    )(admit)
    group.command(
        epilog="Example: comity authority revoke xc-acc --yes. Exit codes: 0 revoked; 2 unknown; 3 broker away, nothing "
        "was changed."
    )(revoke)
    group.command(epilog="Example: comity authority renew. Exit codes: 0 ok; 2 too few signers; 3 broker away.")(renew)
    group.command(epilog="Example: comity authority publish. Exit codes: 0 ok; 3 broker away; 5 two histories.")(
        publish
    )


def list_authorities(
    home: HomeFolder = DEFAULT_HOME,
    bootstrap_server: BootstrapServer = None,
    command_config: CommandConfig = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """All authorities of the newest trust list: the secretariat's, or with --bootstrap-server the published one."""
    trust = _newest(Reach(Home(home), bootstrap_server, command_config))
    now_ms = SystemClock().now_ms()
    emit([_list_row(member, now_ms) for member in trust.authorities.values()], LIST_COLUMNS, output)
    say(f"Trust list {trust.number}, next update {format_time(trust.next_update_ms)}.")


def show(
    authority: Name,
    home: HomeFolder = DEFAULT_HOME,
    bootstrap_server: BootstrapServer = None,
    command_config: CommandConfig = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """One authority: status, suite, every key with its dates."""
    trust = _newest(Reach(Home(home), bootstrap_server, command_config))
    name = authority_option(authority)
    if name not in trust.authorities:
        raise UsageError("authority-unknown", f"The trust list does not name {name}; see comity authority list.")
    member = trust.authorities[name]
    row = _list_row(member, SystemClock().now_ms())
    if output in {OutputFormat.JSON, OutputFormat.JSONL}:
        history = [{"status": status.value, "from": format_time(from_ms)} for status, from_ms in member.status]
        emit_one({**row, "trust_list": trust.number, "history": history, "keys": _key_rows(member)}, output)
        return
    say(f"{row['authority']}, {row['name']}: {row['status']} since {row['since']}, suite {row['suite']}.")
    emit(_key_rows(member), KEY_COLUMNS, output)


def admit(  # noqa: PLR0917 (Typer passes options by name)
    request: Annotated[Path, typer.Argument(help="The authority's enrolment-request.jws.")],
    fingerprint: Annotated[
        str, typer.Option(help="SHA-256 of the request as the authority read it out, over another channel.")
    ],
    out: Annotated[Path, typer.Option(help="Where to write the admission, for comity authority install.")],
    waiver_until: Annotated[
        str | None, typer.Option(help="Until when suite S0 is allowed, such as 2027-06-30T00:00:00Z.")
    ] = None,
    home: HomeFolder = DEFAULT_HOME,
    bootstrap_server: BootstrapServer = None,
    command_config: CommandConfig = None,
) -> None:
    """Admit an authority: check its request, sign and publish the next trust list, make its topics and permissions."""
    data = read(request)
    if sha256(data) != fingerprint:
        raise VerificationFailed("fingerprint-mismatch", f"{request} is not the request with this fingerprint.")
    reach = Reach(Home(home), bootstrap_server, command_config)
    admission = admit_request(data, reach, waiver_until_ms=time_option(waiver_until, "--waiver-until"))
    write_new(out, encode_admission(admission))
    say(f"Admitted {admission.authority} by trust list {admission.trust_list}. Send it {out}.")


def revoke(  # noqa: PLR0917 (Typer passes options by name)
    authority: Name,
    key: Annotated[str | None, typer.Option(help="Revoke this key only; without it, the whole authority.")] = None,
    suspect_since: Annotated[
        str | None, typer.Option(help="Mark what was signed from this time on as doubtful (RFC 3339).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: a revocation is for ever.")] = False,
    home: HomeFolder = DEFAULT_HOME,
    bootstrap_server: BootstrapServer = None,
    command_config: CommandConfig = None,
) -> None:
    """Revoke an authority or one of its keys, from now on: the broker denies it first, then the new list says so."""
    name = authority_option(authority)
    suspect_since_ms = time_option(suspect_since, "--suspect-since")
    kid = None if key is None else _key_option(key)
    if not yes and not (
        sys.stdin.isatty() and typer.confirm(f"Revoke {kid or 'all keys'} of {name} for ever?", err=True)
    ):
        raise UsageError("not-confirmed", "A revocation is for ever: nothing was changed. Confirm it with --yes.")
    reach = Reach(Home(home), bootstrap_server, command_config)
    trust = reach.with_bus(
        lambda bus: revoke_in_list(
            name,
            key=kid,
            suspect_since_ms=suspect_since_ms,
            secretariat=Secretariat.open(reach.home),
            freshness=read_signers(reach.home.role_keys(HubRole.FRESHNESS)),
            bus=bus,
            administration=reach.administration(),
            now_ms=SystemClock().now_ms(),
        )
    )
    say(f"Revoked by trust list {trust.number}, published.")


def renew(
    home: HomeFolder = DEFAULT_HOME, bootstrap_server: BootstrapServer = None, command_config: CommandConfig = None
) -> None:
    """Sign the trust list again with a later nextUpdate, and publish it."""
    reach = Reach(Home(home), bootstrap_server, command_config)
    freshness = read_signers(reach.home.role_keys(HubRole.FRESHNESS))
    secretariat = Secretariat.open(reach.home)
    now_ms = SystemClock().now_ms()
    trust = reach.with_bus(lambda bus: renew_list(secretariat=secretariat, freshness=freshness, bus=bus, now_ms=now_ms))
    say(f"Trust list {trust.number} is published; its next update is due by {format_time(trust.next_update_ms)}.")


def publish(
    home: HomeFolder = DEFAULT_HOME, bootstrap_server: BootstrapServer = None, command_config: CommandConfig = None
) -> None:
    """Publish what hub.directory has not: lists, key statements, and that the newest list is fresh."""
    reach = Reach(Home(home), bootstrap_server, command_config)
    freshness = read_signers(reach.home.role_keys(HubRole.FRESHNESS))
    secretariat = Secretariat.open(reach.home)
    now_ms = SystemClock().now_ms()
    count = reach.with_bus(lambda bus: publish_all(bus, secretariat, freshness, now_ms=now_ms))
    say(f"{count} records were published on hub.directory.")


def _newest(reach: Reach) -> TrustList:
    if reach.home.secretariat.is_dir() and reach.bootstrap_server is None:
        return Secretariat.open(reach.home).newest()
    anchor = read_anchor(read(reach.home.anchor))

    async def published(bus: Bus) -> TrustList:
        return (await read_directory(bus, anchor)).view.newest

    return reach.with_bus(published)


def _list_row(member: Authority, now_ms: int) -> Mapping[str, Any]:
    return {
        "authority": member.id,
        "name": member.name,
        "status": member.status_at(now_ms).value,
        "since": format_time(member.status[-1][1]),
        "suite": member.suite,
        "signing_keys": sum(key.in_force(now_ms) for key in member.signing),
        "encryption_keys": sum(len(member.keys_in_force(use, now_ms)) for use in KeyUse),
    }


def _key_rows(member: Authority) -> list[Mapping[str, Any]]:
    signing = [
        {
            "use": "signing",
            "algorithm": key.algorithm,
            "key": key.id,
            "valid_from": format_time(key.from_ms),
            "valid_until": format_time(key.until_ms),
            "revoked": None if key.revoked_ms is None else format_time(key.revoked_ms),
            "suspect_since": None if key.suspect_since_ms is None else format_time(key.suspect_since_ms),
        }
        for key in member.signing
    ]
    encryption = [
        {
            "use": key.use.value,
            "algorithm": key.algorithm,
            "key": key.id,
            "valid_from": format_time(key.from_ms),
            "valid_until": format_time(key.until_ms),
        }
        for key in member.encryption
    ]
    return [*signing, *encryption]
