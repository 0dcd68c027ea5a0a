package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

var copyParquet = regexp.MustCompile(`^COPY ("[^"]+") FROM ('s3://(?:[^']|'')+') IAM_ROLE (?:'([^']+)'|(default)) FORMAT AS PARQUET MANIFEST$`)

// copy does what COPY does in Redshift ("COPY from columnar data formats"): the files of a manifest, each of which has its length said,
// go into the table by position, each column's type being the table's own.
func (s *doubleSession) copy(ctx context.Context, sql string) (rows int64, err error) {
	m := copyParquet.FindStringSubmatch(sql)
	if m == nil {
		return 0, refusal("this COPY is unknown here: "+sql, "")
	}
	table, role := m[1], m[3]
	from, _ := unquote(m[2])
	if role == deniedRole {
		return 0, refusal("UnauthorizedException", "error: Not authorized to get credentials of role %s code: 30000", role)
	}
	text, err := s.object(ctx, from)
	if err != nil {
		return 0, err
	}
	var manifest redshiftManifest
	if err := json.Unmarshal(text, &manifest); err != nil || len(manifest.Entries) == 0 {
		return 0, refusal("Manifest file is not in correct json format", "%v", err)
	}
	columns, err := s.columns(ctx, table)
	if err != nil {
		return 0, err
	}
	var csv bytes.Buffer
	for _, e := range manifest.Entries {
		data, err := s.object(ctx, e.URL)
		if err != nil {
			return 0, err
		}
		if !e.Mandatory || e.Meta.Length != int64(len(data)) {
			return 0, refusal("Spectrum Scan Error", "context: the manifest says %d bytes of %s, which has %d", e.Meta.Length, e.URL, len(data))
		}
		n, err := readStage(ctx, data, columns, &csv)
		if err != nil {
			return 0, err
		}
		rows += n
	}
	_, err = s.server.CopyFrom(ctx, &csv, "COPY "+table+" FROM STDIN (FORMAT csv)")
	return rows, err
}

func (s *doubleSession) object(ctx context.Context, at string) ([]byte, error) {
	key, ok := strings.CutPrefix(at, "s3://"+s.bucket+"/")
	if !ok {
		return nil, refusal("S3ServiceException:Access Denied,Status 403,Error AccessDenied", "%s", at)
	}
	data, err := s.objects.read(ctx, key)
	if err != nil {
		return nil, refusal("The specified S3 prefix '"+key+"' does not exist", "%v", err)
	}
	return data, nil
}

// columns are the types of a table's columns in their order.
func (s *doubleSession) columns(ctx context.Context, table string) (types []string, err error) {
	r := s.server.Exec(ctx, "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '"+table+"'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum")
	all, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	for _, row := range all[0].Rows {
		types = append(types, string(row[0]))
	}
	return types, nil
}

// stageTypes are the types of Parquet that a column of a type takes.
var stageTypes = map[string]func(c *schema.Column) bool{
	"boolean":          func(c *schema.Column) bool { return c.PhysicalType() == parquet.Types.Boolean },
	"integer":          func(c *schema.Column) bool { return c.PhysicalType() == parquet.Types.Int32 && plainInt(c) },
	"bigint":           func(c *schema.Column) bool { return c.PhysicalType() == parquet.Types.Int64 && plainInt(c) },
	"double precision": func(c *schema.Column) bool { return c.PhysicalType() == parquet.Types.Double },
	"character varying": func(c *schema.Column) bool {
		return c.PhysicalType() == parquet.Types.ByteArray && c.ConvertedType() == schema.ConvertedTypes.UTF8
	},
}

func plainInt(c *schema.Column) bool {
	switch c.ConvertedType() {
	case schema.ConvertedTypes.None, schema.ConvertedTypes.Int32, schema.ConvertedTypes.Int64:
		return true
	}
	return false
}

// readStage appends a file's rows as PostgreSQL's CSV.
func readStage(ctx context.Context, data []byte, columns []string, csv *bytes.Buffer) (rows int64, err error) {
	r, err := file.NewParquetReader(bytes.NewReader(data))
	if err != nil {
		return 0, refusal("Spectrum Scan Error", "context: File is not a Parquet file: %v", err)
	}
	defer r.Close()
	meta := r.MetaData()
	if have := meta.Schema.NumColumns(); have != len(columns) {
		return 0, refusal("Spectrum Scan Error", "code: 15007 context: Unmatched number of columns between table and file. Table columns: %d, Data columns: %d", len(columns), have)
	}
	limits := make([]int, len(columns))
	for i, typ := range columns {
		name, limit, _ := strings.Cut(typ, "(")
		limits[i], _ = strconv.Atoi(strings.TrimSuffix(limit, ")"))
		if fits := stageTypes[name]; fits == nil || !fits(meta.Schema.Column(i)) {
			return 0, refusal("Spectrum Scan Error", "code: 15001 context: File has an incompatible Parquet schema for column %s. Column type: %s, Parquet schema: %v", meta.Schema.Column(i).Name(), typ, meta.Schema.Column(i))
		}
		for g := range meta.NumRowGroups() {
			chunk, err := meta.RowGroup(g).ColumnChunk(i)
			if err != nil {
				return 0, err
			}
			// What Redshift's guide names for data in columns: no zstd among it.
			if c := chunk.Compression(); c != compress.Codecs.Snappy && c != compress.Codecs.Gzip && c != compress.Codecs.Uncompressed {
				return 0, refusal("Spectrum Scan Error", "context: unsupported compression %v", c)
			}
		}
	}
	in, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{BatchSize: rowChunk}, memory.DefaultAllocator)
	if err != nil {
		return 0, err
	}
	table, err := in.ReadTable(ctx)
	if err != nil {
		return 0, err
	}
	defer table.Release()
	records := array.NewTableReader(table, rowChunk)
	defer records.Release()
	for records.Next() {
		batch := records.RecordBatch()
		for i := range int(batch.NumRows()) {
			for c := range columns {
				if c > 0 {
					csv.WriteByte(',')
				}
				a := batch.Column(c)
				if a.IsNull(i) {
					continue // nothing without quotes is NULL
				}
				text := a.ValueStr(i)
				if v, ok := a.(*array.Float64); ok {
					text = strconv.FormatFloat(v.Value(i), 'g', -1, 64)
				}
				if s, ok := a.(*array.String); ok {
					if text = s.Value(i); len(text) > limits[c] {
						return 0, refusal("Spectrum Scan Error", "code: 15001 context: The length of the data column %s is longer than the length defined in the table. Table: %d, Data: %d", batch.ColumnName(c), limits[c], len(text))
					}
				}
				fmt.Fprintf(csv, `"%s"`, strings.ReplaceAll(text, `"`, `""`))
			}
			csv.WriteByte('\n')
		}
	}
	return table.NumRows(), records.Err()
}
