-- Keyed hashes of the e-mail addresses and phone numbers of customers, where a provider's lists do not show every
-- customer. `changed_at` is in milliseconds since 1970.
CREATE TABLE contacts (
  merchant TEXT NOT NULL,
  connection TEXT NOT NULL,
  customer TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('email', 'phone')),
  hash BLOB NOT NULL,
  changed_at INTEGER NOT NULL,
  PRIMARY KEY (merchant, connection, customer, kind)
) STRICT, WITHOUT ROWID;

CREATE INDEX contacts_hash ON contacts (hash, changed_at);
