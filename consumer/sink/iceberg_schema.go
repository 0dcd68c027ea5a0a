package sink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"
)

// jsonDoc is the comment of a column of JSON. Iceberg has a type for it, variant, from format 3 on only, which few engines read.
const jsonDoc = "JSON"

var icebergTypes = []iceberg.Type{
	kindBool: iceberg.PrimitiveTypes.Bool, kindInt32: iceberg.PrimitiveTypes.Int32, kindInt64: iceberg.PrimitiveTypes.Int64,
	kindFloat64: iceberg.PrimitiveTypes.Float64, kindTimestamp: iceberg.PrimitiveTypes.TimestampTz,
	kindText: iceberg.PrimitiveTypes.String, kindJSON: iceberg.PrimitiveTypes.String,
}

func docOf(k kind) string {
	if k == kindJSON {
		return jsonDoc
	}
	return ""
}

// icebergKind is the kind of a column; ok is false for a type of somebody else.
func icebergKind(f iceberg.NestedField) (k kind, ok bool) {
	if f.Type.Equals(iceberg.PrimitiveTypes.String) {
		if f.Doc == jsonDoc {
			return kindJSON, true
		}
		return kindText, true
	}
	i := slices.IndexFunc(icebergTypes, f.Type.Equals)
	return kind(i), i >= 0
}

// Prepare creates the table, by day of extraction where it has that time, or adds and widens columns. What Iceberg does not widen, such
// as a whole number to a double, is written anew: all files of the table, in one snapshot.
func (s *icebergSink) Prepare(ctx context.Context, t Table) error {
	if err := s.prepare(s.scope(ctx), t); err != nil {
		return s.explained("prepare table "+t.Name, err)
	}
	return nil
}

func (s *icebergSink) prepare(ctx context.Context, t Table) error {
	want, names, err := icebergColumns(t)
	if err != nil {
		return err
	}
	ident := s.ident(t.Name)
	for wait := (icebergPause{}); ; {
		conflict, err := func() (bool, error) {
			defer s.lock(ident[len(ident)-1])()
			have, err := s.load(ctx, ident)
			if err != nil {
				return false, err
			}
			if have == nil {
				return s.create(ctx, ident, want, names, t)
			}
			return s.extend(ctx, have, want, names, t.SchemaID)
		}()
		if err != nil || !conflict {
			return err
		}
		if err := wait.conflict(ctx); err != nil {
			return err
		}
	}
}

// icebergColumns are the columns by their names in the table, and those names in order. A batch without rows may come with a table
// that has no schema: what every table has is then enough.
func icebergColumns(t Table) (map[string]kind, []string, error) {
	columns := map[string]kind{}
	if t.Schema == nil {
		columns[t.Key], columns["_extracted_at"], columns[t.Offset] = kindText, kindTimestamp, kindInt64
		return columns, []string{t.Key, "_extracted_at", t.Offset}, nil
	}
	var names []string
	for _, f := range t.Schema.Fields() {
		k, err := kindOf(f.Type)
		if err != nil {
			return nil, nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
		name := icebergNames.name(f.Name)
		columns[name] = k
		names = append(names, name)
	}
	return columns, names, nil
}

// Plan does not tell the statements: a change is a commit to the catalog.
func (s *icebergSink) Plan(ctx context.Context, t Table) ([]Change, error) {
	changes, err := s.changes(s.scope(ctx), t)
	if err != nil {
		return nil, s.explained("plan table "+t.Name, err)
	}
	return changes, nil
}

func (s *icebergSink) changes(ctx context.Context, t Table) ([]Change, error) {
	want, names, err := icebergColumns(t)
	if err != nil {
		return nil, err
	}
	have, err := s.load(ctx, s.ident(t.Name))
	if err != nil {
		return nil, err
	}
	if have == nil {
		return []Change{{What: creates(t.Name, len(names))}}, nil
	}
	e, err := icebergEvolution(have, want, names)
	return e.what, err
}

// noted is the property of a table that says what has changed with a schema of the registry, and when.
func noted(schemaID int, changes []Change) iceberg.Properties {
	what := []string{time.Now().UTC().Format(time.RFC3339)}
	for _, c := range changes {
		what = append(what, c.What)
	}
	return iceberg.Properties{fmt.Sprint("tilestream.schema.", schemaID): strings.Join(what, "\n")}
}

// create returns a conflict where somebody else was faster.
func (s *icebergSink) create(ctx context.Context, ident table.Identifier, columns map[string]kind, names []string, t Table) (conflict bool, err error) {
	if err := s.cat.CreateNamespace(ctx, s.namespace, nil); err != nil && !errors.Is(err, catalog.ErrNamespaceAlreadyExists) {
		if there, look := s.cat.CheckNamespaceExists(ctx, s.namespace); look != nil || !there { // one that is there needs no right to make it
			return false, fmt.Errorf("create namespace %s: %w", strings.Join(s.namespace, "."), errors.Join(err, look))
		}
	}
	var fields []iceberg.NestedField
	for i, name := range names {
		fields = append(fields, iceberg.NestedField{ID: i + 1, Name: name, Type: icebergTypes[columns[name]], Doc: docOf(columns[name])})
	}
	properties := iceberg.Properties{
		table.PropertyFormatVersion:               "2",
		table.ManifestMergeEnabledKey:             "true", // else each load leaves one more that every reader opens
		table.MetadataDeleteAfterCommitEnabledKey: "true", table.MetadataPreviousVersionsMaxKey: "100",
		table.ParquetCompressionKey: "zstd", table.ParquetCompressionLevelKey: "1",
	}
	maps.Copy(properties, noted(t.SchemaID, []Change{{What: creates(t.Name, len(names))}}))
	options := []catalog.CreateTableOpt{catalog.WithProperties(properties)}
	if s.location != "" {
		options = append(options, catalog.WithLocation(s.location+"/"+strings.Join(ident, "/")))
	}
	if i := slices.Index(names, "_extracted_at"); i >= 0 && columns["_extracted_at"] == kindTimestamp {
		spec := iceberg.NewPartitionSpec(iceberg.PartitionField{SourceIDs: []int{i + 1}, FieldID: 1000, Name: "extracted_day", Transform: iceberg.DayTransform{}})
		options = append(options, catalog.WithPartitionSpec(&spec))
	}
	_, err = s.cat.CreateTable(ctx, ident, iceberg.NewSchema(0, fields...), options...)
	if errors.Is(err, catalog.ErrTableAlreadyExists) {
		return true, nil
	}
	return false, err
}

// evolution is how a table's schema has to change.
type evolution struct {
	want              map[string]kind
	added             []string
	widened, replaced map[string]kind // in place, and by writing all files anew
	what              []Change
}

func icebergEvolution(t *table.Table, want map[string]kind, names []string) (evolution, error) {
	e := evolution{want: want, widened: map[string]kind{}, replaced: map[string]kind{}}
	for _, name := range names {
		f, ok := t.Schema().FindFieldByName(name)
		if !ok {
			e.added = append(e.added, name)
			e.what = append(e.what, Change{What: adds(name, icebergTypes[want[name]].String())})
			continue
		}
		have, ok := icebergKind(f)
		if !ok {
			return e, fmt.Errorf("column %s has type %s, which somebody else made and holds no %s: rename or drop it", name, f.Type, icebergTypes[want[name]])
		}
		wide := widen(have, want[name])
		if wide == have {
			continue
		}
		what := widens(name, f.Type.String(), icebergTypes[wide].String())
		if have == kindInt32 && wide == kindInt64 {
			e.widened[name] = wide
		} else {
			e.replaced[name] = wide
			what += ", for which all files are written anew"
		}
		e.what = append(e.what, Change{What: what})
	}
	return e, nil
}

// apply is the part that needs no file to be written anew.
func (e evolution) apply(tx *table.Transaction, change *table.UpdateSchema, schemaID int) error {
	for _, name := range e.added {
		change.AddColumn([]string{name}, icebergTypes[e.want[name]], docOf(e.want[name]), false, nil)
	}
	for name, k := range e.widened {
		change.UpdateColumn([]string{name}, table.ColumnUpdate{FieldType: iceberg.Optional[iceberg.Type]{Val: icebergTypes[k], Valid: true}})
	}
	if err := change.Commit(); err != nil {
		return err
	}
	return tx.SetProperties(noted(schemaID, e.what))
}

// extend adds and widens columns, and returns a conflict where somebody else has changed the table.
func (s *icebergSink) extend(ctx context.Context, t *table.Table, want map[string]kind, names []string, schemaID int) (conflict bool, err error) {
	e, err := icebergEvolution(t, want, names)
	if err != nil || len(e.what) == 0 {
		return false, err
	}
	if len(e.replaced) > 0 {
		return s.rewrite(ctx, t, e, schemaID)
	}
	tx := t.NewTransaction()
	if err := e.apply(tx, tx.UpdateSchema(true, false), schemaID); err != nil {
		return false, err
	}
	if _, err := tx.Commit(ctx); err != nil {
		return s.changed(ctx, t, err)
	}
	return false, nil
}

// changed makes a conflict of an error of a change to the schema, where the table has been changed by somebody else.
func (s *icebergSink) changed(ctx context.Context, t *table.Table, failed error) (conflict bool, err error) {
	now, err := s.load(ctx, t.Identifier())
	if err != nil {
		return false, errors.Join(failed, err)
	}
	if now == nil || now.MetadataLocation() != t.MetadataLocation() || errors.Is(failed, table.ErrCommitFailed) {
		return true, nil
	}
	return false, failed
}

// fieldsOf is the table's fields by name.
func fieldsOf(t *table.Table) map[string]iceberg.NestedField {
	fields := map[string]iceberg.NestedField{}
	for _, f := range t.Schema().Fields() {
		fields[f.Name] = f
	}
	return fields
}

// arrowSchema is the fields as Arrow has them, with the numbers by which Iceberg knows them.
func arrowSchema(fields []iceberg.NestedField) (*arrow.Schema, error) {
	return table.SchemaToArrowSchema(iceberg.NewSchema(0, fields...), nil, true, false)
}

// sortedKinds is for messages and tests.
func sortedKinds(m map[string]kind) []string { return slices.Sorted(maps.Keys(m)) }
