package broker

import (
	"context"
	"log/slog"
	"net"

	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/ops"
)

// clientID is what brokers show in their logs and quotas.
const clientID = "tilestream"

// NewClient returns a client of the configured brokers. It does no I/O. Options given come last and win. Errors are
// *ops.UsageError.
func (c Config) NewClient(opts ...kgo.Opt) (*kgo.Client, error) {
	all, err := c.options()
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(all, opts...)...)
	if err != nil {
		return nil, ops.Usagef("kafka client: %w", err)
	}
	return cl, nil
}

func (c Config) options() ([]kgo.Opt, error) {
	if len(c.Brokers) == 0 {
		return nil, ops.Usagef("KAFKA_BROKERS is not set: it takes host:port, or several with commas between")
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return nil, ops.Usagef("KAFKA_BROKERS: %q is not host:port, for example localhost:9092", ops.RedactURL(b))
		}
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(clientID),
		kgo.WithLogger(logger{}),
		kgo.AlwaysRetryEOF(), // a first reply may be lost like any other: that sign-in is missing is said at the end
	}
	switch {
	case c.UseTLS:
		t, err := c.TLS.config("KAFKA_TLS_")
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(t))
	case !c.TLS.isZero():
		return nil, ops.Usagef("KAFKA_TLS_ variables are set, KAFKA_TLS is not: set KAFKA_TLS=true, or unset the others")
	}
	m, err := c.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	if m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

// logger passes the client's warnings and errors to slog. What the client calls info happens at every rebalance and
// metadata change, so that it counts as debug here.
type logger struct{}

func (logger) Level() kgo.LogLevel {
	if slog.Default().Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelWarn
}

func (logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelDebug
	switch level {
	case kgo.LogLevelError:
		to = slog.LevelError
	case kgo.LogLevelWarn:
		to = slog.LevelWarn
	}
	slog.Default().Log(context.Background(), to, "kafka client: "+msg, keyvals...)
}
