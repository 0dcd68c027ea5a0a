package sink

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"tilestream/internal/e2e"
	"tilestream/internal/ops"
)

// A connection to PostgreSQL may break anywhere while the warehouse is opened: the next one is tried.
func TestPostgresIsOpenedAtTheNextTry(t *testing.T) {
	direct, err := url.Parse(e2e.Service(t, "TEST_POSTGRES_URL"))
	if err != nil {
		t.Fatal("TEST_POSTGRES_URL is no URL") // it may hold a password
	}
	for _, bytes := range []int64{0, 1, 400, 500, 600} { // of the server's answers, until the cut
		t.Run(fmt.Sprintf("cut after %d bytes", bytes), func(t *testing.T) {
			through := *direct
			addr, tries := cutFirst(t, direct.Host, 2, bytes)
			through.Host = addr
			to, err := Config{URL: ops.Secret(through.String()), Dataset: "away"}.Open(t.Context(), "", slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if err := to.Close(); err != nil {
				t.Error(err)
			}
			if n := tries.Load(); n < 3 {
				t.Errorf("%d connections, want the two that were cut and one more", n)
			}
		})
	}
}

// cutFirst carries connections to the server, of the first ones so many bytes of its answers.
func cutFirst(t *testing.T, server string, first int32, bytes int64) (addr string, connections *atomic.Int32) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = &atomic.Int32{}
	var work sync.WaitGroup
	t.Cleanup(work.Wait)
	t.Cleanup(func() { _ = ln.Close() })
	work.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			n := connections.Add(1)
			work.Go(func() {
				defer client.Close()
				to, err := net.Dial("tcp", server)
				if err != nil {
					t.Error(err)
					return
				}
				defer to.Close()
				work.Go(func() {
					defer to.Close()
					_, _ = io.Copy(to, client)
				})
				from := io.Reader(to)
				if n <= first {
					from = io.LimitReader(to, bytes)
				}
				_, _ = io.Copy(client, from)
			})
		}
	})
	return ln.Addr().String(), connections
}

func TestPostgresAway(t *testing.T) {
	said := func(code string) error { return &pgconn.PgError{Code: code} }
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, true},
		{io.ErrUnexpectedEOF, true},
		{errors.New("conn closed"), true},
		{&net.DNSError{IsTemporary: true}, true},
		{&net.DNSError{IsNotFound: true}, false},
		{said("57P03"), true},  // cannot_connect_now
		{said("08006"), true},  // connection_failure
		{said("53300"), true},  // too_many_connections
		{said("28P01"), false}, // invalid_password
		{said("3D000"), false}, // invalid_catalog_name
		{said("42501"), false}, // insufficient_privilege
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, false},
		{&net.OpError{Op: "remote error", Err: tls.AlertError(42)}, false},
		{errors.New("server refused TLS connection"), false},
	} {
		if got := away(fmt.Errorf("open: %w", c.err)); got != c.want {
			t.Errorf("%v: away %v, want %v", c.err, got, c.want)
		}
	}
}
