// Package e2e runs Tilestream against real services. A test names the service it needs by an environment variable;
// where that is not set the test is skipped, unless TEST_REQUIRE=1 makes the absence a failure.
package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gofrs/flock"
)

// Service returns the address of a real service that the named variable holds. Without one the test is skipped, or
// fails where TEST_REQUIRE=1.
func Service(t testing.TB, variable string) string {
	t.Helper()
	v := os.Getenv(variable)
	if v == "" {
		if os.Getenv("TEST_REQUIRE") == "1" {
			t.Fatalf("%s is not set, and TEST_REQUIRE=1 wants every service", variable)
		}
		t.Skipf("%s is not set", variable)
	}
	return v
}

// Alone is Service for one that tests change: it is a test's until that ends, whatever the process that other tests are in.
func Alone(t testing.TB, variable string) string {
	t.Helper()
	v := Service(t, variable)
	lock := flock.New(filepath.Join(os.TempDir(), "tilestream-"+variable+".lock"))
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Unlock() })
	return v
}

// Emulator is Service for what stands in for a service and takes many minutes: TEST_REQUIRE does not ask for it.
func Emulator(t testing.TB, variable string) string {
	t.Helper()
	if os.Getenv(variable) == "" {
		t.Skipf("%s is not set", variable)
	}
	return os.Getenv(variable)
}
