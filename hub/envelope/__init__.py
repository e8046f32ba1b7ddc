"""How it is signed and checked: suites, manifest, JOSE codec, trust list. `cryptography` only."""
