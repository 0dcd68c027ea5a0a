package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kfake"

	"tilestream/internal/ops"
)

// Kafka is the embedded broker and schema registry. What it has acknowledged survives a kill of the process at any
// moment; a loss of power may take the last seconds.
type Kafka struct {
	Brokers     []string // for KAFKA_BROKERS
	RegistryURL string   // for SCHEMA_REGISTRY_URL

	cluster  *kfake.Cluster
	registry *http.Server
	served   chan struct{} // closed when the registry's server has ended
	lock     *flock.Flock
}

// StartKafka starts one broker and a schema registry on free loopback ports. Their data lives in the directory kafka of
// dataDir; a second process that wants the same one gets a *ops.UsageError. The context bounds the start only; Close
// ends both.
func StartKafka(ctx context.Context, dataDir string, log *slog.Logger) (_ *Kafka, err error) {
	dir := filepath.Join(dataDir, "kafka")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("embedded kafka: %w", err)
	}
	k := &Kafka{lock: flock.New(filepath.Join(dir, "lock"))}
	switch ok, err := k.lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("embedded kafka: lock %s: %w", dir, err)
	case !ok:
		return nil, ops.Usagef("DATA_DIR=%s is in use by another process: stop that one, or set DATA_DIR to another directory", dataDir)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("embedded kafka: %w", err), k.lock.Unlock())
		}
	}()

	if err := checkFormat(dir); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "broker")
	if err := recoverLog(ctx, data, log); err != nil {
		return nil, fmt.Errorf("recover %s: %w", data, err)
	}
	k.cluster, err = kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.DataDir(data),
		// Ledgers in warehouses know a cluster by its id: a new directory must not pass for an old one. Where the
		// directory has an id already, that one stays.
		kfake.ClusterID("tilestream-"+uuid.NewString()),
		kfake.BrokerConfigs(map[string]string{
			// kfake compacts in place, deleting a partition's files before it writes the new ones, and forgets
			// min.compaction.lag.ms and open transactions while it does (kfake, data.go compact, persist.go
			// rebuildSegments). So it never gets to: ten years.
			"log.cleaner.backoff.ms": "315360000000",
			// Without end: the owner of a transactional id may be away for longer than a week.
			"transactional.id.expiration.ms": "2147483647",
			"offsets.retention.minutes":      "2147483647",
		}),
		kfake.WithLogger(fakeLogger{log}),
	)
	if err != nil {
		return nil, fmt.Errorf("%w; what is kept in %s can be deleted to start anew", err, dir)
	}
	k.Brokers = k.cluster.ListenAddrs()
	if err := k.startRegistry(ctx, filepath.Join(dir, "registry.jsonl")); err != nil {
		k.cluster.Close()
		return nil, err
	}
	return k, nil
}

func (k *Kafka) startRegistry(ctx context.Context, journal string) error {
	h, err := openRegistry(journal)
	if err != nil {
		return err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, h.Close())
	}
	k.RegistryURL = "http://" + ln.Addr().String()
	k.registry = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	k.served = make(chan struct{})
	go func() {
		defer close(k.served)
		_ = k.registry.Serve(ln) // ends with Close, and a loopback listener has no other end
		_ = h.Close()
	}()
	return nil
}

// Close stops the registry and the broker, and lets go of the directory. Clients should be closed before.
func (k *Kafka) Close() error {
	err := k.registry.Close()
	<-k.served
	k.cluster.Close()
	return errors.Join(err, k.lock.Unlock())
}

// fakeLogger passes errors to slog, and for debugging the rest: what the broker warns of, such as a transaction that took 5 ms,
// asks nothing of anybody.
type fakeLogger struct{ log *slog.Logger }

func (l fakeLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelDebug:
		return
	}
	if ctx := context.Background(); l.log.Enabled(ctx, to) {
		l.log.Log(ctx, to, "embedded kafka: "+fmt.Sprintf(format, args...))
	}
}
