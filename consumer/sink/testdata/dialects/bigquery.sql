-- system table _tilestream_ledger
CREATE SCHEMA IF NOT EXISTS `tiledesk`;
CREATE TABLE IF NOT EXISTS `tiledesk`.`_tilestream_ledger` (cluster STRING, consumer_group STRING, topic STRING, `partition` INT64, next_offset INT64 NOT NULL, updated_at TIMESTAMP NOT NULL);

-- system table _tilestream_loads
CREATE TABLE IF NOT EXISTS `tiledesk`.`_tilestream_loads` (load_id STRING NOT NULL, table_name STRING NOT NULL, `rows` INT64 NOT NULL, inserted INT64 NOT NULL, updated INT64 NOT NULL, unchanged INT64 NOT NULL, bytes INT64 NOT NULL, ranges STRING NOT NULL, started_at TIMESTAMP NOT NULL, finished_at TIMESTAMP NOT NULL);

-- system table _tilestream_tables
CREATE TABLE IF NOT EXISTS `tiledesk`.`_tilestream_tables` (table_name STRING NOT NULL, write_mode STRING NOT NULL);

-- system table _tilestream_lock
CREATE TABLE IF NOT EXISTS `tiledesk`.`_tilestream_lock` (turns INT64 NOT NULL);
INSERT INTO `tiledesk`.`_tilestream_lock` (turns) SELECT 0 FROM (SELECT count(*) AS n FROM `tiledesk`.`_tilestream_lock`) AS held WHERE n = 0;

-- system table _tilestream_deleted
CREATE TABLE IF NOT EXISTS `tiledesk`.`_tilestream_deleted` (table_name STRING NOT NULL, deleted_key STRING NOT NULL, deleted_at TIMESTAMP NOT NULL, deleted_offset INT64 NOT NULL);

-- a table
CREATE TABLE IF NOT EXISTS `tiledesk`.`tags` (
	`_id` STRING NOT NULL,
	`note` STRING,
	`order` INT64,
	`attributes` JSON,
	`seen` TIMESTAMP,
	`a_name_of_many_words_b08917cd` FLOAT64,
	`updated_at` TIMESTAMP,
	`_kafka_offset` INT64,
	`_load_id` STRING,
	`_deleted_at` TIMESTAMP,
	`_deleted_offset` INT64
)
CLUSTER BY `_id`;

-- a table that keeps history, where a dropped one kept every version
DELETE FROM `tiledesk`.`_tilestream_tables` WHERE table_name = 'tags';
INSERT INTO `tiledesk`.`_tilestream_tables` (table_name, write_mode) VALUES ('tags', 'history');
CREATE TABLE IF NOT EXISTS `tiledesk`.`tags` (
	`_id` STRING NOT NULL,
	`note` STRING,
	`order` INT64,
	`attributes` JSON,
	`seen` TIMESTAMP,
	`a_name_of_many_words_b08917cd` FLOAT64,
	`updated_at` TIMESTAMP,
	`_kafka_offset` INT64,
	`_load_id` STRING,
	`_deleted_at` TIMESTAMP,
	`_deleted_offset` INT64,
	`_valid_from` TIMESTAMP,
	`_valid_to` TIMESTAMP
)
CLUSTER BY `_id`;

-- a view of an array
CREATE VIEW IF NOT EXISTS `tiledesk`.`tags__attributes` AS
SELECT r.`_id`, r.`_kafka_offset`, r.`_deleted_at`, n AS `_index`, e AS `value`, JSON_VALUE(e) AS `text`
FROM `tiledesk`.`tags` AS r, UNNEST(IF(JSON_TYPE(r.`attributes`) = 'array', JSON_QUERY_ARRAY(r.`attributes`), NULL)) AS e WITH OFFSET AS n;

-- what is written down of changes
CREATE TABLE IF NOT EXISTS `tiledesk`.`_tilestream_schemas` (table_name STRING NOT NULL, schema_id INT64, changed_at TIMESTAMP NOT NULL, `change` STRING NOT NULL, ddl STRING NOT NULL);
INSERT INTO `tiledesk`.`_tilestream_schemas` (table_name, schema_id, changed_at, `change`, ddl) VALUES
('tags', 9, CAST('2026-11-22 15:04:05.000000+00:00' AS TIMESTAMP), 'add column it\'s, \\', 'ONE;\nTWO');

-- a number that becomes text
CASE WHEN `order` = FLOOR(`order`) AND ABS(`order`) < 1e15 THEN CAST(CAST(`order` AS INT64) AS STRING) ELSE CAST(`order` AS STRING) END;

-- columns that are missing, and one that is too narrow: first step
ALTER TABLE `tiledesk`.`tags` RENAME COLUMN `note` TO `note__narrow`;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `order` INT64;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `attributes` JSON;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `seen` TIMESTAMP;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `a_name_of_many_words_b08917cd` FLOAT64;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `updated_at` TIMESTAMP;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_kafka_offset` INT64;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_load_id` STRING;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_deleted_at` TIMESTAMP;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_deleted_offset` INT64;

-- second step
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `note__wide` STRING;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `order` INT64;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `attributes` JSON;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `seen` TIMESTAMP;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `a_name_of_many_words_b08917cd` FLOAT64;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `updated_at` TIMESTAMP;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_kafka_offset` INT64;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_load_id` STRING;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_deleted_at` TIMESTAMP;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_deleted_offset` INT64;

-- third step, of a time
UPDATE `tiledesk`.`tags` SET `seen__wide` = CAST(FORMAT_TIMESTAMP('%Y-%m-%dT%H:%M:%E3SZ', `seen__narrow`) AS STRING), `seen__narrow` = NULL WHERE `seen__narrow` IS NOT NULL;
ALTER TABLE `tiledesk`.`tags` DROP COLUMN `seen__narrow`;

-- last step
ALTER TABLE `tiledesk`.`tags` RENAME COLUMN `seen__wide` TO `seen`;

-- upsert
MERGE INTO `tiledesk`.`tags` AS held USING (SELECT * FROM (SELECT * FROM stage) AS staged WHERE `_deleted_at` IS NULL) AS fresh ON held.`_id` = fresh.`_id`
WHEN MATCHED AND (COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) > COALESCE(held.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) OR COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(held.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND COALESCE(fresh.`_kafka_offset`, -1) > COALESCE(held.`_kafka_offset`, -1)) THEN UPDATE SET `_deleted_at` = CASE WHEN (COALESCE(held.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) > COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) OR COALESCE(held.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND COALESCE(held.`_deleted_offset`, -1) > COALESCE(fresh.`_kafka_offset`, -1)) THEN held.`_deleted_at` END, `_deleted_offset` = CASE WHEN (COALESCE(held.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) > COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) OR COALESCE(held.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND COALESCE(held.`_deleted_offset`, -1) > COALESCE(fresh.`_kafka_offset`, -1)) THEN held.`_deleted_offset` END, `_kafka_offset` = fresh.`_kafka_offset`, `_load_id` = fresh.`_load_id`, `a_name_of_many_words_b08917cd` = fresh.`a_name_of_many_words_b08917cd`, `attributes` = fresh.`attributes`, `note` = fresh.`note`, `order` = fresh.`order`, `seen` = fresh.`seen`, `updated_at` = fresh.`updated_at`
WHEN NOT MATCHED THEN INSERT (`_id`, `note`, `order`, `attributes`, `seen`, `a_name_of_many_words_b08917cd`, `updated_at`, `_kafka_offset`, `_load_id`, `_deleted_at`, `_deleted_offset`) VALUES (fresh.`_id`, fresh.`note`, fresh.`order`, fresh.`attributes`, fresh.`seen`, fresh.`a_name_of_many_words_b08917cd`, fresh.`updated_at`, fresh.`_kafka_offset`, fresh.`_load_id`, fresh.`_deleted_at`, fresh.`_deleted_offset`);
MERGE INTO `tiledesk`.`tags` AS held USING (SELECT * FROM (SELECT * FROM stage) AS staged WHERE `_deleted_at` IS NOT NULL) AS fresh ON held.`_id` = fresh.`_id`
WHEN MATCHED AND (COALESCE(fresh.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) > COALESCE(held.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) OR COALESCE(fresh.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(held.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND COALESCE(fresh.`_deleted_offset`, -1) > COALESCE(held.`_kafka_offset`, -1)) AND (COALESCE(fresh.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) > COALESCE(held.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) OR COALESCE(fresh.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(held.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND COALESCE(fresh.`_deleted_offset`, -1) > COALESCE(held.`_deleted_offset`, -1)) THEN UPDATE SET `_deleted_at` = fresh.`_deleted_at`, `_deleted_offset` = fresh.`_deleted_offset`, `_load_id` = fresh.`_load_id`
WHEN NOT MATCHED THEN INSERT (`_id`, `note`, `order`, `attributes`, `seen`, `a_name_of_many_words_b08917cd`, `_load_id`, `_deleted_at`, `_deleted_offset`) VALUES (fresh.`_id`, fresh.`note`, fresh.`order`, fresh.`attributes`, fresh.`seen`, fresh.`a_name_of_many_words_b08917cd`, fresh.`_load_id`, fresh.`_deleted_at`, fresh.`_deleted_offset`);

-- upsert in a replay, where deletions remove
MERGE INTO `tiledesk`.`_tilestream_deleted` AS held USING (SELECT 'tags' AS table_name, `_id` AS deleted_key, `_deleted_at` AS deleted_at, `_deleted_offset` AS deleted_offset FROM (SELECT * FROM (SELECT * FROM stage) AS staged WHERE `_deleted_at` IS NOT NULL) AS staged) AS fresh ON held.table_name = fresh.table_name AND held.deleted_key = fresh.deleted_key
WHEN MATCHED AND (fresh.deleted_at > held.deleted_at OR fresh.deleted_at = held.deleted_at AND fresh.deleted_offset > held.deleted_offset) THEN UPDATE SET deleted_at = fresh.deleted_at, deleted_offset = fresh.deleted_offset
WHEN NOT MATCHED THEN INSERT (table_name, deleted_key, deleted_at, deleted_offset) VALUES (fresh.table_name, fresh.deleted_key, fresh.deleted_at, fresh.deleted_offset);
MERGE INTO `tiledesk`.`tags` AS held USING (SELECT fresh.* FROM (SELECT * FROM (SELECT * FROM stage) AS staged WHERE `_deleted_at` IS NULL) AS fresh LEFT JOIN `tiledesk`.`_tilestream_deleted` AS gone ON gone.table_name = 'tags' AND gone.deleted_key = fresh.`_id`
WHERE gone.deleted_key IS NULL OR NOT (gone.deleted_at > COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) OR gone.deleted_at = COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND gone.deleted_offset > COALESCE(fresh.`_kafka_offset`, -1))) AS fresh ON held.`_id` = fresh.`_id`
WHEN MATCHED AND (COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) > COALESCE(held.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) OR COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(held.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND COALESCE(fresh.`_kafka_offset`, -1) > COALESCE(held.`_kafka_offset`, -1)) THEN UPDATE SET `_deleted_at` = CASE WHEN (COALESCE(held.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) > COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) OR COALESCE(held.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND COALESCE(held.`_deleted_offset`, -1) > COALESCE(fresh.`_kafka_offset`, -1)) THEN held.`_deleted_at` END, `_deleted_offset` = CASE WHEN (COALESCE(held.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) > COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) OR COALESCE(held.`_deleted_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND COALESCE(held.`_deleted_offset`, -1) > COALESCE(fresh.`_kafka_offset`, -1)) THEN held.`_deleted_offset` END, `_kafka_offset` = fresh.`_kafka_offset`, `_load_id` = fresh.`_load_id`, `a_name_of_many_words_b08917cd` = fresh.`a_name_of_many_words_b08917cd`, `attributes` = fresh.`attributes`, `note` = fresh.`note`, `order` = fresh.`order`, `seen` = fresh.`seen`, `updated_at` = fresh.`updated_at`
WHEN NOT MATCHED THEN INSERT (`_id`, `note`, `order`, `attributes`, `seen`, `a_name_of_many_words_b08917cd`, `updated_at`, `_kafka_offset`, `_load_id`, `_deleted_at`, `_deleted_offset`) VALUES (fresh.`_id`, fresh.`note`, fresh.`order`, fresh.`attributes`, fresh.`seen`, fresh.`a_name_of_many_words_b08917cd`, fresh.`updated_at`, fresh.`_kafka_offset`, fresh.`_load_id`, fresh.`_deleted_at`, fresh.`_deleted_offset`);
DELETE FROM `tiledesk`.`tags` WHERE `_id` IN (SELECT held.`_id` FROM `tiledesk`.`tags` AS held JOIN `tiledesk`.`_tilestream_deleted` AS gone ON gone.deleted_key = held.`_id`
WHERE gone.table_name = 'tags' AND (gone.deleted_at > COALESCE(held.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) OR gone.deleted_at = COALESCE(held.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND gone.deleted_offset > COALESCE(held.`_kafka_offset`, -1)) AND gone.deleted_key IN (SELECT `_id` FROM (SELECT * FROM (SELECT * FROM stage) AS staged WHERE `_deleted_at` IS NOT NULL) AS staged));
MERGE INTO `tiledesk`.`tags` AS held USING (SELECT * FROM (SELECT * FROM stage) AS staged WHERE `_deleted_at` IS NULL) AS fresh ON held.`_id` = fresh.`_id`
WHEN MATCHED AND (COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(held.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND COALESCE(fresh.`_kafka_offset`, -1) = COALESCE(held.`_kafka_offset`, -1)) AND ((held.`note` <> fresh.`note` OR (held.`note` IS NULL) <> (fresh.`note` IS NULL)) OR (held.`order` <> fresh.`order` OR (held.`order` IS NULL) <> (fresh.`order` IS NULL)) OR (TO_JSON_STRING(held.`attributes`) <> TO_JSON_STRING(fresh.`attributes`) OR (TO_JSON_STRING(held.`attributes`) IS NULL) <> (TO_JSON_STRING(fresh.`attributes`) IS NULL)) OR (held.`seen` <> fresh.`seen` OR (held.`seen` IS NULL) <> (fresh.`seen` IS NULL)) OR (held.`a_name_of_many_words_b08917cd` <> fresh.`a_name_of_many_words_b08917cd` OR (held.`a_name_of_many_words_b08917cd` IS NULL) <> (fresh.`a_name_of_many_words_b08917cd` IS NULL))) THEN UPDATE SET `note` = fresh.`note`, `order` = fresh.`order`, `attributes` = fresh.`attributes`, `seen` = fresh.`seen`, `a_name_of_many_words_b08917cd` = fresh.`a_name_of_many_words_b08917cd`, `_load_id` = fresh.`_load_id`;

-- append, in a replay
INSERT INTO `tiledesk`.`tags` (`_id`, `note`, `order`, `attributes`, `seen`, `a_name_of_many_words_b08917cd`, `updated_at`, `_kafka_offset`, `_load_id`, `_deleted_at`, `_deleted_offset`)
SELECT fresh.`_id`, fresh.`note`, fresh.`order`, fresh.`attributes`, fresh.`seen`, fresh.`a_name_of_many_words_b08917cd`, fresh.`updated_at`, fresh.`_kafka_offset`, fresh.`_load_id`, fresh.`_deleted_at`, fresh.`_deleted_offset` FROM (SELECT * FROM stage) AS fresh LEFT JOIN `tiledesk`.`tags` AS held ON held.`_id` = fresh.`_id` AND COALESCE(CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_at` ELSE held.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(CASE WHEN fresh.`_deleted_at` IS NOT NULL THEN fresh.`_deleted_at` ELSE fresh.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_offset` ELSE held.`_kafka_offset` END = CASE WHEN fresh.`_deleted_at` IS NOT NULL THEN fresh.`_deleted_offset` ELSE fresh.`_kafka_offset` END AND (held.`_deleted_at` IS NULL) = (fresh.`_deleted_at` IS NULL) WHERE held.`_id` IS NULL;
MERGE INTO `tiledesk`.`tags` AS held USING (SELECT * FROM stage) AS fresh ON held.`_id` = fresh.`_id` AND COALESCE(CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_at` ELSE held.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(CASE WHEN fresh.`_deleted_at` IS NOT NULL THEN fresh.`_deleted_at` ELSE fresh.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_offset` ELSE held.`_kafka_offset` END = CASE WHEN fresh.`_deleted_at` IS NOT NULL THEN fresh.`_deleted_offset` ELSE fresh.`_kafka_offset` END AND (held.`_deleted_at` IS NULL) = (fresh.`_deleted_at` IS NULL)
WHEN MATCHED AND ((held.`note` <> fresh.`note` OR (held.`note` IS NULL) <> (fresh.`note` IS NULL)) OR (held.`order` <> fresh.`order` OR (held.`order` IS NULL) <> (fresh.`order` IS NULL)) OR (TO_JSON_STRING(held.`attributes`) <> TO_JSON_STRING(fresh.`attributes`) OR (TO_JSON_STRING(held.`attributes`) IS NULL) <> (TO_JSON_STRING(fresh.`attributes`) IS NULL)) OR (held.`seen` <> fresh.`seen` OR (held.`seen` IS NULL) <> (fresh.`seen` IS NULL)) OR (held.`a_name_of_many_words_b08917cd` <> fresh.`a_name_of_many_words_b08917cd` OR (held.`a_name_of_many_words_b08917cd` IS NULL) <> (fresh.`a_name_of_many_words_b08917cd` IS NULL))) THEN UPDATE SET `note` = fresh.`note`, `order` = fresh.`order`, `attributes` = fresh.`attributes`, `seen` = fresh.`seen`, `a_name_of_many_words_b08917cd` = fresh.`a_name_of_many_words_b08917cd`, `_load_id` = fresh.`_load_id`;

-- history
INSERT INTO `tiledesk`.`tags` (`_id`, `note`, `order`, `attributes`, `seen`, `a_name_of_many_words_b08917cd`, `updated_at`, `_kafka_offset`, `_load_id`, `_deleted_at`, `_deleted_offset`)
SELECT fresh.`_id`, fresh.`note`, fresh.`order`, fresh.`attributes`, fresh.`seen`, fresh.`a_name_of_many_words_b08917cd`, fresh.`updated_at`, fresh.`_kafka_offset`, fresh.`_load_id`, fresh.`_deleted_at`, fresh.`_deleted_offset` FROM (SELECT * FROM stage) AS fresh LEFT JOIN `tiledesk`.`tags` AS held ON held.`_id` = fresh.`_id` AND COALESCE(CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_at` ELSE held.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(CASE WHEN fresh.`_deleted_at` IS NOT NULL THEN fresh.`_deleted_at` ELSE fresh.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_offset` ELSE held.`_kafka_offset` END = CASE WHEN fresh.`_deleted_at` IS NOT NULL THEN fresh.`_deleted_offset` ELSE fresh.`_kafka_offset` END AND (held.`_deleted_at` IS NULL) = (fresh.`_deleted_at` IS NULL) WHERE held.`_id` IS NULL;
MERGE INTO `tiledesk`.`tags` AS held USING (
	SELECT id, placed, place, live, began, lead(began) OVER (PARTITION BY id ORDER BY placed, place, live) AS ended, (SELECT max(`_load_id`) FROM (SELECT * FROM stage) AS staged) AS mark_0 FROM (
		SELECT held.`_id` AS id, COALESCE(CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_at` ELSE held.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AS placed, CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_offset` ELSE held.`_kafka_offset` END AS place, (held.`_deleted_at` IS NULL) AS live, greatest(COALESCE(CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_at` ELSE held.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)), CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AS began
		FROM `tiledesk`.`tags` AS held WHERE held.`_id` IN (SELECT staged.`_id` FROM (SELECT * FROM stage) AS staged)) AS versions) AS fresh ON held.`_id` = fresh.id AND COALESCE(CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_at` ELSE held.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = fresh.placed AND CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_offset` ELSE held.`_kafka_offset` END = fresh.place AND (held.`_deleted_at` IS NULL) = fresh.live
WHEN MATCHED AND ((held.`_valid_from` <> fresh.began OR (held.`_valid_from` IS NULL) <> (fresh.began IS NULL)) OR (held.`_valid_to` <> fresh.ended OR (held.`_valid_to` IS NULL) <> (fresh.ended IS NULL))) THEN UPDATE SET `_valid_from` = fresh.began, `_valid_to` = fresh.ended, `_load_id` = fresh.mark_0;

