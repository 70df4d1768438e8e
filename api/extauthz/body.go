package extauthz

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"strconv"
	"strings"

	"defenseclaw/engine"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/open-policy-agent/opa/v1/util"
)

// headerPartial marks a request of which Envoy sent only the beginning of the body.
const headerPartial = "x-envoy-auth-partial-body"

// parseBody parses a body of a unified request by its content type: JSON or one of the two kinds of forms. The value is nil for
// other types, for an empty body, and for an incomplete one; then truncated is true.
func parseBody(request *authv3.AttributeContext_HttpRequest) (value any, truncated bool, err error) {
	if request.GetHeaders()[headerPartial] == "true" {
		return nil, true, nil
	}
	body := request.GetBody()
	if raw := request.GetRawBody(); len(raw) > 0 {
		body = string(raw) // the bytes as they came
	}
	contentType := request.GetHeaders()["content-type"]
	parse := parserOf(contentType)
	if parse == nil || body == "" {
		return nil, false, nil
	}
	if length := request.GetHeaders()["content-length"]; length != "" {
		fullBytes, err := strconv.ParseInt(length, 10, 64)
		if err != nil {
			return nil, false, fmt.Errorf("content-length %q is not a number", length)
		}
		if fullBytes > int64(len(body)) {
			return nil, true, nil
		}
	}
	value, err = parse(body, contentType)
	return value, false, err
}

type parser func(body, contentType string) (any, error)

// parserOf returns nil for a content type that is not parsed.
func parserOf(contentType string) parser {
	contentType = strings.ToLower(contentType)
	switch {
	case strings.Contains(contentType, "application/json"):
		return parseJSON
	case strings.Contains(contentType, "application/x-www-form-urlencoded"):
		return parseForm
	case strings.Contains(contentType, "multipart/form-data"):
		return parseMultipart
	default:
		return nil
	}
}

func parseJSON(body, _ string) (value any, err error) {
	if err := engine.CheckNumbers([]byte(body)); err != nil {
		return nil, err
	}
	err = util.UnmarshalJSON([]byte(body), &value)
	return value, err
}

func parseForm(body, _ string) (any, error) {
	values, err := url.ParseQuery(body)
	if err != nil {
		return nil, err
	}
	return listsOf(values), nil
}

// parseMultipart returns the list of values of each field. Parts with a content type of JSON are parsed, and
// parts without a field name are skipped.
func parseMultipart(body, contentType string) (any, error) {
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, err
	}
	if parameters["boundary"] == "" {
		return nil, nil
	}
	fields := map[string]any{}
	parts := multipart.NewReader(strings.NewReader(body), parameters["boundary"])
	for {
		part, err := parts.NextPart()
		if err == io.EOF { //nolint:errorlint // if wrapped, the end is missing
			return fields, nil
		}
		if err != nil {
			return nil, err
		}
		name := part.FormName()
		if name == "" {
			continue
		}
		value, err := parsePart(part)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", name, err)
		}
		list, _ := fields[name].([]any)
		fields[name] = append(list, value)
	}
}

func parsePart(part *multipart.Part) (any, error) {
	text, err := io.ReadAll(part)
	if err != nil {
		return nil, err
	}
	if strings.Contains(strings.ToLower(part.Header.Get("Content-Type")), "application/json") {
		return parseJSON(string(text), "")
	}
	return string(text), nil
}
