-- What a fresh store needs to open itself again: the secret that fingerprints derive from, sealed.
CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value BYTEA NOT NULL
);

-- One row a write. Times are milliseconds since 1970.
CREATE TABLE operations (
  id TEXT COLLATE "C" PRIMARY KEY,
  merchant TEXT NOT NULL,
  connection TEXT NOT NULL,
  operation TEXT NOT NULL,
  customer TEXT,
  key_hash BYTEA,
  fingerprint BYTEA NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('sending', 'unknown', 'done', 'failed')),
  attempt BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  sent_at BIGINT NOT NULL,
  finished_at BIGINT,
  reconcile_after BIGINT,
  worker TEXT,
  leased_at BIGINT,
  lease_until BIGINT,
  command BYTEA,
  status BIGINT,
  answer BYTEA
);

CREATE UNIQUE INDEX operations_key ON operations (merchant, key_hash);
CREATE INDEX operations_merchant ON operations (merchant, id);
CREATE INDEX operations_open ON operations (merchant, fingerprint) WHERE state IN ('sending', 'unknown');
CREATE INDEX operations_finished ON operations (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX operations_answers ON operations (finished_at) WHERE answer IS NOT NULL;

CREATE TABLE audit (
  sequence BIGINT PRIMARY KEY,
  at BIGINT NOT NULL,
  event TEXT NOT NULL,
  merchant TEXT NOT NULL,
  connection TEXT NOT NULL,
  operation TEXT NOT NULL,
  operation_id TEXT NOT NULL,
  attempt BIGINT NOT NULL,
  request_hash BYTEA NOT NULL,
  hash BYTEA NOT NULL
);

-- The last link of the audit chain, in one row. Whoever writes locks it first, so that there is one writer at a time
-- over all replicas, and neither gaps nor forks in the chain.
CREATE TABLE chain (
  one BIGINT PRIMARY KEY CHECK (one = 1),
  sequence BIGINT NOT NULL,
  hash BYTEA NOT NULL
);

INSERT INTO chain (one, sequence, hash) VALUES (1, 0, decode(repeat('00', 32), 'hex'));
