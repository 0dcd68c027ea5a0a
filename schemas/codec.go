package schemas

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
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
	writers  map[string]*registered // by resource name
	decoders sync.Map               // schema id -> *once[*Decoder]
}

// registered is a writer and the header of its frames, known once its schema is in the registry.
type registered struct {
	*writer
	header *once[[]byte]
}

// NewCodec returns a codec for the resources. Subjects are those of Resource.Subject(topicPrefix). It does no I/O.
func NewCodec(reg *sr.Client, topicPrefix string) *Codec {
	c := &Codec{reg: reg, prefix: topicPrefix, writers: map[string]*registered{}}
	for _, r := range Resources {
		w, err := newWriter(r.Avro())
		if err != nil {
			panic(fmt.Sprintf("%s.avsc: %s", r.Name, err)) // a start-up table: TestResources compiles every row
		}
		c.writers[r.Name] = &registered{writer: w, header: newOnce[[]byte]()}
	}
	return c
}

// Encode returns doc, one JSON object as Tiledesk sent it, as a frame: 0, the schema id in four bytes, the Avro body.
// The resource's schema is registered when the first of its documents comes.
//
// Nothing of doc is lost: what has no field, or does not fit it, goes into the field _extra. But a null counts as an
// absent key, and bytes that are not UTF-8 become U+FFFD.
//
// ErrDocument is about doc. After any other error try again: the registry could not be reached or refused the schema.
func (c *Codec) Encode(ctx context.Context, r Resource, doc []byte) ([]byte, error) {
	w := c.writers[r.Name]
	if w == nil {
		return nil, fmt.Errorf("encode %s: it is not one of Resources", r.Name)
	}
	header, err := w.header.get(ctx, func() ([]byte, error) { return c.register(ctx, r) })
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", r.Name, err)
	}
	frame, err := w.encode(header, doc)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w of %d bytes: %w", r.Name, ErrDocument, len(doc), err)
	}
	return frame, nil
}

func (c *Codec) register(ctx context.Context, r Resource) ([]byte, error) {
	subject := r.Subject(c.prefix)
	id, err := c.reg.RegisterSchema(ctx, subject, sr.Schema{Schema: r.Avro(), Type: sr.TypeAvro}, -1, -1)
	if err != nil {
		return nil, fmt.Errorf("register schema %s: %w", subject, explain(err))
	}
	if id < 0 || id > math.MaxUint32 {
		return nil, fmt.Errorf("register schema %s: the registry gave it the id %d, and a frame has room for 0 to %d", subject, id, uint32(math.MaxUint32))
	}
	return binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), nil
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
	return newDecoder(schema.Schema)
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
