package extauthz

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/open-policy-agent/opa/v1/ast"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"
)

// input is what the policy sees of a request, in the shape that OPA's own plugin for Envoy gives it. An
// error is the fault of whoever sent the request that Envoy asks about.
func input(request *authv3.CheckRequest) (ast.Value, error) {
	asked := request.GetAttributes().GetRequest().GetHttp()
	path, query, err := parsePath(asked.GetPath())
	if err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	body, truncated, err := parseBody(asked)
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
	return ast.InterfaceToValue(fields)
}

// parsePath gives the parts of a path, decoded, and the values of each parameter of its query.
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

func attributesOf(attributes *authv3.AttributeContext) (ast.Value, error) {
	text, err := protojson.MarshalOptions{Resolver: typesOrEmpty{protoregistry.GlobalTypes}}.Marshal(attributes)
	if err != nil {
		return nil, err
	}
	return ast.ValueFromReader(bytes.NewReader(text))
}

// typesOrEmpty shows a message whose type this program does not know as one without fields: filters
// hand on metadata of their own types, which is no reason to refuse a request.
type typesOrEmpty struct{ *protoregistry.Types }

// FindMessageByURL is [protojson.MarshalOptions]'s.
func (t typesOrEmpty) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	if known, err := t.Types.FindMessageByURL(url); err == nil {
		return known, nil
	}
	return (*emptypb.Empty)(nil).ProtoReflect().Type(), nil
}
