-- When a copy made the row of a customer at a connection, in milliseconds since 1970. NULL: no copy made it. A walk that began
-- earlier cannot know whether the list of the connection has shown the record.
ALTER TABLE customer_ids ADD COLUMN copied_at BIGINT;
CREATE INDEX customer_ids_copied ON customer_ids (merchant, connection, copied_at) WHERE copied_at IS NOT NULL;
