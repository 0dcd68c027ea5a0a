-- A dataset of format 1, as it was first made; @ is its name.
CREATE SCHEMA @;
CREATE TABLE @._tilestream_format (version BIGINT NOT NULL);
INSERT INTO @._tilestream_format VALUES (1);
CREATE TABLE @._tilestream_ledger (cluster VARCHAR, consumer_group VARCHAR, topic VARCHAR, "partition" INTEGER, next_offset BIGINT NOT NULL, updated_at TIMESTAMPTZ NOT NULL, PRIMARY KEY (cluster, consumer_group, topic, "partition"));
INSERT INTO @._tilestream_ledger VALUES ('test-cluster', 'tilestream', 'tiledesk.things', 3, 7, '2026-11-01T00:00:00Z');
CREATE TABLE @._tilestream_loads (load_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, "rows" BIGINT NOT NULL, inserted BIGINT NOT NULL, updated BIGINT NOT NULL, unchanged BIGINT NOT NULL, bytes BIGINT NOT NULL, ranges JSON NOT NULL, started_at TIMESTAMPTZ NOT NULL, finished_at TIMESTAMPTZ NOT NULL);
INSERT INTO @._tilestream_loads VALUES ('load-1', 'things', 1, 1, 0, 0, 321, '[{"cluster":"test-cluster","group":"tilestream","topic":"tiledesk.things","partition":3,"from":0,"to":7}]', '2026-11-01T00:00:00Z', '2026-11-01T00:00:01Z');
