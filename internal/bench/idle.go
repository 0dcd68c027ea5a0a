package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"tilestream/internal/ops"
	"tilestream/producer/tiledesk/tiledesktest"
)

const (
	idleProjects = 100 // of 10 resources each
	idleEvery    = 10 * time.Second
	idleSettle   = 3 * idleEvery // until every stream has been read to its end twice
	idleWatched  = 3 * idleEvery
)

// idle watches a producer of many streams in which nothing happens.
func (b *bench) idle(ctx context.Context, out io.Writer) error {
	desk := tiledesktest.New(tiledesktest.Options{})
	projects := []*tiledesktest.Project{desk.Project}
	for i := 1; i < idleProjects; i++ {
		projects = append(projects, desk.AddProject(fmt.Sprintf("6b03000000000000%08x", i+1), fmt.Sprint("Idle ", i)))
	}
	var asked atomic.Int64
	url, err := b.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { asked.Add(1); desk.ServeHTTP(w, r) }))
	if err != nil {
		return err
	}
	prefix := fresh(b.kafka.Prefix)
	env := map[string]string{
		"TILEDESK_URL": url, "TILEDESK_API": "v3", "TILEDESK_REQUESTS_PER_MINUTE": "1000000", "TILEDESK_POLL_INTERVAL": idleEvery.String(), "KAFKA_TOPIC_PREFIX": prefix,
	}
	var ids []string
	for _, p := range projects {
		ids = append(ids, p.ID)
		env["TILEDESK_TOKEN_"+p.ID] = p.Owner.Token
	}
	env["TILEDESK_PROJECT_ID"] = strings.Join(ids, ",")
	cmd := b.command(ctx, "producer", env)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill(); <-ended }()

	client, err := b.kafka.NewClient()
	if err != nil {
		return err
	}
	defer client.Close()
	written := func() (n int64, err error) { // offsets, of all topics
		ends, err := kadm.NewClient(client).ListEndOffsets(ctx)
		ends.Each(func(o kadm.ListedOffset) {
			if strings.HasPrefix(o.Topic, prefix+".") {
				n += o.Offset
			}
		})
		return n, err
	}
	if err := ops.Sleep(ctx, idleSettle); err != nil {
		return err
	}
	was, err := written()
	if err != nil {
		return err
	}
	cpu, from, began := spent(cmd.Process.Pid), asked.Load(), time.Now()
	if err := ops.Sleep(ctx, idleWatched); err != nil {
		return err
	}
	took := time.Since(began)
	cpu, n := spent(cmd.Process.Pid)-cpu, asked.Load()-from
	is, err := written()
	if err != nil {
		return err
	}
	select {
	case err := <-ended:
		ended <- err
		return fmt.Errorf("producer: %w\n%s", err, said.String())
	default:
	}
	polls := float64(idleProjects*10) * took.Seconds() / idleEvery.Seconds()
	_, err = fmt.Fprintf(out, "%d idle streams, polled every %v: %.2f requests a poll, %.1f %% of a core, %d offsets written\n",
		idleProjects*10, idleEvery, float64(n)/polls, 100*cpu.Seconds()/took.Seconds(), is-was)
	return err
}

// spent is the CPU that a living process has taken (proc(5), stat: utime and stime, in hundredths of a second); 0 where there is no /proc.
func spent(pid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ") // behind the program's name
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
