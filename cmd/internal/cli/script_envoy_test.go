package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"

	"defenseclaw/cmd/internal/testutil"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
)

// scriptCheck is the check command. It succeeds when the request may pass.
func scriptCheck(ts *testscript.TestScript, neg bool, args []string) {
	text, err := checkAsEnvoy(ts, args)
	if err != nil {
		text = err.Error()
	}
	_, _ = ts.Stdout().Write([]byte(text + "\n"))
	if ok := strings.Contains(text, `"okResponse"`); ok == neg {
		ts.Fatalf("check %v: %s", args, text)
	}
}

// checkAsEnvoy makes the call that the arguments of the check command describe.
func checkAsEnvoy(ts *testscript.TestScript, args []string) (string, error) {
	token := madeToken(ts)
	if len(args) > 2 && args[0] == "-t" {
		token, args = args[1], args[2:]
	}
	if len(args) < 3 {
		return "", errors.New("usage: check [-t TOKEN] ADDR METHOD PATH [Name:value…] [-d BODY]")
	}
	asked := &authv3.AttributeContext_HttpRequest{Method: args[1], Path: args[2], Headers: map[string]string{}}
	for i := 3; i < len(args); i++ {
		if args[i] == "-d" && i+1 < len(args) {
			i++
			asked.Body = args[i]
			continue
		}
		name, value, _ := strings.Cut(args[i], ":")
		asked.Headers[name] = value
	}
	address := args[0]
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		address = "unix:" + ts.MkAbs(path)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+token), testutil.Patience)
	defer cancel()
	response, err := authv3.NewAuthorizationClient(conn).Check(ctx, &authv3.CheckRequest{
		Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: asked}},
	})
	if err != nil {
		return "", err
	}
	raw, err := protojson.Marshal(response)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer // compacted: protojson inserts random blanks
	err = json.Compact(&text, raw)
	return text.String(), err
}

// scriptFreePort is the freeport command. It finds an address by listening on it for a moment.
func scriptFreePort(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeport NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}
