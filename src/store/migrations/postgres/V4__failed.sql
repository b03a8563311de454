-- Failures are few among many, and are listed alone.
CREATE INDEX operations_failed ON operations (merchant, id) WHERE state = 'failed';
