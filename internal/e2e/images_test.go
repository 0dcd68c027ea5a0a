package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestImages holds the images to what is said of them: small, of no root, and with a list of exactly the modules that are linked into the program.
func TestImages(t *testing.T) {
	Service(t, "TEST_DOCKER")
	for _, c := range []struct {
		image, program, dockerfile, target, pkg, cgo string
		megabytes                                    int64
	}{
		{"tilestream-producer", "producer", "producer/Dockerfile", "", "./producer", "0", 45},
		{"tilestream-standin", "standin", "producer/Dockerfile", "standin", "./producer/tiledesk/tiledesktest/standin", "0", 30},
		{"tilestream-consumer", "consumer", "consumer/Dockerfile", "", "./consumer", "1", 450},
	} {
		t.Run(c.program, func(t *testing.T) {
			run := func(env string, name string, args ...string) []byte {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), name, args...)
				cmd.Dir = "../.."
				if env != "" {
					cmd.Env = append(cmd.Environ(), env)
				}
				var said bytes.Buffer
				cmd.Stderr = &said
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%s %v: %v\n%s", name, args, err, said.String())
				}
				return out
			}
			args := []string{"build", "-f", c.dockerfile, "-t", c.image}
			if c.target != "" {
				args = append(args, "--target", c.target)
			}
			run("", "docker", append(args, ".")...)

			var user string
			var size int64
			if _, err := fmt.Sscan(string(run("", "docker", "image", "inspect", "--format", "{{.Config.User}} {{.Size}}", c.image)), &user, &size); err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %d bytes, user %s", c.image, size, user)
			if user != "65532:65532" || size > c.megabytes<<20 {
				t.Errorf("user %s and %d bytes, want 65532:65532 and no more than %d MB", user, size, c.megabytes)
			}
			if got := string(run("", "docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", "--network", "none", c.image, "-version")); !strings.HasPrefix(got, c.program+" ") || !strings.Contains(got, "go1.") {
				t.Errorf("-version says %q", got)
			}

			id := strings.TrimSpace(string(run("", "docker", "create", c.image)))
			defer run("", "docker", "rm", "--volumes", id)
			bom := tar.NewReader(bytes.NewReader(run("", "docker", "cp", id+":/sbom.cdx.json", "-")))
			if _, err := bom.Next(); err != nil {
				t.Fatal(err)
			}
			var told struct {
				Format     string `json:"bomFormat"`
				Components []struct{ Name, Version string }
			}
			text, err := io.ReadAll(bom)
			if err == nil {
				err = json.Unmarshal(text, &told)
			}
			if err != nil || told.Format != "CycloneDX" {
				t.Fatalf("the list is of format %q: %v", told.Format, err)
			}
			var got []string
			for _, m := range told.Components {
				got = append(got, m.Name+" "+m.Version)
			}
			linked := run("CGO_ENABLED="+c.cgo, "go", "list", "-deps", "-f", "{{with .Module}}{{if .Version}}{{.Path}} {{.Version}}{{end}}{{end}}", c.pkg)
			want := slices.Compact(slices.Sorted(strings.SplitSeq(strings.TrimSpace(string(linked)), "\n")))
			slices.Sort(got)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("the list of modules differs from go list (-linked +listed):\n%s", d)
			}
		})
	}
}
