-- `held_until`: until when the claims on the customer wait, in milliseconds since 1970, because it is being moved; 0: they do not.
-- `copied_at`: when a copy was last noted. `shown`: what the last write was answered with, as keyed hashes; one zero byte
-- while a write is open, empty where it is not known.
ALTER TABLE customers ADD COLUMN held_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE customers ADD COLUMN copied_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE customers ADD COLUMN shown BLOB NOT NULL DEFAULT x'';
