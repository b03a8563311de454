-- The open switch of a merchant, and the connection at its other side. Both are NULL while none is open.
ALTER TABLE routing ADD COLUMN switch_id TEXT;
ALTER TABLE routing ADD COLUMN other TEXT;

-- `version` counts the claims and ends of writes, `copied_version` is the one that the other side reflects, `written_at`
-- is the end of the last write. `deletion` is NULL, 'claimed' or 'confirmed'. The hashes are those of the contacts for
-- the merchant, whichever connection has the customer.
ALTER TABLE customers ADD COLUMN version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE customers ADD COLUMN copied_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE customers ADD COLUMN written_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE customers ADD COLUMN deletion TEXT;
ALTER TABLE customers ADD COLUMN gone_at BIGINT;
ALTER TABLE customers ADD COLUMN email_hash BYTEA;
ALTER TABLE customers ADD COLUMN phone_hash BYTEA;

CREATE INDEX customers_email ON customers (merchant, email_hash) WHERE email_hash IS NOT NULL;
CREATE INDEX customers_phone ON customers (merchant, phone_hash) WHERE phone_hash IS NOT NULL;
CREATE INDEX customers_pinned ON customers (merchant, pinned, public_id) WHERE pinned IS NOT NULL;
-- It has every column of its query. Otherwise SQLite would rather read all customers by the primary key.
CREATE INDEX customers_marked ON customers (merchant, public_id, version, copied_version, deletion)
  WHERE version > copied_version;

-- How the customer came to be at the connection: 'first' (known there before any copy), 'created' or 'linked'. `seen` is
-- what a copy last wrote or read there, as keyed hashes.
ALTER TABLE customer_ids ADD COLUMN origin TEXT NOT NULL DEFAULT 'first';
ALTER TABLE customer_ids ADD COLUMN seen BYTEA;

-- Of a write of the copier: the public id of the customer that it copies.
ALTER TABLE operations ADD COLUMN copy_of TEXT;
