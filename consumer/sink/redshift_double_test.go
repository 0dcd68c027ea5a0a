package sink

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// redshiftDouble stands in for Redshift, of which there is no emulator: PostgreSQL's protocol in front, PostgreSQL behind, and between
// them what tells the two apart. Statements that Redshift does not have are refused (redshift_double_sql_test.go); COPY of Parquet is
// done here, from the manifest and the files in S3 (redshift_double_copy_test.go).
type redshiftDouble struct {
	postgres string
	objects  *s3Objects
	bucket   string
	listener net.Listener
	work     sync.WaitGroup

	mu       sync.Mutex
	clients  map[net.Conn]bool
	sessions map[string]*pgconn.PgConn // by what a request to cancel says
	long     map[string]string         // names that PostgreSQL would cut, by what it knows them as
}

const (
	doubleUser, doublePassword = "loader", "pa ss'w%rd"
	doubleRole                 = "arn:aws:iam::123456789012:role/tilestream-stage"
	deniedRole                 = "arn:aws:iam::123456789012:role/denied"
)

// StartRedshift starts a double until the test ends, and returns its WAREHOUSE_URL. It keeps its tables in a PostgreSQL, and reads the
// bucket that a URL of destination s3:// names, where its stage has a prefix of its own.
func StartRedshift(t testing.TB, postgres, bucketURL, prefix string) string {
	t.Helper()
	at, err := url.Parse(bucketURL)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := newS3(t.Context(), at.Host, at.Query())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &redshiftDouble{postgres: postgres, objects: objects, bucket: at.Host, listener: listener, clients: map[net.Conn]bool{}, sessions: map[string]*pgconn.PgConn{}, long: map[string]string{}}
	d.work.Go(d.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		d.mu.Lock()
		for c := range d.clients {
			_ = c.Close()
		}
		d.mu.Unlock()
		d.work.Wait()
		_ = objects.Close()
	})
	q := at.Query()
	q.Set("stage", "s3://"+at.Host+"/"+prefix)
	q.Set("iam_role", doubleRole)
	q.Set("sslmode", "disable")
	return (&url.URL{Scheme: "redshift", User: url.UserPassword(doubleUser, doublePassword), Host: listener.Addr().String(), Path: "/dev", RawQuery: q.Encode()}).String()
}

func (d *redshiftDouble) accept() {
	for {
		c, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		d.clients[c] = true
		d.mu.Unlock()
		d.work.Go(func() {
			d.serve(c)
			_ = c.Close()
			d.mu.Lock()
			delete(d.clients, c)
			d.mu.Unlock()
		})
	}
}

// serve is one connection, until either side ends it.
func (d *redshiftDouble) serve(c net.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client := pgproto3.NewBackend(c, c)
	server := d.greet(ctx, client, c)
	if server == nil {
		return
	}
	key := sessionKey(server.PID(), server.SecretKey())
	d.mu.Lock()
	d.sessions[key] = server
	d.mu.Unlock()
	s := &doubleSession{redshiftDouble: d, client: client, server: server}
	asked := make(chan string)
	extended := "" // what was parsed: Bind, Describe, Execute and Sync follow
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(asked)
		defer cancel() // nobody waits for what is at work
		for {
			m, err := client.Receive()
			if err != nil {
				return
			}
			var q string
			switch m := m.(type) {
			case *pgproto3.Query:
				q = m.String
			case *pgproto3.Parse:
				extended = m.Query
				continue
			case *pgproto3.Bind, *pgproto3.Describe, *pgproto3.Execute:
				continue
			case *pgproto3.Sync:
				q = "\x00" + extended
			default:
				return // Terminate, or what no statement of ours needs
			}
			select {
			case asked <- q:
			case <-ctx.Done():
				return
			}
		}
	})
	for sql := range asked {
		if err := s.answer(ctx, sql); err != nil {
			break
		}
	}
	_ = c.Close()
	for range asked { // until the reader has seen that
	}
	reading.Wait()
	d.mu.Lock()
	delete(d.sessions, key)
	d.mu.Unlock()
	_ = server.Close(context.Background())
}

// greet signs a client in; nil where it may not, or only wanted to cancel.
func (d *redshiftDouble) greet(ctx context.Context, client *pgproto3.Backend, c net.Conn) *pgconn.PgConn {
	for {
		m, err := client.ReceiveStartupMessage()
		if err != nil {
			return nil
		}
		switch m := m.(type) {
		case *pgproto3.SSLRequest, *pgproto3.GSSEncRequest:
			if _, err := c.Write([]byte{'N'}); err != nil {
				return nil
			}
		case *pgproto3.CancelRequest:
			d.mu.Lock()
			other := d.sessions[sessionKey(m.ProcessID, m.SecretKey)]
			d.mu.Unlock()
			if other != nil {
				_ = other.CancelRequest(ctx)
			}
			return nil
		case *pgproto3.StartupMessage:
			client.Send(&pgproto3.AuthenticationCleartextPassword{})
			_ = client.SetAuthType(pgproto3.AuthTypeCleartextPassword)
			if client.Flush() != nil {
				return nil
			}
			given, err := client.Receive()
			if err != nil {
				return nil
			}
			if p, ok := given.(*pgproto3.PasswordMessage); !ok || m.Parameters["user"] != doubleUser || p.Password != doublePassword {
				client.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28000", Message: `password authentication failed for user "` + m.Parameters["user"] + `"`})
				_ = client.Flush()
				return nil
			}
			if name := m.Parameters["database"]; name != "dev" {
				client.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "3D000", Message: `database "` + name + `" does not exist`})
				_ = client.Flush()
				return nil
			}
			server, err := pgconn.Connect(ctx, d.postgres)
			if err != nil {
				client.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "57P03", Message: "the PostgreSQL behind is away"})
				_ = client.Flush()
				return nil
			}
			client.Send(&pgproto3.AuthenticationOk{})
			client.Send(&pgproto3.ParameterStatus{Name: "server_version", Value: "8.0.2"})
			client.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
			client.Send(&pgproto3.BackendKeyData{ProcessID: server.PID(), SecretKey: server.SecretKey()})
			client.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			if client.Flush() != nil {
				_ = server.Close(ctx)
				return nil
			}
			return server
		default:
			return nil
		}
	}
}

func sessionKey(pid uint32, secret []byte) string {
	return fmt.Sprint(pid, " ", hex.EncodeToString(secret))
}

type doubleSession struct {
	*redshiftDouble
	client *pgproto3.Backend
	server *pgconn.PgConn
}

// answer runs a statement and sends what came of it; an error ends the connection.
func (s *doubleSession) answer(ctx context.Context, sql string) error {
	sql, extended := strings.CutPrefix(sql, "\x00")
	if extended {
		s.client.Send(&pgproto3.ParseComplete{})
		s.client.Send(&pgproto3.BindComplete{})
	}
	err := s.run(ctx, sql, extended)
	var pg *pgconn.PgError
	switch {
	case err == nil:
	case errors.As(err, &pg):
		r := &pgproto3.ErrorResponse{Severity: "ERROR", Code: pg.Code, Message: pg.Message, Detail: pg.Detail, ConstraintName: pg.ConstraintName}
		if pg.Code == "40001" {
			r.Code, r.Message, r.Detail = "XX000", "1023", "Serializable isolation violation on table - 100, transactions forming the cycle are: 1, 2 (pid:3)"
		}
		s.client.Send(r)
	default:
		return err // the way to PostgreSQL has broken
	}
	s.client.Send(&pgproto3.ReadyForQuery{TxStatus: s.server.TxStatus()})
	return s.client.Flush()
}

func (s *doubleSession) run(ctx context.Context, sql string, extended bool) error {
	if strings.HasPrefix(sql, "COPY ") {
		n, err := s.copy(ctx, sql)
		if err != nil {
			return s.refused(ctx, err)
		}
		s.client.Send(&pgproto3.CommandComplete{CommandTag: fmt.Appendf(nil, "COPY %d", n)})
		return nil
	}
	translated, err := s.translate(sql)
	if err != nil {
		return s.refused(ctx, err)
	}
	results := s.server.Exec(ctx, translated)
	some := false
	for results.NextResult() {
		some = true
		r := results.ResultReader()
		if fields := r.FieldDescriptions(); len(fields) > 0 {
			s.client.Send(s.described(fields))
		} else if extended {
			s.client.Send(&pgproto3.NoData{})
		}
		for r.NextRow() {
			row := &pgproto3.DataRow{Values: r.Values()}
			if strings.Contains(sql, "svv_columns") {
				row.Values = s.longNames(row.Values)
			}
			s.client.Send(row)
			if err := s.client.Flush(); err != nil {
				return errors.Join(err, results.Close())
			}
		}
		tag, err := r.Close()
		if err != nil {
			return errors.Join(err, results.Close())
		}
		s.client.Send(&pgproto3.CommandComplete{CommandTag: []byte(tag.String())})
	}
	if err := results.Close(); err != nil {
		return err
	}
	if !some {
		s.client.Send(&pgproto3.EmptyQueryResponse{})
	}
	return nil
}

// refused has the transaction fail, as it would if PostgreSQL itself had refused.
func (s *doubleSession) refused(ctx context.Context, err error) error {
	if s.server.TxStatus() == 'T' {
		_ = s.server.Exec(ctx, "refuse").Close() // no such statement
	}
	return err
}

func (s *doubleSession) described(fields []pgconn.FieldDescription) *pgproto3.RowDescription {
	var out pgproto3.RowDescription
	for _, f := range fields {
		typ := f.DataTypeOID
		if typ == 3802 { // jsonb
			typ = 4000 // SUPER
		}
		out.Fields = append(out.Fields, pgproto3.FieldDescription{Name: s.longNames([][]byte{[]byte(f.Name)})[0], TableOID: f.TableOID,
			TableAttributeNumber: f.TableAttributeNumber, DataTypeOID: typ, DataTypeSize: f.DataTypeSize, TypeModifier: f.TypeModifier, Format: f.Format})
	}
	return &out
}

// shortName is what PostgreSQL knows a name as, of which it would cut what is over 63 bytes.
func (d *redshiftDouble) shortName(name string) string {
	if len(name) <= 63 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	short := "long_" + hex.EncodeToString(sum[:16])
	d.mu.Lock()
	d.long[short] = name
	d.mu.Unlock()
	return short
}

func (d *redshiftDouble) longNames(values [][]byte) [][]byte {
	out := make([][]byte, len(values))
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, v := range values {
		out[i] = v
		if name, ok := d.long[string(v)]; ok {
			out[i] = []byte(name)
		}
	}
	return out
}

// refusal is an error as Redshift words it.
func refusal(message, detail string, args ...any) error {
	return &pgconn.PgError{Severity: "ERROR", Code: "XX000", Message: message, Detail: strings.TrimSpace(fmt.Sprintf(detail, args...))}
}
