-- Since when the home answers the customer's id with another customer's record, in milliseconds since 1970. NULL: it does not.
ALTER TABLE customers ADD COLUMN merged_at INTEGER;
