-- system table _tilestream_ledger
CREATE SCHEMA IF NOT EXISTS "tiledesk";
CREATE TABLE IF NOT EXISTS "tiledesk"."_tilestream_format" (version BIGINT NOT NULL);
INSERT INTO "tiledesk"."_tilestream_format" (version) SELECT 1 FROM (SELECT count(*) AS n FROM "tiledesk"."_tilestream_format") AS held WHERE n = 0;
CREATE TABLE IF NOT EXISTS "tiledesk"."_tilestream_ledger" (cluster VARCHAR, consumer_group VARCHAR, topic VARCHAR, "partition" BIGINT, next_offset BIGINT NOT NULL, updated_at TIMESTAMP WITH TIME ZONE NOT NULL);

-- system table _tilestream_loads
CREATE TABLE IF NOT EXISTS "tiledesk"."_tilestream_loads" (load_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, "rows" BIGINT NOT NULL, inserted BIGINT NOT NULL, updated BIGINT NOT NULL, unchanged BIGINT NOT NULL, bytes BIGINT NOT NULL, ranges VARCHAR NOT NULL, started_at TIMESTAMP WITH TIME ZONE NOT NULL, finished_at TIMESTAMP WITH TIME ZONE NOT NULL);

-- system table _tilestream_tables
CREATE TABLE IF NOT EXISTS "tiledesk"."_tilestream_tables" (table_name VARCHAR NOT NULL, write_mode VARCHAR NOT NULL);

-- system table _tilestream_lock
CREATE TABLE IF NOT EXISTS "tiledesk"."_tilestream_lock" (turns BIGINT NOT NULL);
INSERT INTO "tiledesk"."_tilestream_lock" (turns) SELECT 0 FROM (SELECT count(*) AS n FROM "tiledesk"."_tilestream_lock") AS held WHERE n = 0;

-- system table _tilestream_deleted
CREATE TABLE IF NOT EXISTS "tiledesk"."_tilestream_deleted" (table_name VARCHAR NOT NULL, deleted_key VARCHAR NOT NULL, deleted_at TIMESTAMP WITH TIME ZONE NOT NULL, deleted_offset BIGINT NOT NULL);

-- a table
CREATE TABLE IF NOT EXISTS "tiledesk"."tags" (
	"_id" VARCHAR NOT NULL,
	"note" VARCHAR,
	"order" BIGINT,
	"attributes" JSON,
	"seen" TIMESTAMP WITH TIME ZONE,
	"a name of many words" DOUBLE,
	"updated_at" TIMESTAMP WITH TIME ZONE,
	"_kafka_offset" BIGINT,
	"_load_id" VARCHAR,
	"_deleted_at" TIMESTAMP WITH TIME ZONE,
	"_deleted_offset" BIGINT
);

-- a table that keeps history, where a dropped one kept every version
DELETE FROM "tiledesk"."_tilestream_tables" WHERE table_name = 'tags';
INSERT INTO "tiledesk"."_tilestream_tables" (table_name, write_mode) VALUES ('tags', 'history');
CREATE TABLE IF NOT EXISTS "tiledesk"."tags" (
	"_id" VARCHAR NOT NULL,
	"note" VARCHAR,
	"order" BIGINT,
	"attributes" JSON,
	"seen" TIMESTAMP WITH TIME ZONE,
	"a name of many words" DOUBLE,
	"updated_at" TIMESTAMP WITH TIME ZONE,
	"_kafka_offset" BIGINT,
	"_load_id" VARCHAR,
	"_deleted_at" TIMESTAMP WITH TIME ZONE,
	"_deleted_offset" BIGINT,
	"_valid_from" TIMESTAMP WITH TIME ZONE,
	"_valid_to" TIMESTAMP WITH TIME ZONE
);

-- what is written down of changes
CREATE TABLE IF NOT EXISTS "tiledesk"."_tilestream_schemas" (table_name VARCHAR NOT NULL, schema_id BIGINT, changed_at TIMESTAMP WITH TIME ZONE NOT NULL, "change" VARCHAR NOT NULL, ddl VARCHAR NOT NULL);
INSERT INTO "tiledesk"."_tilestream_schemas" (table_name, schema_id, changed_at, "change", ddl) VALUES
('tags', 9, CAST('2026-11-22 15:04:05.000000+00:00' AS TIMESTAMP WITH TIME ZONE), 'add column it''s, \', 'ONE;
TWO');

-- a number that becomes text
CASE WHEN "order" = FLOOR("order") AND ABS("order") < 1e15 THEN CAST(CAST("order" AS BIGINT) AS VARCHAR) ELSE CAST("order" AS VARCHAR) END;

-- columns that are missing, and one that is too narrow: first step
ALTER TABLE "tiledesk"."tags" RENAME COLUMN "note" TO "note__narrow";
ALTER TABLE "tiledesk"."tags" ADD COLUMN "order" BIGINT;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "attributes" JSON;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "seen" TIMESTAMP WITH TIME ZONE;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "a name of many words" DOUBLE;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "updated_at" TIMESTAMP WITH TIME ZONE;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "_kafka_offset" BIGINT;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "_load_id" VARCHAR;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "_deleted_at" TIMESTAMP WITH TIME ZONE;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "_deleted_offset" BIGINT;

-- second step
ALTER TABLE "tiledesk"."tags" ADD COLUMN "note__wide" VARCHAR;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "order" BIGINT;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "attributes" JSON;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "seen" TIMESTAMP WITH TIME ZONE;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "a name of many words" DOUBLE;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "updated_at" TIMESTAMP WITH TIME ZONE;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "_kafka_offset" BIGINT;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "_load_id" VARCHAR;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "_deleted_at" TIMESTAMP WITH TIME ZONE;
ALTER TABLE "tiledesk"."tags" ADD COLUMN "_deleted_offset" BIGINT;

-- third step, of a time
UPDATE "tiledesk"."tags" SET "seen__wide" = CAST(ISO("seen__narrow") AS VARCHAR), "seen__narrow" = NULL WHERE "seen__narrow" IS NOT NULL;
ALTER TABLE "tiledesk"."tags" DROP COLUMN "seen__narrow";

-- last step
ALTER TABLE "tiledesk"."tags" RENAME COLUMN "seen__wide" TO "seen";

-- upsert
MERGE INTO "tiledesk"."tags" AS held USING (SELECT * FROM (SELECT * FROM stage) AS staged WHERE "_deleted_at" IS NULL) AS fresh ON held."_id" = fresh."_id"
WHEN MATCHED AND (COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) > COALESCE(held."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) OR COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) = COALESCE(held."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND COALESCE(fresh."_kafka_offset", -1) > COALESCE(held."_kafka_offset", -1)) THEN UPDATE SET "_deleted_at" = CASE WHEN (COALESCE(held."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) > COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) OR COALESCE(held."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) = COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND COALESCE(held."_deleted_offset", -1) > COALESCE(fresh."_kafka_offset", -1)) THEN held."_deleted_at" END, "_deleted_offset" = CASE WHEN (COALESCE(held."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) > COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) OR COALESCE(held."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) = COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND COALESCE(held."_deleted_offset", -1) > COALESCE(fresh."_kafka_offset", -1)) THEN held."_deleted_offset" END, "_kafka_offset" = fresh."_kafka_offset", "_load_id" = fresh."_load_id", "a name of many words" = fresh."a name of many words", "attributes" = fresh."attributes", "note" = fresh."note", "order" = fresh."order", "seen" = fresh."seen", "updated_at" = fresh."updated_at"
WHEN NOT MATCHED THEN INSERT ("_id", "note", "order", "attributes", "seen", "a name of many words", "updated_at", "_kafka_offset", "_load_id", "_deleted_at", "_deleted_offset") VALUES (fresh."_id", fresh."note", fresh."order", fresh."attributes", fresh."seen", fresh."a name of many words", fresh."updated_at", fresh."_kafka_offset", fresh."_load_id", fresh."_deleted_at", fresh."_deleted_offset");
MERGE INTO "tiledesk"."tags" AS held USING (SELECT * FROM (SELECT * FROM stage) AS staged WHERE "_deleted_at" IS NOT NULL) AS fresh ON held."_id" = fresh."_id"
WHEN MATCHED AND (COALESCE(fresh."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) > COALESCE(held."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) OR COALESCE(fresh."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) = COALESCE(held."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND COALESCE(fresh."_deleted_offset", -1) > COALESCE(held."_kafka_offset", -1)) AND (COALESCE(fresh."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) > COALESCE(held."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) OR COALESCE(fresh."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) = COALESCE(held."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND COALESCE(fresh."_deleted_offset", -1) > COALESCE(held."_deleted_offset", -1)) THEN UPDATE SET "_deleted_at" = fresh."_deleted_at", "_deleted_offset" = fresh."_deleted_offset", "_load_id" = fresh."_load_id"
WHEN NOT MATCHED THEN INSERT ("_id", "note", "order", "attributes", "seen", "a name of many words", "_load_id", "_deleted_at", "_deleted_offset") VALUES (fresh."_id", fresh."note", fresh."order", fresh."attributes", fresh."seen", fresh."a name of many words", fresh."_load_id", fresh."_deleted_at", fresh."_deleted_offset");

-- upsert in a replay, where deletions remove
MERGE INTO "tiledesk"."_tilestream_deleted" AS held USING (SELECT 'tags' AS table_name, "_id" AS deleted_key, "_deleted_at" AS deleted_at, "_deleted_offset" AS deleted_offset FROM (SELECT * FROM (SELECT * FROM stage) AS staged WHERE "_deleted_at" IS NOT NULL) AS staged) AS fresh ON held.table_name = fresh.table_name AND held.deleted_key = fresh.deleted_key
WHEN MATCHED AND (fresh.deleted_at > held.deleted_at OR fresh.deleted_at = held.deleted_at AND fresh.deleted_offset > held.deleted_offset) THEN UPDATE SET deleted_at = fresh.deleted_at, deleted_offset = fresh.deleted_offset
WHEN NOT MATCHED THEN INSERT (table_name, deleted_key, deleted_at, deleted_offset) VALUES (fresh.table_name, fresh.deleted_key, fresh.deleted_at, fresh.deleted_offset);
MERGE INTO "tiledesk"."tags" AS held USING (SELECT fresh.* FROM (SELECT * FROM (SELECT * FROM stage) AS staged WHERE "_deleted_at" IS NULL) AS fresh LEFT JOIN "tiledesk"."_tilestream_deleted" AS gone ON gone.table_name = 'tags' AND gone.deleted_key = fresh."_id"
WHERE gone.deleted_key IS NULL OR NOT (gone.deleted_at > COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) OR gone.deleted_at = COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND gone.deleted_offset > COALESCE(fresh."_kafka_offset", -1))) AS fresh ON held."_id" = fresh."_id"
WHEN MATCHED AND (COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) > COALESCE(held."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) OR COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) = COALESCE(held."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND COALESCE(fresh."_kafka_offset", -1) > COALESCE(held."_kafka_offset", -1)) THEN UPDATE SET "_deleted_at" = CASE WHEN (COALESCE(held."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) > COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) OR COALESCE(held."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) = COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND COALESCE(held."_deleted_offset", -1) > COALESCE(fresh."_kafka_offset", -1)) THEN held."_deleted_at" END, "_deleted_offset" = CASE WHEN (COALESCE(held."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) > COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) OR COALESCE(held."_deleted_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) = COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND COALESCE(held."_deleted_offset", -1) > COALESCE(fresh."_kafka_offset", -1)) THEN held."_deleted_offset" END, "_kafka_offset" = fresh."_kafka_offset", "_load_id" = fresh."_load_id", "a name of many words" = fresh."a name of many words", "attributes" = fresh."attributes", "note" = fresh."note", "order" = fresh."order", "seen" = fresh."seen", "updated_at" = fresh."updated_at"
WHEN NOT MATCHED THEN INSERT ("_id", "note", "order", "attributes", "seen", "a name of many words", "updated_at", "_kafka_offset", "_load_id", "_deleted_at", "_deleted_offset") VALUES (fresh."_id", fresh."note", fresh."order", fresh."attributes", fresh."seen", fresh."a name of many words", fresh."updated_at", fresh."_kafka_offset", fresh."_load_id", fresh."_deleted_at", fresh."_deleted_offset");
DELETE FROM "tiledesk"."tags" WHERE "_id" IN (SELECT held."_id" FROM "tiledesk"."tags" AS held JOIN "tiledesk"."_tilestream_deleted" AS gone ON gone.deleted_key = held."_id"
WHERE gone.table_name = 'tags' AND (gone.deleted_at > COALESCE(held."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) OR gone.deleted_at = COALESCE(held."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND gone.deleted_offset > COALESCE(held."_kafka_offset", -1)) AND gone.deleted_key IN (SELECT "_id" FROM (SELECT * FROM (SELECT * FROM stage) AS staged WHERE "_deleted_at" IS NOT NULL) AS staged));
MERGE INTO "tiledesk"."tags" AS held USING (SELECT * FROM (SELECT * FROM stage) AS staged WHERE "_deleted_at" IS NULL) AS fresh ON held."_id" = fresh."_id"
WHEN MATCHED AND (COALESCE(fresh."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) = COALESCE(held."updated_at", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND COALESCE(fresh."_kafka_offset", -1) = COALESCE(held."_kafka_offset", -1)) AND ((held."note" <> fresh."note" OR (held."note" IS NULL) <> (fresh."note" IS NULL)) OR (held."order" <> fresh."order" OR (held."order" IS NULL) <> (fresh."order" IS NULL)) OR (TO_JSON_STRING(held."attributes") <> TO_JSON_STRING(fresh."attributes") OR (TO_JSON_STRING(held."attributes") IS NULL) <> (TO_JSON_STRING(fresh."attributes") IS NULL)) OR (held."seen" <> fresh."seen" OR (held."seen" IS NULL) <> (fresh."seen" IS NULL)) OR (held."a name of many words" <> fresh."a name of many words" OR (held."a name of many words" IS NULL) <> (fresh."a name of many words" IS NULL))) THEN UPDATE SET "note" = fresh."note", "order" = fresh."order", "attributes" = fresh."attributes", "seen" = fresh."seen", "a name of many words" = fresh."a name of many words", "_load_id" = fresh."_load_id";

-- append, in a replay
INSERT INTO "tiledesk"."tags" ("_id", "note", "order", "attributes", "seen", "a name of many words", "updated_at", "_kafka_offset", "_load_id", "_deleted_at", "_deleted_offset")
SELECT fresh."_id", fresh."note", fresh."order", fresh."attributes", fresh."seen", fresh."a name of many words", fresh."updated_at", fresh."_kafka_offset", fresh."_load_id", fresh."_deleted_at", fresh."_deleted_offset" FROM (SELECT * FROM stage) AS fresh LEFT JOIN "tiledesk"."tags" AS held ON held."_id" = fresh."_id" AND COALESCE(CASE WHEN held."_deleted_at" IS NOT NULL THEN held."_deleted_at" ELSE held."updated_at" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) = COALESCE(CASE WHEN fresh."_deleted_at" IS NOT NULL THEN fresh."_deleted_at" ELSE fresh."updated_at" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND CASE WHEN held."_deleted_at" IS NOT NULL THEN held."_deleted_offset" ELSE held."_kafka_offset" END = CASE WHEN fresh."_deleted_at" IS NOT NULL THEN fresh."_deleted_offset" ELSE fresh."_kafka_offset" END AND (held."_deleted_at" IS NULL) = (fresh."_deleted_at" IS NULL) WHERE held."_id" IS NULL;
MERGE INTO "tiledesk"."tags" AS held USING (SELECT * FROM stage) AS fresh ON held."_id" = fresh."_id" AND COALESCE(CASE WHEN held."_deleted_at" IS NOT NULL THEN held."_deleted_at" ELSE held."updated_at" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) = COALESCE(CASE WHEN fresh."_deleted_at" IS NOT NULL THEN fresh."_deleted_at" ELSE fresh."updated_at" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND CASE WHEN held."_deleted_at" IS NOT NULL THEN held."_deleted_offset" ELSE held."_kafka_offset" END = CASE WHEN fresh."_deleted_at" IS NOT NULL THEN fresh."_deleted_offset" ELSE fresh."_kafka_offset" END AND (held."_deleted_at" IS NULL) = (fresh."_deleted_at" IS NULL)
WHEN MATCHED AND ((held."note" <> fresh."note" OR (held."note" IS NULL) <> (fresh."note" IS NULL)) OR (held."order" <> fresh."order" OR (held."order" IS NULL) <> (fresh."order" IS NULL)) OR (TO_JSON_STRING(held."attributes") <> TO_JSON_STRING(fresh."attributes") OR (TO_JSON_STRING(held."attributes") IS NULL) <> (TO_JSON_STRING(fresh."attributes") IS NULL)) OR (held."seen" <> fresh."seen" OR (held."seen" IS NULL) <> (fresh."seen" IS NULL)) OR (held."a name of many words" <> fresh."a name of many words" OR (held."a name of many words" IS NULL) <> (fresh."a name of many words" IS NULL))) THEN UPDATE SET "note" = fresh."note", "order" = fresh."order", "attributes" = fresh."attributes", "seen" = fresh."seen", "a name of many words" = fresh."a name of many words", "_load_id" = fresh."_load_id";

-- history
INSERT INTO "tiledesk"."tags" ("_id", "note", "order", "attributes", "seen", "a name of many words", "updated_at", "_kafka_offset", "_load_id", "_deleted_at", "_deleted_offset")
SELECT fresh."_id", fresh."note", fresh."order", fresh."attributes", fresh."seen", fresh."a name of many words", fresh."updated_at", fresh."_kafka_offset", fresh."_load_id", fresh."_deleted_at", fresh."_deleted_offset" FROM (SELECT * FROM stage) AS fresh LEFT JOIN "tiledesk"."tags" AS held ON held."_id" = fresh."_id" AND COALESCE(CASE WHEN held."_deleted_at" IS NOT NULL THEN held."_deleted_at" ELSE held."updated_at" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) = COALESCE(CASE WHEN fresh."_deleted_at" IS NOT NULL THEN fresh."_deleted_at" ELSE fresh."updated_at" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AND CASE WHEN held."_deleted_at" IS NOT NULL THEN held."_deleted_offset" ELSE held."_kafka_offset" END = CASE WHEN fresh."_deleted_at" IS NOT NULL THEN fresh."_deleted_offset" ELSE fresh."_kafka_offset" END AND (held."_deleted_at" IS NULL) = (fresh."_deleted_at" IS NULL) WHERE held."_id" IS NULL;
MERGE INTO "tiledesk"."tags" AS held USING (
	SELECT id, placed, place, live, began, lead(began) OVER (PARTITION BY id ORDER BY placed, place, live) AS ended, (SELECT max("_load_id") FROM (SELECT * FROM stage) AS staged) AS mark_0 FROM (
		SELECT held."_id" AS id, COALESCE(CASE WHEN held."_deleted_at" IS NOT NULL THEN held."_deleted_at" ELSE held."updated_at" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AS placed, CASE WHEN held."_deleted_at" IS NOT NULL THEN held."_deleted_offset" ELSE held."_kafka_offset" END AS place, (held."_deleted_at" IS NULL) AS live, greatest(COALESCE(CASE WHEN held."_deleted_at" IS NOT NULL THEN held."_deleted_at" ELSE held."updated_at" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)), CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) AS began
		FROM "tiledesk"."tags" AS held WHERE held."_id" IN (SELECT staged."_id" FROM (SELECT * FROM stage) AS staged)) AS versions) AS fresh ON held."_id" = fresh.id AND COALESCE(CASE WHEN held."_deleted_at" IS NOT NULL THEN held."_deleted_at" ELSE held."updated_at" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE)) = fresh.placed AND CASE WHEN held."_deleted_at" IS NOT NULL THEN held."_deleted_offset" ELSE held."_kafka_offset" END = fresh.place AND (held."_deleted_at" IS NULL) = fresh.live
WHEN MATCHED AND ((held."_valid_from" <> fresh.began OR (held."_valid_from" IS NULL) <> (fresh.began IS NULL)) OR (held."_valid_to" <> fresh.ended OR (held."_valid_to" IS NULL) <> (fresh.ended IS NULL))) THEN UPDATE SET "_valid_from" = fresh.began, "_valid_to" = fresh.ended, "_load_id" = fresh.mark_0;

-- the ledger and the load
DELETE FROM "tiledesk"."_tilestream_ledger" WHERE cluster = 'cluster' AND consumer_group = 'it''s' AND topic = 'a\b' AND "partition" = 0 OR cluster = 'cluster' AND consumer_group = 'it''s' AND topic = 'a\b' AND "partition" = 1;
INSERT INTO "tiledesk"."_tilestream_ledger" (cluster, consumer_group, topic, "partition", next_offset, updated_at) VALUES ('cluster', 'it''s', 'a\b', 0, 10, CAST('1970-01-01 00:00:01.500000+00:00' AS TIMESTAMP WITH TIME ZONE)), ('cluster', 'it''s', 'a\b', 1, 10, CAST('1970-01-01 00:00:01.500000+00:00' AS TIMESTAMP WITH TIME ZONE));
INSERT INTO "tiledesk"."_tilestream_loads" (load_id, table_name, "rows", inserted, updated, unchanged, bytes, ranges, started_at, finished_at) VALUES ('load', 'tags', 1, 1, 0, 0, 99, '[{"cluster":"cluster","group":"it''s","topic":"a\\b","partition":0,"from":0,"to":10},{"cluster":"cluster","group":"it''s","topic":"a\\b","partition":1,"from":5,"to":10}]', CAST('1970-01-01 00:00:00.000000+00:00' AS TIMESTAMP WITH TIME ZONE), CAST('1970-01-01 00:00:01.500000+00:00' AS TIMESTAMP WITH TIME ZONE));

