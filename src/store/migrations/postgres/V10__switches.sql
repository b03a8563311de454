-- The switches of providers, open and ended. The columns `settings` (what the operator chose), `progress` (where the walks
-- are), `forecast`, `verified` and `blocked_by` are JSON, which the database does not read.
CREATE TABLE switches (
  id TEXT PRIMARY KEY,
  merchant TEXT NOT NULL,
  source TEXT NOT NULL,
  target TEXT NOT NULL,
  state TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  plan_hash TEXT,
  settings TEXT NOT NULL,
  progress TEXT NOT NULL,
  forecast TEXT,
  verified TEXT,
  blocked_by TEXT,
  is_stopped BIGINT NOT NULL,
  worker TEXT,
  leased_until BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  progress_at BIGINT NOT NULL
);

-- A merchant has at most one open switch.
CREATE UNIQUE INDEX switches_open ON switches (merchant)
  WHERE state IN ('planning', 'planned', 'copying', 'copied', 'switched');
CREATE INDEX switches_merchant ON switches (merchant, created_at);

-- One row a customer of a switch. `planned` is the outcome that the plan foresees, `outcome` what has become of the
-- customer. Hashes in `differences` are keyed. `candidates` are the ids at the target that the planner compared.
CREATE TABLE switch_records (
  switch_id TEXT NOT NULL,
  public_id TEXT NOT NULL,
  source_id TEXT,
  target_id TEXT,
  planned TEXT,
  outcome TEXT NOT NULL,
  code TEXT,
  level TEXT,
  field TEXT,
  detail TEXT,
  differences TEXT,
  candidates TEXT,
  decision TEXT,
  attempts BIGINT NOT NULL,
  seen_in BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (switch_id, public_id)
);

CREATE INDEX switch_records_outcome ON switch_records (switch_id, outcome, public_id);

-- What the planner saw at the target: who is there, and by which keyed hashes the customer is found. `linked` is the
-- customer of the source that this record belongs to.
CREATE TABLE switch_targets (
  switch_id TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  email_hash TEXT,
  phone_hash TEXT,
  marker TEXT,
  linked TEXT,
  PRIMARY KEY (switch_id, provider_id)
);

CREATE INDEX switch_targets_email ON switch_targets (switch_id, email_hash) WHERE email_hash IS NOT NULL;
CREATE INDEX switch_targets_phone ON switch_targets (switch_id, phone_hash) WHERE phone_hash IS NOT NULL;
CREATE INDEX switch_targets_linked ON switch_targets (switch_id, linked) WHERE linked IS NOT NULL;
CREATE INDEX switch_targets_marker ON switch_targets (switch_id, marker) WHERE marker IS NOT NULL;
