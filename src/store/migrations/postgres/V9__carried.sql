-- What the gateway keeps of a customer because the provider cannot hold it: one row a field. `connection` is the one at
-- which the part was written, `operation` the write. `native_hash` names the value of the provider that the part belongs
-- to; NULL: it belongs to nothing.
CREATE TABLE carried (
  merchant TEXT NOT NULL,
  public_id TEXT NOT NULL,
  field TEXT NOT NULL,
  connection TEXT NOT NULL,
  operation TEXT NOT NULL,
  native_hash BYTEA,
  value BYTEA NOT NULL,
  PRIMARY KEY (merchant, public_id, field)
);
