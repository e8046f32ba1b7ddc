"""The contract, for any language: specifications, JSON Schemas, AsyncAPI, test vectors."""
