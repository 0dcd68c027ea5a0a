// Command bench measures how fast Tilestream is beside what the machine gives: the same rows through the warehouse's own bulk path, in the
// same run. It prints one table.
//
//	go run ./internal/bench -rows 200000 -runs 5 -only postgres
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	var b bench
	flag.IntVar(&b.rows, "rows", 200_000, "messages, of about 1 KB")
	flag.IntVar(&b.runs, "runs", 5, "how often each is measured, in turns")
	flag.IntVar(&b.held, "held", 0, "also load PostgreSQL and DuckDB where the table has so many other rows")
	flag.StringVar(&b.only, "only", "", "measure what begins with `TEXT`: decode, postgres, duckdb, files, extract, end to end; or idle, which is measured only then")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
