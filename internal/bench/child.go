package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"tilestream/internal/bench/messages"
)

// cost is what something has taken.
type cost struct {
	rows int
	took time.Duration
	cpu  time.Duration // of the process that is measured, user and system; the bench's own where that does the work; 0: not known
	rss  int64         // most bytes resident; 0: not known
	disk int64         // bytes in the warehouse; 0: not known

	server time.Duration // CPU of PostgreSQL; 0: not known
	allocs float64       // per row; 0: not known
}

func (c cost) rate() float64 { return float64(c.rows) / c.took.Seconds() }

// perMillion is the seconds of CPU that a million rows take.
func (c cost) perMillion() float64 { return c.cpu.Seconds() / float64(c.rows) * 1e6 }

// serverPerMillion is the same of PostgreSQL.
func (c cost) serverPerMillion() float64 { return c.server.Seconds() / float64(c.rows) * 1e6 }

// child runs a program of ours with -once, and watches it.
func (b *bench) child(ctx context.Context, program string, env map[string]string) (c cost, err error) {
	if c, _, err = watch(b.command(ctx, program, env, "-once")); err != nil {
		err = fmt.Errorf("%s -once: %w", program, err)
	}
	return c, err
}

// command is a program of ours with the environment of children, and env over it.
func (b *bench) command(ctx context.Context, program string, env map[string]string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(b.dir, program), args...)
	cmd.Dir = b.dir
	cmd.Env = []string{"HOME=" + b.dir, "PATH=" + os.Getenv("PATH")}
	for _, vars := range []map[string]string{b.env, env} {
		for name, value := range vars {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

// watch runs a command to its end, and returns what it has printed.
func watch(cmd *exec.Cmd) (c cost, printed string, err error) {
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return c, "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			c.rss = max(c.rss, messages.Resident(cmd.Process.Pid))
			continue
		case err = <-ended:
		}
		break
	}
	c.took = time.Since(began)
	if err != nil {
		return c, "", fmt.Errorf("%w\n%s%s", err, out.Bytes(), said.Bytes())
	}
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return c, out.String(), nil
}
