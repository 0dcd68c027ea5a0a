package load

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"tilestream/consumer/sink"
	"tilestream/internal/ops"
	"tilestream/schemas"
)

// LedgerError reports that the ledger and the partition do not fit each other: going on would skip records.
type LedgerError struct {
	sink.Partition
	Next       int64 // what the ledger says
	Start, End int64 // what the partition holds
	replay     bool
}

func (e *LedgerError) Error() string {
	what := fmt.Sprintf("ends at offset %d: the topic was deleted and created again, or has lost records", e.End)
	if e.Next < e.Start {
		what = fmt.Sprintf("starts at offset %d: retention has deleted records that were never loaded", e.Start)
	}
	return fmt.Sprintf("the warehouse's ledger of group %s wants offset %d of %s[%d] next, but the partition %s. Nothing was "+
		"skipped. %s", e.Group, e.Next, e.Topic, e.ID, what, advice(e.Topic, e.replay))
}

// RecreatedError reports that a topic is not the one that the ledger is of: offsets mean something else now.
type RecreatedError struct {
	Group, Topic string
	replay       bool
}

func (e *RecreatedError) Error() string {
	return fmt.Sprintf("topic %s was deleted and created again: the warehouse's ledger of group %s is of the earlier one. Nothing was loaded "+
		"from it, and nothing skipped. %s", e.Topic, e.Group, advice(e.Topic, e.replay))
}

// advice says what to do about a ledger that does not fit.
func advice(topic string, replay bool) string {
	if replay {
		return "Run the same replay again: it begins anew with what is there now"
	}
	return fmt.Sprintf("If what is there now is to be loaded, from its beginning, run: consumer accept -topic %s (with -dry-run it only shows what it "+
		"would do). Rows that are in the warehouse stay", topic)
}

// final tells errors that trying again does not cure.
func final(err error) bool {
	var (
		many     *TooManyError
		ledger   *LedgerError
		again    *RecreatedError
		rejected *sink.RejectedError
		usage    *ops.UsageError
	)
	return errors.As(err, &many) || errors.As(err, &ledger) || errors.As(err, &again) || errors.As(err, &rejected) || errors.As(err, &usage) || denied(err) || errors.Is(err, kerr.MessageTooLarge)
}

// denied tells errors of Kafka that only somebody with the right to give rights can cure.
func denied(err error) bool {
	for _, d := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.SaslAuthenticationFailed} {
		if errors.Is(err, d) {
			return true
		}
	}
	return false
}

// schemaOf is the schema id that a value names, if it is a frame.
func schemaOf(value []byte) (int, bool) {
	id, _, err := schemas.SplitFrame(value)
	return id, err == nil
}

// aboutSchema tells errors of the schema itself; any other failure to make a decoder is one of reaching the registry.
func aboutSchema(err error) bool {
	return errors.Is(err, schemas.ErrUnknownSchema) || errors.Is(err, schemas.ErrUnsupportedSchema)
}

// fetchError decides about an error that came instead of records: nil where the client goes on by itself.
func fetchError(topic string, partition int32, err error) error {
	var (
		loss    *kgo.ErrDataLoss
		session *kgo.ErrGroupSession
		code    *kerr.Error
	)
	switch {
	case denied(err):
		return fmt.Errorf("read %s: %w: give this user Read on the topic and on the group", topic, err)
	case errors.Is(err, kerr.UnknownTopicID):
		return fmt.Errorf("topic %s was deleted while it was read, and may have been created again. Start again: the ledger is then "+
			"compared with what is there: %w", topic, err)
	case errors.As(err, &loss):
		return fmt.Errorf("%s[%d]: the brokers have lost records (unclean leader election): they had been read up to offset %d, and the "+
			"partition now goes on from %d. Restart to compare with the ledger: %w", topic, partition, loss.ConsumedTo, loss.ResetTo, err)
	case errors.As(err, &session), topic == "", errors.As(err, &code) && code.Retriable:
		return nil
	}
	return fmt.Errorf("read %s[%d]: %w", topic, partition, err)
}
