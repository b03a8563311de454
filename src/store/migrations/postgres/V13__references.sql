-- The keyed hash of the value under the metadata key that `switch.reference` of the merchant names.
ALTER TABLE switch_targets ADD COLUMN reference_hash TEXT;

CREATE INDEX switch_targets_reference ON switch_targets (switch_id, reference_hash) WHERE reference_hash IS NOT NULL;
