-- system table _tilestream_ledger
CREATE SCHEMA IF NOT EXISTS `tiledesk`;
CREATE TABLE IF NOT EXISTS `tiledesk`.`_tilestream_ledger` (cluster STRING, consumer_group STRING, topic STRING, `partition` BIGINT, next_offset BIGINT NOT NULL, updated_at TIMESTAMP NOT NULL)
TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.isolationLevel' = 'Serializable', 'delta.enableDeletionVectors' = 'false');

-- system table _tilestream_loads
CREATE TABLE IF NOT EXISTS `tiledesk`.`_tilestream_loads` (load_id STRING NOT NULL, table_name STRING NOT NULL, `rows` BIGINT NOT NULL, inserted BIGINT NOT NULL, updated BIGINT NOT NULL, unchanged BIGINT NOT NULL, bytes BIGINT NOT NULL, ranges STRING NOT NULL, started_at TIMESTAMP NOT NULL, finished_at TIMESTAMP NOT NULL)
TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.isolationLevel' = 'Serializable', 'delta.enableDeletionVectors' = 'false');

-- system table _tilestream_tables
CREATE TABLE IF NOT EXISTS `tiledesk`.`_tilestream_tables` (table_name STRING NOT NULL, write_mode STRING NOT NULL)
TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.isolationLevel' = 'Serializable', 'delta.enableDeletionVectors' = 'false');

-- system table _tilestream_deleted
CREATE TABLE IF NOT EXISTS `tiledesk`.`_tilestream_deleted` (table_name STRING NOT NULL, deleted_key STRING NOT NULL, deleted_at TIMESTAMP NOT NULL, deleted_offset BIGINT NOT NULL)
TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.isolationLevel' = 'Serializable', 'delta.enableDeletionVectors' = 'false');

-- a table
CREATE TABLE IF NOT EXISTS `tiledesk`.`tags` (
	`_id` STRING NOT NULL,
	`note` STRING,
	`order` BIGINT,
	`attributes` STRING COMMENT 'JSON',
	`seen` TIMESTAMP,
	`a_name_of_many_words_b08917cd` DOUBLE,
	`updated_at` TIMESTAMP,
	`_kafka_offset` BIGINT,
	`_load_id` STRING,
	`_deleted_at` TIMESTAMP,
	`_deleted_offset` BIGINT
)
CLUSTER BY (`_id`)
TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.isolationLevel' = 'Serializable', 'delta.enableDeletionVectors' = 'false');

-- a table that keeps history, where a dropped one kept every version
DELETE FROM `tiledesk`.`_tilestream_tables` WHERE table_name = 'tags';
INSERT INTO `tiledesk`.`_tilestream_tables` (table_name, write_mode) VALUES ('tags', 'history');
CREATE TABLE IF NOT EXISTS `tiledesk`.`tags` (
	`_id` STRING NOT NULL,
	`note` STRING,
	`order` BIGINT,
	`attributes` STRING COMMENT 'JSON',
	`seen` TIMESTAMP,
	`a_name_of_many_words_b08917cd` DOUBLE,
	`updated_at` TIMESTAMP,
	`_kafka_offset` BIGINT,
	`_load_id` STRING,
	`_deleted_at` TIMESTAMP,
	`_deleted_offset` BIGINT,
	`_valid_from` TIMESTAMP,
	`_valid_to` TIMESTAMP
)
CLUSTER BY (`_id`)
TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.isolationLevel' = 'Serializable', 'delta.enableDeletionVectors' = 'false');

-- a view of an array
CREATE VIEW IF NOT EXISTS `tiledesk`.`tags__attributes` AS
SELECT r.`_id`, r.`_kafka_offset`, r.`_deleted_at`, e.pos AS `_index`, to_json(e.value) AS `value`, CASE WHEN NOT startswith(schema_of_variant(e.value), 'ARRAY') AND NOT startswith(schema_of_variant(e.value), 'OBJECT') THEN CAST(e.value AS STRING) END AS `text`
FROM `tiledesk`.`tags` AS r, LATERAL variant_explode(try_parse_json(r.`attributes`)) AS e WHERE e.key IS NULL;

-- what is written down of changes
CREATE TABLE IF NOT EXISTS `tiledesk`.`_tilestream_schemas` (table_name STRING NOT NULL, schema_id BIGINT, changed_at TIMESTAMP NOT NULL, `change` STRING NOT NULL, ddl STRING NOT NULL);
INSERT INTO `tiledesk`.`_tilestream_schemas` (table_name, schema_id, changed_at, `change`, ddl) VALUES
('tags', 9, CAST('2026-11-22 15:04:05.000000+00:00' AS TIMESTAMP), 'add column it\'s, \\', 'ONE;\nTWO');

-- a number that becomes text
CASE WHEN `order` = FLOOR(`order`) AND ABS(`order`) < 1e15 THEN CAST(CAST(`order` AS BIGINT) AS STRING) ELSE CAST(`order` AS STRING) END;

-- columns that are missing, and one that is too narrow: first step
ALTER TABLE `tiledesk`.`tags` RENAME COLUMN `note` TO `note__narrow`;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `order` BIGINT;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `attributes` STRING COMMENT 'JSON';
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `seen` TIMESTAMP;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `a_name_of_many_words_b08917cd` DOUBLE;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `updated_at` TIMESTAMP;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_kafka_offset` BIGINT;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_load_id` STRING;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_deleted_at` TIMESTAMP;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_deleted_offset` BIGINT;

-- second step
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `note__wide` STRING;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `order` BIGINT;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `attributes` STRING COMMENT 'JSON';
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `seen` TIMESTAMP;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `a_name_of_many_words_b08917cd` DOUBLE;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `updated_at` TIMESTAMP;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_kafka_offset` BIGINT;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_load_id` STRING;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_deleted_at` TIMESTAMP;
ALTER TABLE `tiledesk`.`tags` ADD COLUMN `_deleted_offset` BIGINT;

-- third step, of a time
UPDATE `tiledesk`.`tags` SET `seen__wide` = CAST(date_format(`seen__narrow`, 'yyyy-MM-dd\'T\'HH:mm:ss.SSS\'Z\'') AS STRING), `seen__narrow` = NULL WHERE `seen__narrow` IS NOT NULL;
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
MERGE INTO `tiledesk`.`tags` AS held USING (SELECT * FROM `tiledesk`.`_tilestream_deleted` AS gone WHERE table_name = 'tags' AND deleted_key IN (SELECT `_id` FROM (SELECT * FROM (SELECT * FROM stage) AS staged WHERE `_deleted_at` IS NOT NULL) AS staged)) AS gone ON held.`_id` = gone.deleted_key
WHEN MATCHED AND (gone.deleted_at > COALESCE(held.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) OR gone.deleted_at = COALESCE(held.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND gone.deleted_offset > COALESCE(held.`_kafka_offset`, -1)) THEN DELETE;
MERGE INTO `tiledesk`.`tags` AS held USING (SELECT * FROM (SELECT * FROM stage) AS staged WHERE `_deleted_at` IS NULL) AS fresh ON held.`_id` = fresh.`_id`
WHEN MATCHED AND (COALESCE(fresh.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(held.`updated_at`, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND COALESCE(fresh.`_kafka_offset`, -1) = COALESCE(held.`_kafka_offset`, -1)) AND ((held.`note` <> fresh.`note` OR (held.`note` IS NULL) <> (fresh.`note` IS NULL)) OR (held.`order` <> fresh.`order` OR (held.`order` IS NULL) <> (fresh.`order` IS NULL)) OR (held.`attributes` <> fresh.`attributes` OR (held.`attributes` IS NULL) <> (fresh.`attributes` IS NULL)) OR (held.`seen` <> fresh.`seen` OR (held.`seen` IS NULL) <> (fresh.`seen` IS NULL)) OR (held.`a_name_of_many_words_b08917cd` <> fresh.`a_name_of_many_words_b08917cd` OR (held.`a_name_of_many_words_b08917cd` IS NULL) <> (fresh.`a_name_of_many_words_b08917cd` IS NULL))) THEN UPDATE SET `note` = fresh.`note`, `order` = fresh.`order`, `attributes` = fresh.`attributes`, `seen` = fresh.`seen`, `a_name_of_many_words_b08917cd` = fresh.`a_name_of_many_words_b08917cd`, `_load_id` = fresh.`_load_id`;

-- append, in a replay
MERGE INTO `tiledesk`.`tags` AS held USING (SELECT * FROM stage) AS fresh ON held.`_id` = fresh.`_id` AND COALESCE(CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_at` ELSE held.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(CASE WHEN fresh.`_deleted_at` IS NOT NULL THEN fresh.`_deleted_at` ELSE fresh.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_offset` ELSE held.`_kafka_offset` END = CASE WHEN fresh.`_deleted_at` IS NOT NULL THEN fresh.`_deleted_offset` ELSE fresh.`_kafka_offset` END AND (held.`_deleted_at` IS NULL) = (fresh.`_deleted_at` IS NULL)
WHEN NOT MATCHED THEN INSERT (`_id`, `note`, `order`, `attributes`, `seen`, `a_name_of_many_words_b08917cd`, `updated_at`, `_kafka_offset`, `_load_id`, `_deleted_at`, `_deleted_offset`) VALUES (fresh.`_id`, fresh.`note`, fresh.`order`, fresh.`attributes`, fresh.`seen`, fresh.`a_name_of_many_words_b08917cd`, fresh.`updated_at`, fresh.`_kafka_offset`, fresh.`_load_id`, fresh.`_deleted_at`, fresh.`_deleted_offset`);
MERGE INTO `tiledesk`.`tags` AS held USING (SELECT * FROM stage) AS fresh ON held.`_id` = fresh.`_id` AND COALESCE(CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_at` ELSE held.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(CASE WHEN fresh.`_deleted_at` IS NOT NULL THEN fresh.`_deleted_at` ELSE fresh.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_offset` ELSE held.`_kafka_offset` END = CASE WHEN fresh.`_deleted_at` IS NOT NULL THEN fresh.`_deleted_offset` ELSE fresh.`_kafka_offset` END AND (held.`_deleted_at` IS NULL) = (fresh.`_deleted_at` IS NULL)
WHEN MATCHED AND ((held.`note` <> fresh.`note` OR (held.`note` IS NULL) <> (fresh.`note` IS NULL)) OR (held.`order` <> fresh.`order` OR (held.`order` IS NULL) <> (fresh.`order` IS NULL)) OR (held.`attributes` <> fresh.`attributes` OR (held.`attributes` IS NULL) <> (fresh.`attributes` IS NULL)) OR (held.`seen` <> fresh.`seen` OR (held.`seen` IS NULL) <> (fresh.`seen` IS NULL)) OR (held.`a_name_of_many_words_b08917cd` <> fresh.`a_name_of_many_words_b08917cd` OR (held.`a_name_of_many_words_b08917cd` IS NULL) <> (fresh.`a_name_of_many_words_b08917cd` IS NULL))) THEN UPDATE SET `note` = fresh.`note`, `order` = fresh.`order`, `attributes` = fresh.`attributes`, `seen` = fresh.`seen`, `a_name_of_many_words_b08917cd` = fresh.`a_name_of_many_words_b08917cd`, `_load_id` = fresh.`_load_id`;

-- history
MERGE INTO `tiledesk`.`tags` AS held USING (SELECT * FROM stage) AS fresh ON held.`_id` = fresh.`_id` AND COALESCE(CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_at` ELSE held.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = COALESCE(CASE WHEN fresh.`_deleted_at` IS NOT NULL THEN fresh.`_deleted_at` ELSE fresh.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AND CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_offset` ELSE held.`_kafka_offset` END = CASE WHEN fresh.`_deleted_at` IS NOT NULL THEN fresh.`_deleted_offset` ELSE fresh.`_kafka_offset` END AND (held.`_deleted_at` IS NULL) = (fresh.`_deleted_at` IS NULL)
WHEN NOT MATCHED THEN INSERT (`_id`, `note`, `order`, `attributes`, `seen`, `a_name_of_many_words_b08917cd`, `updated_at`, `_kafka_offset`, `_load_id`, `_deleted_at`, `_deleted_offset`) VALUES (fresh.`_id`, fresh.`note`, fresh.`order`, fresh.`attributes`, fresh.`seen`, fresh.`a_name_of_many_words_b08917cd`, fresh.`updated_at`, fresh.`_kafka_offset`, fresh.`_load_id`, fresh.`_deleted_at`, fresh.`_deleted_offset`);
MERGE INTO `tiledesk`.`tags` AS held USING (
	SELECT id, placed, place, live, began, lead(began) OVER (PARTITION BY id ORDER BY placed, place, live) AS ended, (SELECT max(`_load_id`) FROM (SELECT * FROM stage) AS staged) AS mark_0 FROM (
		SELECT held.`_id` AS id, COALESCE(CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_at` ELSE held.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AS placed, CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_offset` ELSE held.`_kafka_offset` END AS place, (held.`_deleted_at` IS NULL) AS live, greatest(COALESCE(CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_at` ELSE held.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)), CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) AS began
		FROM `tiledesk`.`tags` AS held WHERE held.`_id` IN (SELECT staged.`_id` FROM (SELECT * FROM stage) AS staged)) AS versions) AS fresh ON held.`_id` = fresh.id AND COALESCE(CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_at` ELSE held.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) = fresh.placed AND CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_offset` ELSE held.`_kafka_offset` END = fresh.place AND (held.`_deleted_at` IS NULL) = fresh.live
WHEN MATCHED AND ((held.`_valid_from` <> fresh.began OR (held.`_valid_from` IS NULL) <> (fresh.began IS NULL)) OR (held.`_valid_to` <> fresh.ended OR (held.`_valid_to` IS NULL) <> (fresh.ended IS NULL))) THEN UPDATE SET `_valid_from` = fresh.began, `_valid_to` = fresh.ended, `_load_id` = fresh.mark_0;

-- the ledger and the load
MERGE INTO `tiledesk`.`_tilestream_ledger` AS held USING (SELECT 'cluster' AS cluster, 'it\'s' AS consumer_group, 'a\\b' AS topic, CAST(0 AS BIGINT) AS `partition`, CAST(0 AS BIGINT) AS begins, CAST(10 AS BIGINT) AS ends UNION ALL SELECT 'cluster' AS cluster, 'it\'s' AS consumer_group, 'a\\b' AS topic, CAST(1 AS BIGINT) AS `partition`, CAST(5 AS BIGINT) AS begins, CAST(10 AS BIGINT) AS ends) AS fresh ON held.cluster = fresh.cluster AND held.consumer_group = fresh.consumer_group AND held.topic = fresh.topic AND held.`partition` = fresh.`partition`
WHEN NOT MATCHED THEN INSERT (cluster, consumer_group, topic, `partition`, next_offset, updated_at) VALUES (fresh.cluster, fresh.consumer_group, fresh.topic, fresh.`partition`, 0, CAST('1970-01-01 00:00:01.500000+00:00' AS TIMESTAMP));
MERGE INTO `tiledesk`.`_tilestream_ledger` AS held USING (SELECT 'cluster' AS cluster, 'it\'s' AS consumer_group, 'a\\b' AS topic, CAST(0 AS BIGINT) AS `partition`, CAST(0 AS BIGINT) AS begins, CAST(10 AS BIGINT) AS ends UNION ALL SELECT 'cluster' AS cluster, 'it\'s' AS consumer_group, 'a\\b' AS topic, CAST(1 AS BIGINT) AS `partition`, CAST(5 AS BIGINT) AS begins, CAST(10 AS BIGINT) AS ends) AS fresh ON held.cluster = fresh.cluster AND held.consumer_group = fresh.consumer_group AND held.topic = fresh.topic AND held.`partition` = fresh.`partition`
WHEN MATCHED THEN UPDATE SET next_offset = CASE WHEN held.next_offset = fresh.begins THEN fresh.ends ELSE CAST(raise_error('the ledger stands at ' || CAST(held.next_offset AS STRING) || ', the batch starts at ' || CAST(fresh.begins AS STRING)) AS BIGINT) END, updated_at = CAST('1970-01-01 00:00:01.500000+00:00' AS TIMESTAMP);
INSERT INTO `tiledesk`.`_tilestream_loads` (load_id, table_name, `rows`, inserted, updated, unchanged, bytes, ranges, started_at, finished_at) VALUES ('load', 'tags', 1, 1, 0, 0, 99, '[{"cluster":"cluster","group":"it\'s","topic":"a\\\\b","partition":0,"from":0,"to":10},{"cluster":"cluster","group":"it\'s","topic":"a\\\\b","partition":1,"from":5,"to":10}]', CAST('1970-01-01 00:00:00.000000+00:00' AS TIMESTAMP), CAST('1970-01-01 00:00:01.500000+00:00' AS TIMESTAMP));

