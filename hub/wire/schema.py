"""JSON Schemas (2020-12) of every record and signed text, exported from the models for whoever writes no Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import TypeAdapter

from hub.wire.claims import BundleModel, ClaimModel, HeadModel, ReceiptModel
from hub.wire.ledger import LedgerModel
from hub.wire.manifest import ManifestModel
from hub.wire.quarantine import QuarantineModel
from hub.wire.shards import ShardValueModel
from hub.wire.trust import AnchorModel, FreshnessModel, KeyStatementModel, TrustListModel

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def export() -> Mapping[str, dict[str, Any]]:
    """Schema by name, as ``schemas/v1/<name>.schema.json`` holds it."""
    models: dict[str, Any] = {
        "manifest": ManifestModel,
        "claim": ClaimModel,
        "head": HeadModel,
        "bundle": BundleModel,
        "receipt": ReceiptModel,
        "trust-list": TrustListModel,
        "freshness": FreshnessModel,
        "key-statement": KeyStatementModel,
        "anchor": AnchorModel,
        "ledger-record": LedgerModel,
        "quarantine-record": QuarantineModel,
        "shard-state": ShardValueModel,
    }
    return {name: _schema(name, model) for name, model in models.items()}


def _schema(name: str, model: Any) -> dict[str, Any]:  # noqa: ANN401 (a model or a union of models)
    schema = TypeAdapter(model).json_schema(by_alias=True)
    return {"$schema": DIALECT, "$id": f"urn:comity:schema:v1:{name}", **schema}
