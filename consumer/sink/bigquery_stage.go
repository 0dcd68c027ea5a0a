package sink

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	bq "cloud.google.com/go/bigquery"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// stageLife is how long a stage stays that nobody has dropped.
const stageLife = 24 * time.Hour

// stage loads rows into a new table of the dataset, by a load job from Parquet, which costs nothing. The job is named as the stage, so that
// one whose reply was lost is found and not run again; it takes an empty table only. Of the quotas the project's counts, 100,000 load
// jobs a day: the 1,500 a day of a table do not, since each table gets one ("Quotas", "Load jobs").
func (b *bigQuery) stage(ctx context.Context, _ *sql.Conn, name string, rows arrow.RecordBatch) (string, func(context.Context) error, error) {
	name = "_" + name
	var file bytes.Buffer
	rows.Retain()
	if err := writeParquet(ctx, &file, rows.Schema(), slices.Values([]arrow.RecordBatch{rows})); err != nil {
		return "", nil, err
	}
	var schema bq.Schema
	for _, f := range rows.Schema().Fields() {
		k, err := kindOf(f.Type)
		if err != nil {
			return "", nil, err
		}
		schema = append(schema, &bq.FieldSchema{Name: f.Name, Type: bigQueryFields[k]})
	}
	table := b.client.Dataset(b.dataset).Table(name)
	request := func(do func(context.Context) error) error {
		within, cancel := context.WithTimeout(ctx, requestTime)
		defer cancel()
		return do(within)
	}
	drop := func(ctx context.Context) error {
		within, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		return table.Delete(within)
	}
	err := request(func(ctx context.Context) error {
		return table.Create(ctx, &bq.TableMetadata{Schema: schema, ExpirationTime: time.Now().Add(stageLife), Labels: bigQueryLabels, Location: b.location,
			Description: "a batch of Tilestream on its way into a table"})
	})
	if err != nil && !isStatus(err, http.StatusConflict) { // the client has asked twice
		return "", nil, fmt.Errorf("create the stage: %w", err)
	}
	_, err = b.await(ctx, name, func(ctx context.Context) (*bq.Job, error) {
		from := bq.NewReaderSource(&file)
		from.SourceFormat = bq.Parquet
		from.Schema = schema
		load := table.LoaderFrom(from)
		load.JobID, load.Labels, load.CreateDisposition, load.WriteDisposition = name, bigQueryLabels, bq.CreateNever, bq.WriteEmpty
		return load.Run(ctx)
	})
	if err != nil {
		_ = drop(context.WithoutCancel(ctx)) // else its life ends by itself
		return "", nil, fmt.Errorf("load the stage: %w", err)
	}
	return bigQueryDialect.table(b.dataset, name), drop, nil
}

// bigQueryFields are the API's types of what fit makes.
var bigQueryFields = map[kind]bq.FieldType{
	kindBool: bq.BooleanFieldType, kindInt32: bq.IntegerFieldType, kindInt64: bq.IntegerFieldType, kindFloat64: bq.FloatFieldType,
	kindTimestamp: bq.TimestampFieldType, kindText: bq.StringFieldType,
}

// bigQueryNest is how deep a JSON value may be nested ("JSON functions", "PARSE_JSON").
const bigQueryNest = 500

// bigQueryCheck refuses JSON that the type JSON would refuse or change.
func bigQueryCheck(k kind, _ bool, values arrow.Array) error {
	texts, ok := values.(*array.String)
	if k != kindJSON || !ok {
		return nil
	}
	for i := range texts.Len() {
		if texts.IsValid(i) {
			if err := bigQueryJSON(texts.Value(i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// bigQueryJSON looks at the numbers and the depth of valid JSON. Numbers are kept as INT64, UINT64 or FLOAT64; PARSE_JSON refuses others.
func bigQueryJSON(text string) error {
	depth := 0
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			i++
		case c == '-' || c >= '0' && c <= '9':
			from := i
			for i < len(text) && (text[i] >= '0' && text[i] <= '9' || text[i] == '-' || text[i] == '+' || text[i] == '.' || text[i] == 'e' || text[i] == 'E') {
				i++
			}
			if number := text[from:i]; !plainNumber(number) {
				return fmt.Errorf("JSON has the number %.50s, which neither an INT64 nor a FLOAT64 holds", number)
			}
		case c == '[' || c == '{':
			if depth++; depth > bigQueryNest {
				return errors.New("JSON is nested deeper than the 500 levels that BigQuery takes")
			}
			i++
		case c == ']' || c == '}':
			depth--
			i++
		default:
			i++
		}
	}
	return nil
}
