package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr"

	"tilestream/internal/ops"
)

// A connection that ends before its first reply is no sign of a wrong setting: the next one is tried.
func TestEnsureTriesACutConnectionAgain(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.ApiVersions, kmsg.Metadata, kmsg.CreateTopics, kmsg.DescribeConfigs} {
		t.Run(key.Name(), func(t *testing.T) {
			fake, cl := startFake(t)
			defer fake.Close()
			defer cl.Close()
			cut := 0
			fake.ControlKey(key.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
				cut++
				return nil, errors.New("cut"), true
			})
			c := Config{Prefix: "tiledesk", Partitions: 3}
			for range 2 { // created, then compared
				if err := Ensure(t.Context(), cl, slog.New(slog.DiscardHandler), c.DataTopic("tiledesk.leads")); err != nil {
					t.Fatal(err)
				}
			}
			if cut != 1 {
				t.Errorf("%d connections were cut, want 1", cut)
			}
		})
	}
}

func TestFinal(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Err: err} }
	answer := func(status int) error { return &sr.ResponseError{StatusCode: status} }
	for _, c := range []struct {
		err  error
		want bool
	}{
		{dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), false},
		{dial(&net.DNSError{IsTemporary: true}), false},
		{dial(&net.DNSError{IsNotFound: true}), true},
		{io.EOF, false},
		{io.ErrUnexpectedEOF, false},
		{syscall.ECONNRESET, false},
		{x509.UnknownAuthorityError{}, true},
		{tls.RecordHeaderError{}, true},
		{kerr.SaslAuthenticationFailed, true},
		{kerr.TopicAuthorizationFailed, true},
		{kerr.InvalidReplicationFactor, true},
		{kerr.NotController, false},
		{kerr.CoordinatorNotAvailable, false},
		{ops.Usagef("wrong"), true},
		{answer(http.StatusUnauthorized), true},
		{answer(http.StatusConflict), true},
		{answer(http.StatusTooManyRequests), false},
		{answer(http.StatusServiceUnavailable), false},
	} {
		if got := Final(Explain(fmt.Errorf("do it: %w", c.err))); got != c.want {
			t.Errorf("%v: final %v, want %v", c.err, got, c.want)
		}
	}
}
