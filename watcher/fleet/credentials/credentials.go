// Package credentials reads the files by which agents and publishers show a NATS server who they are, and refuses servers that
// are too old for a fleet.
package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Options are those of a connection that shows the credentials in one file, and trusts the certificates in another. Either may
// be empty. The file of credentials holds what nsc calls creds (a JWT and a seed), a seed alone (SU…), or a token.
// It is read again for each connection, so that credentials can be changed while the program runs.
func Options(creds, ca string) (options []nats.Option, err error) {
	if creds != "" {
		option, err := user(creds)
		if err != nil {
			return nil, fmt.Errorf("credentials %s: %w", creds, err)
		}
		options = append(options, option)
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in it: a file of PEM was expected", ca)
		}
		options = append(options, nats.Secure(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}))
	}
	return options, nil
}

func user(file string) (nats.Option, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	switch text := string(text); {
	case strings.Contains(text, "BEGIN NATS USER JWT"):
		return nats.UserCredentials(file), nil
	case seed(text) != "":
		return seedIn(file)
	case len(strings.Fields(text)) == 1:
		return nats.TokenHandler(func() string {
			text, _ := os.ReadFile(file) // the server refuses an empty one
			return strings.TrimSpace(string(text))
		}), nil
	default:
		return nil, errors.New("it is neither a file of nsc, nor a seed, nor one word")
	}
}

// seed is the line of a text that is the seed of a user.
func seed(text string) string {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "SU") {
			return line
		}
	}
	return ""
}

func seedIn(file string) (nats.Option, error) {
	pair := func() (nkeys.KeyPair, error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		return nkeys.FromSeed([]byte(seed(string(text))))
	}
	keys, err := pair()
	if err != nil {
		return nil, err
	}
	public, err := keys.PublicKey()
	if err != nil {
		return nil, err
	}
	keys.Wipe()
	return nats.Nkey(public, func(nonce []byte) ([]byte, error) {
		keys, err := pair()
		if err != nil {
			return nil, fmt.Errorf("credentials %s: %w", file, err)
		}
		defer keys.Wipe()
		return keys.Sign(nonce)
	}), nil
}

// CheckServer refuses the server of a connection if it is older than 2.11: the compare-and-set of those may let two win.
func CheckServer(nc *nats.Conn) error {
	var major, minor int
	version := nc.ConnectedServerVersion()
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("the server's version is %q: 2.11 or later was expected", version)
	}
	if major < 2 || major == 2 && minor < 11 {
		return fmt.Errorf("the server is NATS %s: 2.11 or later was expected, for older ones may let two records win", version)
	}
	return nil
}
