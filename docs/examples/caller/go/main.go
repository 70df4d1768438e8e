// Command ask asks the policy sidecar for one decision and prints allow or deny. Whatever goes wrong is a denial.
//
//	ask PATH INPUT
//
// It exits with 0 for allow, 1 for deny, and 2 where nothing was decided, which is printed as deny as well.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	patience       = 2 * time.Second // for a decision, which takes less than a millisecond
	maxAnswerBytes = 1 << 20
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, `usage: ask PATH INPUT, such as: ask orders/allow '{"role": "clerk", "amount": 40}'`)
		os.Exit(2)
	}
	allowed, err := ask(os.Args[1], json.RawMessage(os.Args[2]))
	switch {
	case err != nil:
		fmt.Println("deny")
		fmt.Fprintln(os.Stderr, "not decided:", err)
		os.Exit(2)
	case !allowed:
		fmt.Println("deny")
		os.Exit(1)
	}
	fmt.Println("allow")
}

// ask reports whether the document at path is true for the input. False and undefined are denials, anything else an error.
func ask(path string, input json.RawMessage) (bool, error) {
	body, err := json.Marshal(map[string]any{"input": input})
	if err != nil {
		return false, fmt.Errorf("the input is no JSON: %w", err)
	}
	to, err := find()
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url+"/v1/data/"+strings.Join(parts, "/"), bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", "application/json")
	if to.token != "" {
		req.Header.Set("Authorization", "Bearer "+to.token)
	}
	res, err := to.client.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	if err != nil {
		return false, err
	}
	if res.StatusCode != http.StatusOK { // such as 401, a wrong token, and 503, no policy or too many decisions at once
		return false, fmt.Errorf("the sidecar answered %s: %s", res.Status, bytes.TrimSpace(text))
	}
	var answer struct {
		Result json.RawMessage `json:"result"` // left out where the document is undefined
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return false, fmt.Errorf("the answer is no JSON: %w", err)
	}
	switch string(answer.Result) {
	case "true":
		return true, nil
	case "false", "":
		return false, nil
	}
	return false, fmt.Errorf("%s is neither true nor false", path)
}

type sidecar struct {
	url    string
	token  string // empty: none is needed
	client *http.Client
}

// find looks for the sidecar as its commands do: at the address that the environment names, else at the one in gateway.json,
// and first at the Unix socket in the data directory, where a process of the same user needs no token.
func find() (sidecar, error) {
	home := os.Getenv("DEFENSECLAW_HOME")
	if home == "" {
		user, err := os.UserHomeDir()
		if err != nil {
			return sidecar{}, err
		}
		home = filepath.Join(user, ".defenseclaw")
	}
	var published struct {
		Addr string `json:"api_addr"`
		Cert string `json:"tls_cert"`
	}
	text, err := os.ReadFile(filepath.Join(home, "gateway.json"))
	if err == nil {
		err = json.Unmarshal(text, &published)
	}
	explicit := os.Getenv("DEFENSECLAW_GATEWAY_TOKEN")
	if socket := os.Getenv("DEFENSECLAW_API_SOCKET"); socket != "" {
		return overSocket(socket, explicit), nil
	}
	if port := os.Getenv("DEFENSECLAW_API_PORT"); port != "" && port != "0" {
		host := os.Getenv("DEFENSECLAW_API_BIND")
		if host == "" {
			host = "127.0.0.1"
		}
		return overTCP(net.JoinHostPort(host, port), home, explicit)
	}
	if err != nil {
		return sidecar{}, fmt.Errorf("no sidecar runs with the data directory %s: %w", home, err)
	}
	if socket := filepath.Join(home, "sidecar.sock"); isSocket(socket) {
		return overSocket(socket, explicit), nil
	}
	if socket, ok := strings.CutPrefix(published.Addr, "unix:"); ok {
		return overSocket(socket, explicit), nil
	}
	if published.Cert != "" {
		return sidecar{}, errors.New("the sidecar speaks TLS, which this example does not")
	}
	return overTCP(published.Addr, home, explicit)
}

func isSocket(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&os.ModeSocket != 0
}

func overSocket(path, token string) sidecar {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return sidecar{"http://localhost", token, &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

func overTCP(addr, home, token string) (sidecar, error) {
	if token == "" {
		token = tokenIn(filepath.Join(home, ".env"))
	}
	if token == "" {
		return sidecar{}, errors.New("there is no token in DEFENSECLAW_GATEWAY_TOKEN nor in .env in the data directory")
	}
	return sidecar{"http://" + addr, token, &http.Client{Transport: &http.Transport{}}}, nil // by no proxy
}

// tokenIn reads the token that the first start made.
func tokenIn(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "DEFENSECLAW_GATEWAY_TOKEN="); ok {
			return strings.Trim(value, `"'`)
		}
	}
	return ""
}
