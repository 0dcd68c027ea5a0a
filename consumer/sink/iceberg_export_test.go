package sink

import (
	"context"
	"errors"
	"slices"

	iceberg "github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"
)

// IcebergTable is a table as another engine gets it.
func IcebergTable(ctx context.Context, to Sink, name string) (*table.Table, error) {
	s := to.(*icebergSink)
	return s.cat.LoadTable(s.scope(ctx), s.ident(name))
}

// IcebergMarks is what the newest snapshot of a table says of its format and its ledger.
func IcebergMarks(ctx context.Context, to Sink, name string) (format, ledger string, err error) {
	t, err := IcebergTable(ctx, to, name)
	if err != nil {
		return "", "", err
	}
	marks := about(t.CurrentSnapshot())
	return marks[formatMark], marks[ledgerMark], nil
}

// MarkIceberg commits a snapshot without files that says so; a format of "" is not said.
func MarkIceberg(ctx context.Context, to Sink, name, format, ledger string) error {
	t, err := IcebergTable(ctx, to, name)
	if err != nil {
		return err
	}
	marks := iceberg.Properties{ledgerMark: ledger}
	if format != "" {
		marks[formatMark] = format
	}
	tx := t.NewTransaction()
	if err := tx.AddFiles(ctx, nil, marks, false); err != nil {
		return err
	}
	_, err = tx.Commit(ctx)
	return err
}

// FaultyIceberg makes the sink's catalog call fault before each commit and after it: an error is what the sink gets instead of an answer.
func FaultyIceberg(to Sink, fault func(when string) error) {
	s := to.(*icebergSink)
	s.cat = &faultyCatalog{s.cat, fault}
}

type faultyCatalog struct {
	catalog.Catalog
	fault func(when string) error
}

func (c *faultyCatalog) LoadTable(ctx context.Context, ident table.Identifier) (*table.Table, error) {
	t, err := c.Catalog.LoadTable(ctx, ident)
	if err != nil {
		return nil, err
	}
	return table.New(t.Identifier(), t.Metadata(), t.MetadataLocation(), t.FS, c), nil
}

func (c *faultyCatalog) CommitTable(ctx context.Context, ident table.Identifier, reqs []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	if err := c.fault("before"); err != nil {
		return nil, "", err
	}
	meta, at, err := c.Catalog.CommitTable(ctx, ident, reqs, updates)
	if err == nil {
		err = c.fault("after")
	}
	return meta, at, err
}

func dropIceberg(ctx context.Context, s *icebergSink) error {
	ctx = s.scope(ctx)
	var errs []error
	for _, t := range slices.Collect(tablesOf(ctx, s, &errs)) {
		if purger, ok := s.cat.(catalog.PurgeableTable); ok {
			errs = append(errs, purger.PurgeTable(ctx, t))
		} else {
			errs = append(errs, s.cat.DropTable(ctx, t))
		}
	}
	return errors.Join(append(errs, s.cat.DropNamespace(ctx, s.namespace))...)
}

func tablesOf(ctx context.Context, s *icebergSink, errs *[]error) func(func(table.Identifier) bool) {
	return func(yield func(table.Identifier) bool) {
		for ident, err := range s.cat.ListTables(ctx, s.namespace) {
			if err != nil {
				*errs = append(*errs, err)
				return
			}
			if !yield(ident) {
				return
			}
		}
	}
}
