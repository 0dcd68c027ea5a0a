package sink

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet/compress"
)

// redshiftStage puts batches as Parquet into a bucket, from where Redshift copies them into a temporary table of the connection.
type redshiftStage struct {
	bucket *bucket
	role   string
}

// Limits of values (Database Developer Guide, "Character types", and "Limitations" of SUPER).
const (
	redshiftText = 65_535 // bytes
	redshiftNest = 1_000
)

type redshiftManifest struct {
	Entries []redshiftEntry `json:"entries"`
}

type redshiftEntry struct {
	URL       string `json:"url"`
	Mandatory bool   `json:"mandatory"`
	Meta      struct {
		Length int64 `json:"content_length"` // which Parquet needs ("Using a manifest to specify data files")
	} `json:"meta"`
}

// stage needs the right types in the right places: COPY of Parquet goes by position and converts nothing ("COPY from columnar data
// formats"). So times are staged as the milliseconds that they are.
func (r *redshiftStage) stage(ctx context.Context, conn *sql.Conn, name string, rows arrow.RecordBatch) (source string, drop func(context.Context) error, err error) {
	file, manifest := name+".parquet", name+".manifest"
	table := redshiftDialect.quoted(name)
	clear := func(ctx context.Context) error {
		ctx, cancel := afterwards(ctx)
		defer cancel()
		_, err := conn.ExecContext(ctx, "DROP TABLE IF EXISTS "+table)
		return errors.Join(err, r.bucket.remove(ctx, file), r.bucket.remove(ctx, manifest))
	}
	defer func() {
		if err != nil {
			_ = clear(ctx) // the table ends with the connection, the objects by the bucket's rule
		}
	}()
	rows, defined, selected, err := redshiftColumns(rows)
	if err != nil {
		return "", nil, err
	}
	var m redshiftManifest
	m.Entries = make([]redshiftEntry, 1)
	e := &m.Entries[0]
	e.URL, e.Mandatory = r.bucket.path(file), true
	e.Meta.Length, err = r.bucket.create(ctx, file, func(w io.Writer) error {
		rows.Retain()
		return writeParquetAs(ctx, w, compress.Codecs.Snappy, rows.Schema(), slices.Values([]arrow.RecordBatch{rows}))
	})
	rows.Release()
	if err != nil {
		return "", nil, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return "", nil, err
	}
	if _, err := r.bucket.create(ctx, manifest, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
		return "", nil, err
	}
	for _, sql := range []string{
		"CREATE TEMP TABLE " + table + " (" + strings.Join(defined, ", ") + ")",
		"COPY " + table + " FROM " + redshiftDialect.literal(r.bucket.path(manifest)) + " IAM_ROLE " + r.role + " FORMAT AS PARQUET MANIFEST",
	} {
		if _, err := conn.ExecContext(ctx, sql); err != nil {
			return "", nil, fmt.Errorf("load the stage %s: %w", e.URL, err)
		}
	}
	return "(SELECT " + strings.Join(selected, ", ") + " FROM " + table + ") AS loaded", clear, nil
}

// redshiftColumns is the batch as COPY takes it, the columns of the table that it goes to, and what is selected from that.
func redshiftColumns(rows arrow.RecordBatch) (_ arrow.RecordBatch, defined, selected []string, err error) {
	fields, columns := rows.Schema().Fields(), slices.Clone(rows.Columns())
	for i, f := range fields {
		k, err := kindOf(f.Type)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		from := f.Name
		if k == kindTimestamp {
			data := array.NewData(arrow.PrimitiveTypes.Int64, columns[i].Len(), columns[i].Data().Buffers(), nil, columns[i].NullN(), columns[i].Data().Offset())
			columns[i], fields[i].Type, k = array.NewInt64Data(data), arrow.PrimitiveTypes.Int64, kindInt64
			defer columns[i].Release()
			data.Release()
			// The guide's own way, "TIMESTAMP 'epoch' + seconds * INTERVAL '1 second'", and both products are whole in a double.
			from = fmt.Sprintf("(TIMESTAMP 'epoch' + (%[1]s / 1000) * INTERVAL '1 second' + (%[1]s %% 1000) * INTERVAL '1 millisecond') AT TIME ZONE 'UTC' AS %[1]s", f.Name)
		}
		defined = append(defined, f.Name+" "+redshiftDialect.types[k])
		selected = append(selected, from)
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), columns, rows.NumRows()), defined, selected, nil
}

// redshiftCheck refuses what COPY or JSON_PARSE would, as text that is too long, and what they would change.
func redshiftCheck(k kind, key bool, values arrow.Array) error {
	for i := range values.Len() {
		if values.IsNull(i) {
			continue
		}
		var err error
		switch a := values.(type) {
		case *array.Float64:
			if f := a.Value(i); math.IsNaN(f) || math.IsInf(f, 0) {
				err = fmt.Errorf("%v is no number that Redshift loads", f)
			}
		case *array.String:
			switch v := a.Value(i); {
			case len(v) > redshiftText:
				err = fmt.Errorf("text of %d bytes: Redshift takes %d", len(v), redshiftText)
			case strings.Contains(v, "\x00"):
				err = errors.New("text with a NUL, which Redshift does not take")
			case key && strings.HasSuffix(v, " "):
				err = errors.New("the key ends with a blank, by which Redshift tells no two texts apart")
			case k == kindJSON:
				err = redshiftJSON(v)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// redshiftJSON refuses JSON that SUPER would not give back as it was.
func redshiftJSON(text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	depth := 0
	for {
		token, err := d.Token()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("value is not JSON: %w", err)
		}
		switch t := token.(type) {
		case json.Delim:
			if depth++; t == ']' || t == '}' {
				depth -= 2
			}
			if depth > redshiftNest {
				return fmt.Errorf("JSON is nested deeper than the %d levels that Redshift takes", redshiftNest)
			}
		case json.Number:
			if !plainNumber(t.String()) {
				return fmt.Errorf("JSON has the number %.50s, which neither a BIGINT nor a double holds", t)
			}
		case string:
			if strings.Contains(t, "\x00") {
				return errors.New(`JSON has a NUL (\u0000), which Redshift does not take`)
			}
		}
	}
}

// plainNumber tells whether a 64-bit integer or a double holds all of a JSON number, as one does of what JavaScript has written.
func plainNumber(s string) bool {
	if _, err := strconv.ParseInt(s, 10, 64); err == nil {
		return true
	}
	f, err := strconv.ParseFloat(s, 64)
	return err == nil && canonicalNumber(strconv.FormatFloat(f, 'g', -1, 64)) == canonicalNumber(s)
}
