package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"tilestream/internal/bench/messages"
	"tilestream/schemas"
)

// connect has Kafka Connect, with Debezium's JDBC sink, load the topic: what testdata/connect/pom.xml names, in the folder of TEST_CONNECT_LIBS. It is
// measured from its first row to its last, since Java takes seconds to begin.
func (b *bench) connect(ctx context.Context, db *pgx.Conn, server, libs, dataset string) (c cost, err error) {
	if _, err := db.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{dataset}.Sanitize()); err != nil {
		return c, err
	}
	worker, err := b.properties(dataset+"-worker", b.connectWorker())
	if err != nil {
		return c, err
	}
	settings, err := b.connectSink(server, dataset)
	if err != nil {
		return c, err
	}
	connector, err := b.properties(dataset+"-sink", settings)
	if err != nil {
		return c, err
	}
	cmd := exec.Command("java", "-Xmx1g", "-cp", filepath.Join(libs, "*"), "org.apache.kafka.connect.cli.ConnectStandalone", worker, connector)
	said, err := os.Create(filepath.Join(b.dir, dataset+".log"))
	if err != nil {
		return c, err
	}
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return c, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	}()
	complain := func(why string) error {
		text, _ := os.ReadFile(said.Name())
		return fmt.Errorf("%s:\n%s", why, text[max(0, len(text)-4000):])
	}
	table := pgx.Identifier{dataset, "messages"}.Sanitize()
	var began, grown time.Time // when the table had its first row, and when it grew last
	var cpu, theirs time.Duration
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); {
		select {
		case err := <-ended:
			ended <- err
			return c, complain(fmt.Sprint("Kafka Connect ended by itself: ", err))
		case <-ctx.Done():
			return c, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		// Its size costs the server nothing to tell; its rows are counted where it has stopped to grow.
		var size int64
		if err := db.QueryRow(ctx, "SELECT coalesce(pg_relation_size(to_regclass($1)), 0)", table).Scan(&size); err != nil {
			return c, err
		}
		if size > c.disk {
			c.disk, grown = size, time.Now()
			if began.IsZero() {
				began, cpu, theirs = grown, messages.CPU(cmd.Process.Pid), postgresCPU()
			}
			continue
		}
		if size == 0 || time.Since(grown) < 500*time.Millisecond {
			continue
		}
		n, err := rowsIn(ctx, server, dataset)
		if err != nil {
			return c, err
		}
		if n == b.rows {
			c.rows, c.took, c.rss = n, grown.Sub(began), messages.Resident(cmd.Process.Pid)
			c.cpu, c.server = messages.CPU(cmd.Process.Pid)-cpu, postgresCPU()-theirs
			return c, db.QueryRow(ctx, "SELECT pg_total_relation_size($1)", table).Scan(&c.disk)
		}
	}
	return c, complain(fmt.Sprintf("Kafka Connect has not loaded all %d rows in five minutes", b.rows))
}

func (b *bench) connectWorker() map[string]string {
	return map[string]string{
		"bootstrap.servers":                              strings.Join(b.kafka.Brokers, ","),
		"listeners":                                      "http://127.0.0.1:0",
		"offset.storage.file.filename":                   filepath.Join(b.dir, "connect.offsets"),
		"plugin.discovery":                               "only_scan",
		"key.converter":                                  "org.apache.kafka.connect.storage.StringConverter",
		"value.converter":                                "io.apicurio.registry.utils.converter.AvroConverter",
		"value.converter.apicurio.registry.url":          strings.Replace(b.kafka.Registry.URL, "/apis/ccompat/v7", "/apis/registry/v2", 1),
		"value.converter.apicurio.registry.as-confluent": "true",
		"value.converter.apicurio.registry.use-id":       "contentId",
	}
}

// connectSink upserts, tuned: large polls and batches, inserts of many rows, a task for each core.
func (b *bench) connectSink(server, dataset string) (map[string]string, error) {
	c, err := pgx.ParseConfig(server)
	if err != nil {
		return nil, err
	}
	rs, err := schemas.ByName("messages")
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"name":                                        dataset,
		"connector.class":                             "io.debezium.connector.jdbc.JdbcSinkConnector",
		"topics":                                      rs[0].Topic(b.kafka.Prefix),
		"tasks.max":                                   "2",
		"connection.url":                              fmt.Sprintf("jdbc:postgresql://%s:%d/%s?reWriteBatchedInserts=true", c.Host, c.Port, c.Database),
		"connection.username":                         c.User,
		"connection.password":                         c.Password,
		"collection.name.format":                      dataset + ".messages",
		"insert.mode":                                 "upsert",
		"primary.key.mode":                            "record_value",
		"primary.key.fields":                          "_id",
		"schema.evolution":                            "basic",
		"batch.size":                                  "10000",
		"consumer.override.max.poll.records":          "10000",
		"consumer.override.fetch.min.bytes":           "1048576",
		"consumer.override.fetch.max.wait.ms":         "100",
		"consumer.override.auto.offset.reset":         "earliest",
		"consumer.override.isolation.level":           "read_committed",
		"consumer.override.max.partition.fetch.bytes": "4194304",
	}, nil
}

// properties writes a file as Java programs read their settings.
func (b *bench) properties(name string, of map[string]string) (string, error) {
	var text strings.Builder
	for key, value := range of {
		fmt.Fprintf(&text, "%s=%s\n", key, value)
	}
	path := filepath.Join(b.dir, name+".properties")
	return path, os.WriteFile(path, []byte(text.String()), 0o600)
}
