package sinktest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"tilestream/consumer/sink"
)

// Crash kills a process in the middle of its writes, again and again, and wants the ledger and the rows of the
// warehouse to tell the same story each time. child makes the command of a process that runs Stream on the warehouse
// of d; its standard output is taken here. running, if not nil, is called once while the child is writing.
func Crash(t *testing.T, d Destination, child func() *exec.Cmd, running func()) {
	for round := range 6 {
		c := child()
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		words := bufio.NewScanner(out)
		for words.Scan() && words.Text() != streaming {
		}
		if running != nil && round == 0 {
			running()
		}
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait() // it was killed
		if words.Err() != nil || c.ProcessState.Success() {
			t.Fatalf("the child ended by itself: %v", words.Err())
		}

		to := d.Open(t)
		next := settle(t, to)
		if err := to.Close(); err != nil {
			t.Error(err)
		}
		t.Logf("killed after %d batches", next)
		if diff := Diff(streamTable(), streamed(next), d.Read(t, streamTable())); diff != "" {
			t.Fatalf("round %d: the ledger is at %d, the rows differ (-want +got):\n%s", round, next, diff)
		}
	}
}

// settle returns where the ledger stands once nothing that the dead process left behind can move it any more: an empty
// write waits for it.
func settle(t *testing.T, to sink.Sink) int64 {
	for {
		next, err := to.Next(t.Context(), []sink.Partition{Part(0)})
		if err != nil {
			t.Fatal(err)
		}
		at := next[Part(0)]
		_, err = to.Write(t.Context(), sink.Batch{ID: "settle", Table: streamTable(), Ranges: []sink.Range{Span(0, at, at)}})
		if err == nil {
			return at
		}
		if !errors.Is(err, sink.ErrFenced) {
			t.Fatal(err)
		}
	}
}

// streaming is what Stream prints when it begins.
const streaming = "streaming"

func streamTable() sink.Table { return Table("streamed", Column("text", String), Column("n", Int64)) }

// Stream writes batches, from where the ledger stands, until it is killed.
func Stream(ctx context.Context, to sink.Sink) error {
	if err := to.Prepare(ctx, streamTable()); err != nil {
		return err
	}
	next, err := to.Next(ctx, []sink.Partition{Part(0)})
	if err != nil {
		return err
	}
	fmt.Println(streaming)
	for at := next[Part(0)]; ; at++ {
		b := sink.Batch{ID: fmt.Sprint("load-", at), Table: streamTable(), Ranges: []sink.Range{Span(0, at, at+1)}, Rows: Record(streamTable().Schema, streamBatch(at))}
		if _, err := to.Write(ctx, b); err != nil {
			return err
		}
	}
}

// streamBatch is the batch that starts at the offset: it replaces most rows of the one before and adds some.
func streamBatch(offset int64) []Row {
	rows := make([]Row, 2000)
	for i := range rows {
		rows[i] = Row{"_id": fmt.Sprint("key ", offset*500+int64(i)), "text": fmt.Sprint("text of ", offset), "n": offset, "updated_at": at(int(offset)), "_kafka_offset": offset}
	}
	return rows
}

// streamed is what the warehouse holds after the batches up to the offset.
func streamed(next int64) []Row {
	rows := map[any]Row{}
	for offset := range next {
		for _, r := range streamBatch(offset) {
			rows[r["_id"]] = r
		}
	}
	out := make([]Row, 0, len(rows))
	for _, r := range rows {
		out = append(out, r)
	}
	return out
}
