-- Whether the outcome became known when nobody waited for it any more, of writes without a key.
ALTER TABLE operations ADD COLUMN unheard INTEGER NOT NULL DEFAULT 0;

CREATE INDEX operations_unheard ON operations (merchant, fingerprint) WHERE unheard = 1;
