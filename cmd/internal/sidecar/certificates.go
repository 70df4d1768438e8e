package sidecar

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"defenseclaw/cmd/internal/settings"

	"go.uber.org/zap"
)

// recheckEvery is how often the files are looked at, at most: at the handshakes of callers.
const recheckEvery = time.Second

// certificates are the TLS files as they were when they last fitted together. They are looked at
// during handshakes, so that a renewed certificate serves without a restart; files that do not fit
// together, such as half of a renewal, are logged and what served before serves.
type certificates struct {
	cert, key, ca string // paths; ca may be empty
	logger        *zap.Logger

	mu      sync.Mutex // guards the fields below
	serving *tls.Config
	seen    stamps // of the files when they were last read, fitting or not
	looked  time.Time
}

// stamps tell one version of the files from another, in the order certificate, key, authorities; nil
// for one that is not there. Time and size are not enough: images and stores give all files one time.
type stamps [3]os.FileInfo

func (s stamps) same(other stamps) bool {
	for i, a := range s {
		b := other[i]
		if (a == nil) != (b == nil) {
			return false
		}
		if a != nil && (!os.SameFile(a, b) || !a.ModTime().Equal(b.ModTime()) || a.Size() != b.Size()) {
			return false
		}
	}
	return true
}

// newCertificates reads the files; all problems are errors at the start.
func newCertificates(cert, key, ca string, logger *zap.Logger) (*certificates, error) {
	switch {
	case cert == "" && key == "" && ca == "":
		return nil, nil
	case cert == "" || key == "":
		return nil, errors.New("TLS needs both --tls-cert and --tls-key")
	}
	c := &certificates{cert: cert, key: key, ca: ca, logger: logger}
	c.seen, c.looked = c.stamps(), time.Now()
	config, err := c.load()
	if err != nil {
		return nil, err
	}
	c.serving = config
	return c, nil
}

// config returns the configuration for the server, or nil without TLS. Each handshake uses the files that
// serve then.
func (c *certificates) config() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil },
	}
}

func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.looked) < recheckEvery {
		return c.serving
	}
	c.looked = now
	seen := c.stamps()
	if seen.same(c.seen) {
		return c.serving
	}
	c.seen = seen
	config, err := c.load()
	if err != nil {
		c.logger.Error("the TLS files changed and do not fit together; those before serve", zap.Error(err))
		return c.serving
	}
	c.logger.Info("the TLS files changed and serve")
	c.serving = config
	return config
}

// stamps follow links, as mounted secrets are.
func (c *certificates) stamps() (all stamps) {
	for i, path := range []string{c.cert, c.key, c.ca} {
		if info, err := os.Stat(path); err == nil {
			all[i] = info
		}
	}
	return all
}

func (c *certificates) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, fmt.Errorf("read --tls-cert %s and --tls-key %s: %w", c.cert, c.key, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{pair}}
	if c.ca == "" {
		return config, nil
	}
	pool := x509.NewCertPool()
	if err := settings.AddCertificates(pool, c.ca); err != nil {
		return nil, fmt.Errorf("read --client-ca: %w", err)
	}
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, pool
	return config, nil
}
