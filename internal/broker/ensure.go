package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tilestream/internal/ops"
)

// leaderWait is how long a new topic may take until every partition has a leader.
const leaderWait = 30 * time.Second

// Ensure creates the topics that are missing and waits until they can be used. Others may create them at the same time.
// Topics that exist are never changed: a difference is logged together with the command that would mend it. It is an
// error only where going on would lose data: checkpoints in a topic that is not compacted or has another number of
// partitions.
func Ensure(ctx context.Context, cl *kgo.Client, log *slog.Logger, topics ...Topic) error {
	adm := kadm.NewClient(cl)
	have, err := look(ctx, cl, topics)
	if err != nil {
		return err
	}
	var errs []error
	var created []string
	for i, t := range topics {
		switch err := kerr.ErrorForCode(have[i].ErrorCode); {
		case err == nil:
			errs = append(errs, check(ctx, adm, log, t, len(have[i].Partitions)))
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			ours, err := create(ctx, adm, t)
			if errs = append(errs, err); ours {
				created = append(created, t.Name)
			}
		default:
			errs = append(errs, Explain(fmt.Errorf("look at topic %s: %w", t.Name, needs(err, "DESCRIBE, DESCRIBE_CONFIGS and CREATE", "topic", t.Name))))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(created) > 0 {
		log.Info("topics created", "topics", strings.Join(created, " "))
	}
	return wait(ctx, cl, topics)
}

// look asks the brokers for the topics, in their order. kadm would answer from what the client has cached: for seconds a
// topic just created would still be unknown.
func look(ctx context.Context, cl *kgo.Client, topics []Topic) ([]kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, t := range topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &t.Name
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, Explain(fmt.Errorf("look at the topics: %w", err))
	}
	out := make([]kmsg.MetadataResponseTopic, len(topics))
	for i, t := range topics {
		j := slices.IndexFunc(resp.Topics, func(rt kmsg.MetadataResponseTopic) bool { return rt.Topic != nil && *rt.Topic == t.Name })
		if j < 0 {
			return nil, fmt.Errorf("look at the topics: the broker says nothing of %s", t.Name)
		}
		out[i] = resp.Topics[j]
	}
	return out, nil
}

// create returns whether the topic is there by our doing.
func create(ctx context.Context, adm *kadm.Client, t Topic) (ours bool, _ error) {
	replication := t.Replication
	if replication == 0 {
		replication = -1 // the brokers' default (KIP-464)
	}
	configs := map[string]*string{}
	for k, v := range t.Configs {
		configs[k] = kadm.StringPtr(v)
	}
	_, err := adm.CreateTopic(ctx, t.Partitions, replication, configs, t.Name)
	if err == nil || errors.Is(err, kerr.TopicAlreadyExists) { // another one of us was faster, with the same settings
		return err == nil, nil
	}
	return false, Explain(fmt.Errorf("create topic %s: %w", t.Name, needs(err, "CREATE", "topic", t.Name)))
}

// check compares a topic with how it should be.
func check(ctx context.Context, adm *kadm.Client, log *slog.Logger, t Topic, partitions int) error {
	if n := int32(partitions); n != t.Partitions {
		if t.essential {
			return ops.Usagef("topic %s has %d partitions, it must have %d: each project's checkpoint is found by that number; "+
				"use another KAFKA_TOPIC_PREFIX, or delete the topic to read everything again", t.Name, n, t.Partitions)
		}
		log.Warn("topic has another number of partitions than KAFKA_TOPIC_PARTITIONS says; left as it is",
			"topic", t.Name, "partitions", n, "configured", t.Partitions)
	}
	rcs, err := adm.DescribeTopicConfigs(ctx, t.Name)
	if err == nil {
		var rc kadm.ResourceConfig
		if rc, err = rcs.On(t.Name, nil); err == nil {
			err = rc.Err
		}
		if err == nil {
			return compare(log, t, rc.Configs)
		}
	}
	err = fmt.Errorf("read the settings of topic %s: %w", t.Name, needs(err, "DESCRIBE_CONFIGS", "topic", t.Name))
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		// Only the comparison needs it: many clusters do not grant it.
		log.Warn("topic settings were not checked", "topic", t.Name, "error", err)
		return nil
	}
	return Explain(err)
}

func compare(log *slog.Logger, t Topic, have []kadm.Config) error {
	is := map[string]string{}
	for _, c := range have {
		is[c.Key] = c.MaybeValue()
	}
	var differ, fix []string
	for _, k := range slices.Sorted(maps.Keys(t.Configs)) {
		want := t.Configs[k]
		got, known := is[k]
		if !known || got == want {
			continue
		}
		differ = append(differ, fmt.Sprintf("%s is %s, should be %s", k, got, want))
		fix = append(fix, k+"="+want)
	}
	if len(differ) == 0 {
		return nil
	}
	command := fmt.Sprintf("kafka-configs.sh --bootstrap-server BROKER --alter --entity-type topics --entity-name %s --add-config %s",
		t.Name, strings.Join(fix, ","))
	if policy := is["cleanup.policy"]; t.essential && policy != "" && policy != "compact" {
		return ops.Usagef("topic %s must be compacted, its cleanup.policy is %s: checkpoints would be deleted with time, and "+
			"everything published again; mend it with\n%s", t.Name, policy, command)
	}
	log.Warn("topic settings differ; left as they are", "topic", t.Name, "differences", strings.Join(differ, "; "), "mend", command)
	return nil
}

// wait returns once every partition of the topics has a leader.
func wait(ctx context.Context, cl *kgo.Client, topics []Topic) error {
	deadline := time.Now().Add(leaderWait)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		have, err := look(ctx, cl, topics)
		if err != nil {
			return err
		}
		missing := leaderless(have)
		if missing == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for the topics: %s has no leader after %v: look at the brokers", missing, leaderWait)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func leaderless(topics []kmsg.MetadataResponseTopic) string {
	for _, t := range topics {
		if t.ErrorCode != 0 || len(t.Partitions) == 0 {
			return "topic " + *t.Topic
		}
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 || p.Leader < 0 {
				return fmt.Sprintf("partition %d of topic %s", p.Partition, *t.Topic)
			}
		}
	}
	return ""
}
