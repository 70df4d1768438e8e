package sidecar

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"defenseclaw/api"
	"defenseclaw/cmd/internal/settings"

	"go.uber.org/zap"
)

// recheckInterval is the minimum time between two looks at the files.
const recheckInterval = time.Second

// certificates holds the TLS configuration of the last files that fitted together. It looks at the files
// during handshakes, so that a renewed certificate serves without a restart. Files that do not fit
// together, such as a renewal that is half written, are logged, and the configuration stays.
//
// gRPC's certprovider/pemfile is not used: it requires certificate and key in one directory, and when they
// do not fit together it logs their contents, the private key included.
type certificates struct {
	cert, key, ca string // paths; ca may be empty
	logger        *zap.Logger

	mu      sync.Mutex // guards the fields below
	serving *tls.Config
	seen    stamps // of the files when they were last read, fitting or not
	looked  time.Time
	unfit   error // why the files are not in use as they are now; nil: they are
}

// stamps identify one version of the files, in the order certificate, key, CAs; nil for a missing file.
// Time and size are not enough: container images give all files the same time.
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

// newCertificates reads the files. At the start every problem is an error.
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

// config returns the configuration for the server, or nil without TLS. Each handshake uses the newest
// files that fit together.
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
	if now.Sub(c.looked) < recheckInterval {
		return c.serving
	}
	c.looked = now
	seen := c.stamps()
	if seen.same(c.seen) {
		return c.serving
	}
	c.seen = seen
	config, err := c.load()
	c.unfit = err
	if err != nil {
		c.logger.Error("the TLS files changed and do not fit together; the previous ones stay in use", zap.Error(err))
		return c.serving
	}
	c.logger.Info("the TLS files changed and are in use")
	c.serving = config
	return config
}

// status is of the certificate in use, after a look at the files; nil without TLS.
func (c *certificates) status() *api.CertificateStatus {
	if c == nil {
		return nil
	}
	leaf := c.current().Certificates[0].Leaf // which LoadX509KeyPair fills in
	now := &api.CertificateStatus{File: c.cert, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unfit != nil {
		now.Error = c.unfit.Error()
	}
	return now
}

// stamps follows links: mounted secrets are links.
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
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{pair},
	}
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
