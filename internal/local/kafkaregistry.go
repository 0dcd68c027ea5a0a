package local

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// registry is srfake with a memory: requests that changed it are journaled before they are answered, and played again at
// the start. srfake gives out ids in the order of the requests, so that ids and versions come back as they were; the
// journal holds the answers too, and a different one is an error.
type registry struct {
	inner   http.Handler
	journal *os.File
	mu      sync.Mutex      // changes happen one at a time, in the order of the journal
	known   map[string]bool // registrations in the journal since the last change of another kind
}

// change is a line of the journal.
type change struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Body   string `json:"body,omitempty"`
	Answer string `json:"answer"`
}

func (c change) isRegistration() bool { return c.Method == http.MethodPost }

// openRegistry plays the journal, which need not exist.
func openRegistry(path string) (_ *registry, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("schema registry: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("schema registry: %s: %w", path, err), f.Close())
		}
	}()
	r := &registry{inner: srfake.NewRegistry().Handler(), journal: f, known: map[string]bool{}}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	// What follows the last newline was being written when the process was killed: nobody has had an answer to it.
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	for line := range bytes.Lines(text) {
		var c change
		if err := json.Unmarshal(line, &c); err != nil {
			return nil, err
		}
		if _, got, err := r.apply(c); err != nil {
			return nil, err
		} else if got != c.Answer {
			return nil, fmt.Errorf("%s %s was answered with %s, now with %s", c.Method, c.Path, c.Answer, got)
		}
		r.remember(c)
	}
	if err := f.Truncate(int64(len(text))); err != nil {
		return nil, err
	}
	_, err = f.Seek(int64(len(text)), io.SeekStart)
	return r, err
}

func (r *registry) Close() error { return r.journal.Close() }

func (r *registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !changes(req) {
		r.inner.ServeHTTP(w, req)
		return
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, 16<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := change{Method: req.Method, Path: req.URL.RequestURI(), Body: string(body)}
	status, answer, err := r.apply(c)
	if c.Answer = answer; err == nil && status < 300 && !r.known[c.key()] {
		err = r.write(c)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, answer)
}

// changes tells requests that change the registry from those that only ask.
func changes(req *http.Request) bool {
	switch req.Method {
	case http.MethodPut, http.MethodDelete:
		return true
	case http.MethodPost:
		return strings.HasSuffix(req.URL.Path, "/versions") && !strings.Contains(req.URL.Path, "/compatibility/")
	}
	return false
}

func (r *registry) apply(c change) (status int, answer string, err error) {
	req, err := http.NewRequest(c.Method, c.Path, strings.NewReader(c.Body))
	if err != nil {
		return 0, "", err
	}
	a := &reply{header: http.Header{}, status: http.StatusOK}
	r.inner.ServeHTTP(a, req)
	return a.status, a.body.String(), nil
}

func (r *registry) write(c change) error {
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, err := r.journal.Write(append(line, '\n')); err != nil {
		return err
	}
	if err := r.journal.Sync(); err != nil {
		return err
	}
	r.remember(c)
	return nil
}

func (r *registry) remember(c change) {
	if !c.isRegistration() {
		clear(r.known)
		return
	}
	r.known[c.key()] = true
}

func (c change) key() string { return c.Method + " " + c.Path + "\n" + c.Body }

// reply keeps an answer until the journal has it.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *reply) Header() http.Header         { return a.header }
func (a *reply) WriteHeader(status int)      { a.status = status }
func (a *reply) Write(b []byte) (int, error) { return a.body.Write(b) }
