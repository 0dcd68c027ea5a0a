-- system table _tilestream_ledger
CREATE SCHEMA IF NOT EXISTS `tiledesk`;
CREATE TABLE IF NOT EXISTS `tiledesk`.`_tilestream_format` (version BIGINT NOT NULL)
TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.isolationLevel' = 'Serializable', 'delta.enableDeletionVectors' = 'false');
INSERT INTO `tiledesk`.`_tilestream_format` (version) SELECT 1 FROM (SELECT count(*) AS n FROM `tiledesk`.`_tilestream_format`) AS held WHERE n = 0;
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

-- report_conversations
CREATE OR REPLACE VIEW `tiledesk`.`report_conversations` AS
WITH c AS (
	SELECT r.*, CASE WHEN r.waiting_time >= 0 THEN r.waiting_time / 1000 END AS waiting_seconds,
		CASE WHEN r.status = 1000 THEN r.last_closed_at END AS closed_at, CASE WHEN r.status = 1000 THEN r.last_closed_by END AS closed_by,
		CASE WHEN r.status = 1000 AND r.last_closed_at >= r.first_response_at THEN CAST(unix_millis(r.last_closed_at) - unix_millis(r.first_response_at) AS DOUBLE) / 1000 END AS handling_seconds, CASE WHEN r.status = 1000 AND r.last_closed_at >= r.opened_at THEN CAST(unix_millis(r.last_closed_at) - unix_millis(r.opened_at) AS DOUBLE) / 1000 END AS duration_seconds
	FROM (
		SELECT r.`_id` AS id, r.`request_id` AS request_id, r.`ticket_id` AS ticket_id, COALESCE(r.`id_project`, r.`_project_id`) AS id_project, r.`status` AS status, r.`channel_name` AS channel,
			r.`department_id` AS department_id, r.`department_name` AS department_name, r.`language` AS language, r.`lead_id` AS lead_id, COALESCE(r.`requester_user_id`, r.`created_by`) AS visitor,
			r.`created_at` AS opened_at, r.`first_response_at` AS first_response_at, r.`closed_at` AS last_closed_at, r.`closed_by` AS last_closed_by, CAST(r.`waiting_time` AS DOUBLE) AS waiting_time,
			CAST(r.`rating` AS DOUBLE) AS rating, r.`rating_message` AS rating_message, r.`preflight` AS preflight, r.`participants_agents` AS agents_now, r.`participants_bots` AS bots_now, r.`tags` AS tags_now
		FROM `tiledesk`.`requests` AS r WHERE r.`_deleted_at` IS NULL
	) AS r
	WHERE r.request_id IS NOT NULL AND COALESCE(r.preflight, FALSE) = FALSE),
said AS (
	SELECT r.`recipient` AS request_id, r.`sender` AS sender, COUNT(*) AS n, MIN(r.`created_at`) AS first_at,
		SUM(CASE WHEN r.`sender` = 'system' AND get_json_object(r.`attributes`, '$.messagelabel.key') = 'CHAT_REOPENED' THEN 1 ELSE 0 END) AS reopenings
	FROM `tiledesk`.`messages` AS r WHERE r.`_deleted_at` IS NULL
	GROUP BY 1, 2),
spoke AS (
	SELECT s.request_id, c.id_project, s.sender, s.n, s.first_at, s.reopenings,
		CASE WHEN s.sender = 'system' THEN 'system' WHEN LEFT(s.sender, 4) = 'bot_' THEN 'bot' WHEN s.sender = c.visitor THEN 'visitor' WHEN s.sender IS NOT NULL THEN 'agent' END AS side
	FROM said AS s JOIN c ON c.request_id = s.request_id),
part AS (
	SELECT request_id, side, who FROM (
		SELECT request_id, side, CASE WHEN side = 'bot' AND LEFT(who, 4) = 'bot_' THEN SUBSTRING(who, 5) ELSE who END AS who FROM (
			SELECT c.request_id AS request_id, 'agent' AS side, CASE WHEN NOT startswith(schema_of_variant(e.value), 'ARRAY') AND NOT startswith(schema_of_variant(e.value), 'OBJECT') THEN CAST(e.value AS STRING) END AS who FROM c, LATERAL variant_explode(try_parse_json(c.agents_now)) AS e WHERE e.key IS NULL
			UNION ALL
			SELECT c.request_id AS request_id, 'bot' AS side, CASE WHEN NOT startswith(schema_of_variant(e.value), 'ARRAY') AND NOT startswith(schema_of_variant(e.value), 'OBJECT') THEN CAST(e.value AS STRING) END AS who FROM c, LATERAL variant_explode(try_parse_json(c.bots_now)) AS e WHERE e.key IS NULL
			UNION ALL
			SELECT request_id, side, sender FROM spoke WHERE side IN ('agent', 'bot')
		) AS every_mention
	) AS mentions
	WHERE who <> '' GROUP BY request_id, side, who),
names AS (
	SELECT 'agent' AS side, r.`user_id` AS who, MAX(COALESCE(NULLIF(TRIM(COALESCE(r.`firstname`, '') || ' ' || COALESCE(r.`lastname`, '')), ''), r.`email`)) AS name
	FROM `tiledesk`.`members` AS r WHERE r.`_deleted_at` IS NULL GROUP BY 2
	UNION ALL
	SELECT 'bot' AS side, r.`_id` AS who, NULLIF(MAX(r.`name`), '') AS name
	FROM `tiledesk`.`bots` AS r WHERE r.`_deleted_at` IS NULL GROUP BY 2),
people AS (
	SELECT p.request_id, p.side, array_join(array_sort(collect_list(COALESCE(n.name, p.who))), ', ') AS called
	FROM part AS p
	LEFT JOIN names AS n ON n.side = p.side AND n.who = p.who
	GROUP BY p.request_id, p.side),
tagged AS (
	SELECT request_id, NULLIF(array_join(array_sort(collect_list(tag)), ', '), '') AS tags FROM (SELECT c.request_id AS request_id, COALESCE(get_json_object(to_json(e.value), '$.tag'), CASE WHEN NOT startswith(schema_of_variant(e.value), 'ARRAY') AND NOT startswith(schema_of_variant(e.value), 'OBJECT') THEN CAST(e.value AS STRING) END) AS tag FROM c, LATERAL variant_explode(try_parse_json(c.tags_now)) AS e WHERE e.key IS NULL) AS tags_of GROUP BY request_id),
sides AS (
	SELECT request_id, SUM(CASE WHEN side = 'visitor' THEN n ELSE 0 END) AS visitor_said, SUM(CASE WHEN side = 'agent' THEN n ELSE 0 END) AS agent_said, SUM(CASE WHEN side = 'bot' THEN n ELSE 0 END) AS bot_said, SUM(CASE WHEN side = 'system' THEN n ELSE 0 END) AS system_said, SUM(reopenings) AS reopenings, MIN(CASE WHEN side = 'agent' THEN first_at END) AS agent_at
	FROM spoke GROUP BY request_id)
SELECT CAST(c.id AS STRING) AS `_id`,
	CAST(c.request_id AS STRING) AS `request_id`,
	CAST(c.ticket_id AS BIGINT) AS `ticket_id`,
	CAST(c.id_project AS STRING) AS `id_project`,
	CAST(CASE c.status WHEN 50 THEN 'temporary' WHEN 100 THEN 'unassigned' WHEN 150 THEN 'abandoned' WHEN 200 THEN 'assigned' WHEN 300 THEN 'served' WHEN 1000 THEN 'closed' END AS STRING) AS `status`,
	CAST(c.channel AS STRING) AS `channel`,
	CAST(c.department_id AS STRING) AS `department_id`,
	CAST(COALESCE(d.name, c.department_name) AS STRING) AS `department`,
	CAST(c.language AS STRING) AS `language`,
	CAST(c.lead_id AS STRING) AS `lead_id`,
	CAST(c.opened_at AS TIMESTAMP) AS `opened_at`,
	CAST(c.first_response_at AS TIMESTAMP) AS `first_response_at`,
	CAST(s.agent_at AS TIMESTAMP) AS `first_agent_message_at`,
	CAST(c.waiting_seconds AS DOUBLE) AS `waiting_seconds`,
	CAST(c.closed_at AS TIMESTAMP) AS `closed_at`,
	CAST(c.closed_by AS STRING) AS `closed_by`,
	CAST(CASE WHEN c.closed_by = 'system' OR LEFT(c.closed_by, 1) = '_' THEN 'system' WHEN LEFT(c.closed_by, 4) = 'bot_' OR b.who IS NOT NULL THEN 'bot' WHEN c.closed_by = c.visitor THEN 'visitor' WHEN c.closed_by IS NOT NULL THEN 'agent' END AS STRING) AS `closed_by_side`,
	CAST(c.handling_seconds AS DOUBLE) AS `handling_seconds`,
	CAST(c.duration_seconds AS DOUBLE) AS `duration_seconds`,
	CAST((c.last_closed_at IS NOT NULL AND COALESCE(c.status, 0) <> 1000 OR COALESCE(s.reopenings, 0) > 0) AS BOOLEAN) AS `reopened`,
	CAST(CASE WHEN agents.called IS NOT NULL AND bots.called IS NOT NULL THEN 'bot and agent' WHEN agents.called IS NOT NULL THEN 'agent' WHEN bots.called IS NOT NULL THEN 'bot' ELSE 'nobody' END AS STRING) AS `handled_by`,
	CAST(agents.called AS STRING) AS `agents`,
	CAST(bots.called AS STRING) AS `bots`,
	CAST(c.rating AS DOUBLE) AS `rating`,
	CAST(c.rating_message AS STRING) AS `rating_message`,
	CAST(t.tags AS STRING) AS `tags`,
	CAST(COALESCE(s.visitor_said, 0) AS BIGINT) AS `messages_visitor`,
	CAST(COALESCE(s.agent_said, 0) AS BIGINT) AS `messages_agent`,
	CAST(COALESCE(s.bot_said, 0) AS BIGINT) AS `messages_bot`,
	CAST(COALESCE(s.system_said, 0) AS BIGINT) AS `messages_system`
FROM c
LEFT JOIN people AS agents ON agents.request_id = c.request_id AND agents.side = 'agent'
LEFT JOIN people AS bots ON bots.request_id = c.request_id AND bots.side = 'bot'
LEFT JOIN tagged AS t ON t.request_id = c.request_id
LEFT JOIN part AS b ON b.request_id = c.request_id AND b.side = 'bot' AND b.who = c.closed_by
LEFT JOIN (SELECT r.`_id` AS id, r.`name` AS name FROM `tiledesk`.`departments` AS r WHERE r.`_deleted_at` IS NULL) AS d ON d.id = c.department_id
LEFT JOIN sides AS s ON s.request_id = c.request_id;

-- report_agents_daily
CREATE OR REPLACE VIEW `tiledesk`.`report_agents_daily` AS
WITH c AS (
	SELECT r.*, CASE WHEN r.waiting_time >= 0 THEN r.waiting_time / 1000 END AS waiting_seconds,
		CASE WHEN r.status = 1000 THEN r.last_closed_at END AS closed_at, CASE WHEN r.status = 1000 THEN r.last_closed_by END AS closed_by,
		CASE WHEN r.status = 1000 AND r.last_closed_at >= r.first_response_at THEN CAST(unix_millis(r.last_closed_at) - unix_millis(r.first_response_at) AS DOUBLE) / 1000 END AS handling_seconds, CASE WHEN r.status = 1000 AND r.last_closed_at >= r.opened_at THEN CAST(unix_millis(r.last_closed_at) - unix_millis(r.opened_at) AS DOUBLE) / 1000 END AS duration_seconds
	FROM (
		SELECT r.`_id` AS id, r.`request_id` AS request_id, r.`ticket_id` AS ticket_id, COALESCE(r.`id_project`, r.`_project_id`) AS id_project, r.`status` AS status, r.`channel_name` AS channel,
			r.`department_id` AS department_id, r.`department_name` AS department_name, r.`language` AS language, r.`lead_id` AS lead_id, COALESCE(r.`requester_user_id`, r.`created_by`) AS visitor,
			r.`created_at` AS opened_at, r.`first_response_at` AS first_response_at, r.`closed_at` AS last_closed_at, r.`closed_by` AS last_closed_by, CAST(r.`waiting_time` AS DOUBLE) AS waiting_time,
			CAST(r.`rating` AS DOUBLE) AS rating, r.`rating_message` AS rating_message, r.`preflight` AS preflight, r.`participants_agents` AS agents_now, r.`participants_bots` AS bots_now, r.`tags` AS tags_now
		FROM `tiledesk`.`requests` AS r WHERE r.`_deleted_at` IS NULL
	) AS r
	WHERE r.request_id IS NOT NULL AND COALESCE(r.preflight, FALSE) = FALSE),
said AS (
	SELECT r.`recipient` AS request_id, r.`sender` AS sender, CAST(to_utc_timestamp(r.`created_at`, current_timezone()) AS DATE) AS period, COUNT(*) AS n, MIN(r.`created_at`) AS first_at,
		SUM(CASE WHEN r.`sender` = 'system' AND get_json_object(r.`attributes`, '$.messagelabel.key') = 'CHAT_REOPENED' THEN 1 ELSE 0 END) AS reopenings
	FROM `tiledesk`.`messages` AS r WHERE r.`_deleted_at` IS NULL
	GROUP BY 1, 2, 3),
spoke AS (
	SELECT s.request_id, c.id_project, s.sender, s.period, s.n, s.first_at, s.reopenings,
		CASE WHEN s.sender = 'system' THEN 'system' WHEN LEFT(s.sender, 4) = 'bot_' THEN 'bot' WHEN s.sender = c.visitor THEN 'visitor' WHEN s.sender IS NOT NULL THEN 'agent' END AS side
	FROM said AS s JOIN c ON c.request_id = s.request_id),
part AS (
	SELECT request_id, side, who FROM (
		SELECT request_id, side, CASE WHEN side = 'bot' AND LEFT(who, 4) = 'bot_' THEN SUBSTRING(who, 5) ELSE who END AS who FROM (
			SELECT c.request_id AS request_id, 'agent' AS side, CASE WHEN NOT startswith(schema_of_variant(e.value), 'ARRAY') AND NOT startswith(schema_of_variant(e.value), 'OBJECT') THEN CAST(e.value AS STRING) END AS who FROM c, LATERAL variant_explode(try_parse_json(c.agents_now)) AS e WHERE e.key IS NULL
			UNION ALL
			SELECT c.request_id AS request_id, 'bot' AS side, CASE WHEN NOT startswith(schema_of_variant(e.value), 'ARRAY') AND NOT startswith(schema_of_variant(e.value), 'OBJECT') THEN CAST(e.value AS STRING) END AS who FROM c, LATERAL variant_explode(try_parse_json(c.bots_now)) AS e WHERE e.key IS NULL
			UNION ALL
			SELECT request_id, side, sender FROM spoke WHERE side IN ('agent', 'bot')
		) AS every_mention
	) AS mentions
	WHERE who <> '' GROUP BY request_id, side, who),
names AS (
	SELECT 'agent' AS side, r.`user_id` AS who, MAX(COALESCE(NULLIF(TRIM(COALESCE(r.`firstname`, '') || ' ' || COALESCE(r.`lastname`, '')), ''), r.`email`)) AS name
	FROM `tiledesk`.`members` AS r WHERE r.`_deleted_at` IS NULL GROUP BY 2
	UNION ALL
	SELECT 'bot' AS side, r.`_id` AS who, NULLIF(MAX(r.`name`), '') AS name
	FROM `tiledesk`.`bots` AS r WHERE r.`_deleted_at` IS NULL GROUP BY 2)
SELECT CAST(x.on_day AS DATE) AS `day`,
	CAST(x.id_project AS STRING) AS `id_project`,
	CAST(x.who AS STRING) AS `agent_id`,
	CAST(MAX(COALESCE(n.name, x.who)) AS STRING) AS `agent`,
	CAST(SUM(x.opened) AS BIGINT) AS `conversations`,
	CAST(SUM(x.closed) AS BIGINT) AS `closed`,
	CAST(SUM(x.said) AS BIGINT) AS `messages`,
	CAST(AVG(x.waiting_seconds) AS DOUBLE) AS `waiting_seconds`,
	CAST(AVG(x.handling_seconds) AS DOUBLE) AS `handling_seconds`,
	CAST(COUNT(x.rating) AS BIGINT) AS `ratings`,
	CAST(AVG(x.rating) AS DOUBLE) AS `rating`
FROM (
	SELECT CAST(to_utc_timestamp(c.opened_at, current_timezone()) AS DATE) AS on_day, c.id_project, p.who, 1 AS opened, 0 AS closed, 0 AS said, c.waiting_seconds, c.handling_seconds, c.rating
	FROM part AS p JOIN c ON c.request_id = p.request_id WHERE p.side = 'agent'
	UNION ALL
	SELECT CAST(to_utc_timestamp(c.closed_at, current_timezone()) AS DATE), c.id_project, c.closed_by, 0, 1, 0, CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE)
	FROM c LEFT JOIN part AS b ON b.request_id = c.request_id AND b.side = 'bot' AND b.who = c.closed_by
	WHERE c.closed_at IS NOT NULL AND c.closed_by <> 'system' AND LEFT(c.closed_by, 1) <> '_' AND LEFT(c.closed_by, 4) <> 'bot_' AND b.who IS NULL AND (c.visitor IS NULL OR c.closed_by <> c.visitor)
	UNION ALL
	SELECT s.period, s.id_project, s.sender, 0, 0, s.n, CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE)
	FROM spoke AS s WHERE s.side = 'agent'
) AS x
LEFT JOIN names AS n ON n.side = 'agent' AND n.who = x.who
WHERE x.on_day IS NOT NULL
GROUP BY x.on_day, x.id_project, x.who;

-- report_bots_daily
CREATE OR REPLACE VIEW `tiledesk`.`report_bots_daily` AS
WITH c AS (
	SELECT r.*, CASE WHEN r.waiting_time >= 0 THEN r.waiting_time / 1000 END AS waiting_seconds,
		CASE WHEN r.status = 1000 THEN r.last_closed_at END AS closed_at, CASE WHEN r.status = 1000 THEN r.last_closed_by END AS closed_by,
		CASE WHEN r.status = 1000 AND r.last_closed_at >= r.first_response_at THEN CAST(unix_millis(r.last_closed_at) - unix_millis(r.first_response_at) AS DOUBLE) / 1000 END AS handling_seconds, CASE WHEN r.status = 1000 AND r.last_closed_at >= r.opened_at THEN CAST(unix_millis(r.last_closed_at) - unix_millis(r.opened_at) AS DOUBLE) / 1000 END AS duration_seconds
	FROM (
		SELECT r.`_id` AS id, r.`request_id` AS request_id, r.`ticket_id` AS ticket_id, COALESCE(r.`id_project`, r.`_project_id`) AS id_project, r.`status` AS status, r.`channel_name` AS channel,
			r.`department_id` AS department_id, r.`department_name` AS department_name, r.`language` AS language, r.`lead_id` AS lead_id, COALESCE(r.`requester_user_id`, r.`created_by`) AS visitor,
			r.`created_at` AS opened_at, r.`first_response_at` AS first_response_at, r.`closed_at` AS last_closed_at, r.`closed_by` AS last_closed_by, CAST(r.`waiting_time` AS DOUBLE) AS waiting_time,
			CAST(r.`rating` AS DOUBLE) AS rating, r.`rating_message` AS rating_message, r.`preflight` AS preflight, r.`participants_agents` AS agents_now, r.`participants_bots` AS bots_now, r.`tags` AS tags_now
		FROM `tiledesk`.`requests` AS r WHERE r.`_deleted_at` IS NULL
	) AS r
	WHERE r.request_id IS NOT NULL AND COALESCE(r.preflight, FALSE) = FALSE),
said AS (
	SELECT r.`recipient` AS request_id, r.`sender` AS sender, COUNT(*) AS n, MIN(r.`created_at`) AS first_at,
		SUM(CASE WHEN r.`sender` = 'system' AND get_json_object(r.`attributes`, '$.messagelabel.key') = 'CHAT_REOPENED' THEN 1 ELSE 0 END) AS reopenings
	FROM `tiledesk`.`messages` AS r WHERE r.`_deleted_at` IS NULL
	GROUP BY 1, 2),
spoke AS (
	SELECT s.request_id, c.id_project, s.sender, s.n, s.first_at, s.reopenings,
		CASE WHEN s.sender = 'system' THEN 'system' WHEN LEFT(s.sender, 4) = 'bot_' THEN 'bot' WHEN s.sender = c.visitor THEN 'visitor' WHEN s.sender IS NOT NULL THEN 'agent' END AS side
	FROM said AS s JOIN c ON c.request_id = s.request_id),
part AS (
	SELECT request_id, side, who FROM (
		SELECT request_id, side, CASE WHEN side = 'bot' AND LEFT(who, 4) = 'bot_' THEN SUBSTRING(who, 5) ELSE who END AS who FROM (
			SELECT c.request_id AS request_id, 'agent' AS side, CASE WHEN NOT startswith(schema_of_variant(e.value), 'ARRAY') AND NOT startswith(schema_of_variant(e.value), 'OBJECT') THEN CAST(e.value AS STRING) END AS who FROM c, LATERAL variant_explode(try_parse_json(c.agents_now)) AS e WHERE e.key IS NULL
			UNION ALL
			SELECT c.request_id AS request_id, 'bot' AS side, CASE WHEN NOT startswith(schema_of_variant(e.value), 'ARRAY') AND NOT startswith(schema_of_variant(e.value), 'OBJECT') THEN CAST(e.value AS STRING) END AS who FROM c, LATERAL variant_explode(try_parse_json(c.bots_now)) AS e WHERE e.key IS NULL
			UNION ALL
			SELECT request_id, side, sender FROM spoke WHERE side IN ('agent', 'bot')
		) AS every_mention
	) AS mentions
	WHERE who <> '' GROUP BY request_id, side, who),
joined AS (SELECT request_id FROM part WHERE side = 'agent' GROUP BY request_id),
names AS (
	SELECT 'agent' AS side, r.`user_id` AS who, MAX(COALESCE(NULLIF(TRIM(COALESCE(r.`firstname`, '') || ' ' || COALESCE(r.`lastname`, '')), ''), r.`email`)) AS name
	FROM `tiledesk`.`members` AS r WHERE r.`_deleted_at` IS NULL GROUP BY 2
	UNION ALL
	SELECT 'bot' AS side, r.`_id` AS who, NULLIF(MAX(r.`name`), '') AS name
	FROM `tiledesk`.`bots` AS r WHERE r.`_deleted_at` IS NULL GROUP BY 2)
SELECT CAST(x.on_day AS DATE) AS `day`,
	CAST(x.id_project AS STRING) AS `id_project`,
	CAST(x.who AS STRING) AS `bot_id`,
	CAST(MAX(COALESCE(n.name, x.who)) AS STRING) AS `bot`,
	CAST(COUNT(*) AS BIGINT) AS `conversations`,
	CAST(COUNT(CASE WHEN x.joined = 0 AND x.closed = 1 THEN 1 END) AS BIGINT) AS `handled_alone`,
	CAST(COUNT(CASE WHEN x.joined = 1 THEN 1 END) AS BIGINT) AS `handed_over`,
	CAST(COUNT(CASE WHEN x.joined = 0 AND x.closed = 0 THEN 1 END) AS BIGINT) AS `still_open`,
	CAST(AVG(x.waiting_seconds) AS DOUBLE) AS `waiting_seconds`,
	CAST(AVG(x.handling_seconds) AS DOUBLE) AS `handling_seconds`,
	CAST(COUNT(x.rating) AS BIGINT) AS `ratings`,
	CAST(AVG(x.rating) AS DOUBLE) AS `rating`
FROM (
	SELECT CAST(to_utc_timestamp(c.opened_at, current_timezone()) AS DATE) AS on_day, c.id_project, p.who, CASE WHEN j.request_id IS NULL THEN 0 ELSE 1 END AS joined, CASE WHEN c.status = 1000 THEN 1 ELSE 0 END AS closed,
		c.waiting_seconds, c.handling_seconds, c.rating
	FROM part AS p JOIN c ON c.request_id = p.request_id LEFT JOIN joined AS j ON j.request_id = p.request_id WHERE p.side = 'bot'
) AS x
LEFT JOIN names AS n ON n.side = 'bot' AND n.who = x.who
WHERE x.on_day IS NOT NULL
GROUP BY x.on_day, x.id_project, x.who;

-- report_volume_hourly
CREATE OR REPLACE VIEW `tiledesk`.`report_volume_hourly` AS
WITH c AS (
	SELECT r.*, CASE WHEN r.waiting_time >= 0 THEN r.waiting_time / 1000 END AS waiting_seconds,
		CASE WHEN r.status = 1000 THEN r.last_closed_at END AS closed_at, CASE WHEN r.status = 1000 THEN r.last_closed_by END AS closed_by,
		CASE WHEN r.status = 1000 AND r.last_closed_at >= r.first_response_at THEN CAST(unix_millis(r.last_closed_at) - unix_millis(r.first_response_at) AS DOUBLE) / 1000 END AS handling_seconds, CASE WHEN r.status = 1000 AND r.last_closed_at >= r.opened_at THEN CAST(unix_millis(r.last_closed_at) - unix_millis(r.opened_at) AS DOUBLE) / 1000 END AS duration_seconds
	FROM (
		SELECT r.`_id` AS id, r.`request_id` AS request_id, r.`ticket_id` AS ticket_id, COALESCE(r.`id_project`, r.`_project_id`) AS id_project, r.`status` AS status, r.`channel_name` AS channel,
			r.`department_id` AS department_id, r.`department_name` AS department_name, r.`language` AS language, r.`lead_id` AS lead_id, COALESCE(r.`requester_user_id`, r.`created_by`) AS visitor,
			r.`created_at` AS opened_at, r.`first_response_at` AS first_response_at, r.`closed_at` AS last_closed_at, r.`closed_by` AS last_closed_by, CAST(r.`waiting_time` AS DOUBLE) AS waiting_time,
			CAST(r.`rating` AS DOUBLE) AS rating, r.`rating_message` AS rating_message, r.`preflight` AS preflight, r.`participants_agents` AS agents_now, r.`participants_bots` AS bots_now, r.`tags` AS tags_now
		FROM `tiledesk`.`requests` AS r WHERE r.`_deleted_at` IS NULL
	) AS r
	WHERE r.request_id IS NOT NULL AND COALESCE(r.preflight, FALSE) = FALSE),
said AS (
	SELECT r.`recipient` AS request_id, r.`sender` AS sender, timestamp_millis(unix_millis(r.`created_at`) - pmod(unix_millis(r.`created_at`), 3600000)) AS period, COUNT(*) AS n, MIN(r.`created_at`) AS first_at,
		SUM(CASE WHEN r.`sender` = 'system' AND get_json_object(r.`attributes`, '$.messagelabel.key') = 'CHAT_REOPENED' THEN 1 ELSE 0 END) AS reopenings
	FROM `tiledesk`.`messages` AS r WHERE r.`_deleted_at` IS NULL
	GROUP BY 1, 2, 3),
spoke AS (
	SELECT s.request_id, c.id_project, s.sender, s.period, s.n, s.first_at, s.reopenings,
		CASE WHEN s.sender = 'system' THEN 'system' WHEN LEFT(s.sender, 4) = 'bot_' THEN 'bot' WHEN s.sender = c.visitor THEN 'visitor' WHEN s.sender IS NOT NULL THEN 'agent' END AS side
	FROM said AS s JOIN c ON c.request_id = s.request_id)
SELECT CAST(x.at_hour AS TIMESTAMP) AS `hour`,
	CAST(x.id_project AS STRING) AS `id_project`,
	CAST(SUM(x.opened) AS BIGINT) AS `opened`,
	CAST(SUM(x.closed) AS BIGINT) AS `closed`,
	CAST(SUM(x.visitor_said) AS BIGINT) AS `messages_visitor`,
	CAST(SUM(x.agent_said) AS BIGINT) AS `messages_agent`,
	CAST(SUM(x.bot_said) AS BIGINT) AS `messages_bot`,
	CAST(SUM(x.system_said) AS BIGINT) AS `messages_system`
FROM (
	SELECT timestamp_millis(unix_millis(c.opened_at) - pmod(unix_millis(c.opened_at), 3600000)) AS at_hour, c.id_project, 1 AS opened, 0 AS closed, 0 AS visitor_said, 0 AS agent_said, 0 AS bot_said, 0 AS system_said FROM c
	UNION ALL
	SELECT timestamp_millis(unix_millis(c.closed_at) - pmod(unix_millis(c.closed_at), 3600000)), c.id_project, 0, 1, 0 AS visitor_said, 0 AS agent_said, 0 AS bot_said, 0 AS system_said FROM c
	UNION ALL
	SELECT s.period, s.id_project, 0, 0, CASE WHEN s.side = 'visitor' THEN s.n ELSE 0 END, CASE WHEN s.side = 'agent' THEN s.n ELSE 0 END, CASE WHEN s.side = 'bot' THEN s.n ELSE 0 END, CASE WHEN s.side = 'system' THEN s.n ELSE 0 END FROM spoke AS s
) AS x
WHERE x.at_hour IS NOT NULL
GROUP BY x.at_hour, x.id_project;

-- report_volume_hourly of tables that keep history, and every version
CREATE OR REPLACE VIEW `tiledesk`.`report_volume_hourly` AS
WITH c AS (
	SELECT r.*, CASE WHEN r.waiting_time >= 0 THEN r.waiting_time / 1000 END AS waiting_seconds,
		CASE WHEN r.status = 1000 THEN r.last_closed_at END AS closed_at, CASE WHEN r.status = 1000 THEN r.last_closed_by END AS closed_by,
		CASE WHEN r.status = 1000 AND r.last_closed_at >= r.first_response_at THEN CAST(unix_millis(r.last_closed_at) - unix_millis(r.first_response_at) AS DOUBLE) / 1000 END AS handling_seconds, CASE WHEN r.status = 1000 AND r.last_closed_at >= r.opened_at THEN CAST(unix_millis(r.last_closed_at) - unix_millis(r.opened_at) AS DOUBLE) / 1000 END AS duration_seconds
	FROM (
		SELECT r.`_id` AS id, r.`request_id` AS request_id, r.`ticket_id` AS ticket_id, COALESCE(r.`id_project`, r.`_project_id`) AS id_project, r.`status` AS status, r.`channel_name` AS channel,
			r.`department_id` AS department_id, r.`department_name` AS department_name, r.`language` AS language, r.`lead_id` AS lead_id, COALESCE(r.`requester_user_id`, r.`created_by`) AS visitor,
			r.`created_at` AS opened_at, r.`first_response_at` AS first_response_at, r.`closed_at` AS last_closed_at, r.`closed_by` AS last_closed_by, CAST(r.`waiting_time` AS DOUBLE) AS waiting_time,
			CAST(r.`rating` AS DOUBLE) AS rating, r.`rating_message` AS rating_message, r.`preflight` AS preflight, r.`participants_agents` AS agents_now, r.`participants_bots` AS bots_now, r.`tags` AS tags_now
		FROM `tiledesk`.`requests` AS r WHERE r.`_valid_to` IS NULL AND r.`_deleted_at` IS NULL
	) AS r
	WHERE r.request_id IS NOT NULL AND COALESCE(r.preflight, FALSE) = FALSE),
said AS (
	SELECT r.`recipient` AS request_id, r.`sender` AS sender, timestamp_millis(unix_millis(r.`created_at`) - pmod(unix_millis(r.`created_at`), 3600000)) AS period, COUNT(*) AS n, MIN(r.`created_at`) AS first_at,
		SUM(CASE WHEN r.`sender` = 'system' AND get_json_object(r.`attributes`, '$.messagelabel.key') = 'CHAT_REOPENED' THEN 1 ELSE 0 END) AS reopenings
	FROM (SELECT held.*, ROW_NUMBER() OVER (PARTITION BY held.`_id` ORDER BY COALESCE(CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_at` ELSE held.`updated_at` END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP)) DESC, CASE WHEN held.`_deleted_at` IS NOT NULL THEN held.`_deleted_offset` ELSE held.`_kafka_offset` END DESC, (held.`_deleted_at` IS NULL) DESC) AS newest FROM `tiledesk`.`messages` AS held) AS r WHERE r.newest = 1 AND r.`_deleted_at` IS NULL
	GROUP BY 1, 2, 3),
spoke AS (
	SELECT s.request_id, c.id_project, s.sender, s.period, s.n, s.first_at, s.reopenings,
		CASE WHEN s.sender = 'system' THEN 'system' WHEN LEFT(s.sender, 4) = 'bot_' THEN 'bot' WHEN s.sender = c.visitor THEN 'visitor' WHEN s.sender IS NOT NULL THEN 'agent' END AS side
	FROM said AS s JOIN c ON c.request_id = s.request_id)
SELECT CAST(x.at_hour AS TIMESTAMP) AS `hour`,
	CAST(x.id_project AS STRING) AS `id_project`,
	CAST(SUM(x.opened) AS BIGINT) AS `opened`,
	CAST(SUM(x.closed) AS BIGINT) AS `closed`,
	CAST(SUM(x.visitor_said) AS BIGINT) AS `messages_visitor`,
	CAST(SUM(x.agent_said) AS BIGINT) AS `messages_agent`,
	CAST(SUM(x.bot_said) AS BIGINT) AS `messages_bot`,
	CAST(SUM(x.system_said) AS BIGINT) AS `messages_system`
FROM (
	SELECT timestamp_millis(unix_millis(c.opened_at) - pmod(unix_millis(c.opened_at), 3600000)) AS at_hour, c.id_project, 1 AS opened, 0 AS closed, 0 AS visitor_said, 0 AS agent_said, 0 AS bot_said, 0 AS system_said FROM c
	UNION ALL
	SELECT timestamp_millis(unix_millis(c.closed_at) - pmod(unix_millis(c.closed_at), 3600000)), c.id_project, 0, 1, 0 AS visitor_said, 0 AS agent_said, 0 AS bot_said, 0 AS system_said FROM c
	UNION ALL
	SELECT s.period, s.id_project, 0, 0, CASE WHEN s.side = 'visitor' THEN s.n ELSE 0 END, CASE WHEN s.side = 'agent' THEN s.n ELSE 0 END, CASE WHEN s.side = 'bot' THEN s.n ELSE 0 END, CASE WHEN s.side = 'system' THEN s.n ELSE 0 END FROM spoke AS s
) AS x
WHERE x.at_hour IS NOT NULL
GROUP BY x.at_hour, x.id_project;

-- report_agents_daily where only conversations are loaded
CREATE OR REPLACE VIEW `tiledesk`.`report_agents_daily` AS
WITH c AS (
	SELECT r.*, CASE WHEN r.waiting_time >= 0 THEN r.waiting_time / 1000 END AS waiting_seconds,
		CASE WHEN r.status = 1000 THEN r.last_closed_at END AS closed_at, CASE WHEN r.status = 1000 THEN r.last_closed_by END AS closed_by,
		CASE WHEN r.status = 1000 AND r.last_closed_at >= r.first_response_at THEN CAST(unix_millis(r.last_closed_at) - unix_millis(r.first_response_at) AS DOUBLE) / 1000 END AS handling_seconds, CASE WHEN r.status = 1000 AND r.last_closed_at >= r.opened_at THEN CAST(unix_millis(r.last_closed_at) - unix_millis(r.opened_at) AS DOUBLE) / 1000 END AS duration_seconds
	FROM (
		SELECT r.`_id` AS id, r.`request_id` AS request_id, r.`ticket_id` AS ticket_id, COALESCE(r.`id_project`, r.`_project_id`) AS id_project, r.`status` AS status, r.`channel_name` AS channel,
			r.`department_id` AS department_id, r.`department_name` AS department_name, r.`language` AS language, r.`lead_id` AS lead_id, r.`created_by` AS visitor,
			r.`created_at` AS opened_at, r.`first_response_at` AS first_response_at, r.`closed_at` AS last_closed_at, r.`closed_by` AS last_closed_by, CAST(r.`waiting_time` AS DOUBLE) AS waiting_time,
			CAST(r.`rating` AS DOUBLE) AS rating, r.`rating_message` AS rating_message, r.`preflight` AS preflight, r.`participants_agents` AS agents_now, r.`participants_bots` AS bots_now, r.`tags` AS tags_now
		FROM `tiledesk`.`conversations` AS r WHERE r.`_deleted_at` IS NULL
	) AS r
	WHERE r.request_id IS NOT NULL AND COALESCE(r.preflight, FALSE) = FALSE),
part AS (
	SELECT request_id, side, who FROM (
		SELECT request_id, side, CASE WHEN side = 'bot' AND LEFT(who, 4) = 'bot_' THEN SUBSTRING(who, 5) ELSE who END AS who FROM (
			SELECT c.request_id AS request_id, 'agent' AS side, CASE WHEN NOT startswith(schema_of_variant(e.value), 'ARRAY') AND NOT startswith(schema_of_variant(e.value), 'OBJECT') THEN CAST(e.value AS STRING) END AS who FROM c, LATERAL variant_explode(try_parse_json(c.agents_now)) AS e WHERE e.key IS NULL
			UNION ALL
			SELECT c.request_id AS request_id, 'bot' AS side, CASE WHEN NOT startswith(schema_of_variant(e.value), 'ARRAY') AND NOT startswith(schema_of_variant(e.value), 'OBJECT') THEN CAST(e.value AS STRING) END AS who FROM c, LATERAL variant_explode(try_parse_json(c.bots_now)) AS e WHERE e.key IS NULL
		) AS every_mention
	) AS mentions
	WHERE who <> '' GROUP BY request_id, side, who)
SELECT CAST(x.on_day AS DATE) AS `day`,
	CAST(x.id_project AS STRING) AS `id_project`,
	CAST(x.who AS STRING) AS `agent_id`,
	CAST(x.who AS STRING) AS `agent`,
	CAST(SUM(x.opened) AS BIGINT) AS `conversations`,
	CAST(SUM(x.closed) AS BIGINT) AS `closed`,
	CAST(NULL AS BIGINT) AS `messages`,
	CAST(AVG(x.waiting_seconds) AS DOUBLE) AS `waiting_seconds`,
	CAST(AVG(x.handling_seconds) AS DOUBLE) AS `handling_seconds`,
	CAST(COUNT(x.rating) AS BIGINT) AS `ratings`,
	CAST(AVG(x.rating) AS DOUBLE) AS `rating`
FROM (
	SELECT CAST(to_utc_timestamp(c.opened_at, current_timezone()) AS DATE) AS on_day, c.id_project, p.who, 1 AS opened, 0 AS closed, 0 AS said, c.waiting_seconds, c.handling_seconds, c.rating
	FROM part AS p JOIN c ON c.request_id = p.request_id WHERE p.side = 'agent'
	UNION ALL
	SELECT CAST(to_utc_timestamp(c.closed_at, current_timezone()) AS DATE), c.id_project, c.closed_by, 0, 1, 0, CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE)
	FROM c LEFT JOIN part AS b ON b.request_id = c.request_id AND b.side = 'bot' AND b.who = c.closed_by
	WHERE c.closed_at IS NOT NULL AND c.closed_by <> 'system' AND LEFT(c.closed_by, 1) <> '_' AND LEFT(c.closed_by, 4) <> 'bot_' AND b.who IS NULL AND (c.visitor IS NULL OR c.closed_by <> c.visitor)
) AS x
WHERE x.on_day IS NOT NULL
GROUP BY x.on_day, x.id_project, x.who;

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

