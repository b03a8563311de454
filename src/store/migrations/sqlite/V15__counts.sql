-- An operator who follows a switch counts its customers all the time: these indexes have all that is counted.
CREATE INDEX switch_records_counts ON switch_records (switch_id, outcome, planned, code);
DROP INDEX customers_pinned;
CREATE INDEX customers_pinned ON customers (merchant, pinned, public_id, deletion) WHERE pinned IS NOT NULL;
DROP INDEX customers_marked;
CREATE INDEX customers_marked ON customers (merchant, public_id, version, copied_version, deletion, written_at)
  WHERE version > copied_version;
