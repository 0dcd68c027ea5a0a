package ops

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestExamine(t *testing.T) {
	found := func(what string, err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return what, err }
	}
	var out strings.Builder
	err := Examine(t.Context(), Options{Stdout: &out}, []Check{
		{Name: "Kafka", Try: found("3 brokers", nil)},
		{Name: "topic a", Needs: "Kafka", Try: found("", errors.New("denied: the principal needs READ\nkafka-acls.sh --add"))},
		{Name: "a's rows", Needs: "topic a", Try: func(context.Context) (string, error) { t.Error("tried without its topic"); return "", nil }},
		{Name: "clock", Try: found("", &Warning{errors.New("a minute ahead")})},
		{Name: "after the clock", Needs: "clock", Try: found("fine", nil)},
	})
	if !errors.Is(err, ErrUnwell) || !strings.Contains(err.Error(), "1 of 5") {
		t.Errorf("Examine: %v", err)
	}
	want := `ok    Kafka            3 brokers
FAIL  topic a          denied: the principal needs READ
                       kafka-acls.sh --add
skip  a's rows         not tried, since topic a does not work
warn  clock            a minute ahead
ok    after the clock  fine
`
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestExamineWell(t *testing.T) {
	ok := Check{Name: "topic tiledesk.messages", Try: func(context.Context) (string, error) { return "6 partitions, may be read", nil }}
	var text, lines strings.Builder
	if err := Examine(t.Context(), Options{Stdout: &text}, []Check{ok}); err != nil || text.String() != "ok    topic tiledesk.messages  6 partitions, may be read\n\nAll 1 checks are well.\n" {
		t.Errorf("%v, %q", err, text.String())
	}
	if err := Examine(t.Context(), Options{Stdout: &lines, JSON: true}, []Check{ok}); err != nil {
		t.Error(err)
	}
	golden(t, "json/doctor.json", lines.String())
}

func TestSkew(t *testing.T) {
	asked := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for _, c := range []struct {
		ahead, took time.Duration
		warned      bool
	}{{0, 0, false}, {4 * time.Second, 0, false}, {-4 * time.Second, time.Second, false}, {8 * time.Second, 6 * time.Second, false}, {time.Minute, 0, true}, {-time.Hour, time.Second, true}} {
		_, err := Skew("its clock", asked.Add(c.took/2).Add(c.ahead), asked, asked.Add(c.took))
		var w *Warning
		if errors.As(err, &w) != c.warned {
			t.Errorf("%v ahead, answered after %v: %v, want a warning: %v", c.ahead, c.took, err, c.warned)
		}
	}
}
