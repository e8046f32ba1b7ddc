"""The health server of a process: ``/healthz`` (it runs), ``/readyz`` (it does its work, or why not), ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from hub.errors import UsageError

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus text format


class HealthServer:
    """Answers three GETs and nothing else. No names, threads or ids of cases pass here."""

    def __init__(self, *, not_ready: Callable[[], str | None], metrics: Callable[[], bytes]) -> None:
        self._not_ready = not_ready
        self._metrics = metrics
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._served_metrics),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)

    async def start(self, host: str, port: int) -> int:
        """Listen on ``host``; port 0 takes any free one. Returns the port. Raises ``UsageError(port-taken)``."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(
                "port-taken", f"The health server cannot listen on {host}:{port}; set another health_port, or 0."
            ) from error
        _, found, *_ = self._runner.addresses[0]
        return int(found)

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _request: web.Request) -> web.Response:
        reason = self._not_ready()
        return web.Response(text="ok\n" if reason is None else f"{reason}\n", status=200 if reason is None else 503)

    async def _served_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics(), headers={"Content-Type": METRICS_TYPE})
