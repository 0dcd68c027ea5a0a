package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestFreshMachine does what the README says first on a machine that has Go and nothing else: no C compiler in use, a user without rights, no
// network but a proxy for what Go downloads, and, once that is there, a module cache that cannot be written and no network at all. The README's
// -race needs a C compiler, and all tests take too long here: those of one package stand for them.
func TestFreshMachine(t *testing.T) {
	Service(t, "TEST_DOCKER")
	docker := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "docker", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	after := func(args ...string) {
		t.Cleanup(func() {
			if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "docker", args...).CombinedOutput(); err != nil {
				t.Errorf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
			}
		})
	}
	name := unique("fresh")
	docker("network", "create", "--internal", name)
	after("network", "rm", name)
	docker("volume", "create", name)
	after("volume", "rm", name)
	proxy := startProxy(t, docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", name))

	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	docker("run", "--rm", "--volume", name+":/go/pkg/mod", "golang:1.26", "chown", "1000:1000", "/go/pkg/mod")
	machine := func(network, modules string, env []string, command string) string {
		args := []string{"run", "--rm", "--network", network, "--user", "1000:1000", "--volume", source + ":/src:ro", "--volume", name + ":/go/pkg/mod" + modules,
			"--workdir", "/src", "--env", "CGO_ENABLED=0", "--env", "HOME=/tmp", "--env", "GOFLAGS=-buildvcs=false"}
		for _, e := range env {
			args = append(args, "--env", e)
		}
		return docker(append(args, "golang:1.26", "sh", "-ec", command)...)
	}
	began := time.Now()
	if out, err := exec.CommandContext(t.Context(), "docker", "run", "--rm", "--network", name, "--volume", source+":/src:ro", "--workdir", "/src", "golang:1.26",
		"go", "mod", "download", "golang.org/x/time").CombinedOutput(); err == nil {
		t.Fatalf("the machine reaches the network without the proxy:\n%s", out)
	}
	machine(name, "", []string{"HTTPS_PROXY=" + proxy.url, "HTTP_PROXY=" + proxy.url}, "go list -deps -test . ./schemas >/dev/null")
	if proxy.tunnels.Load() == 0 {
		t.Error("nothing was downloaded through the proxy")
	}
	t.Logf("%d connections through the proxy, %s", proxy.tunnels.Load(), time.Since(began).Round(time.Second))
	said := machine("none", ":ro", []string{"GOPROXY=off"}, "export DATA_DIR=$HOME/data; go run . -once && go test ./schemas")
	t.Logf("%s\n%s", time.Since(began).Round(time.Second), said)
	for _, want := range []string{"messages", "file://", "ok  \ttilestream/schemas"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in what it said", want)
		}
	}
}

type forwardProxy struct {
	url     string
	tunnels atomic.Int64
}

// startProxy serves CONNECT, as a company's proxy does, at an address of this machine until the test ends.
func startProxy(t *testing.T, host string) *forwardProxy {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	p := &forwardProxy{url: "http://" + ln.Addr().String()}
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		to, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer to.Close()
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer from.Close()
		p.tunnels.Add(1)
		if _, err := fmt.Fprint(from, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			return
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(to, from)
			_ = to.Close() // ends the other direction
		}()
		_, _ = io.Copy(from, to)
		_ = from.Close()
		<-done
	})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-served
	})
	return p
}
