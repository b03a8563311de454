-- Of a command of an operator: who gave it, about which switch, and from which state and epoch to which, as JSON. NULL for
-- writes.
ALTER TABLE audit ADD COLUMN detail TEXT;
