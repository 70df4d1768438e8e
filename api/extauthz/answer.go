package extauthz

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"defenseclaw/engine"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/open-policy-agent/opa/v1/ast"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// said is what the policy's document says, by the names of its fields.
type said map[string]any

// respond makes the response that a result of the policy asks for. What it cannot read is an error,
// and so no permission; fields that the response has no place for are not read.
func respond(policy engine.Path, result any) (*authv3.CheckResponse, error) {
	var allowed bool
	fields := said{}
	switch result := result.(type) {
	case bool:
		allowed = result
	case map[string]any:
		var ok bool
		if allowed, ok = result["allowed"].(bool); !ok {
			return nil, fmt.Errorf("%s is an object whose allowed is neither true nor false", policy)
		}
		fields = result
	default:
		return nil, fmt.Errorf("%s is neither true nor false, nor an object with allowed", policy)
	}
	respond := fields.denied
	if allowed {
		respond = fields.ok
	}
	response, err := respond()
	if err == nil {
		response.DynamicMetadata, err = fields.metadata()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", policy, err)
	}
	return response, nil
}

func (s said) ok() (*authv3.CheckResponse, error) {
	var err error
	response := &authv3.OkHttpResponse{}
	if response.Headers, err = s.headers("headers", wrapperspb.Bool(false), wrapperspb.Bool(true)); err != nil {
		return nil, err
	}
	if response.ResponseHeadersToAdd, err = s.headers("response_headers_to_add", nil, nil); err != nil {
		return nil, err
	}
	if response.HeadersToRemove, err = s.names("request_headers_to_remove"); err != nil {
		return nil, err
	}
	if response.QueryParametersToRemove, err = s.names("query_parameters_to_remove"); err != nil {
		return nil, err
	}
	response.QueryParametersToSet, err = s.parameters("query_parameters_to_set")
	return okResponse(response), err
}

func (s said) denied() (*authv3.CheckResponse, error) {
	status, err := s.status()
	if err != nil {
		return nil, err
	}
	body, ok := s["body"].(string)
	if _, given := s["body"]; given && !ok {
		return nil, fmt.Errorf("body is %s; a string was expected", kindOf(s["body"]))
	}
	headers, err := s.headers("headers", wrapperspb.Bool(false), nil)
	if err != nil {
		return nil, err
	}
	response := deniedResponse(status, body)
	response.GetDeniedResponse().Headers = headers
	return response, nil
}

// status is the denial's HTTP status: one that Envoy knows.
func (s said) status() (typev3.StatusCode, error) {
	given, ok := s["http_status"]
	if !ok {
		return http.StatusForbidden, nil
	}
	number, ok := given.(json.Number)
	if !ok {
		return 0, fmt.Errorf("http_status is %s; a number was expected", kindOf(given))
	}
	code, err := number.Int64()
	name, known := typev3.StatusCode_name[int32(code)]                                                  //nolint:gosec // compared below
	if err != nil || !known || name == typev3.StatusCode_Empty.String() || code != int64(int32(code)) { //nolint:gosec // it is the comparison
		return 0, fmt.Errorf("http_status is %s, which is none of HTTP", number)
	}
	return typev3.StatusCode(code), nil
}

// metadata is never nil.
func (s said) metadata() (*structpb.Struct, error) {
	given, ok := s["dynamic_metadata"]
	if !ok {
		return &structpb.Struct{Fields: map[string]*structpb.Value{}}, nil
	}
	fields, ok := given.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("dynamic_metadata is %s; an object was expected", kindOf(given))
	}
	metadata, err := structpb.NewStruct(fields)
	if err != nil {
		return nil, fmt.Errorf("dynamic_metadata: %w", err)
	}
	return metadata, nil
}

// names is a list of strings.
func (s said) names(field string) ([]string, error) {
	given, ok := s[field]
	if !ok {
		return nil, nil
	}
	names, err := texts(given)
	if _, list := given.([]any); !list || err != nil {
		return nil, fmt.Errorf("%s is not an array of strings", field)
	}
	return names, nil
}

// headers are an object, or an array of such, of names and their value or values. first and later say
// whether the first value of a name, and those after it, are appended to what is there. Nil leaves it
// to Envoy, whose versions differ: the newer append, so that a caller's own header of a name that a
// service trusts would stay beside the policy's.
func (s said) headers(field string, first, later *wrapperspb.BoolValue) (headers []*corev3.HeaderValueOption, err error) {
	given, ok := s[field]
	if !ok {
		return nil, nil
	}
	objects, ok := given.([]any)
	if !ok {
		objects = []any{given}
	}
	seen := map[string]bool{}
	for _, object := range objects {
		err := pairs(object, func(name, value string) {
			header := &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}}
			header.Append = first //nolint:staticcheck // what took its place is not read by every Envoy
			if seen[http.CanonicalHeaderKey(name)] {
				header.Append = later //nolint:staticcheck // as above
			}
			seen[http.CanonicalHeaderKey(name)] = true
			headers = append(headers, header)
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
	}
	return headers, nil
}

func (s said) parameters(field string) (parameters []*corev3.QueryParameter, err error) {
	given, ok := s[field]
	if !ok {
		return nil, nil
	}
	err = pairs(given, func(name, value string) {
		parameters = append(parameters, &corev3.QueryParameter{Key: name, Value: value})
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", field, err)
	}
	return parameters, nil
}

// pairs goes through an object of names and their value or values, in the names' order.
func pairs(given any, each func(name, value string)) error {
	object, ok := given.(map[string]any)
	if !ok {
		return fmt.Errorf("%s where an object was expected", kindOf(given))
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		values, err := texts(object[name])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, value := range values {
			each(name, value)
		}
	}
	return nil
}

// texts is a string, or an array of strings, as an array.
func texts(given any) ([]string, error) {
	list, ok := given.([]any)
	if !ok {
		list = []any{given}
	}
	texts := make([]string, 0, len(list))
	for _, item := range list {
		text, ok := item.(string)
		if !ok {
			return nil, fmt.Errorf("%s where a string was expected", kindOf(item))
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// kindOf names a value's type as Rego does.
func kindOf(v any) string {
	value, err := ast.InterfaceToValue(v)
	if err != nil {
		return "no value"
	}
	return ast.ValueName(value)
}

func okResponse(response *authv3.OkHttpResponse) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status:       &rpcstatus.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: response},
	}
}

func deniedResponse(status typev3.StatusCode, body string) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: status}, Body: body,
		}},
	}
}
