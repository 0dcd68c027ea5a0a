package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"tilestream/internal/bench/messages"
)

// files measures loads into Parquet on this disk, beside the Parquet writer alone.
func (b *bench) files(context.Context) ([]trial, error) {
	raw := &rawParquet{}
	return []trial{
		{"files", []string{"files, raw"}, func(ctx context.Context) (cost, error) {
			dir := fresh("files")
			c, err := b.load(ctx, b.fileURL("file", dir), "tiledesk", "", func() (int, error) {
				n := 0
				c, err := raw.take(ctx, filepath.Join(b.dir, dir, "tiledesk", "messages"))
				for _, r := range c {
					n += int(r.NumRows())
				}
				return n, err
			})
			if err == nil {
				c.disk, err = sizeOf(filepath.Join(b.dir, dir))
			}
			return c, err
		}},
		{"files, raw", nil, raw.write},
	}, nil
}

func sizeOf(dir string) (size int64, err error) {
	return size, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
}

// rawParquet has the rows of files in memory.
type rawParquet struct{ batches []arrow.RecordBatch }

// take reads the files of a table, and keeps the first that it reads.
func (r *rawParquet) take(ctx context.Context, dir string) (all []arrow.RecordBatch, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".parquet") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		in, err := file.NewParquetReader(bytes.NewReader(text))
		if err != nil {
			return err
		}
		defer in.Close()
		arrows, err := pqarrow.NewFileReader(in, pqarrow.ArrowReadProperties{BatchSize: batch}, memory.DefaultAllocator)
		if err != nil {
			return err
		}
		table, err := arrows.ReadTable(ctx)
		if err != nil {
			return err
		}
		defer table.Release()
		for rows := array.NewTableReader(table, batch); rows.Next(); {
			one := rows.RecordBatch()
			one.Retain()
			all = append(all, one)
		}
		return nil
	})
	if r.batches == nil {
		r.batches = all
	}
	return all, err
}

// write writes the batches, a file for each, as files of ours are written.
func (r *rawParquet) write(context.Context) (c cost, err error) {
	began, before := time.Now(), messages.CPU(os.Getpid())
	for _, rows := range r.batches {
		var out bytes.Buffer
		options := []parquet.WriterProperty{parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1)}
		for _, f := range rows.Schema().Fields() {
			options = append(options, parquet.WithDictionaryCostFallbackFor(f.Name, true))
		}
		w, err := pqarrow.NewFileWriter(rows.Schema(), &out, parquet.NewWriterProperties(options...), pqarrow.DefaultWriterProps())
		if err != nil {
			return c, err
		}
		if err := w.WriteBuffered(rows); err != nil {
			return c, err
		}
		if err := w.Close(); err != nil {
			return c, err
		}
		c.rows += int(rows.NumRows())
		c.disk += int64(out.Len())
	}
	c.took, c.cpu = time.Since(began), messages.CPU(os.Getpid())-before
	return c, nil
}
