package inspect

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// check compares one topic with its table.
type check struct {
	*verifier
	resource schemas.Resource
	table    sink.Table
	name     string  // of the topic
	layout   *layout // nil: there is no table
	parts    map[int32]*Partition
	dead     map[place]bool
	told     map[Kind]int // findings kept
	open     []open
}

// open is a finding that the topic has still to be asked about.
type open struct {
	finding int   // index in the report
	values  []any // of the row, where values are to be compared
}

// shown is how many findings of a kind are listed for each topic.
const shown = 10

// tell counts a finding, and keeps it where it is one of the first. values are those of the row, copied.
func (c *check) tell(p *Partition, f Finding, values []any) {
	p.Wrong[f.Kind]++
	if c.told[f.Kind]++; c.told[f.Kind] > shown {
		return
	}
	f.Topic, f.Partition = c.name, p.Partition
	c.report.Findings = append(c.report.Findings, f)
	if f.Kind == Missing && f.Expected == "" || f.Kind == Different && f.Column == "" {
		c.open = append(c.open, open{len(c.report.Findings) - 1, slices.Clone(values)})
	}
}

// pass reads the topic and the table once, for a range of keys.
func (c *check) pass(ctx context.Context, k *keys, first bool) error {
	if err := c.read(ctx, k, first); err != nil {
		return fmt.Errorf("verify %s: %w", c.name, err)
	}
	if c.layout != nil {
		if err := c.rows(ctx, k); err != nil {
			return fmt.Errorf("verify %s: %w", c.name, err)
		}
	}
	for h, e := range k.entries {
		if e.family {
			continue
		}
		p := c.part(e.at().partition)
		if e.deleted() {
			p.Tombstones++
		} else {
			p.Documents++
		}
		if !e.seen && !(c.Hard && e.deleted()) {
			p.topic += weigh(e.sum, shownGone(e))
			c.tell(p, Finding{Kind: Missing, Offset: e.at().offset, Found: "no row"}, nil)
			if c.layout.dated() {
				k.spans(h.slot(), interval{row: row{doc: e.doc, gone: e.gone}, missing: true})
			}
		}
	}
	c.intervals(k)
	return nil
}

func shownGone(e entry) rank {
	if e.deleted() {
		return e.gone
	}
	return nothing
}

// read fills the keys from the topic.
func (c *check) read(ctx context.Context, k *keys, first bool) error {
	spans := map[int32]span{}
	for id, p := range c.parts {
		spans[id] = span{p.Start, min(p.Ledger, p.End)}
	}
	// Without a table there is nothing to decode for: what counts is the keys.
	l := c.layout
	if l == nil {
		l = keysOnly()
	}
	r := &reading{codec: c.codec, resource: c.resource, table: c.table, layout: l, schemas: map[int]*decoding{}}
	defer r.close()
	r.yield = func(rec record) error {
		var sum, replayed uint64
		if !rec.tombstone {
			sum = l.sum(rec.values, rec.beyond)
			if replayed = sum; rec.replayed != nil {
				replayed = l.sum(rec.replayed, "")
			}
		}
		k.add(rec, sum, replayed)
		return nil
	}
	r.broken = func(rec *kgo.Record, why error) error {
		if first {
			c.tell(c.part(rec.Partition), Finding{Kind: Missing, Offset: rec.Offset, Key: string(rec.Key),
				Expected: "a row, or a dead letter: " + why.Error(), Found: "neither"}, nil)
		}
		return nil
	}
	err := scan(ctx, c.Kafka, c.name, spans, func(rec *kgo.Record) error {
		if first {
			c.part(rec.Partition).Records++
		}
		if c.dead[place{rec.Partition, rec.Offset}] {
			return nil
		}
		return r.add(ctx, rec)
	})
	if err != nil {
		return err
	}
	return r.flush()
}

// rows judges the rows of the table, and notes which keys have one.
func (c *check) rows(ctx context.Context, k *keys) error {
	// Rows of what is loaded from now on cannot be told from rows that the ledger lacks: its state after them decides.
	type late struct {
		row
		known
		part *Partition
	}
	var ahead []late
	facts := known{dead: func(at place) bool { return c.dead[at] }, hard: c.Hard, now: math.MaxInt64}
	for values, err := range c.view.Rows(ctx, c.table, c.layout.columns) {
		if err != nil {
			return err
		}
		key, _ := values[c.layout.key].(string)
		if !k.holds(hashOf(key)) {
			continue
		}
		r := c.layout.row(values)
		if k.versions {
			r = r.version()
		}
		p := c.part(r.partition)
		p.Rows++
		h, e, have := k.find(r)
		f := facts
		f.start, f.ledger = p.Start, p.Ledger
		var of *entry
		if have {
			of = &e
		}
		if have && e.seen {
			p.there += weigh(r.sum, r.gone)
			c.tell(p, Finding{Kind: Twice, Offset: r.offset(), Key: key, Expected: "one row", Found: "another one"}, nil)
			continue
		}
		if c.layout.dated() {
			k.spans(hashOf(key).slot(), interval{row: r, from: millis(values[c.layout.validFrom]), to: millis(values[c.layout.validTo])})
		}
		v := judge(f, of, r)
		if v.kind == Unexpected && k.outlived(r) {
			v = verdict{unproven: true}
		}
		if have {
			e.seen = true
			k.entries[h] = e
		}
		switch {
		case v.newer && len(ahead) < maxAhead:
			ahead = append(ahead, late{r, f, p})
			continue
		case v.newer:
			p.Newer++
			continue
		case v.unproven:
			p.Unproven++
			continue
		}
		if have && !(c.Hard && e.deleted() && v.kind == Stale) {
			sum := e.sum
			if r.sum == e.replayed {
				sum = r.sum
			}
			c.part(e.at().partition).topic += weigh(sum, shownGone(e))
		}
		p.there += weigh(r.sum, r.gone)
		if v.kind != "" {
			c.tell(p, Finding{Kind: v.kind, Offset: r.offset(), Key: key, Column: v.column, Expected: v.expected, Found: v.found}, values)
		}
	}
	if len(ahead) == 0 {
		return nil
	}
	now, err := c.view.Ledger(ctx)
	if err != nil {
		return err
	}
	for _, l := range ahead {
		l.now = now[c.key(c.name, l.part.Partition)]
		if v := judge(l.known, nil, l.row); v.kind == Ahead {
			c.tell(l.part, Finding{Kind: Ahead, Offset: l.newest().offset, Key: l.key, Expected: v.expected, Found: v.found}, nil)
		} else {
			l.part.Newer++
		}
	}
	return nil
}

// maxAhead is how many rows that the ledger had not reached are looked at again; more of them count as new.
const maxAhead = 100_000

// row reads what a row says of itself.
func (l *layout) row(values []any) row {
	r := row{partition: -1, doc: nothing, gone: nothing, sum: l.sum(values, "")}
	r.key, _ = values[l.key].(string)
	if id, ok := values[l.partition].(int64); ok && id >= math.MinInt32 && id <= math.MaxInt32 {
		r.partition = int32(id)
	}
	if offset, ok := values[l.offset].(int64); ok {
		r.doc = rank{millis(values[l.version]), offset}
	} else {
		r.sum = 0 // of a tombstone without a document, its deletion is all that counts
	}
	if offset, ok := values[l.deletedOffset].(int64); ok {
		r.gone = rank{millis(values[l.deleted]), offset}
	} else if values[l.deleted] != nil {
		r.gone = rank{millis(values[l.deleted]), 0}
	}
	return r
}

// version is a row of a table that keeps versions: a document, or a tombstone, never both.
func (r row) version() row {
	if r.gone != nothing && (r.doc.offset < 0 || r.doc.offset == r.gone.offset) {
		r.doc, r.sum = nothing, 0
	} else {
		r.gone = nothing
	}
	return r
}

// keysOnly is the layout of a table that is not there.
func keysOnly() *layout {
	return &layout{columns: []sink.Column{{Name: keyColumn}}, ours: make([]bool, 1), key: 0, find: func(field string) int {
		if field == keyColumn {
			return 0
		}
		return -1
	}}
}

// aboutSchema tells that a record's schema is at fault, not the registry.
func aboutSchema(err error) bool {
	return errors.Is(err, schemas.ErrUnknownSchema) || errors.Is(err, schemas.ErrUnsupportedSchema)
}
