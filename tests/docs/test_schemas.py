"""The contract's machine-readable part: JSON Schemas, AsyncAPI, the generated document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from hub.core.access import topic_specs
from hub.core.ids import AuthorityId
from hub.core.topics import DIRECTORY, LEDGER, QUARANTINE, SHARDS, inbox, outbox
from hub.envelope.encoding import unb64
from schemas.export import FOLDER, documents, files, main

ROOT = Path(__file__).parents[2]
ANYBODY = AuthorityId("xa-moj")
CHANNELS = {
    "outbox": outbox(ANYBODY),
    "inbox": inbox(ANYBODY),
    "ledger": LEDGER,
    "quarantine": QUARANTINE,
    "directory": DIRECTORY,
    "shards": SHARDS,
}


@pytest.fixture(scope="module")
def asyncapi() -> dict[str, Any]:
    """The AsyncAPI document."""
    return yaml.safe_load((ROOT / "schemas" / "asyncapi.yaml").read_text())


@pytest.fixture(scope="module")
def validators() -> dict[str, jsonschema.Draft202012Validator]:
    """A validator for each committed schema."""
    return {
        path.name.removesuffix(".schema.json"): jsonschema.Draft202012Validator(json.loads(path.read_text()))
        for path in (ROOT / "schemas" / "v1").glob("*.schema.json")
    }


def test_the_lifecycles_are_those_of_the_program():
    """docs/lifecycles.md is written from the tables that the program runs on; `make schemas` writes it anew."""
    texts = documents()
    assert {path: path.read_text() for path in texts} == texts


def test_committed_schemas_are_those_of_the_models():
    """The folder has the exported schemas and no other file."""
    assert {path: path.read_text() for path in FOLDER.iterdir()} == files()


def test_main_writes_the_same_again(monkeypatch, tmp_path):
    """The export makes its folders and writes exactly what it says."""
    monkeypatch.setattr("schemas.export.FOLDER", tmp_path / "v1")
    monkeypatch.setattr("schemas.export.DOCS", tmp_path / "docs")
    main()
    written = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {**files(), **documents()}


def test_schemas_are_schemas(validators):
    """Each file is a JSON Schema of draft 2020-12 with closed objects."""
    assert len(validators) >= 10
    for validator in validators.values():
        validator.check_schema(validator.schema)
        objects = [validator.schema, *validator.schema.get("$defs", {}).values()]
        assert all(each.get("additionalProperties") is False for each in objects if each.get("type") == "object")


def references(value: Any) -> list[str]:
    """Every ``$ref`` in a document."""
    if isinstance(value, list):
        return [ref for each in value for ref in references(each)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if "$ref" in value else []
    return own + [ref for each in value.values() for ref in references(each)]


def test_references_of_asyncapi_resolve(asyncapi):
    """Every $ref leads to a part of the document or to a committed schema."""
    found = references(asyncapi)
    assert len(found) > 10
    for reference in found:
        if reference.startswith("#/"):
            part: Any = asyncapi
            for name in reference[2:].split("/"):
                part = part[name]
        else:
            assert (ROOT / "schemas" / reference).is_file(), reference


def test_channels_of_asyncapi_are_the_topics(asyncapi):
    """The document has every topic of a deployment and no other, with the settings that it names."""
    specs = {spec.name: spec for spec in topic_specs([ANYBODY], shards=2, ledger_partitions=3, replication=1)}
    channels = asyncapi["channels"]
    addresses = {name: channel["address"].replace("{authority}", ANYBODY) for name, channel in channels.items()}
    assert addresses == CHANNELS
    assert set(addresses.values()) == set(specs)
    for name, channel in channels.items():
        spec, kafka = specs[addresses[name]], channel.get("bindings", {}).get("kafka", {})
        assert kafka.get("partitions", spec.partitions) == spec.partitions
        named = kafka.get("topicConfiguration", {})
        policy = named.get("cleanup.policy", [spec.config["cleanup.policy"]])
        assert policy == [spec.config["cleanup.policy"]]
        assert str(named.get("retention.ms", -1)) == spec.config.get("retention.ms", "-1")


def payload(jws: str) -> Any:
    """The payload of a JWS text."""
    return json.loads(unb64(json.loads(jws)["payload"]))


def test_published_vectors_fit_the_schemas(validators):
    """Valid vectors fit: manifests, claims, heads, bundles, receipts, lists, statements, the anchor."""
    folder = ROOT / "schemas" / "vectors"
    world = json.loads((folder / "world.json").read_text())
    fitted = [("anchor", world["anchor"]), ("freshness", payload(world["freshness"]))]
    fitted += [("trust-list", payload(text)) for text in world["lists"].values()]
    for path in sorted(folder.glob("*/*valid*.json")):
        case = json.loads(path.read_text())
        if case["expect"] != "valid":
            continue
        if "record" in case:
            fitted.append(("manifest", payload(dict(case["record"]["headers"])["comity-jws"]["text"])))
        if case.get("kind") in {"bundle", "receipt"}:
            value = json.loads(case["data"])
            claims = value.get("claims", [value.get("claim")])
            fitted += [(case["kind"], value), ("head", payload(value["head"]))]
            fitted += [("claim", json.loads(text)) for text in claims]
        if case.get("kind") == "key-statement":
            fitted.append(("key-statement", payload(case["data"])))
    assert len(fitted) > 40
    for name, value in fitted:
        assert list(validators[name].iter_errors(value)) == [], name


def test_schemas_refuse_what_the_grammar_refuses(validators):
    """A member too many is refused by each schema, as by the program."""
    manifest = json.loads((ROOT / "schemas" / "vectors" / "envelope" / "valid-s1.json").read_text())
    value = payload(dict(manifest["record"]["headers"])["comity-jws"]["text"])
    assert list(validators["manifest"].iter_errors({**value, "note": ""})) != []
    del value["rct"]
    assert list(validators["manifest"].iter_errors(value)) != []
