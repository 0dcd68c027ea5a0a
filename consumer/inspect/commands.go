package inspect

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"strings"
	"time"

	"tilestream/consumer/sink"
	"tilestream/internal/broker"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// Commands are status, loads, verify and doctor. Only the last one writes anything: a table of its own.
func Commands() []ops.Command {
	return []ops.Command{statusCommand(), loadsCommand(), verifyCommand(), doctorCommand()}
}

// Settings say what is looked at.
type Settings struct {
	Group     string `env:"KAFKA_GROUP" help:"consumer group, and the name of its ledger; unset: PREFIX-consumer"`
	Kafka     broker.Config
	Warehouse sink.Config
	DataDir   string `env:"DATA_DIR, default=tilestream-data" help:"where the embedded warehouse is kept"`
}

// Config is what a look takes of them.
func (s Settings) Config(resources []schemas.Resource) Config {
	address, _ := s.Warehouse.Address(s.DataDir)
	return Config{Group: s.Group, Kafka: s.Kafka, Warehouse: address, Dataset: s.Warehouse.Dataset, Hard: s.Warehouse.Deletes == sink.Hard, Modes: s.Warehouse.Modes, Reports: bool(s.Warehouse.Reports), Resources: resources}
}

// These end a command with exit code 1, once it has said what is wrong.
var (
	errDamaged = errors.New("the warehouse is not what the topics say: see what is wrong above")
	errTrouble = errors.New("something is wrong: see above what, and what to do")
)

func verifyCommand() ops.Command {
	var cfg struct {
		Settings
		MemoryLimit ops.Bytes `env:"MEMORY_LIMIT" help:"what keys may take, and DuckDB's own 384MiB where that is the warehouse; past it a topic is read several times"`
	}
	var topic string
	return ops.Command{
		Name: "verify", Summary: "proves that what was committed is in the warehouse once, or says where it is not; changes nothing", Config: &cfg,
		JSON:     "the report as one JSON object",
		Flags:    func(fs *flag.FlagSet) { fs.StringVar(&topic, "topic", "", "this `TOPIC` or resource only") },
		Values:   map[string][]string{"topic": schemas.Names()},
		Examples: "-topic messages\n-json  # one object, for programs: docs/commands.md",
		Run: func(ctx context.Context, o ops.Options) error {
			resources, err := resourcesOf(cfg.Kafka, topic)
			if err != nil {
				return err
			}
			look := cfg.Config(resources)
			scheme, _, _ := strings.Cut(look.Warehouse, ":")
			own := sink.Memory(scheme)
			if look.Memory = cmp.Or(int64(cfg.MemoryLimit), own+256<<20) - own; look.Memory <= 0 {
				return ops.Usagef("MEMORY_LIMIT=%s: %s works inside this process and takes %s of it: set it higher", cfg.MemoryLimit, scheme, ops.Bytes(own))
			}
			ops.LimitMemory(look.Memory)
			report, err := Verify(ctx, look)
			if err != nil {
				return err
			}
			if o.JSON {
				err = o.Encode(report)
			} else {
				err = report.print(o.Stdout)
			}
			if err == nil && !report.OK {
				err = errDamaged
			}
			return err
		},
	}
}

func statusCommand() ops.Command {
	var cfg Settings
	return ops.Command{
		Name: "status", Summary: "shows how far loading has come, what waits, and what is wrong; changes nothing", Config: &cfg,
		JSON: "the same as one JSON object",
		Run: func(ctx context.Context, o ops.Options) error {
			status, err := Look(ctx, cfg.Config(schemas.Resources), time.Now())
			if err != nil {
				return err
			}
			if o.JSON {
				err = o.Encode(status)
			} else {
				err = status.print(o.Stdout)
			}
			if err == nil && !status.OK {
				err = errTrouble
			}
			return err
		},
	}
}

// resourcesOf is the resource that is named, by itself or by its topic; without a name, every one.
func resourcesOf(kafka broker.Config, name string) ([]schemas.Resource, error) {
	if name == "" {
		return schemas.Resources, nil
	}
	rs, err := schemas.ByName(strings.TrimPrefix(name, kafka.Prefix+"."))
	if err != nil {
		return nil, ops.Usagef("-topic %s: %w", name, err)
	}
	return rs, nil
}
