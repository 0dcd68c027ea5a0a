package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"tilestream/producer/tiledesk"
	"tilestream/producer/tiledesk/tiledesktest"
)

// sample is a Tiledesk stand-in that serves sample data on a loopback port.
type sample struct {
	url    string
	server *http.Server
	served chan error
}

// world is what makes the sample data the same in every run: it is a function of these two and of the time.
type world struct {
	Seed  uint64    `json:"seed"`
	Start time.Time `json:"start"`
}

// startSample serves the sample world of the data directory, a new one the first time.
func startSample(dataDir string) (*sample, error) {
	w, err := readWorld(filepath.Join(dataDir, "sample.json"))
	if err != nil {
		return nil, fmt.Errorf("sample data: %w", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("sample data: %w", err)
	}
	s := &sample{
		url:    "http://" + ln.Addr().String(),
		server: &http.Server{Handler: tiledesktest.NewSample(w.Seed, w.Start), ReadHeaderTimeout: 10 * time.Second},
		served: make(chan error, 1),
	}
	go func() { s.served <- s.server.Serve(ln) }()
	return s, nil
}

func readWorld(path string) (world, error) {
	var w world
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		w = world{Seed: 1, Start: time.Now().UTC().Truncate(time.Second)}
		if b, err = json.Marshal(w); err == nil {
			err = os.WriteFile(path, b, 0o644)
		}
		return w, err
	}
	if err == nil {
		err = json.Unmarshal(b, &w)
	}
	if err != nil {
		return w, fmt.Errorf("%s: %w: delete the data directory to begin anew", path, err)
	}
	return w, nil
}

// settings points the producer at the sample. A loopback server needs no budget.
func (s *sample) settings() tiledesk.Config {
	return tiledesk.Config{
		URL: s.url, ProjectIDs: []string{tiledesktest.SampleProjectID}, RequestsPerMinute: 1_000_000,
		Email: tiledesktest.SampleEmail, Password: tiledesktest.SamplePassword,
	}
}

// Close stops the server.
func (s *sample) Close() error {
	err := s.server.Close()
	<-s.served
	return err
}
