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

// fields are the fields of the policy's document.
type fields map[string]any

// respond converts the document of the policy to a response. An unexpected form is an error, so it does not
// permit. Fields that do not apply to the response are ignored.
func respond(policy engine.Path, result any) (*authv3.CheckResponse, error) {
	var allowed bool
	var f fields
	switch result := result.(type) {
	case bool:
		allowed = result
	case map[string]any:
		var ok bool
		if allowed, ok = result["allowed"].(bool); !ok {
			return nil, fmt.Errorf("%s is an object whose allowed is not a boolean", policy)
		}
		f = result
	default:
		return nil, fmt.Errorf("%s is neither a boolean nor an object with allowed", policy)
	}
	convert := f.denied
	if allowed {
		convert = f.ok
	}
	response, err := convert()
	if err == nil {
		response.DynamicMetadata, err = f.metadata()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", policy, err)
	}
	return response, nil
}

func (f fields) ok() (*authv3.CheckResponse, error) {
	var err error
	response := &authv3.OkHttpResponse{}
	if response.Headers, err = f.headers("headers", wrapperspb.Bool(false), wrapperspb.Bool(true)); err != nil {
		return nil, err
	}
	if response.ResponseHeadersToAdd, err = f.headers("response_headers_to_add", nil, nil); err != nil {
		return nil, err
	}
	if response.HeadersToRemove, err = f.names("request_headers_to_remove"); err != nil {
		return nil, err
	}
	if response.QueryParametersToRemove, err = f.names("query_parameters_to_remove"); err != nil {
		return nil, err
	}
	response.QueryParametersToSet, err = f.parameters("query_parameters_to_set")
	return okResponse(response), err
}

func (f fields) denied() (*authv3.CheckResponse, error) {
	status, err := f.status()
	if err != nil {
		return nil, err
	}
	body, ok := f["body"].(string)
	if _, given := f["body"]; given && !ok {
		return nil, fmt.Errorf("body is %s; a string was expected", kindOf(f["body"]))
	}
	headers, err := f.headers("headers", wrapperspb.Bool(false), nil)
	if err != nil {
		return nil, err
	}
	response := deniedResponse(status, body)
	response.GetDeniedResponse().Headers = headers
	return response, nil
}

// status returns the HTTP status of a denial, which Envoy must support.
func (f fields) status() (typev3.StatusCode, error) {
	given, ok := f["http_status"]
	if !ok {
		return http.StatusForbidden, nil
	}
	number, ok := given.(json.Number)
	if !ok {
		return 0, fmt.Errorf("http_status is %s; a number was expected", kindOf(given))
	}
	code, err := number.Int64()
	name, ok := typev3.StatusCode_name[int32(code)]                                                  //nolint:gosec // compared below
	if err != nil || !ok || name == typev3.StatusCode_Empty.String() || code != int64(int32(code)) { //nolint:gosec // it is the comparison
		return 0, fmt.Errorf("http_status is %s, which is not an HTTP status", number)
	}
	return typev3.StatusCode(code), nil
}

// metadata returns the dynamic metadata, never nil without an error.
func (f fields) metadata() (*structpb.Struct, error) {
	given, ok := f["dynamic_metadata"]
	if !ok {
		return &structpb.Struct{Fields: map[string]*structpb.Value{}}, nil
	}
	object, ok := given.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("dynamic_metadata is %s; an object was expected", kindOf(given))
	}
	metadata, err := structpb.NewStruct(object)
	if err != nil {
		return nil, fmt.Errorf("dynamic_metadata: %w", err)
	}
	return metadata, nil
}

// names returns a field that is a list of strings.
func (f fields) names(field string) ([]string, error) {
	given, ok := f[field]
	if !ok {
		return nil, nil
	}
	names, err := texts(given)
	if _, list := given.([]any); !list || err != nil {
		return nil, fmt.Errorf("%s is not an array of strings", field)
	}
	return names, nil
}

// headers reads an object, or an array of objects, of names and their value or values. first and later say
// whether the first value of a name, and the ones after it, are appended to an existing header. nil leaves
// it to Envoy: newer versions append, and then a service gets the caller's own header in addition to the
// policy's.
func (f fields) headers(field string, first, later *wrapperspb.BoolValue) (headers []*corev3.HeaderValueOption, err error) {
	given, ok := f[field]
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
			header.Append = first //nolint:staticcheck // older versions of Envoy do not read its successor
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

func (f fields) parameters(field string) (parameters []*corev3.QueryParameter, err error) {
	given, ok := f[field]
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

// pairs calls each for every value of an object of names and their value or values, in order of the names.
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

// texts returns a string, or an array of strings, as a slice.
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

// kindOf returns Rego's name of the type of v.
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
