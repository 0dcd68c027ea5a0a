package ops

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size, read from text such as 32MiB, 1GB, 1.5GiB or 1048576. Units with an i are powers of 1024, units
// without are powers of 1000 (IEC 80000-13); case does not matter, and the B may be left out.
type Bytes int64

var units = []struct {
	name string
	size float64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
}

// UnmarshalText reads a size that is not negative. No text is no size: go-envconfig reads a variable that is not set like this.
func (b *Bytes) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	s := strings.TrimSpace(string(text))
	digits := strings.TrimRight(s, "kKmMgGtTiIbB ")
	n, err := strconv.ParseFloat(digits, 64)
	size, ok := unit(strings.TrimSpace(s[len(digits):]))
	if err != nil || !ok || n < 0 || math.IsNaN(n) || n*size >= math.MaxInt64 {
		return fmt.Errorf("%q is not a size such as 32MiB, 1GB or 1048576", s)
	}
	*b = Bytes(n * size)
	return nil
}

func unit(name string) (float64, bool) {
	if name == "" || strings.EqualFold(name, "B") {
		return 1, true
	}
	for _, u := range units {
		if strings.EqualFold(name, u.name) || strings.EqualFold(name, strings.TrimSuffix(u.name, "B")) {
			return u.size, true
		}
	}
	return 0, false
}

// String prints the size in the largest unit that divides it, so that reading it back gives the same size.
func (b Bytes) String() string {
	for _, u := range units {
		if size := Bytes(u.size); b != 0 && b%size == 0 {
			return strconv.FormatInt(int64(b/size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// MarshalText prints the size as String does.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
