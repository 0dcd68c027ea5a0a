package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// endToEnd measures the whole, from the API to the table, in one process beside its Kafka; and dlt on the same pages, where TEST_DLT_PYTHON is a
// Python that has it.
func (b *bench) endToEnd(ctx context.Context) ([]trial, error) {
	if err := b.fillDesk(); err != nil {
		return nil, err
	}
	python := os.Getenv("TEST_DLT_PYTHON")
	var trials []trial
	for _, warehouse := range []string{"postgres", "duckdb"} {
		server := os.Getenv("TEST_POSTGRES_URL")
		if warehouse == "postgres" && server == "" {
			continue
		}
		into := func(load func(url, dataset string) (cost, error)) (cost, error) {
			dataset := fresh(b.kafka.Prefix)
			url := b.fileURL("duckdb", fresh("file")+".duckdb")
			if warehouse == "postgres" {
				url = server
				b.drops(ctx, server, dataset)
			}
			c, err := load(url, dataset)
			c.rows = b.rows
			return c, err
		}
		end := trial{name: "end to end, " + warehouse, run: func(ctx context.Context) (cost, error) {
			return into(func(url, dataset string) (cost, error) {
				c, err := b.whole(ctx, "tilestream", map[string]string{
					"WAREHOUSE_URL": url, "WAREHOUSE_DATASET": dataset, "KAFKA_TOPIC_PREFIX": dataset, "KAFKA_GROUP": dataset,
				})
				if err == nil {
					err = b.complete(func() (int, error) { return rowsIn(ctx, url, dataset) })
				}
				return c, err
			})
		}}
		if python != "" {
			for _, how := range []string{"as installed", "tuned"} {
				name := fmt.Sprintf("end to end, %s, dlt %s", warehouse, how)
				end.beside = append(end.beside, name)
				trials = append(trials, trial{name, nil, func(ctx context.Context) (cost, error) {
					return into(func(url, dataset string) (cost, error) { return b.dlt(ctx, python, url, dataset, how) })
				}})
			}
		}
		trials = append(trials, end)
	}
	return trials, nil
}

// dlt has a pipeline of dlt read the stand-in. It counts the rows itself: its DuckDB may be newer than ours.
func (b *bench) dlt(ctx context.Context, python, url, dataset, how string) (cost, error) {
	cmd := exec.CommandContext(ctx, python, filepath.Join("internal", "bench", "testdata", "dlt_messages.py"),
		b.desk["TILEDESK_URL"]+"/"+b.desk["TILEDESK_PROJECT_ID"], b.desk["TILEDESK_TOKEN"], url, dataset, how)
	cmd.Env = append(os.Environ(), "DLT_DATA_DIR="+filepath.Join(b.dir, "dlt_"+dataset), "RUNTIME__DLTHUB_TELEMETRY=false")
	c, printed, err := watch(cmd)
	if err == nil {
		err = b.complete(func() (int, error) {
			return strconv.Atoi(strings.TrimSpace(printed[strings.LastIndex(strings.TrimSpace(printed), "\n")+1:]))
		})
	}
	if err != nil {
		err = fmt.Errorf("dlt %s: %w", how, err)
	}
	return c, err
}
