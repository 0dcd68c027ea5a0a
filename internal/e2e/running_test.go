package e2e

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// running is the whole program as a child.
type running struct {
	at   string // where it listens
	stop func() // asks it to end, and waits
}

// run starts the program. It ends with the test, at the latest.
func run(t *testing.T, bin string, env ...string) running {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin)
	cmd.Env = append(append(os.Environ(), "HTTP_ADDR=127.0.0.1:0", "LOG_FORMAT=json"), env...)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan string, 1)
	read := make(chan struct{})
	stop := sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-read
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("the program ended with %v", err)
		}
	})
	t.Cleanup(stop)
	go func() {
		defer close(read)
		defer close(listening)
		found := false
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if m := regexp.MustCompile(`"listening","url":"http://([^"]+)"`).FindStringSubmatch(lines.Text()); m != nil && !found {
				found = true
				listening <- m[1]
			}
		}
	}()
	at, ok := <-listening
	if !ok {
		t.Fatal("the program ended before it served")
	}
	return running{at, stop}
}

// loaded waits until at least so many records are published, and all that are published are loaded.
func (r running) loaded(t *testing.T, least float64) {
	t.Helper()
	for waited := time.Now(); ; time.Sleep(300 * time.Millisecond) {
		families := scrape(t, "http://"+r.at+"/metrics")
		published, loaded, lag := sum(families, "tilestream_published_records_total"), sum(families, "tilestream_loaded_rows_total"), sum(families, "tilestream_lag_records")
		if published >= least && loaded >= published && lag == 0 {
			return
		}
		if time.Since(waited) > 2*time.Minute {
			t.Fatalf("published %v, loaded %v, lag %v", published, loaded, lag)
		}
	}
}

// streaming is the program on its sample data, once all of that is loaded.
func streaming(t *testing.T) (at string) {
	t.Helper()
	return streamingIn(t, filepath.Join(t.TempDir(), "data"))
}

// streamingIn is streaming with its data in a directory, and with settings.
func streamingIn(t *testing.T, dir string, env ...string) (at string) {
	t.Helper()
	r := run(t, program(t), append(env, "DATA_DIR="+dir)...)
	r.loaded(t, 3000)
	return r.at
}
