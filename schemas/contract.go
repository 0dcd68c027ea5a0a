package schemas

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Contract says what becomes of a document that is not as its schema says.
type Contract string

// Contracts, as dlt users know them.
const (
	Keep         Contract = ""              // the value goes to _extra
	Evolve       Contract = "evolve"        // the schema grows
	Freeze       Contract = "freeze"        // the resource stops: see FrozenError
	DiscardValue Contract = "discard_value" // the document comes without the value
	DiscardRow   Contract = "discard_row"   // the document does not come: see ErrRefused
)

// Rules are what holds for one resource.
type Rules struct {
	Tables       Contract // a resource of which the registry has no schema
	Columns      Contract // a key that no field holds
	Types        Contract // a value that its field does not hold
	MaxNewFields int      // fields that Columns and Types may add to those of the .avsc; the rest goes to _extra
}

// ErrRefused reports a document that a contract does not let through.
var ErrRefused = errors.New("refused by SCHEMA_CONTRACT")

// FrozenError reports what a frozen schema has no place for. Trying again is of no use.
type FrozenError struct{ Resource, What string }

func (e *FrozenError) Error() string {
	return fmt.Sprintf("the schema of %s is frozen by SCHEMA_CONTRACT: %s; let it evolve, or choose discard_value or discard_row: both keep what is discarded as dead letters", e.Resource, e.What)
}

// Contracts is the setting: for all resources or one, for tables, columns and types or one of them. The most particular one counts;
// what is not named evolves.
type Contracts map[string]Contract // by RESOURCE.ENTITY, RESOURCE, ENTITY or ""

var entities = []string{"tables", "columns", "types"}

// UnmarshalText reads evolve, types=freeze, messages=discard_row, messages.columns=discard_value, or several of them with commas.
func (c *Contracts) UnmarshalText(text []byte) error {
	out := Contracts{}
	for item := range strings.SplitSeq(string(text), ",") {
		of, mode, named := strings.Cut(strings.TrimSpace(item), "=")
		if !named {
			of, mode = "", of
		}
		if mode == "" && !named {
			continue
		}
		if !slices.Contains([]Contract{Evolve, Freeze, DiscardValue, DiscardRow}, Contract(mode)) {
			return fmt.Errorf("%q is no contract", mode)
		}
		if resource, entity, both := strings.Cut(of, "."); of != "" && !slices.Contains(entities, of) {
			if _, err := ByName(resource); err != nil {
				return err
			}
			if both && !slices.Contains(entities, entity) {
				return fmt.Errorf("%q is none of %s", entity, strings.Join(entities, ", "))
			}
		}
		if _, twice := out[of]; twice {
			return fmt.Errorf("%q is there twice", of)
		}
		out[of] = Contract(mode)
	}
	*c = out
	return nil
}

// Takes says what the setting looks like.
func (*Contracts) Takes() string {
	return "evolve, freeze, discard_value or discard_row, for all or as types=, columns=, tables=, messages= or messages.types=, with commas between them"
}

// Of returns the rules of a resource.
func (c Contracts) Of(resource string, maxNewFields int) Rules {
	of := func(entity string) Contract {
		for _, name := range []string{resource + "." + entity, resource, entity, ""} {
			if contract, ok := c[name]; ok {
				return contract
			}
		}
		return Evolve
	}
	return Rules{Tables: of("tables"), Columns: of("columns"), Types: of("types"), MaxNewFields: maxNewFields}
}
