"""Importing does nothing: no app, no socket, no thread, no environment read, no clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAM = """
import importlib, os, pkgutil, socket, sys, threading
import aiohttp.web, aiokafka, alembic, cryptography, faust, faust.transport.drivers.aiokafka, kafka, obstore, prometheus_client, pydantic_settings, rich, sqlalchemy, structlog, typer, uvloop

import pydantic.plugin._loader
pydantic.plugin._loader.get_plugins = lambda: ()  # pydantic asks the environment for plugins at every model

def trap(name):
    def trapped(*args, **kwargs):
        raise SystemExit(f"{name} at import time")
    return trapped

faust.App.__init__ = trap("faust.App")
socket.socket.connect = trap("socket.connect")
os.environ.__class__.__getitem__ = trap("environment read")
threads = threading.active_count()
names = []
for package in ("hub", "connectors", "schemas"):
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, package + "."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
            names.append(module.name)
assert threading.active_count() == threads, "a thread was started at import time"
print(len(names))
"""


def test_importing_every_module_does_nothing() -> None:
    """All modules import without an app, a connection, an environment read or a thread."""
    run = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert int(run.stdout) > 20
