package poll

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/internal/broker"
	"tilestream/internal/dlq"
	"tilestream/internal/ops"
	"tilestream/producer/tiledesk"
	"tilestream/schemas"
)

// A stream is one resource of one project.
type stream struct {
	*producer
	client   *tiledesk.Client
	resource schemas.Resource
	skipped  error // why the last poll read nothing; of run's goroutine
}

// skipFor is how long a forbidden or absent resource is left alone: somebody may give the credential its role meanwhile.
const skipFor = 10 * time.Minute

// failing is the time between polls that fail.
var failing = ops.Backoff{First: time.Second, Most: 5 * time.Minute}

// key names the stream in the checkpoint topic.
func (s *stream) key() string { return s.client.Project() + "/" + s.resource.Name }

// run polls from the cursor until ctx ends, a transaction fails, or with Config.Once the stream is up to date.
func (s *stream) run(ctx context.Context, from tiledesk.Cursor, tx *transactions) error {
	log := s.log.With("project", s.client.Project(), "resource", s.resource.Name)
	interval := s.cfg.Interval.of(s.resource)
	for failed := 0; ; {
		err := s.poll(ctx, &from, tx)
		s.count(ctx, err)
		var broken *transactionError
		wait := interval
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &broken):
			return nil // the lane reports it, once for all its streams
		case tiledesk.IsSkippable(err):
			if s.skipped == nil {
				log.Warn("resource skipped", "error", err, "next try in", skipFor)
				emit(s.events.Skipped, s, err)
			}
			s.skipped, wait = err, max(interval, skipFor)
		case err != nil && s.cfg.Once:
			emit(s.events.Failed, s, err)
			return err
		case err != nil:
			failed++
			wait = max(interval, failing.After(failed))
			log.Error("poll failed", "error", err, "next try in", wait.Round(time.Millisecond))
			emit(s.events.Failed, s, err)
		default:
			failed = 0
			s.skipped = nil
			if s.events.CaughtUp != nil {
				s.events.CaughtUp(s.client.Project(), s.resource.Name)
			}
		}
		if s.cfg.Once || ops.Sleep(ctx, wait) != nil {
			return nil
		}
	}
}

// count counts a poll that has ended.
func (s *stream) count(ctx context.Context, err error) {
	outcome := "caught_up"
	switch {
	case ctx.Err() != nil:
		return
	case tiledesk.IsSkippable(err):
		outcome = "skipped"
	case err != nil:
		outcome = "failed"
	default:
		caughtUp.WithLabelValues(s.client.Project(), s.resource.Name).SetToCurrentTime()
	}
	polls.WithLabelValues(outcome, s.client.Project(), s.resource.Name).Inc()
}

func emit(f func(project, resource string, why error), s *stream, why error) {
	if f != nil {
		f(s.client.Project(), s.resource.Name, why)
	}
}

// poll reads pages to the end of the stream, while those before are being committed; from moves along with what is. A page that
// brings nothing and leaves the checkpoint as it is costs no transaction.
func (s *stream) poll(ctx context.Context, from *tiledesk.Cursor, tx *transactions) (err error) {
	ctx, span := ops.Trace(ctx, ops.Inside, "poll", "project", s.client.Project(), "resource", s.resource.Name)
	defer func() { span.End(err) }()
	was, err := encodeCursor(*from)
	if err != nil {
		return err
	}
	ahead := ahead{stream: s, from: from}
	for page, err := range s.pages(ctx, *from) {
		if err == nil {
			was, err = ahead.publish(ctx, tx, page, was)
		}
		if err == nil {
			err = ahead.settle(aheadBytes)
		}
		if err != nil {
			return cmp.Or(ahead.settle(0), err) // why a transaction failed, before what came of it
		}
	}
	return ahead.settle(0)
}

// pages is Client.Pages, a page ahead: the next is fetched while one is looked at.
func (s *stream) pages(ctx context.Context, from tiledesk.Cursor) iter.Seq2[tiledesk.Page, error] {
	type result struct {
		page tiledesk.Page
		err  error
	}
	return func(yield func(tiledesk.Page, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		fetched, stopped := make(chan result), make(chan struct{})
		var fetching sync.WaitGroup
		fetching.Go(func() {
			defer close(fetched)
			for page, err := range s.client.Pages(ctx, s.resource, from) {
				select {
				case fetched <- result{page, err}:
				case <-stopped:
					return
				}
			}
		})
		defer fetching.Wait()
		defer cancel()
		defer close(stopped)
		for r := range fetched {
			if !yield(r.page, r.err) {
				return
			}
		}
	}
}

// aheadBytes is how much of a stream may be handed over before the oldest of it is committed: enough for a transaction's time, and
// what a stream takes of memory beside a page.
const aheadBytes = 2 << 20

// ahead is what a poll has handed over and does not know to be committed, oldest first.
type ahead struct {
	*stream
	from  *tiledesk.Cursor
	pages []underway
	bytes int
}

type underway struct {
	*publication // nil: it brought nothing
	span         ops.Span
	next         tiledesk.Cursor
	docs, total  int
	refused      int
}

// publish hands a page over, and returns the checkpoint behind it. was is the one before.
func (a *ahead) publish(ctx context.Context, tx *transactions, page tiledesk.Page, was []byte) (_ []byte, err error) {
	now, err := encodeCursor(page.Next)
	if err != nil {
		return nil, err
	}
	u := underway{next: page.Next, docs: len(page.Docs) + len(page.Deleted), total: page.Total}
	if u.docs > 0 || !bytes.Equal(was, now) {
		ctx, u.span = ops.Trace(ctx, ops.Publishes, "publish page", "resource", a.resource.Name, "documents", len(page.Docs), "deleted", len(page.Deleted))
		defer func() {
			if err != nil {
				u.span.End(err)
			}
		}()
		var records []*kgo.Record
		if records, u.refused, err = a.records(ctx, page, u.span); err != nil {
			return nil, err
		}
		if u.refused > 0 {
			if _, err := dlq.Ensure(ctx, tx.client, a.kafka, a.log, a.resource.Topic(a.kafka.Prefix)); err != nil {
				return nil, err
			}
		}
		if u.publication, err = tx.publish(ctx, records, a.key(), now, u.span); err != nil {
			return nil, err
		}
		a.bytes += u.bytes
	}
	a.pages = append(a.pages, u)
	return now, nil
}

// settle waits until no more than so many bytes are under way. The error is a *transactionError.
func (a *ahead) settle(most int) error {
	for len(a.pages) > 0 && (most == 0 || a.bytes > most || a.pages[0].publication == nil) {
		u := a.pages[0]
		a.pages = a.pages[1:]
		if u.publication != nil {
			err := <-u.done
			u.span.End(err)
			if err != nil {
				for _, u := range a.pages {
					u.span.End(err)
				}
				a.pages = nil // the lane starts again from the log
				return err
			}
			a.bytes -= u.bytes
			a.committed(u)
		}
		*a.from = u.next
	}
	return nil
}

// committed tells of a page that is in Kafka.
func (a *ahead) committed(u underway) {
	if u.refused > 0 {
		a.buried.Add(int64(u.refused))
		unpublished.WithLabelValues(a.client.Project(), a.resource.Name).Add(float64(u.refused))
		a.log.Error("documents, or values of them, cannot be published and were set aside; consumer dlq list shows them, and why",
			"project", a.client.Project(), "resource", a.resource.Name, "documents", u.refused, "topic", broker.DLQName(a.resource.Topic(a.kafka.Prefix)))
	}
	published.WithLabelValues(a.client.Project(), a.resource.Name).Add(float64(u.docs))
	if u.publication != nil {
		producedBytes.Add(float64(u.bytes))
	}
	if a.events.Published != nil {
		a.events.Published(a.client.Project(), a.resource.Name, u.docs, u.total)
	}
}

// records frames a page for the resource's topic: its documents, and a tombstone for what is deleted. A document that cannot
// become a record becomes a dead letter in the same transaction: it would hold up its stream for ever. The records share their headers:
// those of a trace name the page, which costs nothing for each record, and a few bytes of a compressed batch.
func (s *stream) records(ctx context.Context, page tiledesk.Page, of ops.Span) (records []*kgo.Record, refused int, _ error) {
	extracted := time.Now()
	headers := []kgo.RecordHeader{
		{Key: "project", Value: []byte(s.client.Project())},
		{Key: "source", Value: []byte(s.client.Dialect())},
	}
	if h := of.Header(); h != nil {
		headers = append(headers, kgo.RecordHeader{Key: ops.TraceHeader, Value: h})
	}
	topic := s.resource.Topic(s.kafka.Prefix)
	records = make([]*kgo.Record, 0, len(page.Docs)+len(page.Deleted)+1)
	made := make([]kgo.Record, len(page.Docs)) // one piece of memory for a page
	for i, doc := range page.Docs {
		r := &made[i]
		*r = kgo.Record{Topic: topic, Key: []byte(doc.ID), Headers: headers, Timestamp: extracted}
		value, discarded, err := s.encode(ctx, doc.JSON)
		if r.Value = value; err == nil {
			err = fits(r)
		}
		switch {
		case errors.Is(err, schemas.ErrDocument), errors.Is(err, schemas.ErrRefused), errors.Is(err, kerr.MessageTooLarge):
			r = dlq.Unpublished(topic, r.Key, doc.JSON, headers, extracted, err)
			refused++
		case err != nil:
			return nil, 0, fmt.Errorf("encode %s %s: %w", s.resource.Name, doc.ID, err)
		case len(discarded) > 0:
			records = append(records, dlq.Unpublished(topic, r.Key, discarded, headers, extracted, errDiscarded))
			refused++
		}
		records = append(records, r)
	}
	for _, id := range page.Deleted {
		records = append(records, &kgo.Record{Topic: topic, Key: []byte(id), Headers: headers, Timestamp: extracted})
	}
	return records, refused, nil
}

// errDiscarded is the reason in the letter of values without which a document was published.
var errDiscarded = errors.New("discarded by SCHEMA_CONTRACT (discard_value): the document was published without these values")

// encode waits for the registry, which is asked with the first document, and with one that its schema has no place for.
func (s *stream) encode(ctx context.Context, doc []byte) (frame, discarded []byte, err error) {
	final := func(err error) bool {
		var frozen *schemas.FrozenError
		return errors.Is(err, schemas.ErrDocument) || errors.Is(err, schemas.ErrRefused) || errors.As(err, &frozen) || broker.Final(err)
	}
	err = s.retry(final).Do(ctx, "register the schema of "+s.resource.Name, func() error {
		frame, discarded, err = s.codec.Encode(ctx, s.resource, doc)
		return err
	})
	return frame, discarded, err
}
