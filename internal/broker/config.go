// Package broker connects to Kafka and to the schema registry: settings come in, clients and topics with the right
// configuration go out. Nothing embedded lives here.
package broker

import (
	"cmp"

	"tilestream/internal/ops"
)

// Config is where Kafka and the schema registry are, and how to reach them. A wrong combination shows when a client is
// made, as a *ops.UsageError that names the variables.
type Config struct {
	Brokers     []string `env:"KAFKA_BROKERS" help:"host:port of one or more brokers; go run . without it: an embedded Kafka, kept in DATA_DIR"`
	Prefix      string   `env:"KAFKA_TOPIC_PREFIX, default=tiledesk" help:"topics are named PREFIX.RESOURCE"`
	Partitions  int32    `env:"KAFKA_TOPIC_PARTITIONS, default=6" help:"partitions of a topic that has to be created"`
	Replication int16    `env:"KAFKA_TOPIC_REPLICATION" help:"replicas of a topic that has to be created; unset: the brokers' default"`
	UseTLS      bool     `env:"KAFKA_TLS" help:"talk TLS to the brokers"`
	TLS         TLS      `env:", prefix=KAFKA_TLS_" help:"certificates"`
	SASL        SASL     `env:", prefix=KAFKA_SASL_" help:"sign-in to the brokers"`
	Registry    Registry `env:", prefix=SCHEMA_REGISTRY_"`
}

// TLS is how a server is trusted, and which certificate proves who we are. Texts are PEM.
type TLS struct {
	CA         string     `env:"CA" help:"PEM of the authorities to trust; unset: those of the system"`
	Cert       string     `env:"CERT" help:"PEM of the client certificate, for mutual TLS"`
	Key        ops.Secret `env:"KEY" help:"PEM of the client certificate's key"`
	ServerName string     `env:"SERVER_NAME" help:"name that the server's certificate carries, where it is not its address"`
}

// SASL is how we sign in to the brokers.
type SASL struct {
	Mechanism  string            `env:"MECHANISM" help:"PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER; unset: no sign-in"`
	Username   string            `env:"USERNAME" help:"for PLAIN and SCRAM"`
	Password   ops.Secret        `env:"PASSWORD" help:"for PLAIN and SCRAM"`
	Token      ops.Secret        `env:"TOKEN" help:"for OAUTHBEARER: the bearer token"`
	TokenFile  string            `env:"TOKEN_FILE" help:"for OAUTHBEARER: a file with the bearer token, read again at every sign-in"`
	OAuth      OAuth             `env:", prefix=OAUTH_"`
	Extensions map[string]string `env:"EXTENSIONS" help:"for OAUTHBEARER: name:value pairs sent along, such as logicalCluster:lkc-1"`
}

// OAuth fetches bearer tokens by OAuth's client credentials grant (RFC 6749, 4.4).
type OAuth struct {
	TokenURL     string     `env:"TOKEN_URL" help:"for OAUTHBEARER: where tokens are issued for a client id and secret"`
	ClientID     string     `env:"CLIENT_ID" help:"for OAUTHBEARER: what to ask for a token as"`
	ClientSecret ops.Secret `env:"CLIENT_SECRET" help:"for OAUTHBEARER: the secret of the client id"`
	Scope        string     `env:"SCOPE" help:"scopes to ask for, with spaces between"`
}

// Registry is the schema registry.
type Registry struct {
	URL      string     `env:"URL" help:"address of the schema registry; unset with the embedded Kafka: an embedded one, kept in DATA_DIR"`
	Username string     `env:"USERNAME" help:"for basic authentication, with the password"`
	Password ops.Secret `env:"PASSWORD" help:"password of SCHEMA_REGISTRY_USERNAME"`
	TLS      TLS        `env:", prefix=TLS_" help:"certificates of the registry"`
}

// ConsumerGroup is the consumer group that KAFKA_GROUP names.
func (c Config) ConsumerGroup(name string) string { return cmp.Or(name, c.Prefix+"-consumer") }

func (t TLS) isZero() bool { return t == TLS{} }
