package attack_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"defenseclaw/api"
)

// gates are requests that must not get past the token, the browser's gates or the route's path: each route without
// a token, with wrong ones, as a browser would send it, and under other spellings of its path.
func gates(r *rand.Rand) []try {
	var all []try
	for _, pattern := range api.Routes() {
		path := strings.NewReplacer("{$}", "", "{path...}", "attack/ok", "{list}", "block").Replace(pattern)
		open := strings.HasPrefix(path, "/health")
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "TRACE", "PROPFIND"} {
			all = append(all, strangers(method, path, open)...)
			all = append(all, browsers(method, path, open)...)
		}
		all = append(all, spellings(r, path, open)...)
	}
	return append(all, rawRequests()...)
}

// refused makes a try of a request that must be refused: its answer is 4xx, not what the route serves.
func refused(name, method, path string, headers ...string) try {
	return try{name + ": " + method + " " + path, func(v *victim) error {
		a, err := v.ask(method, path, `{}`, headers...)
		if err != nil {
			return fmt.Errorf("no answer: %w", err)
		}
		if a.status < 400 || a.status >= 500 {
			return fmt.Errorf("not refused: %v", a)
		}
		return nil
	}}
}

func strangers(method, path string, open bool) []try {
	if open {
		return nil
	}
	var all []try
	for _, header := range []string{
		"", "Bearer", "Bearer ", "Bearer " + token[1:], "Bearer " + token + "x", "Bearer " + strings.ToUpper(token), "Basic " + token, token,
		"Bearer\t" + token + ",x", "Bearer null", "Bearer undefined", "Bearer " + strings.Repeat("a", 60000),
	} {
		all = append(all, refused(fmt.Sprintf("the token %.20q", header), method, path, "Authorization", header))
	}
	return append(all,
		refused("a cookie instead of a token", method, path, "Authorization", "", "Cookie", "token="+token),
		refused("a token in the query", method, path+"?token="+token+"&access_token="+token, "Authorization", ""),
		refused("who says to be local", method, path, "Authorization", "", "X-Forwarded-For", "127.0.0.1", "X-Real-IP", "127.0.0.1", "Forwarded", "for=127.0.0.1"),
		refused("who says to be another path", method, path, "Authorization", "", "X-Original-URL", "/health", "X-Rewrite-URL", "/health"),
		refused("who says to be another method", method, path, "Authorization", "", "X-HTTP-Method-Override", "GET"))
}

// browsers are what a page of another origin can have a browser send, with a token that it has got hold of.
func browsers(method, path string, open bool) []try {
	if open {
		return nil
	}
	return []try{
		refused("another origin", method, path, "Origin", "http://evil.example"),
		refused("no origin", method, path, "Origin", "null"),
		refused("another site", method, path, "Sec-Fetch-Site", "cross-site"),
		refused("another host of the site", method, path, "Sec-Fetch-Site", "same-site"),
		refused("a name that was rebound", method, path, "Host", "evil.example", "Origin", "http://evil.example", "Sec-Fetch-Site", "same-origin"),
	}
}

// spellings are other ways to write a path. Without the token none of them may be served.
func spellings(r *rand.Rand, path string, open bool) []try {
	if open {
		return nil
	}
	escaped := func(every int) string {
		var b strings.Builder
		for i := range len(path) {
			if path[i] != '/' && (every == 1 || r.IntN(every) == 0) {
				fmt.Fprintf(&b, "%%%02x", path[i])
			} else {
				b.WriteByte(path[i])
			}
		}
		return b.String()
	}
	var all []try
	for _, p := range []string{
		escaped(1), escaped(3), strings.ReplaceAll(escaped(2), "%", "%25"), "/" + path, path + "/", path + "/.", "/health/.." + path, "/health/%2e%2e" + path, "/health/..%2f" + path[1:],
		"/health;" + path, "/health%00" + path, "/health?" + path, "/health#" + path, path + "%00", path + ";/health", path + "%20", strings.ToUpper(path), "/./" + path, "/%2f" + path[1:],
	} {
		all = append(all, try{"no token, spelt " + p, func(v *victim) error {
			a, err := v.ask(http.MethodPost, p, `{}`, "Authorization", "")
			if err != nil {
				return nil //nolint:nilerr // the client does not send such a path
			}
			if a.status == http.StatusOK && a.body != "{}" && a.body != "{}\n" || a.status >= 500 {
				return fmt.Errorf("answered: %v", a)
			}
			return nil
		}})
	}
	return all
}

// rawRequests are not what a client library would send.
func rawRequests() []try {
	var all []try
	for _, raw := range []namedText{
		named("two lengths", "POST /v1/data HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nAAAAA"),
		named("a length and chunks", "POST /v1/data HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/data HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		named("chunks of a huge size", "POST /v1/data HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"),
		named("a negative length", "POST /v1/data HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n"),
		named("no host", "GET /v1/data HTTP/1.1\r\n\r\n"),
		named("two hosts", "GET /v1/data HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"),
		named("an absolute address", "GET http://evil.example/v1/data HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		named("a tunnel", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n"),
		named("a header of two megabytes", "GET /v1/data HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("a", 2<<20)+"\r\n\r\n"),
		named("50,000 headers", "GET /v1/data HTTP/1.1\r\nHost: localhost\r\n"+strings.Repeat("X: 1\r\n", 50000)+"\r\n"),
		named("a header with a line end", "GET /v1/data HTTP/1.1\r\nHost: localhost\r\nX: a\rAuthorization: Bearer "+token+"\r\n\r\n"),
		named("a folded header", "GET /v1/data HTTP/1.1\r\nHost: localhost\r\nX: a\r\n Authorization: Bearer "+token+"\r\n\r\n"),
		named("HTTP/0.9", "GET /v1/data\r\n"),
		named("HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
		named("an upgrade", "GET /v1/data HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"),
		named("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		named("garbage", strings.Repeat("\x00\xff", 5000)+"\r\n\r\n"),
		named("nothing but line ends", strings.Repeat("\r\n", 50000)),
	} {
		all = append(all, try{"raw: " + raw.name, func(v *victim) error { return v.refusesRaw(raw.text) }})
	}
	return all
}

// refusesRaw sends bytes and wants no 200, or no answer at all.
func (v *victim) refusesRaw(text string) error {
	c, err := net.Dial("tcp", v.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second)) // it may wait for more: then it has not answered
	go func() { _, _ = io.WriteString(c, text) }()
	for in := bufio.NewReader(c); ; {
		line, err := in.ReadString('\n')
		if strings.HasPrefix(line, "HTTP/1.1 2") || strings.HasPrefix(line, "HTTP/1.0 2") {
			return fmt.Errorf("answered: %s", line)
		}
		if err != nil {
			return nil
		}
	}
}
