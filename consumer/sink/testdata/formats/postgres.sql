-- A dataset of format 1, as it was first made; @ is its name.
CREATE SCHEMA @;
CREATE TABLE @._tilestream_format (version bigint NOT NULL);
INSERT INTO @._tilestream_format VALUES (1);
CREATE TABLE @._tilestream_ledger (cluster text, consumer_group text, topic text, partition integer, next_offset bigint NOT NULL, updated_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (cluster, consumer_group, topic, partition));
INSERT INTO @._tilestream_ledger VALUES ('test-cluster', 'tilestream', 'tiledesk.things', 3, 7, '2026-11-01T00:00:00Z');
CREATE TABLE @._tilestream_loads (load_id text NOT NULL, table_name text NOT NULL, rows bigint NOT NULL, inserted bigint NOT NULL, updated bigint NOT NULL, unchanged bigint NOT NULL, bytes bigint NOT NULL, ranges jsonb NOT NULL, started_at timestamptz NOT NULL, finished_at timestamptz NOT NULL);
INSERT INTO @._tilestream_loads VALUES ('load-1', 'things', 1, 1, 0, 0, 321, '[{"cluster":"test-cluster","group":"tilestream","topic":"tiledesk.things","partition":3,"from":0,"to":7}]', '2026-11-01T00:00:00Z', '2026-11-01T00:00:01Z');
