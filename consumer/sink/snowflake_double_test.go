package sink

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// snowflakeDouble answers the official driver as an account does, as far as signing in and what statements end with go. It runs no
// SQL: what it is not told to refuse is done, and has no rows. The form of requests and answers is that of the driver's own types.
type snowflakeDouble struct {
	host  string
	stage string // the directory where a batch is put

	mu         sync.Mutex
	signIn     *snowflakeRefusal                  // of every sign-in; nil: all are let in
	refuse     func(sql string) *snowflakeRefusal // nil: nothing
	down       int                                // answers all requests with this status, where it is not 0
	logins     []snowflakeLogin
	statements []string
}

// snowflakeRefusal is an error of the account.
type snowflakeRefusal struct {
	number      int
	state, said string
}

// snowflakeLogin is what a driver signs in with.
type snowflakeLogin struct {
	Query   url.Values
	Account string         `json:"ACCOUNT_NAME"`
	User    string         `json:"LOGIN_NAME"`
	Pass    string         `json:"PASSWORD"`
	Kind    string         `json:"AUTHENTICATOR"`
	Token   string         `json:"TOKEN"`
	Session map[string]any `json:"SESSION_PARAMETERS"`
}

func newSnowflakeDouble(t *testing.T) *snowflakeDouble {
	t.Helper()
	d := &snowflakeDouble{stage: t.TempDir()}
	s := httptest.NewServer(d)
	t.Cleanup(s.Close)
	d.host = strings.TrimPrefix(s.URL, "http://")
	return d
}

// url is a WAREHOUSE_URL of the double, with more parameters.
func (d *snowflakeDouble) url(user *url.Userinfo, more ...string) *url.URL {
	q := url.Values{"account": {"org-acc"}, "protocol": {"http"}, "warehouse": {"LOADING"}, "role": {"TILESTREAM"}}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return &url.URL{Scheme: "snowflake", User: user, Host: d.host, Path: "/WAREHOUSE_DB", RawQuery: q.Encode()}
}

// open opens the double as a destination does, but gives up sooner.
func (d *snowflakeDouble) open(t *testing.T, u *url.URL) (*staged, error) {
	t.Helper()
	f, err := parseSnowflake(u, "tiledesk")
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 see parseSnowflake
	f.cfg.LoginTimeout = 2 * time.Second
	return f.sink(t.Context())
}

func (d *snowflakeDouble) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		if unzipped, err := gzip.NewReader(r.Body); err == nil {
			body = unzipped
		}
	}
	text, _ := io.ReadAll(body)
	if d.down != 0 {
		http.Error(w, "the account is down", d.down)
		return
	}
	answer := map[string]any{"success": true, "data": map[string]any{}}
	switch r.URL.Path {
	case "/session/v1/login-request":
		asked := struct{ Data snowflakeLogin }{}
		_ = json.Unmarshal(text, &asked)
		asked.Data.Query = r.URL.Query()
		d.logins = append(d.logins, asked.Data)
		answer["data"] = map[string]any{"token": "session-t0ken", "masterToken": "master-t0ken", "sessionId": 1, "parameters": []any{}, "sessionInfo": map[string]any{}}
		if d.signIn != nil {
			answer = map[string]any{"success": false, "code": strconv.Itoa(d.signIn.number), "message": d.signIn.said, "data": map[string]any{}}
		}
	case "/queries/v1/query-request":
		asked := struct{ SQLText string }{}
		_ = json.Unmarshal(text, &asked)
		d.statements = append(d.statements, asked.SQLText)
		answer = d.run(asked.SQLText)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (d *snowflakeDouble) run(sql string) map[string]any {
	if d.refuse != nil {
		if no := d.refuse(sql); no != nil {
			return map[string]any{"success": false, "code": strconv.Itoa(no.number), "message": no.said, "data": map[string]any{"sqlState": no.state}}
		}
	}
	if strings.HasPrefix(sql, "PUT ") {
		return map[string]any{"success": true, "data": map[string]any{"command": "UPLOAD", "src_locations": []string{"rows.parquet"}, "parallel": 1, "overwrite": true, "sourceCompression": "none",
			"stageInfo": map[string]any{"locationType": "LOCAL_FS", "location": d.stage}, "encryptionMaterial": map[string]any{}}}
	}
	if strings.HasPrefix(sql, "MERGE ") {
		return map[string]any{"success": true, "data": map[string]any{"queryResultFormat": "json", "rowset": [][]string{{"3", "1"}}, "total": 1, "returned": 1, "queryId": "1", "statementTypeId": 0x3400,
			"rowtype": []any{map[string]any{"name": "number of rows inserted", "type": "fixed"}, map[string]any{"name": "number of rows updated", "type": "fixed"}}}}
	}
	columns, rows := []map[string]any{}, [][]string{}
	for name, typ := range snowflakeDoubleTable {
		if strings.Contains(sql, "information_schema.columns") && strings.Contains(sql, "table_name = '"+snowflakeDoubleName+"'") {
			rows = append(rows, []string{name, typ})
		}
	}
	for _, name := range []string{"COLUMN_NAME", "DATA_TYPE"} {
		columns = append(columns, map[string]any{"name": name, "type": "text", "nullable": true})
	}
	return map[string]any{"success": true, "data": map[string]any{"queryResultFormat": "json", "rowtype": columns, "rowset": rows, "total": len(rows), "returned": len(rows), "queryId": "1", "statementTypeId": 4096}}
}

// The double has this one table.
const snowflakeDoubleName = "THINGS"

var snowflakeDoubleTable = map[string]string{"_ID": "TEXT", "TEXT": "TEXT", "UPDATED_AT": "TIMESTAMP_TZ", "_KAFKA_OFFSET": "NUMBER", "_DELETED_AT": "TIMESTAMP_TZ", "_DELETED_OFFSET": "NUMBER"}
