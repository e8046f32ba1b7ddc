"""Why a cluster cannot be reached, in a sentence: aiokafka only says that it was unable to bootstrap."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Final

from hub.adapters.kafka.client_config import ClientConfig
from hub.errors import ComityError, NotPermitted, Unreachable, UsageError

# ApiVersions version 0, correlation id 1, no client id: any broker answers it, once it has accepted the certificate.
_QUESTION: Final = bytes.fromhex("0000000a 0012 0000 00000001 ffff".replace(" ", ""))
_WAIT_S: Final = 3.0
_PORT_MAX: Final = 65535


async def cause(config: ClientConfig) -> ComityError:
    """The error that explains why ``config`` does not connect."""
    try:
        await check(config)
    except ComityError as error:
        return error
    return Unreachable("broker-silent", f"{config.bootstrap_server} answers, but its cluster does not.")


async def check(config: ClientConfig) -> None:
    """Pass if the first server answers this principal. Raises ``Unreachable``, ``NotPermitted`` or ``UsageError``."""
    server = config.bootstrap_server.split(",")[0]
    host, _, port = server.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) <= _PORT_MAX:
        raise UsageError("bootstrap-server-malformed", f"{server!r} is not host:port.")
    context = config.ssl_context()
    try:
        async with asyncio.timeout(_WAIT_S):
            await _ask(host.strip("[]"), int(port), context)
    except (OSError, TimeoutError, EOFError) as error:
        raise _explained(error, server, config) from error


async def _ask(host: str, port: int, context: ssl.SSLContext) -> None:
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        # In TLS 1.3 the server judges the client's certificate after the client's handshake is over.
        writer.write(_QUESTION)
        await writer.drain()
        await reader.readexactly(4)
    finally:
        writer.transport.abort()  # not close: that waits for the server's farewell
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _explained(error: Exception, server: str, config: ClientConfig) -> ComityError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return UsageError(
            "broker-certificate-refused",
            f"The certificate of {server} is not for that name, or not from the CA in {config.truststore}"
            f" ({error.verify_message}).",
        )
    if isinstance(error, ssl.SSLError):
        return _explained_tls(error, server, config)
    if isinstance(error, ConnectionRefusedError):
        return Unreachable("broker-down", f"Nothing listens on {server}; is the broker started?")
    if isinstance(error, socket.gaierror):
        return Unreachable("broker-unknown", f"The name of {server} does not resolve.")
    if isinstance(error, (EOFError, ConnectionResetError)):
        return NotPermitted(
            "client-certificate-refused",
            f"{server} closed the connection: it does not accept the certificate in {config.keystore}.",
        )
    if isinstance(error, TimeoutError):
        return Unreachable("broker-silent", f"{server} does not answer within {_WAIT_S:g} seconds.")
    return Unreachable("broker-down", f"{server} cannot be reached ({type(error).__name__}).")


def _explained_tls(error: ssl.SSLError, server: str, config: ClientConfig) -> ComityError:
    reason = error.reason or "unknown"
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason:
        return UsageError("broker-speaks-no-tls", f"{server} does not speak TLS; Comity has no plain connection.")
    if "PROTOCOL_VERSION" in reason:
        return UsageError("broker-tls-too-old", f"{server} does not offer TLS 1.3.")
    if "ALERT" in reason:
        return NotPermitted(
            "client-certificate-refused",
            f"{server} does not accept the certificate in {config.keystore} ({reason.lower()}).",
        )
    return Unreachable("broker-tls-failed", f"TLS with {server} failed ({reason.lower()}).")
