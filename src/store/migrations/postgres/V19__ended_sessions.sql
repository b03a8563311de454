-- The sessions of the console that were ended by a logout, each until it would have ended by itself (`ends_at`). `id` is the number
-- of a session. Nothing can be opened with it.
CREATE TABLE ended_sessions (
  id TEXT NOT NULL PRIMARY KEY,
  ends_at BIGINT NOT NULL
);
