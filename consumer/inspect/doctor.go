package inspect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/uuid"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// doctorCommand tries what loading does, in a table of its own. It is the one command here that writes.
func doctorCommand() ops.Command {
	var cfg Settings
	return ops.Command{
		Name: "doctor", Summary: "tries everything that the consumer needs, and says how to mend what does not work", Config: &cfg,
		JSON: "a JSON object for each check",
		Run: func(ctx context.Context, o ops.Options) (err error) {
			slog.SetDefault(slog.New(slog.DiscardHandler)) // what matters is in what the checks find
			w := &warehouse{cfg: &cfg}
			defer func() { err = errors.Join(err, w.close()) }()
			return ops.Examine(ctx, o, append(kafkaChecks(cfg), w.checks()...))
		},
	}
}

func kafkaChecks(cfg Settings) []ops.Check {
	group := cfg.Config(nil).group()
	uses := broker.Uses{Group: group, Transactions: group + "-dlq-"}
	for _, r := range schemas.Resources {
		topic := cfg.Kafka.DataTopic(r.Topic(cfg.Kafka.Prefix))
		uses.Read = append(uses.Read, topic)
		letters := cfg.Kafka.DLQTopic(topic.Name, topic.Partitions)
		uses.Read, uses.Write = append(uses.Read, letters), append(uses.Write, letters)
	}
	return cfg.Kafka.Checks(uses)
}

// doctorTable is where the doctor tries what a load does. It keeps one row: when that was last.
const doctorTable = "_tilestream_doctor"

// warehouse does in the doctor's own table what loading does in the others.
type warehouse struct {
	cfg *Settings
	to  sink.Sink
}

const warehouseCheck = "warehouse"

func (w *warehouse) checks() []ops.Check {
	const table = "table " + doctorTable
	return []ops.Check{
		{Name: warehouseCheck, Try: w.open},
		{Name: table, Needs: warehouseCheck, Try: w.prepare},
		{Name: "rows of " + doctorTable, Needs: table, Try: w.load},
		{Name: "clock of the warehouse", Needs: warehouseCheck, Try: w.clock},
	}
}

func (w *warehouse) close() error {
	if w.to == nil {
		return nil
	}
	return w.to.Close()
}

// here is the doctor's place in the ledger.
func (w *warehouse) here() sink.Partition {
	return sink.Partition{Cluster: "doctor", Group: w.cfg.Config(nil).group(), Topic: doctorTable}
}

// open does not wait for a warehouse that is away, as loading does: that it is away is the finding.
func (w *warehouse) open(ctx context.Context) (string, error) {
	address, note := w.cfg.Warehouse.Address(w.cfg.DataDir)
	to, err := sink.Open(ctx, address, w.cfg.Warehouse.Dataset)
	if err != nil {
		return "", err
	}
	w.to = to
	if _, err := w.to.Next(ctx, []sink.Partition{w.here()}); err != nil {
		return "", fmt.Errorf("read the ledger: %w", err)
	}
	if note != "" {
		return "", &ops.Warning{Err: errors.New(note)}
	}
	return fmt.Sprintf("%s, dataset %s: the ledger can be read", sink.Redacted(address), w.cfg.Warehouse.Dataset), nil
}

func visitsTable(columns ...arrow.Field) sink.Table {
	fields := append([]arrow.Field{
		{Name: "_id", Type: arrow.BinaryTypes.String}, {Name: "visited_at", Type: &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}, Nullable: true},
		{Name: "_kafka_offset", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
	}, columns...)
	return sink.Table{Name: doctorTable, Schema: arrow.NewSchema(fields, nil), Key: "_id", Version: "visited_at", Offset: "_kafka_offset"}
}

// prepare creates the table, adds a column and widens one; of an array, where the warehouse has views, it makes one.
func (w *warehouse) prepare(ctx context.Context) (string, error) {
	visits := func(t arrow.DataType) arrow.Field { return arrow.Field{Name: "visits", Type: t, Nullable: true} }
	json, err := extensions.NewJSONType(arrow.BinaryTypes.String)
	if err != nil {
		return "", err
	}
	pages := arrow.Field{Name: "pages", Type: json, Nullable: true, Metadata: arrow.NewMetadata([]string{"array"}, []string{"true"})}
	for _, t := range []sink.Table{visitsTable(), visitsTable(visits(arrow.PrimitiveTypes.Int32)), visitsTable(visits(arrow.PrimitiveTypes.Int64), pages)} {
		if err := w.to.Prepare(ctx, t); err != nil {
			return "", err
		}
	}
	return "may be created, extended and widened", nil
}

// load writes the doctor's row twice: a new one, or a newer version, each time.
func (w *warehouse) load(ctx context.Context) (string, error) {
	here := w.here()
	for range 2 {
		next, err := w.to.Next(ctx, []sink.Partition{here})
		if err != nil {
			return "", fmt.Errorf("read the ledger: %w", err)
		}
		at := next[here]
		id, err := uuid.NewV7()
		if err != nil {
			return "", err
		}
		b := sink.Batch{ID: id.String(), Table: visitsTable(), Ranges: []sink.Range{{Partition: here, From: at, To: at + 1}}}
		rows := array.NewRecordBuilder(memory.DefaultAllocator, b.Table.Schema)
		defer rows.Release()
		rows.Field(0).(*array.StringBuilder).Append("doctor")
		rows.Field(1).(*array.TimestampBuilder).Append(arrow.Timestamp(time.Now().UnixMilli()))
		rows.Field(2).(*array.Int64Builder).Append(at)
		b.Rows = rows.NewRecordBatch()
		_, err = w.to.Write(ctx, b)
		b.Rows.Release()
		if err != nil {
			return "", fmt.Errorf("load a row: %w", err)
		}
	}
	return "may be inserted and replaced; the ledger and the list of loads may be written", nil
}

func (w *warehouse) clock(ctx context.Context) (_ string, err error) {
	address, _ := w.cfg.Warehouse.Address(w.cfg.DataDir)
	r, err := sink.OpenReader(ctx, address, w.cfg.Warehouse.Dataset)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	v, err := r.View(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	asked := time.Now()
	theirs, err := v.Now(ctx)
	if err != nil {
		return "", err
	}
	return ops.Skew("its clock", theirs, asked, time.Now())
}
