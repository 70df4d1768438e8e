package extauthz

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"

	"defenseclaw/engine"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/open-policy-agent/opa/v1/util"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"
)

// input converts a request to the policy's input, in the form of OPA's plugin for Envoy. It changes the request,
// see unify. An error means that the HTTP request that Envoy received is invalid.
func input(request *authv3.CheckRequest) (*engine.Input, error) {
	httpRequest := request.GetAttributes().GetRequest().GetHttp()
	unify(httpRequest)
	path, query, err := parsePath(httpRequest.GetPath())
	if err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	body, truncated, err := parseBody(httpRequest)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	fields := map[string]any{
		"version":        map[string]any{"ext_authz": "v3", "encoding": "protojson"},
		"parsed_path":    path,
		"parsed_query":   query,
		"parsed_body":    body,
		"truncated_body": truncated,
	}
	if attributes := request.GetAttributes(); attributes != nil {
		if fields["attributes"], err = attributesOf(attributes); err != nil {
			return nil, fmt.Errorf("attributes: %w", err)
		}
	}
	if principal := request.GetAttributes().GetSource().GetPrincipal(); principal != "" {
		fields["source_principal"] = principal
	}
	return engine.PlainInput(fields)
}

// parsePath returns the decoded parts of a path and the values of each query parameter.
func parsePath(path string) (parts []string, parameters map[string]any, err error) {
	path, query, _ := strings.Cut(path, "?")
	if path, err = url.PathUnescape(path); err != nil {
		return nil, nil, err
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, nil, err
	}
	return strings.Split(strings.TrimLeft(path, "/"), "/"), listsOf(values), nil
}

func listsOf(values url.Values) map[string]any {
	lists := make(map[string]any, len(values))
	for name, list := range values {
		lists[name] = list
	}
	return lists
}

func attributesOf(attributes *authv3.AttributeContext) (fields any, err error) {
	text, err := protojson.MarshalOptions{Resolver: typesOrEmpty{protoregistry.GlobalTypes}}.Marshal(attributes)
	if err != nil {
		return nil, err
	}
	err = util.NewJSONDecoder(bytes.NewReader(text)).Decode(&fields)
	return fields, err
}

// typesOrEmpty resolves unknown message types to an empty message. Envoy's filters add metadata of their own
// types, which must not make a request fail.
type typesOrEmpty struct{ *protoregistry.Types }

// FindMessageByURL implements the resolver of [protojson.MarshalOptions].
func (t typesOrEmpty) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	if found, err := t.Types.FindMessageByURL(url); err == nil {
		return found, nil
	}
	return (*emptypb.Empty)(nil).ProtoReflect().Type(), nil
}
