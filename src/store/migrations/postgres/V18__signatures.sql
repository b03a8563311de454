-- The signatures of drop-in clients that were used, each until it is no longer valid. `hash` is the keyed hash of the nonce,
-- or of the signature. `admission` names the attempt that recorded it. `ended` is 0 while a write without a nonce has no
-- answer yet. `answer` is its answer, sealed, for the few seconds in which its client may send it again.
CREATE TABLE signatures (
  hash TEXT NOT NULL PRIMARY KEY,
  admission TEXT NOT NULL,
  seen_at BIGINT NOT NULL,
  ended BIGINT NOT NULL,
  answer BYTEA
);

CREATE INDEX signatures_seen ON signatures (seen_at);
CREATE INDEX signatures_answered ON signatures (seen_at) WHERE answer IS NOT NULL;
