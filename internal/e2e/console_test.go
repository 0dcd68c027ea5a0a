package e2e

import (
	"bufio"
	"context"
	"encoding/csv"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// TestConsole streams the sample data and opens every page that can be reached from the first.
func TestConsole(t *testing.T) {
	base := "http://" + streaming(t)
	seen := map[string]bool{"/": true}
	for queue := []string{"/"}; len(queue) > 0; queue = queue[1:] {
		page, resp := get(t, base+queue[0])
		if resp.StatusCode != http.StatusOK || strings.Contains(page, `role="alert"`) || strings.Contains(page, "&lt;nil&gt;") {
			t.Errorf("%s: %s\n%s", queue[0], resp.Status, page)
		}
		if resp.Header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s has no policy", queue[0])
		}
		if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			continue
		}
		for _, link := range regexp.MustCompile(`(?:href|src|data-events)="([^"#]+)"`).FindAllStringSubmatch(page, -1) {
			to := html.UnescapeString(link[1])
			if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") {
				t.Errorf("%s needs %s, which is elsewhere", queue[0], to)
			} else if !seen[to] && !strings.HasSuffix(to, "/events") {
				seen[to] = true
				queue = append(queue, to)
			}
		}
	}
	if len(seen) < 25 { // pages, tables, their loads, questions, files
		t.Errorf("only %d pages are linked: %v", len(seen), seen)
	}

	if page, _ := get(t, base+"/tables/messages"); !strings.Contains(page, "recipient_fullname") || !strings.Contains(page, "version 1") {
		t.Errorf("the table's page lacks columns or schema:\n%s", page)
	}
	if page, _ := get(t, base+"/state"); !strings.Contains(page, "tiledesk-consumer") || !strings.Contains(page, "/messages</td>") {
		t.Errorf("the state lacks ledger or checkpoints:\n%s", page)
	}
	body, resp := get(t, base+"/query.csv?sql="+"SELECT+count(*)+AS+n,+min(text)+AS+text+FROM+tiledesk.messages")
	if rows, err := csv.NewReader(strings.NewReader(body)).ReadAll(); err != nil || len(rows) != 2 || rows[0][0] != "n" || len(rows[1][0]) < 4 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/csv") {
		t.Errorf("the CSV is %q (%v)", body, err)
	}
	if page, resp := get(t, base+"/query?sql=DROP+TABLE+tiledesk.messages"); resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(page, `role="alert"`) {
		t.Errorf("a question that writes: %s\n%s", resp.Status, page)
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	live, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Body.Close()
	events := 0
	for lines := bufio.NewScanner(live.Body); events < 3 && lines.Scan(); {
		line := lines.Text()
		if line != "" && !strings.HasPrefix(line, "data: ") {
			t.Fatalf("the events have %q", line)
		}
		if strings.Contains(line, "verdict") {
			events++
		}
	}
	if events < 3 {
		t.Errorf("%d events came", events)
	}
}
