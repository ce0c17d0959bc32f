-- The records, the salt that keys their fingerprints, and which steps were done.
--
-- Only the primary key is indexed: with an index on state, lease or purge_at no completion and no renewal could stay on
-- its page (HOT). The purge walks the pages instead.
CREATE TABLE {schema}.record (
  id bytea PRIMARY KEY CHECK (octet_length(id) = 32),
  owner bytea NOT NULL CHECK (octet_length(owner) = 16),
  fence bigint NOT NULL CHECK (fence > 0),
  revision bigint NOT NULL CHECK (revision > 0),
  -- A released record is absent. It stays for its fence alone, which the next claim has to pass.
  state text NOT NULL CHECK (state IN ('in-flight', 'unknown', 'completed', 'expired', 'released')),
  -- When the lease ends, or since when the state is as it is.
  state_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  -- Never before the record expires, so never bound to a lease.
  purge_at timestamptz NOT NULL CHECK (purge_at >= expires_at),
  fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = {fingerprint_bytes}),
  key_digest bytea NOT NULL CHECK (octet_length(key_digest) = 8),
  operation text NOT NULL CHECK (octet_length(operation) <= {operation_bytes_max}),
  -- Gone when the record expires: a tombstone keeps none.
  response bytea,
  CONSTRAINT response_is_there_while_completed CHECK ((state = 'completed') = (response IS NOT NULL)),
  CONSTRAINT unknown_outlives_the_lease CHECK (state <> 'in-flight' OR expires_at >= state_at)
) WITH (
  -- Room on each page for the completions of its records.
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05,
  -- To give pages back, a vacuum would have to lock out every claim for a moment. They are used again.
  vacuum_truncate = off
);

CREATE TABLE {schema}.migration (
  version integer PRIMARY KEY,
  migrated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE {schema}.salt (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  salt bytea NOT NULL CHECK (octet_length(salt) = 32)
);
