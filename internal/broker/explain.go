package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/sr"

	"tilestream/internal/ops"
)

// Explain adds to an error of the Kafka client what to check, by the names of the variables. Errors that need no advice
// come back as they are.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	if a, _ := advice(err); a != "" {
		return fmt.Errorf("%w: %s", err, a)
	}
	return err
}

// Final tells errors of the clients of Kafka and of the registry that trying again does not cure: settings, names and rights that
// are wrong, and what else the server has decided.
func Final(err error) bool {
	var (
		usage    *ops.UsageError
		code     *kerr.Error
		registry *sr.ResponseError
	)
	if errors.As(err, &usage) || errors.As(err, &code) && !code.Retriable {
		return true
	}
	if errors.As(err, &registry) {
		s := registry.StatusCode
		return s < 500 && s != http.StatusRequestTimeout && s != http.StatusTooManyRequests
	}
	_, final := advice(err)
	return final
}

// advice is what to check, and whether that is needed before another try.
func advice(err error) (check string, final bool) {
	var (
		unknownCA x509.UnknownAuthorityError
		wrongName x509.HostnameError
		invalid   x509.CertificateInvalidError
		notTLS    tls.RecordHeaderError
		alert     tls.AlertError
		dns       *net.DNSError
		refused   *net.OpError
		text      = err.Error()
	)
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD (or KAFKA_SASL_TOKEN, KAFKA_SASL_OAUTH_*)", true
	case strings.Contains(text, "oauth response"): // the client has no error of its own for a token that is refused
		return "the broker refused the token: check KAFKA_SASL_TOKEN or KAFKA_SASL_OAUTH_*", true
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return "the broker does not take this KAFKA_SASL_MECHANISM", true
	case errors.As(err, &unknownCA):
		return "the broker's certificate comes from an authority that is not trusted: check KAFKA_TLS_CA", true
	case errors.As(err, &wrongName):
		return "the broker's certificate is for another name: check KAFKA_BROKERS and KAFKA_TLS_SERVER_NAME", true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the broker's certificate is not valid at this time: have it renewed, and check the clock", true
	case errors.As(err, &invalid):
		return "the broker's certificate is not valid: check it and KAFKA_TLS_CA", true
	case errors.As(err, &notTLS):
		return "the broker does not talk TLS on this port: check KAFKA_TLS and KAFKA_BROKERS", true
	case strings.Contains(text, "tls alert record"):
		return "the broker talks TLS on this port: set KAFKA_TLS=true", true
	case errors.As(err, &alert), strings.Contains(text, "remote error: tls:"):
		return "the broker refused our side of TLS: check KAFKA_TLS_CERT and KAFKA_TLS_KEY", true
	case errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return "the principal lacks an ACL", true
	case errors.As(err, &dns):
		return "check the host in KAFKA_BROKERS", dns.IsNotFound
	case errors.As(err, &refused) && refused.Op == "dial":
		return "check KAFKA_BROKERS, and that the broker runs", false
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the broker closed the connection: check KAFKA_TLS and KAFKA_SASL_MECHANISM against what the port takes", false
	}
	return "", false
}

// needs names the ACL that a refusal is about.
func needs(err error, operation, kind, name string) error {
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed),
		errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return fmt.Errorf("%w: the principal needs the ACLs %s on %s %s", err, operation, kind, name)
	}
	return err
}
