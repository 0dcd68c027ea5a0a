package broker

import (
	"crypto/tls"
	"crypto/x509"

	"tilestream/internal/ops"
)

// config builds the TLS settings; prefix names the variables in errors.
func (t TLS) config(prefix string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(t.CA)) {
			return nil, ops.Usagef("%sCA holds no certificate: it takes PEM text, or %[1]sCA_FILE the path of a PEM file", prefix)
		}
	}
	switch {
	case t.Cert == "" && t.Key == "":
	case t.Cert == "":
		return nil, ops.Usagef("%sKEY is set, %[1]sCERT is not: mutual TLS takes both", prefix)
	case t.Key == "":
		return nil, ops.Usagef("%sCERT is set, %[1]sKEY is not: mutual TLS takes both", prefix)
	default:
		pair, err := tls.X509KeyPair([]byte(t.Cert), []byte(t.Key.Reveal()))
		if err != nil {
			return nil, ops.Usagef("%sCERT and %[1]sKEY do not make a pair: %[2]w", prefix, err)
		}
		// Not Certificates: with those, a certificate from an authority that the server does not list is silently not
		// sent, and the server's answer then says nothing of it (crypto/tls, Config.Certificates).
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return c, nil
}
