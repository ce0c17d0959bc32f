-- A claim and its completion, as pgbench does them: what our store does, less all that it judges.
\set a random(1, 9223372036854775807)
\set b random(1, 9223372036854775807)
INSERT INTO oncegate.record (id, owner, fence, revision, state, state_at, created_at, expires_at, purge_at, fingerprint, key_digest, operation)
VALUES (sha256(int8send(:a) || int8send(:b)), substring(sha256(int8send(:b)) FOR 16), 1, 1, 'in-flight', clock_timestamp() + interval '30 s', clock_timestamp(), clock_timestamp() + interval '1 day', clock_timestamp() + interval '2 days', (SELECT decode(repeat('07', 97), 'hex')), '\x0707070707070707', 'POST /payments') ON CONFLICT (id) DO NOTHING;
UPDATE oncegate.record SET state = 'completed', revision = revision + 1, state_at = clock_timestamp(), expires_at = clock_timestamp() + interval '1 day', purge_at = clock_timestamp() + interval '2 days', response = convert_to(repeat('x', 150), 'UTF8')
 WHERE id = sha256(int8send(:a) || int8send(:b)) AND owner = substring(sha256(int8send(:b)) FOR 16) AND state = 'in-flight';
