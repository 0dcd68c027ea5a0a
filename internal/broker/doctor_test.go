package broker

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"tilestream/internal/ops"
)

// TestChecksACLs looks with principals that lack one right or another, and reads what is said about it.
func TestChecksACLs(t *testing.T) {
	allow := func(kind kmsg.ACLResourceType, name string, operations ...kmsg.ACLOperation) (out []kfake.ACL) {
		for _, op := range operations {
			out = append(out, kfake.ACL{Resource: kind, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true})
		}
		return out
	}
	const topic, group, cluster = kmsg.ACLResourceTypeTopic, kmsg.ACLResourceTypeGroup, kmsg.ACLResourceTypeCluster
	bots := allow(topic, "p.bots", kmsg.ACLOperationDescribe, kmsg.ACLOperationRead)
	users := map[string][]kfake.ACL{
		"nothing":  nil,
		"reader":   slices.Concat(bots, allow(group, "p-consumer", kmsg.ACLOperationRead, kmsg.ACLOperationDescribe)),
		"creator":  slices.Concat(bots, allow(cluster, "kafka-cluster", kmsg.ACLOperationCreate, kmsg.ACLOperationDescribe), allow(topic, "p.tags", kmsg.ACLOperationDescribe)),
		"describe": allow(topic, "p.bots", kmsg.ACLOperationDescribe),
	}
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "pAssword"), kfake.SeedTopics(2, "p.bots")}
	for name, acls := range users {
		opts = append(opts, kfake.User("PLAIN", name, "pAssword", acls...))
	}
	k, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	for _, tt := range []struct {
		user, password string
		want           []string
	}{
		{"root", "pAssword", []string{"ok topic p.bots 2 partitions, DESCRIBE, READ", "ok group p-consumer nobody", "ok transactions", "ok topic p.tags not there yet"}},
		{"root", "wrong", []string{"FAIL Kafka", "skip topic p.bots"}},
		{"nothing", "pAssword", []string{"FAIL topic p.bots TOPIC_AUTHORIZATION_FAILED", "--operation DESCRIBE --operation READ --topic p.bots",
			"FAIL group p-consumer", "--operation READ --operation DESCRIBE --group p-consumer", "FAIL transactions",
			"--transactional-id p-consumer-dlq- --resource-pattern-type prefixed"}},
		{"reader", "pAssword", []string{"ok topic p.bots", "ok group p-consumer", "FAIL topic p.tags"}},
		{"creator", "pAssword", []string{"ok topic p.tags not there yet: it will be created with 6 partitions"}},
		{"describe", "pAssword", []string{"FAIL topic p.bots the principal lacks READ", "--operation READ --topic p.bots"}},
	} {
		c := Config{Brokers: k.ListenAddrs(), Partitions: 6, SASL: SASL{Mechanism: "PLAIN", Username: tt.user, Password: ops.Secret(tt.password)}}
		var out strings.Builder
		checks := c.Checks(Uses{Read: []Topic{c.DataTopic("p.bots"), c.DataTopic("p.tags")}, Group: "p-consumer", Transactions: "p-consumer-dlq-"})
		_ = ops.Examine(t.Context(), ops.Options{Stdout: &out}, checks)
		for _, want := range tt.want {
			if got := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", tt.user, want, out.String())
			}
		}
		if strings.Contains(out.String(), tt.password) {
			t.Errorf("%s: the password shows in\n%s", tt.user, out.String())
		}
	}
}

func TestChecksRegistry(t *testing.T) {
	registry := srfake.New()
	defer registry.Close()
	web := httptest.NewServer(nil)
	web.Close() // nobody listens
	const schema = `{"type":"record","name":"x","fields":[{"name":"_id","type":"string"}]}`
	c := Config{Registry: Registry{URL: registry.URL()}}
	reg, err := c.NewRegistry()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.CreateSchema(t.Context(), "p.bots-value", sr.Schema{Schema: schema}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		url  string
		want []string
	}{
		{registry.URL(), []string{"ok schema registry 1 subjects"}},
		{web.URL, []string{"FAIL schema registry", "check SCHEMA_REGISTRY_URL"}},
	} {
		c.Registry.URL = tt.url
		var out strings.Builder
		checks := c.Checks(Uses{})
		_ = ops.Examine(t.Context(), ops.Options{Stdout: &out}, checks[1:]) // without Kafka
		for _, want := range tt.want {
			if got := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, out.String())
			}
		}
	}
}
