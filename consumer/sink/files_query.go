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
// fits all files; in mode append or history, every version as such a table holds it. A row whose document is gone has its last values and its deletion. Of equal versions the one that was loaded
// last is shown, if the table's schema is known and has _loaded_at. dir is the directory, or the prefix,
// that the warehouse's URL names.
func FilesQuery(dir, dataset string, t Table) string {
	pattern := globbed(filepath.ToSlash(dir)) + "/" + path.Join(element(dataset), element(t.Name)) + "/*/*.parquet"
	files := "read_parquet('" + strings.ReplaceAll(pattern, "'", "''") + "', union_by_name = true, hive_partitioning = false)"
	return newestOf(files, "filename", t)
}

// newestOf is that query over any source of versions; file is its column that names a row's file.
func newestOf(files, file string, t Table) string {
	if t.Mode != Upsert {
		return filesVersions(files, file, t)
	}
	newest := duckQuote(t.Offset) + " DESC"
	if t.Version != "" {
		newest = duckQuote(t.Version) + " DESC NULLS LAST, " + newest
	}
	partition := "PARTITION BY " + duckQuote(t.Key)
	columns := "*"
	if t.Deleted != "" {
		// Documents before tombstones, and these by their own order.
		columns, newest = withDeletion(t, partition), duckQuote(t.Deleted)+" IS NOT NULL, "+newestTombstone(t)+newest
	}
	// Of a record that was loaded again, the last load counts, since a replay may fill columns. The file's name decides
	// where loads are of one time, the same way each time.
	return fmt.Sprintf("SELECT %s FROM %s\nQUALIFY row_number() OVER (%s ORDER BY %s, %s) = 1", columns, files, partition, newest, lastLoad(file, t))
}

// newestTombstone orders tombstones, and no documents.
func newestTombstone(t Table) string {
	order := duckQuote(t.DeletedOffset) + " DESC NULLS LAST, "
	if t.Version != "" {
		order = duckQuote(t.Deleted) + " DESC NULLS LAST, " + order
	}
	return order
}

func lastLoad(file string, t Table) string {
	if t.Schema != nil && t.Schema.HasField("_loaded_at") {
		return duckQuote("_loaded_at") + " DESC NULLS LAST, " + file
	}
	return file
}

// filesVersions is every version once, and in a history from when and until when it held.
func filesVersions(files, file string, t Table) string {
	v := versionSQL{dialect: duckDialect, b: Batch{Table: t}}
	key := "held." + duckQuote(t.Key)
	order := strings.Join([]string{v.time("held"), v.offset("held"), v.live("held")}, ", ")
	query := fmt.Sprintf("SELECT * FROM %s AS held\nQUALIFY row_number() OVER (PARTITION BY %s, %s ORDER BY %s) = 1", files, key, order, lastLoad(file, t))
	if t.Mode == History {
		query = fmt.Sprintf("SELECT *, greatest(%s, %s) AS %s,\n  lead(greatest(%[1]s, %[2]s)) OVER (PARTITION BY %[4]s ORDER BY %[5]s) AS %[6]s\nFROM (%[7]s) AS held",
			v.time("held"), v.beginning(), duckQuote(validFrom), key, order, duckQuote(validTo), query)
	}
	return query
}

// withDeletion is all columns, with those of the deletion taken from the newest tombstone of the key, where that is newer
// than the document of the row.
func withDeletion(t Table, partition string) string {
	at, offset := duckQuote(t.Deleted), duckQuote(t.DeletedOffset)
	rank := func(time, offset string) string {
		if t.Version == "" {
			return "row(" + offset + ")"
		}
		return "row(coalesce(" + time + ", '-infinity'::TIMESTAMPTZ), " + offset + ")"
	}
	last := rank(at, offset)
	gone := "max(" + last + ") FILTER (" + at + " IS NOT NULL) OVER (" + partition + ") > " + rank(duckQuote(t.Version), duckQuote(t.Offset))
	var replaced []string
	for _, c := range []string{at, offset} {
		replaced = append(replaced, "CASE WHEN "+at+" IS NOT NULL OR "+gone+" THEN arg_max("+c+", "+last+") FILTER ("+at+" IS NOT NULL) OVER ("+partition+") END AS "+c)
	}
	document := []string{t.Offset}
	if t.Version != "" {
		document = append(document, t.Version)
	}
	for _, c := range document {
		replaced = append(replaced, "CASE WHEN "+at+" IS NULL THEN "+duckQuote(c)+" END AS "+duckQuote(c))
	}
	return "* REPLACE (\n  " + strings.Join(replaced, ",\n  ") + ")"
}

// globbed is the path as DuckDB's glob takes it literally.
func globbed(dir string) string {
	return strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]").Replace(cmp.Or(strings.TrimSuffix(dir, "/"), "."))
}
