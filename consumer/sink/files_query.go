package sink

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// FilesQuery returns the DuckDB query whose rows are the current state of a table in a warehouse of files, as a table of
// any other warehouse holds it: the newest version of each row, all columns that any file has, each with a type that
// fits all files. dir is the directory, or the prefix, that the warehouse's URL names.
func FilesQuery(dir, dataset string, t Table) string {
	pattern := globbed(filepath.ToSlash(dir)) + "/" + path.Join(element(dataset), element(t.Name)) + "/*/*.parquet"
	newest := quoteName(t.Offset) + " DESC"
	if t.Version != "" {
		newest = quoteName(t.Version) + " DESC NULLS LAST, " + newest
	}
	// The file's name decides between loads of the same record, the same way each time: within a log, the first one.
	return fmt.Sprintf("SELECT * FROM read_parquet('%s', union_by_name = true, hive_partitioning = false)\n"+
		"QUALIFY row_number() OVER (PARTITION BY %s ORDER BY %s, filename) = 1",
		strings.ReplaceAll(pattern, "'", "''"), quoteName(t.Key), newest)
}

// globbed is the path as DuckDB's glob takes it literally.
func globbed(dir string) string {
	return strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]").Replace(cmp.Or(strings.TrimSuffix(dir, "/"), "."))
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
