-- system table _tilestream_ledger
CREATE SCHEMA IF NOT EXISTS "TILEDESK";
CREATE TABLE IF NOT EXISTS "TILEDESK"."_TILESTREAM_FORMAT" (version NUMBER(38,0) NOT NULL);
INSERT INTO "TILEDESK"."_TILESTREAM_FORMAT" (version) SELECT 1 FROM (SELECT count(*) AS n FROM "TILEDESK"."_TILESTREAM_FORMAT") AS held WHERE n = 0;
CREATE TABLE IF NOT EXISTS "TILEDESK"."_TILESTREAM_LEDGER" (cluster VARCHAR, consumer_group VARCHAR, topic VARCHAR, "PARTITION" NUMBER(38,0), next_offset NUMBER(38,0) NOT NULL, updated_at TIMESTAMP_TZ NOT NULL);

-- system table _tilestream_loads
CREATE TABLE IF NOT EXISTS "TILEDESK"."_TILESTREAM_LOADS" (load_id VARCHAR NOT NULL, table_name VARCHAR NOT NULL, "ROWS" NUMBER(38,0) NOT NULL, inserted NUMBER(38,0) NOT NULL, updated NUMBER(38,0) NOT NULL, unchanged NUMBER(38,0) NOT NULL, bytes NUMBER(38,0) NOT NULL, ranges VARCHAR NOT NULL, started_at TIMESTAMP_TZ NOT NULL, finished_at TIMESTAMP_TZ NOT NULL);

-- system table _tilestream_tables
CREATE TABLE IF NOT EXISTS "TILEDESK"."_TILESTREAM_TABLES" (table_name VARCHAR NOT NULL, write_mode VARCHAR NOT NULL);

-- system table _tilestream_lock
CREATE TABLE IF NOT EXISTS "TILEDESK"."_TILESTREAM_LOCK" (turns NUMBER(38,0) NOT NULL);
INSERT INTO "TILEDESK"."_TILESTREAM_LOCK" (turns) SELECT 0 FROM (SELECT count(*) AS n FROM "TILEDESK"."_TILESTREAM_LOCK") AS held WHERE n = 0;

-- system table _tilestream_deleted
CREATE TABLE IF NOT EXISTS "TILEDESK"."_TILESTREAM_DELETED" (table_name VARCHAR NOT NULL, deleted_key VARCHAR NOT NULL, deleted_at TIMESTAMP_TZ NOT NULL, deleted_offset NUMBER(38,0) NOT NULL);

-- a table
CREATE TABLE IF NOT EXISTS "TILEDESK"."TAGS" (
	"_ID" VARCHAR NOT NULL,
	"NOTE" VARCHAR,
	"ORDER" NUMBER(38,0),
	"ATTRIBUTES" VARIANT,
	"SEEN" TIMESTAMP_TZ,
	"A NAME OF MANY WORDS" FLOAT,
	"UPDATED_AT" TIMESTAMP_TZ,
	"_KAFKA_OFFSET" NUMBER(38,0),
	"_LOAD_ID" VARCHAR,
	"_DELETED_AT" TIMESTAMP_TZ,
	"_DELETED_OFFSET" NUMBER(38,0)
);

-- a table that keeps history, where a dropped one kept every version
DELETE FROM "TILEDESK"."_TILESTREAM_TABLES" WHERE table_name = 'TAGS';
INSERT INTO "TILEDESK"."_TILESTREAM_TABLES" (table_name, write_mode) VALUES ('TAGS', 'history');
CREATE TABLE IF NOT EXISTS "TILEDESK"."TAGS" (
	"_ID" VARCHAR NOT NULL,
	"NOTE" VARCHAR,
	"ORDER" NUMBER(38,0),
	"ATTRIBUTES" VARIANT,
	"SEEN" TIMESTAMP_TZ,
	"A NAME OF MANY WORDS" FLOAT,
	"UPDATED_AT" TIMESTAMP_TZ,
	"_KAFKA_OFFSET" NUMBER(38,0),
	"_LOAD_ID" VARCHAR,
	"_DELETED_AT" TIMESTAMP_TZ,
	"_DELETED_OFFSET" NUMBER(38,0),
	"_VALID_FROM" TIMESTAMP_TZ,
	"_VALID_TO" TIMESTAMP_TZ
);

-- a view of an array
CREATE VIEW IF NOT EXISTS "TILEDESK"."TAGS__ATTRIBUTES" AS
SELECT r."_ID", r."_KAFKA_OFFSET", r."_DELETED_AT", e.index AS "_INDEX", e.value AS "VALUE", IFF(LEFT(TO_JSON(e.value), 1) IN ('{', '['), NULL, CAST(e.value AS VARCHAR)) AS "TEXT"
FROM "TILEDESK"."TAGS" AS r, LATERAL FLATTEN(INPUT => IFF(IS_ARRAY(r."ATTRIBUTES"), r."ATTRIBUTES", NULL)) AS e;

-- report_conversations
CREATE OR REPLACE VIEW "TILEDESK"."REPORT_CONVERSATIONS" AS
WITH c AS (
	SELECT r.*, CASE WHEN r.waiting_time >= 0 THEN r.waiting_time / 1000 END AS waiting_seconds,
		CASE WHEN r.status = 1000 THEN r.last_closed_at END AS closed_at, CASE WHEN r.status = 1000 THEN r.last_closed_by END AS closed_by,
		CASE WHEN r.status = 1000 AND r.last_closed_at >= r.first_response_at THEN CAST(DATE_PART(EPOCH_MILLISECOND, r.last_closed_at) - DATE_PART(EPOCH_MILLISECOND, r.first_response_at) AS FLOAT) / 1000 END AS handling_seconds, CASE WHEN r.status = 1000 AND r.last_closed_at >= r.opened_at THEN CAST(DATE_PART(EPOCH_MILLISECOND, r.last_closed_at) - DATE_PART(EPOCH_MILLISECOND, r.opened_at) AS FLOAT) / 1000 END AS duration_seconds
	FROM (
		SELECT r."_ID" AS id, r."REQUEST_ID" AS request_id, CAST(r."TICKET_ID" AS NUMBER(38,0)) AS ticket_id, COALESCE(r."ID_PROJECT", r."_PROJECT_ID") AS id_project, CAST(r."STATUS" AS NUMBER(38,0)) AS status, r."CHANNEL_NAME" AS channel,
			r."DEPARTMENT_ID" AS department_id, r."DEPARTMENT_NAME" AS department_name, r."LANGUAGE" AS language, r."LEAD_ID" AS lead_id, COALESCE(r."REQUESTER_USER_ID", r."CREATED_BY") AS visitor,
			r."CREATED_AT" AS opened_at, r."FIRST_RESPONSE_AT" AS first_response_at, r."CLOSED_AT" AS last_closed_at, r."CLOSED_BY" AS last_closed_by, CAST(r."WAITING_TIME" AS FLOAT) AS waiting_time,
			CAST(r."RATING" AS FLOAT) AS rating, r."RATING_MESSAGE" AS rating_message, r."PREFLIGHT" AS preflight, r."PARTICIPANTS_AGENTS" AS agents_now, r."PARTICIPANTS_BOTS" AS bots_now, r."TAGS" AS tags_now
		FROM "TILEDESK"."REQUESTS" AS r WHERE r."_DELETED_AT" IS NULL
	) AS r
	WHERE r.request_id IS NOT NULL AND COALESCE(r.preflight, FALSE) = FALSE),
said AS (
	SELECT r."RECIPIENT" AS request_id, r."SENDER" AS sender, COUNT(*) AS n, MIN(r."CREATED_AT") AS first_at,
		SUM(CASE WHEN r."SENDER" = 'system' AND CAST(GET_PATH(r."ATTRIBUTES", 'messagelabel.key') AS VARCHAR) = 'CHAT_REOPENED' THEN 1 ELSE 0 END) AS reopenings
	FROM "TILEDESK"."MESSAGES" AS r WHERE r."_DELETED_AT" IS NULL
	GROUP BY 1, 2),
spoke AS (
	SELECT s.request_id, c.id_project, s.sender, s.n, s.first_at, s.reopenings,
		CASE WHEN s.sender = 'system' THEN 'system' WHEN LEFT(s.sender, 4) = 'bot_' THEN 'bot' WHEN s.sender = c.visitor THEN 'visitor' WHEN s.sender IS NOT NULL THEN 'agent' END AS side
	FROM said AS s JOIN c ON c.request_id = s.request_id),
part AS (
	SELECT request_id, side, who FROM (
		SELECT request_id, side, CASE WHEN side = 'bot' AND LEFT(who, 4) = 'bot_' THEN SUBSTRING(who, 5) ELSE who END AS who FROM (
			SELECT c.request_id AS request_id, 'agent' AS side, IFF(LEFT(TO_JSON(e.value), 1) IN ('{', '['), NULL, CAST(e.value AS VARCHAR)) AS who FROM c, LATERAL FLATTEN(INPUT => IFF(IS_ARRAY(c.agents_now), c.agents_now, NULL)) AS e
			UNION ALL
			SELECT c.request_id AS request_id, 'bot' AS side, IFF(LEFT(TO_JSON(e.value), 1) IN ('{', '['), NULL, CAST(e.value AS VARCHAR)) AS who FROM c, LATERAL FLATTEN(INPUT => IFF(IS_ARRAY(c.bots_now), c.bots_now, NULL)) AS e
			UNION ALL
			SELECT request_id, side, sender FROM spoke WHERE side IN ('agent', 'bot')
		) AS every_mention
	) AS mentions
	WHERE who <> '' GROUP BY request_id, side, who),
names AS (
	SELECT 'agent' AS side, r."USER_ID" AS who, MAX(COALESCE(NULLIF(TRIM(COALESCE(r."FIRSTNAME", '') || ' ' || COALESCE(r."LASTNAME", '')), ''), r."EMAIL")) AS name
	FROM "TILEDESK"."MEMBERS" AS r WHERE r."_DELETED_AT" IS NULL GROUP BY 2
	UNION ALL
	SELECT 'bot' AS side, r."_ID" AS who, NULLIF(MAX(r."NAME"), '') AS name
	FROM "TILEDESK"."BOTS" AS r WHERE r."_DELETED_AT" IS NULL GROUP BY 2),
people AS (
	SELECT p.request_id, p.side, LISTAGG(COALESCE(n.name, p.who), ', ') WITHIN GROUP (ORDER BY COALESCE(n.name, p.who)) AS called
	FROM part AS p
	LEFT JOIN names AS n ON n.side = p.side AND n.who = p.who
	GROUP BY p.request_id, p.side),
tagged AS (
	SELECT request_id, NULLIF(LISTAGG(tag, ', ') WITHIN GROUP (ORDER BY tag), '') AS tags FROM (SELECT c.request_id AS request_id, COALESCE(CAST(GET_PATH(e.value, 'tag') AS VARCHAR), IFF(LEFT(TO_JSON(e.value), 1) IN ('{', '['), NULL, CAST(e.value AS VARCHAR))) AS tag FROM c, LATERAL FLATTEN(INPUT => IFF(IS_ARRAY(c.tags_now), c.tags_now, NULL)) AS e) AS tags_of GROUP BY request_id),
sides AS (
	SELECT request_id, SUM(CASE WHEN side = 'visitor' THEN n ELSE 0 END) AS visitor_said, SUM(CASE WHEN side = 'agent' THEN n ELSE 0 END) AS agent_said, SUM(CASE WHEN side = 'bot' THEN n ELSE 0 END) AS bot_said, SUM(CASE WHEN side = 'system' THEN n ELSE 0 END) AS system_said, SUM(reopenings) AS reopenings, MIN(CASE WHEN side = 'agent' THEN first_at END) AS agent_at
	FROM spoke GROUP BY request_id)
SELECT CAST(c.id AS VARCHAR) AS "_ID",
	CAST(c.request_id AS VARCHAR) AS "REQUEST_ID",
	CAST(c.ticket_id AS NUMBER(38,0)) AS "TICKET_ID",
	CAST(c.id_project AS VARCHAR) AS "ID_PROJECT",
	CAST(CASE c.status WHEN 50 THEN 'temporary' WHEN 100 THEN 'unassigned' WHEN 150 THEN 'abandoned' WHEN 200 THEN 'assigned' WHEN 300 THEN 'served' WHEN 1000 THEN 'closed' END AS VARCHAR) AS "STATUS",
	CAST(c.channel AS VARCHAR) AS "CHANNEL",
	CAST(c.department_id AS VARCHAR) AS "DEPARTMENT_ID",
	CAST(COALESCE(d.name, c.department_name) AS VARCHAR) AS "DEPARTMENT",
	CAST(c.language AS VARCHAR) AS "LANGUAGE",
	CAST(c.lead_id AS VARCHAR) AS "LEAD_ID",
	CAST(c.opened_at AS TIMESTAMP_TZ) AS "OPENED_AT",
	CAST(c.first_response_at AS TIMESTAMP_TZ) AS "FIRST_RESPONSE_AT",
	CAST(s.agent_at AS TIMESTAMP_TZ) AS "FIRST_AGENT_MESSAGE_AT",
	CAST(c.waiting_seconds AS FLOAT) AS "WAITING_SECONDS",
	CAST(c.closed_at AS TIMESTAMP_TZ) AS "CLOSED_AT",
	CAST(c.closed_by AS VARCHAR) AS "CLOSED_BY",
	CAST(CASE WHEN c.closed_by = 'system' OR LEFT(c.closed_by, 1) = '_' THEN 'system' WHEN LEFT(c.closed_by, 4) = 'bot_' OR b.who IS NOT NULL THEN 'bot' WHEN c.closed_by = c.visitor THEN 'visitor' WHEN c.closed_by IS NOT NULL THEN 'agent' END AS VARCHAR) AS "CLOSED_BY_SIDE",
	CAST(c.handling_seconds AS FLOAT) AS "HANDLING_SECONDS",
	CAST(c.duration_seconds AS FLOAT) AS "DURATION_SECONDS",
	CAST((c.last_closed_at IS NOT NULL AND COALESCE(c.status, 0) <> 1000 OR COALESCE(s.reopenings, 0) > 0) AS BOOLEAN) AS "REOPENED",
	CAST(CASE WHEN agents.called IS NOT NULL AND bots.called IS NOT NULL THEN 'bot and agent' WHEN agents.called IS NOT NULL THEN 'agent' WHEN bots.called IS NOT NULL THEN 'bot' ELSE 'nobody' END AS VARCHAR) AS "HANDLED_BY",
	CAST(agents.called AS VARCHAR) AS "AGENTS",
	CAST(bots.called AS VARCHAR) AS "BOTS",
	CAST(c.rating AS FLOAT) AS "RATING",
	CAST(c.rating_message AS VARCHAR) AS "RATING_MESSAGE",
	CAST(t.tags AS VARCHAR) AS "TAGS",
	CAST(COALESCE(s.visitor_said, 0) AS NUMBER(38,0)) AS "MESSAGES_VISITOR",
	CAST(COALESCE(s.agent_said, 0) AS NUMBER(38,0)) AS "MESSAGES_AGENT",
	CAST(COALESCE(s.bot_said, 0) AS NUMBER(38,0)) AS "MESSAGES_BOT",
	CAST(COALESCE(s.system_said, 0) AS NUMBER(38,0)) AS "MESSAGES_SYSTEM"
FROM c
LEFT JOIN people AS agents ON agents.request_id = c.request_id AND agents.side = 'agent'
LEFT JOIN people AS bots ON bots.request_id = c.request_id AND bots.side = 'bot'
LEFT JOIN tagged AS t ON t.request_id = c.request_id
LEFT JOIN part AS b ON b.request_id = c.request_id AND b.side = 'bot' AND b.who = c.closed_by
LEFT JOIN (SELECT r."_ID" AS id, r."NAME" AS name FROM "TILEDESK"."DEPARTMENTS" AS r WHERE r."_DELETED_AT" IS NULL) AS d ON d.id = c.department_id
LEFT JOIN sides AS s ON s.request_id = c.request_id;

-- report_agents_daily
CREATE OR REPLACE VIEW "TILEDESK"."REPORT_AGENTS_DAILY" AS
WITH c AS (
	SELECT r.*, CASE WHEN r.waiting_time >= 0 THEN r.waiting_time / 1000 END AS waiting_seconds,
		CASE WHEN r.status = 1000 THEN r.last_closed_at END AS closed_at, CASE WHEN r.status = 1000 THEN r.last_closed_by END AS closed_by,
		CASE WHEN r.status = 1000 AND r.last_closed_at >= r.first_response_at THEN CAST(DATE_PART(EPOCH_MILLISECOND, r.last_closed_at) - DATE_PART(EPOCH_MILLISECOND, r.first_response_at) AS FLOAT) / 1000 END AS handling_seconds, CASE WHEN r.status = 1000 AND r.last_closed_at >= r.opened_at THEN CAST(DATE_PART(EPOCH_MILLISECOND, r.last_closed_at) - DATE_PART(EPOCH_MILLISECOND, r.opened_at) AS FLOAT) / 1000 END AS duration_seconds
	FROM (
		SELECT r."_ID" AS id, r."REQUEST_ID" AS request_id, CAST(r."TICKET_ID" AS NUMBER(38,0)) AS ticket_id, COALESCE(r."ID_PROJECT", r."_PROJECT_ID") AS id_project, CAST(r."STATUS" AS NUMBER(38,0)) AS status, r."CHANNEL_NAME" AS channel,
			r."DEPARTMENT_ID" AS department_id, r."DEPARTMENT_NAME" AS department_name, r."LANGUAGE" AS language, r."LEAD_ID" AS lead_id, COALESCE(r."REQUESTER_USER_ID", r."CREATED_BY") AS visitor,
			r."CREATED_AT" AS opened_at, r."FIRST_RESPONSE_AT" AS first_response_at, r."CLOSED_AT" AS last_closed_at, r."CLOSED_BY" AS last_closed_by, CAST(r."WAITING_TIME" AS FLOAT) AS waiting_time,
			CAST(r."RATING" AS FLOAT) AS rating, r."RATING_MESSAGE" AS rating_message, r."PREFLIGHT" AS preflight, r."PARTICIPANTS_AGENTS" AS agents_now, r."PARTICIPANTS_BOTS" AS bots_now, r."TAGS" AS tags_now
		FROM "TILEDESK"."REQUESTS" AS r WHERE r."_DELETED_AT" IS NULL
	) AS r
	WHERE r.request_id IS NOT NULL AND COALESCE(r.preflight, FALSE) = FALSE),
said AS (
	SELECT r."RECIPIENT" AS request_id, r."SENDER" AS sender, TO_DATE(CONVERT_TIMEZONE('UTC', r."CREATED_AT")) AS period, COUNT(*) AS n, MIN(r."CREATED_AT") AS first_at,
		SUM(CASE WHEN r."SENDER" = 'system' AND CAST(GET_PATH(r."ATTRIBUTES", 'messagelabel.key') AS VARCHAR) = 'CHAT_REOPENED' THEN 1 ELSE 0 END) AS reopenings
	FROM "TILEDESK"."MESSAGES" AS r WHERE r."_DELETED_AT" IS NULL
	GROUP BY 1, 2, 3),
spoke AS (
	SELECT s.request_id, c.id_project, s.sender, s.period, s.n, s.first_at, s.reopenings,
		CASE WHEN s.sender = 'system' THEN 'system' WHEN LEFT(s.sender, 4) = 'bot_' THEN 'bot' WHEN s.sender = c.visitor THEN 'visitor' WHEN s.sender IS NOT NULL THEN 'agent' END AS side
	FROM said AS s JOIN c ON c.request_id = s.request_id),
part AS (
	SELECT request_id, side, who FROM (
		SELECT request_id, side, CASE WHEN side = 'bot' AND LEFT(who, 4) = 'bot_' THEN SUBSTRING(who, 5) ELSE who END AS who FROM (
			SELECT c.request_id AS request_id, 'agent' AS side, IFF(LEFT(TO_JSON(e.value), 1) IN ('{', '['), NULL, CAST(e.value AS VARCHAR)) AS who FROM c, LATERAL FLATTEN(INPUT => IFF(IS_ARRAY(c.agents_now), c.agents_now, NULL)) AS e
			UNION ALL
			SELECT c.request_id AS request_id, 'bot' AS side, IFF(LEFT(TO_JSON(e.value), 1) IN ('{', '['), NULL, CAST(e.value AS VARCHAR)) AS who FROM c, LATERAL FLATTEN(INPUT => IFF(IS_ARRAY(c.bots_now), c.bots_now, NULL)) AS e
			UNION ALL
			SELECT request_id, side, sender FROM spoke WHERE side IN ('agent', 'bot')
		) AS every_mention
	) AS mentions
	WHERE who <> '' GROUP BY request_id, side, who),
names AS (
	SELECT 'agent' AS side, r."USER_ID" AS who, MAX(COALESCE(NULLIF(TRIM(COALESCE(r."FIRSTNAME", '') || ' ' || COALESCE(r."LASTNAME", '')), ''), r."EMAIL")) AS name
	FROM "TILEDESK"."MEMBERS" AS r WHERE r."_DELETED_AT" IS NULL GROUP BY 2
	UNION ALL
	SELECT 'bot' AS side, r."_ID" AS who, NULLIF(MAX(r."NAME"), '') AS name
	FROM "TILEDESK"."BOTS" AS r WHERE r."_DELETED_AT" IS NULL GROUP BY 2)
SELECT CAST(x.on_day AS DATE) AS "DAY",
	CAST(x.id_project AS VARCHAR) AS "ID_PROJECT",
	CAST(x.who AS VARCHAR) AS "AGENT_ID",
	CAST(MAX(COALESCE(n.name, x.who)) AS VARCHAR) AS "AGENT",
	CAST(SUM(x.opened) AS NUMBER(38,0)) AS "CONVERSATIONS",
	CAST(SUM(x.closed) AS NUMBER(38,0)) AS "CLOSED",
	CAST(SUM(x.said) AS NUMBER(38,0)) AS "MESSAGES",
	CAST(AVG(x.waiting_seconds) AS FLOAT) AS "WAITING_SECONDS",
	CAST(AVG(x.handling_seconds) AS FLOAT) AS "HANDLING_SECONDS",
	CAST(COUNT(x.rating) AS NUMBER(38,0)) AS "RATINGS",
	CAST(AVG(x.rating) AS FLOAT) AS "RATING"
FROM (
	SELECT TO_DATE(CONVERT_TIMEZONE('UTC', c.opened_at)) AS on_day, c.id_project, p.who, 1 AS opened, 0 AS closed, 0 AS said, c.waiting_seconds, c.handling_seconds, c.rating
	FROM part AS p JOIN c ON c.request_id = p.request_id WHERE p.side = 'agent'
	UNION ALL
	SELECT TO_DATE(CONVERT_TIMEZONE('UTC', c.closed_at)), c.id_project, c.closed_by, 0, 1, 0, CAST(NULL AS FLOAT), CAST(NULL AS FLOAT), CAST(NULL AS FLOAT)
	FROM c LEFT JOIN part AS b ON b.request_id = c.request_id AND b.side = 'bot' AND b.who = c.closed_by
	WHERE c.closed_at IS NOT NULL AND c.closed_by <> 'system' AND LEFT(c.closed_by, 1) <> '_' AND LEFT(c.closed_by, 4) <> 'bot_' AND b.who IS NULL AND (c.visitor IS NULL OR c.closed_by <> c.visitor)
	UNION ALL
	SELECT s.period, s.id_project, s.sender, 0, 0, s.n, CAST(NULL AS FLOAT), CAST(NULL AS FLOAT), CAST(NULL AS FLOAT)
	FROM spoke AS s WHERE s.side = 'agent'
) AS x
LEFT JOIN names AS n ON n.side = 'agent' AND n.who = x.who
WHERE x.on_day IS NOT NULL
GROUP BY x.on_day, x.id_project, x.who;

-- report_bots_daily
CREATE OR REPLACE VIEW "TILEDESK"."REPORT_BOTS_DAILY" AS
WITH c AS (
	SELECT r.*, CASE WHEN r.waiting_time >= 0 THEN r.waiting_time / 1000 END AS waiting_seconds,
		CASE WHEN r.status = 1000 THEN r.last_closed_at END AS closed_at, CASE WHEN r.status = 1000 THEN r.last_closed_by END AS closed_by,
		CASE WHEN r.status = 1000 AND r.last_closed_at >= r.first_response_at THEN CAST(DATE_PART(EPOCH_MILLISECOND, r.last_closed_at) - DATE_PART(EPOCH_MILLISECOND, r.first_response_at) AS FLOAT) / 1000 END AS handling_seconds, CASE WHEN r.status = 1000 AND r.last_closed_at >= r.opened_at THEN CAST(DATE_PART(EPOCH_MILLISECOND, r.last_closed_at) - DATE_PART(EPOCH_MILLISECOND, r.opened_at) AS FLOAT) / 1000 END AS duration_seconds
	FROM (
		SELECT r."_ID" AS id, r."REQUEST_ID" AS request_id, CAST(r."TICKET_ID" AS NUMBER(38,0)) AS ticket_id, COALESCE(r."ID_PROJECT", r."_PROJECT_ID") AS id_project, CAST(r."STATUS" AS NUMBER(38,0)) AS status, r."CHANNEL_NAME" AS channel,
			r."DEPARTMENT_ID" AS department_id, r."DEPARTMENT_NAME" AS department_name, r."LANGUAGE" AS language, r."LEAD_ID" AS lead_id, COALESCE(r."REQUESTER_USER_ID", r."CREATED_BY") AS visitor,
			r."CREATED_AT" AS opened_at, r."FIRST_RESPONSE_AT" AS first_response_at, r."CLOSED_AT" AS last_closed_at, r."CLOSED_BY" AS last_closed_by, CAST(r."WAITING_TIME" AS FLOAT) AS waiting_time,
			CAST(r."RATING" AS FLOAT) AS rating, r."RATING_MESSAGE" AS rating_message, r."PREFLIGHT" AS preflight, r."PARTICIPANTS_AGENTS" AS agents_now, r."PARTICIPANTS_BOTS" AS bots_now, r."TAGS" AS tags_now
		FROM "TILEDESK"."REQUESTS" AS r WHERE r."_DELETED_AT" IS NULL
	) AS r
	WHERE r.request_id IS NOT NULL AND COALESCE(r.preflight, FALSE) = FALSE),
said AS (
	SELECT r."RECIPIENT" AS request_id, r."SENDER" AS sender, COUNT(*) AS n, MIN(r."CREATED_AT") AS first_at,
		SUM(CASE WHEN r."SENDER" = 'system' AND CAST(GET_PATH(r."ATTRIBUTES", 'messagelabel.key') AS VARCHAR) = 'CHAT_REOPENED' THEN 1 ELSE 0 END) AS reopenings
	FROM "TILEDESK"."MESSAGES" AS r WHERE r."_DELETED_AT" IS NULL
	GROUP BY 1, 2),
spoke AS (
	SELECT s.request_id, c.id_project, s.sender, s.n, s.first_at, s.reopenings,
		CASE WHEN s.sender = 'system' THEN 'system' WHEN LEFT(s.sender, 4) = 'bot_' THEN 'bot' WHEN s.sender = c.visitor THEN 'visitor' WHEN s.sender IS NOT NULL THEN 'agent' END AS side
	FROM said AS s JOIN c ON c.request_id = s.request_id),
part AS (
	SELECT request_id, side, who FROM (
		SELECT request_id, side, CASE WHEN side = 'bot' AND LEFT(who, 4) = 'bot_' THEN SUBSTRING(who, 5) ELSE who END AS who FROM (
			SELECT c.request_id AS request_id, 'agent' AS side, IFF(LEFT(TO_JSON(e.value), 1) IN ('{', '['), NULL, CAST(e.value AS VARCHAR)) AS who FROM c, LATERAL FLATTEN(INPUT => IFF(IS_ARRAY(c.agents_now), c.agents_now, NULL)) AS e
			UNION ALL
			SELECT c.request_id AS request_id, 'bot' AS side, IFF(LEFT(TO_JSON(e.value), 1) IN ('{', '['), NULL, CAST(e.value AS VARCHAR)) AS who FROM c, LATERAL FLATTEN(INPUT => IFF(IS_ARRAY(c.bots_now), c.bots_now, NULL)) AS e
			UNION ALL
			SELECT request_id, side, sender FROM spoke WHERE side IN ('agent', 'bot')
		) AS every_mention
	) AS mentions
	WHERE who <> '' GROUP BY request_id, side, who),
joined AS (SELECT request_id FROM part WHERE side = 'agent' GROUP BY request_id),
names AS (
	SELECT 'agent' AS side, r."USER_ID" AS who, MAX(COALESCE(NULLIF(TRIM(COALESCE(r."FIRSTNAME", '') || ' ' || COALESCE(r."LASTNAME", '')), ''), r."EMAIL")) AS name
	FROM "TILEDESK"."MEMBERS" AS r WHERE r."_DELETED_AT" IS NULL GROUP BY 2
	UNION ALL
	SELECT 'bot' AS side, r."_ID" AS who, NULLIF(MAX(r."NAME"), '') AS name
	FROM "TILEDESK"."BOTS" AS r WHERE r."_DELETED_AT" IS NULL GROUP BY 2)
SELECT CAST(x.on_day AS DATE) AS "DAY",
	CAST(x.id_project AS VARCHAR) AS "ID_PROJECT",
	CAST(x.who AS VARCHAR) AS "BOT_ID",
	CAST(MAX(COALESCE(n.name, x.who)) AS VARCHAR) AS "BOT",
	CAST(COUNT(*) AS NUMBER(38,0)) AS "CONVERSATIONS",
	CAST(COUNT(CASE WHEN x.joined = 0 AND x.closed = 1 THEN 1 END) AS NUMBER(38,0)) AS "HANDLED_ALONE",
	CAST(COUNT(CASE WHEN x.joined = 1 THEN 1 END) AS NUMBER(38,0)) AS "HANDED_OVER",
	CAST(COUNT(CASE WHEN x.joined = 0 AND x.closed = 0 THEN 1 END) AS NUMBER(38,0)) AS "STILL_OPEN",
	CAST(AVG(x.waiting_seconds) AS FLOAT) AS "WAITING_SECONDS",
	CAST(AVG(x.handling_seconds) AS FLOAT) AS "HANDLING_SECONDS",
	CAST(COUNT(x.rating) AS NUMBER(38,0)) AS "RATINGS",
	CAST(AVG(x.rating) AS FLOAT) AS "RATING"
FROM (
	SELECT TO_DATE(CONVERT_TIMEZONE('UTC', c.opened_at)) AS on_day, c.id_project, p.who, CASE WHEN j.request_id IS NULL THEN 0 ELSE 1 END AS joined, CASE WHEN c.status = 1000 THEN 1 ELSE 0 END AS closed,
		c.waiting_seconds, c.handling_seconds, c.rating
	FROM part AS p JOIN c ON c.request_id = p.request_id LEFT JOIN joined AS j ON j.request_id = p.request_id WHERE p.side = 'bot'
) AS x
LEFT JOIN names AS n ON n.side = 'bot' AND n.who = x.who
WHERE x.on_day IS NOT NULL
GROUP BY x.on_day, x.id_project, x.who;

-- report_volume_hourly
CREATE OR REPLACE VIEW "TILEDESK"."REPORT_VOLUME_HOURLY" AS
WITH c AS (
	SELECT r.*, CASE WHEN r.waiting_time >= 0 THEN r.waiting_time / 1000 END AS waiting_seconds,
		CASE WHEN r.status = 1000 THEN r.last_closed_at END AS closed_at, CASE WHEN r.status = 1000 THEN r.last_closed_by END AS closed_by,
		CASE WHEN r.status = 1000 AND r.last_closed_at >= r.first_response_at THEN CAST(DATE_PART(EPOCH_MILLISECOND, r.last_closed_at) - DATE_PART(EPOCH_MILLISECOND, r.first_response_at) AS FLOAT) / 1000 END AS handling_seconds, CASE WHEN r.status = 1000 AND r.last_closed_at >= r.opened_at THEN CAST(DATE_PART(EPOCH_MILLISECOND, r.last_closed_at) - DATE_PART(EPOCH_MILLISECOND, r.opened_at) AS FLOAT) / 1000 END AS duration_seconds
	FROM (
		SELECT r."_ID" AS id, r."REQUEST_ID" AS request_id, CAST(r."TICKET_ID" AS NUMBER(38,0)) AS ticket_id, COALESCE(r."ID_PROJECT", r."_PROJECT_ID") AS id_project, CAST(r."STATUS" AS NUMBER(38,0)) AS status, r."CHANNEL_NAME" AS channel,
			r."DEPARTMENT_ID" AS department_id, r."DEPARTMENT_NAME" AS department_name, r."LANGUAGE" AS language, r."LEAD_ID" AS lead_id, COALESCE(r."REQUESTER_USER_ID", r."CREATED_BY") AS visitor,
			r."CREATED_AT" AS opened_at, r."FIRST_RESPONSE_AT" AS first_response_at, r."CLOSED_AT" AS last_closed_at, r."CLOSED_BY" AS last_closed_by, CAST(r."WAITING_TIME" AS FLOAT) AS waiting_time,
			CAST(r."RATING" AS FLOAT) AS rating, r."RATING_MESSAGE" AS rating_message, r."PREFLIGHT" AS preflight, r."PARTICIPANTS_AGENTS" AS agents_now, r."PARTICIPANTS_BOTS" AS bots_now, r."TAGS" AS tags_now
		FROM "TILEDESK"."REQUESTS" AS r WHERE r."_DELETED_AT" IS NULL
	) AS r
	WHERE r.request_id IS NOT NULL AND COALESCE(r.preflight, FALSE) = FALSE),
said AS (
	SELECT r."RECIPIENT" AS request_id, r."SENDER" AS sender, DATE_TRUNC('HOUR', CONVERT_TIMEZONE('UTC', r."CREATED_AT")) AS period, COUNT(*) AS n, MIN(r."CREATED_AT") AS first_at,
		SUM(CASE WHEN r."SENDER" = 'system' AND CAST(GET_PATH(r."ATTRIBUTES", 'messagelabel.key') AS VARCHAR) = 'CHAT_REOPENED' THEN 1 ELSE 0 END) AS reopenings
	FROM "TILEDESK"."MESSAGES" AS r WHERE r."_DELETED_AT" IS NULL
	GROUP BY 1, 2, 3),
spoke AS (
	SELECT s.request_id, c.id_project, s.sender, s.period, s.n, s.first_at, s.reopenings,
		CASE WHEN s.sender = 'system' THEN 'system' WHEN LEFT(s.sender, 4) = 'bot_' THEN 'bot' WHEN s.sender = c.visitor THEN 'visitor' WHEN s.sender IS NOT NULL THEN 'agent' END AS side
	FROM said AS s JOIN c ON c.request_id = s.request_id)
SELECT CAST(x.at_hour AS TIMESTAMP_TZ) AS "HOUR",
	CAST(x.id_project AS VARCHAR) AS "ID_PROJECT",
	CAST(SUM(x.opened) AS NUMBER(38,0)) AS "OPENED",
	CAST(SUM(x.closed) AS NUMBER(38,0)) AS "CLOSED",
	CAST(SUM(x.visitor_said) AS NUMBER(38,0)) AS "MESSAGES_VISITOR",
	CAST(SUM(x.agent_said) AS NUMBER(38,0)) AS "MESSAGES_AGENT",
	CAST(SUM(x.bot_said) AS NUMBER(38,0)) AS "MESSAGES_BOT",
	CAST(SUM(x.system_said) AS NUMBER(38,0)) AS "MESSAGES_SYSTEM"
FROM (
	SELECT DATE_TRUNC('HOUR', CONVERT_TIMEZONE('UTC', c.opened_at)) AS at_hour, c.id_project, 1 AS opened, 0 AS closed, 0 AS visitor_said, 0 AS agent_said, 0 AS bot_said, 0 AS system_said FROM c
	UNION ALL
	SELECT DATE_TRUNC('HOUR', CONVERT_TIMEZONE('UTC', c.closed_at)), c.id_project, 0, 1, 0 AS visitor_said, 0 AS agent_said, 0 AS bot_said, 0 AS system_said FROM c
	UNION ALL
	SELECT s.period, s.id_project, 0, 0, CASE WHEN s.side = 'visitor' THEN s.n ELSE 0 END, CASE WHEN s.side = 'agent' THEN s.n ELSE 0 END, CASE WHEN s.side = 'bot' THEN s.n ELSE 0 END, CASE WHEN s.side = 'system' THEN s.n ELSE 0 END FROM spoke AS s
) AS x
WHERE x.at_hour IS NOT NULL
GROUP BY x.at_hour, x.id_project;

-- report_volume_hourly of tables that keep history, and every version
CREATE OR REPLACE VIEW "TILEDESK"."REPORT_VOLUME_HOURLY" AS
WITH c AS (
	SELECT r.*, CASE WHEN r.waiting_time >= 0 THEN r.waiting_time / 1000 END AS waiting_seconds,
		CASE WHEN r.status = 1000 THEN r.last_closed_at END AS closed_at, CASE WHEN r.status = 1000 THEN r.last_closed_by END AS closed_by,
		CASE WHEN r.status = 1000 AND r.last_closed_at >= r.first_response_at THEN CAST(DATE_PART(EPOCH_MILLISECOND, r.last_closed_at) - DATE_PART(EPOCH_MILLISECOND, r.first_response_at) AS FLOAT) / 1000 END AS handling_seconds, CASE WHEN r.status = 1000 AND r.last_closed_at >= r.opened_at THEN CAST(DATE_PART(EPOCH_MILLISECOND, r.last_closed_at) - DATE_PART(EPOCH_MILLISECOND, r.opened_at) AS FLOAT) / 1000 END AS duration_seconds
	FROM (
		SELECT r."_ID" AS id, r."REQUEST_ID" AS request_id, CAST(r."TICKET_ID" AS NUMBER(38,0)) AS ticket_id, COALESCE(r."ID_PROJECT", r."_PROJECT_ID") AS id_project, CAST(r."STATUS" AS NUMBER(38,0)) AS status, r."CHANNEL_NAME" AS channel,
			r."DEPARTMENT_ID" AS department_id, r."DEPARTMENT_NAME" AS department_name, r."LANGUAGE" AS language, r."LEAD_ID" AS lead_id, COALESCE(r."REQUESTER_USER_ID", r."CREATED_BY") AS visitor,
			r."CREATED_AT" AS opened_at, r."FIRST_RESPONSE_AT" AS first_response_at, r."CLOSED_AT" AS last_closed_at, r."CLOSED_BY" AS last_closed_by, CAST(r."WAITING_TIME" AS FLOAT) AS waiting_time,
			CAST(r."RATING" AS FLOAT) AS rating, r."RATING_MESSAGE" AS rating_message, r."PREFLIGHT" AS preflight, r."PARTICIPANTS_AGENTS" AS agents_now, r."PARTICIPANTS_BOTS" AS bots_now, r."TAGS" AS tags_now
		FROM "TILEDESK"."REQUESTS" AS r WHERE r."_VALID_TO" IS NULL AND r."_DELETED_AT" IS NULL
	) AS r
	WHERE r.request_id IS NOT NULL AND COALESCE(r.preflight, FALSE) = FALSE),
said AS (
	SELECT r."RECIPIENT" AS request_id, r."SENDER" AS sender, DATE_TRUNC('HOUR', CONVERT_TIMEZONE('UTC', r."CREATED_AT")) AS period, COUNT(*) AS n, MIN(r."CREATED_AT") AS first_at,
		SUM(CASE WHEN r."SENDER" = 'system' AND CAST(GET_PATH(r."ATTRIBUTES", 'messagelabel.key') AS VARCHAR) = 'CHAT_REOPENED' THEN 1 ELSE 0 END) AS reopenings
	FROM (SELECT held.*, ROW_NUMBER() OVER (PARTITION BY held."_ID" ORDER BY COALESCE(CASE WHEN held."_DELETED_AT" IS NOT NULL THEN held."_DELETED_AT" ELSE held."UPDATED_AT" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) DESC, CASE WHEN held."_DELETED_AT" IS NOT NULL THEN held."_DELETED_OFFSET" ELSE held."_KAFKA_OFFSET" END DESC, (held."_DELETED_AT" IS NULL) DESC) AS newest FROM "TILEDESK"."MESSAGES" AS held) AS r WHERE r.newest = 1 AND r."_DELETED_AT" IS NULL
	GROUP BY 1, 2, 3),
spoke AS (
	SELECT s.request_id, c.id_project, s.sender, s.period, s.n, s.first_at, s.reopenings,
		CASE WHEN s.sender = 'system' THEN 'system' WHEN LEFT(s.sender, 4) = 'bot_' THEN 'bot' WHEN s.sender = c.visitor THEN 'visitor' WHEN s.sender IS NOT NULL THEN 'agent' END AS side
	FROM said AS s JOIN c ON c.request_id = s.request_id)
SELECT CAST(x.at_hour AS TIMESTAMP_TZ) AS "HOUR",
	CAST(x.id_project AS VARCHAR) AS "ID_PROJECT",
	CAST(SUM(x.opened) AS NUMBER(38,0)) AS "OPENED",
	CAST(SUM(x.closed) AS NUMBER(38,0)) AS "CLOSED",
	CAST(SUM(x.visitor_said) AS NUMBER(38,0)) AS "MESSAGES_VISITOR",
	CAST(SUM(x.agent_said) AS NUMBER(38,0)) AS "MESSAGES_AGENT",
	CAST(SUM(x.bot_said) AS NUMBER(38,0)) AS "MESSAGES_BOT",
	CAST(SUM(x.system_said) AS NUMBER(38,0)) AS "MESSAGES_SYSTEM"
FROM (
	SELECT DATE_TRUNC('HOUR', CONVERT_TIMEZONE('UTC', c.opened_at)) AS at_hour, c.id_project, 1 AS opened, 0 AS closed, 0 AS visitor_said, 0 AS agent_said, 0 AS bot_said, 0 AS system_said FROM c
	UNION ALL
	SELECT DATE_TRUNC('HOUR', CONVERT_TIMEZONE('UTC', c.closed_at)), c.id_project, 0, 1, 0 AS visitor_said, 0 AS agent_said, 0 AS bot_said, 0 AS system_said FROM c
	UNION ALL
	SELECT s.period, s.id_project, 0, 0, CASE WHEN s.side = 'visitor' THEN s.n ELSE 0 END, CASE WHEN s.side = 'agent' THEN s.n ELSE 0 END, CASE WHEN s.side = 'bot' THEN s.n ELSE 0 END, CASE WHEN s.side = 'system' THEN s.n ELSE 0 END FROM spoke AS s
) AS x
WHERE x.at_hour IS NOT NULL
GROUP BY x.at_hour, x.id_project;

-- report_agents_daily where only conversations are loaded
CREATE OR REPLACE VIEW "TILEDESK"."REPORT_AGENTS_DAILY" AS
WITH c AS (
	SELECT r.*, CASE WHEN r.waiting_time >= 0 THEN r.waiting_time / 1000 END AS waiting_seconds,
		CASE WHEN r.status = 1000 THEN r.last_closed_at END AS closed_at, CASE WHEN r.status = 1000 THEN r.last_closed_by END AS closed_by,
		CASE WHEN r.status = 1000 AND r.last_closed_at >= r.first_response_at THEN CAST(DATE_PART(EPOCH_MILLISECOND, r.last_closed_at) - DATE_PART(EPOCH_MILLISECOND, r.first_response_at) AS FLOAT) / 1000 END AS handling_seconds, CASE WHEN r.status = 1000 AND r.last_closed_at >= r.opened_at THEN CAST(DATE_PART(EPOCH_MILLISECOND, r.last_closed_at) - DATE_PART(EPOCH_MILLISECOND, r.opened_at) AS FLOAT) / 1000 END AS duration_seconds
	FROM (
		SELECT r."_ID" AS id, r."REQUEST_ID" AS request_id, CAST(r."TICKET_ID" AS NUMBER(38,0)) AS ticket_id, COALESCE(r."ID_PROJECT", r."_PROJECT_ID") AS id_project, CAST(r."STATUS" AS NUMBER(38,0)) AS status, r."CHANNEL_NAME" AS channel,
			r."DEPARTMENT_ID" AS department_id, r."DEPARTMENT_NAME" AS department_name, r."LANGUAGE" AS language, r."LEAD_ID" AS lead_id, r."CREATED_BY" AS visitor,
			r."CREATED_AT" AS opened_at, r."FIRST_RESPONSE_AT" AS first_response_at, r."CLOSED_AT" AS last_closed_at, r."CLOSED_BY" AS last_closed_by, CAST(r."WAITING_TIME" AS FLOAT) AS waiting_time,
			CAST(r."RATING" AS FLOAT) AS rating, r."RATING_MESSAGE" AS rating_message, r."PREFLIGHT" AS preflight, r."PARTICIPANTS_AGENTS" AS agents_now, r."PARTICIPANTS_BOTS" AS bots_now, r."TAGS" AS tags_now
		FROM "TILEDESK"."CONVERSATIONS" AS r WHERE r."_DELETED_AT" IS NULL
	) AS r
	WHERE r.request_id IS NOT NULL AND COALESCE(r.preflight, FALSE) = FALSE),
part AS (
	SELECT request_id, side, who FROM (
		SELECT request_id, side, CASE WHEN side = 'bot' AND LEFT(who, 4) = 'bot_' THEN SUBSTRING(who, 5) ELSE who END AS who FROM (
			SELECT c.request_id AS request_id, 'agent' AS side, IFF(LEFT(TO_JSON(e.value), 1) IN ('{', '['), NULL, CAST(e.value AS VARCHAR)) AS who FROM c, LATERAL FLATTEN(INPUT => IFF(IS_ARRAY(c.agents_now), c.agents_now, NULL)) AS e
			UNION ALL
			SELECT c.request_id AS request_id, 'bot' AS side, IFF(LEFT(TO_JSON(e.value), 1) IN ('{', '['), NULL, CAST(e.value AS VARCHAR)) AS who FROM c, LATERAL FLATTEN(INPUT => IFF(IS_ARRAY(c.bots_now), c.bots_now, NULL)) AS e
		) AS every_mention
	) AS mentions
	WHERE who <> '' GROUP BY request_id, side, who)
SELECT CAST(x.on_day AS DATE) AS "DAY",
	CAST(x.id_project AS VARCHAR) AS "ID_PROJECT",
	CAST(x.who AS VARCHAR) AS "AGENT_ID",
	CAST(x.who AS VARCHAR) AS "AGENT",
	CAST(SUM(x.opened) AS NUMBER(38,0)) AS "CONVERSATIONS",
	CAST(SUM(x.closed) AS NUMBER(38,0)) AS "CLOSED",
	CAST(NULL AS NUMBER(38,0)) AS "MESSAGES",
	CAST(AVG(x.waiting_seconds) AS FLOAT) AS "WAITING_SECONDS",
	CAST(AVG(x.handling_seconds) AS FLOAT) AS "HANDLING_SECONDS",
	CAST(COUNT(x.rating) AS NUMBER(38,0)) AS "RATINGS",
	CAST(AVG(x.rating) AS FLOAT) AS "RATING"
FROM (
	SELECT TO_DATE(CONVERT_TIMEZONE('UTC', c.opened_at)) AS on_day, c.id_project, p.who, 1 AS opened, 0 AS closed, 0 AS said, c.waiting_seconds, c.handling_seconds, c.rating
	FROM part AS p JOIN c ON c.request_id = p.request_id WHERE p.side = 'agent'
	UNION ALL
	SELECT TO_DATE(CONVERT_TIMEZONE('UTC', c.closed_at)), c.id_project, c.closed_by, 0, 1, 0, CAST(NULL AS FLOAT), CAST(NULL AS FLOAT), CAST(NULL AS FLOAT)
	FROM c LEFT JOIN part AS b ON b.request_id = c.request_id AND b.side = 'bot' AND b.who = c.closed_by
	WHERE c.closed_at IS NOT NULL AND c.closed_by <> 'system' AND LEFT(c.closed_by, 1) <> '_' AND LEFT(c.closed_by, 4) <> 'bot_' AND b.who IS NULL AND (c.visitor IS NULL OR c.closed_by <> c.visitor)
) AS x
WHERE x.on_day IS NOT NULL
GROUP BY x.on_day, x.id_project, x.who;

-- what is written down of changes
CREATE TABLE IF NOT EXISTS "TILEDESK"."_TILESTREAM_SCHEMAS" (table_name VARCHAR NOT NULL, schema_id NUMBER(38,0), changed_at TIMESTAMP_TZ NOT NULL, "CHANGE" VARCHAR NOT NULL, ddl VARCHAR NOT NULL);
INSERT INTO "TILEDESK"."_TILESTREAM_SCHEMAS" (table_name, schema_id, changed_at, "CHANGE", ddl) VALUES
('TAGS', 9, CAST('2026-11-22 15:04:05.000000+00:00' AS TIMESTAMP_TZ), 'add column it\'s, \\', 'ONE;\nTWO');

-- a number that becomes text
CASE WHEN "ORDER" = FLOOR("ORDER") AND ABS("ORDER") < 1e15 THEN CAST(CAST("ORDER" AS NUMBER(38,0)) AS VARCHAR) ELSE CAST("ORDER" AS VARCHAR) END;

-- columns that are missing, and one that is too narrow: first step
ALTER TABLE "TILEDESK"."TAGS" RENAME COLUMN "NOTE" TO "NOTE__narrow";
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "ORDER" NUMBER(38,0);
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "ATTRIBUTES" VARIANT;
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "SEEN" TIMESTAMP_TZ;
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "A NAME OF MANY WORDS" FLOAT;
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "UPDATED_AT" TIMESTAMP_TZ;
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "_KAFKA_OFFSET" NUMBER(38,0);
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "_LOAD_ID" VARCHAR;
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "_DELETED_AT" TIMESTAMP_TZ;
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "_DELETED_OFFSET" NUMBER(38,0);

-- second step
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "NOTE__wide" VARCHAR;
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "ORDER" NUMBER(38,0);
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "ATTRIBUTES" VARIANT;
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "SEEN" TIMESTAMP_TZ;
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "A NAME OF MANY WORDS" FLOAT;
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "UPDATED_AT" TIMESTAMP_TZ;
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "_KAFKA_OFFSET" NUMBER(38,0);
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "_LOAD_ID" VARCHAR;
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "_DELETED_AT" TIMESTAMP_TZ;
ALTER TABLE "TILEDESK"."TAGS" ADD COLUMN "_DELETED_OFFSET" NUMBER(38,0);

-- third step, of a time
UPDATE "TILEDESK"."TAGS" SET "SEEN__wide" = CAST(TO_CHAR(CONVERT_TIMEZONE('UTC', "SEEN__narrow"), 'YYYY-MM-DD"T"HH24:MI:SS.FF3"Z"') AS VARCHAR), "SEEN__narrow" = NULL WHERE "SEEN__narrow" IS NOT NULL;
ALTER TABLE "TILEDESK"."TAGS" DROP COLUMN "SEEN__narrow";

-- last step
ALTER TABLE "TILEDESK"."TAGS" RENAME COLUMN "SEEN__wide" TO "SEEN";

-- upsert
MERGE INTO "TILEDESK"."TAGS" AS held USING (SELECT * FROM (SELECT * FROM stage) AS staged WHERE "_DELETED_AT" IS NULL) AS fresh ON held."_ID" = fresh."_ID"
WHEN MATCHED AND (COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) > COALESCE(held."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) OR COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) = COALESCE(held."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND COALESCE(fresh."_KAFKA_OFFSET", -1) > COALESCE(held."_KAFKA_OFFSET", -1)) THEN UPDATE SET "A NAME OF MANY WORDS" = fresh."A NAME OF MANY WORDS", "ATTRIBUTES" = fresh."ATTRIBUTES", "NOTE" = fresh."NOTE", "ORDER" = fresh."ORDER", "SEEN" = fresh."SEEN", "UPDATED_AT" = fresh."UPDATED_AT", "_DELETED_AT" = CASE WHEN (COALESCE(held."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) > COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) OR COALESCE(held."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) = COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND COALESCE(held."_DELETED_OFFSET", -1) > COALESCE(fresh."_KAFKA_OFFSET", -1)) THEN held."_DELETED_AT" END, "_DELETED_OFFSET" = CASE WHEN (COALESCE(held."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) > COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) OR COALESCE(held."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) = COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND COALESCE(held."_DELETED_OFFSET", -1) > COALESCE(fresh."_KAFKA_OFFSET", -1)) THEN held."_DELETED_OFFSET" END, "_KAFKA_OFFSET" = fresh."_KAFKA_OFFSET", "_LOAD_ID" = fresh."_LOAD_ID"
WHEN NOT MATCHED THEN INSERT ("_ID", "NOTE", "ORDER", "ATTRIBUTES", "SEEN", "A NAME OF MANY WORDS", "UPDATED_AT", "_KAFKA_OFFSET", "_LOAD_ID", "_DELETED_AT", "_DELETED_OFFSET") VALUES (fresh."_ID", fresh."NOTE", fresh."ORDER", fresh."ATTRIBUTES", fresh."SEEN", fresh."A NAME OF MANY WORDS", fresh."UPDATED_AT", fresh."_KAFKA_OFFSET", fresh."_LOAD_ID", fresh."_DELETED_AT", fresh."_DELETED_OFFSET");
MERGE INTO "TILEDESK"."TAGS" AS held USING (SELECT * FROM (SELECT * FROM stage) AS staged WHERE "_DELETED_AT" IS NOT NULL) AS fresh ON held."_ID" = fresh."_ID"
WHEN MATCHED AND (COALESCE(fresh."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) > COALESCE(held."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) OR COALESCE(fresh."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) = COALESCE(held."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND COALESCE(fresh."_DELETED_OFFSET", -1) > COALESCE(held."_KAFKA_OFFSET", -1)) AND (COALESCE(fresh."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) > COALESCE(held."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) OR COALESCE(fresh."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) = COALESCE(held."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND COALESCE(fresh."_DELETED_OFFSET", -1) > COALESCE(held."_DELETED_OFFSET", -1)) THEN UPDATE SET "_DELETED_AT" = fresh."_DELETED_AT", "_DELETED_OFFSET" = fresh."_DELETED_OFFSET", "_LOAD_ID" = fresh."_LOAD_ID"
WHEN NOT MATCHED THEN INSERT ("_ID", "NOTE", "ORDER", "ATTRIBUTES", "SEEN", "A NAME OF MANY WORDS", "_LOAD_ID", "_DELETED_AT", "_DELETED_OFFSET") VALUES (fresh."_ID", fresh."NOTE", fresh."ORDER", fresh."ATTRIBUTES", fresh."SEEN", fresh."A NAME OF MANY WORDS", fresh."_LOAD_ID", fresh."_DELETED_AT", fresh."_DELETED_OFFSET");

-- upsert in a replay, where deletions remove
MERGE INTO "TILEDESK"."_TILESTREAM_DELETED" AS held USING (SELECT 'TAGS' AS table_name, "_ID" AS deleted_key, "_DELETED_AT" AS deleted_at, "_DELETED_OFFSET" AS deleted_offset FROM (SELECT * FROM (SELECT * FROM stage) AS staged WHERE "_DELETED_AT" IS NOT NULL) AS staged) AS fresh ON held.table_name = fresh.table_name AND held.deleted_key = fresh.deleted_key
WHEN MATCHED AND (fresh.deleted_at > held.deleted_at OR fresh.deleted_at = held.deleted_at AND fresh.deleted_offset > held.deleted_offset) THEN UPDATE SET deleted_at = fresh.deleted_at, deleted_offset = fresh.deleted_offset
WHEN NOT MATCHED THEN INSERT (table_name, deleted_key, deleted_at, deleted_offset) VALUES (fresh.table_name, fresh.deleted_key, fresh.deleted_at, fresh.deleted_offset);
MERGE INTO "TILEDESK"."TAGS" AS held USING (SELECT fresh.* FROM (SELECT * FROM (SELECT * FROM stage) AS staged WHERE "_DELETED_AT" IS NULL) AS fresh LEFT JOIN "TILEDESK"."_TILESTREAM_DELETED" AS gone ON gone.table_name = 'TAGS' AND gone.deleted_key = fresh."_ID"
WHERE gone.deleted_key IS NULL OR NOT (gone.deleted_at > COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) OR gone.deleted_at = COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND gone.deleted_offset > COALESCE(fresh."_KAFKA_OFFSET", -1))) AS fresh ON held."_ID" = fresh."_ID"
WHEN MATCHED AND (COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) > COALESCE(held."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) OR COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) = COALESCE(held."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND COALESCE(fresh."_KAFKA_OFFSET", -1) > COALESCE(held."_KAFKA_OFFSET", -1)) THEN UPDATE SET "A NAME OF MANY WORDS" = fresh."A NAME OF MANY WORDS", "ATTRIBUTES" = fresh."ATTRIBUTES", "NOTE" = fresh."NOTE", "ORDER" = fresh."ORDER", "SEEN" = fresh."SEEN", "UPDATED_AT" = fresh."UPDATED_AT", "_DELETED_AT" = CASE WHEN (COALESCE(held."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) > COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) OR COALESCE(held."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) = COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND COALESCE(held."_DELETED_OFFSET", -1) > COALESCE(fresh."_KAFKA_OFFSET", -1)) THEN held."_DELETED_AT" END, "_DELETED_OFFSET" = CASE WHEN (COALESCE(held."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) > COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) OR COALESCE(held."_DELETED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) = COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND COALESCE(held."_DELETED_OFFSET", -1) > COALESCE(fresh."_KAFKA_OFFSET", -1)) THEN held."_DELETED_OFFSET" END, "_KAFKA_OFFSET" = fresh."_KAFKA_OFFSET", "_LOAD_ID" = fresh."_LOAD_ID"
WHEN NOT MATCHED THEN INSERT ("_ID", "NOTE", "ORDER", "ATTRIBUTES", "SEEN", "A NAME OF MANY WORDS", "UPDATED_AT", "_KAFKA_OFFSET", "_LOAD_ID", "_DELETED_AT", "_DELETED_OFFSET") VALUES (fresh."_ID", fresh."NOTE", fresh."ORDER", fresh."ATTRIBUTES", fresh."SEEN", fresh."A NAME OF MANY WORDS", fresh."UPDATED_AT", fresh."_KAFKA_OFFSET", fresh."_LOAD_ID", fresh."_DELETED_AT", fresh."_DELETED_OFFSET");
DELETE FROM "TILEDESK"."TAGS" WHERE "_ID" IN (SELECT held."_ID" FROM "TILEDESK"."TAGS" AS held JOIN "TILEDESK"."_TILESTREAM_DELETED" AS gone ON gone.deleted_key = held."_ID"
WHERE gone.table_name = 'TAGS' AND (gone.deleted_at > COALESCE(held."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) OR gone.deleted_at = COALESCE(held."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND gone.deleted_offset > COALESCE(held."_KAFKA_OFFSET", -1)) AND gone.deleted_key IN (SELECT "_ID" FROM (SELECT * FROM (SELECT * FROM stage) AS staged WHERE "_DELETED_AT" IS NOT NULL) AS staged));
MERGE INTO "TILEDESK"."TAGS" AS held USING (SELECT * FROM (SELECT * FROM stage) AS staged WHERE "_DELETED_AT" IS NULL) AS fresh ON held."_ID" = fresh."_ID"
WHEN MATCHED AND (COALESCE(fresh."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) = COALESCE(held."UPDATED_AT", CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND COALESCE(fresh."_KAFKA_OFFSET", -1) = COALESCE(held."_KAFKA_OFFSET", -1)) AND ((held."NOTE" <> fresh."NOTE" OR (held."NOTE" IS NULL) <> (fresh."NOTE" IS NULL)) OR (held."ORDER" <> fresh."ORDER" OR (held."ORDER" IS NULL) <> (fresh."ORDER" IS NULL)) OR (TO_JSON(held."ATTRIBUTES") <> TO_JSON(fresh."ATTRIBUTES") OR (TO_JSON(held."ATTRIBUTES") IS NULL) <> (TO_JSON(fresh."ATTRIBUTES") IS NULL)) OR (held."SEEN" <> fresh."SEEN" OR (held."SEEN" IS NULL) <> (fresh."SEEN" IS NULL)) OR (held."A NAME OF MANY WORDS" <> fresh."A NAME OF MANY WORDS" OR (held."A NAME OF MANY WORDS" IS NULL) <> (fresh."A NAME OF MANY WORDS" IS NULL))) THEN UPDATE SET "NOTE" = fresh."NOTE", "ORDER" = fresh."ORDER", "ATTRIBUTES" = fresh."ATTRIBUTES", "SEEN" = fresh."SEEN", "A NAME OF MANY WORDS" = fresh."A NAME OF MANY WORDS", "_LOAD_ID" = fresh."_LOAD_ID";

-- append, in a replay
INSERT INTO "TILEDESK"."TAGS" ("_ID", "NOTE", "ORDER", "ATTRIBUTES", "SEEN", "A NAME OF MANY WORDS", "UPDATED_AT", "_KAFKA_OFFSET", "_LOAD_ID", "_DELETED_AT", "_DELETED_OFFSET")
SELECT fresh."_ID", fresh."NOTE", fresh."ORDER", fresh."ATTRIBUTES", fresh."SEEN", fresh."A NAME OF MANY WORDS", fresh."UPDATED_AT", fresh."_KAFKA_OFFSET", fresh."_LOAD_ID", fresh."_DELETED_AT", fresh."_DELETED_OFFSET" FROM (SELECT * FROM stage) AS fresh LEFT JOIN "TILEDESK"."TAGS" AS held ON held."_ID" = fresh."_ID" AND COALESCE(CASE WHEN held."_DELETED_AT" IS NOT NULL THEN held."_DELETED_AT" ELSE held."UPDATED_AT" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) = COALESCE(CASE WHEN fresh."_DELETED_AT" IS NOT NULL THEN fresh."_DELETED_AT" ELSE fresh."UPDATED_AT" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND CASE WHEN held."_DELETED_AT" IS NOT NULL THEN held."_DELETED_OFFSET" ELSE held."_KAFKA_OFFSET" END = CASE WHEN fresh."_DELETED_AT" IS NOT NULL THEN fresh."_DELETED_OFFSET" ELSE fresh."_KAFKA_OFFSET" END AND (held."_DELETED_AT" IS NULL) = (fresh."_DELETED_AT" IS NULL) WHERE held."_ID" IS NULL;
MERGE INTO "TILEDESK"."TAGS" AS held USING (SELECT * FROM stage) AS fresh ON held."_ID" = fresh."_ID" AND COALESCE(CASE WHEN held."_DELETED_AT" IS NOT NULL THEN held."_DELETED_AT" ELSE held."UPDATED_AT" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) = COALESCE(CASE WHEN fresh."_DELETED_AT" IS NOT NULL THEN fresh."_DELETED_AT" ELSE fresh."UPDATED_AT" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND CASE WHEN held."_DELETED_AT" IS NOT NULL THEN held."_DELETED_OFFSET" ELSE held."_KAFKA_OFFSET" END = CASE WHEN fresh."_DELETED_AT" IS NOT NULL THEN fresh."_DELETED_OFFSET" ELSE fresh."_KAFKA_OFFSET" END AND (held."_DELETED_AT" IS NULL) = (fresh."_DELETED_AT" IS NULL)
WHEN MATCHED AND ((held."NOTE" <> fresh."NOTE" OR (held."NOTE" IS NULL) <> (fresh."NOTE" IS NULL)) OR (held."ORDER" <> fresh."ORDER" OR (held."ORDER" IS NULL) <> (fresh."ORDER" IS NULL)) OR (TO_JSON(held."ATTRIBUTES") <> TO_JSON(fresh."ATTRIBUTES") OR (TO_JSON(held."ATTRIBUTES") IS NULL) <> (TO_JSON(fresh."ATTRIBUTES") IS NULL)) OR (held."SEEN" <> fresh."SEEN" OR (held."SEEN" IS NULL) <> (fresh."SEEN" IS NULL)) OR (held."A NAME OF MANY WORDS" <> fresh."A NAME OF MANY WORDS" OR (held."A NAME OF MANY WORDS" IS NULL) <> (fresh."A NAME OF MANY WORDS" IS NULL))) THEN UPDATE SET "NOTE" = fresh."NOTE", "ORDER" = fresh."ORDER", "ATTRIBUTES" = fresh."ATTRIBUTES", "SEEN" = fresh."SEEN", "A NAME OF MANY WORDS" = fresh."A NAME OF MANY WORDS", "_LOAD_ID" = fresh."_LOAD_ID";

-- history
INSERT INTO "TILEDESK"."TAGS" ("_ID", "NOTE", "ORDER", "ATTRIBUTES", "SEEN", "A NAME OF MANY WORDS", "UPDATED_AT", "_KAFKA_OFFSET", "_LOAD_ID", "_DELETED_AT", "_DELETED_OFFSET")
SELECT fresh."_ID", fresh."NOTE", fresh."ORDER", fresh."ATTRIBUTES", fresh."SEEN", fresh."A NAME OF MANY WORDS", fresh."UPDATED_AT", fresh."_KAFKA_OFFSET", fresh."_LOAD_ID", fresh."_DELETED_AT", fresh."_DELETED_OFFSET" FROM (SELECT * FROM stage) AS fresh LEFT JOIN "TILEDESK"."TAGS" AS held ON held."_ID" = fresh."_ID" AND COALESCE(CASE WHEN held."_DELETED_AT" IS NOT NULL THEN held."_DELETED_AT" ELSE held."UPDATED_AT" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) = COALESCE(CASE WHEN fresh."_DELETED_AT" IS NOT NULL THEN fresh."_DELETED_AT" ELSE fresh."UPDATED_AT" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AND CASE WHEN held."_DELETED_AT" IS NOT NULL THEN held."_DELETED_OFFSET" ELSE held."_KAFKA_OFFSET" END = CASE WHEN fresh."_DELETED_AT" IS NOT NULL THEN fresh."_DELETED_OFFSET" ELSE fresh."_KAFKA_OFFSET" END AND (held."_DELETED_AT" IS NULL) = (fresh."_DELETED_AT" IS NULL) WHERE held."_ID" IS NULL;
MERGE INTO "TILEDESK"."TAGS" AS held USING (
	SELECT id, placed, place, live, began, lead(began) OVER (PARTITION BY id ORDER BY placed, place, live) AS ended, (SELECT max("_LOAD_ID") FROM (SELECT * FROM stage) AS staged) AS mark_0 FROM (
		SELECT held."_ID" AS id, COALESCE(CASE WHEN held."_DELETED_AT" IS NOT NULL THEN held."_DELETED_AT" ELSE held."UPDATED_AT" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AS placed, CASE WHEN held."_DELETED_AT" IS NOT NULL THEN held."_DELETED_OFFSET" ELSE held."_KAFKA_OFFSET" END AS place, (held."_DELETED_AT" IS NULL) AS live, greatest(COALESCE(CASE WHEN held."_DELETED_AT" IS NOT NULL THEN held."_DELETED_AT" ELSE held."UPDATED_AT" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)), CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) AS began
		FROM "TILEDESK"."TAGS" AS held WHERE held."_ID" IN (SELECT staged."_ID" FROM (SELECT * FROM stage) AS staged)) AS versions) AS fresh ON held."_ID" = fresh.id AND COALESCE(CASE WHEN held."_DELETED_AT" IS NOT NULL THEN held."_DELETED_AT" ELSE held."UPDATED_AT" END, CAST('0001-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ)) = fresh.placed AND CASE WHEN held."_DELETED_AT" IS NOT NULL THEN held."_DELETED_OFFSET" ELSE held."_KAFKA_OFFSET" END = fresh.place AND (held."_DELETED_AT" IS NULL) = fresh.live
WHEN MATCHED AND ((held."_VALID_FROM" <> fresh.began OR (held."_VALID_FROM" IS NULL) <> (fresh.began IS NULL)) OR (held."_VALID_TO" <> fresh.ended OR (held."_VALID_TO" IS NULL) <> (fresh.ended IS NULL))) THEN UPDATE SET "_VALID_FROM" = fresh.began, "_VALID_TO" = fresh.ended, "_LOAD_ID" = fresh.mark_0;

-- the lock
BEGIN;
UPDATE "TILEDESK"."_TILESTREAM_LOCK" SET turns = turns + 1;

-- the ledger and the load
DELETE FROM "TILEDESK"."_TILESTREAM_LEDGER" WHERE cluster = 'cluster' AND consumer_group = 'it\'s' AND topic = 'a\\b' AND "PARTITION" = 0 OR cluster = 'cluster' AND consumer_group = 'it\'s' AND topic = 'a\\b' AND "PARTITION" = 1;
INSERT INTO "TILEDESK"."_TILESTREAM_LEDGER" (cluster, consumer_group, topic, "PARTITION", next_offset, updated_at) VALUES ('cluster', 'it\'s', 'a\\b', 0, 10, CAST('1970-01-01 00:00:01.500000+00:00' AS TIMESTAMP_TZ)), ('cluster', 'it\'s', 'a\\b', 1, 10, CAST('1970-01-01 00:00:01.500000+00:00' AS TIMESTAMP_TZ));
INSERT INTO "TILEDESK"."_TILESTREAM_LOADS" (load_id, table_name, "ROWS", inserted, updated, unchanged, bytes, ranges, started_at, finished_at) VALUES ('load', 'tags', 1, 1, 0, 0, 99, '[{"cluster":"cluster","group":"it\'s","topic":"a\\\\b","partition":0,"from":0,"to":10},{"cluster":"cluster","group":"it\'s","topic":"a\\\\b","partition":1,"from":5,"to":10}]', CAST('1970-01-01 00:00:00.000000+00:00' AS TIMESTAMP_TZ), CAST('1970-01-01 00:00:01.500000+00:00' AS TIMESTAMP_TZ));

