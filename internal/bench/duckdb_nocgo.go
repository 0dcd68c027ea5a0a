//go:build !cgo

package main

import "context"

// duckDB measures nothing in a build without cgo, which has no DuckDB.
func (b *bench) duckDB(context.Context) ([]trial, error) {
	b.where += "; no DuckDB (built without cgo)"
	return nil, nil
}
