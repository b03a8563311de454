-- Whether the answer was taken away because its customer was deleted, and not because it was old.
ALTER TABLE operations ADD COLUMN erased INTEGER NOT NULL DEFAULT 0;

CREATE INDEX operations_customer ON operations (merchant, customer, id) WHERE customer IS NOT NULL;
