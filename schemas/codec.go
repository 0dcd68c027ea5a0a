package schemas

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/sr"
)

// frameHeader is the length of what stands before the Avro body: a zero byte and the schema id, big-endian. Confluent,
// "Wire format".
const frameHeader = 5

var (
	// ErrDocument reports what cannot become a record: it is not a JSON object, or it has no text under _id.
	ErrDocument = errors.New("unusable document")
	// ErrUnknownSchema reports an id that the registry does not know. Asking again is of use only if the id comes from
	// another registry, or if the registry has lost data that is being restored.
	ErrUnknownSchema = errors.New("the registry does not know this schema id")
	// ErrUnsupportedSchema reports a schema that cannot become columns: not Avro, not a record, or recursive.
	ErrUnsupportedSchema = errors.New("schema cannot be read as a table")
)

// Codec turns documents into frames and gives the decoders for them. It is safe for concurrent use.
type Codec struct {
	reg      *sr.Client
	prefix   string
	subjects map[string]*subject // by resource name
	decoders sync.Map            // schema id -> *once[*Decoder]
}

// NewCodec returns a codec for the resources. Subjects are those of Resource.Subject(topicPrefix). It does no I/O.
func NewCodec(reg *sr.Client, topicPrefix string) *Codec {
	c := &Codec{reg: reg, prefix: topicPrefix, subjects: map[string]*subject{}}
	for _, r := range Resources {
		own, err := parseRecord(r.Avro())
		if err != nil {
			panic(fmt.Sprintf("%s.avsc: %s", r.Name, err)) // a start-up table: TestResources compiles every row
		}
		c.subjects[r.Name] = &subject{Resource: r, name: r.Subject(topicPrefix), reg: reg, own: own, turn: make(chan struct{}, 1), refused: map[string]bool{}}
	}
	return c
}

// Evolve has Encode go by rules about what a schema does not know. Each change of a schema is told. It comes before any Encode.
func (c *Codec) Evolve(rules func(resource string) Rules, told func(Change)) {
	for name, s := range c.subjects {
		s.rules, s.told = rules(name), told
	}
}

// Encode returns doc, one JSON object as Tiledesk sent it, as a frame: 0, the schema id in four bytes, the Avro body.
// The resource's schema is registered when the first of its documents comes, and anew when one comes that it has no place for, if the
// rules say so. A new version has all that earlier ones have.
//
// Nothing of doc is lost: what has no field, or does not fit it, goes into the field _extra. What a rule discards is returned beside the
// frame, as a JSON object; nil where there is nothing. But a null counts as an absent key, a number in a field of text is its text,
// and bytes that are not UTF-8 become U+FFFD.
//
// ErrDocument and ErrRefused are about doc, *FrozenError about the resource. After any other error try again: the registry could not be
// reached or refused the schema.
func (c *Codec) Encode(ctx context.Context, r Resource, doc []byte) (frame, discarded []byte, err error) {
	s := c.subjects[r.Name]
	if s == nil {
		return nil, nil, fmt.Errorf("encode %s: it is not one of Resources", r.Name)
	}
	for range 100 { // a document has few keys that others race for
		var again bool
		if frame, discarded, again, err = s.encode(ctx, doc); err != nil {
			return nil, nil, fmt.Errorf("encode %s: %w", r.Name, err)
		} else if !again {
			return frame, discarded, nil
		}
	}
	return nil, nil, fmt.Errorf("encode %s: its schema does not come to rest", r.Name)
}

// encode writes the document, or has the schema grow first: again is true then.
func (s *subject) encode(ctx context.Context, doc []byte) (frame, discarded []byte, again bool, err error) {
	now, err := s.revision(ctx)
	if err != nil {
		return nil, nil, false, err
	}
	d := now.pool.Get().(*draft)
	defer now.pool.Put(d)
	if err := now.read(d, doc); err != nil {
		return nil, nil, false, fmt.Errorf("%w of %d bytes: %w", ErrDocument, len(doc), err)
	}
	if now.refuses {
		return nil, nil, false, fmt.Errorf("%w (%s): the registry has no schema of %s yet", ErrRefused, s.rules.Tables, s.Name)
	}
	v, err := s.judge(now, d)
	if err != nil {
		return nil, nil, false, err
	}
	if len(v.changes) > 0 {
		return nil, nil, true, s.grow(ctx, now, v.changes)
	}
	return now.write(d, now.header, v.dropped), d.object(nil, func(n int) bool { return slices.Contains(v.dropped, n) }), false, nil
}

// JSON returns the row of a frame as a JSON object, and the schema id, which is 0 where there is no frame. Errors are those of SplitFrame,
// Decoder and Decoder.JSON.
func (c *Codec) JSON(ctx context.Context, frame []byte) (schemaID int, row json.RawMessage, err error) {
	schemaID, body, err := SplitFrame(frame)
	if err != nil {
		return 0, nil, err
	}
	decoder, err := c.Decoder(ctx, schemaID)
	if err != nil {
		return schemaID, nil, err
	}
	row, err = decoder.JSON(body)
	return schemaID, row, err
}

// Decoder returns the decoder for bodies written with the schema of that id, which it asks the registry for the first
// time. ErrUnknownSchema and ErrUnsupportedSchema are about the record; after any other error try again.
func (c *Codec) Decoder(ctx context.Context, schemaID int) (*Decoder, error) {
	o, ok := c.decoders.Load(schemaID)
	if !ok {
		o, _ = c.decoders.LoadOrStore(schemaID, newOnce[*Decoder]())
	}
	d, err := o.(*once[*Decoder]).get(ctx, func() (*Decoder, error) { return c.compile(ctx, schemaID) })
	if err != nil {
		// Ids of broken frames can be anything: keep none that failed.
		c.decoders.CompareAndDelete(schemaID, o)
		return nil, fmt.Errorf("decoder of schema %d: %w", schemaID, err)
	}
	return d, nil
}

func (c *Codec) compile(ctx context.Context, schemaID int) (*Decoder, error) {
	schema, err := c.reg.SchemaByID(ctx, schemaID)
	var re *sr.ResponseError
	switch {
	case errors.As(err, &re) && re.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%w (it answers %q): check that SCHEMA_REGISTRY_URL is the registry that the producer uses", ErrUnknownSchema, re.Error())
	case err != nil:
		return nil, fmt.Errorf("ask the registry: %w", explain(err))
	case schema.Type != sr.TypeAvro:
		return nil, fmt.Errorf("%w: it is of type %s, want AVRO", ErrUnsupportedSchema, schema.Type)
	case len(schema.References) > 0:
		return nil, fmt.Errorf("%w: it refers to other schemas of the registry", ErrUnsupportedSchema)
	}
	return NewDecoder(schema.Schema)
}

// explain adds what to do about a registry's answer.
func explain(err error) error {
	var re *sr.ResponseError
	if !errors.As(err, &re) {
		return fmt.Errorf("%w: check SCHEMA_REGISTRY_URL and that the registry is up", err)
	}
	hint := "see the registry's log"
	switch re.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		hint = "check SCHEMA_REGISTRY_USERNAME and SCHEMA_REGISTRY_PASSWORD, and that they may register schemas"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		hint = "check SCHEMA_REGISTRY_URL: it has to be the root of a Confluent-compatible API"
	case http.StatusConflict:
		hint = "the subject holds a schema that this one is not compatible with: another program, or a newer version of this one, writes to the topic; use another KAFKA_TOPIC_PREFIX or upgrade"
	}
	at := "the registry"
	if u, err := url.Parse(re.URL); err == nil {
		at = u.Redacted()
	}
	return fmt.Errorf("%s %s answered %d: %w: %s", re.Method, at, re.StatusCode, err, hint)
}

// SplitFrame returns the schema id and the Avro body of a frame. The body is a part of value.
func SplitFrame(value []byte) (schemaID int, body []byte, err error) {
	if len(value) < frameHeader {
		return 0, nil, fmt.Errorf("not a registry frame: it has %d bytes, want at least %d", len(value), frameHeader)
	}
	if value[0] != 0 {
		return 0, nil, fmt.Errorf("not a registry frame: it starts with byte %#x, want 0", value[0])
	}
	return int(binary.BigEndian.Uint32(value[1:frameHeader])), value[frameHeader:], nil
}
