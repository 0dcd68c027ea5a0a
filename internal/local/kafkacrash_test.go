package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

const (
	crashLanes = 4
	crashParts = 8
	crashDir   = "TILESTREAM_TEST_CRASH_DIR"
)

var crashTopics = map[string]string{"records": "delete", "checkpoints": "compact"}

// TestKafkaSurvivesKills kills a process with an embedded broker again and again, at random moments of a stream of
// transactions, and looks whether each transaction is there once and whole.
func TestKafkaSurvivesKills(t *testing.T) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashChild(t, dir)
		return
	}
	kills := 12
	if n, err := strconv.Atoi(os.Getenv("TEST_KILLS")); err == nil {
		kills = n
	}
	dir := t.TempDir()
	acked := map[string]string{} // what the children said was done: "commit lane/seq", "plain n", "offset n", "schema n"
	for run := range kills {
		n := len(acked)
		crashOnce(t, dir, run, acked)
		if len(acked) == n && run == 0 {
			t.Fatal("the child did nothing")
		}
	}

	k, err := StartKafka(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	seen := map[string]int{} // records by transaction "lane/seq/attempt"
	order := map[string][]string{}
	plain := map[string]int{}
	for _, r := range readAll(t, k, "records", "checkpoints", "plain") {
		if r.Topic == "plain" {
			plain[string(r.Value)]++
			continue
		}
		seen[string(r.Value)]++
		if r.Topic == "checkpoints" {
			order[string(r.Key)] = append(order[string(r.Key)], string(r.Value))
		}
	}
	total := 0
	for value, n := range seen {
		if n != crashParts+1 {
			t.Errorf("transaction %s has %d of its %d records", value, n, crashParts+1)
		}
		total++
	}
	for lane, values := range order {
		for i, v := range values {
			if want := fmt.Sprintf("%s/%d/", lane, i); !strings.HasPrefix(v, want) {
				t.Fatalf("lane %s: transaction %d is %s, want %s: something is missing or there twice", lane, i, v, want)
			}
		}
	}
	for what := range acked {
		kind, value, _ := strings.Cut(what, " ")
		switch {
		case kind == "commit" && seen[value] == 0:
			t.Errorf("transaction %s was acknowledged and is gone", value)
		case kind == "abort" && seen[value] != 0:
			t.Errorf("transaction %s was aborted and is back", value)
		case kind == "plain" && plain[value] != 1:
			t.Errorf("record %s was acknowledged and is there %d times", value, plain[value])
		}
	}
	checkAckedState(t, k, acked)
	t.Logf("%d kills, %d transactions in the log, %d acknowledgements", kills, total, len(acked))
}

// checkAckedState looks for group offsets and schemas.
func checkAckedState(t *testing.T, k *Kafka, acked map[string]string) {
	t.Helper()
	last := int64(-1)
	for what := range acked {
		if n, ok := strings.CutPrefix(what, "offset "); ok {
			v, _ := strconv.ParseInt(n, 10, 64)
			last = max(last, v)
		}
	}
	adm := kadm.NewClient(client(t, k))
	offsets, err := adm.FetchOffsets(t.Context(), "group")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := offsets.Lookup("plain", 0); got.At < last {
		t.Errorf("group offset is %d, %d was acknowledged", got.At, last)
	}
	reg, err := sr.NewClient(sr.URLs(k.RegistryURL))
	if err != nil {
		t.Fatal(err)
	}
	for what, id := range acked {
		if n, ok := strings.CutPrefix(what, "schema "); ok {
			got, err := reg.SchemaByVersion(t.Context(), "s"+n, 1)
			if err != nil || strconv.Itoa(got.ID) != id {
				t.Errorf("schema s%s: id %d, %v; was acknowledged with %s", n, got.ID, err, id)
			}
		}
	}
}

// crashOnce runs a child for a random time, kills it, and notes what it acknowledged.
func crashOnce(t *testing.T, dir string, run int, acked map[string]string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKafkaSurvivesKills$", "-test.v")
	cmd.Env = append(os.Environ(), crashDir+"="+dir, fmt.Sprintf("TILESTREAM_TEST_CRASH_RUN=%d", run))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var timer *time.Timer
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line, ok := strings.CutPrefix(lines.Text(), "ack ")
		if !ok {
			if strings.Contains(lines.Text(), "kafkacrash_test.go") {
				t.Error("child: " + lines.Text())
			}
			continue
		}
		if timer == nil { // it works: now a random moment of its work
			timer = time.AfterFunc(time.Duration(rand.IntN(400))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
		what, value, _ := strings.Cut(line, "=")
		acked[what] = value
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("run %d: the child ended by itself: %v\n%s", run, err, stderr.String())
	}
	if s := stderr.String(); strings.Contains(s, "lost") {
		t.Errorf("run %d: %s", run, s)
	}
}

// crashChild works until it is killed.
func crashChild(t *testing.T, dir string) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	k, err := StartKafka(t.Context(), dir, log)
	if err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(client(t, k))
	for topic, policy := range crashTopics {
		_, _ = adm.CreateTopic(t.Context(), crashParts, 1, map[string]*string{"cleanup.policy": &policy}, topic)
	}
	_, _ = adm.CreateTopic(t.Context(), 1, 1, nil, "plain")
	var out sync.Mutex
	ack := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf("ack "+format+"\n", args...)
	}
	next := map[string]int{}
	for _, r := range readAll(t, k, "checkpoints") {
		next[string(r.Key)]++
	}
	var wg sync.WaitGroup
	for lane := range crashLanes {
		name := fmt.Sprintf("lane%d", lane)
		wg.Go(func() { crashLane(t, k, name, int32(lane), next[name], ack) })
	}
	wg.Go(func() { crashPlain(t, k, ack) })
	wg.Wait()
}

func crashLane(t *testing.T, k *Kafka, name string, partition int32, seq int, ack func(string, ...any)) {
	ctx := t.Context()
	cl := client(t, k, kgo.TransactionalID(name), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for attempt := 0; ; attempt++ {
		value := fmt.Sprintf("%s/%d/%s-%d", name, seq, os.Getenv("TILESTREAM_TEST_CRASH_RUN"), attempt)
		rs := []*kgo.Record{{Topic: "checkpoints", Partition: partition, Key: []byte(name), Value: []byte(value)}}
		for p := range crashParts {
			rs = append(rs, &kgo.Record{Topic: "records", Partition: int32(p), Value: []byte(value), Headers: []kgo.RecordHeader{{Key: "pad", Value: make([]byte, rand.IntN(9000))}}})
		}
		if err := cl.BeginTransaction(); err != nil {
			t.Error(err)
			return
		}
		if err := cl.ProduceSync(ctx, rs...).FirstErr(); err != nil {
			t.Error(err)
			return
		}
		commit := kgo.TransactionEndTry(rand.IntN(10) > 0)
		if err := cl.EndTransaction(ctx, commit); err != nil {
			t.Error(err)
			return
		}
		if commit {
			ack("commit %s", value)
			seq++
		} else {
			ack("abort %s", value)
		}
	}
}

func crashPlain(t *testing.T, k *Kafka, ack func(string, ...any)) {
	ctx := t.Context()
	cl := client(t, k, kgo.DefaultProduceTopic("plain"))
	adm := kadm.NewClient(cl)
	reg, err := sr.NewClient(sr.URLs(k.RegistryURL))
	if err != nil {
		t.Error(err)
		return
	}
	for i := 0; ; i++ {
		value := fmt.Sprintf("%s-%d", os.Getenv("TILESTREAM_TEST_CRASH_RUN"), i)
		r, err := cl.ProduceSync(ctx, kgo.StringRecord(value)).First()
		if err != nil {
			t.Error(err)
			return
		}
		ack("plain %s", value)
		offsets := kadm.Offsets{}
		offsets.AddOffset("plain", 0, r.Offset+1, -1)
		if err := adm.CommitAllOffsets(ctx, "group", offsets); err != nil {
			t.Error(err)
			return
		}
		ack("offset %d", r.Offset+1)
		if i%10 == 0 {
			s, err := reg.CreateSchema(ctx, "s"+value, sr.Schema{Schema: fmt.Sprintf(`{"type":"fixed","name":"f","size":%d}`, 1+rand.IntN(1000))})
			if err != nil {
				t.Error(err)
				return
			}
			ack("schema %s=%d", value, s.ID)
		}
	}
}

// readAll reads what is committed, each topic from its start to its last stable offset.
func readAll(t *testing.T, k *Kafka, topics ...string) []*kgo.Record {
	t.Helper()
	ask := client(t, k)
	defer ask.Close()
	ends, err := kadm.NewClient(ask).ListCommittedOffsets(t.Context(), topics...)
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]map[int32]int64{}
	from := map[string]map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if o.Offset == 0 {
			return
		}
		if left[o.Topic] == nil {
			left[o.Topic], from[o.Topic] = map[int32]int64{}, map[int32]kgo.Offset{}
		}
		left[o.Topic][o.Partition] = o.Offset
		from[o.Topic][o.Partition] = kgo.NewOffset().AtStart()
	})
	if len(left) == 0 {
		return nil
	}
	cl := client(t, k, kgo.ConsumePartitions(from), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []*kgo.Record
	for len(left) > 0 {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Fatal(err, left)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				out = append(out, r)
			}
		})
		fs.EachPartition(func(p kgo.FetchTopicPartition) {
			for _, r := range p.Records {
				if r.Offset+1 >= left[p.Topic][p.Partition] {
					delete(left[p.Topic], p.Partition)
				}
			}
			if len(left[p.Topic]) == 0 {
				delete(left, p.Topic)
			}
		})
	}
	return out
}
