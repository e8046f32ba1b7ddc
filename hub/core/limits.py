"""Every bound, with its unit and its reason. Nothing in Comity grows without one of these."""

from __future__ import annotations

from typing import Final

# --- one record (schemas/envelope.md section 2) -------------------------------------------------
MANIFEST_JWS_BYTES_MAX: Final = 16 * 1024  # a hybrid-signed manifest takes 5.6 KB; 32 receipts 13 KB
VALUE_BYTES_MAX: Final = 1024 * 1024  # larger content travels as an attachment
BODY_BYTES_MAX: Final = 64 * 1024  # plaintext in the record; above it base64 costs more than the cipher
RECIPIENT_KEYS_MAX: Final = 16  # the recipient's and the sender's archive, with room for rotation
CLOCK_OPERATIONS_MAX: Final = 8  # per message: a request starts two clocks, an answer stops a few
RECEIPTS_PER_MANIFEST_MAX: Final = 32  # with threads 64 come to 20 KB in S1; 32 are 12.8 KB, in S2 14.6 KB
ATTACHMENTS_MAX: Final = 16  # entries per manifest: 16 of them stay below MANIFEST_JWS_BYTES_MAX
ATTACHMENT_BYTES_MAX: Final = 1024 * 1024 * 1024  # 1 GiB, the promise of the README
HINT_HEADERS_MAX: Final = 16  # faults-and-threats: more is an attack, not a hint
HINT_HEADER_BYTES_MAX: Final = 4 * 1024
RECORD_KEY_BYTES_MAX: Final = 64  # a thread is 32 characters, a message id 36

# --- time ---------------------------------------------------------------------------------------
VALIDITY_MS_MAX: Final = 72 * 3600 * 1000  # exp - iat: a weekend and a public holiday
CLOCK_SKEW_MS_MAX: Final = 5 * 60 * 1000  # what Kerberos allows
TRUST_FRESH_MS_MAX: Final = 24 * 3600 * 1000  # a freshness statement older than this is stale
DUE_AHEAD_MS_MAX: Final = 20 * 366 * 24 * 3600 * 1000  # 20 years: longer than any treaty's limit

# --- JSON, before anything is believed ----------------------------------------------------------
JSON_DEPTH_MAX: Final = 16  # json.loads recurses; a manifest needs 4 levels
JSON_INTEGER_MAX: Final = 2**53 - 1  # what every language reads exactly (RFC 8259 section 6)

# --- the router ---------------------------------------------------------------------------------
BATCH_MESSAGES_MAX: Final = 500  # a transaction costs about 30 ms whatever its size
BATCH_BYTES_MAX: Final = 8 * 1024 * 1024  # what one transaction may copy
TOUCHED_PARTITIONS_MAX: Final = 100  # per transaction: 10 take 6-11 ms, 300 take 61-81 ms
PAIR_WINDOW: Final = 64  # the last messages of a pair that a repeat is recognised in
LEDGER_RECORD_BYTES_MAX: Final = 900 * 1024  # below Kafka's default of 1 MiB for a record

# --- the watch ----------------------------------------------------------------------------------
OPEN_CLOCKS_PER_PAIR_MAX: Final = 10_000  # a hostile pair must not fill the table
WATCH_BATCH_FLAGS_MAX: Final = 1000  # flags signed under one head: some 450 KB, were they all of one inbox

# --- folders of national systems ----------------------------------------------------------------
FILE_NAME_BYTES_MAX: Final = 255  # what every file system keeps
FILES_PER_MESSAGE_MAX: Final = ATTACHMENTS_MAX
FOLDER_MANIFEST_BYTES_MAX: Final = 256 * 1024
