package attack_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"

	"defenseclaw/cmd/internal/testutil"

	"golang.org/x/sync/errgroup"
)

// connections are many callers at once, who say nothing, or little, or read nothing.
func connections(*rand.Rand) []try {
	return []try{
		{"2,000 idle connections", func(v *victim) error { return v.besieged(2000, "") }},
		{"2,000 connections with half a request", func(v *victim) error {
			return v.besieged(2000, "POST /v1/data/attack/ok HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n")
		}},
		{"500 connections that have the token and send half a body", func(v *victim) error {
			return v.besieged(500, "POST /v1/data/attack/ok HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+token+"\r\nContent-Length: 1000000\r\n\r\n{\"input\":")
		}},
		{"500 readers who take nothing of a large answer", func(v *victim) error {
			body := `{"input":{"n":100000}}`
			return v.besieged(500, fmt.Sprintf("POST /v1/data/attack/numbers_up_to HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				token, len(body), body))
		}},
		{"200 readers of events", func(v *victim) error {
			return v.besieged(200, "GET /policy/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+token+"\r\n\r\n")
		}},
		{"1,000 requests in a row on one connection", func(v *victim) error {
			return v.besieged(1, strings.Repeat("GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 1000))
		}},
		{"10,000 connections, one after the other", func(v *victim) error {
			for range 10000 {
				if c, err := net.Dial("tcp", v.addr); err == nil {
					c.Close()
				}
			}
			return nil
		}},
		{"64 callers of what takes long", func(v *victim) error {
			return v.together(64, http.MethodPost, "/v1/data/attack/numbers_up_to", `{"input":{"n":3000000}}`)
		}},
		{"64 callers of a query that takes long", func(v *victim) error {
			return v.together(64, http.MethodPost, "/v1/query",
				`{"query":"count([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); some c in numbers.range(1, 3000); a + b == c])"}`)
		}},
		{"64 reloads at once", func(v *victim) error { return v.together(64, http.MethodPost, "/policy/reload", "") }},
		{"2,000 guesses of the token", func(v *victim) error {
			var g errgroup.Group
			g.SetLimit(32)
			for i := range 2000 {
				g.Go(func() error {
					a, err := v.ask(http.MethodGet, "/v1/data", "", "Authorization", fmt.Sprintf("Bearer %032x", i))
					if err == nil && a.status < 400 {
						return fmt.Errorf("a guess is answered: %v", a)
					}
					return nil
				})
			}
			return g.Wait()
		}},
	}
}

// besieged opens n connections, sends each the text, keeps all of them open, and sees that decisions and an edit go on.
func (v *victim) besieged(n int, text string) error {
	var open []net.Conn
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for range n {
		c, err := net.Dial("tcp", v.addr)
		if err != nil {
			continue // refused, or ended for another: the limit of connections
		}
		open = append(open, c)
		go func() { _, _ = io.WriteString(c, text) }()
	}
	if len(open) == 0 {
		return errors.New("no connection could be opened")
	}
	if err := v.held(); err != nil {
		return err
	}
	return v.serves(fmt.Sprintf("%d connections", n))
}

// serves edits the policy, and waits until the edit serves.
func (v *victim) serves(text string) error {
	v.write("edited.rego", fmt.Sprintf("package edited\n\ntext := %q\n", text))
	return v.answers("/v1/data/edited/text", fmt.Sprintf(`"result":%q`, text))
}

// answers waits until a decision has a text in its answer.
func (v *victim) answers(path, text string) error {
	last := ""
	if !testutil.Eventually(func() bool {
		a, err := v.ask(http.MethodPost, path, `{}`)
		last = fmt.Sprint(a, err)
		return err == nil && strings.Contains(a.body, text)
	}) {
		return fmt.Errorf("%s does not answer %s: %s", path, text, last)
	}
	return nil
}

// together sends the same request n times at once, by connections of their own.
func (v *victim) together(n int, method, path, body string) error {
	var wait sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wait.Go(func() {
			client := &http.Client{Timeout: v.client.Timeout, Transport: &http.Transport{DisableKeepAlives: true}}
			a, err := v.send(client, method, path, strings.NewReader(body))
			if err != nil {
				errs[i] = fmt.Errorf("no answer: %w", err)
			} else if a.status == 0 {
				errs[i] = fmt.Errorf("an answer without a status: %v", a)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}
