package sink_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tilestream/consumer/sink"
	"tilestream/consumer/sink/sinktest"
	"tilestream/internal/e2e"
	"tilestream/internal/ops"
)

// TestRedshiftMistakes wants errors that say what was tried, what came back and what to do, without a secret, and that lose nothing.
func TestRedshiftMistakes(t *testing.T) {
	base, err := url.Parse(startRedshift(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		wrong func(u *url.URL, q url.Values)
		want  []string
	}{
		{"password", func(u *url.URL, _ url.Values) { u.User = url.UserPassword("loader", "hunter2") }, []string{"open warehouse redshift://", `password authentication failed for user "loader"`, "check user and password"}},
		{"database", func(u *url.URL, _ url.Values) { u.Path = "/nowhere" }, []string{`database "nowhere" does not exist`, "check the database"}},
		{"port", func(u *url.URL, _ url.Values) { u.Host = "127.0.0.1:1" }, []string{"refused", "not paused", "security group"}},
		{"TLS", func(_ *url.URL, q url.Values) { q.Del("sslmode") }, []string{"refused TLS", "sslmode=disable"}},
		{"role", func(_ *url.URL, q url.Values) { q.Set("iam_role", "arn:aws:iam::123456789012:role/denied") }, []string{"write things", "Not authorized to get credentials of role", "attach the role", "GRANT ASSUMEROLE ON 'arn:aws:iam::123456789012:role/denied' TO \"loader\" FOR COPY"}},
		{"bucket", func(_ *url.URL, q url.Values) { q.Set("stage", "s3://no-such-warehouse/x") }, []string{"write things", "s3://no-such-warehouse/x/", "NoSuchBucket", "create the bucket"}},
		{"key", func(_ *url.URL, q url.Values) { q.Set("profile", "no-such-profile") }, []string{"no-such-profile"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, q := *base, base.Query()
			c.wrong(&u, q)
			u.RawQuery = q.Encode()
			at := u.String()
			to, err := sink.Open(t.Context(), at, redshiftDataset(t))
			if err == nil {
				defer to.Close()
				table := sinktest.Table("things")
				if err := to.Prepare(t.Context(), table); err != nil {
					t.Fatal(err)
				}
				_, err = to.Write(t.Context(), sink.Batch{ID: "1", Table: table, Rows: sinktest.Record(table.Schema, []sinktest.Row{{"_id": "a", "_kafka_offset": int64(0)}}), Ranges: []sink.Range{sinktest.Span(0, 0, 1)}})
				if next, nerr := to.Next(t.Context(), []sink.Partition{sinktest.Part(0)}); nerr != nil || next[sinktest.Part(0)] != 0 {
					t.Errorf("Next: %v, %v, want 0", next, nerr)
				}
			}
			if err == nil {
				t.Fatal("it was taken")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v: want %q in it", err, want)
				}
			}
			for _, secret := range []string{"hunter2", "ss'w", "minioadmin"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%v: shows a secret", err)
				}
			}
		})
	}
}

// TestRedshiftDropped drops a table, and the ledger, while a consumer runs.
func TestRedshiftDropped(t *testing.T) {
	at, dataset := startRedshift(t), redshiftDataset(t)
	to, err := sink.Open(t.Context(), at, dataset)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	table := sinktest.Table("things")
	batch := sink.Batch{ID: "1", Table: table, Rows: sinktest.Record(table.Schema, []sinktest.Row{{"_id": "a", "_kafka_offset": int64(0)}}), Ranges: []sink.Range{sinktest.Span(0, 0, 1)}}
	if err := to.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	withPostgres(t, e2e.Service(t, "TEST_POSTGRES_URL"), func(ctx context.Context, c *pgx.Conn) {
		if _, err := c.Exec(ctx, `DROP TABLE "`+dataset+`".things`); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := to.Write(t.Context(), batch); err == nil || !strings.Contains(err.Error(), "was not prepared") {
		t.Errorf("Write: %v, want it to say that there is no table", err)
	}
	if err := to.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Write(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	withPostgres(t, e2e.Service(t, "TEST_POSTGRES_URL"), func(ctx context.Context, c *pgx.Conn) {
		if _, err := c.Exec(ctx, `DROP TABLE "`+dataset+`"._tilestream_ledger`); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := to.Next(t.Context(), []sink.Partition{sinktest.Part(0)}); err == nil || !strings.Contains(err.Error(), "read the ledger") || !strings.Contains(err.Error(), "it was dropped") {
		t.Errorf("Next: %v, want it to say that the ledger was dropped", err)
	}
}

// redshiftDataset names a dataset that is dropped when the test ends.
func redshiftDataset(t testing.TB) string {
	schema := "test_" + strings.ToLower(rand.Text()[:10])
	t.Cleanup(func() {
		withPostgres(t, e2e.Service(t, "TEST_POSTGRES_URL"), func(ctx context.Context, c *pgx.Conn) {
			if _, err := c.Exec(ctx, `DROP SCHEMA IF EXISTS "`+schema+`" CASCADE`); err != nil {
				t.Error(err)
			}
		})
	})
	return schema
}

// TestRedshiftRejects wants the column of a value that Redshift would not take, and that nothing is staged for it.
func TestRedshiftRejects(t *testing.T) {
	at, dataset := startRedshift(t), redshiftDataset(t)
	to, err := sink.Open(t.Context(), at, dataset)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	table := sinktest.Table("things", sinktest.Column("text", sinktest.String), sinktest.Column("doc", sinktest.JSON), sinktest.Column("f", sinktest.Float64))
	if err := to.Prepare(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	next := int64(0)
	write := func(row sinktest.Row) error {
		row["_kafka_offset"] = next
		_, err := to.Write(t.Context(), sink.Batch{ID: "1", Table: table, Rows: sinktest.Record(table.Schema, []sinktest.Row{row}), Ranges: []sink.Range{sinktest.Span(0, next, next+1)}})
		if err == nil {
			next++
		}
		return err
	}
	for _, c := range []struct {
		name, column string
		row          sinktest.Row
	}{
		{"text a byte too long", "text", sinktest.Row{"_id": "a", "text": strings.Repeat("é", 32767) + "xx"}},
		{"JSON a byte too long", "doc", sinktest.Row{"_id": "a", "doc": `"` + strings.Repeat("x", 65534) + `"`}},
		{"NUL", "text", sinktest.Row{"_id": "a", "text": "\x00"}},
		{"NUL in JSON", "doc", sinktest.Row{"_id": "a", "doc": `{"a\u0000":1}`}},
		{"a key that ends with a blank", "_id", sinktest.Row{"_id": "a "}},
		{"too many digits", "doc", sinktest.Row{"_id": "a", "doc": `[0.12345678901234567890]`}},
		{"a level too deep", "doc", sinktest.Row{"_id": "a", "doc": strings.Repeat("[", 1001) + strings.Repeat("]", 1001)}},
		{"text as long as it may be", "", sinktest.Row{"_id": "a", "text": strings.Repeat("é", 32767) + "x"}},
		{"JSON as long as it may be", "", sinktest.Row{"_id": "a", "doc": `"` + strings.Repeat("x", 65533) + `"`}},
		{"text that ends with a blank", "", sinktest.Row{"_id": "a", "text": " "}},
		{"numbers of JavaScript", "", sinktest.Row{"_id": "a", "doc": `[9223372036854775807,0.1,1.7976931348623157e308,5e-324,-0,1.50e1,[[{"a":{}}]]]`}},
		{"as deep as it may be", "", sinktest.Row{"_id": "a", "doc": strings.Repeat("[", 1000) + strings.Repeat("]", 1000)}},
	} {
		var rejected *sink.RejectedError
		switch err := write(c.row); {
		case c.column == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.column != "" && (!errors.As(err, &rejected) || rejected.Column != c.column || len(err.Error()) > 500):
			t.Errorf("%s: %.600v, want a *RejectedError of column %s", c.name, err, c.column)
		}
	}
}

// TestRedshiftWidens fills columns of every type and makes text or JSON of them.
func TestRedshiftWidens(t *testing.T) {
	at, dataset := startRedshift(t), redshiftDataset(t)
	to, err := sink.Open(t.Context(), at, dataset)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	when := time.Date(2026, 5, 4, 12, 0, 0, 7e6, time.UTC)
	narrow := sinktest.Table("things", sinktest.Column("b", sinktest.Boolean), sinktest.Column("i", sinktest.Int64), sinktest.Column("f", sinktest.Float64), sinktest.Column("at", sinktest.Timestamp),
		sinktest.Column("jb", sinktest.Boolean), sinktest.Column("ji", sinktest.Int64), sinktest.Column("jf", sinktest.Float64), sinktest.Column("jat", sinktest.Timestamp))
	wide := sinktest.Table("things", sinktest.Column("b", sinktest.String), sinktest.Column("i", sinktest.String), sinktest.Column("f", sinktest.String), sinktest.Column("at", sinktest.String),
		sinktest.Column("jb", sinktest.JSON), sinktest.Column("ji", sinktest.JSON), sinktest.Column("jf", sinktest.JSON), sinktest.Column("jat", sinktest.JSON))
	row := sinktest.Row{"_id": "a", "_kafka_offset": int64(0), "b": false, "i": int64(1) << 62, "f": 1.25, "at": when, "jb": true, "ji": int64(7), "jf": 0.5, "jat": when}
	if err := to.Prepare(t.Context(), narrow); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Write(t.Context(), sink.Batch{ID: "1", Table: narrow, Rows: sinktest.Record(narrow.Schema, []sinktest.Row{row, {"_id": "null", "_kafka_offset": int64(0)}}), Ranges: []sink.Range{sinktest.Span(0, 0, 1)}}); err != nil {
		t.Fatal(err)
	}
	if err := to.Prepare(t.Context(), wide); err != nil {
		t.Fatal(err)
	}
	want := []sinktest.Row{{"_id": "a", "_kafka_offset": int64(0), "b": "false", "i": "4611686018427387904", "f": "1.25", "at": "2026-05-04T12:00:00.007Z",
		"jb": "true", "ji": "7", "jf": "0.5", "jat": `"2026-05-04T12:00:00.007Z"`}, {"_id": "null", "_kafka_offset": int64(0)}}
	if diff := sinktest.Diff(wide, want, readThrough(t, at, dataset, wide)); diff != "" {
		t.Error(diff)
	}
}

func TestRedshiftURLs(t *testing.T) {
	const good = "redshift://ann:s3cret@c.abc.eu-central-1.redshift.amazonaws.com/dev?stage=s3://b/p&region=eu-central-1&iam_role=arn:aws:iam::123456789012:role/r"
	for _, c := range []struct{ old, new, want string }{
		{"stage=s3://b/p&", "", "stage is not s3://BUCKET/PREFIX"},
		{"s3://b/p", "gs://b/p", "stage is not s3://BUCKET/PREFIX"},
		{"s3://b/p", "s3://", "stage is not s3://BUCKET/PREFIX"},
		{"arn:aws:iam::123456789012:role/r", "' OR 1", "iam_role is neither"},
		{"&iam_role=arn:aws:iam::123456789012:role/r", "", "iam_role is neither"},
		{"region=eu-central-1&", "sslmode=what&", "not a Redshift URL"},
		{"ann:s3cret@", "", "not a Redshift URL"},
		{"/dev?", "?", "not a Redshift URL"},
	} {
		_, err := sink.Open(t.Context(), strings.Replace(good, c.old, c.new, 1), "tiledesk")
		var usage *ops.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s instead of %s: %v, want %q and no secret", c.new, c.old, err, c.want)
		}
	}
}
