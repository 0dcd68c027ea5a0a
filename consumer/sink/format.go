package sink

import (
	"context"
	"database/sql"
	"fmt"

	"tilestream/internal/ops"
)

// formatTable has the format of a dataset's system tables, in its only row. A dataset without it was made before there was one, and has format 1.
const formatTable = "_tilestream_format"

// The formats that this program writes, and the newest that it reads. Whoever changes one raises it, and reads the older ones too.
const (
	datasetFormat    = 1 // system tables of an SQL dataset
	commitFormat     = 1 // commit objects of files
	compactionFormat = 1 // objects of a table's log of compactions
	icebergFormat    = 1 // what snapshots and tables of Iceberg say of the ledger
)

// anotherDataset is the way on for all of them: topics are the source of truth.
const anotherDataset = "load the topics again into another dataset (WAREHOUSE_DATASET)"

// makesFormat creates the table of the format, and writes this program's into it. Where two make it at once it gets two rows, which say the same.
func makesFormat(table, integer, properties string) []string {
	return []string{"CREATE TABLE IF NOT EXISTS " + table + " (version " + integer + " NOT NULL)" + properties,
		fmt.Sprintf("INSERT INTO %s (version) SELECT %d FROM (SELECT count(*) AS n FROM %[1]s) AS held WHERE n = 0", table, datasetFormat)}
}

// checkDataset refuses system tables that this program does not know. scan reads the only column of asksFormat's row.
func checkDataset(dataset string, scan func(...any) error) error {
	var found sql.NullInt64
	if err := scan(&found); err != nil {
		return fmt.Errorf("read %s: %w", formatTable, err)
	}
	if !found.Valid {
		return nil // killed before its row was there
	}
	return ops.CheckFormat("dataset "+dataset, int(found.Int64), datasetFormat, anotherDataset)
}

func asksFormat(table string) string { return "SELECT max(version) FROM " + table }

// checkFormat refuses what this program does not know before it is misread.
func (v *View) checkFormat(ctx context.Context) error {
	if ok, err := v.exists(ctx, formatTable); err != nil || !ok {
		return err
	}
	return checkDataset(v.dataset, v.conn.QueryRowContext(ctx, asksFormat(v.table(formatTable))).Scan)
}
