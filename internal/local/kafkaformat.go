package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"tilestream/internal/ops"
)

// kafkaFormat is the format of the embedded Kafka's directory that this program writes, and the newest that it reads: the files of
// kfake and the registry's journal. What an upgrade of kfake does to them, its golden tells.
const kafkaFormat = 1

// checkFormat refuses a directory of a format that this program does not know. One that names none is new, or was made before there were
// formats: it is given the first.
func checkFormat(dir string) error {
	path := filepath.Join(dir, "format")
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	said := strings.TrimSpace(string(text))
	if said == "" { // or killed before it was written
		return os.WriteFile(path, []byte("1\n"), 0o644)
	}
	found, err := strconv.Atoi(said)
	if err != nil {
		return fmt.Errorf("%s is damaged: %w: what is kept in %s can be deleted to start anew", path, err, dir)
	}
	return ops.CheckFormat(dir, found, kafkaFormat, "delete it, or set DATA_DIR to another directory, to start anew")
}
