-- Contacts in the row of the write that set them: keyed hashes of the e-mail address and the phone number of its
-- customer, where a provider's lists do not show every customer. When the row is deleted, they move to `contacts`.
ALTER TABLE operations ADD COLUMN email_hash BLOB;
ALTER TABLE operations ADD COLUMN phone_hash BLOB;

CREATE INDEX operations_email ON operations (email_hash, finished_at) WHERE email_hash IS NOT NULL;
CREATE INDEX operations_phone ON operations (phone_hash, finished_at) WHERE phone_hash IS NOT NULL;
