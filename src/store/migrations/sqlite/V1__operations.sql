-- What a fresh store needs to open itself again: the secret that fingerprints derive from, sealed.
CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT;

-- One row a write. Times are milliseconds since 1970.
CREATE TABLE operations (
  id TEXT PRIMARY KEY,
  merchant TEXT NOT NULL,
  connection TEXT NOT NULL,
  operation TEXT NOT NULL,
  customer TEXT,
  key_hash BLOB,
  fingerprint BLOB NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('sending', 'unknown', 'done', 'failed')),
  attempt INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  sent_at INTEGER NOT NULL,
  finished_at INTEGER,
  reconcile_after INTEGER,
  worker TEXT,
  leased_at INTEGER,
  lease_until INTEGER,
  command BLOB,
  status INTEGER,
  answer BLOB
) STRICT;

CREATE UNIQUE INDEX operations_key ON operations (merchant, key_hash);
CREATE INDEX operations_merchant ON operations (merchant, id);
CREATE INDEX operations_open ON operations (merchant, fingerprint) WHERE state IN ('sending', 'unknown');
CREATE INDEX operations_finished ON operations (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX operations_answers ON operations (finished_at) WHERE answer IS NOT NULL;

CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  event TEXT NOT NULL,
  merchant TEXT NOT NULL,
  connection TEXT NOT NULL,
  operation TEXT NOT NULL,
  operation_id TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  request_hash BLOB NOT NULL,
  hash BLOB NOT NULL
) STRICT;

-- The last link of the audit chain, in one row.
CREATE TABLE chain (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  sequence INTEGER NOT NULL,
  hash BLOB NOT NULL
) STRICT;

INSERT INTO chain (one, sequence, hash) VALUES (1, 0, zeroblob(32));
