package sink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Drop removes a dataset with all that is in it. One in DuckDB stays: it goes with the file.
func Drop(ctx context.Context, url, dataset string) error {
	ctx = context.WithoutCancel(ctx)
	to, err := Open(ctx, url, dataset)
	if err != nil {
		return err
	}
	switch to := to.(type) {
	case *postgres:
		_, err = to.pool.Exec(ctx, "DROP SCHEMA "+pgDialect.quoted(to.schema)+" CASCADE")
	case *staged:
		_, err = to.db.ExecContext(ctx, "DROP SCHEMA "+to.quoted(to.dataset)+" CASCADE")
	case *icebergSink:
		err = dropIceberg(ctx, to)
	case *files:
		switch s := to.store.(type) {
		case disk:
			err = os.RemoveAll(s.root)
		case *bucket:
			err = empty(ctx, s, s.prefix)
		}
	}
	return errors.Join(err, to.Close())
}

// empty removes the objects whose names begin so.
func empty(ctx context.Context, b *bucket, prefix string) error {
	var keys []string
	if err := b.objects.list(ctx, prefix, func(key string) { keys = append(keys, key) }); err != nil {
		return err
	}
	for _, key := range keys {
		if strings.HasSuffix(key, "/") {
			if err := empty(ctx, b, key); err != nil {
				return err
			}
		} else if err := b.objects.remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// Statement runs a statement on a table of a staged warehouse, as somebody else may.
func Statement(ctx context.Context, to Sink, statement, table string) error {
	s := to.(*staged)
	_, err := s.db.ExecContext(ctx, fmt.Sprintf(statement, s.table(s.dataset, table)))
	return err
}
