package e2e

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// A gate stands between a child process and everything it talks to. Proxies, one per protocol, tell it each step before it
// is forwarded; at the step that a trap names, the trap decides what becomes of the request, its answer and the child.
type gate struct {
	mu    sync.Mutex
	armed []*trap
	seen  map[string]int // steps since arm
	child *os.Process
}

// trap waits for the nth time of a step, and goes off once.
type trap struct {
	step   string
	nth    int
	before func() bool // in place of forwarding the request; false drops the connection. nil: forward
	after  func() bool // before the answer is forwarded; false drops the connection. nil: forward
	sprung bool
}

// action is what happens at a step.
type action string

const (
	killBefore action = "killed before it" // the request never leaves
	killAfter  action = "killed after it"  // the server has done it; the child never learns
	killLater  action = "killed soon after it"
	dropReply  action = "reply lost" // the server has done it; the child lives and sees a broken connection
)

// trap makes a trap of an action.
func (g *gate) trap(step string, nth int, do action) *trap {
	t := &trap{step: step, nth: nth}
	switch do {
	case killBefore:
		t.before = func() bool { g.kill(); return false }
	case killAfter:
		t.after = func() bool { g.kill(); return false }
	case killLater:
		delay := time.Duration(rand.Int64N(int64(40 * time.Millisecond)))
		t.after = func() bool {
			g.mu.Lock()
			victim := g.child // the next one must not die for it
			g.mu.Unlock()
			time.AfterFunc(delay, func() { _ = victim.Kill() })
			return true
		}
	case dropReply:
		t.after = func() bool { return false }
	}
	return t
}

// arm sets traps in place of those there were, and counts steps anew.
func (g *gate) arm(traps ...*trap) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.armed, g.seen = traps, map[string]int{}
}

// asked counts a step that a proxy is about to forward, and returns the trap that it springs.
func (g *gate) asked(step string) *trap {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen == nil {
		g.seen = map[string]int{}
	}
	g.seen[step]++
	for _, t := range g.armed {
		if !t.sprung && t.step == step && t.nth <= g.seen[step] {
			t.sprung = true
			return t
		}
	}
	return nil
}

// sprung reports whether a trap has gone off.
func (g *gate) sprung(t *trap) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return t.sprung
}

func (g *gate) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.child != nil {
		_ = g.child.Kill() // no error that matters: it may have ended
	}
}

// forward reports whether the request may go on.
func (t *trap) forward() bool { return t == nil || t.before == nil || t.before() }

// answer reports whether the answer may go on.
func (t *trap) answer() bool { return t == nil || t.after == nil || t.after() }

// tcpProxy listens on a loopback port and has talk carry each connection to the server, until the test ends. Both ends of a
// connection are closed when talk returns.
type tcpProxy struct {
	addr   string
	server string
	mu     sync.Mutex
	conns  []net.Conn
	refuse bool // close what comes in
	closed bool
}

func newTCPProxy(t testing.TB, server string, talk func(client, server net.Conn)) *tcpProxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tcpProxy{addr: ln.Addr().String(), server: server}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			work.Go(func() { p.carry(client, talk) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.cut()
		work.Wait()
	})
	return p
}

func (p *tcpProxy) carry(client net.Conn, talk func(client, server net.Conn)) {
	defer client.Close()
	p.mu.Lock()
	refuse := p.refuse || p.closed
	p.mu.Unlock()
	if refuse {
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns = append(p.conns, client, server)
	if p.closed {
		_, _ = client.Close(), server.Close()
	}
	p.mu.Unlock()
	talk(client, server)
	p.mu.Lock()
	p.conns = slices.DeleteFunc(p.conns, func(c net.Conn) bool { return c == client || c == server })
	p.mu.Unlock()
}

// cut closes all connections.
func (p *tcpProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
}

// away refuses connections, and cuts those there are, until it is called with false.
func (p *tcpProxy) away(yes bool) {
	p.mu.Lock()
	p.refuse = yes
	p.mu.Unlock()
	if yes {
		p.cut()
	}
}

// bothWays runs the two directions of a connection; the end of one ends both.
func bothWays(client, server net.Conn, requests, answers func() error) {
	var work sync.WaitGroup
	for _, direction := range []func() error{requests, answers} {
		work.Go(func() {
			defer client.Close()
			defer server.Close()
			_ = direction() // the end of a connection is no failure of the test
		})
	}
	work.Wait()
}

var errDropped = errors.New("dropped by a trap")

func write(to io.Writer, parts ...[]byte) error {
	b := slices.Concat(parts...)
	_, err := to.Write(b)
	return err
}
