package examples_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	managerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	requestsVariable = "EXAMPLES_REQUESTS" // what to ask about
	answersFollow    = "The answers:\n"
)

// An asker calls the sidecar as Envoy does by its configuration.
type asker struct {
	filter *authzv3.ExtAuthz
	pipe   string // the path of the socket of the filter's cluster
}

// beEnvoy reads the configuration that the arguments name, asks about each request, and prints what came of it.
func beEnvoy() error {
	path := flag.NewFlagSet("envoy", flag.ContinueOnError)
	file := path.String("c", "", "")
	path.Bool("use-dynamic-base-id", false, "")
	path.String("log-level", "", "")
	if err := path.Parse(os.Args[1:]); err != nil {
		return err
	}
	text, err := os.ReadFile(*file)
	if err != nil {
		return err
	}
	a, err := configured(text)
	if err != nil {
		return err
	}
	var asked []judged
	if err := json.Unmarshal([]byte(os.Getenv(requestsVariable)), &asked); err != nil {
		return err
	}
	conn, err := grpc.NewClient("unix:"+a.pipe, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	answers, err := a.askAll(conn, asked)
	if err := errors.Join(err, conn.Close()); err != nil {
		return err
	}
	fmt.Print(answersFollow)
	return json.NewEncoder(os.Stdout).Encode(answers)
}

// configured reads a configuration by Envoy's own schema, which knows names, types and what is required.
func configured(text []byte) (*asker, error) {
	var config any
	if err := yaml.Unmarshal(text, &config); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	bootstrap, manager, filter := &bootstrapv3.Bootstrap{}, &managerv3.HttpConnectionManager{}, &authzv3.ExtAuthz{}
	if err := protojson.Unmarshal(raw, bootstrap); err != nil {
		return nil, err
	}
	resources := bootstrap.GetStaticResources()
	if err := resources.GetListeners()[0].GetFilterChains()[0].GetFilters()[0].GetTypedConfig().UnmarshalTo(manager); err != nil {
		return nil, err
	}
	if err := manager.GetHttpFilters()[0].GetTypedConfig().UnmarshalTo(filter); err != nil {
		return nil, err
	}
	if err := errors.Join(bootstrap.ValidateAll(), manager.ValidateAll(), filter.ValidateAll()); err != nil {
		return nil, err
	}
	if filter.GetFailureModeAllow() || filter.GetTransportApiVersion() != corev3.ApiVersion_V3 {
		return nil, errors.New("the filter lets pass what is not decided, or speaks another version")
	}
	for _, c := range resources.GetClusters() {
		if c.GetName() == filter.GetGrpcService().GetEnvoyGrpc().GetClusterName() {
			return &asker{filter, c.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetPipe().GetPath()}, nil
		}
	}
	return nil, errors.New("the filter's cluster is not there")
}

func (a *asker) askAll(conn *grpc.ClientConn, asked []judged) ([]judged, error) {
	health, err := grpc_health_v1.NewHealthClient(conn).Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || health.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return nil, fmt.Errorf("the sidecar is not healthy: %v %w", health, err)
	}
	client := authv3.NewAuthorizationClient(conn)
	if _, err := client.Check(context.Background(), a.check(asked[0])); status.Code(err) != codes.Unauthenticated {
		return nil, fmt.Errorf("without the token: %w", err)
	}
	var answers []judged
	for _, request := range asked {
		answer, err := a.ask(client, request)
		if err != nil {
			return nil, err
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

// ask asks about a request, with the metadata and the deadline of the configuration.
func (a *asker) ask(client authv3.AuthorizationClient, request judged) (judged, error) {
	service := a.filter.GetGrpcService()
	// A busy machine gets more time than Envoy would give.
	ctx, cancel := context.WithTimeout(context.Background(), 60*service.GetTimeout().AsDuration())
	defer cancel()
	sent := metadata.MD{}
	for _, entry := range service.GetInitialMetadata() {
		sent.Append(entry.GetKey(), entry.GetValue())
	}
	response, err := client.Check(metadata.NewOutgoingContext(ctx, sent), a.check(request))
	if err != nil {
		return judged{}, err
	}
	answer := judged{Status: 200}
	if denied := response.GetDeniedResponse(); denied != nil {
		answer.Status, answer.Says = int(denied.GetStatus().GetCode()), denied.GetBody()
	}
	for _, header := range response.GetOkResponse().GetHeaders() {
		if header.GetHeader().GetKey() == "x-staff" {
			answer.Staff = header.GetHeader().GetValue()
		}
	}
	return answer, nil
}

// check is what Envoy sends about a request: as much of the body as the configuration says, as bytes if it says so.
func (a *asker) check(asked judged) *authv3.CheckRequest {
	request := &authv3.AttributeContext_HttpRequest{
		Id: "1", Method: asked.Method, Path: asked.Path, Host: "127.0.0.1:8000", Scheme: "http", Protocol: "HTTP/1.1", Size: int64(len(asked.Body)),
		Headers: map[string]string{
			":method": asked.Method, ":path": asked.Path, ":authority": "127.0.0.1:8000", ":scheme": "http",
			"x-api-key": asked.Key, "content-type": asked.Type, "content-length": strconv.Itoa(len(asked.Body)), "x-request-id": "1",
		},
	}
	limits, body := a.filter.GetWithRequestBody(), asked.Body
	partial := len(body) > int(limits.GetMaxRequestBytes())
	if partial {
		body = body[:limits.GetMaxRequestBytes()]
	}
	request.Headers["x-envoy-auth-partial-body"] = strconv.FormatBool(partial)
	if limits.GetPackAsBytes() {
		request.RawBody = []byte(body)
	} else {
		request.Body = body
	}
	peer := func(port uint32) *authv3.AttributeContext_Peer {
		return &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
		}}}}
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: peer(50000), Destination: peer(8000),
		Request: &authv3.AttributeContext_Request{Http: request},
	}}
}
