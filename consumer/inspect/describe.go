package inspect

import (
	"context"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// Field is a column of a table, and what it means.
type Field struct{ Name, Type, Meaning string }

// system says what the columns mean that every table has.
var system = map[string]string{
	projectColumn:       "Tiledesk project that the record is of.",
	extractedColumn:     "When the record was read from Tiledesk.",
	"_loaded_at":        "When the row was loaded.",
	"_load_id":          "The load that wrote the row: load_id in _tilestream_loads.",
	partitionColumn:     "Partition of the topic that the row's record stands in.",
	offsetColumn:        "Offset of the record in its partition.",
	schemaColumn:        "Id, in the registry, of the schema that the record was written with.",
	deletedColumn:       "When the record was seen to be deleted in Tiledesk; null while it is there.",
	deletedOffsetColumn: "Offset of the record that said so.",
	validFromColumn:     "Since when this version of the row holds.",
	validToColumn:       "Until when it held; null for the version that holds now.",
}

// Describe returns the columns of a resource's table with what they mean, by the newest schema of its topic.
// There are none where there is no table yet. The version is that of the schema; 0 where it is the one that this program brings.
func (c Config) Describe(ctx context.Context, r schemas.Resource) (fields []Field, version int, err error) {
	schema := r.Avro()
	versions, err := c.Versions(ctx, r.Subject(c.Kafka.Prefix))
	if err != nil {
		return nil, 0, err
	}
	if len(versions) > 0 {
		schema, version = versions[0].Schema, versions[0].Version
	}
	decoder, err := schemas.NewDecoder(schema)
	if err != nil {
		return nil, 0, err
	}
	err = c.View(ctx, func(v *sink.View) error {
		columns, err := v.Columns(ctx, TableOf(r))
		if err != nil {
			return err
		}
		for _, col := range columns {
			fields = append(fields, Field{Name: col.Name, Type: col.Type()})
		}
		mean := func(name, meaning string) {
			if at := v.Find(columns, name); at >= 0 {
				fields[at].Meaning = meaning
			}
		}
		for _, f := range decoder.Schema().Fields() {
			doc, _ := f.Metadata.GetValue("doc")
			mean(f.Name, doc)
		}
		for name, doc := range system {
			mean(name, doc)
		}
		return nil
	})
	return fields, version, err
}
