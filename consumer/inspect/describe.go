package inspect

import (
	"context"

	"tilestream/consumer/sink"
	"tilestream/schemas"
)

// Field is a column of a table, what it means, and the schema version that first had it: 0 for a column that every table has.
type Field struct {
	Name, Type, Meaning string
	Since               int
}

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
	versions, err := c.Versions(ctx, r.Subject(c.Kafka.Prefix))
	if err != nil {
		return nil, 0, err
	}
	if len(versions) == 0 {
		versions = []Version{{Schema: r.Avro()}}
	}
	newest, since, err := decoders(versions)
	if err != nil {
		return nil, 0, err
	}
	version = versions[0].Version
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
		for _, f := range newest.Schema().Fields() {
			doc, _ := f.Metadata.GetValue("doc")
			mean(f.Name, doc)
		}
		for name, first := range since {
			if at := v.Find(columns, name); at >= 0 {
				fields[at].Since = first
			}
		}
		for name, doc := range system {
			mean(name, doc)
		}
		return nil
	})
	return fields, version, err
}

// decoders reads the schemas of a topic, the newest first: its decoder, and which version first had each column.
func decoders(versions []Version) (newest *schemas.Decoder, since map[string]int, err error) {
	since = map[string]int{}
	for i, v := range versions {
		d, err := schemas.NewDecoder(v.Schema)
		if err != nil {
			return nil, nil, err
		}
		if i == 0 {
			newest = d
		}
		for _, f := range d.Schema().Fields() {
			since[f.Name] = v.Version // the oldest comes last
		}
	}
	return newest, since, nil
}
