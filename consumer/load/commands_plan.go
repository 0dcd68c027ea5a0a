package load

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// tablePlan is what becomes of a table with the newest schema of its topic, or with one that is to be.
type tablePlan struct {
	Table    string        `json:"table"`
	SchemaID int           `json:"schema_id,omitempty"` // 0: it is not in the registry
	File     string        `json:"schema,omitempty"`    // that it is in
	Changes  []sink.Change `json:"changes"`
}

func planTables() ops.Command {
	var cfg Settings
	var topic, file string
	return ops.Command{
		Name: "plan", Summary: "shows what the next load changes about each table, and the statements; makes no change to a table", Config: &cfg,
		JSON:     "a JSON object for each table",
		Values:   topics,
		Examples: "-topic messages\n-topic messages -schema messages.avsc  # a schema that is to be",
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&topic, "topic", "", "this `TOPIC` or resource only")
			fs.StringVar(&file, "schema", "", "an Avro schema in a `FILE`, in place of the newest one in the registry; with -topic")
		},
		Run: func(ctx context.Context, o ops.Options) (err error) {
			resources, err := schemas.ByName()
			if topic != "" {
				if resources, err = schemas.ByName(resourceOf(topic, cfg.Kafka)); err != nil {
					return ops.Usagef("-topic %s: %w", topic, err)
				}
			}
			schemaOf, err := schemaFrom(cfg, file)
			if err != nil {
				return err
			}
			if file != "" && topic == "" {
				return ops.Usagef("-schema takes -topic too: the topic, or the resource, of the schema")
			}
			to, err := cfg.Open(ctx, o.Log)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, to.Close()) }()
			for _, r := range resources {
				id, decoder, err := schemaOf(ctx, r)
				if err == nil {
					err = fits(decoder.Schema())
				}
				if err != nil {
					return fmt.Errorf("the schema of %s: %w", cmp.Or(file, r.Subject(cfg.Kafka.Prefix)), err)
				}
				p := tablePlan{Table: r.Name, SchemaID: id, File: file}
				if p.Changes, err = to.Plan(ctx, newLayout(r.Name, id, decoder).table); err != nil {
					return err
				}
				if err := p.print(o); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// schemaFrom returns what finds the schema of a resource: in the file, in the registry, or, before the producer has been there, in this
// version of Tilestream.
func schemaFrom(cfg Settings, file string) (func(context.Context, schemas.Resource) (int, *schemas.Decoder, error), error) {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, ops.Usagef("-schema: %w", err)
		}
		return func(context.Context, schemas.Resource) (int, *schemas.Decoder, error) {
			d, err := schemas.NewDecoder(string(text))
			return 0, d, err
		}, nil
	}
	registry, err := cfg.Kafka.NewRegistry()
	if err != nil {
		return nil, err
	}
	codec := schemas.NewCodec(registry, cfg.Kafka.Prefix)
	return func(ctx context.Context, r schemas.Resource) (int, *schemas.Decoder, error) {
		id, d, err := codec.Newest(ctx, r)
		if err == nil && id == 0 {
			d, err = schemas.NewDecoder(r.Avro())
		}
		return id, d, err
	}, nil
}

func (p tablePlan) print(o ops.Options) error {
	if o.JSON {
		if p.Changes == nil {
			p.Changes = []sink.Change{}
		}
		return o.Encode(p)
	}
	from := cmp.Or(p.File, "as this version has it, since the registry has no schema")
	if p.SchemaID > 0 {
		from = fmt.Sprint("schema ", p.SchemaID)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%s (%s): ", p.Table, from)
	if len(p.Changes) == 0 {
		text.WriteString("nothing to do\n")
	} else {
		text.WriteString("\n")
	}
	for _, c := range p.Changes {
		fmt.Fprintf(&text, "  %s\n", cmp.Or(c.What, "what is needed beside it"))
		for _, sql := range c.SQL {
			fmt.Fprintf(&text, "      %s;\n", strings.ReplaceAll(sql, "\n", "\n      "))
		}
	}
	_, err := io.WriteString(o.Stdout, text.String())
	return err
}
