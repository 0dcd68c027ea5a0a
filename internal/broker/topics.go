package broker

import (
	"strconv"
	"time"
)

// Topic is a topic as it should be.
type Topic struct {
	Name        string
	Partitions  int32
	Replication int16 // of a topic that has to be created; 0: the brokers' default
	Configs     map[string]string
	essential   bool // what depends on the settings would lose data without them: Ensure refuses to go on
}

// MaxMessageBytes is the largest batch that topics take: a Tiledesk message may carry long attributes, and a page of
// documents travels as one batch per partition.
const MaxMessageBytes = 8 << 20

// keep is how long every version of a document stays in its topic, to be read again.
const keep = 30 * 24 * time.Hour

// checkpointPartitions is how many lanes producers can share out (DESIGN.md, G1). It must never change for a topic that
// exists: projects are partitioned by it.
const checkpointPartitions = 16

// DataTopic describes the topic of a resource, by its full name. Every version of a document stays for 30 days, the
// newest one for ever: the topic can always rebuild the table, in bounded space. Tombstones stay for 30 days as well, so
// that a consumer may be away for that long.
func (c Config) DataTopic(name string) Topic {
	return Topic{Name: name, Partitions: c.Partitions, Replication: c.Replication, Configs: map[string]string{
		"cleanup.policy":         "compact",
		"min.compaction.lag.ms":  ms(keep),
		"delete.retention.ms":    ms(keep),
		"max.message.bytes":      strconv.Itoa(MaxMessageBytes),
		"message.timestamp.type": "CreateTime",
		"compression.type":       "producer",
	}}
}

// DLQTopic describes the dead letters of a topic. Partitions are the topic's own, so that a letter stands in the partition
// its record came from. Letters keep the time of their record, by which retention would delete old ones at once, and
// nobody else has the record once the topic is compacted: they stay until somebody deletes the topic.
func (c Config) DLQTopic(topic string, partitions int32) Topic {
	return Topic{Name: DLQName(topic), Partitions: partitions, Replication: c.Replication, Configs: map[string]string{
		"cleanup.policy":         "delete",
		"retention.ms":           "-1",
		"retention.bytes":        "-1",
		"max.message.bytes":      strconv.Itoa(MaxLetterBytes),
		"message.timestamp.type": "CreateTime",
		"compression.type":       "producer",
	}}
}

// DLQName is the name of the topic with the dead letters of a topic.
func DLQName(topic string) string { return topic + ".dlq" }

// MaxLetterBytes is the largest dead letter: a record of MaxMessageBytes and what is said about it.
const MaxLetterBytes = MaxMessageBytes + 64<<10

// CheckpointTopic describes PREFIX.checkpoints, where producers keep where each stream stands.
func (c Config) CheckpointTopic() Topic {
	return Topic{Name: c.Prefix + ".checkpoints", Partitions: checkpointPartitions, Replication: c.Replication, essential: true,
		Configs: map[string]string{
			"cleanup.policy":    "compact",
			"max.message.bytes": strconv.Itoa(MaxMessageBytes),
		}}
}

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
