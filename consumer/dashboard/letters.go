package dashboard

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tilestream/internal/broker"
	"tilestream/internal/dlq"
	"tilestream/schemas"
)

// What is shown of dead letters, and how long Kafka may take to tell.
const (
	lettersOfEach = 20  // topics, where all are shown
	lettersOfOne  = 500 // topic
	hexShown      = 4 << 10
	bytesShown    = 64 << 10
	reasonShown   = 200
	letterWait    = 20 * time.Second
)

// pile is what waits of a topic.
type pile struct {
	Name    string
	Waiting int
	Letters []dlq.Letter
}

func (c *Console) showLetters(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), letterWait)
	defer cancel()
	page := struct {
		Topic  string
		Any    bool
		Piles  []pile
		Writes bool
	}{Topic: r.URL.Query().Get("topic"), Writes: c.writes()}
	shown, resources := lettersOfEach, c.look.Resources
	if page.Topic != "" {
		res, ok := c.resource(page.Topic)
		if !ok {
			http.NotFound(w, r)
			return
		}
		shown, resources = lettersOfOne, []schemas.Resource{res}
	}
	for _, res := range resources {
		letters, waiting, err := dlq.Newest(ctx, c.look.Kafka, c.look.Kafka.ConsumerGroup(c.look.Group), res.Topic(c.look.Kafka.Prefix), shown)
		if err != nil {
			c.fail(w, r, fmt.Errorf("read the dead letters of %s: %w", res.Name, err))
			return
		}
		page.Any = page.Any || waiting > 0
		page.Piles = append(page.Piles, pile{res.Name, waiting, letters})
	}
	c.render(w, r, "dead-letters.html", "Dead letters", page)
}

func (c *Console) resource(name string) (schemas.Resource, bool) {
	i := slices.IndexFunc(c.look.Resources, func(res schemas.Resource) bool { return res.Name == name })
	if i < 0 {
		return schemas.Resource{}, false
	}
	return c.look.Resources[i], true
}

// opened is a letter with what it holds.
type opened struct {
	Name string
	dlq.Letter
	Box       string // the topic that it is in
	Size      int    // of what it holds, as it was read
	Hex, Text string
	TextCut   bool
	HexCut    bool
	Row       string
	Undecoded string
}

func (c *Console) showLetter(w http.ResponseWriter, r *http.Request) {
	res, ok := c.resource(r.PathValue("name"))
	partition, err := strconv.ParseInt(r.PathValue("partition"), 10, 32)
	offset, err2 := strconv.ParseInt(r.PathValue("offset"), 10, 64)
	if !ok || err != nil || err2 != nil || partition < 0 || offset < 0 {
		http.NotFound(w, r)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), letterWait)
	defer cancel()
	topic := res.Topic(c.look.Kafka.Prefix)
	letter, err := dlq.At(ctx, c.look.Kafka, topic, dlq.Place{Partition: int32(partition), Offset: offset})
	if err != nil {
		c.fail(w, r, err)
		return
	}
	if letter == nil {
		c.renderAs(w, r, http.StatusNotFound, "error.html", "No such letter", "There is no dead letter at that place, or it is gone: topics forget after a time.")
		return
	}
	page := opened{Name: res.Name, Letter: *letter, Box: broker.DLQName(topic)}
	if err := page.open(); err != nil {
		page.Undecoded = err.Error()
	} else if !letter.Unpublished() {
		page.Row, page.Undecoded = c.row(ctx, letter.Value)
	}
	c.render(w, r, "dead-letter.html", "Dead letter", page)
}

// open shows the bytes, as many as people look at.
func (o *opened) open() error {
	held, err := o.Beginning(bytesShown + 1)
	if err != nil {
		return err
	}
	o.Size = len(o.Value)
	o.TextCut, o.HexCut = len(held) > bytesShown, len(held) > hexShown
	o.Hex = hex.Dump(held[:min(hexShown, len(held))])
	held = held[:min(bytesShown, len(held))]
	for cut := 0; o.TextCut && cut < utf8.UTFMax && !utf8.Valid(held); cut++ {
		held = held[:len(held)-1]
	}
	if utf8.Valid(held) {
		o.Text = plain(indented(held))
	}
	return nil
}

// row is a record as JSON, or why it is none.
func (c *Console) row(ctx context.Context, frame []byte) (row, undecoded string) {
	registry, err := c.look.Kafka.NewRegistry()
	if err != nil {
		return "", err.Error()
	}
	_, decoded, err := schemas.NewCodec(registry, c.look.Kafka.Prefix).JSON(ctx, frame)
	if err != nil {
		return "", err.Error()
	}
	if len(decoded) > bytesShown {
		return "", fmt.Sprintf("it decodes, to %s bytes, which are too many for a page: consumer dlq show prints them", number(len(decoded)))
	}
	return plain(indented(decoded)), ""
}

func indented(b []byte) string {
	var out bytes.Buffer
	if json.Indent(&out, b, "", "  ") != nil || out.Len() > 4*bytesShown { // what is nested deeply grows
		return string(b)
	}
	return out.String()
}

// plain has no characters that move others or cannot be seen.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// brief is text from outside for a cell of a table.
func brief(v any) string {
	s, ok := v.([]byte)
	if !ok {
		s = fmt.Append(nil, v)
	}
	out := []rune(plain(string(s)))
	if len(out) > reasonShown {
		out = append(out[:reasonShown:reasonShown], '…')
	}
	return string(out)
}
