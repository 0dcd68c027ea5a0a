package tiledesktest

import (
	"net/http"
	"path"
	"strconv"
	"sync"
	"time"
)

// Fault is something that goes wrong with some calls. What is zero stays as it is: Fault{Status: 503} keeps the real
// body, Fault{Half: true} only cuts it.
type Fault struct {
	Path   string // path.Match pattern on what follows the project, such as "requests/*/messages", or "auth/signin"; "" is any
	Times  int    // how many calls it hits; 0 is every one until Heal
	Skip   int    // how many matching calls pass before
	Delay  time.Duration
	Hang   bool        // never answer: the call ends when the caller gives up
	Cut    bool        // close the connection without an answer; on one used before, Go's transport tries a GET again by itself
	Half   bool        // send half of the body, then close the connection
	Status int         // status in place of the real one
	Header http.Header // headers added, such as Retry-After or Location
	Body   string      // body in place of the real one
	Type   string      // content type in place of the real one
}

// faults holds what goes wrong, and counts the calls.
type faults struct {
	mu     sync.Mutex
	active []*Fault
	seen   map[string]int
	total  int64
}

// Fail makes calls go wrong from now on. Of several faults that match a call, the first added hits it.
func (s *Server) Fail(f Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active = append(s.faults.active, &f)
}

// Heal ends all faults.
func (s *Server) Heal() {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.active = nil
}

// Calls counts the calls to paths that match the pattern, with those that failed; see Fault.Path. "" counts all.
func (s *Server) Calls(pattern string) int {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	n := 0
	for p, c := range s.faults.seen {
		if matches(pattern, p) {
			n += c
		}
	}
	return n
}

func matches(pattern, p string) bool {
	hit, err := path.Match(pattern, p)
	return pattern == "" || err == nil && hit
}

// meet counts a call and returns the fault that hits it, if one does.
func (f *faults) meet(p string) (hit Fault, any bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[string]int{}
	}
	f.seen[p]++
	f.total++
	for i, a := range f.active {
		switch {
		case !matches(a.Path, p):
			continue
		case a.Skip > 0:
			a.Skip--
			continue
		case a.Times == 1:
			f.active = append(f.active[:i:i], f.active[i+1:]...)
		case a.Times > 1:
			a.Times--
		}
		return *a, true
	}
	return hit, false
}

func (f *faults) calls() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

// spoil applies the fault to an answer.
func (f Fault) spoil(a answer) answer {
	if f.Status != 0 {
		a.status = f.Status
	}
	if f.Body != "" {
		a.body = []byte(f.Body)
	}
	if f.Type != "" {
		a.kind = f.Type
	}
	if f.Header != nil {
		h := f.Header.Clone()
		for k, v := range a.header {
			if h[k] == nil {
				h[k] = v
			}
		}
		a.header = h
	}
	return a
}

// windows counts each project's calls within the running minute.
type windows struct {
	mu     sync.Mutex
	minute map[string]int64
	calls  map[string]int
}

// allow reports whether the project may make another call now; if not, the seconds until it may.
func (w *windows) allow(project string, limit int, now int64) (wait int64, allowed bool) {
	if limit == 0 {
		return 0, true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.minute == nil {
		w.minute, w.calls = map[string]int64{}, map[string]int{}
	}
	if m := now / 60_000; w.minute[project] != m {
		w.minute[project], w.calls[project] = m, 0
	}
	w.calls[project]++
	return 60 - now/1000%60, w.calls[project] <= limit
}

// limited is the answer above the rate limit. That of the hosted service names no time to wait.
func (s *Server) limited(wait int64) answer {
	a := refuse(http.StatusTooManyRequests, `{"message":"Rate limit exceeded"}`)
	if s.opt.RetryAfter {
		a.header = http.Header{"Retry-After": {strconv.FormatInt(wait, 10)}}
	}
	return a
}
