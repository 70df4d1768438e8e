// Package broker is the NATS server of small sites: one process that holds the records, objects and acknowledgements of a fleet in
// a directory. Larger sites run nats-server.
//
// Only the program that serves it may import it: the server adds 9.5 MB, and a timer that runs from the start of the process.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"defenseclaw/cmd/internal/fleet"
	"defenseclaw/cmd/internal/fleet/access"
	"defenseclaw/cmd/internal/private"
	"defenseclaw/watcher/fleet/streams"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

const (
	startTimeout = 30 * time.Second
	reread       = 200 * time.Millisecond // of the file of users
)

// Run serves until ctx ends. Anybody may read what it serves who is a user of it; without TLS it listens on loopback only.
func Run(ctx context.Context, cfg fleet.BrokerConfig) error {
	opts, err := options(cfg)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return err
	}
	users, err := readUsers(cfg.Dir)
	if err != nil {
		return err
	}
	own, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	defer own.Wipe()
	ownKey, err := own.PublicKey()
	if err != nil {
		return err
	}
	opts.Nkeys = nkeyUsers(users.all, ownKey, cfg.Domain)
	s, err := server.NewServer(opts.Clone()) // it keeps what it is given
	if err != nil {
		return err
	}
	s.SetLogger(logger{cfg.Log}, false, false)
	s.Start()
	defer func() {
		s.Shutdown()
		s.WaitForShutdown()
	}()
	if !s.ReadyForConnections(startTimeout) {
		return fmt.Errorf("the broker does not listen on %s: is another one there, or is %s in use by one?", cfg.Addr, cfg.Dir)
	}
	if err := makeStreams(ctx, s, own, ownKey); err != nil {
		return err
	}
	if cfg.Ready != nil {
		cfg.Ready(s.ClientURL())
	}
	return users.follow(ctx, func(all []access.User) error {
		next := opts.Clone()
		next.Port = s.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert,errcheck // it listens on TCP
		next.Nkeys = nkeyUsers(all, ownKey, cfg.Domain)
		return s.ReloadOptions(next)
	}, cfg.Log)
}

func options(cfg fleet.BrokerConfig) (*server.Options, error) {
	host, portText, err := net.SplitHostPort(cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("the address is %q: HOST:PORT was expected", cfg.Addr)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("the address is %q: a number was expected as the port", cfg.Addr)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	opts := &server.Options{
		ServerName: "defenseclaw", Host: host, Port: port, JetStream: true, StoreDir: cfg.Dir, SyncAlways: true,
		JetStreamDomain: cfg.Domain, NoSigs: true, NoSystemAccount: true,
	}
	switch ip := net.ParseIP(host); {
	case (cfg.TLSCert == "") != (cfg.TLSKey == ""):
		return nil, errors.New("a certificate and its key were expected: both or none")
	case cfg.TLSCert != "":
		pair := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { // read again for each, so that they can be renewed
			c, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
			return &c, err
		}
		if _, err := pair(nil); err != nil {
			return nil, err
		}
		opts.TLSConfig = &tls.Config{GetCertificate: pair, MinVersion: tls.VersionTLS12}
		const handshakes = 10 // seconds; many come at once
		opts.TLSTimeout = handshakes
	case host != "localhost" && (ip == nil || !ip.IsLoopback()):
		return nil, fmt.Errorf("the address is %s: without TLS, only a loopback address was expected", cfg.Addr)
	}
	return opts, nil
}

// makeStreams makes what is not there.
func makeStreams(ctx context.Context, s *server.Server, own nkeys.KeyPair, key string) error {
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.Nkey(key, own.Sign))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = streams.Create(ctx, js, streams.Options{})
	return err
}

// nkeyUsers are the users as the server has them, and the broker's own.
func nkeyUsers(users []access.User, own, domain string) []*server.NkeyUser {
	all := []*server.NkeyUser{{Nkey: own}}
	for _, u := range users {
		r := u.Rules(domain)
		all = append(all, &server.NkeyUser{Nkey: u.Key, Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: r.Publish}, Subscribe: &server.SubjectPermission{Allow: r.Subscribe},
		}})
	}
	return all
}

// users are those of a file.
type users struct {
	file string
	text string
	all  []access.User
}

// readUsers reads the users of a directory. If there is no file of users, it makes one with a publisher.
func readUsers(dir string) (*users, error) {
	u := &users{file: filepath.Join(dir, fleet.UsersFile)}
	text, err := os.ReadFile(u.file)
	if errors.Is(err, fs.ErrNotExist) {
		first, seed, err := access.NewUser(access.User{Role: access.Publisher, Name: "publisher"})
		if err != nil {
			return nil, err
		}
		if err := private.Write(filepath.Join(dir, fleet.PublisherFile), seed); err != nil {
			return nil, err
		}
		if err := access.AddUser(u.file, first); err != nil {
			return nil, err
		}
		text, err = os.ReadFile(u.file)
		if err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	u.text = string(text)
	if u.all, err = access.ParseUsers(text); err != nil {
		return nil, fmt.Errorf("%s: %w", u.file, err)
	}
	return u, nil
}

// follow gives use the users of each new version of the file, until ctx ends. A version that is wrong is reported once.
func (u *users) follow(ctx context.Context, use func([]access.User) error, log func(string)) error {
	tick := time.NewTicker(reread)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		text, err := os.ReadFile(u.file)
		if err != nil || string(text) == u.text {
			continue // one that went away leaves the users as they are
		}
		u.text = string(text)
		all, err := access.ParseUsers(text)
		if err == nil {
			err = use(all)
		}
		if err != nil && log != nil {
			log(fmt.Sprintf("%s: %v; the users before it stay", u.file, err))
		}
	}
}

// logger hands on what somebody should know.
type logger struct{ log func(string) }

func (l logger) say(format string, v []any) {
	if l.log != nil {
		l.log(fmt.Sprintf(format, v...))
	}
}

func (l logger) Noticef(string, ...any)         {}
func (l logger) Debugf(string, ...any)          {}
func (l logger) Tracef(string, ...any)          {}
func (l logger) Warnf(format string, v ...any)  { l.say(format, v) }
func (l logger) Errorf(format string, v ...any) { l.say(format, v) }
func (l logger) Fatalf(format string, v ...any) { l.say(format, v) }
