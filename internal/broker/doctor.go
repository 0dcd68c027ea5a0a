package broker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"tilestream/internal/ops"
)

// Uses says what a program does with Kafka and the registry, for Checks.
type Uses struct {
	Read, Write  []Topic // topics
	Group        string  // of consumers
	Transactions string  // what its transactional ids begin with
}

const kafkaCheck = "Kafka"

// RegistryCheck looks whether the registry answers. Its name is what a check of something in the registry needs.
func (c Config) RegistryCheck() ops.Check { return ops.Check{Name: "schema registry", Try: c.registry} }

// Checks look whether the settings reach Kafka and the registry, and whether the principal has the ACLs for what the program
// does. They create nothing but, at the broker, the state of one transactional id that no program uses.
func (c Config) Checks(u Uses) []ops.Check {
	checks := []ops.Check{{Name: kafkaCheck, Try: c.reach}}
	seen := map[string]bool{}
	for _, t := range slices.Concat(u.Read, u.Write) {
		if seen[t.Name] {
			continue
		}
		seen[t.Name] = true
		need := []kadm.ACLOperation{kadm.OpDescribe}
		for _, use := range []struct {
			of []Topic
			op kadm.ACLOperation
		}{{u.Read, kadm.OpRead}, {u.Write, kadm.OpWrite}} {
			if slices.ContainsFunc(use.of, func(o Topic) bool { return o.Name == t.Name }) {
				need = append(need, use.op)
			}
		}
		checks = append(checks, ops.Check{Name: "topic " + t.Name, Needs: kafkaCheck, Try: func(ctx context.Context) (string, error) { return c.topic(ctx, t, need) }})
	}
	if u.Group != "" {
		checks = append(checks, ops.Check{Name: "group " + u.Group, Needs: kafkaCheck, Try: func(ctx context.Context) (string, error) { return c.group(ctx, u.Group) }})
	}
	if u.Transactions != "" {
		checks = append(checks, ops.Check{Name: "transactions", Needs: kafkaCheck, Try: func(ctx context.Context) (string, error) { return c.transactions(ctx, u.Transactions) }})
	}
	return append(checks, c.RegistryCheck())
}

// with lends a client to one check.
func (c Config) with(try func(cl *kgo.Client, adm *kadm.Client) (string, error), opts ...kgo.Opt) (string, error) {
	cl, err := c.NewClient(opts...)
	if err != nil {
		return "", err
	}
	defer cl.Close()
	return try(cl, kadm.NewClient(cl))
}

func (c Config) reach(ctx context.Context) (string, error) {
	return c.with(func(cl *kgo.Client, adm *kadm.Client) (string, error) {
		about, err := adm.BrokerMetadata(ctx)
		if err != nil {
			return "", Explain(fmt.Errorf("reach Kafka at %s: %w", strings.Join(c.Brokers, ","), err))
		}
		found := fmt.Sprintf("cluster %s of %d brokers", about.Cluster, len(about.Brokers))
		if versions, err := adm.ApiVersions(ctx); err == nil {
			for _, v := range versions.Sorted() {
				if guess := v.VersionGuess(); v.Err == nil && strings.HasPrefix(guess, "v") {
					found += ", Kafka " + guess
					break
				}
			}
		}
		return found, nil
	})
}

// topic looks at one topic: whether it is there, and what the broker says the principal may do with it (KIP-430).
func (c Config) topic(ctx context.Context, t Topic, need []kadm.ACLOperation) (string, error) {
	return c.with(func(cl *kgo.Client, adm *kadm.Client) (string, error) {
		req := kmsg.NewPtrMetadataRequest()
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &t.Name
		req.Topics = append(req.Topics, rt)
		req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = true, true
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return "", Explain(fmt.Errorf("look at topic %s: %w", t.Name, err))
		}
		if len(resp.Topics) != 1 {
			return "", fmt.Errorf("look at topic %s: the broker says nothing of it", t.Name)
		}
		have := resp.Topics[0]
		switch err := kerr.ErrorForCode(have.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			if missing := lacks(resp.AuthorizedOperations, []kadm.ACLOperation{kadm.OpCreate}); len(missing) > 0 {
				return "", fmt.Errorf("it is not there, and the principal may not create topics in the cluster: an administrator has to create it with %d partitions, or grant CREATE\n%s",
					t.Partitions, grant(missing, "--topic", t.Name))
			}
			return fmt.Sprintf("not there yet: it will be created with %d partitions", t.Partitions), nil
		case errors.Is(err, kerr.TopicAuthorizationFailed):
			return "", fmt.Errorf("%w\n%s", err, grant(need, "--topic", t.Name))
		case err != nil:
			return "", Explain(fmt.Errorf("look at it: %w", err))
		}
		if missing := lacks(have.AuthorizedOperations, need); len(missing) > 0 {
			return "", fmt.Errorf("the principal lacks %s\n%s", words(missing), grant(missing, "--topic", t.Name))
		}
		if where := leaderless([]kmsg.MetadataResponseTopic{have}); where != "" {
			return "", fmt.Errorf("%s has no leader: look at the brokers", where)
		}
		found := fmt.Sprintf("%d partitions, %s", len(have.Partitions), words(need))
		if n := int32(len(have.Partitions)); t.essential && n != t.Partitions {
			return "", fmt.Errorf("it has %d partitions and must have %d: each project's checkpoint is found by that number", n, t.Partitions)
		}
		return found, nil
	})
}

func (c Config) group(ctx context.Context, name string) (string, error) {
	return c.with(func(cl *kgo.Client, adm *kadm.Client) (string, error) {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups, req.IncludeAuthorizedOperations = []string{name}, true
		need := []kadm.ACLOperation{kadm.OpRead}
		resp, err := req.RequestWith(ctx, cl)
		if err == nil && len(resp.Groups) != 1 {
			err = errors.New("the broker says nothing of it")
		}
		if err == nil {
			err = kerr.ErrorForCode(resp.Groups[0].ErrorCode)
		}
		switch {
		case errors.Is(err, kerr.GroupAuthorizationFailed):
			return "", fmt.Errorf("%w\n%s", err, grant(append(need, kadm.OpDescribe), "--group", name))
		case errors.Is(err, kerr.GroupIDNotFound):
			return "nobody has joined it yet", nil
		case err != nil:
			return "", Explain(fmt.Errorf("look at it: %w", err))
		}
		g := resp.Groups[0]
		if missing := lacks(g.AuthorizedOperations, need); len(missing) > 0 {
			return "", fmt.Errorf("the principal lacks %s\n%s", words(missing), grant(missing, "--group", name))
		}
		if len(g.Members) == 0 {
			return "nobody is in it now", nil
		}
		return fmt.Sprintf("%d members, %s", len(g.Members), strings.ToLower(g.State)), nil
	})
}

// transactions takes a transactional id of its own: one that a program uses would be fenced.
func (c Config) transactions(ctx context.Context, prefix string) (string, error) {
	id := prefix + "doctor"
	return c.with(func(cl *kgo.Client, adm *kadm.Client) (string, error) {
		if _, _, err := cl.ProducerID(ctx); err != nil {
			if errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
				return "", fmt.Errorf("%w: ids begin with %s\n%s --resource-pattern-type prefixed", err, prefix, grant([]kadm.ACLOperation{kadm.OpWrite, kadm.OpDescribe}, "--transactional-id", prefix))
			}
			return "", Explain(fmt.Errorf("take the transactional id %s: %w", id, err))
		}
		return "ids that begin with " + prefix + " may be used", nil
	}, kgo.TransactionalID(id))
}

// lacks returns the operations that are needed and not authorized. Brokers that do not tell (before 2.3) are believed to allow
// everything.
func lacks(authorized int32, need []kadm.ACLOperation) (missing []kadm.ACLOperation) {
	if authorized == math.MinInt32 {
		return nil
	}
	have := kadm.DecodeACLOperations(authorized)
	for _, op := range need {
		if !slices.Contains(have, op) && !slices.Contains(have, kadm.OpAll) {
			missing = append(missing, op)
		}
	}
	return missing
}

func words(operations []kadm.ACLOperation) string {
	var out []string
	for _, op := range operations {
		out = append(out, op.String())
	}
	return strings.Join(out, ", ")
}

// grant is the command that adds ACLs.
func grant(operations []kadm.ACLOperation, kind, name string) string {
	var b strings.Builder
	b.WriteString("kafka-acls.sh --bootstrap-server BROKER --add --allow-principal User:NAME")
	for _, op := range operations {
		b.WriteString(" --operation " + op.String())
	}
	return fmt.Sprintf("%s %s %s", b.String(), kind, name)
}

func (c Config) registry(ctx context.Context) (string, error) {
	reg, err := c.NewRegistry()
	if err != nil {
		return "", err
	}
	subjects, err := reg.Subjects(ctx)
	if err != nil {
		return "", fmt.Errorf("list its subjects: %w: check SCHEMA_REGISTRY_URL, _USERNAME and _PASSWORD, and that it runs", err)
	}
	return fmt.Sprintf("%d subjects", len(subjects)), nil
}
