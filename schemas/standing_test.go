package schemas

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
)

func TestStanding(t *testing.T) {
	reg := newRegistry(t)
	c, _ := evolving(t, reg, growing)
	r := resource(t, "tags")
	stands := func(want ...string) {
		t.Helper()
		s, err := c.Standing(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(s.String()+s.Refused, w) {
				t.Errorf("it stands as %q, %q: want %q in it", s, s.Refused, w)
			}
		}
	}
	stands("not there yet")
	older := strings.Replace(r.Avro(), `{"name": "color"`, `{"name": "colour"`, 1)
	if older == r.Avro() {
		t.Fatal("tags have no color")
	}
	if _, _, err := reg.RegisterSchema(r.Subject("tiledesk"), sr.Schema{Schema: older, Type: sr.TypeAvro}); err != nil {
		t.Fatal(err)
	}
	stands("version 1, id 1", "1 fields found in documents: colour", `the producer will register new field color ["null","string"]`)
	reg.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/compatibility/") {
			return false
		}
		fmt.Fprint(w, `{"is_compatible":false,"messages":["because"]}`)
		return true
	})
	stands("it is not compatible; because")
	reg.ClearInterceptors()
	through(t, c, r, `{"_id":"1","mood":"fine"}`)
	stands("version 3, id 3, BACKWARD", "2 fields found in documents: colour, mood")
	reg.Close()
	if _, err := c.Standing(t.Context(), r); err == nil {
		t.Error("without a registry there is no error")
	}
}
