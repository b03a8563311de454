-- What the deletion of a customer has to reach at the connections that are not its home. `provider_id` is NULL where a copy
-- that was open may have made a record. `outcome` is 'pending', 'deleted' or 'cannot', with the reason. Rows of ended ones
-- stay with the tombstone of the customer.
CREATE TABLE erasures (
  merchant TEXT NOT NULL,
  public_id TEXT NOT NULL,
  connection TEXT NOT NULL,
  provider_id TEXT,
  outcome TEXT NOT NULL,
  reason TEXT,
  tries BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  PRIMARY KEY (merchant, public_id, connection)
);

CREATE INDEX erasures_due ON erasures (due_at) WHERE outcome = 'pending';
