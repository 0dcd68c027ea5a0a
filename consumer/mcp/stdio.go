package mcp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"tilestream/consumer/inspect"
	"tilestream/consumer/load"
	"tilestream/consumer/sink"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// Command is mcp, for clients that start their servers themselves.
func Command() ops.Command {
	var cfg struct {
		load.Settings
		MCP   Config
		HTTP  ops.HTTP
		Token ops.Secret `env:"CONSOLE_TOKEN" help:"that of the running consumer, where it has one"`
	}
	return ops.Command{
		Name: "mcp", Summary: "answers agents by the Model Context Protocol on standard input and output; through the running consumer, where one answers at HTTP_ADDR", Config: &cfg,
		Run: func(ctx context.Context, o ops.Options) error {
			look := inspect.Settings{Group: cfg.Load.Group, Kafka: cfg.Kafka, Warehouse: cfg.Warehouse, DataDir: cfg.DataDir}.Config(schemas.Resources)
			s := New(cfg.MCP, look, cfg.Settings)
			s.running = &running{token: cfg.Token}
			if url, err := cfg.HTTP.URL(); err == nil { // off, and nobody is asked
				s.running.endpoint = url + "/mcp"
			}
			o.Log.Info("speaking MCP on standard input and output", "warehouse", s.place(), "consumer", s.running.endpoint)
			err := s.sdk.Run(context.WithValue(ctx, asking{}, ctx), &sdk.StdioTransport{})
			if ctx.Err() != nil {
				return nil // this is how it ends
			}
			return err
		},
	}
}

// running is the consumer that may be at work on this machine. It has the DuckDB file open, which nobody can read beside it, and with
// go run . it has Kafka inside; so it is asked in our place.
type running struct {
	endpoint string // "" for none
	token    ops.Secret
}

// finding is how long a consumer may take to say what it is.
const finding = 5 * time.Second

// ask passes a call on; nil where no consumer of the warehouse answers.
func (r *running) ask(ctx context.Context, warehouse string, call *sdk.CallToolParamsRaw) *sdk.CallToolResult {
	if r.endpoint == "" {
		return nil
	}
	client := sdk.NewClient(&sdk.Implementation{Name: "consumer mcp", Version: ops.Version()}, nil)
	transport := &sdk.StreamableClientTransport{Endpoint: r.endpoint, HTTPClient: r.client(), MaxRetries: -1, DisableStandaloneSSE: true}
	soon, cancel := context.WithTimeout(ctx, finding)
	defer cancel()
	session, err := client.Connect(soon, transport, nil)
	if err != nil {
		return nil
	}
	defer session.Close()
	if told := session.InitializeResult(); told == nil || !strings.Contains(told.Instructions, warehouse) {
		return nil
	}
	result, err := session.CallTool(ctx, &sdk.CallToolParams{Name: call.Name, Arguments: call.Arguments})
	if err != nil {
		return nil // it has ended in between, or lacks the tool
	}
	return result
}

// explain says what to do where a file is held by a process that could not be asked.
func (r *running) explain(err error) error {
	var held *sink.HeldError
	if !errors.As(err, &held) {
		return err
	}
	return fmt.Errorf("%w. Or ask through the consumer that runs: HTTP_ADDR has to be its address, CONSOLE_TOKEN its token, WAREHOUSE_URL or DATA_DIR the same file as its own (with an absolute path); or have the client connect to http://HTTP_ADDR/mcp itself", err)
}

// client follows no redirect: the token is for the consumer alone.
func (r *running) client() *http.Client {
	return &http.Client{Transport: bearer{r.token}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// bearer sends the token along.
type bearer struct{ token ops.Secret }

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token.Reveal())
	}
	return http.DefaultTransport.RoundTrip(r)
}
