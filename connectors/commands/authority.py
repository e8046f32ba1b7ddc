"""``comity authority enrol|install``: the State's side, where keys are made and stay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from connectors.commands.enrolment import install as install_admission
from connectors.commands.enrolment import prepare
from hub.adapters.clock import SystemChance, SystemClock
from hub.adapters.files.home import Home, StateFolder
from hub.adapters.files.owned import read
from hub.cli.app import Groups
from hub.cli.authority import Name, Reach, admit_request, authority_option, time_option
from hub.cli.options import DEFAULT_HOME, BootstrapServer, CommandConfig, HomeFolder, Output, OutputFormat
from hub.cli.output import emit_one, say
from hub.core.ids import AuthorityId, sha256
from hub.envelope.enrolment import encode_admission

Folder = Annotated[
    Path | None, typer.Option(help="The authority's own folder. Default: states/<authority> in the home folder.")
]


def register(app: typer.Typer, groups: Groups) -> None:  # noqa: ARG001 (every command module has this shape)
    """Add the commands."""
    group = groups["authority"]
    group.command(
        epilog="Example: comity authority enrol xa-moj --name 'Ministry of Justice of Xa'. Exit codes: 0 enrolled, or "
        "request made; 2 name taken or files; 3 broker away: run it again later, the same keys are used."
    )(enrol)
    group.command(
        epilog="Example: comity authority install xa-moj admission.json. Exit codes: 0 ok; 2 files; 5 the admission is "
        "for another authority or key."
    )(install)


def enrol(  # noqa: PLR0917 (Typer passes options by name)
    authority: Name,
    name: Annotated[str, typer.Option(help="The authority's full name, for people.")],
    suite: Annotated[str, typer.Option(help="S1 (default), S2, or S0, which needs a waiver.")] = "S1",
    folder: Folder = None,
    anchor: Annotated[
        Path | None, typer.Option(help="The deployment's anchor.json, checked by you. Default: the home folder's.")
    ] = None,
    request_only: Annotated[
        bool, typer.Option("--request-only", help="Make the keys and the request; the secretariat is elsewhere.")
    ] = False,
    waiver_until: Annotated[
        str | None, typer.Option(help="Until when suite S0 is allowed, such as 2027-06-30T00:00:00Z.")
    ] = None,
    home: HomeFolder = DEFAULT_HOME,
    bootstrap_server: BootstrapServer = None,
    command_config: CommandConfig = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Make an authority's keys in its own folder, and have the secretariat admit it.

    With the secretariat in the same home folder (a demonstration) everything is done at once: the secretariat sees the
    request only. Elsewhere the request waits for comity authority admit.
    """
    deployment = Home(home)
    place = _folder(deployment, authority_option(authority), folder)
    request = prepare(
        place,
        name=name,
        suite=suite,
        anchor_file=read(anchor or deployment.anchor),
        now_ms=SystemClock().now_ms(),
        chance=SystemChance(),
    )
    row: dict[str, Any] = {"authority": place.authority, "folder": str(place.root), "request": str(place.request)}
    row["fingerprint"] = sha256(request)
    if request_only or not deployment.secretariat.is_dir():
        say("Send the request to the secretariat, and read the fingerprint out to it over another channel.")
    else:
        reach = Reach(deployment, bootstrap_server, command_config)
        admission = admit_request(request, reach, waiver_until_ms=time_option(waiver_until, "--waiver-until"))
        row["trust_list"] = install_admission(place, encode_admission(admission))
        say(f"{place.authority} is enrolled. Next: comity connector run {place.authority}")
    emit_one(row, output)


def install(
    authority: Name,
    admission: Annotated[Path, typer.Argument(help="The secretariat's answer.")],
    folder: Folder = None,
    home: HomeFolder = DEFAULT_HOME,
) -> None:
    """Put the transport certificate of an admission beside its key."""
    place = _folder(Home(home), authority_option(authority), folder)
    number = install_admission(place, read(admission))
    say(f"{place.authority} is named by trust list {number}; its Kafka client files are in {place.client.folder}.")


def _folder(home: Home, authority: AuthorityId, folder: Path | None) -> StateFolder:
    return home.state(authority) if folder is None else StateFolder(folder, authority)
