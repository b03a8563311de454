-- Which connection serves a merchant who has begun to switch providers. Without a row here, the merchant has no rows in
-- the other two tables either.
CREATE TABLE routing (
  merchant TEXT PRIMARY KEY,
  connection TEXT NOT NULL,
  epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row a customer: what there is only once, however many connections hold the customer. `pinned` is the connection
-- at which the customer stays, whichever is active.
CREATE TABLE customers (
  merchant TEXT NOT NULL,
  public_id TEXT NOT NULL,
  pinned TEXT,
  PRIMARY KEY (merchant, public_id)
) STRICT, WITHOUT ROWID;

-- One row a customer at a connection that holds it.
CREATE TABLE customer_ids (
  merchant TEXT NOT NULL,
  public_id TEXT NOT NULL,
  connection TEXT NOT NULL,
  provider_id TEXT NOT NULL,
  PRIMARY KEY (merchant, public_id, connection)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX customer_ids_provider ON customer_ids (merchant, provider_id, connection);
