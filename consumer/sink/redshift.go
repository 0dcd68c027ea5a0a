package sink

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"tilestream/internal/ops"
)

// redshift is what the URL of a cluster or workgroup says.
type redshift struct {
	config *pgx.ConnConfig
	schema string
	bucket string     // for the stage
	path   string     // in it
	s3     url.Values // region, endpoint, profile
	role   string     // as COPY takes it, quoted
}

const redshiftForm = "redshift://USER:PASSWORD@HOST:5439/DATABASE?stage=s3://BUCKET/PREFIX&region=REGION&iam_role=ARN"

// parseRedshift takes redshiftForm. Parameters that it does not know are libpq's. A name that the server's certificate does not carry,
// such as that of a tunnel, needs sslmode=require.
func parseRedshift(u *url.URL, dataset string) (*redshift, error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, ops.Usagef("its parameters cannot be read; special characters are written %%XX")
	}
	r := &redshift{schema: redshiftDialect.name(dataset), s3: url.Values{}}
	for _, name := range []string{"region", "endpoint", "profile"} {
		if q.Has(name) {
			r.s3.Set(name, q.Get(name))
		}
	}
	stage, err := url.Parse(q.Get("stage"))
	if err != nil || stage.Scheme != "s3" || stage.Host == "" || stage.User != nil || stage.RawQuery != "" || strings.Contains(stage.Path, `\`) {
		return nil, ops.Usagef("stage is not s3://BUCKET/PREFIX, where batches wait to be loaded: it takes %s", redshiftForm)
	}
	r.bucket, r.path = stage.Host, stage.Path
	switch role := q.Get("iam_role"); {
	case role == "default":
		r.role = role
	case roleARN.MatchString(role):
		r.role = "'" + role + "'"
	default:
		return nil, ops.Usagef("iam_role is neither the ARN of a role that the cluster may use to read the stage, nor default: it takes %s", redshiftForm)
	}
	for _, name := range []string{"stage", "iam_role", "region", "endpoint", "profile"} {
		q.Del(name)
	}
	if !q.Has("sslmode") {
		q.Set("sslmode", "verify-full") // Redshift has certificates that every system trusts
	}
	plain := *u
	plain.Scheme, plain.RawQuery = "postgres", q.Encode()
	if plain.Port() == "" {
		plain.Host += ":5439"
	}
	r.config, err = pgx.ParseConfig(plain.String())
	if err != nil || u.Hostname() == "" || u.User.Username() == "" || len(u.Path) < 2 {
		return nil, ops.Usagef("not a Redshift URL: it takes %s", redshiftForm)
	}
	// No statement here has parameters. Then this mode sends in the simple protocol what returns no rows, as COPY has to be, and leaves
	// statements uncached. The mode that has the simple protocol in its name wants standard_conforming_strings, which Redshift lacks.
	r.config.DefaultQueryExecMode = pgx.QueryExecModeExec
	if r.config.RuntimeParams["application_name"] == "" {
		r.config.RuntimeParams["application_name"] = "tilestream"
	}
	return r, nil
}

// roleARN is one role, or several that are taken one after the other (Management Guide, "Chaining IAM roles").
var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/:-]+$`)

func (r *redshift) open() *sql.DB {
	db := stdlib.OpenDB(*r.config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		// Else a double is shown, and made a text, with 15 digits of its 17.
		for _, set := range []string{"SET extra_float_digits TO 2", "SET timezone TO 'UTC'"} {
			if _, err := c.Exec(ctx, set); err != nil {
				return fmt.Errorf("%s: %w", set, err)
			}
		}
		return nil
	}))
	db.SetConnMaxIdleTime(2 * time.Minute) // load balancers on the way forget connections without a word after some minutes
	return db
}

func openRedshift(ctx context.Context, u *url.URL, dataset string) (Sink, error) {
	s, err := newRedshift(ctx, u, dataset)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func newRedshift(ctx context.Context, u *url.URL, dataset string) (*staged, error) {
	r, err := parseRedshift(u, dataset)
	if err != nil {
		return nil, err
	}
	objects, err := newS3(ctx, r.bucket, r.s3)
	if err != nil {
		return nil, err
	}
	stage := &redshiftStage{role: r.role, bucket: &bucket{objects: objects, url: "s3://" + r.bucket, prefix: bucketPrefix(r.path, r.schema)}}
	objects.arn += "/" + stage.bucket.prefix + "*"
	s := &staged{dialect: redshiftDialect, db: r.open(), dataset: r.schema, prepared: map[string]string{}, engine: engine{
		stage: stage.stage, lock: redshiftLock, create: redshiftCreate, check: redshiftCheck, conflict: redshiftConflict, explain: r.explain, close: stage.bucket.Close,
	}}
	if err := s.setup(ctx); err != nil {
		_ = s.Close() // nothing was opened
		if away(err) {
			err = fmt.Errorf("%w: %w", errAway, err)
		}
		return nil, err
	}
	return s, nil
}

// readRedshift needs no stage, but takes the URL that loads.
func readRedshift(ctx context.Context, u *url.URL, dataset string) (*Reader, error) {
	r, err := parseRedshift(u, dataset)
	if err != nil {
		return nil, err
	}
	db := r.open()
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close() // nothing was opened
		return nil, r.explain(err)
	}
	// A transaction sees the database as it was at its first question ("Serializable isolation").
	return &Reader{db: db, dataset: r.schema, close: db.Close, dialect: redshiftDialect, how: reading{begin: "BEGIN READ ONLY"}}, nil
}
