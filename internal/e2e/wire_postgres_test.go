package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// The steps of PostgreSQL's protocol, named after what the statement does.
const (
	pgConnect  = "pg: connect"
	pgPrepare  = "pg: create or widen tables"
	pgNext     = "pg: ask the ledger"
	pgBegin    = "pg: BEGIN"
	pgFence    = "pg: lock the ledger"
	pgStage    = "pg: create the stage"
	pgCopy     = "pg: COPY begins"
	pgCopyData = "pg: COPY data"
	pgCopyDone = "pg: COPY ends"
	pgMerge    = "pg: merge"
	pgAccount  = "pg: move the ledger"
	pgCommit   = "pg: COMMIT"

	icebergCommit = "catalog: the table is another snapshot"
)

// pgSteps finds a statement's step by words in it; the first that fits counts.
var pgSteps = []struct{ words, step string }{
	{"FOR UPDATE", pgFence}, {"SET next_offset", pgAccount}, {"SELECT cluster, consumer_group", pgNext}, {"CREATE TEMPORARY", pgStage},
	{"COPY ", pgCopy}, {"WITH merged", pgMerge}, {"CREATE TABLE", pgPrepare}, {"ADD COLUMN", pgPrepare}, {"begin", pgBegin}, {"commit", pgCommit}, {"UPDATE \"iceberg_tables\"", icebergCommit},
}

func pgStepOf(sql string) string {
	for _, s := range pgSteps {
		if strings.Contains(sql, s.words) {
			return s.step
		}
	}
	return ""
}

// postgresWire carries the protocol of PostgreSQL, version 3 without TLS (manual, "Frontend/Backend Protocol").
func postgresWire(t testing.TB, g *gate, server string) *tcpProxy {
	t.Helper()
	return newTCPProxy(t, server, func(client, server net.Conn) {
		c := &pgConn{gate: g, statements: map[string]string{}}
		bothWays(client, server, func() error { return c.requests(client, server) }, func() error { return c.answers(server, client) })
	})
}

// pgConn is one connection. Each Sync and each Query is answered by one ReadyForQuery, in order; COPY by a CopyInResponse
// before that.
type pgConn struct {
	gate       *gate
	statements map[string]string // step by the name of a prepared statement

	mu     sync.Mutex
	open   []*trap   // of the messages since the last Sync
	ready  [][]*trap // for each ReadyForQuery to come
	copied *trap     // for the next CopyInResponse
}

func (c *pgConn) requests(client, server net.Conn) error {
	startup, err := pgStartup(client)
	if err != nil {
		return err
	}
	trap := c.gate.asked(pgConnect)
	if !trap.forward() {
		return errDropped
	}
	c.expect(trap)
	if err := write(server, startup); err != nil {
		return err
	}
	for {
		m, err := pgMessage(client)
		if err != nil {
			return err
		}
		step := c.step(m)
		if step != "" {
			trap := c.gate.asked(step)
			if !trap.forward() {
				return errDropped
			}
			if step == pgCopyData && trap != nil { // it has no answer
				if err := write(server, m); err != nil || !trap.answer() {
					return errors.Join(errDropped, err)
				}
				continue
			}
			c.mu.Lock()
			if step == pgCopy {
				c.copied = trap
			} else if trap != nil {
				c.open = append(c.open, trap)
			}
			c.mu.Unlock()
		}
		switch m[0] {
		case 'Q', 'S':
			c.expect()
		}
		if err := write(server, m); err != nil {
			return err
		}
	}
}

// expect notes that one more ReadyForQuery will come, and whose answer it is.
func (c *pgConn) expect(traps ...*trap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = append(c.ready, append(c.open, traps...))
	c.open = nil
}

// step names a message of the client; "" for those that are no step.
func (c *pgConn) step(m []byte) string {
	body := m[5:]
	switch m[0] {
	case 'Q':
		return pgStepOf(string(body))
	case 'P': // Parse: name, statement
		name, sql, _ := bytes.Cut(body, []byte{0})
		c.statements[string(name)] = pgStepOf(string(sql))
	case 'B': // Bind: portal, name
		_, rest, _ := bytes.Cut(body, []byte{0})
		name, _, _ := bytes.Cut(rest, []byte{0})
		return c.statements[string(name)]
	case 'd':
		return pgCopyData
	case 'c':
		return pgCopyDone
	}
	return ""
}

func (c *pgConn) answers(server, client net.Conn) error {
	for {
		m, err := pgMessage(server)
		if err != nil {
			return err
		}
		var traps []*trap
		c.mu.Lock()
		switch {
		case m[0] == 'G':
			traps, c.copied = []*trap{c.copied}, nil
		case m[0] == 'Z' && len(c.ready) > 0:
			traps, c.ready = c.ready[0], c.ready[1:]
			if len(c.ready) == 0 { // CopyDone comes behind the Query that it belongs to
				traps = append(traps, c.open...)
				c.open = nil
			}
		}
		c.mu.Unlock()
		for _, t := range traps {
			if !t.answer() {
				return errDropped
			}
		}
		if err := write(client, m); err != nil {
			return err
		}
	}
}

// pgStartup reads the first message, which has no type.
func pgStartup(from io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err
	}
	return pgRest(from, size[:], 0)
}

// pgMessage reads a message: type, size, content.
func pgMessage(from io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, err
	}
	return pgRest(from, head[:], 1)
}

func pgRest(from io.Reader, head []byte, size int) ([]byte, error) {
	n := int(binary.BigEndian.Uint32(head[size:]))
	if n < 4 || n > 1<<30 {
		return nil, errors.New("not a message of PostgreSQL's protocol")
	}
	m := make([]byte, size+n)
	copy(m, head)
	_, err := io.ReadFull(from, m[len(head):])
	return m, err
}
